"""Was the rule fixed before the numbers? A registration: hash and time of a claim's criterion and checks.

It is a file in the ledger, added and never changed. Its time and those of the rows are of this machine's clock, and files can be
made up: what it proves to others is as much as the place where its hash was published in time.
"""

import json
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import asdict, dataclass, is_dataclass
from datetime import datetime, timezone
from pathlib import Path

from workbench._errors import WorkbenchError
from workbench._errors.redaction import logger
from workbench._files import content_key, whole
from workbench.claims.claim import Claim
from workbench.claims.entries import criterion_as_json, keep_claim, versions

log = logger(__name__)

_FOLDER = "registered"
_FORM = 1  # of the files


@dataclass(frozen=True)
class Registration:
    """What was fixed, and when.

    Attributes:
        claim: its id.
        hash: of its criterion and checks.
        time: UTC, ISO 8601.
        criterion, checks: as data.
        versions: of the packages.
    """

    claim: str
    hash: str
    time: str
    criterion: Mapping
    checks: Sequence
    versions: Mapping[str, str]
    form: int = _FORM


def claim_hash(claim: Claim) -> str:
    """64 hexadecimal digits that change with anything in the criterion or the checks of a claim, and with nothing else.

    >>> from dataclasses import replace
    >>> one = wb.claim("S3.2")
    >>> claim_hash(one) == claim_hash(replace(one, title="another title")), claim_hash(one) == claim_hash(wb.claim("S3.3"))
    (True, False)
    """
    return content_key(_content(claim), length=64)


def _content(claim: Claim) -> list:
    """Criterion and checks as plain data."""
    checks = [[check.test, check.part, check.arguments] for check in claim.checks]
    plain = json.dumps(checks, sort_keys=True, default=_as_data)
    return [json.loads(criterion_as_json(claim.criterion)), json.loads(plain)]


def _as_data(value: object) -> object:
    return asdict(value) if is_dataclass(value) and not isinstance(value, type) else str(value)


def register(claims: Sequence[Claim], ledger: str | Path) -> list[Registration]:
    """Fix criterion and checks of claims, and of each of their parts that is judged apart, in a ledger.

    A claim that is registered already as it is keeps its first time; one that has changed since gets another registration.

    Returns:
        The registrations, old and new.

    Raises:
        WorkbenchError: a claim without a criterion, or one whose id is taken. Nothing is written then.

    >>> first = register([wb.claim("S3.2")], folder)
    >>> register([wb.claim("S3.2")], folder) == first
    True
    """
    if not isinstance(claims, Sequence) or not all(isinstance(one, Claim) for one in claims):
        raise WorkbenchError(f"claims={claims!r:.60}: expected a list of claims, e.g. [wb.claim('S3.2')]")
    lines = [line for one in claims for line in one.lines() if one.criterion]
    if not lines:
        raise WorkbenchError("nothing to register: no claim here has a criterion; write [claim.criterion] first")
    for one in claims:
        keep_claim(Path(ledger), one)
    done = []
    for line in lines:
        known = registrations(ledger, line)
        done.append(known[0] if known else _write(line, Path(ledger)))
    return done


def _write(claim: Claim, ledger: Path) -> Registration:
    criterion, checks = _content(claim)
    time = datetime.now(timezone.utc)  # noqa: UP017 (as Python 3.11 and mypy both know it)
    made = Registration(claim.id, claim_hash(claim), time.isoformat(timespec="seconds"), criterion, checks, versions())
    with whole(ledger / _FOLDER / f"{claim.id}-{time:%Y%m%dT%H%M%S%f}-{made.hash[:12]}.json") as draft:
        draft.write_text(json.dumps(asdict(made), indent=1, ensure_ascii=False) + "\n", encoding="utf-8")
    return made


def registrations(ledger: str | Path, claim: Claim) -> list[Registration]:
    """The registrations of a claim as it is now, oldest first; those of other criteria are not among them.

    Raises:
        WorkbenchError: a file that is none; it is named. Or one whose hash is not that of what it holds.
    """
    there, broken = _read_all(Path(ledger), claim)
    if broken:
        raise broken[0]
    return there


def _read_all(ledger: Path, claim: Claim) -> tuple[list[Registration], list[WorkbenchError]]:
    """The registrations of a claim as it is now, oldest first; and what is wrong with files that should be some."""
    wanted, there, broken = claim_hash(claim), list[Registration](), list[WorkbenchError]()
    for file in sorted((ledger / _FOLDER).glob(f"{claim.id}-*.json")):
        try:
            said = _read(file)
        except WorkbenchError as error:
            broken.append(error)
            continue
        there += [said] * (said.claim == claim.id and said.hash == wanted)
    return sorted(there, key=lambda one: one.time), broken


def _read(file: Path) -> Registration:
    try:
        said = Registration(**json.loads(file.read_text(encoding="utf-8")))
        if datetime.fromisoformat(said.time).tzinfo is None:
            raise ValueError(f"its time {said.time!r:.40} has no zone")
    except (OSError, ValueError, TypeError, RecursionError) as error:
        raise WorkbenchError(f"{file} is no registration ({error}); move it away") from error
    if said.hash != content_key([said.criterion, said.checks], length=64):
        raise WorkbenchError(f"{file}: its hash is not that of what it holds; it was changed, so move it away")
    return said


def written_times(store: str | Path, keys: Iterable[str]) -> list[str]:
    """When each of some rows was written into a store of completions, UTC; nothing unless it is known of all of them."""
    import pyarrow.parquet as pq

    wanted = set(keys)
    times: dict[str, str] = {}
    for part in Path(store).glob("part-*.parquet"):
        try:
            columns = pq.read_table(part, columns=["key", "written"]).to_pydict()
        except (OSError, ValueError, KeyError):  # from before times were kept, or torn
            continue
        times |= {key: time for key, time in zip(columns["key"], columns["written"], strict=True) if key in wanted}
    return list(times.values()) if set(times) == wanted else []


def standing_of_rule(ledger: str | Path, claim: Claim, written: Sequence[str]) -> str:
    """What can be said of when the criterion of a claim was fixed: a sentence; empty where it was not registered.

    A file that is broken keeps no verdict from being recorded: it is named in a warning, and counted in the sentence.

    Args:
        written: when each of the rows was written, UTC; empty where that is not known.
    """
    known, broken = _read_all(Path(ledger), claim)
    for error in broken:
        log.warning("%s; it was not counted", error)
    lost = f"{len(broken)} broken registration{'s were' if len(broken) > 1 else ' was'} not counted."
    return " ".join(filter(None, (_said_of(known, written), lost if broken else "")))


def _said_of(known: Sequence[Registration], written: Sequence[str]) -> str:
    if not known:
        return ""
    first = known[0]
    said = f"Registered {first.time} (hash {first.hash[:12]})"
    if not written:
        return f"{said}, before this verdict; its rows carry no time."
    before = sum(time < first.time for time in written)
    if before:
        return f"{said}, after {before} of {len(written)} rows had been written."
    return f"{said}, before the first of its rows was written ({min(written)})."
