"""Plans of a batch: a TOML file that names notebooks, models and parameters, and the executions that their matrix has."""

import hashlib
import re
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from decimal import Decimal
from fnmatch import fnmatch
from itertools import product
from pathlib import Path
from typing import Literal

from workbench._errors import WorkbenchError, unknown
from workbench._files import data_folder
from workbench.claims.files import logged_claims
from workbench.claims.toml_schema import Lines, Place, build, expect, read_toml
from workbench.models.registry import SOURCES, Embedded, Hub, base_of, is_fetched, label, located, resolve
from workbench.notebooks.execute import PATHS, execute, find, read_parameters

#: in place of a model: those that the logs behind a notebook's claims were written with
LOGGED = "logged"

#: parameters that the batch itself gives to every notebook
OWN = ("model", "profile", "out", "store", "ledger")


@dataclass(frozen=True)
class Matrix:
    """One ``[[matrix]]`` of a plan.

    Attributes:
        notebooks: names, numbers or patterns (``"01"``, ``"0*"``); by default all.
        without: those to leave out.
        models: what ``wb.load`` takes, or ``"logged"``.
        profile: smoke, quick or full.
        parameters: given to every notebook.
        over: parameter to list of values, crossed.
        last: these wait until all others have ended, and run again whenever one of them did.
        optional: models that have not been fetched are left out, and nothing is downloaded for them.
    """

    models: tuple[str, ...]
    notebooks: tuple[str, ...] = ("*",)
    without: tuple[str, ...] = ()
    profile: Literal["smoke", "quick", "full"] = "quick"
    parameters: Mapping[str, object] = field(default_factory=dict)
    over: Mapping[str, object] = field(default_factory=dict)
    last: bool = False
    optional: bool = False


@dataclass(frozen=True)
class Execution:
    """One execution: a notebook with its parameters, on a model, in a profile.

    ``moved``: parameters that name a file of the machine which planned it, as they are called where it runs.
    """

    notebook: Path
    model: str
    profile: str
    parameters: Mapping[str, object] = field(default_factory=dict)
    last: bool = False
    moved: Mapping[str, object] = field(default_factory=dict)

    @property
    def own_paths(self) -> dict[str, Path]:
        """The parameters that name a file or folder of this machine, the model among them, as absolute paths."""
        named = {"model": self.model} | {name: self.parameters.get(name) for name in PATHS}
        paths = {name: Path(located(str(value))) for name, value in named.items() if value}
        return {name: path for name, path in paths.items() if path.is_absolute() and path.exists()}

    @property
    def claims(self) -> dict[str, bytes]:
        """The claims files beside the notebook, which it may read: name to content."""
        return {path.name: path.read_bytes() for path in sorted(self.notebook.parent.glob("*.toml"))}

    @property
    def stem(self) -> str:
        """Name of the executed notebook and its folder of results: that of the notebook, and the parameters."""
        said = ",".join(f"{name}={value}" for name, value in self.parameters.items())
        if not said:
            return self.notebook.stem
        safe = re.sub(r"[^\w=.,+-]", "_", said)
        if safe != said or len(safe) > 60:
            safe = f"{safe[:60]}-{hashlib.sha256(said.encode()).hexdigest()[:8]}"
        return f"{self.notebook.stem}--{safe}"

    @property
    def name(self) -> str:
        """What it is called in messages and in the journal.

        >>> Execution(Path("notebooks/01_a.ipynb"), "smollm2-refusal", "quick", {"seed": 1}).name
        'smollm2-refusal/quick/01_a--seed=1'
        """
        return f"{label(self.model)}/{self.profile}/{self.stem}"

    def run(self, runs: Path) -> None:
        """Execute the notebook in this process, and write what its cells print to the log."""
        given = {**self.parameters, **self.moved}
        execute(self.notebook, self.model, self.profile, given, runs, False, self.stem, log=True)


