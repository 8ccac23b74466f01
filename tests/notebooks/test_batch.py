"""Batches of small notebooks, run by real papermill: matrix, failures, resuming, a killed batch."""

import json
import os
import re
import signal
import subprocess
import sys
import time
from pathlib import Path

import psutil
import pytest

import workbench as wb
from tests.books import MARK, PARAMETERS, executions, write
from workbench.notebooks.batch.journal import Journal, Record, content_key, estimated
from workbench.notebooks.batch.plan import Cell, logged_models, read_plan, shipped
from workbench.notebooks.batch.process import threads_each
from workbench.notebooks.batch.run import Lines, agenda, run, summary

ROOT = Path(__file__).parents[2]
PLAN = 'about = "small"\nfolder = "books"\n\n[[matrix]]\nmodels = ["smollm2-refusal"]\nprofile = "smoke"\n'


@pytest.fixture
def folder(tmp_path):
    """Two notebooks and a plan of both."""
    write(tmp_path / "books" / "01_first.ipynb", MARK)
    write(tmp_path / "books" / "02_second.ipynb", MARK)
    (tmp_path / "plan.toml").write_text(PLAN)
    return tmp_path


def go(folder, resume=False, jobs=1, only=(), plan="plan.toml"):
    """Run the plan; the agenda, the records and what was said on the way."""
    said = []
    todo = agenda(read_plan(folder / plan).only(only), folder / "runs", resume)
    return todo, run(todo, Lines(said.append, len(todo.cells)), jobs), said


def names(cells):
    return [cell.name for cell in cells]


def plan_with(folder, text):
    path = folder / "other.toml"
    path.write_text(PLAN + text)
    return path


def test_a_matrix_is_every_notebook_on_every_model_with_every_value(folder):
    path = folder / "matrix.toml"
    path.write_text(
        PLAN.replace('["smollm2-refusal"]', '["smollm2-refusal", "org/model"]') + "over = { seed = [1, 2] }\n"
    )
    cells = read_plan(path).cells
    assert names(cells)[:3] == [
        "smollm2-refusal/smoke/01_first--seed=1",
        "smollm2-refusal/smoke/01_first--seed=2",
        "org--model/smoke/01_first--seed=1",
    ]
    assert len(cells) == len(set(names(cells))) == 8
    assert names(read_plan(path).only(["02*seed=2"]).cells) == [
        "smollm2-refusal/smoke/02_second--seed=2",
        "org--model/smoke/02_second--seed=2",
    ]


def test_values_that_are_no_file_names_become_some(folder):
    long, path = "a/b " * 60, Path("01_a.ipynb")
    cells = [Cell(path, "m", "quick", {"x": long}), Cell(path, "m", "quick", {"x": long + "!"})]
    assert len({cell.stem for cell in cells}) == 2
    assert all("/" not in cell.stem and len(cell.stem) < 90 for cell in cells)


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("parameters = { sead = 1 }", r"line 7: 01_first.ipynb has no parameter 'sead'; did you mean 'seed'\?"),
        ("over = { sead = [1] }", r"line 7: 01_first.ipynb has no parameter 'sead'; did you mean 'seed'\?"),
        ("over = { seed = 1 }", "line 7: seed must be a list of values"),
        ("parameters = { out = 'x' }", "line 7: out is set by the batch itself"),
        ("notebooks = ['01_frist']", "line 7: no notebook '01_frist' in .*; did you mean '01_first'"),
        ("without = ['03']", "line 7: no notebook '03' in .*; there are 01_first, 02_second"),
        ("without = ['*']", "the plan has no cells"),
        ("notebook = ['01']", r"line 7: unknown matrix key 'notebook'; did you mean 'notebooks'\?"),
        (
            "[[matrix]]\nmodels = ['smolm2-refusal']",
            "line 8: unknown model 'smolm2-refusal'; did you mean 'smollm2-refusal'",
        ),
        ("[[matrix]]\nmodels = ['logged']\nprofile = 'fast'", "line 9: profile must be one of smoke, quick, full"),
    ],
)
def test_mistakes_in_a_plan_are_found_before_anything_runs(folder, text, message):
    with pytest.raises(wb.WorkbenchError, match=message):
        read_plan(plan_with(folder, text))


