"""Where are verdicts kept? In the ledger: what became of each claim when it was run again, and all it takes to check that.

An entry is one parquet file: the rows that the verdict was computed from (labels and conditions, no text), and the verdict
in the file's own metadata. Files are only ever added, each of them whole or not at all. Nothing here loads a model.
"""

import inspect
import math
import os
import tempfile
import zipfile
from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, dataclass, field, replace
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING

from workbench._errors import WorkbenchError, check_flag, unknown
from workbench.claims.claim import Claim
from workbench.claims.entries import (
    Entry,
    digest_of,
    keep_claim,
    kept_claims,
    published_entries,
    read_entries,
    write_entry,
)
from workbench.claims.evidence import SCORE, prepare_rows
from workbench.claims.exchange import unpacked, write_archive
from workbench.claims.files import claim, logged_claims, own_claims
from workbench.claims.first_rule import FIRST, decide_first
from workbench.claims.registrations import register, standing_of_rule, written_times
from workbench.claims.replication import errors_of, read_rows
from workbench.claims.standing import check_standing, standing_of
from workbench.claims.verdict import RULE, Gate, Measured, Verdict, check_gates, decide
from workbench.statistics.label_errors import LabelErrors
from workbench.statistics.paired_tests import holm
from workbench.statistics.results import Estimate

if TYPE_CHECKING:
    import pandas as pd

FOLDER = "runs/ledger"

__all__ = ["FOLDER", "How", "Ledger", "export", "open", "open_exported", "record", "record_all", "register"]


