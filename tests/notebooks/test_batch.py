"""Batches of small notebooks, run by real papermill: matrix, failures, resuming, a killed batch."""

import contextlib
import io
import json
import os
import re
import subprocess
import sys
import time
from contextlib import contextmanager
from pathlib import Path

import psutil
import pytest
from typer.testing import CliRunner

import workbench as wb
from tests.books import MARK, PARAMETERS, executions, write
from workbench._files import package_folder
from workbench.cli import app
from workbench.models.registry import SOURCES
from workbench.notebooks.batch.journal import Ended, Journal, code_files, content_key, estimate
from workbench.notebooks.batch.plan import Execution, logged_models, read_plan, shipped
from workbench.notebooks.batch.process import threads_each
from workbench.notebooks.batch.remote import _revisions, refuse_other
from workbench.notebooks.batch.run import agenda, run, summary

ROOT = Path(__file__).parents[2]
PLAN = 'about = "small"\nfolder = "books"\n\n[[matrix]]\nmodels = ["smollm2-refusal"]\nprofile = "smoke"\n'


def two_notebooks(folder):
    """Two notebooks and a plan of both."""
    write(folder / "books" / "01_first.ipynb", MARK)
    write(folder / "books" / "02_second.ipynb", MARK)
    (folder / "plan.toml").write_text(PLAN)
    return folder


@pytest.fixture
def folder(tmp_path):
    """The same, anew for each test."""
    return two_notebooks(tmp_path)


def go(folder, resume=False, jobs=1, only=()):
    """Run the plan; the agenda, and how each execution ended."""
    todo = to_do(folder, resume, only)
    return todo, run(todo, jobs)


def to_do(folder, resume=True, only=()):
    """What running the plan would do."""
    return agenda(read_plan(folder / "plan.toml").only(only), folder / "runs", resume)


def stems(todo):
    """The notebooks that an agenda would execute."""
    return [execution.stem for execution, _ in todo.executions]


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
    cells = read_plan(path).executions
    assert names(cells)[:3] == [
        "smollm2-refusal/smoke/01_first--seed=1",
        "smollm2-refusal/smoke/01_first--seed=2",
        "org--model/smoke/01_first--seed=1",
    ]
    assert len(cells) == len(set(names(cells))) == 8
    assert names(read_plan(path).only(["02*seed=2"]).executions) == [
        "smollm2-refusal/smoke/02_second--seed=2",
        "org--model/smoke/02_second--seed=2",
    ]


def test_values_that_are_no_file_names_become_some(folder):
    long, path = "a/b " * 60, Path("01_a.ipynb")
    cells = [Execution(path, "m", "quick", {"x": long}), Execution(path, "m", "quick", {"x": long + "!"})]
    assert len({cell.stem for cell in cells}) == 2
    assert all("/" not in cell.stem and len(cell.stem) < 90 for cell in cells)


