"""What a folder of runs remembers of its batches, and whether it still holds.

The journal, ``batch.jsonl``, has one line per execution that ended, and is only ever added to. What an execution depends on is
one content key: the same key means that running it again would change nothing.
"""

import fcntl
import hashlib
import json
import os
import platform
import re
from collections.abc import Iterable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import asdict, dataclass
from functools import cache
from heapq import heapreplace
from pathlib import Path
from typing import Any
from uuid import uuid4

import nbformat

from workbench import _files
from workbench._errors import WorkbenchError
from workbench._files import data_folder, package_folder
from workbench.claims.entries import versions
from workbench.models.fetch import NotFetched, files_of
from workbench.models.identity import file_hash
from workbench.models.registry import Embedded, Hub, base_of, is_fetched, resolve
from workbench.notebooks.batch.plan import Execution
from workbench.notebooks.execute import read_notebook

_FILE = "batch.jsonl"

#: what names one state of a hub model, and not a branch or tag, which move
_COMMIT = re.compile("[0-9a-f]{40}")


@dataclass(frozen=True)
class Ended:
    """How an execution ended.

    Attributes:
        name: of the execution.
        key: of what it depended on.
        started: UTC.
        seconds: how long it took.
        error: what went wrong, in one line; empty if nothing did.
        at: the index of the notebook's cell, or -1.
        notebook, log: files, relative to the folder of runs.
    """

    name: str
    key: str
    started: str
    seconds: float
    error: str
    at: int
    notebook: str
    log: str

    @property
    def ok(self) -> bool:
        """Whether the notebook ran to its end."""
        return not self.error

    @property
    def place(self) -> str:
        """In which cell of its notebook it failed, as text before the error."""
        return f"cell {self.at}, " if self.at >= 0 else ""


#: what the parts of a record are
_KINDS: Mapping[str, Any] = {
    **dict.fromkeys(("name", "key", "started", "error", "notebook", "log"), str),
    "seconds": (int, float),
    "at": int,
}


@dataclass(frozen=True)
class Journal:
    """The journal in a folder of runs, which need not exist yet. One batch at a time holds the folder.

    >>> journal = Journal(folder)
    >>> journal.records()
    []
    >>> journal.add(Ended("m/quick/01_a", "key", "2026-01-01T00:00:00+00:00", 60.0, "", -1, "01_a.ipynb", "01_a.log"))
    >>> journal.seconds()
    {'m/quick/01_a': 60.0}
    """

    runs: Path

    @contextmanager
    def held(self) -> Iterator[None]:
        """Hold the folder for one batch. The system lets go of it when the process ends, however it ends.

        Raises:
            WorkbenchError: another batch holds it.
        """
        self.runs.mkdir(parents=True, exist_ok=True)
        with (self.runs / ".batch.lock").open("a+", encoding="utf-8") as file:
            try:
                fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
            except BlockingIOError:
                file.seek(0)
                raise WorkbenchError(
                    f"another batch is running in {self.runs} ({file.read().strip() or 'it has just begun'}); "
                    "wait until it has ended, or give another folder with --runs"
                ) from None
            file.truncate(0)
            file.write(f"process {os.getpid()} on {platform.node()}\n")
            file.flush()
            yield

    def add(self, record: Ended) -> None:
        """Append a record and have the disk hold it; a line that a killed process left half-written is ended first."""
        self.runs.mkdir(parents=True, exist_ok=True)
        path = self.runs / _FILE
        torn = path.is_file() and not path.read_bytes().endswith(b"\n") and path.stat().st_size
        with path.open("a", encoding="utf-8") as file:
            file.write("\n" * bool(torn) + json.dumps(asdict(record)) + "\n")
            file.flush()
            os.fsync(file.fileno())

    def records(self) -> list[Ended]:
        """All records, oldest first; half-written lines are not read.

        Raises:
            WorkbenchError: a whole line that is no record.
        """
        path = self.runs / _FILE
        records = []
        for number, line in enumerate(
            path.read_bytes().decode("utf-8", "replace").split("\n") if path.is_file() else [], 1
        ):
            try:
                record = Ended(**json.loads(line))
                for name, kind in _KINDS.items():
                    if not isinstance(getattr(record, name), kind) or isinstance(getattr(record, name), bool):
                        raise TypeError(f"{name} is {getattr(record, name)!r:.60}")
                records.append(record)
            except (json.JSONDecodeError, RecursionError):
                continue
            except TypeError as error:
                raise WorkbenchError(
                    f"{path}, line {number}: no record of a batch ({error}); move the file away"
                ) from error
        return records

    def is_done(self, execution: Execution, key: str) -> bool:
        """Whether it ended well with this key when it last ran, and what it left is still there."""
        last = {record.name: record for record in self.records()}.get(execution.name)
        if last is None or not last.ok or last.key != key:
            return False
        executed = self.runs / last.notebook
        if not (executed.is_file() and executed.with_suffix("").is_dir()):
            return False
        try:
            given = read_notebook(executed).metadata["papermill"]["parameters"]
        except (WorkbenchError, KeyError, TypeError):  # torn, or not what papermill left
            return False
        return "ledger" not in given or (self.runs / "ledger").is_dir()

    def seconds(self) -> dict[str, float]:
        """How long each execution took when it last ended well, by name."""
        return {record.name: record.seconds for record in self.records() if record.ok}


