"""Entries of a ledger on disk: one parquet file each, rows inside, the verdict in the file's metadata.

Claims of one's own in a ledger: a copy of their file, so that ledger, recheck and report know them without being told.
"""

import hashlib
import json
import math
import os
import uuid
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from datetime import datetime, timezone
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import TYPE_CHECKING

from workbench._errors import WorkbenchError
from workbench._files import data_folder
from workbench.claims.claim import Claim
from workbench.claims.evidence import COLUMNS
from workbench.claims.files import logged_claims, read_claims
from workbench.claims.toml_schema import read_toml
from workbench.claims.verdict import Measured, Verdict

if TYPE_CHECKING:
    import pandas as pd


_KEY = b"workbench.verdict"


#: what a number can depend on
_PACKAGES = ("workbench", "numpy", "pandas", "scipy", "statsmodels", "torch", "transformers", "transformer-lens")


@dataclass(frozen=True)
class Entry:
    """A recorded verdict.

    Attributes:
        id: of the entry. recorded: when, in UTC.
        claim, model, revision: what was judged, on what.
        outcome, on_analogue, reasons: the verdict; effect: value, low, high, n and method; p: of the test.
        gates: name, passed and measured of each.
        how: what the verdict was computed with, to compute it again.
        criterion: as it stood then. versions: of the packages.
        n_rows, digest: how many rows are stored, and their hash.
    """

    file: Path
    id: str
    recorded: str
    claim: str
    model: str
    revision: str
    outcome: str
    on_analogue: bool
    reasons: tuple[str, ...]
    effect: Mapping
    p: float
    gates: tuple[Mapping, ...]
    how: Mapping
    criterion: str
    versions: Mapping[str, str]
    n_rows: int
    digest: str

    @property
    def from_rows(self) -> bool:
        """Whether the verdict was computed from rows, and not from a measurement that was handed over."""
        return self.how["measured"] is None and not self.how["not_run"]

    def summary(self) -> dict[str, object]:
        """The verdict as plain data; None for what is not known."""
        effect = {
            name: _known(self.effect[key]) for name, key in (("effect", "value"), ("low", "low"), ("high", "high"))
        }
        return {
            "model": self.model,
            "revision": self.revision,
            "outcome": self.outcome,
            "on_analogue": self.on_analogue,
            **effect,
            "n": self.effect["n"] or None,
            "p": _known(self.p),
            "gates": [dict(gate) for gate in self.gates],
            "reasons": " ".join(self.reasons),
            "recorded": self.recorded,
            "id": self.id,
        }

    @staticmethod
    def digest_of(rows: "pd.DataFrame") -> str:
        """A hash of rows that changes with every cell of the columns that a verdict needs."""
        text = rows[list(COLUMNS)].astype(str).to_csv(index=False)
        return hashlib.sha256(text.encode()).hexdigest()[:32]

    def differences(self, verdict: Verdict, measured: Measured | None) -> list[str]:
        """In what a verdict that was computed again differs from this one."""
        found = []
        if verdict.outcome != self.outcome:
            found.append(f"outcome {verdict.outcome}, recorded {self.outcome}")
        for name in ("value", "low", "high"):
            now, then = getattr(verdict.effect, name), self.effect[name]
            if not _same(now, then):
                found.append(f"effect {name} {now:.6g}, recorded {then:.6g}")
        if not _same(verdict.p, self.p):
            found.append(f"p {verdict.p:.6g}, recorded {self.p:.6g}")
        gates = [] if measured is None else [asdict(gate) for gate in measured.gates]
        return found + ["gates"] * (gates != [dict(gate) for gate in self.gates])


def _known(value: float) -> float | None:
    return None if math.isnan(value) else value


def _same(a: float, b: float) -> bool:
    return (math.isnan(a) and math.isnan(b)) or math.isclose(a, b, rel_tol=1e-9, abs_tol=1e-12)


def write_entry(
    folder: Path,
    claim: Claim,
    verdict: Verdict,
    measured: Measured | None,
    how: Mapping[str, object],
    model: str,
    revision: str,
    rows: "pd.DataFrame | None",
) -> Path:
    """Add an entry: written beside its place, synced, and renamed into it, so that it is there whole or not at all."""
    import pandas as pd
    import pyarrow as pa
    import pyarrow.parquet as pq

    kept = pd.DataFrame(columns=list(COLUMNS), dtype=str) if rows is None else rows
    recorded = datetime.now(timezone.utc)  # noqa: UP017 (as Python 3.11 and mypy both know it)
    said = {
        "id": uuid.uuid4().hex[:12],
        "recorded": recorded.isoformat(timespec="microseconds"),
        "model": model,
        "revision": revision,
        **asdict(verdict),
        "gates": [asdict(gate) for gate in (measured.gates if measured else ())],
        "how": how,
        "criterion": repr(claim.criterion),
        "versions": versions(),
        "n_rows": len(kept),
        "digest": Entry.digest_of(kept),
    }
    table = pa.Table.from_pandas(kept, preserve_index=False)
    table = table.replace_schema_metadata(
        {**(table.schema.metadata or {}), _KEY: json.dumps(said, default=_plain).encode()}
    )
    folder.mkdir(parents=True, exist_ok=True)
    target = folder / f"verdict-{recorded:%Y%m%dT%H%M%S%f}-{said['id']}.parquet"
    draft = folder / f".{target.name}.{os.getpid()}"
    try:
        pq.write_table(table, draft)
        with draft.open("rb") as file:
            os.fsync(file.fileno())
        draft.rename(target)
    finally:
        draft.unlink(missing_ok=True)
    return target


