"""TOML with its line numbers: tomllib parses, a scan of the text says on which line each key and element stands.

Numbers are read as Decimal, so that 75.0 keeps the decimal it was printed with.

Strict reading of a table into a frozen dataclass: an unknown key, a missing one or a wrong type names its line.

The dataclass is the schema: its annotations say what each key must be, its defaults which keys may be left out.
"""

import re
import tomllib
from collections.abc import Iterator, Mapping
from dataclasses import MISSING, dataclass, fields
from decimal import Decimal
from difflib import get_close_matches
from pathlib import Path
from types import NoneType, UnionType
from typing import Any, Literal, TypeVar, Union, get_args, get_origin, get_type_hints

from workbench._errors import WorkbenchError

#: Where a value stands in a document: keys, and positions in arrays.
Place = tuple[str | int, ...]


_STRING_OR_COMMENT = re.compile(
    r'"""(?:\\.|[^\\])*?"""(?!")|\'\'\'.*?\'\'\'(?!\')|"(?:\\.|[^"\\\n])*"|\'[^\'\n]*\'|#[^\n]*', re.DOTALL
)


@dataclass(frozen=True)
class Lines:
    """Where things stand in a TOML text. The text is scanned only when a line is asked for, that is for an error."""

    path: str
    text: str

    def of(self, place: Place) -> int:
        """The line of a place, or of the nearest thing around it."""
        places = dict(_scan(self.text))
        while place and place not in places:
            place = place[:-1]
        return places.get(place, 1)

    def error(self, place: Place, message: str) -> WorkbenchError:
        """An error that names the file and the line."""
        return WorkbenchError(f"{self.path}, line {self.of(place)}: {message}")


def read_toml(path: str | Path) -> tuple[dict, Lines]:
    """A TOML file as nested dicts, with its lines.

    Raises:
        WorkbenchError: there is no such file, or it is not TOML; the message has the line.
    """
    try:
        text = Path(path).read_text(encoding="utf-8").replace("\r\n", "\n")
        tables = tomllib.loads(text, parse_float=Decimal)
    except (OSError, UnicodeDecodeError) as error:
        raise WorkbenchError(f"{path}: cannot be read as text ({error})") from error
    except tomllib.TOMLDecodeError as error:
        raise WorkbenchError(f"{path}: not TOML ({error})") from error
    return tables, Lines(str(path), text)


def _scan(text: str) -> Iterator[tuple[Place, int]]:
    """Every place of a valid TOML text with its line, in order. Strings and comments are blanked out first."""
    blank = _STRING_OR_COMMENT.sub(lambda m: (" " if m[0][0] == "#" else "x") * len(m[0]), text)
    table: Place = ()
    counts: dict[Place, int] = {}
    for start, end in _statements(blank):
        line = text.count("\n", 0, start) + 1
        if blank[start] == "[":
            table = _table(text[start:end], counts)
            yield table, line
        else:
            equals = blank.index("=", start)
            place = table
            for key in _keys(f"{text[start:equals]} = 0"):
                place = (*place, key)
                yield place, line
            yield from _inside(text, blank, equals + 1, end, place)


def _statements(blank: str) -> Iterator[tuple[int, int]]:
    """Start and end of each header and each key with its value: they end at a line break outside brackets."""
    depth, start = 0, None
    for i, character in enumerate(blank + "\n"):
        if character == "\n" and depth == 0:
            if start is not None:
                yield start, i
            start = None
        elif not character.isspace():
            start = i if start is None else start
            depth += (character in "[{") - (character in "]}")


def _table(header: str, counts: dict[Place, int]) -> Place:
    """The place that a ``[table]`` or ``[[array of tables]]`` header opens."""
    place: Place = ()
    keys = list(_keys(header))
    for i, key in enumerate(keys):
        place = (*place, key)
        if i == len(keys) - 1 and header.startswith("[["):
            counts[place] = counts.get(place, -1) + 1
        if place in counts:
            place = (*place, counts[place])
    return place


def _keys(statement: str) -> Iterator[str]:
    """The keys of a header or of a dotted key, outermost first."""
    inner: object = tomllib.loads(statement)
    while inner and isinstance(inner, dict | list):
        if isinstance(inner, list):
            inner = inner[0]
        else:
            key, inner = next(iter(inner.items()))
            yield key


def _inside(text: str, blank: str, start: int, end: int, place: Place) -> Iterator[tuple[Place, int]]:
    """The elements of an array or inline table between two offsets, and what is inside them."""
    while start < end and blank[start].isspace():
        start += 1
    if start >= end or blank[start] not in "[{":
        return
    opening = blank[start]
    for index, (first, last) in enumerate(_elements(blank, start + 1)):
        if opening == "[":
            inner: Place = (*place, index)
            value = first
        else:
            value = blank.index("=", first) + 1
            inner = (*place, *_keys(f"{text[first : value - 1].strip()} = 0"))
        yield inner, text.count("\n", 0, first) + 1
        yield from _inside(text, blank, value, last, inner)


def _elements(blank: str, start: int) -> Iterator[tuple[int, int]]:
    """Start and end of each comma-separated element, up to the closing bracket."""
    depth, first = 0, None
    for i in range(start, len(blank)):
        character = blank[i]
        if depth == 0 and character in ",]}":
            if first is not None:
                yield first, i
            first = None
            if character != ",":
                return
        elif not character.isspace():
            first = i if first is None else first
            depth += (character in "[{") - (character in "]}")


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
