"""What does one entry of a ledger hold? A parquet file: the rows inside, the verdict in the file's metadata.

A claim of one's own is kept beside its entries, as a copy of its file: ledger, recheck and report then know it without
being told.
"""

import hashlib
import json
import math
import uuid
from collections.abc import Iterator, Mapping
from contextlib import suppress
from dataclasses import asdict, dataclass, replace
from datetime import datetime, timezone
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import TYPE_CHECKING

from workbench._errors import WorkbenchError
from workbench._errors.redaction import logger
from workbench._files import DISTRIBUTION, data_folder, whole
from workbench.claims.claim import Claim, Criterion, LabelContrast
from workbench.claims.evidence import COLUMNS
from workbench.claims.files import logged_claims, read_claims
from workbench.claims.replaced import earlier_criteria, replaced_adapters
from workbench.claims.toml_schema import read_toml
from workbench.claims.verdict import Measured, Verdict

if TYPE_CHECKING:
    import pandas as pd

log = logger(__name__)

_KEY = b"workbench.verdict"
_CLAIMS = "claims"

#: what a number can depend on
_PACKAGES = ("workbench", "numpy", "pandas", "scipy", "statsmodels", "torch", "transformers", "transformer-lens")

#: The classes of a criterion and their fields, as entries told them before they held JSON: never to be changed. What a
#: criterion has learned to say since is no part of it.
_TOLD_AS = {
    Criterion: "Criterion direction outcome minimum_effect unit test gates rule contrast logged",
    LabelContrast: "Contrast label sign set against interval_above",
}


#: what a summary holds of an entry as it is
_SHOWN = (
    "model",
    "revision",
    "outcome",
    "on_analogue",
    "standing",
    "recorded",
    "id",
    "rule",
    "registered",
    "published",
    "adapter",
)