def estimate(executions: Iterable[Execution], seconds: Mapping[str, float], jobs: int) -> tuple[float, int]:
    """Seconds that executions of known duration take with so many at a time, in this order; and how many are not known.

    >>> estimate([Execution(Path("01_a.ipynb"), "m", "quick")], {"m/quick/01_a": 60.0}, 2)
    (60.0, 0)
    """
    total, unknown = 0.0, 0
    chosen = list(executions)
    for last in (False, True):
        busy = [0.0] * jobs
        for one in (e for e in chosen if e.last == last):
            unknown += one.name not in seconds
            heapreplace(busy, busy[0] + seconds.get(one.name, 0.0))
        total += max(busy)
    return total, unknown


#: what only arranges or shows results: a change of it makes no result outdated
_PRESENTATION = ("notebooks", "figures", "cli.py")

#: but for what notebooks compute with: their prompts, doses and gates
_COMPUTES = ("notebooks/options.py", "notebooks/setup_gates.py")


def content_key(execution: Execution) -> str:
    """A hash of the notebook's source, the claims files beside it, parameters, model revision, code, data and versions.

    Outputs, metadata and the order of keys do not count, nor does where results go.

    >>> notebook = Path("notebooks/01_sign_inversion.ipynb")
    >>> len(content_key(Execution(notebook, "smollm2-refusal", "quick")))
    24
    """
    inputs = {
        "source": source_hash(execution.notebook),
        "claims": {name: hashlib.sha256(content).hexdigest() for name, content in execution.claims.items()},
        "model": [execution.model, model_revision(execution.model)],
        "profile": execution.profile,
        "parameters": execution.parameters,
        "code": code_version(),
    }
    if contents := {name: path_revision(path) for name, path in execution.own_paths.items() if name != "model"}:
        inputs["files"] = contents
    return hashlib.sha256(json.dumps(inputs, sort_keys=True).encode()).hexdigest()[:24]


def source_hash(notebook: Path) -> str:
    """A hash of what the cells of a notebook say and which of them holds the parameters."""
    cells = nbformat.read(notebook, as_version=4).cells
    said = [[c.cell_type, c.source, c.metadata.get("tags", [])] for c in cells]
    return _files.content_key(said, length=24)


def model_revision(name: str) -> str:
    """The revision of a model, without loading or downloading it: of files their hash, of a hub model its commit.

    A hub id without a commit means what its branch was when it was last fetched here. Where that is not known, the revision is
    an unknown one, which equals no other: what ran under it runs again with ``resume``.

    >>> model_revision("someone/some-model").startswith("unknown: someone/some-model at main is not on this machine")
    True
    >>> model_revision("someone/some-model") == model_revision("someone/some-model")
    False
    """
    source = resolve(name)
    base = base_of(source)
    if isinstance(base, Embedded) and not is_fetched(base):
        return f"{base.sha256[:12]}, not fetched"
    if isinstance(base, Hub) and _COMMIT.fullmatch(base.revision):
        return base.revision
    try:
        files = files_of(source, download=False)
    except NotFetched as error:
        return f"unknown: {error} ({uuid4().hex})"
    return files.commit if isinstance(base, Hub) else files.revision()


def path_revision(path: Path) -> str:
    """What a file or the folder of a model holds, as a hash; "" where there is none.

    >>> path_revision(Path("/no/such/place"))
    ''
    """
    if path.is_dir():
        return model_revision(str(path))
    return file_hash(path) if path.is_file() else ""


@cache
def code_version() -> str:
    """A hash of the package's code and bundled data, and of the versions of what it computes with."""
    digest = hashlib.sha256(json.dumps(versions(), sort_keys=True).encode())
    for root, files in ((package_folder(), code_files()), (data_folder(), _data_files())):
        for path in sorted(files):
            said = [path.relative_to(root).as_posix(), hashlib.sha256(path.read_bytes()).hexdigest()]
            digest.update(json.dumps(said).encode())
    return digest.hexdigest()[:16]


def code_files() -> Iterable[Path]:
    """The files of the package's code that decide a result."""
    package = package_folder()
    for path in package.rglob("*.py"):
        inside = path.relative_to(package)
        if inside.as_posix() in _COMPUTES or inside.parts[0] not in (*_PRESENTATION, "data"):
            yield path


def _data_files() -> Iterable[Path]:
    """Prompts, claims and labels; adapters are in the model's revision, plans in the executions themselves."""
    return (
        p for kind in ("prompts", "claims", "labels") for p in (data_folder() / kind).rglob("*.*") if p.suffix != ".md"
    )
