"""Execute notebooks with papermill: parameters checked first, a progress bar, and nothing lost when a cell fails."""

import ast
import contextlib
import json
import logging
import math
import textwrap
import time
import traceback
import warnings
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from workbench._errors import WorkbenchError, unknown
from workbench._errors.redaction import redact
from workbench._files import whole
from workbench.models.fetch import quiet
from workbench.models.registry import label, located

PROFILES = ("smoke", "quick", "full")

#: parameters that may name a file or folder, from the working folder
PATHS = ("base_model", "prompts")

#: parameters that say where results are filed, and what says them instead
_FILED_BY = {"model": "model", "profile": "profile", "out": "runs"}


class NotebookFailed(WorkbenchError):
    """A cell of a notebook raised: its index, and the error in one line."""

    def __init__(self, message: str, cell: int, error: str):
        super().__init__(message)
        self.cell, self.error = cell, redact(error)


@dataclass(frozen=True)
class Parameter:
    """A line of a notebook's parameters cell: name, default as written there and as a value; its type, or none if any will do."""

    name: str
    default: str
    value: object
    type: type | None

    def read(self, text: str) -> object:
        """The value that a text of the command line means, of the type that the notebook declares.

        >>> Parameter("use_controls", "True", True, bool).read("False")
        False

        Raises:
            WorkbenchError: it means none of that type.
        """
        if self.type is str:
            return text
        if self.type is bool and text.lower() in ("true", "false"):
            return text.lower() == "true"
        for parse in (json.loads, ast.literal_eval):
            try:
                value = parse(text)
            except (ValueError, SyntaxError, TypeError, MemoryError, RecursionError):
                continue
            return self.check(value)
        if self.type is None:
            return text
        raise self._error(text)

    def check(self, value: object) -> object:
        """The value, if it is of the type that the notebook declares: a whole number is also a number, a list also a tuple.

        Raises:
            WorkbenchError: it is not, or it is a number that is not finite.
        """
        fits = self.type is None or isinstance(value, self.type)
        if self.type is not bool and isinstance(value, bool):
            fits = self.type is None
        if self.type is float:
            fits = isinstance(value, int | float) and not isinstance(value, bool)
        if self.type in (list, tuple):
            fits = isinstance(value, list | tuple) and self._members_fit(value)
        if not fits or not _is_finite(value):
            raise self._error(value)
        return value

    def _members_fit(self, value: list | tuple) -> bool:
        """Whether every member is of a type that a member of the default has; a whole number is also a number."""
        kinds = {type(member) for member in self.value} if isinstance(self.value, list | tuple) else set[type]()
        return not kinds or {type(member) for member in value} <= kinds | ({int} if float in kinds else set())

    def _error(self, seen: object) -> WorkbenchError:
        wanted = "a finite value" if self.type is None else _NAMES.get(self.type, self.type.__name__)
        return WorkbenchError(
            f"parameter {self.name}: expected {wanted}, as in {self.name}={self.default}; got {seen!r}"
        )


_NAMES: dict[type, str] = {
    bool: "true or false",
    int: "a whole number",
    float: "a finite number",
    str: "text",
    list: "a list",
    tuple: "a list",
}


def _is_finite(value: object) -> bool:
    if isinstance(value, list | tuple):
        return all(map(_is_finite, value))
    return not isinstance(value, float) or math.isfinite(value)


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
        there = sorted(str(p) for p in path.parent.glob("*.ipynb")) if path.parent.is_dir() else []
        raise WorkbenchError(f"no notebook {path}; {path.parent} has {', '.join(there) or 'no notebooks'}")
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
    paths = find(notebook)
    if len(paths) > 1:
        raise WorkbenchError(f"{notebook} holds {len(paths)} notebooks; execute one")
    (path,) = paths
    known = _check_given(path, profile, parameters or {})
    check_folder(runs, "runs")
    folder = Path(runs) / label(model) / profile
    stem = stem or path.stem
    results = folder / stem
    chosen = {"model": located(model), "profile": profile, "out": str(results.resolve()), **(parameters or {})}
    for shared in {"store", "ledger"} & set(known):  # a notebook runs in its own folder, so paths are made absolute
        chosen[shared] = str(Path(str(chosen.get(shared, Path(runs) / shared))).expanduser().resolve())
    for name in PATHS:
        if chosen.get(name):
            chosen[name] = located(str(chosen[name]))
    for name in chosen:
        _known(name, known, path)
    results.mkdir(parents=True, exist_ok=True)
    started = time.monotonic()
    target = folder / f"{stem}.ipynb"
    _papermill(path, target, chosen, progress, log)
    return Executed(target, results, time.monotonic() - started)


