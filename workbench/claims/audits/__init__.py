"""The audit: general checks, chosen per claim in its file, that say from the logged numbers alone what they can carry.

Each check is a function over cells of the record; its parameters are the keys of a ``[[claim.check]]`` table. What a
failure means belongs to the kind of check, never to a file.
"""

import inspect
import math
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field, replace
from typing import Any, get_args, get_origin, get_type_hints

from workbench._errors import WorkbenchError, unknown
from workbench.claims.audits.check_results import Finding, Outcome, Result
from workbench.claims.audits.kinds import CHECKS, EXACT, REPEATS, without_content
from workbench.claims.audits.noise import ALPHA
from workbench.claims.printed_numbers import Cell, Fact, Record
from workbench.claims.toml_schema import Lines, Place, expect, known_keys, show, value_of


@dataclass(frozen=True)
class BoundCheck:
    """One check of a claim, with the cells it is about.

    Attributes:
        test: its name in ``CHECKS``.
        part: the letter of the assertion it bears on, or empty.
        arguments: of the check's function.
        place, lines: where it stands in its file, for messages.
        family: how many checks of its file, this one among them, ask whether honest repeats agree.
    """

    test: str
    part: str
    arguments: Mapping[str, Any]
    place: Place = field(repr=False, compare=False)
    lines: Lines = field(repr=False, compare=False)
    family: int = 1

    def run(self) -> list[Finding]:
        """Compute it. A check that does not suit its numbers is one finding that says so, with file and line."""
        kind = CHECKS[self.test]
        try:
            computed = kind.run(**self.arguments)
            results = computed if isinstance(computed, list) else [computed]
            if any(r.p is not None and math.isnan(r.p) for r in results):
                raise WorkbenchError("its p-value is no number: there are too few numbers, or they do not vary")
        except (ValueError, ArithmeticError, LookupError, TypeError, AssertionError) as error:
            zero = isinstance(error, ZeroDivisionError)
            raw = "a number is divided by zero" if zero else f"the numbers do not suit it ({error})"
            why = str(error) if isinstance(error, WorkbenchError) else raw
            message = self.lines.error(self.place, f"check {self.test!r} cannot be computed: {why}")
            return [Finding(self.test, str(message), None, self.part, "not computed")]
        return [self._finding(self._of_family(result), kind.means) for result in results]

    def _of_family(self, result: Result) -> Result:
        """A difference of repeats counts against as many as were compared (Bonferroni): of many, some differ by chance."""
        repeats = self.test in REPEATS and "margin" not in self.arguments
        if not repeats or self.family == 1 or result.outcome != "fails" or result.p is None:
            return result
        sentence = f"{result.sentence}, times {self.family} repeats compared in this file: {min(1, self.family * result.p):.2g}"
        outcome: Outcome = "fails"
        if self.family * result.p >= ALPHA:
            outcome = "note" if self.test.startswith("alike") else "holds"
        return replace(result, outcome=outcome, sentence=sentence)

    def _finding(self, result: Result, meaning: str) -> Finding:
        verdict = (result.verdict or meaning) if result.outcome == "fails" else ""
        sentence = result.sentence
        if self.test not in EXACT and (rounded := self._rounded_counts()):
            sentence = f"{sentence}; {rounded}"
        return Finding(self.test, sentence, result.p, self.part, result.outcome, verdict, result.values)

    def _rounded_counts(self) -> str:
        """Which percentages are no count out of their n, and as which count the check took them."""
        cells = dict.fromkeys(c for value in self.arguments.values() for c in _cells_in(value))
        off = [c for c in cells if c.type == "percent" and c.n and c.value is not None and not c.is_possible()]
        listed = ", ".join(f"{c} of {c.n} is no count and is taken for {c.successes}" for c in off[:3])
        return listed + (f", and {len(off) - 3} more" if len(off) > 3 else "")


def _cells_in(value: object) -> Iterator[Cell]:
    if isinstance(value, Cell):
        yield value
    elif isinstance(value, tuple):
        for inner in value:
            yield from _cells_in(inner)


def bind(
    table: Mapping[str, Any], letters: Mapping[str, str], record: Record, place: Place, lines: Lines, family: int = 1
) -> BoundCheck:
    """A check of a claims file, its references resolved.

    Args:
        table: the ``[[claim.check]]``: ``test``, optionally ``part``, and the parameters of that check.
        letters: the assertions of the claim.
        record: what references lead into.
        place, lines: for messages.
        family: how many checks of the file ask whether repeats agree.

    Raises:
        WorkbenchError: a check that says nothing, an unknown check, parameter, letter or reference, or a parameter missing; with the line.
    """
    test, part = table.get("test"), table.get("part", "")
    expect(isinstance(test, str) and test in CHECKS, (*place, "test"), lines, str(unknown("check", test, CHECKS)))
    assert isinstance(test, str)
    fine = part == "" or part in letters
    expect(fine, (*place, "part"), lines, str(unknown("part", part, letters)))
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
    empty = without_content(test, arguments)
    expect(not empty, place, lines, f"check {test!r} says nothing: {empty}")
    return BoundCheck(test, part, arguments, place, lines, family)


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
            expect(name in record.facts, (*place, i), lines, str(unknown("fact", name, record.facts)))
        return tuple(record.facts[name] for name in names)
    if get_origin(hint) is tuple:
        expect(isinstance(value, list), place, lines, f"a list of references is needed, got {show(value)}")
        assert isinstance(value, list)
        return tuple(_cells(v, record, (*place, i), lines) for i, v in enumerate(value))
    return value_of(hint, value, place, lines)


def _cells(value: object, record: Record, place: Place, lines: Lines) -> tuple[Cell, ...]:
    """The cells of one reference, or of a list of references one after the other."""
    if isinstance(value, list):
        expect(bool(value), place, lines, "a list of references must not be empty")
        return tuple(c for i, v in enumerate(value) for c in _cells(v, record, (*place, i), lines))
    expect(isinstance(value, str), place, lines, f"a reference to logged numbers is needed, got {show(value)}")
    try:
        return record.cells(str(value))
    except LookupError as error:
        raise lines.error(place, str(error.args[0])) from error
