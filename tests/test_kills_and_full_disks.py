"""Nothing is lost, doubled, torn or locked out by a kill, by several writers at once, or by a full disk, whatever command writes.

Thirty kills of a sweep are in ``tests/sweeps/test_interruptions.py``; with the seventy here they are a hundred.
"""

import json
import os
import random
import resource
import signal
import sys

import pytest

import workbench as wb
from tests.books import write
from tests.forks import alone, fork
from tests.planted_rows import planted_rows
from workbench._files import whole
from workbench.cli import main
from workbench.notebooks.batch.journal import Ended, Journal

pytestmark = pytest.mark.xdist_group("forks")  # their server starts once

#: what a process asks the system for when it writes
WRITES = {"open", "os.rename", "os.remove", "os.mkdir", "os.rmdir", "os.listdir", "shutil.rmtree", "shutil.copyfile"}


def ended(child):
    return os.waitpid(child, 0)[1]


def count_writes(action, die_at=None):
    """How often a process turns to the file system while it does something; it is killed at one of these, if that is given."""
    writes, on = 0, True

    def hook(event, arguments):
        nonlocal writes
        if on and event in WRITES:
            writes += 1
            if writes == die_at:
                os.kill(os.getpid(), signal.SIGKILL)

    sys.addaudithook(hook)
    action()
    on = False
    return writes


def kills_of(action, check, times):
    """Kill a process at ``times`` random moments of what it does, and check after each; then let it end."""
    reading, writing = os.pipe()
    assert ended(fork(lambda: os.write(writing, str(count_writes(action)).encode()))) == 0
    most, dice = int(os.read(reading, 20)), random.Random(0)
    check(True)
    kills = 0
    for _ in range(3 * times):
        status = ended(fork(lambda: count_writes(action, dice.randrange(1, most + 1))))
        assert status in (0, signal.SIGKILL), "a process failed by itself"
        kills += status == signal.SIGKILL
        check(status == 0)
        dice.random()
        if kills == times:
            break
    assert ended(fork(action)) == 0, "a kill locked the next one out"
    check(True)
    return kills


def kill_recording(folder):
    rows = planted_rows(40, gained=0.5)
    wb.ledger.record("S3.2", rows, path=folder)  # imports once what every process would import again
    seen = [entry.id for entry in wb.ledger.open(folder).entries()]

    def check(ended_well):
        entries = wb.ledger.open(folder).entries()
        ids = [entry.id for entry in entries]
        assert len(set(ids)) == len(ids)
        assert set(seen) <= set(ids), "a verdict was lost"
        assert len(ids) - len(seen) in ((1,) if ended_well else (0, 1))
        seen[:] = ids

    kills = kills_of(lambda: wb.ledger.record("S3.2", rows, path=folder), check, 25)
    assert wb.ledger.open(folder).recheck()["agrees"].all()
    return kills


def kill_batches(folder):
    """What a batch does with its folder: it holds it, and writes down every end as it comes."""
    journal, told, before = Journal(folder), folder / "told", [0]

    def one(number):
        return Ended(f"m/quick/{number}", "key", "2026-01-01T00:00:00+00:00", 1.0, "", -1, "a.ipynb", "a.log")

    def run():
        with journal.held(), open(told, "ab", buffering=0) as telling:
            for _ in range(4):
                journal.add(one(len(journal.records())))
                telling.write(b".")

    def check(ended_well):
        names = [record.name for record in journal.records()]
        assert len(names) >= (told.stat().st_size if told.exists() else 0), "an end was lost"
        assert names == [one(i).name for i in range(len(names))], "an end was torn or doubled"
        assert not ended_well or len(names) == before[0] + 4
        before[0] = len(names)

    return kills_of(run, check, 35)


def kill_reports(folder):
    runs, site = folder / "runs", folder / "runs" / "report"
    wb.ledger.record("S3.2", planted_rows(40, gained=0.5), path=runs / "ledger")
    wb.report.build(runs)

    def check(ended_well):
        """A whole report or none, the old or the new; only a process that was killed leaves something beside it."""
        whole = site.is_dir()
        beside = [path for path in runs.iterdir() if path.name.startswith(".report")]
        if whole:
            marker = json.loads((site / ".workbench-report").read_text())
            assert (site / "index.html").read_text().rstrip().endswith("</html>")
            assert all((site / name).is_file() for name in marker["files"])
        assert whole or any(".old-" in path.name for path in beside), "the report was lost"
        assert len(beside) <= (0 if ended_well else 2)

    return kills_of(lambda: wb.report.build(runs), check, 10)


def three_writers(folder):
    rows = planted_rows(40, gained=0.5)
    wb.ledger.record("S3.2", rows, path=folder.parent / "another")
    writers = [fork(lambda: [wb.ledger.record("S3.2", rows, path=folder) for _ in range(4)]) for _ in range(3)]
    assert [ended(writer) for writer in writers] == [0, 0, 0]
    entries = wb.ledger.open(folder).entries()
    assert len({entry.id for entry in entries}) == 12
    assert wb.ledger.open(folder).recheck()["agrees"].all()
    return len(entries)


