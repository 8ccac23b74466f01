"""A notebook's kernel is reached over sockets in a folder of its own, which goes with it however it ends."""

import contextlib
import fcntl
import json
import os
import signal
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import nbformat
import pytest
import zmq
from jupyter_client.channels import HBChannel
from nbclient import NotebookClient
from nbclient.exceptions import CellTimeoutError

from tests.books import write
from workbench.notebooks import kernel_sockets
from workbench.notebooks.execute import NotebookFailed, _WrittenWhole, execute
from workbench.notebooks.kernel_sockets import kernel_settings

#: what a kernel says of how it is reached, and which TCP ports it listens on beside the one for what its own children print
SAID = """\
import json, psutil
from pathlib import Path
from ipykernel.connect import get_connection_info
said = get_connection_info(unpack=True)
said["key"] = ""
said["sockets"] = sorted(path.name for path in Path(said["ip"]).parent.iterdir())
listening = {c.laddr.port for c in psutil.Process().net_connections("tcp") if c.status == "LISTEN"}
said["ports"] = sorted(listening - {get_ipython().kernel.iopub_thread._pipe_port})
Path(out, "said.json").write_text(json.dumps(said))"""


@pytest.fixture
def temporary(monkeypatch, tmp_path):
    """Make a folder the one for temporary files."""

    def take(folder):
        folder.mkdir(parents=True)
        monkeypatch.setenv("TMPDIR", str(folder))
        monkeypatch.setattr(tempfile, "tempdir", None)
        return folder

    yield take
    tempfile.tempdir = None


@pytest.fixture
def short():
    """A folder with room for the path of a socket in it."""
    with tempfile.TemporaryDirectory(dir="/tmp", ignore_cleanup_errors=True) as folder:
        yield Path(folder)


@pytest.fixture
def own_kernel(monkeypatch):
    """No fork: Python starts, and takes signals itself."""
    monkeypatch.delenv("JUPYTER_PATH")


@pytest.mark.parametrize("name", ["plain", "with a space", "ünïcode", "l" * 120])
def test_a_kernel_is_reached_over_sockets_wherever_temporary_files_lie(tmp_path, short, temporary, name):
    place = temporary(short / name)
    path = write(tmp_path / "01_a.ipynb", SAID)
    done = execute(path, "m", "smoke", {}, tmp_path / "runs", progress=False)
    said = json.loads((done.results / "said.json").read_text())
    assert said["transport"] == "ipc"
    assert said["ports"] == []
    assert said["sockets"] == ["k-ipc-1", "k-ipc-2", "k-ipc-3", "k-ipc-4", "k-ipc-5", "k.json", "lock"]
    folder = Path(said["ip"]).parent
    assert folder.parent == (place if len(name) < 100 else Path("/tmp"))
    assert not folder.exists()


@pytest.mark.parametrize(
    ("cell", "error"),
    [
        ("import os, signal\nos.kill(os.getpid(), signal.SIGKILL)", "its kernel died"),
        ("import os, signal\nos.kill(os.getpid(), signal.SIGINT)", "KeyboardInterrupt"),
        ("raise RuntimeError('of the cell')", "RuntimeError: of the cell"),
    ],
    ids=["killed", "interrupted", "failed"],
)
def test_no_folder_is_left_of_a_kernel_that_was_killed_or_interrupted(
    tmp_path, short, temporary, own_kernel, cell, error
):
    place = temporary(short / "tmp")
    path = write(tmp_path / "01_a.ipynb", cell)
    with pytest.raises(NotebookFailed) as failed:
        execute(path, "m", "smoke", {}, tmp_path / "runs", progress=False)
    assert error in failed.value.error
    assert list(place.iterdir()) == []


def test_a_kernel_that_does_not_start_is_an_error_in_one_line_and_leaves_no_folder(
    tmp_path, short, temporary, monkeypatch
):
    place = temporary(short / "tmp")
    spec = tmp_path / "kernels" / "python3"
    spec.mkdir(parents=True)
    command = [sys.executable, "-c", "raise SystemExit(3)", "{connection_file}"]
    (spec / "kernel.json").write_text(json.dumps({"argv": command, "display_name": "x", "language": "python"}))
    monkeypatch.setenv("JUPYTER_PATH", str(tmp_path))
    path = write(tmp_path / "01_a.ipynb", "1")
    with pytest.raises(NotebookFailed, match=r"its kernel did not start \(Kernel died before replying") as failed:
        execute(path, "m", "smoke", {}, tmp_path / "runs", progress=False)
    assert "\n" not in str(failed.value)
    assert list(place.iterdir()) == []


