"""The audit: general checks, chosen per claim in its file, that say from the logged numbers alone what they can carry.

Each check is a function over cells of the record; its parameters are the keys of a ``[[claim.check]]`` table. What a
failure means belongs to the kind of check, never to a file.
"""

import inspect
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any, get_args, get_origin, get_type_hints

from workbench.audits import arithmetic, power, procedure, wording
from workbench.audits.findings import VERDICTS, Audit, Finding, Result, audited, combine
from workbench.audits.tables import as_dict, details, summary
from workbench.errors import WorkbenchError
from workbench.records import Cell, Fact, Record
from workbench.schema import expect, known_keys, show, value_of
from workbench.toml_lines import Lines, Place

__all__ = [
    "CHECKS",
    "VERDICTS",
    "Audit",
    "Check",
    "Finding",
    "Result",
    "as_dict",
    "audited",
    "bind",
    "combine",
    "details",
    "summary",
]


@dataclass(frozen=True)
class Kind:
    """A kind of check: the function that computes it, and what it means when it fails."""

    run: Callable[..., Result | list[Result]]
    means: str


def _kinds(means: str, **functions: Callable[..., Result | list[Result]]) -> dict[str, Kind]:
    return {name: Kind(function, means) for name, function in functions.items()}


#: Every check by its name in a claims file.
CHECKS: Mapping[str, Kind] = {
    **_kinds(
        "inconsistent",
        grim=arithmetic.grim,
        sum=arithmetic.sum_of,
        mean=arithmetic.mean_of,
        product=arithmetic.product_of,
        difference=arithmetic.difference,
        ratio=arithmetic.ratio,
        change=arithmetic.change,
        pooled_sd=arithmetic.pooled_sd,
        correlation=arithmetic.correlation,
        subgroups=arithmetic.subgroups,
        within=wording.within,
        monotone=wording.monotone,
        peak=wording.peak,
        reversals=wording.reversals,
        same=wording.same,
        compatible=wording.compatible,
        repeats=wording.repeats,
        alike=wording.alike,
        alike_means=wording.alike_means,
        totals=wording.totals,
        every=wording.every,
        p_value=wording.p_value,
        distinct=wording.distinct,
        certain=wording.certain,
        record=wording.record,
        step_or_curve=procedure.step_or_curve,
    ),
    **_kinds(
        "underpowered",
        differs=power.differs,
        paired_best=power.paired_best,
        at_distinct=power.at_distinct,
        vary=power.vary,
        trend=power.trend,
        best_of=power.best_of,
        chance_match=power.chance_match,
        limit=power.limit,
        power=power.powered,
        beyond_noise=power.beyond_noise,
        means_differ=power.means_differ,
        nonzero=power.nonzero,
        separate=power.separate,
        correlations_differ=power.correlations_differ,
        governs=power.governs,
        aucs_differ=power.aucs_differ,
        auc_best_of=power.auc_best_of,
    ),
    **_kinds(
        "artefact",
        skipped_row=procedure.skipped_row,
        union=procedure.union,
        known_answers=procedure.known_answers,
        recovers=procedure.recovers,
        procedure=procedure.procedure,
    ),
    **_kinds("refuted (analytic)", variance_law=procedure.variance_law, identical=procedure.identical),
    **_kinds("untestable", measured=procedure.measured, relation=procedure.relation),
}


@dataclass(frozen=True)
class Check:
    """One check of a claim, with the cells it is about.

    Attributes:
        test: its name in ``CHECKS``.
        part: the letter of the assertion it bears on, or empty.
        arguments: of the check's function.
        place, lines: where it stands in its file, for messages.
    """

    test: str
    part: str
    arguments: Mapping[str, Any]
    place: Place = field(repr=False, compare=False)
    lines: Lines = field(repr=False, compare=False)

    def run(self) -> list[Finding]:
        """Compute it.

        Raises:
            WorkbenchError: the cells do not suit the check; the message has file and line.
        """
        kind = CHECKS[self.test]
        try:
            found = kind.run(**self.arguments)
        except WorkbenchError as error:
            raise self.lines.error(self.place, f"check {self.test!r}: {error}") from error
        results = found if isinstance(found, list) else [found]
        return [
            Finding(
                self.test,
                r.sentence,
                r.p,
                self.part,
                r.outcome,
                (r.verdict or kind.means) if r.outcome == "fails" else "",
                r.values,
            )
            for r in results
        ]


def bind(table: Mapping[str, Any], letters: Mapping[str, str], record: Record, place: Place, lines: Lines) -> Check:
    """A check of a claims file, its references resolved.

    Args:
        table: the ``[[claim.check]]``: ``test``, optionally ``part``, and the parameters of that check.
        letters: the assertions of the claim.
        record: what references lead into.
        place, lines: for messages.

    Raises:
        WorkbenchError: an unknown check, parameter, letter or reference, or a parameter missing; with the line.
    """
    test, part = table.get("test"), table.get("part", "")
    expect(isinstance(test, str) and test in CHECKS, (*place, "test"), lines, _unknown("check", test, CHECKS))
    assert isinstance(test, str)
    fine = part == "" or part in letters
    expect(fine, (*place, "part"), lines, _unknown("part", part, letters))
    function = CHECKS[test].run
    hints = get_type_hints(function)
    parameters = {name.rstrip("_"): p for name, p in inspect.signature(function).parameters.items()}
    known_keys(table, ["test", "part", *parameters], place, lines)
    lacking = [key for key, p in parameters.items() if p.default is p.empty and key not in table]
    expect(not lacking, place, lines, f"check {test!r} lacks {', '.join(lacking)}")
    arguments = {
        p.name: _argument(hints[p.name], table[key], record, (*place, key), lines)
        for key, p in parameters.items()
        if key in table
    }
    return Check(test, part, arguments, place, lines)


def _unknown(what: str, seen: object, known: Mapping[str, object]) -> str:
    return f"unknown {what} {show(seen)}; there are {', '.join(known) or 'none'}"


def _argument(hint: Any, value: object, record: Record, place: Place, lines: Lines) -> Any:
    """A value of a check table as the check's function wants it."""
    if hint is Cell or Cell in get_args(hint):
        if get_origin(hint) is tuple:
            return _cells(value, record, place, lines)
        cells = _cells(value, record, place, lines)
        expect(len(cells) == 1, place, lines, f"{show(value)} is {len(cells)} cells, and one is needed")
        return cells[0]
    if get_origin(hint) is tuple and get_args(hint)[0] is Fact:
        names = value_of(tuple[str, ...], value, place, lines)
        for i, name in enumerate(names):
            expect(name in record.facts, (*place, i), lines, _unknown("fact", name, record.facts))
        return tuple(record.facts[name] for name in names)
    if get_origin(hint) is tuple:
        expect(isinstance(value, list), place, lines, f"a list of references is needed, got {show(value)}")
        assert isinstance(value, list)
        return tuple(_cells(v, record, (*place, i), lines) for i, v in enumerate(value))
    return value_of(hint, value, place, lines)


def _cells(value: object, record: Record, place: Place, lines: Lines) -> tuple[Cell, ...]:
    """The cells of one reference, or of a list of references one after the other."""
    if isinstance(value, list):
        return tuple(c for i, v in enumerate(value) for c in _cells(v, record, (*place, i), lines))
    expect(isinstance(value, str), place, lines, f"a reference to logged numbers is needed, got {show(value)}")
    try:
        return record.cells(str(value))
    except LookupError as error:
        raise lines.error(place, str(error.args[0])) from error