def record(
    about: str | Claim,
    rows: "pd.DataFrame | None" = None,
    *,
    arm: str = "",
    gates: Sequence[Gate] = (),
    log_score: str = "",
    measured: Measured | None = None,
    by_log: Measured | None = None,
    not_run: str = "",
    notes: Sequence[str] = (),
    others: Sequence[float] = (),
    model: str = "",
    revision: str = "",
    on_analogue: bool | None = None,
    standing: str = "",
    store: str | Path = "",
    path: str | Path = FOLDER,
) -> Verdict:
    """Compute the verdict of a replication and add it to the ledger.

    Args:
        about: a logged claim by its id, e.g. ``"S3.2"``, with the letter of a part that is judged apart (``"S2.10b"``); or one of
            your own: ``wb.claim("P1", "claims/P1.toml")``, whose file is copied into the ledger.
        rows: of ``wb.sweep`` with the score "refusal". The verdict is computed from them where the claim's criterion has a
            contrast; otherwise give ``measured``.
        arm: name of the arm that is judged, chosen on other prompts; by default the best of all, corrected for the choice.
        gates: measured elsewhere, e.g. ``wb.Gate("G2 hook", passed, "…")``; they count like those of the rows.
        log_score: name of the log's own score among the rows: what it alone finds is an artefact.
        measured: effect, p-value, direction and gates of a claim that rows of labels cannot answer.
        by_log: the same by the log's own metric.
        not_run: what is lacking; the verdict is "not run".
        notes: sentences that a reader must know besides the numbers; the verdict shows them.
        others: p-values of the other claims that the same notebook tests: the p-value is corrected for them (Holm).
        model, revision: what was run; taken from the rows where there are rows.
        standing: what the model is to the log: "logged", "another" or "analogue". By default its hub id and revision decide (see
            ``workbench.claims.standing``); a folder is the logged model only if you say so, and the entry records that you did.
        on_analogue: the shorter word for it: True for standing="analogue", False for standing="logged".
        store: folder of the completions that the rows are of; it knows when each was written, so that the verdict can say whether
            its rule was registered before (``workbench register``).
        path: folder of the ledger.

    Returns:
        The verdict: reproduced, smaller, not reproduced, opposite, artefact, inconclusive, not run or check.

    Raises:
        WorkbenchError: no such claim, or one of your own whose id is taken; rows that are no evidence (mock, of several
            models, with missing values); a claim that rows cannot answer, without ``measured``; no model. Nothing is
            written then.

    >>> import pandas as pd
    >>> from workbench.claims.evidence import COLUMNS
    >>> prompts = [f"prompt {i}" for i in range(60)]
    >>> plain = pd.DataFrame(dict.fromkeys(COLUMNS, "made up") | {"prompt": prompts, "base": prompts})
    >>> plain = plain.assign(set="positive", score="refusal", arm="baseline", layer=-1, ratio=0.0, value="refusal")
    >>> steered = plain.assign(arm="L8 -0.3", kind="direction", layer=8, ratio=-0.3, value="compliance")
    >>> verdict = record("S3.2", pd.concat([plain, steered]), path=folder)
    >>> print(verdict.outcome, verdict.effect, sep=", ")
    inconclusive, 1.00 [0.91, 1.00] n=60
    >>> [gate.name for gate in verdict.gates if not gate.passed]  # no control directions were run
    ['G6 specificity']
    >>> open(folder).recheck()["agrees"].tolist()
    [True]
    """
    _check_folder(path)  # a wrong place is an error before anything is computed
    check_gates(gates)
    _check_kinds(
        {"measured": measured, "by_log": by_log},
        {"arm": arm, "log_score": log_score, "not_run": not_run, "model": model, "revision": revision},
    )
    if on_analogue is not None:
        on_analogue = check_flag(on_analogue, "on_analogue")
    if not isinstance(others, Sequence) or isinstance(others, str):
        raise WorkbenchError(f"others={others!r:.60}: expected a list of p-values")
    if isinstance(notes, str) or not isinstance(notes, Sequence) or not all(isinstance(note, str) for note in notes):
        raise WorkbenchError(f"notes={notes!r:.60}: expected a list of sentences")
    chosen = _claim_to_judge(about)
    given = {"rows": rows is not None, "measured": measured is not None, "not_run": bool(not_run)}
    there = [name for name, is_given in given.items() if is_given]
    if not there or (not_run and len(there) > 1):
        raise WorkbenchError(
            f"{chosen.id}: give rows, or measured=, or only not_run=; got {' and '.join(there) or 'nothing'}"
        )
    kept = None if rows is None else prepare_rows(rows, (SCORE, log_score) if log_score else (SCORE,))
    if kept is not None:
        model, revision = str(kept["model"].iloc[0]), str(kept["revision"].iloc[0])
    if not model and not not_run:
        raise WorkbenchError(f"{chosen.id}: no model; say which was run, e.g. model=lm.name")
    said = standing or {None: "", True: "analogue", False: "logged"}[on_analogue]
    stands = check_standing(said) if said else standing_of(model, revision, chosen) if model else ""
    gates, others = tuple(gates), tuple(others)
    errors = None if kept is None or measured is not None else errors_of(chosen, kept)
    how = How(arm, gates, log_score, measured, by_log, not_run, stands != "logged", others, stands, bool(said), errors)
    how = replace(how, notes=tuple(notes))
    verdict, what, arm_judged = how.judge(chosen, kept)
    if chosen.criterion is not None and not not_run:
        written = written_times(store, kept["key"]) if store and kept is not None and "key" in kept else []
        verdict = replace(verdict, registered=standing_of_rule(path, chosen, written))
    keep_claim(Path(path), chosen)
    write_entry(Path(path), chosen, verdict, what, asdict(how) | {"arm_judged": arm_judged}, model, revision, kept)
    return verdict


def _check_kinds(numbers: Mapping[str, object], words: Mapping[str, object]) -> None:
    """What ``record`` takes under these names is a Measured or nothing, and text."""
    for name, one in numbers.items():
        if one is not None and not isinstance(one, Measured):
            raise WorkbenchError(f"{name}={one!r:.60}: expected wb.Measured(effect, p, direction_holds)")
    for name, word in words.items():
        if not isinstance(word, str):
            raise WorkbenchError(f"{name}={word!r:.60}: expected text")


