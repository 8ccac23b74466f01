"""Execute notebooks with papermill: parameters checked first, a progress bar, and nothing lost when a cell fails."""

import contextlib
import logging
import textwrap
import time
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path

from workbench._errors import WorkbenchError, unknown
from workbench.models.fetch import quiet
from workbench.models.registry import label, located

PROFILES = ("smoke", "quick", "full")


class NotebookFailed(WorkbenchError):
    """A cell of a notebook raised: its index, and the error in one line."""

    def __init__(self, message: str, cell: int, error: str):
        super().__init__(message)
        self.cell, self.error = cell, error


@dataclass(frozen=True)
class Executed:
    """An executed notebook: where it lies, its folder of results, and how long it took."""

    notebook: Path
    results: Path
    seconds: float


def find(target: str | Path) -> list[Path]:
    """The notebooks meant by a path: one notebook, or the numbered ones of a folder in order.

    Raises:
        WorkbenchError: there is none.

    >>> find("notebooks")[0].name
    '00_start_here.ipynb'
    """
    path = Path(target)
    if path.is_dir():
        notebooks = sorted(path.glob("[0-9][0-9]_*.ipynb"))
        if not notebooks:
            raise WorkbenchError(f"{path} holds no numbered notebooks (expected e.g. 01_sign_inversion.ipynb)")
        return notebooks
    if not path.is_file():
        raise WorkbenchError(f"no notebook {path}; try e.g. notebooks/01_sign_inversion.ipynb")
    if path.suffix != ".ipynb":
        raise WorkbenchError(f"{path} is no notebook: expected a file that ends in .ipynb")
    return [path]


def execute(
    notebook: str | Path,
    model: str,
    profile: str = "quick",
    parameters: Mapping[str, object] | None = None,
    runs: str | Path = "runs",
    progress: bool = True,
    stem: str = "",
    log: bool = False,
) -> Executed:
    """Execute one notebook top to bottom.

    Args:
        notebook: its path.
        model: a model name, put into the notebook's parameter ``model``; a local folder as its absolute path.
        profile: smoke (seconds), quick (about two minutes on 2 cores) or full (powered as the notebook computes).
        parameters: further parameters, by the names of the notebook's parameters cell.
        runs: results go to ``runs/MODEL/PROFILE/``.
        progress: show a bar over the cells.
        stem: name of the executed notebook and of its folder; by default that of the notebook.
        log: write what cells print to the logger "papermill" too.

    Returns:
        Where the executed notebook and its results are.

    Raises:
        WorkbenchError: no such notebook, profile or parameter; or, as ``NotebookFailed``, a cell failed, in which case the
            message shows its error and the partly executed notebook is kept.
    """
    (path,) = find(notebook)
    if profile not in PROFILES:
        raise unknown("profile", profile, PROFILES)
    folder = Path(runs) / label(model) / profile
    stem = stem or path.stem
    results = folder / stem
    chosen = {"model": located(model), "profile": profile, "out": str(results.resolve()), **(parameters or {})}
    known = known_parameters(path)
    for shared in {"store", "ledger"} & set(known):
        chosen.setdefault(shared, str((Path(runs) / shared).resolve()))
    for name in chosen:
        if name not in known:
            raise unknown("parameter", name, known, f" in {path.name}")
    results.mkdir(parents=True, exist_ok=True)
    started = time.monotonic()
    target = folder / f"{stem}.ipynb"
    _papermill(path, target, chosen, progress, log)
    return Executed(target, results, time.monotonic() - started)


def known_parameters(notebook: Path) -> dict[str, str]:
    """The parameters of a notebook's cell tagged ``parameters``: name to default, as written there.

    >>> known_parameters(Path("notebooks/01_sign_inversion.ipynb"))["profile"]
    '"quick"'
    """
    import papermill

    with _no_chatter():
        return {name: info["default"] for name, info in papermill.inspect_notebook(str(notebook)).items()}


def _papermill(path: Path, target: Path, parameters: Mapping[str, object], progress: bool, log: bool) -> None:
    import papermill
    from papermill.exceptions import PapermillExecutionError

    try:
        with contextlib.nullcontext() if log else _no_chatter():
            papermill.execute_notebook(
                str(path),
                str(target),
                parameters=dict(parameters),
                progress_bar=progress,
                log_output=log,
                kernel_name="python3",
                cwd=str(path.parent),
                extra_arguments=["--IPKernelApp.log_level=40"],  # no warning that TCP on this machine is not encrypted
            )
    except PapermillExecutionError as error:
        raised = f"{error.ename}: {error.evalue}"
        raise NotebookFailed(
            f"{path.name} failed in cell {error.cell_index}: {raised}\n"
            f"The cell:\n{textwrap.indent(error.source, '    ')}\nThe partly executed notebook is kept: {target}",
            error.cell_index,
            raised,
        ) from error


@contextlib.contextmanager
def _no_chatter() -> Iterator[None]:
    """Papermill logs and warns about what does not concern a reader of the results."""
    names = ("papermill", "traitlets")
    levels = [logging.getLogger(name).level for name in names]
    for name in names:
        logging.getLogger(name).setLevel(logging.ERROR)
    try:
        with quiet():
            yield
    finally:
        for name, level in zip(names, levels, strict=True):
            logging.getLogger(name).setLevel(level)