@dataclass(frozen=True)
class BatchPlan:
    """A plan that was read: what it is about, its executions in order, and those left out since their model is not here."""

    name: str
    about: str
    executions: tuple[Execution, ...]
    left_out: tuple[Execution, ...] = ()

    @property
    def notes(self) -> list[str]:
        """One line per model that is left out, with what would fetch it."""
        counts = Counter(one.model for one in self.left_out)
        return [
            f"{model} is not fetched: {n} notebooks left out (workbench fetch {model})" for model, n in counts.items()
        ]

    def only(self, patterns: Sequence[str]) -> "BatchPlan":
        """The executions whose names hold one of these words or match one of these patterns; all without any.

        Raises:
            WorkbenchError: a pattern that none matches.

        >>> [one.name for one in wb.batch.read_plan("quick", "notebooks").only(["03"]).executions]
        ['smollm2-refusal/quick/03_layer_polarity']
        """
        whole = (*self.executions, *self.left_out)
        for pattern in patterns:
            if not pattern.strip() or not any(fnmatch(one.name, f"*{pattern}*") for one in whole):
                words = dict.fromkeys(word for one in whole for word in (one.notebook.stem, one.model))
                raise unknown(f"notebook or model of plan {self.name}:", pattern, words)

        def chosen(ones: Sequence[Execution]) -> tuple[Execution, ...]:
            return tuple(e for e in ones if not patterns or any(fnmatch(e.name, f"*{p}*") for p in patterns))

        return BatchPlan(self.name, self.about, chosen(self.executions), chosen(self.left_out))


@dataclass(frozen=True)
class _PlanText:
    """A plan as it stands in its file."""

    about: str
    matrix: tuple[object, ...]
    folder: str = ""


def shipped() -> dict[str, Path]:
    """The plans that come with the package, by name.

    >>> sorted(shipped())
    ['full', 'logged-models', 'quick', 'tour']
    """
    return {path.stem: path for path in sorted((data_folder() / "plans").glob("*.toml"))}


def read_plan(target: str | Path, notebooks: str | Path = "notebooks") -> BatchPlan:
    """Read a plan and check all of it, before anything runs.

    Args:
        target: a file, or the name of a shipped plan.
        notebooks: the folder of notebooks, unless the plan names one (beside itself) with ``folder``.

    Raises:
        WorkbenchError: no such plan, or an unknown key, notebook, model or parameter in it, with file, line and the
            nearest name.

    >>> plan = wb.batch.read_plan("quick", "notebooks")
    >>> plan.name, plan.executions[0].profile
    ('quick', 'quick')
    """
    text, lines, path = _read(target)
    folder = path.parent / text.folder if text.folder else Path(notebooks)
    there = find(folder) if folder.is_dir() else []
    if not there:
        raise WorkbenchError(f"no folder of notebooks {folder}; go to a checkout, or say where with --notebooks")
    executions, left_out = dict[str, Execution](), dict[str, Execution]()
    for i, raw in enumerate(text.matrix):
        place: Place = ("matrix", i)
        matrix = build(Matrix, raw, place, lines)
        for one in _cross(matrix, there, place, lines):
            same = (left_out if matrix.optional and not _is_here(one.model) else executions).setdefault(one.name, one)
            message = f"two executions are called {one.name}: {same.model} and {one.model}"
            expect(same.model == one.model, place, lines, message)
    expect(bool(executions or left_out), (), lines, "the plan has no executions")
    absent = tuple(one for name, one in left_out.items() if name not in executions)
    return BatchPlan(str(target), text.about, tuple(executions.values()), absent)


def _read(target: str | Path) -> tuple[_PlanText, Lines, Path]:
    path = Path(target)
    if path.suffix != ".toml":
        if str(target) not in shipped():
            raise unknown("plan", str(target), shipped(), ", or a file that ends in .toml")
        path = shipped()[str(target)]
    tables, lines = read_toml(path)
    return build(_PlanText, tables, (), lines), lines, path