@pytest.mark.parametrize(
    ("text", "message"),
    [
        (
            "parameters = { sead = 1 }",
            r"line 7: unknown parameter 'sead'; did you mean 'seed'\? There are .*, seed, out in 01_first.ipynb",
        ),
        (
            "over = { sead = [1] }",
            r"line 7: unknown parameter 'sead'; did you mean 'seed'\? There are .*, seed, out in 01_first.ipynb",
        ),
        ("over = { seed = 1 }", "line 7: seed must be a list of values"),
        ("parameters = { out = 'x' }", "line 7: out is set by the batch itself"),
        ("notebooks = ['01_frist']", "line 7: unknown notebook '01_frist'; did you mean '01_first'"),
        ("without = ['03']", "line 7: unknown notebook '03'; there are 01_first, 02_second in .*books"),
        ("without = ['*']", "the plan has no executions"),
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


def test_unknown_plans_notebooks_places_and_folders_are_errors(folder, monkeypatch):
    with pytest.raises(wb.WorkbenchError, match="unknown plan 'quik'; did you mean 'quick'"):
        read_plan("quik")
    with pytest.raises(wb.WorkbenchError, match="no folder of notebooks nowhere; go to a checkout"):
        read_plan("quick", "nowhere")
    plan = read_plan(folder / "plan.toml")
    with pytest.raises(
        wb.WorkbenchError, match=r"unknown notebook or model of plan .*: '01_frist'; did you mean '01_first'"
    ):
        plan.only(["01_frist"])
    todo = agenda(plan, folder / "runs")
    with pytest.raises(wb.WorkbenchError, match="--on slurm: expected local or ray"):
        run(todo, on="slurm")
    with pytest.raises(wb.WorkbenchError, match="--jobs 0: expected 1 or more"):
        run(todo, jobs=0)


def test_two_folders_of_one_name_are_two_models_wherever_the_plan_is_run(folder, monkeypatch):
    for name in ("mine", "other/mine"):
        (folder / name).mkdir(parents=True)
        (folder / name / "config.json").write_text("{}")
    monkeypatch.chdir(folder)
    path = folder / "own.toml"
    path.write_text(PLAN.replace("smollm2-refusal", "./mine"))
    cells = read_plan(path).executions
    assert [re.sub(r"-\w{8}/", "/", name) for name in names(cells)] == ["mine/smoke/01_first", "mine/smoke/02_second"]
    assert cells[0].model == str(folder / "mine")
    path.write_text(PLAN.replace('"smollm2-refusal"', '"./mine", "other/mine"'))
    both = read_plan(path).executions
    assert len({one.name.split("/")[0] for one in both}) == 2
    monkeypatch.chdir(folder.parent)
    assert {one.name for one in cells} < {one.name for one in both}


def test_an_optional_model_that_was_not_fetched_is_left_out_with_one_line(folder, monkeypatch):
    path = folder / "plan.toml"
    path.write_text(PLAN + '\n[[matrix]]\nmodels = ["qwen2.5-coder-0.5b"]\nprofile = "smoke"\noptional = true\n')
    monkeypatch.setenv("WORKBENCH_CACHE", str(folder / "cache"))
    plan = read_plan(path)
    assert {one.model for one in plan.executions} == {"smollm2-refusal"}
    assert plan.notes == [
        "qwen2.5-coder-0.5b is not fetched: 2 notebooks left out (workbench fetch qwen2.5-coder-0.5b)"
    ]
    assert plan.only(["qwen*01"]).executions == ()
    made = SOURCES["qwen2.5-coder-0.5b"].folder
    made.mkdir(parents=True)
    (made / "workbench.json").write_text("{}")
    assert len(read_plan(path).executions) == 4
    assert read_plan(path).notes == []


@pytest.mark.parametrize("name", ["quick", "full", "logged-models"])
def test_shipped_plans_take_every_notebook_there_is(name):
    plan = read_plan(name, ROOT / "notebooks")
    there = {path.stem for path in (ROOT / "notebooks").glob("[0-9][0-9]_*.ipynb")}
    assert name in shipped()
    own = {stem for stem in there if logged_models(stem) == []} - {"16_ledger"} if name == "logged-models" else set()
    assert {cell.notebook.stem for cell in plan.executions} == there - own
    assert [cell.notebook.stem for cell in plan.executions if cell.last] == ["16_ledger"] * ("16_ledger" in there)


def test_logged_models_are_those_of_the_logs_behind_a_notebook():
    assert logged_models("01_sign_inversion") == [
        "mistral-7b-v0.3",
        "qwen2-7b",
        "qwen2.5-7b",
        "gemma2-9b-it",
        "llama3.1-8b",
    ]
    chosen = {cell.model for cell in read_plan("logged-models", ROOT / "notebooks").executions} - {"smollm2-refusal"}
    assert {name.split("-")[0].rstrip("0123456789.") for name in chosen} == {"mistral", "qwen", "gemma", "llama"}


@pytest.fixture(scope="session")
def mixed(tmp_path_factory):
    """A batch that ran, two at a time: notebooks that fail, die, and end well; its agenda, ends, and what it printed."""
    folder = two_notebooks(tmp_path_factory.mktemp("mixed"))
    write(folder / "books/00_broken.ipynb", "print('before')", "def bad():\n    return 1 / 0\nbad()", "print('after')")
    write(folder / "books/01_first.ipynb", MARK, "print('threads', os.environ['OMP_NUM_THREADS'])")
    write(folder / "books/03_dies.ipynb", "import os, signal\nos.kill(os.getpid(), signal.SIGKILL)")
    printed = io.StringIO()
    with contextlib.redirect_stdout(printed):
        todo, ends = go(folder, jobs=2)
    return folder, todo, ends, printed.getvalue()


def test_one_broken_notebook_stops_no_other_and_is_told(mixed):
    folder, todo, ends, printed = mixed
    assert executions(folder / "runs") == {"01_first": 1, "02_second": 1}
    failed = next(end for end in ends if end.name.endswith("00_broken"))
    assert (failed.ok, failed.at, failed.error) == (
        False,
        3,  # parameters, those that papermill injected, the first and the second
        "ZeroDivisionError: division by zero",
    )
    told = summary(todo, ends)
    assert told.startswith("2 done, 0 skipped as done before, 2 failed")
    assert "FAILED smollm2-refusal/smoke/00_broken: cell 3, ZeroDivisionError: division by zero" in told
    assert "before" in (folder / "runs" / failed.log).read_text()
    assert sum(line.startswith("started  smollm2-refusal/smoke/") for line in printed.splitlines()) == 4
    assert re.search(
        r"^FAILED   smollm2-refusal/smoke/00_broken  .* of 4\): cell 3, ZeroDivision", printed, re.MULTILINE
    )
    assert re.search(r"^done     smollm2-refusal/smoke/01_first  \d+ s  \(\d of 4\)$", printed, re.MULTILINE)


def test_every_execution_leaves_a_notebook_and_a_log(mixed):
    folder, _, ends, _ = mixed
    for end in (end for end in ends if not end.name.endswith("dies")):
        assert json.loads((folder / "runs" / end.notebook).read_text())["metadata"]["papermill"]["duration"] > 0
        assert "Executing" in (folder / "runs" / end.log).read_text()


def test_a_kernel_that_dies_is_a_failure_like_another(mixed):
    assert "died" in next(end for end in mixed[2] if end.name.endswith("03_dies")).error.lower()


def test_processes_share_the_cores(mixed, monkeypatch):
    folder, _, ends, _ = mixed
    log = next(end.log for end in ends if end.name.endswith("01_first"))
    assert f"threads {threads_each(2)}" in (folder / "runs" / log).read_text()
    monkeypatch.setattr(os, "sched_getaffinity", lambda pid: set(range(8)))
    monkeypatch.delenv("OMP_NUM_THREADS", raising=False)
    assert [threads_each(jobs) for jobs in (1, 2, 3, 16)] == [8, 4, 2, 1]
    monkeypatch.setenv("OMP_NUM_THREADS", "4")
    assert threads_each(2) == 2


def test_resuming_skips_what_has_not_changed_and_runs_what_has(folder):
    go(folder)
    todo, ends = go(folder, resume=True)
    assert (len(todo.done), ends) == (2, [])
    assert executions(folder / "runs") == {"01_first": 1, "02_second": 1}
    assert "2 skipped as done before" in summary(todo, ends)
    write(folder / "books" / "02_second.ipynb", MARK, "1 + 1")
    assert stems(to_do(folder)) == ["02_second"]
    kept = folder / "runs/smollm2-refusal/smoke/01_first.ipynb"
    kept.rename(folder / "away.ipynb")
    assert stems(to_do(folder)) == ["01_first", "02_second"]
    (folder / "away.ipynb").rename(kept)
    write(folder / "books" / "02_second.ipynb", MARK, "1 / 0")
    _, (failed,) = go(folder, resume=True)
    assert (failed.ok, executions(folder / "runs")) == (False, {"01_first": 1, "02_second": 2})
    assert stems(to_do(folder)) == ["02_second"]  # a failed one is tried again
    assert stems(to_do(folder, resume=False)) == ["01_first", "02_second"]  # without --resume, everything


def test_a_ledger_that_was_removed_is_written_again(folder):
    keep = "Path(ledger).mkdir(exist_ok=True)"
    write(folder / "books" / "01_first.ipynb", MARK, keep, parameters=f"{PARAMETERS}\nledger = ''")
    go(folder, only=["01"])
    assert stems(to_do(folder, only=["01"])) == []
    (folder / "runs" / "ledger").rmdir()
    assert stems(to_do(folder, only=["01"])) == ["01_first"]


def test_last_ones_run_after_all_others_and_again_when_one_did(folder):
    (folder / "plan.toml").write_text(
        PLAN
        + "without = ['01']\n\n[[matrix]]\nmodels = ['smollm2-refusal']\nprofile = 'smoke'\nnotebooks = ['01']\nlast = true\n"
    )
    write(folder / "books" / "01_first.ipynb", MARK, "assert list((Path(out).parent / '02_second').iterdir())")
    _, ends = go(folder, jobs=2)
    assert [(end.name[-9:], end.error) for end in ends] == [("02_second", ""), ("/01_first", "")]
    assert stems(to_do(folder)) == []
    write(folder / "books" / "02_second.ipynb", MARK, "1 + 1")
    assert stems(to_do(folder)) == ["02_second", "01_first"]


def test_the_key_holds_all_that_a_result_depends_on(tmp_path, monkeypatch, tiny_folder):
    path, model = write(tmp_path / "01_a.ipynb", "1"), str(tiny_folder)  # a model whose files are there
    cell = Execution(path, model, "quick", {"seed": 1})
    key = content_key(cell)
    others = [
        Execution(path, model, "quick", {"seed": 2}),
        Execution(path, model, "full", {"seed": 1}),
        Execution(path, "smollm2-135m", "quick", {"seed": 1}),
        Execution(write(tmp_path / "02_a.ipynb", "2"), model, "quick", {"seed": 1}),
    ]
    monkeypatch.setattr("workbench.models.fetch.files_revision", lambda *_, **__: "other")
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


def test_what_notebooks_compute_with_is_in_the_key_and_what_shows_results_is_not():
    files = {path.relative_to(package_folder()).as_posix() for path in code_files()}
    assert {"notebooks/options.py", "notebooks/setup_gates.py", "generation/engine.py"} <= files
    assert not {"notebooks/widgets.py", "notebooks/report/write.py", "figures/pages.py", "cli.py"} & files


def test_what_never_ran_here_takes_as_long_as_where_it_was_measured_or_says_what_is_missing(folder):
    quick = read_plan("quick", "notebooks")
    text = agenda(quick, folder / "runs").text(2)
    measured = [line for line in text.splitlines() if line.endswith("*")]
    assert len(measured) >= 20
    assert "\n* measured on two CPU cores with AMX" in text
    name = measured[0].split()[0]
    Journal(folder / "runs").add(Ended(name, "k", "", 7.0, "", -1, "", ""))
    assert f"{name} 7 s" in " ".join(agenda(quick, folder / "runs").text(2).split())
    (one,) = (x for x in agenda(quick, folder / "runs").record(2)["to_run"] if x["name"] == name)
    assert one == {"name": name, "seconds": 7.0, "measured_here": True}
    logged = agenda(read_plan("logged-models", "notebooks"), folder / "runs").text(1)
    assert "unknown: its weights come from a hub" in logged


def test_estimates_come_from_earlier_runs_or_are_unknown(folder):
    plan = read_plan(folder / "plan.toml")
    assert "estimated time: unknown" in agenda(plan, folder / "runs").text(1)
    journal = Journal(folder / "runs")
    for name, seconds, error in (("01_first", 600, ""), ("02_second", 5, "it failed")):
        journal.add(Ended(f"smollm2-refusal/smoke/{name}", "k", "", seconds, error, -1, "", ""))
    text = agenda(plan, folder / "runs").text(1)
    assert "2 to run, 0 done; estimated time: 10 min, and 1 of unknown duration" in text
    assert not (folder / "runs" / "smollm2-refusal").exists()
    cells = [Execution(Path(f"0{i}_a.ipynb"), "m", "quick", last=i == 4) for i in range(5)]
    seconds = dict(zip(names(cells), (60.0, 20.0, 20.0, 20.0, 5.0), strict=True))
    assert estimate(cells, seconds, 1) == (125.0, 0)
    assert estimate(cells, seconds, 2) == (65.0, 0)


def test_a_journal_survives_a_torn_line(tmp_path):
    journal = Journal(tmp_path)
    journal.add(Ended("a", "k", "", 1, "", -1, "", ""))
    with (tmp_path / "batch.jsonl").open("a") as file:
        file.write('{"name": "b", "ke')
    journal.add(Ended("c", "k", "", 1, "", -1, "", ""))
    assert [record.name for record in journal.records()] == ["a", "c"]
    with (tmp_path / "batch.jsonl").open("a") as file:
        file.write('{"name": "b"}\n')
    with pytest.raises(wb.WorkbenchError, match=r"batch.jsonl, line 4: no record of a batch"):
        journal.records()


@contextmanager
def running(*words, **more):
    """A process that ends with the test, also where that is out of time: nothing waits for ever."""
    with subprocess.Popen(*words, **more) as process:
        try:
            yield process
        except BaseException:
            process.kill()
            raise


def command(folder, *more):
    return [sys.executable, "-m", "workbench.cli", "batch", "plan.toml", "--runs", "runs", *more]


def test_a_batch_that_is_killed_is_resumed_without_repeating_what_was_done(folder):
    waits = "while not Path('go').exists():\n    time.sleep(0.05)"
    write(folder / "books" / "02_second.ipynb", MARK, waits)
    with running(command(folder), cwd=folder, stdout=subprocess.DEVNULL) as batch:
        while executions(folder / "runs").get("02_second") is None:
            assert batch.poll() is None
            time.sleep(0.05)
        below = psutil.Process(batch.pid).children(recursive=True)
        assert len(below) >= 2  # the process of the notebook, and its kernel
        batch.kill()
    psutil.wait_procs(below)  # nothing goes on behind the back of the batch that resumes
    (folder / "books" / "go").touch()
    done = subprocess.run(command(folder, "--resume"), cwd=folder, capture_output=True, text=True)
    assert done.returncode == 0, done.stdout + done.stderr
    assert "1 done, 1 skipped as done before, 0 failed" in done.stdout
    assert executions(folder / "runs") == {"01_first": 1, "02_second": 2}


def test_two_batches_in_one_folder_do_nothing_twice(folder):
    waits = "while not Path('go').exists():\n    time.sleep(0.05)"
    write(folder / "books" / "01_first.ipynb", MARK, waits)
    with running(command(folder), cwd=folder, stdout=subprocess.DEVNULL) as first:
        while executions(folder / "runs").get("01_first") is None:
            assert first.poll() is None
            time.sleep(0.05)
        second = subprocess.run(command(folder, "--resume"), cwd=folder, capture_output=True, text=True)
        assert second.returncode == 2
        assert f"another batch is running in runs (process {first.pid} on " in second.stderr
        (folder / "books" / "go").touch()
    assert executions(folder / "runs") == {"01_first": 1, "02_second": 1}


def test_the_folder_is_held_by_one_batch_and_by_none_that_is_gone(tmp_path):
    journal = Journal(tmp_path)
    with (
        journal.held(),
        pytest.raises(wb.WorkbenchError, match=r"another batch is running in .*; wait until"),
        journal.held(),
    ):
        pass
    source = (
        "import os, signal, sys\nfrom pathlib import Path\nfrom workbench.notebooks.batch.journal import Journal\n"
        "with Journal(Path(sys.argv[1])).held():\n    os.kill(os.getpid(), signal.SIGKILL)"
    )
    assert subprocess.run([sys.executable, "-c", source, str(tmp_path)], cwd=ROOT).returncode == -9
    with journal.held():
        pass


def test_what_another_batch_did_since_the_agenda_was_made_is_not_done_again(folder):
    late = to_do(folder, resume=True)
    go(folder)
    assert run(late) == []
    assert executions(folder / "runs") == {"01_first": 1, "02_second": 1}


@pytest.mark.parametrize("torn", ["", "{", "[]", '{"cells": []}', "3"])
def test_a_torn_executed_notebook_is_executed_again(folder, torn):
    path = folder / "runs/smollm2-refusal/smoke/01_first.ipynb"
    path.with_suffix("").mkdir(parents=True)
    path.write_text(torn)
    execution = read_plan(folder / "plan.toml").executions[0]
    journal = Journal(folder / "runs")
    name = "smollm2-refusal/smoke/01_first"
    journal.add(Ended(name, "key", "", 1.0, "", -1, f"{name}.ipynb", f"{name}.log"))
    assert not journal.is_done(execution, "key")


def test_the_command_says_what_failed_and_exits_with_1(folder, monkeypatch):
    monkeypatch.chdir(folder)
    write(folder / "books" / "01_first.ipynb", "raise ValueError('what is wrong')")
    done = CliRunner().invoke(app, ["batch", "plan.toml", "--runs", f"{folder}/runs", "--only", "01"])
    assert done.exit_code == 1
    assert "FAILED smollm2-refusal/smoke/01_first: cell 2, ValueError: what is wrong" in done.stdout
    assert "runs/smollm2-refusal/smoke/01_first.log" in done.stdout
    dry = CliRunner().invoke(app, ["batch", "plan.toml", "--dry-run"])
    assert dry.exit_code == 0
    assert "01_first   unknown" in dry.stdout


def test_a_terminal_shows_how_far_each_notebook_is(folder):
    import pty
    import termios

    waits = "import time\nfrom pathlib import Path\nwhile not Path('go').exists():\n    time.sleep(0.05)"
    write(folder / "books" / "01_first.ipynb", waits)
    master, slave = pty.openpty()
    termios.tcsetwinsize(slave, (24, 120))  # a new one has no columns, and bars no room
    with running(command(folder, "--only", "01"), cwd=folder, stdout=subprocess.DEVNULL, stderr=slave) as batch:
        os.close(slave)
        shown, read = "", b""
        while True:
            try:
                read += os.read(master, 65536)
            except OSError:
                break
            shown = read.decode(errors="replace")  # what is read may end within a character
            if any(0 < int(percent) < 100 for percent in re.findall(r"01_first: +(\d+)%", shown)):
                (folder / "books" / "go").touch()  # which ends the notebook, once it was seen under way
    assert batch.returncode == 0
    assert "1/1" in shown


@pytest.mark.slow
def test_a_local_file_of_prompts_travels_with_its_notebook(folder, cluster, tiny_folder, monkeypatch):
    """It is read where it was typed, and the notebook reads its own copy: no file system need be shared. A model folder is there."""
    monkeypatch.chdir(folder)
    (folder / "mine.csv").write_text("text\nwrite a song\n")
    seen = "(Path(out) / 'seen').write_text(prompts + chr(10) + open(prompts).read())"
    write(folder / "books" / "01_first.ipynb", MARK, seen, parameters=PARAMETERS + "\nprompts = ''\nbase_model = ''")
    given = f'{{ prompts = "mine.csv", base_model = "{tiny_folder}" }}'
    (folder / "plan.toml").write_text(f'{PLAN}notebooks = ["01"]\nparameters = {given}\n')
    todo = agenda(read_plan(folder / "plan.toml"), folder / "runs")
    (record,) = run(todo, on="ray")
    assert record.ok, record.error
    (left,) = (folder / "runs").rglob("seen")
    place, *lines = left.read_text().splitlines()
    assert lines == ["text", "write a song"]
    assert Path(place).name == "prompts-mine.csv"
    assert not place.startswith(str(folder))
    assert agenda(read_plan(folder / "plan.toml"), folder / "runs", resume=True).executions == ()
    (folder / "mine.csv").write_text("text\nwrite a poem\n")  # another text, another result
    assert len(agenda(read_plan(folder / "plan.toml"), folder / "runs", resume=True).executions) == 1


def test_a_folder_that_another_machine_has_not_is_refused_before_anything_is_sent(folder, tiny_folder):
    write(folder / "books" / "01_first.ipynb", parameters=PARAMETERS + "\nbase_model = ''")
    cell = Execution(folder / "books" / "01_first.ipynb", "smollm2-135m", "quick", {"base_model": str(tiny_folder)})
    assert cell.own_paths == {"base_model": tiny_folder.resolve()}
    there = cell.own_paths["base_model"]
    named, ours = {there: "base_model=it"}, _revisions([there])
    assert ours[there]
    refuse_other(named, ours, dict(ours), "10.0.0.2")
    for theirs, said in (("", "10.0.0.2 has nothing there"), ("0f", "10.0.0.2 has another one there")):
        with pytest.raises(wb.WorkbenchError, match=f"base_model=it is on this machine, and {said}; nothing was sent"):
            refuse_other(named, ours, {there: theirs}, "10.0.0.2")


@pytest.mark.slow
def test_notebooks_on_ray_leave_what_they_would_leave_here(folder, cluster):
    keep = "(Path(out).parents[2] / 'store').mkdir(exist_ok=True)\n(Path(out).parents[2] / 'store' / 'part').touch()"
    (folder / "books" / "P1.toml").write_text("")
    write(folder / "books" / "01_first.ipynb", MARK, keep, "open('P1.toml')")
    write(folder / "books" / "02_second.ipynb", "1 / 0")
    todo = agenda(read_plan(folder / "plan.toml"), folder / "runs")
    records = run(todo, on="ray")
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