@dataclass(frozen=True)
class Entry:
    """A recorded verdict.

    Attributes:
        id: of the entry.
        recorded: when, in UTC.
        claim, model, revision: what was judged, on what.
        outcome, on_analogue, standing, reasons: the verdict.
        effect: value, low, high, n and method.
        p: of the test.
        gates: name, passed and measured of each.
        how: what the verdict was computed with, to compute it again.
        criterion: as it stood then.
        criterion_json: the same for programs, empty in entries from before it was kept.
        versions: of the packages.
        n_rows, digest: how many rows are stored, and their hash.
        order: of being recorded, whatever the clock said; 0 in entries from before it was kept, which come first.
        rule: by which it was decided; 1 in entries from before it was kept (``first_rule``).
        registered: whether and when the criterion had been registered, in words; empty in entries from before that was looked at.
        published: whether it comes with the project, and was not recorded here. The file does not say so, its place does.
        adapter: the first digits of the adapter's sha256 where the project has replaced the adapter since; else empty.
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
    criterion_json: str = ""
    standing: str = ""
    order: int = 0
    rule: int = 1
    registered: str = ""
    published: bool = False
    adapter: str = ""

    @property
    def from_rows(self) -> bool:
        """Whether the verdict was computed from rows, and not from a measurement that was handed over."""
        return self.how["measured"] is None and not self.how["not_run"]

    def summary(self) -> dict[str, object]:
        """The verdict as plain data; None for what is not known, or infinite."""
        numbers = {"effect": self.effect["value"], "low": self.effect["low"], "high": self.effect["high"], "p": self.p}
        return {
            **{name: getattr(self, name) for name in _SHOWN},
            **{name: value if math.isfinite(value) else None for name, value in numbers.items()},
            "n": self.effect["n"] or None,
            "gates": [dict(gate) for gate in self.gates],
            "reasons": " ".join(self.reasons),
        }

    def is_about(self, criterion: Criterion | None) -> bool:
        """Whether the verdict was reached by this criterion, in all that could be said of one when it was recorded."""
        if self.criterion_json:
            then, now = json.loads(self.criterion_json), json.loads(criterion_as_json(criterion))
            return then == now if then is None or now is None else _same(then, now)
        return self.criterion == _as_told(criterion)

    def is_about_earlier(self) -> bool:
        """Whether the verdict was reached by a criterion that its claim had before and that the project tells as replaced."""
        then = json.loads(self.criterion_json or "null")
        return then is not None and any(_same(then, one["criterion"]) for one in earlier_criteria(self.claim))

    @property
    def criterion_then(self) -> Criterion | None:
        """The criterion as it stood when the verdict was reached; None where the entry has no data of it."""
        from pydantic import TypeAdapter, ValidationError

        try:
            return TypeAdapter(Criterion | None).validate_json(self.criterion_json) if self.criterion_json else None
        except ValidationError as error:
            raise WorkbenchError(f"its criterion makes no sense: {error.errors()[0]['msg']}") from error

    def differences(self, verdict: Verdict, measured: Measured | None) -> list[str]:
        """In what a verdict that was computed again differs from this one."""
        told = []
        if verdict.outcome != self.outcome:
            told.append(f"outcome {verdict.outcome}, recorded {self.outcome}")
        numbers = {f"effect {k}": (getattr(verdict.effect, k), self.effect[k]) for k in ("value", "low", "high")}
        for name, (now, then) in {**numbers, "p": (verdict.p, self.p)}.items():
            both_unknown = math.isnan(now) and math.isnan(then)
            if not both_unknown and not math.isclose(now, then, rel_tol=1e-9, abs_tol=1e-12):
                told.append(f"{name} {now:.6g}, recorded {then:.6g}")
        gates = [] if measured is None else [json.loads(json.dumps(asdict(g), default=_plain)) for g in measured.gates]
        return told + ["gates"] * (len(gates) != len(self.gates) or not all(map(_same, map(dict, self.gates), gates)))


def _same(then: Mapping, now: Mapping) -> bool:
    """Whether what was recorded is so now, too; of what was not recorded then nothing is asked."""
    return all(
        key in now
        and (_same(value, now[key]) if isinstance(value, dict) and now[key] is not None else value == now[key])
        for key, value in then.items()
    )


def criterion_as_json(criterion: Criterion | None) -> str:
    """A criterion as data, with its keys in order: what is hashed, stored and compared."""
    return json.dumps(criterion and asdict(criterion), sort_keys=True, default=str)


def _as_told(value: object) -> str:
    """A criterion in the words of an entry: the repr that it had when entries held nothing else."""
    if type(value) not in _TOLD_AS:
        return repr(value)
    name, *fields = _TOLD_AS[type(value)].split()
    return f"{name}({', '.join(f'{field}={_as_told(getattr(value, field))}' for field in fields)})"


def digest_of(rows: "pd.DataFrame") -> str:
    """A hash of rows that changes with every cell of the columns that a verdict needs."""
    text = rows[list(COLUMNS)].astype(str).to_csv(index=False)
    return hashlib.sha256(text.encode()).hexdigest()[:32]


def write_entry(
    folder: Path,
    claim: Claim,
    verdict: Verdict,
    measured: Measured | None,
    how: Mapping[str, object],
    model: str,
    revision: str,
    rows: "pd.DataFrame | None",
) -> None:
    """Add an entry, which is there whole or not at all."""
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
        "criterion": _as_told(claim.criterion),
        "criterion_json": criterion_as_json(claim.criterion),
        "versions": versions(),
        "n_rows": len(kept),
        "order": 1 + max((entry.order for entry in _whole_entries(folder)), default=0),
        "digest": digest_of(kept),
    }
    table = pa.Table.from_pandas(kept, preserve_index=False)
    about = {**(table.schema.metadata or {}), _KEY: json.dumps(said, default=_plain).encode()}
    with whole(folder / f"verdict-{recorded:%Y%m%dT%H%M%S%f}-{said['id']}.parquet") as draft:
        pq.write_table(table.replace_schema_metadata(about), draft)


def _plain(value: object) -> object:
    """A number of numpy as Python's own."""
    if hasattr(value, "item"):
        return value.item()
    raise TypeError(f"{type(value).__name__} cannot be recorded: {value!r}")


def versions() -> dict[str, str]:
    """The versions of the packages that a number can depend on."""
    numbers = {}
    for name in _PACKAGES:
        try:
            numbers[name] = version(DISTRIBUTION if name == "workbench" else name)
        except PackageNotFoundError:
            numbers[name] = "not installed"
    return numbers


def read_entries(folder: Path) -> list[Entry]:
    """All entries of a folder, in the order in which they were recorded.

    A file that is torn or is no entry is named in a warning, counted and skipped.
    """
    entries, files = [], sorted(folder.glob("verdict-*.parquet"))
    for file in files:
        try:
            entries.append(_read_entry(file))
        except WorkbenchError as error:
            log.warning("%s; it is skipped", error)
    if len(entries) < len(files):
        log.warning("%s: %d of %d files were skipped", folder, len(files) - len(entries), len(files))
    return sorted(entries, key=lambda entry: (entry.order, entry.recorded, entry.id))