def test_unknown_plans_cells_places_and_folders_are_errors(folder, monkeypatch):
    with pytest.raises(wb.WorkbenchError, match="no plan 'quik': did you mean 'quick'"):
        read_plan("quik")
    with pytest.raises(wb.WorkbenchError, match="no folder of notebooks nowhere; go to a checkout"):
        read_plan("quick", "nowhere")
    plan = read_plan(folder / "plan.toml")
    with pytest.raises(wb.WorkbenchError, match="holds '01_frist': did you mean 01_first"):
        plan.only(["01_frist"])
    todo = agenda(plan, folder / "runs")
    with pytest.raises(wb.WorkbenchError, match="--on slurm: expected local or ray"):
        run(todo, Lines(print, 2), on="slurm")
    with pytest.raises(wb.WorkbenchError, match="--jobs 0: expected 1 or more"):
        run(todo, Lines(print, 2), jobs=0)


def test_a_folder_is_a_model_under_its_own_name_wherever_the_plan_is_run(folder, monkeypatch):
    for name in ("mine", "other/mine"):
        (folder / name).mkdir(parents=True)
        (folder / name / "config.json").write_text("{}")
    monkeypatch.chdir(folder)
    path = folder / "own.toml"
    path.write_text(PLAN.replace("smollm2-refusal", "./mine"))
    cells = read_plan(path).cells
    assert names(cells) == ["mine/smoke/01_first", "mine/smoke/02_second"]
    assert cells[0].model == str(folder / "mine")
    path.write_text(PLAN.replace('"smollm2-refusal"', '"./mine", "other/mine"'))
    with pytest.raises(
        wb.WorkbenchError, match=r"own.toml, line 4: two cells are called mine/smoke/01_first: .*other/mine"
    ):
        read_plan(path)


@pytest.mark.parametrize("name", ["quick", "full", "logged-models"])
def test_shipped_plans_take_every_notebook_there_is(name):
    plan = read_plan(name, ROOT / "notebooks")
    there = {path.stem for path in (ROOT / "notebooks").glob("[0-9][0-9]_*.ipynb")}
    assert name in shipped()
    assert {cell.notebook.stem for cell in plan.cells} == there
    assert [cell.notebook.stem for cell in plan.cells if cell.last] == ["16_ledger"] * ("16_ledger" in there)


def test_logged_models_are_those_of_the_logs_behind_a_notebook():
    assert logged_models("01_sign_inversion") == [
        "mistral-7b-v0.3",
        "qwen2-7b",
        "qwen2.5-7b",
        "gemma2-9b-it",
        "llama3.1-8b",
    ]
    chosen = {cell.model for cell in read_plan("logged-models", ROOT / "notebooks").cells} - {"smollm2-refusal"}
    assert {name.split("-")[0].rstrip("0123456789.") for name in chosen} == {"mistral", "qwen", "gemma", "llama"}


def test_one_broken_notebook_stops_no_other_and_is_told(folder):
    write(
        folder / "books" / "00_broken.ipynb", "print('before')", "def bad():\n    return 1 / 0\nbad()", "print('after')"
    )
    todo, records, said = go(folder, jobs=2)
    assert executions(folder / "runs") == {"01_first": 1, "02_second": 1}
    (failed,) = [record for record in records if not record.ok]
    assert (failed.name, failed.at, failed.error) == (
        "smollm2-refusal/smoke/00_broken",
        3,  # parameters, those that papermill injected, the first and the second
        "ZeroDivisionError: division by zero",
    )
    told = summary(todo, records)
    assert told.startswith("2 done, 0 skipped as done before, 1 failed")
    assert "FAILED smollm2-refusal/smoke/00_broken: cell 3, ZeroDivisionError: division by zero" in told
    assert any(line.startswith("FAILED   smollm2-refusal/smoke/00_broken") for line in said)
    for record in records:
        executed = folder / "runs" / record.notebook
        assert json.loads(executed.read_text())["metadata"]["papermill"]["duration"] > 0
        assert "Executing" in (folder / "runs" / record.log).read_text()
    assert "before" in (folder / "runs" / failed.log).read_text()