def _claim_to_judge(about: object) -> Claim:
    """The claim, by its id or as it is; not one that is judged by the experiment of another."""
    chosen = claim(about) if isinstance(about, str) else about
    if not isinstance(chosen, Claim):
        raise WorkbenchError(f"{about!r:.60} is no claim; give an id, e.g. 'S3.2', or wb.claim(id, 'FILE.toml')")
    if chosen.criterion is not None and chosen.criterion.shares_rows:
        other = chosen.criterion.shares_rows
        raise WorkbenchError(f"{chosen.id} is judged by the experiment of {other}, which counts once; record {other!r}")
    return chosen


def record_all(
    replications: Mapping[str, Mapping[str, object]], path: str | Path = FOLDER, **about: object
) -> dict[str, Verdict]:
    """Record what one notebook says of several claims: their p-values are corrected for one another (Holm), then each is recorded.

    A claim that has no p-value, was not run, or is arithmetic on one's own rows is no test, and costs the others nothing.

    Args:
        replications: for each claim what ``record`` takes beside it, e.g. ``{"S3.4": {"measured": …}, "S3.5": {"measured": …}}``.
        path: folder of the ledger.
        about: what is the same for all of them, e.g. ``model="my-model"``.

    Returns:
        The verdicts, by claim.

    Raises:
        WorkbenchError: as ``record``, of the first claim that is wrong; nothing is written then.

    >>> def measured(p):
    ...     return {"measured": wb.Measured(wb.Estimate(0.3, 0.1, 0.5, 60, "made up"), p, True)}
    >>> said = record_all({"S2.8": measured(0.03), "S2.12": measured(0.04)}, path=folder, model="tiny")
    >>> [verdict.p for verdict in said.values()]
    [0.06, 0.06]
    """
    known = inspect.signature(record).parameters.keys() - {"about"}
    if not isinstance(replications, Mapping) or not all(isinstance(more, Mapping) for more in replications.values()):
        raise WorkbenchError(
            f"replications={replications!r:.60}: expected what is said of each claim, e.g. {{'S3.4': {{'measured': …}}}}"
        )
    for key in {key: None for more in (about, *replications.values()) for key in more}:
        if key not in known:
            raise unknown("argument of record", key, sorted(known))
    given = {name: {**about, **more} for name, more in replications.items()}
    chosen = {name: claim(name) for name in given}
    p_values = {name: p for name, more in given.items() if (p := _p_alone(chosen[name], more)) is not None}
    verdicts = {}
    for name, more in given.items():
        others = [p for other, p in p_values.items() if other != name] if name in p_values else []
        verdicts[name] = record(name, others=others, path=path, **more)  # type: ignore[arg-type]
    return verdicts


def _p_alone(chosen: Claim, more: Mapping) -> float | None:
    """The p-value of one replication by itself; None where it is no confirmatory test."""
    if chosen.criterion is None or more.get("not_run") or chosen.criterion.arithmetic:
        return None
    measured = more.get("measured")
    if measured is None and more.get("rows") is not None:
        rows = prepare_rows(more["rows"], (SCORE,))
        measured = read_rows(chosen, rows, str(more.get("arm", "")), errors=errors_of(chosen, rows)).measured
    if not isinstance(measured, Measured) or measured.effect.n < chosen.criterion.at_least:
        return None
    return None if math.isnan(measured.p) else float(measured.p)


def open(path: str | Path = FOLDER, published: bool = False) -> "Ledger":
    """The ledger in a folder, which need not exist yet, or in a file that ``export`` wrote.

    Args:
        path: of the folder or file.
        published: whether the verdicts that come with the project stand beside one's own.

    Raises WorkbenchError for another file, or a place below one.
    """
    if isinstance(path, str | Path) and os.path.isfile(path) and zipfile.is_zipfile(path):
        return open_exported(path)
    _check_folder(path)
    return Ledger(Path(path), published=check_flag(published, "published"))


def open_exported(file: str | Path) -> "Ledger":
    """The ledger in a file that ``export`` wrote, unpacked into a folder that goes when it does. Raises WorkbenchError for any other."""
    folder = unpacked(file)
    return Ledger(Path(folder.name), folder)