#: what the parts of an entry are, and of its effect; those that entries of before lack are not asked for
_WORDS = (
    "id",
    "recorded",
    "claim",
    "model",
    "revision",
    "outcome",
    "criterion",
    "digest",
    "criterion_json",
    "standing",
)
_KINDS: Mapping[str, tuple[type, ...]] = {
    **dict.fromkeys((*_WORDS, "registered"), (str,)),
    **dict.fromkeys(("n_rows", "order", "rule"), (int,)),
    **dict.fromkeys(("reasons", "gates"), (list,)),
    **dict.fromkeys(("effect", "how", "versions"), (dict,)),
    "on_analogue": (bool,),
    "p": (int, float),
}
_EFFECT: Mapping[str, tuple[type, ...]] = dict.fromkeys(("value", "low", "high"), (int, float)) | {"n": (int,)}


def _check_kinds(said: Mapping) -> None:
    """Raise TypeError, KeyError or ValueError unless all that an entry says is of its kind."""
    _check_parts(said, {name: kinds for name, kinds in _KINDS.items() if name in said})
    _check_parts(said["effect"], _EFFECT)
    if not {"measured", "not_run"} <= said["how"].keys():
        raise KeyError("how it was computed")
    for name, kind in {"reasons": str, "gates": dict}.items():
        if not all(isinstance(one, kind) for one in said[name]):
            raise TypeError(f"{name} are {said[name]!r:.60}")
    for gate in said["gates"]:
        _check_parts(gate, {"name": (str,), "passed": (bool,), "measured": (str,)})
    datetime.fromisoformat(said["recorded"])
    if not isinstance(json.loads(said.get("criterion_json") or "null"), dict | type(None)):
        raise TypeError(f"criterion_json is {said['criterion_json']!r:.60}")


def _check_parts(said: Mapping, kinds: Mapping[str, tuple[type, ...]]) -> None:
    for name, kind in kinds.items():
        value = said[name]
        if not isinstance(value, kind) or (isinstance(value, bool) and bool not in kind):
            raise TypeError(f"{name} is {value!r:.60}")


def _read_entry(file: Path) -> Entry:
    import pyarrow as pa
    import pyarrow.parquet as pq

    try:
        said = json.loads(pq.read_schema(file).metadata[_KEY])
        _check_kinds(said)
        return Entry(file, **{**said, "reasons": tuple(said["reasons"]), "gates": tuple(said["gates"])})
    except (pa.ArrowException, OSError, KeyError, TypeError, ValueError, RecursionError) as error:
        raise WorkbenchError(f"{file} is no ledger entry ({error}); move it away") from error


def _whole_entries(folder: Path) -> Iterator[Entry]:
    """The entries that can be read, without a word: a broken one is told when the ledger is shown."""
    for file in folder.glob("verdict-*.parquet"):
        with suppress(WorkbenchError):
            yield _read_entry(file)


def published_entries() -> list[Entry]:
    """The verdicts that come with the project, in the order in which they were recorded."""
    adapter = {entry: one["adapter"] for one in replaced_adapters() for entry in one["entries"]}
    entries = read_entries(data_folder() / "ledger")
    return [replace(entry, published=True, adapter=adapter.get(entry.id, "")) for entry in entries]


def keep_claim(ledger: Path, claim: Claim) -> None:
    """Copy the file of a claim, and the files that it uses, into a ledger; the logged claims need no copy.

    Args:
        ledger: its folder.
        claim: as ``wb.claim(id, file)`` gives it.

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
    taken = {one.id: "a logged claim" for one in logged_claims()}
    taken |= {one.id: one.file for one in kept_claims(ledger) if Path(one.file).stem != source.stem}
    for one in read_claims(source, notebooks=False):
        if one.id in taken:
            raise WorkbenchError(f"{source}: the id {one.id} is taken by {taken[one.id]}; choose another")
    names = [source.name, *read_toml(source)[0].get("uses", [])]
    if outside := [name for name in names if Path(name).name != name]:
        raise WorkbenchError(f"{source} uses {outside[0]}; what verdicts rest on uses files beside it only")
    for name in reversed(names):
        content, target = (source.parent / name).read_bytes(), ledger / _CLAIMS / source.stem / name
        if not target.is_file() or target.read_bytes() != content:
            with whole(target) as draft:
                draft.write_bytes(content)


def kept_claims(ledger: Path) -> tuple[Claim, ...]:
    """The claims of one's own that verdicts of a ledger are about, as they were when they were last judged.

    Raises:
        WorkbenchError: a copy is broken, or two files hold a claim of the same id.
    """
    by_id: dict[str, Claim] = {}
    for file in sorted((ledger / _CLAIMS).glob("*/*.toml")):
        for one in read_claims(file, notebooks=False) if file.stem == file.parent.name else ():
            first = by_id.setdefault(one.id, one)
            if first is not one:
                raise WorkbenchError(f"claim {one.id} is in {first.file} and {one.file}; remove the outdated folder")
    return tuple(by_id.values())