def test_a_kernel_that_dies_is_a_failure_like_another(folder):
    write(folder / "books" / "01_first.ipynb", "import os, signal\nos.kill(os.getpid(), signal.SIGKILL)")
    _, records, _ = go(folder)
    assert {record.name[-8:]: record.ok for record in records} == {"01_first": False, "2_second": True}
    assert "died" in next(record for record in records if not record.ok).error.lower()


def test_resuming_skips_what_has_not_changed_and_runs_what_has(folder):
    count = lambda: executions(folder / "runs")  # noqa: E731
    go(folder)
    todo, records, _ = go(folder, resume=True)
    assert (len(todo.done), records, count()) == (2, [], {"01_first": 1, "02_second": 1})
    assert "2 skipped as done before" in summary(todo, records)
    write(folder / "books" / "02_second.ipynb", MARK, "1 + 1")
    go(folder, resume=True)
    assert count() == {"01_first": 1, "02_second": 2}
    (folder / "runs/smollm2-refusal/smoke/01_first.ipynb").unlink()
    go(folder, resume=True)
    assert count() == {"01_first": 2, "02_second": 2}
    write(folder / "books" / "01_first.ipynb", MARK, "1 / 0")
    go(folder, resume=True)
    go(folder, resume=True)
    assert count() == {"01_first": 4, "02_second": 2}  # a failed one is tried again
    go(folder)
    assert count() == {"01_first": 5, "02_second": 3}  # without --resume, everything


def test_a_ledger_that_was_removed_is_written_again(folder):
    keep = "Path(ledger).mkdir(exist_ok=True)"
    write(folder / "books" / "01_first.ipynb", MARK, keep, parameters=f"{PARAMETERS}\nledger = ''")
    for gone, expected in ((False, 1), (False, 1), (True, 2)):
        if gone:
            (folder / "runs" / "ledger").rmdir()
        go(folder, resume=True, only=["01"])
        assert executions(folder / "runs") == {"01_first": expected}


def test_last_cells_run_after_all_others_and_again_when_one_did(folder):
    (folder / "plan.toml").write_text(
        PLAN
        + "without = ['01']\n\n[[matrix]]\nmodels = ['smollm2-refusal']\nprofile = 'smoke'\nnotebooks = ['01']\nlast = true\n"
    )
    write(folder / "books" / "02_second.ipynb", "import time\ntime.sleep(2)", MARK)
    _, records, _ = go(folder, jobs=2)
    assert [record.name[-9:] for record in records] == ["02_second", "/01_first"]
    go(folder, resume=True)
    assert executions(folder / "runs") == {"01_first": 1, "02_second": 1}
    write(folder / "books" / "02_second.ipynb", MARK)
    go(folder, resume=True)
    assert executions(folder / "runs") == {"01_first": 2, "02_second": 2}


