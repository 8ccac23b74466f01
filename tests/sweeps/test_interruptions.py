"""Nothing is lost, torn or counted twice: sweeps that are killed, that write one store together, or that find no room."""

import os
import subprocess
import sys
from pathlib import Path

import pytest

import workbench as wb
from tests.families import PROMPTS, tiny_model
from tests.generation.test_applied import direction
from workbench.models.prompts import as_prompts

#: Forks a process that sweeps and is killed, again and again; forking is what makes twenty deaths cheap.
KILLED = """
import os, random, signal, sys, time
import torch
import workbench as wb
from tests.sweeps.test_interruptions import HOW, rows_of
from workbench.sweeps.rows import generate_missing

torch.set_num_threads(1)
model, rows, expected = rows_of(reference=True)
store, dice = wb.store.open(sys.argv[1]), random.Random(0)
held, kills = set(), 0
started = time.monotonic()
generate_missing(model, rows[:24], wb.store.open(sys.argv[1] + "-pace"), HOW, batch_size=8, flush_seconds=0)
pace = (time.monotonic() - started) / 24
while kills < 20:
    child = os.fork()
    if child == 0:
        generate_missing(model, rows, store, HOW, batch_size=8, flush_seconds=0)
        os._exit(0)
    time.sleep(dice.uniform(0, 24 * pace))
    os.kill(child, signal.SIGKILL)
    kills += os.waitpid(child, 0)[1] == signal.SIGKILL
    frame = store.frame()
    now = set(frame["key"])
    assert held <= now and len(frame) == len(now), "a row was lost or counted twice"
    assert all(expected[key] == text for key, text in zip(frame["key"], frame["text"])), "a row was torn"
    if len(now) == len(expected):  # finished before the twentieth death: begin again
        for part in store.folder.glob("*.parquet"):
            part.unlink()
        now = set()
    held = now
generate_missing(model, rows, store, HOW, batch_size=8)
assert dict(zip(store.frame()["key"], store.frame()["text"])) == expected
print("killed", kills)
"""

TOGETHER = """
import os, sys
import torch
import workbench as wb
from tests.sweeps.test_interruptions import HOW, rows_of
from workbench.sweeps.rows import generate_missing

torch.set_num_threads(1)
model, rows, expected = rows_of(reference=True)
store = wb.store.open(sys.argv[1])
children = []
for turn in (1, -1):
    children.append(os.fork())
    if children[-1] == 0:
        generate_missing(model, rows[::turn], store, HOW, batch_size=8, flush_seconds=0)
        os._exit(0)
assert [os.waitpid(child, 0)[1] for child in children] == [0, 0]
frame = store.frame()
assert len(frame) == len(expected) and dict(zip(frame["key"], frame["text"])) == expected
print("parts", len(list(store.folder.glob("part-*"))))
"""

#: Leaves a process little memory beyond what it has, so that large batches cannot be had.
SCARCE = """
import resource
import torch
import workbench as wb
from tests.families import tiny_model
from tests.sweeps.test_interruptions import LONG, steers

torch.set_num_threads(1)
model = tiny_model("llama")
few = wb.generate(model, LONG, steers(model), max_new_tokens=3, batch_size=8, progress=False)
pages = int(open("/proc/self/statm").read().split()[0])
resource.setrlimit(resource.RLIMIT_AS, (pages * resource.getpagesize() + (48 << 20),) * 2)
many = wb.generate(model, LONG, steers(model), max_new_tokens=3, batch_size=len(LONG), progress=False)
agree = sum(a == b for a, b in zip(few.token_ids, many.token_ids))
print("rows", len(many), "agree", agree)
"""

HOW = wb.Decoding(10)
LONG = [" ".join([prompt] * 12) for prompt in PROMPTS] * 40


def steers(model):
    return [wb.add(direction(model, wb.resid_post(1)), 0.1 * (i % 5)) for i in range(len(LONG))]


def rows_of(reference=False):
    """A tiny model, the rows of a sweep of it, and (text by key) what they come to."""
    model = tiny_model("llama", "float64")
    ds = [direction(model, wb.resid_post(layer)) for layer in range(3)]
    arms = [wb.Arm(wb.add(d, coef), "direction", d.site.layer, coef) for d in ds for coef in (-0.6, -0.2, 0.3, 0.7)]
    rows = wb.sweep_rows(model, {"all": as_prompts(PROMPTS)}, arms, HOW)
    if not reference:
        return model, rows
    done = wb.generate(model, [r.prompt for r in rows], [r.arm.steer for r in rows], max_new_tokens=10, progress=False)
    return model, rows, dict(zip([row.key for row in rows], done.text, strict=True))


