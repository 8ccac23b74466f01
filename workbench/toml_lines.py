"""TOML with its line numbers: tomllib parses, a scan of the text says on which line each key and element stands.

Numbers are read as Decimal, so that 75.0 keeps the decimal it was printed with.
"""

import re
import tomllib
from collections.abc import Iterator
from dataclasses import dataclass
from decimal import Decimal
from pathlib import Path

from workbench.errors import WorkbenchError

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