def _plain(value: object) -> object:
    """A number of numpy as Python's own."""
    if hasattr(value, "item"):
        return value.item()
    raise TypeError(f"{type(value).__name__} cannot be recorded: {value!r}")


def versions() -> dict[str, str]:
    """The versions of the packages that a number can depend on."""
    found = {}
    for name in _PACKAGES:
        try:
            found[name] = version(name)
        except PackageNotFoundError:
            found[name] = "not installed"
    return found


def read_entries(folder: Path) -> list[Entry]:
    """All entries of a folder, oldest first; what is no entry is not read.

    Raises:
        WorkbenchError: an entry is broken; its file is named.
    """
    import pyarrow as pa
    import pyarrow.parquet as pq

    found = []
    for file in sorted(folder.glob("verdict-*.parquet")):
        try:
            said = json.loads(pq.read_schema(file).metadata[_KEY])
            found.append(Entry(file, **{**said, "reasons": tuple(said["reasons"]), "gates": tuple(said["gates"])}))
        except (pa.ArrowInvalid, KeyError, TypeError, ValueError) as error:
            raise WorkbenchError(f"{file} is no ledger entry ({error}); move it away") from error
    return sorted(found, key=lambda entry: entry.recorded)


def read_rows_of(entry: Entry) -> "pd.DataFrame":
    """The rows that a verdict was computed from."""
    import pandas as pd

    return pd.read_parquet(entry.file)


_FOLDER = "claims"


def keep_claim(ledger: Path, claim: Claim) -> None:
    """Copy the file of a claim, and the files that it uses, into a ledger; the logged claims need no copy.

    Args:
        ledger: its folder. claim: as ``wb.claim(id, file)`` gives it.

    Raises:
        WorkbenchError: the claim is from no file; its file uses files of another folder; or an id of the file is that of a
            logged claim, or of a claim from another file of this ledger. Nothing is written then.
    """
    if not claim.file:
        raise WorkbenchError(
            f"{claim.id} is from no file, so nobody could check its verdict; read it: wb.claim(id, 'FILE.toml')"
        )
    source = Path(claim.file)
    if source.resolve().parent == (data_folder() / "claims").resolve():
        return
    target = ledger / _FOLDER / source.stem
    _check_ids(ledger, source)
    names = [source.name, *read_toml(source)[0].get("uses", [])]
    if outside := [name for name in names if Path(name).name != name]:
        raise WorkbenchError(f"{source} uses {outside[0]}; what verdicts rest on uses files beside it only")
    for name in reversed(names):
        _copy(source.parent / name, target / name)


def kept_claims(ledger: Path) -> tuple[Claim, ...]:
    """The claims of one's own that verdicts of a ledger are about, as they were when they were last judged.

    Raises:
        WorkbenchError: a copy is broken, or two files hold a claim of the same id.
    """
    found: dict[str, Claim] = {}
    files = [path for path in sorted((ledger / _FOLDER).glob("*/*.toml")) if path.stem == path.parent.name]
    for file in files:
        for one in read_claims(file, notebooks=False):
            if one.id in found:
                raise WorkbenchError(
                    f"claim {one.id} is in {found[one.id].file} and {one.file}; remove the outdated folder"
                )
            found[one.id] = one
    return tuple(found.values())


def _check_ids(ledger: Path, source: Path) -> None:
    """No claim of a file is called like a logged one, or like one that this ledger has from a file of another name."""
    others = {one.id: "a logged claim" for one in logged_claims()}
    others |= {one.id: one.file for one in kept_claims(ledger) if Path(one.file).stem != source.stem}
    for one in read_claims(source, notebooks=False):
        if one.id in others:
            raise WorkbenchError(f"{source}: the id {one.id} is taken by {others[one.id]}; choose another")


def _copy(source: Path, target: Path) -> None:
    """Copy a file, whole or not at all."""
    content = source.read_bytes()
    if target.is_file() and target.read_bytes() == content:
        return
    target.parent.mkdir(parents=True, exist_ok=True)
    draft = target.with_name(f".{target.name}.{uuid.uuid4().hex}")
    draft.write_bytes(content)
    os.replace(draft, target)