def test_an_error_between_cells_is_not_called_a_kernel_that_did_not_start(tmp_path, monkeypatch):
    written = _WrittenWhole.write

    def write_once(self, content, path):
        if json.loads(content)["cells"][-1].get("execution_count"):
            raise RuntimeError("can't start new thread")
        written(self, content, path)

    monkeypatch.setattr(_WrittenWhole, "write", write_once)
    path = write(tmp_path / "01_a.ipynb", "1")
    with pytest.raises(NotebookFailed) as failed:
        execute(path, "m", "smoke", {}, tmp_path / "runs", progress=False)
    assert failed.value.error == "RuntimeError: can't start new thread"
    assert "did not start" not in str(failed.value)


@pytest.mark.parametrize("interrupt", [True, False])
def test_a_cell_that_takes_too_long_is_interrupted_or_ends_its_kernel(short, temporary, own_kernel, interrupt):
    place = temporary(short / "tmp")
    cells = [nbformat.v4.new_code_cell(source) for source in ("import time\ntime.sleep(600)", "print('next')")]
    book = nbformat.v4.new_notebook(cells=cells)
    with kernel_settings() as settings:
        client = NotebookClient(book, timeout=2, interrupt_on_timeout=interrupt, allow_errors=True, config=settings)
        with contextlib.nullcontext() if interrupt else pytest.raises(CellTimeoutError):
            client.execute()
    if interrupt:
        assert [cell.outputs[0].get("ename") or cell.outputs[0]["text"] for cell in book.cells] == [
            "KeyboardInterrupt",
            "next\n",
        ]
    assert list(place.iterdir()) == []


@pytest.mark.timeout(120)
def test_without_sockets_a_taken_port_of_the_heart_holds_nobody_up(tmp_path, monkeypatch, own_kernel):
    """Over TCP another process can take the port before the kernel does. The kernel lives on without a heart.

    A client that listens to the heart of that other process stands still where it is slow between connecting and asking.
    """
    monkeypatch.setattr(kernel_sockets, "_socket_folder", lambda _: None)  # as on Windows
    taker = zmq.Context.instance().socket(zmq.XPUB)  # as that for the outputs of another kernel
    port = taker.bind_to_random_port("tcp://127.0.0.1")

    @contextlib.contextmanager
    def taken():
        with kernel_settings() as settings:
            settings.KernelManager.hb_port, settings.KernelManager.cache_ports = port, False
            yield settings

    connect = HBChannel._create_socket
    monkeypatch.setattr(HBChannel, "_create_socket", lambda channel: (connect(channel), time.sleep(0.5)))
    monkeypatch.setattr(kernel_sockets, "kernel_settings", taken)
    path = write(tmp_path / "01_a.ipynb", SAID, "import time\ntime.sleep(3)")  # the heart is asked every second
    done = execute(path, "m", "smoke", {}, tmp_path / "runs", progress=False)
    taker.close()
    said = json.loads((done.results / "said.json").read_text())
    assert (said["transport"], said["hb_port"]) == ("tcp", port)
    assert len(said["ports"]) == 4  # all but the heart's


def test_the_folder_of_a_process_that_was_killed_is_removed_by_the_next(short, temporary):
    place = temporary(short / "tmp")
    code = "import time\nfrom workbench.notebooks.kernel_sockets import *\n"
    code += "with kernel_settings():\n print('ready', flush=True)\n time.sleep(600)"
    owner = subprocess.Popen([sys.executable, "-c", code], stdout=subprocess.PIPE)
    owner.stdout.readline()
    (folder,) = place.iterdir()
    long_ago = time.time() - 600
    os.utime(folder / "lock", (long_ago, long_ago))
    with kernel_settings():
        assert folder.exists()  # its owner lives
    owner.kill()
    owner.wait()
    os.utime(folder / "lock")
    with kernel_settings():
        assert folder.exists()  # it may be new
    os.utime(folder / "lock", (long_ago, long_ago))
    with kernel_settings():
        assert not folder.exists()
        (own,) = place.iterdir()
        with (own / "lock").open() as lock, pytest.raises(BlockingIOError):
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
    assert list(place.iterdir()) == []


def test_ctrl_c_leaves_no_folder(tmp_path, short, temporary, own_kernel):
    place = temporary(short / "tmp")
    path = write(
        tmp_path / "01_a.ipynb", "from pathlib import Path\nPath(out, 'begun').touch()\nimport time\ntime.sleep(600)"
    )
    code = f"from workbench.notebooks.execute import execute\nexecute({str(path)!r}, 'm', 'smoke', {{}}, {str(tmp_path / 'runs')!r})"
    runner = subprocess.Popen([sys.executable, "-c", code], stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    while not list(tmp_path.rglob("begun")):
        assert runner.poll() is None
        time.sleep(0.1)
    assert len(list(place.iterdir())) == 1
    runner.send_signal(signal.SIGINT)
    assert runner.wait(60) != 0
    assert list(place.iterdir()) == []