def test_the_key_holds_all_that_a_result_depends_on(tmp_path, monkeypatch):
    path = write(tmp_path / "01_a.ipynb", "1")
    cell = Cell(path, "smollm2-refusal", "quick", {"seed": 1})
    key = content_key(cell)
    others = [
        Cell(path, "smollm2-refusal", "quick", {"seed": 2}),
        Cell(path, "smollm2-refusal", "full", {"seed": 1}),
        Cell(path, "smollm2-135m", "quick", {"seed": 1}),
        Cell(write(tmp_path / "02_a.ipynb", "2"), "smollm2-refusal", "quick", {"seed": 1}),
    ]
    monkeypatch.setattr("workbench.notebooks.batch.journal.adapter_revision", lambda folder: "other")
    tuned = content_key(cell)
    monkeypatch.undo()
    monkeypatch.setattr("workbench.notebooks.batch.journal.code_version", lambda: "other")
    assert len({key, tuned, content_key(cell), *map(content_key, others)}) == 7
    monkeypatch.undo()
    book = json.loads(path.read_text())
    book["metadata"]["edited"] = "yes"
    book["cells"][1]["outputs"] = [{"output_type": "stream", "name": "stdout", "text": "1"}]
    path.write_text(json.dumps(book))
    assert content_key(cell) == key
    (tmp_path / "P1.toml").write_text("minimum_effect = 0.2")  # a claims file beside the notebook
    ruled = content_key(cell)
    (tmp_path / "P1.toml").write_text("minimum_effect = 0.3")
    assert len({key, ruled, content_key(cell)}) == 3


def test_processes_share_the_cores(folder, monkeypatch):
    monkeypatch.setattr(os, "sched_getaffinity", lambda pid: set(range(8)))
    monkeypatch.delenv("OMP_NUM_THREADS", raising=False)
    assert [threads_each(jobs) for jobs in (1, 2, 3, 16)] == [8, 4, 2, 1]
    monkeypatch.setenv("OMP_NUM_THREADS", "4")
    assert threads_each(2) == 2
    write(folder / "books" / "01_first.ipynb", "import os\nassert os.environ['OMP_NUM_THREADS'] == '2'")
    _, records, _ = go(folder, jobs=2, only=["01"])
    assert records[0].error == ""


def test_estimates_come_from_earlier_runs_or_are_unknown(folder):
    plan = read_plan(folder / "plan.toml")
    assert "estimated time: unknown" in agenda(plan, folder / "runs").text(1)
    journal = Journal(folder / "runs")
    for name, seconds, error in (("01_first", 600, ""), ("02_second", 5, "it failed")):
        journal.add(Record(f"smollm2-refusal/smoke/{name}", "k", "", seconds, error, -1, "", ""))
    text = agenda(plan, folder / "runs").text(1)
    assert "2 to run, 0 done; estimated time: 10 min, and 1 of unknown duration" in text
    assert not (folder / "runs" / "smollm2-refusal").exists()
    cells = [Cell(Path(f"0{i}_a.ipynb"), "m", "quick", last=i == 4) for i in range(5)]
    seconds = dict(zip(names(cells), (60.0, 20.0, 20.0, 20.0, 5.0), strict=True))
    assert estimated(cells, seconds, 1) == (125.0, 0)
    assert estimated(cells, seconds, 2) == (65.0, 0)


def test_a_journal_survives_a_torn_line(tmp_path):
    journal = Journal(tmp_path)
    journal.add(Record("a", "k", "", 1, "", -1, "", ""))
    with (tmp_path / "batch.jsonl").open("a") as file:
        file.write('{"name": "b", "ke')
    journal.add(Record("c", "k", "", 1, "", -1, "", ""))
    assert [record.name for record in journal.records()] == ["a", "c"]
    with (tmp_path / "batch.jsonl").open("a") as file:
        file.write('{"name": "b"}\n')
    with pytest.raises(wb.WorkbenchError, match=r"batch.jsonl, line 4: no record of a batch"):
        journal.records()


def command(folder, *more):
    return [sys.executable, "-m", "workbench.cli", "batch", "plan.toml", "--runs", "runs", *more]