def type_in(line, root, limit):
    """Exit code and output of a command line in a forked process, in which a file may hold only so many bytes."""
    reading, writing = os.pipe()

    def run():
        os.chdir(root)
        for number in (1, 2):
            os.dup2(writing, number)
        os.close(writing)
        sys.stdout, sys.stderr = (os.fdopen(number, "w", closefd=False) for number in (1, 2))
        sys.argv = ["workbench", *line]
        signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
        resource.setrlimit(resource.RLIMIT_FSIZE, (limit, resource.RLIM_INFINITY))
        try:
            main()
        except SystemExit as end:
            for stream in (sys.stdout, sys.stderr):
                stream.flush()
            os._exit(int(end.code or 0))

    child = fork(run)
    os.close(writing)
    with open(reading, "rb") as output:
        said = output.read().decode()
    return os.waitstatus_to_exitcode(ended(child)), said


def everything_in(root):
    return {str(p.relative_to(root)): p.read_bytes() for p in root.rglob("*") if p.is_file()}


def fill_disk_under(line, root):
    lay_out(root)
    before = everything_in(root)
    code, said = type_in(line, root, 400)
    assert code == (1 if line[0] == "batch" else 2), (code, said)  # a notebook of a batch failed, or the command
    assert "Traceback" not in said
    assert "file too large" in said.lower(), said
    after = {name: content for name, content in everything_in(root).items() if ".lock" not in name}
    assert {name: after.get(name) for name in before} == before, "an old file was touched"
    strangers = set(after) - set(before)
    assert all(len(after[name]) <= 400 for name in strangers)
    return sorted(strangers)


def lay_out(root):
    """What commands write over."""
    (root / "log.md").write_text("Refusals rise from 80.0% to 88.7% (n = 35, p = 0.04).\n")
    (root / "page.html").write_text('<meta name="generator" content="workbench audit">an old page')
    write(root / "books" / "01_fine.ipynb", "print('done')", parameters="model = ''\nprofile = ''\nout = ''")
    write(root / "runs" / "smollm2-135m" / "smoke" / "01_fine.ipynb", "print('of an earlier run')")
    plan = 'about = "small"\nfolder = "books"\n[[matrix]]\nmodels = ["smollm2-135m"]\nprofile = "smoke"\n'
    (root / "plan.toml").write_text(plan)
    wb.ledger.record("S3.9", not_run="nothing to run", path=root / "ledger")


def test_kills_while_recording_lose_and_double_no_verdict(tmp_path):
    assert alone(kill_recording, tmp_path) == 25


def test_kills_of_a_batch_lose_no_end_and_lock_none_out(tmp_path):
    assert alone(kill_batches, tmp_path) == 35


def test_kills_of_a_report_leave_a_whole_one_and_lock_none_out(tmp_path):
    assert alone(kill_reports, tmp_path) == 10


def test_three_processes_record_in_one_ledger(tmp_path):
    assert alone(three_writers, tmp_path) == 12


@pytest.mark.parametrize(
    "line",
    [
        "report --runs runs",
        "report --runs runs --out elsewhere",
        "audit log.md --html page.html",
        "audit log.md --draft draft.toml",
        "new claim P1 --folder claims",
        "register S3.2 --path ledger",
        "ledger --path ledger --export ledger.zip",
        "run books/01_fine.ipynb --model smollm2-135m --profile smoke",
        "batch plan.toml",
    ],
)
def test_a_full_disk_is_one_line_and_leaves_old_files_as_they_were(tmp_path, line):
    left = alone(fill_disk_under, line.split(), tmp_path)
    assert not [name for name in left if name.startswith(".") and "draft" in name], "a draft was left"


def test_a_file_that_is_written_whole_replaces_a_file_alone(tmp_path):
    os.mkfifo(tmp_path / "pipe")
    (tmp_path / "folder").mkdir()
    for name in ("pipe", "folder"):
        with (
            pytest.raises(FileExistsError, match="no file is written over it") as raised,
            whole(tmp_path / name) as draft,
        ):
            draft.write_text("lost")
        assert raised.value.filename == str(tmp_path / name)
    assert (tmp_path / "pipe").is_fifo()
    (tmp_path / "file").write_text("old")
    (tmp_path / "link").symlink_to("file")
    with whole(tmp_path / "link") as draft:
        draft.write_text("new")
    assert (tmp_path / "link").is_symlink()
    assert (tmp_path / "file").read_text() == "new"
    assert sorted(path.name for path in tmp_path.iterdir()) == ["file", "folder", "link", "pipe"]


def test_what_cannot_be_written_is_named_and_not_its_draft(tmp_path):
    with pytest.raises(OSError, match="File name too long") as raised, whole(tmp_path / ("x" * 300)) as draft:
        draft.write_text("lost")
    assert raised.value.filename == str(tmp_path / ("x" * 300))
