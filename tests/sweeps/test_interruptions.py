"""Nothing is lost, torn or counted twice: sweeps that are killed, that write one store together, or that find no room."""

import logging
import os
import random
import resource
import signal
import subprocess
import sys
from pathlib import Path

import pytest
import torch
from tqdm.auto import tqdm

import workbench as wb
from tests.families import PROMPTS, tiny_model
from tests.forks import alone, fork
from tests.generation.test_steer_hooks import direction
from tests.generation.test_store import rows as stored_rows
from workbench._errors.progress import Bar
from workbench.models.prompts import as_prompts
from workbench.sweeps.rows import Decoding, generate_missing, sweep_rows

pytestmark = pytest.mark.xdist_group("forks")  # their server starts once

HOW = Decoding(10)
LONG = [" ".join([prompt] * 12) for prompt in PROMPTS] * 40


def steers(model):
    return [wb.add(direction(model, wb.resid_post(1)), 0.1 * (i % 5)) for i in range(len(LONG))]


def rows_and_texts():
    """A tiny model, the rows of a sweep of it, and (text by key) what they come to."""
    model = tiny_model("llama", "float64")
    ds = [direction(model, wb.resid_post(layer)) for layer in range(3)]
    arms = [wb.Arm(wb.add(d, coef), "direction", d.site.layer, coef) for d in ds for coef in (-0.6, -0.2, 0.3, 0.7)]
    rows = sweep_rows(model, {"all": as_prompts(PROMPTS)}, arms, HOW)
    done = wb.generate(model, [r.prompt for r in rows], [r.arm.steer for r in rows], max_new_tokens=10, progress=False)
    return model, rows, dict(zip([row.key for row in rows], done.text, strict=True))


def count_calls(action, die_at=None):
    """How many functions a process calls while it does something; it is killed at one of them, if that is given.

    A call is a moment that does not depend on how fast the machine is; among them are those that write, sync and rename.
    """
    calls = 0

    def profile(frame, event, argument):
        nonlocal calls
        calls += event in ("call", "c_call")
        if calls == die_at:
            os.kill(os.getpid(), signal.SIGKILL)

    sys.setprofile(profile)
    try:
        action()
    finally:
        sys.setprofile(None)
    return calls


