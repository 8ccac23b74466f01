"""Notebook kernels that start warm: a server has imported torch and the bench once, and each kernel is a fork of it.

Starting Python, torch, transformers, TransformerLens and the bench takes some seven seconds of CPU, and the tests run some
forty notebooks. The kernels are real: papermill starts them under the name ``python3``, and they run ipykernel. Only the
imports are shared.

    python forked_kernel.py serve SOCKET OWNER         imports, then forks a kernel for everybody who asks, while OWNER lives
    python forked_kernel.py start SOCKET OWNER -f …    what Jupyter takes for the kernel: asks, and both end together
"""

import array
import contextlib
import fcntl
import importlib
import json
import os
import signal
import socket
import subprocess
import sys
import threading
import time
from pathlib import Path

#: What notebooks import. None of it starts a thread, so that a fork is whole.
IMPORTS = (
    "torch",
    "transformers",
    "transformers.models.llama.modeling_llama",  # of the model that notebooks run on in tests
    "transformers.models.bert.modeling_bert",  # of the sentence embeddings
    "transformer_lens.model_bridge.supported_architectures",
    "sklearn.linear_model",
    "scipy.stats",
    "statsmodels.stats.power",
    "statsmodels.stats.proportion",
    "pandas",
    "pydantic",
    "pyarrow.parquet",
    "plotly.graph_objects",
    "plotly.subplots",
    "ipykernel.kernelapp",
    "workbench.claims.toml_schema",
    "workbench.figures.rates_by_dose",
)


def install(folder: Path) -> None:
    """Make every ``python3`` kernel that this process and its children start a fork; the server starts with the first."""
    spec = folder / "kernels" / "python3"
    spec.mkdir(parents=True)
    command = [sys.executable, __file__, "start", str(folder / "socket"), str(os.getpid()), "-f", "{connection_file}"]
    (spec / "kernel.json").write_text(
        json.dumps({"argv": command, "display_name": "Python 3", "language": "python", "metadata": {"debugger": True}})
    )
    os.environ["JUPYTER_PATH"] = os.pathsep.join(filter(None, [str(folder), os.environ.get("JUPYTER_PATH")]))


def serve(address: str, owner: int) -> None:
    """Answer each connection with a fork that becomes a kernel."""
    for name in IMPORTS:
        importlib.import_module(name)
    bench = sys.modules["workbench"]
    for name in bench.__all__:
        getattr(bench, name)  # imports its module
    alone = threading.active_count() == 1
    assert alone, f"a fork would lose these threads: {threading.enumerate()}"
    signal.signal(signal.SIGCHLD, signal.SIG_IGN)  # forks that ended leave no zombie
    listener = socket.socket(socket.AF_UNIX, socket.SOCK_SEQPACKET)
    listener.bind(f"{address}.new")
    listener.listen()
    listener.settimeout(5)
    os.rename(f"{address}.new", address)  # it is there when it answers
    while Path(f"/proc/{owner}").exists():
        with contextlib.suppress(TimeoutError):
            asked, _ = listener.accept()
            if os.fork() == 0:
                listener.close()
                become_kernel(asked)
            asked.close()


def become_kernel(asked: socket.socket) -> None:
    """In the fork: take folder, environment and outputs of the asker, and run ipykernel until it or the asker ends."""
    signal.signal(signal.SIGCHLD, signal.SIG_DFL)
    os.setsid()
    asked.settimeout(None)
    message, passed, _, _ = socket.recv_fds(asked, 1 << 20, 2)
    said = json.loads(message)
    for target, handle in enumerate(passed, start=1):
        os.dup2(handle, target)
    os.chdir(said["folder"])
    os.environ.clear()
    os.environ.update(said["environment"])
    sys.path[:] = ["", *said["path"]]
    arguments = [*said["arguments"], f"--IPKernelApp.parent_handle={os.getppid()}"]  # whom it watches: the server
    sys.argv = ["ipykernel_launcher", *arguments]

    def end_with_the_asker() -> None:
        asked.recv(1)
        os._exit(1)

    threading.Thread(target=end_with_the_asker, daemon=True).start()
    from ipykernel.kernelapp import IPKernelApp

    try:
        IPKernelApp.launch_instance(argv=arguments)
    finally:
        sys.stdout.flush()
        os._exit(0)


def start(address: str, owner: str, arguments: list[str]) -> None:
    """Ask for a kernel, and stay until it ends."""
    asker = socket.socket(socket.AF_UNIX, socket.SOCK_SEQPACKET)
    with open(f"{address}.lock", "w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)  # one server, whoever comes first
        if not Path(address).exists():
            command = [
                sys.executable,
                "-P",
                __file__,
                "serve",
                address,
                owner,
            ]  # else tests/statistics hides Python's own
            server = subprocess.Popen(command, start_new_session=True)
            while not Path(address).exists():
                assert server.poll() is None, "the server of warm kernels ended"
                time.sleep(0.1)
    asker.connect(address)
    said = {"folder": os.getcwd(), "environment": dict(os.environ), "path": sys.path[1:], "arguments": arguments}
    outputs = array.array("i", [1, 2])
    asker.sendmsg([json.dumps(said).encode()], [(socket.SOL_SOCKET, socket.SCM_RIGHTS, outputs)])
    with contextlib.suppress(KeyboardInterrupt):
        asker.recv(1)  # nothing is ever sent: this ends with the kernel


if __name__ == "__main__":
    what, address, owner, *arguments = sys.argv[1:]
    if what == "serve":
        serve(address, int(owner))
    else:
        start(address, owner, arguments)