def export(ledger: "Ledger", file: str | Path) -> Path:
    """Write a ledger into one file that anybody can check: rows, claims, registrations, versions, and no text of a model.

    Raises:
        WorkbenchError: the ledger holds no verdicts, or the file is there already.

    >>> _ = record("S3.9", not_run="nothing to run", path=folder / "ledger")
    >>> open(export(open(folder / "ledger"), folder / "mine.zip")).recheck()["agrees"].tolist()
    [True]
    """
    if not isinstance(ledger, Ledger):
        raise WorkbenchError(f"{ledger!r:.60} is no ledger; open it: wb.ledger.open({FOLDER!r})")
    return write_archive(ledger.path, read_entries(ledger.path), ledger.claims, file)


def _check_folder(path: str | Path) -> None:
    if not isinstance(path, str | Path) or not str(path).strip() or "\0" in str(path):
        raise WorkbenchError(f"path={path!r:.60}: expected the folder of a ledger, e.g. {FOLDER!r}")
    for place in (Path(path), *Path(path).parents):
        if place.exists() and not place.is_dir():
            raise WorkbenchError(f"{place} is a file; a ledger is a folder, e.g. {FOLDER}")


@dataclass(frozen=True)
class How:
    """How a verdict is computed: what ``record`` was given beside claim and rows."""

    arm: str = ""
    gates: tuple[Gate, ...] = ()
    log_score: str = ""
    measured: Measured | None = None
    by_log: Measured | None = None
    not_run: str = ""
    on_analogue: bool = True
    others: tuple[float, ...] = ()
    standing: str = ""  # none in entries from before it was kept
    standing_said: bool = False
    label_errors: tuple[LabelErrors, LabelErrors] | None = None  # that the effect was corrected for
    notes: tuple[str, ...] = ()

    def judge(
        self, chosen: Claim, rows: "pd.DataFrame | None", rule: int = RULE
    ) -> tuple[Verdict, Measured | None, str]:
        """The verdict by a rule, what it rests on, and the arm that was judged."""
        if self.not_run:
            none = Estimate(float("nan"), float("nan"), float("nan"), 0, "not run")
            words = (f"{self.not_run.rstrip('.')}.", *self.notes) if self.notes else (self.not_run,)
            return (
                Verdict(chosen.id, "not run", none, float("nan"), words, self.on_analogue, (), self.standing, rule),
                None,
                "",
            )
        what, by_log, arm = self.measured, self.by_log, ""
        if what is None:
            assert rows is not None
            reading = read_rows(chosen, rows, self.arm, SCORE, self.gates, rule, self.label_errors)
            what, arm = reading.measured, reading.arm
            if self.log_score:
                by_log = read_rows(chosen, rows, self.arm, self.log_score, rule=rule).measured
        what = replace(what, notes=(*what.notes, *self.notes))
        if self.others:
            again = f"p corrected for {len(self.others)} other claims (Holm); alone it is {what.p:.2g}."
            what = replace(what, p=holm([what.p, *self.others])[0], notes=(*what.notes, again))
        if rule == FIRST:
            if chosen.criterion is None:
                raise WorkbenchError(f"{chosen.id} has no criterion: it is not to be run")
            verdict = decide_first(chosen, chosen.criterion, what, self.on_analogue, by_log)
        else:
            numbers = (what.effect, what.p, what.direction_holds)
            verdict = decide(chosen, what.gates, *numbers, self.on_analogue, by_log, what.uncorrected)
        return replace(verdict, reasons=(*verdict.reasons, *what.notes), standing=self.standing), what, arm

    @classmethod
    def of(cls, said: Mapping) -> "How":
        """Read back what an entry holds of it."""
        from pydantic import TypeAdapter, ValidationError

        try:
            return TypeAdapter(cls).validate_python(said)
        except ValidationError as error:
            raise WorkbenchError(f"what it was computed with makes no sense: {error.errors()[0]['msg']}") from error