def die_thirty_times(folder):
    model, rows, expected = rows_and_texts()
    store, dice = wb.store.open(folder / "store"), random.Random(0)

    def finish(into):
        generate_missing(model, rows, into, HOW, batch_size=8, flush_seconds=0)

    calls = count_calls(lambda: finish(wb.store.open(folder / "whole")))
    held, kills, interrupted = set(), 0, 0
    for _ in range(150):  # thirty deaths and as many ends as come between them; most draws are a death
        die_at = dice.randrange(1, calls // 2)
        child = fork(lambda at=die_at: count_calls(lambda: finish(store), at))
        status = os.waitpid(child, 0)[1]
        assert status in (0, signal.SIGKILL), "a process failed by itself"
        kills += status == signal.SIGKILL
        frame = store.frame(show_text=True)
        keys = set(frame["key"])
        assert held <= keys, "a row was lost"
        assert len(frame) == len(keys), "a row was counted twice"
        assert all(expected[key] == text for key, text in zip(frame["key"], frame["text"], strict=True)), (
            "a row was torn"
        )
        interrupted += status == signal.SIGKILL and 0 < len(keys) < len(expected)
        if kills == 30:
            break
        if len(keys) == len(expected):  # finished before the thirtieth death: begin again
            for part in store.folder.glob("*.parquet"):
                part.unlink()
            keys = set()
        held = keys
    finish(store)
    frame = store.frame(show_text=True)
    assert dict(zip(frame["key"], frame["text"], strict=True)) == expected
    return kills, interrupted


def write_together(folder):
    model, rows, expected = rows_and_texts()
    store = wb.store.open(folder)
    children = [
        fork(lambda part=rows[::turn]: generate_missing(model, part, store, HOW, batch_size=8, flush_seconds=0))
        for turn in (1, -1, 1)
    ]
    assert [os.waitpid(child, 0)[1] for child in children] == [0, 0, 0]
    frame = store.frame(show_text=True)
    assert len(frame) == len(expected)
    assert dict(zip(frame["key"], frame["text"], strict=True)) == expected
    return len(list(store.folder.glob("part-*")))


def run_out_of_memory():
    """A process with little memory beyond what it has, so that large batches cannot be had; what it said, and the rows."""
    said = []
    handler = logging.Handler()
    handler.emit = lambda record: said.append(record.getMessage())
    logging.getLogger("workbench").addHandler(handler)
    model = tiny_model("llama")
    few = wb.generate(model, LONG, steers(model), max_new_tokens=3, batch_size=8, progress=False)
    limits, many = resource.getrlimit(resource.RLIMIT_AS), few
    for room in (12, 6, 3, 1):  # MiB; memory that was freed before and kept may serve the batch where there is more
        pages = int(Path("/proc/self/statm").read_text().split()[0])
        resource.setrlimit(resource.RLIMIT_AS, (pages * resource.getpagesize() + (room << 20), limits[1]))
        many = wb.generate(model, LONG, steers(model), max_new_tokens=3, batch_size=len(LONG), progress=False)
        resource.setrlimit(resource.RLIMIT_AS, limits)
        if said or many.token_ids != few.token_ids:
            break
    return said, few.token_ids == many.token_ids, len(many)


def die_with_locks():
    """A forked process dies while it holds the locks of progress bars; the one that forked it must still open a bar."""
    with tqdm(total=1), Bar(total=1):  # both locks exist before the fork
        pass
    ready, tell = os.pipe()

    def hold():
        tqdm.get_lock().acquire()
        Bar.get_lock().acquire()
        os.write(tell, b".")
        signal.pause()

    child = fork(hold)
    os.read(ready, 1)
    os.kill(child, signal.SIGKILL)
    os.waitpid(child, 0)
    signal.alarm(300)  # a lock that was lost would be waited for without end
    with Bar(total=1, desc="after") as bar:
        bar.update()

    def open_bar():
        signal.alarm(300)
        with Bar(total=1):
            pass

    with Bar.get_lock():  # held by the thread that forks, so by nobody in the new process
        status = os.waitpid(fork(open_bar), 0)[1]
    signal.alarm(0)
    return status


def fill_disk(folder, limited):
    store = wb.store.open(folder)
    store.append(stored_rows("a", "b"))
    if limited:  # no file system of its own: a limit on the size of files, which the kernel enforces alike
        signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
        resource.setrlimit(resource.RLIMIT_FSIZE, (1000, resource.RLIM_INFINITY))
    with pytest.raises(wb.WorkbenchError) as raised:
        store.append(stored_rows(*map(str, range(100_000))))
    assert store.keys() == {"a", "b"}
    assert len(store.frame()) == 2
    assert not list(store.folder.glob(".part*")), "a draft was left"
    return str(raised.value)


def fill_disk_under_steers(folder):
    """Every writer of directions and Steers, over an old file, where a file may hold only a thousand bytes."""
    d = wb.Direction(torch.ones(2000), wb.resid_post(1), "tiny")
    old, new = wb.add(d, 1), wb.add(-d, 2)
    writers = {
        "s.json": (old.save, new.save),
        "s.safetensors": (old.save, new.save),
        "d.safetensors": (d.save, (-d).save),
        "ds.safetensors": (wb.Directions((d,)).save, wb.Directions((-d,)).save),
        "d.gguf": (d.to_gguf, (-d).to_gguf),
    }
    for name, (first, _) in writers.items():
        first(folder / name)
    before = {name: (folder / name).read_bytes() for name in writers}
    signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
    resource.setrlimit(resource.RLIMIT_FSIZE, (1000, resource.RLIM_INFINITY))
    for name, (_, second) in writers.items():
        with pytest.raises(wb.WorkbenchError, match="cannot be written"):
            second(folder / name)
    assert {path.name: path.read_bytes() for path in folder.iterdir()} == before, (
        "an old file was touched, or a draft left"
    )
    return len(before)


def test_a_full_disk_leaves_the_old_steers_and_directions_as_they_were(tmp_path):
    assert alone(fill_disk_under_steers, tmp_path) == 5


def test_a_killed_process_takes_no_lock_of_a_bar_with_it():
    assert alone(die_with_locks) == 0


def test_thirty_deaths_lose_and_double_nothing(tmp_path):
    kills, interrupted = alone(die_thirty_times, tmp_path)
    assert kills == 30
    assert interrupted > 5  # they died in the middle of a sweep, not before its first row


def test_three_processes_write_one_store(tmp_path):
    assert alone(write_together, tmp_path / "store") > 9


@pytest.mark.skipif(sys.platform != "linux", reason="limits the address space, which only Linux enforces")
def test_running_out_of_memory_halves_the_batch_and_changes_nothing():
    said, equal, rows = alone(run_out_of_memory)
    assert "out of memory with 240 rows; going on with 120" in said
    assert (equal, rows) == (True, 240)


def test_no_room_is_one_clear_error_and_leaves_the_store_readable(tmp_path):
    assert "100000 rows could not be written to the store" in alone(fill_disk, tmp_path, True)


@pytest.mark.skipif(os.geteuid() != 0, reason="mounts a small file system, which only root may")
def test_a_full_disk_is_one_clear_error_and_leaves_the_store_readable(tmp_path):
    mounted = subprocess.run(["mount", "-t", "tmpfs", "-o", "size=200k", "none", str(tmp_path)], capture_output=True)
    if mounted.returncode:
        pytest.skip("no right to mount here")
    try:
        assert "No space left on device" in alone(fill_disk, tmp_path, False)
    finally:
        subprocess.run(["umount", str(tmp_path)], check=True)
