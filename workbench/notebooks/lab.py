"""A notebook that is ready to explore a model in: what ``workbench explore`` opens."""

import json
import os
import sys
import uuid
from pathlib import Path
from typing import NoReturn
from urllib.parse import quote

from workbench._errors import WorkbenchError
from workbench._files import whole
from workbench.models.registry import label, located, resolve

#: the server prints its address, and what goes wrong
_QUIET = ("--log-level=ERROR", "--LabApp.log_level=ERROR")
#: Settings of Jupyter for this server alone. Its page asks nobody for updates, and the reader no question about news.
_SETTINGS = Path(__file__).parent / "jupyter"
#: The layout that JupyterLab begins with here: the notebook has the whole width, on a phone too. What the reader changes stays.
_LAYOUT = {
    "data": {"layout-restorer:data": {"left": {"collapsed": True, "visible": True}, "relativeSizes": [0, 1, 0]}},
    "metadata": {"id": "default"},
}
#: bytes that the path of a Unix socket may have on every system
_ROOM = 103
_CELLS = (
    (
        "markdown",
        "# Explore `{model}`\n\n"
        "Choose *Run > Run All Cells*. The first run takes about a minute on a laptop: it loads the model, downloads it first if "
        "it is not on this machine, and extracts one direction per layer. "
        "Then type a prompt, move a slider, or click a token of an answer. "
        "The last box holds the code of what you see.",
    ),
    (
        "code",
        "import workbench as wb\n\nmodel = wb.load({model!r})\npairs = wb.pairs({pairs!r})\n"
        "ds = wb.extract(model, pairs.train, at=wb.resid_post.all)  # one direction per layer",
    ),
    (
        "code",
        "# to try several directions, pass them by name, e.g.\n"
        '# more = wb.extract(model, wb.pairs("optimism").train, at=wb.resid_post.all)\n'
        '# wb.explore(model, {{"refusal": ds, "optimism": more}})\n'
        "wb.explore(model, ds)",
    ),
)


def ready_notebook(model: str, pairs: str = "refusal", folder: str | Path = "runs/explore") -> Path:
    """Write the notebook in which a model is explored. One that is there is kept as it is.

    Args:
        model: a registry name, a hub id or a local folder.
        pairs: a contrast set.
        folder: where the notebook goes.

    Returns:
        The path of the notebook.

    Raises:
        WorkbenchError: no such model or contrast set.

    >>> ready_notebook("smollm2-refusal", folder=folder).name
    'explore_smollm2-refusal_refusal.ipynb'
    """
    import nbformat
    from nbformat.v4 import new_code_cell, new_markdown_cell, new_notebook

    from workbench.models.folder import check_folder
    from workbench.models.prompt_files import pairs as contrast_set

    place = resolve(model)
    if isinstance(place, Path) and (place / "config.json").is_file():
        check_folder(place)
    contrast_set(pairs)
    path = Path(folder) / f"explore_{label(model)}_{Path(pairs).stem}.ipynb"
    if path.exists():
        return path
    said = {"model": located(model), "pairs": str(Path(pairs).resolve()) if Path(pairs).is_file() else pairs}
    make = {"code": new_code_cell, "markdown": new_markdown_cell}
    kernel = {"kernelspec": {"name": "python3", "display_name": "Python 3", "language": "python"}}
    notebook = new_notebook(cells=[make[kind](source.format(**said)) for kind, source in _CELLS], metadata=kernel)
    with whole(path) as draft:
        nbformat.write(notebook, draft)
    return path


def _sockets() -> list[str]:
    """Kernels are reached over Unix sockets, which no other process takes, where the paths that Jupyter gives them are short enough."""
    from jupyter_core.paths import jupyter_runtime_dir

    longest = os.path.join(jupyter_runtime_dir(), f"kernel-{uuid.uuid4()}-ipc-5")
    return ["--KernelManager.transport=ipc"] * (os.name == "posix" and len(os.fsencode(longest)) < _ROOM)


def _layout(folder: Path) -> Path:
    """Where the server of a folder keeps its layout: apart from that of the user's own JupyterLab, which stays as it is."""
    from jupyterlab_server.workspaces_handler import WorkspacesManager

    own = folder.resolve() / ".layout"
    if not own.is_dir():
        WorkspacesManager(str(own)).save("default", json.dumps(_LAYOUT))
    return own


def open_lab(notebook: Path, browser: bool = True) -> NoReturn:
    """Become JupyterLab at a notebook: what stops this process stops it. Its kernel is the Python that runs this.

    Raises WorkbenchError inside a notebook.
    """
    if os.environ.get("JPY_PARENT_PID"):
        raise WorkbenchError(f"this is a notebook already; open {notebook} in it")
    options = ["--no-browser"] * (not browser) + ["--allow-root"] * (os.name == "posix" and os.geteuid() == 0)
    command = [sys.executable, "-m", "jupyterlab", str(notebook), *_QUIET, *_sockets(), *options]
    command.append(f"--LabApp.default_url=/lab/tree/{quote(notebook.name)}")  # the address it prints is the notebook's
    command.append(f"--LabApp.workspaces_dir={_layout(notebook.parent)}")
    places = [str(_SETTINGS), *filter(None, [os.environ.get("JUPYTER_CONFIG_PATH")])]  # beside those of the user
    environment = {**os.environ, "JUPYTER_CONFIG_PATH": os.pathsep.join(places)}
    sys.stdout.flush()
    sys.stderr.flush()
    os.execve(sys.executable, command, environment)