def read_texts(notebook: Path, texts: Mapping[str, str], profile: str) -> dict[str, object]:
    """Parameters given as text, each as the type that the notebook declares; profile and names are checked too.

    Raises:
        WorkbenchError: an unknown profile or parameter, or a text that does not mean the type declared.
    """
    known = read_parameters(notebook)
    values = {name: _known(name, known, notebook).read(text) for name, text in texts.items()}
    _check_given(notebook, profile, values)
    return values


def _check_given(path: Path, profile: str, given: Mapping[str, object]) -> dict[str, Parameter]:
    """The parameters of a notebook, once the profile and the parameters given are known to fit."""
    if profile not in PROFILES:
        raise unknown("profile", profile, PROFILES)
    known = read_parameters(path)
    for name in ("model", "profile", "out", *given):
        _known(name, known, path)
    for name, value in given.items():
        if name in _FILED_BY:
            raise WorkbenchError(f"parameter {name!r}: results are filed by it; give it as {_FILED_BY[name]}")
        known[name].check(value)
    return known


def _known(name: str, known: Mapping[str, Parameter], notebook: Path) -> Parameter:
    if name not in known:
        raise unknown("parameter", name, known, f" in {notebook.name}")
    return known[name]


def check_folder(path: str | Path, name: str) -> None:
    """Raises a WorkbenchError for a place of results that is a file, or lies below one."""
    if not isinstance(path, str | Path) or not str(path).strip() or "\0" in str(path):
        raise WorkbenchError(f"{name} {path!r:.60}: expected a folder for results, e.g. runs")
    for place in (Path(path), *Path(path).parents):
        if place.exists() and not place.is_dir():
            raise WorkbenchError(f"{name} {path}: {place} is a file; expected a folder for results")


def read_notebook(path: Path) -> Any:
    """A notebook, as nbformat has it.

    Raises:
        WorkbenchError: a file that is no notebook, or is torn.
    """
    import nbformat

    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # cells without ids, of older versions
            book = nbformat.reads(path.read_text(encoding="utf-8"), as_version=4)
            nbformat.validate(book)
    except (ValueError, KeyError, TypeError, AttributeError, RecursionError, nbformat.ValidationError) as error:
        said = (str(error).strip().splitlines() or [type(error).__name__])[0]
        raise WorkbenchError(
            f"{path} is no notebook that can be read ({said[:120]}); is it torn, or another file?"
        ) from error
    return book


def read_parameters(notebook: Path) -> dict[str, Parameter]:
    """The parameters of a notebook's cell tagged ``parameters``, each with the type of its default or of its annotation.

    Raises:
        WorkbenchError: no notebook, no such cell, or a cell that is no Python; or a kernel of another language.

    >>> read_parameters(Path("notebooks/01_sign_inversion.ipynb"))["seed"]
    Parameter(name='seed', default='0', value=0, type=<class 'int'>)
    """
    book = read_notebook(notebook)
    language = book.metadata.get("kernelspec", {}).get("language", "python")
    if language != "python":
        raise WorkbenchError(f"{notebook} is written in {language}; only notebooks in Python are executed")
    cell = next((c for c in book.cells if "parameters" in c.metadata.get("tags", []) and c.cell_type == "code"), None)
    if cell is None:
        raise WorkbenchError(
            f"{notebook} has no code cell with the tag 'parameters'; give it one with model, profile and out"
        )
    try:
        lines = ast.parse(cell.source).body
    except (SyntaxError, ValueError) as error:
        raise WorkbenchError(f"{notebook}: its parameters cell is no Python ({error})") from error
    parameters = {}
    for line in lines:
        targets = (
            line.targets if isinstance(line, ast.Assign) else [line.target] if isinstance(line, ast.AnnAssign) else []
        )
        for target in targets:
            if isinstance(target, ast.Name) and line.value is not None:
                declared = line.annotation if isinstance(line, ast.AnnAssign) else None
                parameters[target.id] = _parameter(target.id, line.value, declared, cell.source)
    return parameters