def _cross(matrix: Matrix, there: list[Path], place: Place, lines: Lines) -> Iterator[Execution]:
    """The executions of a matrix: every notebook on every model with every combination of values."""
    chosen = _notebooks(matrix.notebooks, there, (*place, "notebooks"), lines)
    left_out = set(_notebooks(matrix.without, there, (*place, "without"), lines))
    fixed = {name: _plain(value) for name, value in matrix.parameters.items()}
    over: dict[str, list] = {}
    for name, raw in matrix.over.items():
        fine = isinstance(raw, list) and bool(raw) and name not in fixed
        message = f"{name} must be a list of values, and not be in parameters too"
        expect(fine, (*place, "over", name), lines, message)
        over[name] = [_plain(value) for value in raw] if isinstance(raw, list) else []
    for model in matrix.models:
        _check_model(model, (*place, "models"), lines)
    for notebook in (path for path in chosen if path not in left_out):
        _check_parameters(notebook, {"parameters": fixed, "over": over}, place, lines)
        for model, values in product(_models(matrix.models, notebook.stem), product(*over.values())):
            yield Execution(
                notebook, model, matrix.profile, {**fixed, **dict(zip(over, values, strict=True))}, matrix.last
            )


def _notebooks(patterns: tuple[str, ...], there: list[Path], place: Place, lines: Lines) -> list[Path]:
    """The notebooks meant by patterns, in the order of the folder."""
    chosen = set[Path]()
    for i, pattern in enumerate(patterns):
        own = {p for p in there if fnmatch(p.stem, pattern) or p.stem.split("_")[0] == pattern}
        message = str(unknown("notebook", pattern, [p.stem for p in there], f" in {there[0].parent}"))
        expect(bool(own), (*place, i), lines, message)
        chosen |= own
    return sorted(chosen)


def _check_model(name: str, place: Place, lines: Lines) -> None:
    try:
        if name != LOGGED:
            resolve(name)
    except WorkbenchError as error:
        raise lines.error(place, f"{error}; or {LOGGED!r}") from error


def _is_here(model: str) -> bool:
    """Whether a model needs no download, as far as this machine can tell: all but embedded ones that were not fetched."""
    base = base_of(resolve(model))
    return not isinstance(base, Embedded) or is_fetched(base)


def _models(names: Sequence[str], notebook: str) -> list[str]:
    return list(dict.fromkeys(x for n in names for x in (logged_models(notebook) if n == LOGGED else [located(n)])))


def logged_models(notebook: str) -> list[str]:
    """The registered models of the logs whose claims a notebook runs again.

    >>> logged_models("12_steering_vs_prompting")
    ['mistral-7b-v0.2', 'qwen3-8b']
    """
    logs = {claim.log.id for claim in logged_claims() if claim.notebook == notebook}
    return [name for name, source in SOURCES.items() if isinstance(source, Hub) and logs & set(source.logs)]


def _check_parameters(notebook: Path, given: Mapping[str, Mapping], place: Place, lines: Lines) -> None:
    known = read_parameters(notebook)
    for key, values in given.items():
        for name, value in values.items():
            expect(name not in OWN, (*place, key, name), lines, f"{name} is set by the batch itself")
            message = str(unknown("parameter", name, known, f" in {notebook.name}"))
            expect(name in known, (*place, key, name), lines, message)
            for one in value if key == "over" else [value]:
                try:
                    known[name].check(one)
                except WorkbenchError as error:
                    raise lines.error((*place, key, name), str(error)) from error


def _plain(value: object) -> object:
    """TOML's numbers as Python's own, as papermill writes them into a notebook."""
    if isinstance(value, Decimal):
        return float(value)
    if isinstance(value, list | tuple):
        return [_plain(one) for one in value]
    return {k: _plain(v) for k, v in value.items()} if isinstance(value, Mapping) else value
