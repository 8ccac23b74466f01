"""The audit: general checks, chosen per claim in its file, that say from the logged numbers alone what they can carry.

Each check is a function over cells of the record; its parameters are the keys of a ``[[claim.check]]`` table. What a
failure means belongs to the kind of check, never to a file.
"""

import inspect
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, get_args, get_origin, get_type_hints

from workbench._errors import unknown
from workbench.claims.audits.findings import Finding, Result
from workbench.claims.audits.kinds import CHECKS
from workbench.claims.logged import Cell, Fact, Record
from workbench.claims.toml_schema import Lines, Place, expect, known_keys, show, value_of


@dataclass(frozen=True)
class BoundCheck:
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
            computed = kind.run(**self.arguments)
        except (ValueError, ArithmeticError) as error:
            raise self.lines.error(self.place, f"check {self.test!r} cannot be computed: {error}") from error
        results = computed if isinstance(computed, list) else [computed]
        return [self._finding(result, kind.means) for result in results]

    def _finding(self, result: Result, meaning: str) -> Finding:
        verdict = (result.verdict or meaning) if result.outcome == "fails" else ""
        return Finding(self.test, result.sentence, result.p, self.part, result.outcome, verdict, result.values)


def bind(
    table: Mapping[str, Any], letters: Mapping[str, str], record: Record, place: Place, lines: Lines
) -> BoundCheck:
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
    return BoundCheck(test, part, arguments, place, lines)


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