@dataclass(frozen=True)
class Ledger:
    """All claims, their audits, and the verdicts recorded in a folder.

    >>> opened = open(folder)
    >>> len(opened.claims), opened.entries()
    (47, [])
    """

    path: Path
    unpacked: tempfile.TemporaryDirectory | None = field(default=None, repr=False, compare=False)  # of an exported one
    published: bool = False  # whether the verdicts that come with the project are among its own

    @cached_property
    def claims(self) -> tuple[Claim, ...]:
        """The logged claims, in their order, and those of this project and of your own that were judged."""
        judged = {entry.claim for entry in self.entries()}
        of_project = (one for one in own_claims() if one.id in judged)
        return (*logged_claims(), *of_project, *kept_claims(self.path))

    def entries(self) -> list[Entry]:
        """Every verdict ever recorded, oldest first; before them those that come with the project, where these were asked for."""
        return [*(published_entries() if self.published else ()), *read_entries(self.path)]

    def latest(self) -> dict[str, list[Entry]]:
        """The latest verdict per claim and model, published and one's own apart; models in the order in which the ledger met them.

        A claim that shares the rows of another one has that one's verdicts: one experiment is one entry.
        """
        entries = self.entries()
        order = {model: i for i, model in enumerate(dict.fromkeys(entry.model for entry in entries))}
        last = {(entry.claim, entry.model, entry.published): entry for entry in entries}
        by_model = sorted(last.values(), key=lambda entry: order[entry.model])
        lines = [line for one in self.claims for line in one.lines()]
        source = {one.id: one.criterion.shares_rows if one.criterion else "" for one in lines}
        return {name: [entry for entry in by_model if entry.claim == (other or name)] for name, other in source.items()}

    def records(self) -> list[dict[str, object]]:
        """One record per claim: id, title, source, model (of the log), audit, verdicts, and the parts that are judged apart.

        Plain data, as JSON wants it; ``part`` is the letter of what the claim's own verdict rests on, where it rests on a part.
        """
        latest = self.latest()
        return [
            {
                "id": one.id,
                "title": one.title,
                "source": f"{one.log.file or one.log.id}, {one.section}",
                "model": ", ".join(one.models),
                "audit": one.audit().verdict,
                "part": one.criterion.part if one.criterion else "",
                "shares_rows": one.criterion.shares_rows if one.criterion else "",
                "verdicts": [self._told(entry) for entry in latest[one.id]],
                "parts": [
                    {"id": p.id, "title": p.title, "verdicts": [self._told(entry) for entry in latest[p.id]]}
                    for p in one.lines()[1:]
                ],
            }
            for one in self.claims
        ]

    def _told(self, entry: Entry) -> dict[str, object]:
        """An entry as plain data, and whether the criterion of its claim has been replaced since."""
        return entry.summary() | {"earlier": self._criterion_of(entry) == "earlier"}

    def frame(self) -> "pd.DataFrame":
        """One row per claim (or part that is judged apart) and model, and one for each that was not run: a pandas DataFrame.

        Columns: claim, part_of, title, audit, logged (value, in ``unit``), minimum, form (of the criterion), unit, outcome, on_analogue,
        standing, effect, low, high, n, p, model, recorded, rule, registered, published, reasons.
        """
        import pandas as pd

        latest = self.latest()
        nothing: dict[str, object] = {
            "outcome": "not run",
            "on_analogue": False,
            "standing": "",
            "model": "",
            "recorded": "",
            "rule": RULE,
            "registered": "",
            "published": False,
            "reasons": "",
        }
        nothing |= dict.fromkeys(("effect", "low", "high", "n", "p"), float("nan"))
        rows = []
        for of, one in ((own, line) for own in self.claims for line in own.lines()):
            about: dict[str, object] = {"claim": one.id, "part_of": of.id if one is not of else ""}
            about |= {"title": one.title, "audit": of.audit().verdict}
            about |= {"logged": float("nan"), "minimum": float("nan"), "form": "", "unit": ""}
            if rule := one.criterion:
                about |= {"minimum": float(rule.minimum_effect), "form": rule.form, "unit": rule.unit}
                about |= {} if rule.logged is None else {"logged": float(rule.logged)}
            for verdict in [entry.summary() for entry in latest[one.id]] or [{}]:
                rows.append({**about, **nothing, **{k: v for k, v in verdict.items() if v is not None}})
        return pd.DataFrame(rows).drop(columns=["gates", "revision", "id", "adapter"], errors="ignore")

    def recheck(
        self, texts: "pd.DataFrame | None" = None, scores: Sequence[Callable[[str], object]] = ()
    ) -> "pd.DataFrame":
        """Compute every recorded verdict again from its stored rows, and compare.

        Args:
            texts: of the store of completions (``wb.store.open(…).frame(show_text=True)``): labels are then computed again too.
            scores: the scores that gave the labels, e.g. ``[wb.refusal]``; each has a ``name``.

        Returns:
            A DataFrame: id, claim, model, from ("rows" or "measured"), rule (by which it was decided, and is again), criterion
            ("present", "earlier" or "unknown"), outcome, again, agrees, differs (what, in words). An entry is judged by the criterion
            that it holds. One that is neither the present one of the claim nor among those that ``data/claims/earlier.json`` tells
            as replaced is a difference.
        """
        import pandas as pd

        if texts is not None and "text" not in texts:
            raise WorkbenchError("texts= has no column 'text'; give wb.store.open(…).frame(show_text=True)")
        checked = []
        for entry in self.entries():
            differs, again = self._judge_again(entry, texts, scores)
            source = "rows" if entry.from_rows else "measured"
            about = (entry.id, entry.claim, entry.model, source, entry.rule, self._criterion_of(entry), entry.outcome)
            checked.append((*about, again, not differs, "; ".join(differs)))
        columns = ["id", "claim", "model", "from", "rule", "criterion", "outcome", "again", "agrees", "differs"]
        return pd.DataFrame(checked, columns=columns)

    def _criterion_of(self, entry: Entry) -> str:
        """Whether an entry was decided by the present criterion of its claim, by one that was replaced, or by neither."""
        now = next((line.criterion for one in self.claims for line in one.lines() if line.id == entry.claim), None)
        return "present" if entry.is_about(now) else "earlier" if entry.is_about_earlier() else "unknown"

    def _judge_again(self, entry: Entry, texts: "pd.DataFrame | None", scores: Sequence) -> tuple[list[str], str]:
        """What differs when an entry is computed again, and the verdict it then gets."""
        import pandas as pd

        rows = pd.read_parquet(entry.file) if entry.n_rows else None
        differs = [] if rows is None or digest_of(rows) == entry.digest else ["its rows are not those recorded"]
        by_id = {line.id: line for one in self.claims for line in one.lines()}
        chosen = by_id.get(entry.claim)
        if chosen is None and entry.is_about_earlier():  # of a part that is not judged apart any more
            chosen = replace(by_id[entry.claim[:-1]], id=entry.claim)
        if chosen is None:
            return [*differs, "there is no such claim now"], ""
        if not entry.is_about(chosen.criterion) and not entry.is_about_earlier():
            differs.append("the criterion was another one then")
        try:
            if then := entry.criterion_then:
                chosen = replace(chosen, criterion=then)
            verdict, measured, _ = How.of(entry.how).judge(chosen, rows, entry.rule)
        except WorkbenchError as error:
            return [*differs, str(error)], ""
        if rows is not None and texts is not None:
            differs += _other_labels(rows, texts, scores)
        return differs + entry.differences(verdict, measured), verdict.outcome


def _other_labels(rows: "pd.DataFrame", texts: "pd.DataFrame", scores: Sequence) -> list[str]:
    """Labels that come out otherwise when stored texts are scored again; and rows whose text is not stored."""
    known = texts.drop_duplicates("key").set_index("key")["text"]
    told = []
    for score in scores:
        own = rows[rows["score"] == score.name]
        lost = int((~own["key"].isin(known.index)).sum())
        own = own[own["key"].isin(known.index)]
        labels = {key: str(score(known[key])) for key in own["key"].unique()}
        other = int((own["key"].map(labels) != own["value"]).sum())
        told += [f"{lost} texts are not stored"] * bool(lost) + [f"{other} labels are now others"] * bool(other)
    return told
