"""Strict reading of a table into a frozen dataclass: an unknown key, a missing one or a wrong type names its line.

The dataclass is the schema: its annotations say what each key must be, its defaults which keys may be left out.
"""

from collections.abc import Mapping
from dataclasses import MISSING, fields
from decimal import Decimal
from difflib import get_close_matches
from types import NoneType, UnionType
from typing import Any, Literal, TypeVar, Union, get_args, get_origin, get_type_hints

from workbench.toml_lines import Lines, Place

T = TypeVar("T")

_WORDS = {
    str: "text in quotes",
    int: "a whole number",
    Decimal: "a number",
    bool: "true or false",
    NoneType: "nothing",
    tuple: "a list",
}


def build(kind: type[T], table: object, place: Place, lines: Lines) -> T:
    """A dataclass from a TOML table.

    Args:
        kind: a dataclass with fields of str, int, bool, Decimal, Literal, tuples and mappings of these, other such
            dataclasses, and unions with None.
        table: as tomllib gives it.
        place: of the table, for messages.
        lines: of the file.

    Raises:
        WorkbenchError: file, line, what was seen and what was expected.
    """
    expect(isinstance(table, Mapping), place, lines, f"{_name(place)} must be a table, got {show(table)}")
    assert isinstance(table, Mapping)
    hints = get_type_hints(kind)
    known = [f.name for f in fields(kind)]  # type: ignore[arg-type]
    known_keys(table, known, place, lines)
    needed = [f.name for f in fields(kind) if f.default is MISSING and f.default_factory is MISSING]  # type: ignore[arg-type]
    lacking = [name for name in needed if name not in table]
    expect(not lacking, place, lines, f"{_name(place)} lacks {', '.join(lacking)}")
    return kind(**{key: value_of(hints[key], value, (*place, key), lines) for key, value in table.items()})


def known_keys(table: Mapping[str, Any], known: list[str], place: Place, lines: Lines) -> None:
    """Every key of a table is among the known ones."""
    for key in table:
        close = get_close_matches(key, known, 1)
        hint = f"; did you mean {close[0]!r}? The" if close else "; the"
        message = f"unknown key {key!r} in {_name(place)}{hint} keys are {', '.join(sorted(known))}"
        expect(key in known, (*place, key), lines, message)


def value_of(hint: Any, value: Any, place: Place, lines: Lines) -> Any:
    """A value as an annotation wants it: lists become tuples, whole numbers become Decimal where one is wanted."""
    origin, arguments = get_origin(hint), get_args(hint)
    if origin in (Union, UnionType):
        fitting = [a for a in arguments if _fits(a, value)]
        expect(bool(fitting), place, lines, _wrong(place, value, arguments))
        return value_of(fitting[0], value, place, lines)
    expect(_fits(hint, value), place, lines, _wrong(place, value, (hint,)))
    if origin is tuple:
        return tuple(value_of(arguments[0], v, (*place, i), lines) for i, v in enumerate(value))
    if origin is not None and isinstance(value, Mapping):
        return {k: value_of(arguments[1], v, (*place, k), lines) for k, v in value.items()}
    if hasattr(hint, "__dataclass_fields__"):
        return build(hint, value, place, lines)
    return Decimal(value) if hint is Decimal else value


def _fits(hint: Any, value: Any) -> bool:
    origin = get_origin(hint)
    if origin is Literal:
        return isinstance(value, str) and value in get_args(hint)
    if origin is tuple:
        return isinstance(value, list)
    if hint is Decimal:
        return isinstance(value, int | Decimal) and not isinstance(value, bool)
    if hint is int:
        return isinstance(value, int) and not isinstance(value, bool)
    if isinstance(hint, type) and not hasattr(hint, "__dataclass_fields__"):
        return isinstance(value, hint)
    return isinstance(value, Mapping)


def _wrong(place: Place, value: object, hints: tuple) -> str:
    return f"{_name(place)} must be {' or '.join(_describe(h) for h in hints)}, got {show(value)}"


def _describe(hint: Any) -> str:
    if get_origin(hint) is Literal:
        return "one of " + ", ".join(get_args(hint))
    return _WORDS.get(get_origin(hint) or hint, "a table")


def _name(place: Place) -> str:
    return next((str(key) for key in reversed(place) if isinstance(key, str)), "the file")


def show(value: object) -> str:
    """A value as it may stand in a message."""
    text = str(value) if isinstance(value, Decimal | int) else repr(value)
    return text if len(text) < 60 else text[:57] + "..."


def expect(condition: bool, place: Place, lines: Lines, message: str) -> None:
    """Raise an error with file and line unless the condition holds."""
    if not condition:
        raise lines.error(place, message)