def run(script, *arguments):
    environment = os.environ | {"OMP_NUM_THREADS": "1", "PYTHONPATH": str(Path(__file__).parents[2])}
    return subprocess.run(
        [sys.executable, "-c", script, *map(str, arguments)], env=environment, capture_output=True, text=True
    )


#: A forked process dies while it holds the locks of progress bars; the one that forked it must still open a bar.
HELD = """
import os, signal
from tqdm.auto import tqdm
from workbench._errors import Bar

with tqdm(total=1), Bar(total=1):  # both locks exist before the fork
    pass
ready, tell = os.pipe()
child = os.fork()
if child == 0:
    tqdm.get_lock().acquire()
    Bar.get_lock().acquire()
    os.write(tell, b".")
    signal.pause()
os.read(ready, 1)
os.kill(child, signal.SIGKILL)
os.waitpid(child, 0)
signal.alarm(60)  # a lock that was lost would be waited for without end
with Bar(total=1, desc="after") as bar:
    bar.update()
Bar.get_lock().acquire()
if os.fork() == 0:  # held by the thread that forks, so by nobody in the new process
    signal.alarm(60)
    with Bar(total=1):
        os._exit(0)
assert os.wait()[1] == 0
print("open")
"""


def test_a_killed_process_takes_no_lock_of_a_bar_with_it():
    done = run(HELD)
    assert (done.returncode, done.stdout.split()) == (0, ["open"]), done.stderr[-2000:]


def test_twenty_deaths_lose_and_double_nothing(tmp_path):
    done = run(KILLED, tmp_path / "store")
    assert done.returncode == 0, done.stderr[-2000:]
    assert done.stdout.split() == ["killed", "20"]


def test_two_processes_write_one_store(tmp_path):
    done = run(TOGETHER, tmp_path / "store")
    assert done.returncode == 0, done.stderr[-2000:]
    assert int(done.stdout.split()[1]) > 9


@pytest.mark.skipif(sys.platform != "linux", reason="limits the address space, which only Linux enforces")
def test_running_out_of_memory_halves_the_batch_and_changes_nothing():
    done = run(SCARCE)
    assert done.returncode == 0, done.stderr[-2000:]
    assert "out of memory with 240 rows; going on with 120" in done.stderr
    _, rows, _, agree = done.stdout.split()
    assert (int(rows), int(agree)) == (240, 240)


FULL = """
import resource, signal, sys
import workbench as wb
from tests.generation.test_store import rows

store = wb.store.open(sys.argv[1])
store.append(rows("a", "b"))
if len(sys.argv) > 2:  # no file system of its own: a limit on the size of files, which the kernel enforces alike
    signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
    resource.setrlimit(resource.RLIMIT_FSIZE, (1000, 1000))
try:
    store.append(rows(*map(str, range(100_000))))
except wb.WorkbenchError as error:
    print(error)
assert store.keys() == {"a", "b"} and len(store.frame()) == 2
assert not list(store.folder.glob(".part*")), "a draft was left"
"""


def test_no_room_is_one_clear_error_and_leaves_the_store_readable(tmp_path):
    done = run(FULL, tmp_path, "limited")
    assert done.returncode == 0, done.stderr[-2000:]
    assert "100000 rows could not be written to the store" in done.stdout


@pytest.mark.skipif(os.geteuid() != 0, reason="mounts a small file system, which only root may")
def test_a_full_disk_is_one_clear_error_and_leaves_the_store_readable(tmp_path):
    mounted = subprocess.run(["mount", "-t", "tmpfs", "-o", "size=200k", "none", str(tmp_path)], capture_output=True)
    if mounted.returncode:
        pytest.skip("no right to mount here")
    try:
        done = run(FULL, tmp_path)
        assert done.returncode == 0, done.stderr[-2000:]
        assert "No space left on device" in done.stdout
    finally:
        subprocess.run(["umount", str(tmp_path)], check=True)
