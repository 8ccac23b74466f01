"""Which key or line of a TOML file is wrong? A table is read strictly into a frozen dataclass, and a mistake names its line.

The dataclass is the schema: its annotations say what each key must be, its defaults which keys may be left out. pydantic
checks, and says where a mistake is; a scan of the text, made only for an error, says on which line that place stands.
"""

import re
import tomllib
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from decimal import Decimal
from functools import cache, cached_property, partial
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeVar

from workbench._errors import WorkbenchError, unknown

if TYPE_CHECKING:
    from pydantic_core import ErrorDetails, SchemaValidator

T = TypeVar("T")

#: Where a value stands in a document: keys, and positions in arrays.
Place = tuple[str | int, ...]

_STRING_OR_COMMENT = re.compile(
    r'"""(?:\\.|[^\\])*?"""(?!")|\'\'\'.*?\'\'\'(?!\')|"(?:\\.|[^"\\\n])*"|\'[^\'\n]*\'|#[^\n]*', re.DOTALL
)

#: what pydantic's kinds of errors want
_WORDS = {
    "string_type": "text in quotes",
    "int_type": "a whole number",
    "is_instance_of": "a number",
    "bool_type": "true or false",
    "tuple_type": "a list",
}


@dataclass(frozen=True)
class Lines:
    """Where things stand in a TOML text. The text is scanned only when a line is asked for, that is for an error."""

    path: str
    text: str

    @cached_property
    def _by_place(self) -> dict[Place, int]:
        return dict(reversed([*_scan(self.text)]))  # of several lines the first

    def of(self, place: Place) -> int:
        """The line of a table, a key or an element of its array; of the nearest such thing around any other place."""
        while place and place not in self._by_place:
            place = place[:-1]
        return self._by_place.get(place, 1)

    def error(self, place: Place, message: object) -> WorkbenchError:
        """An error that names the file and the line."""
        return WorkbenchError(f"{self.path}, line {self.of(place)}: {message}")


def read_toml(path: str | Path) -> tuple[dict, Lines]:
    """A TOML file as nested dicts, with its lines. Fractions are Decimal, so that 75.0 keeps the decimal it was printed with.

    Raises:
        WorkbenchError: there is no such file, or it is not TOML; the message has the line.
    """
    try:
        text = Path(path).read_text(encoding="utf-8").replace("\r\n", "\n")
        tables = tomllib.loads(text, parse_float=Decimal)
    except (tomllib.TOMLDecodeError, RecursionError) as error:
        raise WorkbenchError(f"{path}: not TOML ({error})") from error
    except (OSError, ValueError, TypeError) as error:
        raise WorkbenchError(f"{path}: cannot be read as text ({error})") from error
    return tables, Lines(str(path), text)


def _scan(text: str) -> Iterator[tuple[Place, int]]:
    """Headers, keys, and the elements of each key's array, with their lines. Strings and comments are blanked out first."""
    blank = _STRING_OR_COMMENT.sub(lambda m: re.sub(r"[^\n]", " " if m[0][0] == "#" else "x", m[0]), text)
    table: Place = ()
    key: Place = ()
    counts: dict[Place, int] = {}
    depth = element = 0
    for line, (shown, raw) in enumerate(zip(blank.split("\n"), text.split("\n"), strict=True), 1):
        value = shown
        if depth == 0 and shown.lstrip().startswith("["):
            table = _open_table(raw[: len(shown.rstrip())], counts)
            yield table, line
            continue
        if depth == 0 and "=" in shown:
            start, _, value = shown.partition("=")
            key = table
            for name in _keys(f"{raw[: len(start)]} = 0"):
                key = (*key, name)
                yield key, line
            element = 0
        for character in "".join(value.split()):
            depth -= character in "]}"
            if depth == 1 and character == ",":
                element += 1
            elif depth == 1 and character != "]":
                yield (*key, element), line
            depth += character in "[{"


def _open_table(header: str, counts: dict[Place, int]) -> Place:
    """The place that a ``[table]`` or ``[[array of tables]]`` header opens; ``counts`` numbers the arrays' tables."""
    place: Place = ()
    keys = list(_keys(header))
    for i, key in enumerate(keys, 1):
        place = (*place, key)
        if i == len(keys) and header.lstrip().startswith("[["):
            counts[place] = counts.get(place, -1) + 1
        if place in counts:
            place = (*place, counts[place])
    return place


def _keys(statement: str) -> Iterator[str]:
    """The keys of a header or of a dotted key, outermost first."""
    inner: Any = tomllib.loads(statement)
    while inner and isinstance(inner, dict | list):
        if isinstance(inner, dict):
            yield next(iter(inner))
        inner = next(iter(inner.values())) if isinstance(inner, dict) else inner[0]