def _parameter(name: str, default: ast.expr, declared: ast.expr | None, source: str) -> Parameter:
    try:
        value = ast.literal_eval(default)
    except ValueError:  # an expression: any value will do
        value = None
    types = {kind.__name__: kind for kind in (bool, int, float, str, list, tuple, dict)}
    kind = types.get(type(value).__name__)
    if declared is not None:
        kind = types.get(ast.unparse(declared).split("[")[0])
    return Parameter(name, ast.get_source_segment(source, default) or "", value, kind)


class _WrittenWhole:
    """How papermill writes the executed notebook: beside the old one, and then in its place. It writes after every cell.

    Papermill works in the folder of the notebook meanwhile, so a relative path would mean another place.
    """

    def __init__(self, target: Path):
        self.target = target.absolute()

    def write(self, content: str, path: str) -> None:
        with whole(self.target) as draft:
            draft.write_text(content, encoding="utf-8")

    def pretty_path(self, path: str) -> str:
        return path


def _papermill(path: Path, target: Path, parameters: Mapping[str, object], progress: bool, log: bool) -> None:
    import papermill
    from jupyter_client.kernelspec import NoSuchKernel
    from nbclient.exceptions import DeadKernelError
    from papermill.exceptions import PapermillExecutionError
    from papermill.iorw import papermill_io

    from workbench.notebooks.kernel_sockets import kernel_settings

    papermill_io.register(str(target), _WrittenWhole(target))  # the latest of a path is asked first
    try:
        with contextlib.nullcontext() if log else _no_chatter(), kernel_settings() as settings:
            papermill.execute_notebook(
                str(path),
                str(target),
                parameters=dict(parameters),
                progress_bar=progress,
                log_output=log,
                kernel_name="python3",
                language="python",
                cwd=str(path.parent),
                start_timeout=300,  # a kernel on a busy machine is given more than a minute
                extra_arguments=["--IPKernelApp.log_level=40"],  # no warning that TCP on this machine is not encrypted
                config=settings,
            )
    except PapermillExecutionError as error:
        raised = f"{error.ename}: {error.evalue}"
        raise NotebookFailed(
            f"{path.name} failed in cell {error.cell_index}: {raised}\n"
            f"The cell:\n{textwrap.indent(error.source, '    ')}\nThe partly executed notebook is kept: {target}",
            error.cell_index,
            raised,
        ) from error
    except DeadKernelError as error:
        died = "its kernel died (out of memory?)"
        raise NotebookFailed(f"{path.name}: {died}; what was executed is kept: {target}", -1, died) from error
    except RuntimeError as error:
        if not _came_while_starting(error):
            raised = f"RuntimeError: {error}"
            raise NotebookFailed(
                f"{path.name}: {raised}, and not in a cell; what was executed is kept: {target}", -1, raised
            ) from error
        never = f"its kernel did not start ({error})"
        raise NotebookFailed(f"{path.name}: {never}; try: workbench doctor", -1, never) from error
    except NoSuchKernel as error:
        raise WorkbenchError("no Jupyter kernel 'python3'; type: python -m ipykernel install --sys-prefix") from error


def _came_while_starting(error: BaseException) -> bool:
    """Whether an error was raised where nbclient starts a kernel, or waits for its first reply."""
    frames = traceback.walk_tb(error.__traceback__)
    return any("start_new_kernel" in frame.f_code.co_name for frame, _ in frames)


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