def test_a_batch_that_is_killed_is_resumed_without_repeating_what_was_done(folder):
    write(folder / "books" / "02_second.ipynb", MARK, "time.sleep(600 if not Path('go').exists() else 0)")
    batch = subprocess.Popen(command(folder), cwd=folder, stdout=subprocess.DEVNULL)
    deadline = time.monotonic() + 120
    while executions(folder / "runs").get("02_second") is None:
        assert time.monotonic() < deadline
        assert batch.poll() is None
        time.sleep(0.2)
    below = psutil.Process(batch.pid).children(recursive=True)
    assert len(below) >= 2  # the process of the cell, and its kernel
    os.kill(batch.pid, signal.SIGKILL)
    batch.wait()
    _, alive = psutil.wait_procs(below, timeout=20)
    assert alive == []  # nothing goes on behind the back of the batch that resumes
    (folder / "books" / "go").touch()
    done = subprocess.run(command(folder, "--resume"), cwd=folder, capture_output=True, text=True)
    assert done.returncode == 0, done.stdout + done.stderr
    assert "1 done, 1 skipped as done before, 0 failed" in done.stdout
    assert executions(folder / "runs") == {"01_first": 1, "02_second": 2}


def test_the_command_says_what_failed_and_exits_with_1(folder):
    write(folder / "books" / "01_first.ipynb", "raise ValueError('what is wrong')")
    done = subprocess.run(command(folder), cwd=folder, capture_output=True, text=True)
    assert done.returncode == 1
    assert "FAILED smollm2-refusal/smoke/01_first: cell 2, ValueError: what is wrong" in done.stdout
    assert "runs/smollm2-refusal/smoke/01_first.log" in done.stdout
    dry = subprocess.run(command(folder, "--dry-run"), cwd=folder, capture_output=True, text=True)
    assert dry.returncode == 0
    assert "01_first   unknown" in dry.stdout


def test_a_terminal_shows_how_far_each_notebook_is(folder):
    import pty
    import termios

    write(folder / "books" / "01_first.ipynb", *["import time\ntime.sleep(1.2)"] * 3)
    master, slave = pty.openpty()
    termios.tcsetwinsize(slave, (24, 120))  # a new one has no columns, and bars no room
    with subprocess.Popen(command(folder), cwd=folder, stdout=subprocess.DEVNULL, stderr=slave) as batch:
        os.close(slave)
        shown = ""
        while True:
            try:
                shown += os.read(master, 65536).decode()
            except OSError:
                break
    assert batch.returncode == 0
    assert any(0 < int(percent) < 100 for percent in re.findall(r"01_first: +(\d+)%", shown)), shown
    assert "2/2" in shown


@pytest.mark.slow
def test_cells_on_ray_leave_what_they_would_leave_here(folder, monkeypatch):
    import ray

    monkeypatch.setenv("RAY_ENABLE_UV_RUN_RUNTIME_ENV", "0")
    keep = "(Path(out).parents[2] / 'store').mkdir(exist_ok=True)\n(Path(out).parents[2] / 'store' / 'part').touch()"
    (folder / "books" / "P1.toml").write_text("")
    write(folder / "books" / "01_first.ipynb", MARK, keep, "open('P1.toml')")
    write(folder / "books" / "02_second.ipynb", "1 / 0")
    todo = agenda(read_plan(folder / "plan.toml"), folder / "runs")
    ray.init(num_cpus=2, include_dashboard=False, log_to_driver=False)
    try:
        records = run(todo, Lines(print, 2), on="ray")
    finally:
        ray.shutdown()
    assert {record.name[-9:]: record.error for record in records} == {
        "/01_first": "",
        "02_second": "ZeroDivisionError: division by zero",
    }
    assert executions(folder / "runs") == {"01_first": 1}
    assert (folder / "runs" / "store" / "part").is_file()
    for record in records:
        assert (folder / "runs" / record.notebook).is_file()
        assert "Executing" in (folder / "runs" / record.log).read_text()
    assert "".join(json.loads((folder / "books" / "01_first.ipynb").read_text())["cells"][0]["source"]) == PARAMETERS