def build(kind: type[T], table: object, place: Place, lines: Lines) -> T:
    """A dataclass from a TOML table as tomllib gives it; ``place`` and ``lines`` say where it stands.

    Its fields are str, int, bool, Decimal, Literal, tuples and mappings of these, other such dataclasses, and unions.

    Raises:
        WorkbenchError: file, line, what was seen and what was expected.
    """
    return value_of(kind, table, place, lines)


def value_of(hint: Any, value: object, place: Place, lines: Lines) -> Any:
    """A value as an annotation wants it: lists become tuples, whole numbers become Decimal where one is wanted."""
    from pydantic_core import ValidationError

    try:
        return _validator(hint).validate_python(value)
    except ValidationError as error:
        raise _mistake(error.errors(include_url=False), value, place, lines) from None


@cache
def _validator(hint: Any) -> "SchemaValidator":
    from pydantic import ConfigDict, TypeAdapter
    from pydantic_core import SchemaValidator

    # A dataclass takes no configuration from outside, and hands down that of what holds it.
    adapter = TypeAdapter(tuple[hint], config=ConfigDict(strict=True, extra="forbid"))
    schema: Any = adapter.core_schema
    if schema["type"] == "definitions":  # what occurs in several places; it is written out in each
        named = {one["ref"]: one for one in schema["definitions"]}
        schema = _inlined(schema["schema"], named)
    return SchemaValidator(_as_toml(schema["items_schema"][0]), {"strict": True})


def _inlined(schema: Any, named: Mapping[str, Any]) -> Any:
    """A schema without references: no dataclass of ours holds itself."""
    if isinstance(schema, list):
        return [_inlined(inner, named) for inner in schema]
    if not isinstance(schema, dict):
        return schema
    if schema.get("type") == "definition-ref":
        return _inlined(named[schema["schema_ref"]], named)
    return {key: _inlined(inner, named) for key, inner in schema.items() if key != "ref"}


def _as_toml(schema: Any) -> Any:
    """A strict schema with what TOML has in place of Python's types: lists for tuples, tables for dataclasses, 1 for 1.0."""
    if isinstance(schema, list):
        return [_as_toml(inner) for inner in schema]
    if not isinstance(schema, dict):
        return schema
    schema = {key: _as_toml(inner) for key, inner in schema.items()}
    kind = schema.get("type")
    if kind == "tuple":
        return schema | {"strict": False}
    if kind == "decimal":
        return _after(_decimal, {"type": "is-instance", "cls": Decimal})
    if kind == "dataclass":
        names = tuple(field["name"] for field in schema["schema"]["fields"])
        return _after(partial(_known, names), schema | {"strict": False})
    return schema


def _after(function: Any, schema: dict) -> dict:
    return {"type": "function-before", "function": {"type": "no-info", "function": function}, "schema": schema}


def _decimal(value: object) -> object:
    return Decimal(value) if isinstance(value, int) and not isinstance(value, bool) else value


def _known(names: tuple[str, ...], table: object) -> object:
    """Stop at the first key that is none of the names, before anything else is said about the table."""
    from pydantic_core import PydanticCustomError

    for key in table if isinstance(table, Mapping) else ():
        if key not in names:
            raise PydanticCustomError("unknown_key", "unknown", {"key": key, "names": names})
    return table


def _mistake(errors: "list[ErrorDetails]", value: Any, place: Place, lines: Lines) -> WorkbenchError:
    """The first mistake of several as one error; what a table lacks and what a value may be are told together."""
    first = errors[0]
    where = place
    for key in first["loc"]:  # beyond what was written, pydantic names what it tried there
        if not (key in value if isinstance(value, Mapping) else isinstance(value, list)):
            break
        where, value = (*where, key), value[key]
    depth = len(where) - len(place)
    alike = [e for e in errors if e["loc"][:depth] == first["loc"][:depth]]
    if first["type"] == "missing":
        lacking = [str(e["loc"][depth]) for e in alike if e["type"] == "missing" and len(e["loc"]) == depth + 1]
        return lines.error(where, f"{_name(where)} lacks {', '.join(lacking)}")
    if first["type"] == "unknown_key":
        key, names = first["ctx"]["key"], first["ctx"]["names"]
        return lines.error((*where, key), unknown(f"{_name(where)} key", key, names))
    wanted = dict.fromkeys(_wanted(e) for e in alike)
    return lines.error(where, f"{_name(where)} must be {' or '.join(wanted)}, got {show(value)}")


def _wanted(error: "ErrorDetails") -> str:
    if error["type"] == "literal_error":
        return "one of " + error["ctx"]["expected"].replace("'", "").replace(" or ", ", ")
    return _WORDS.get(error["type"], "a table")


def known_keys(table: Mapping[str, Any], known: Iterable[str], place: Place, lines: Lines) -> None:
    """Every key of a table is among the known ones."""
    for key in table:
        if key not in known:
            raise lines.error((*place, key), unknown(f"{_name(place)} key", key, known))


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
