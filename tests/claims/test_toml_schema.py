"""Lines of a TOML file: whatever stands in strings and comments, each key is found on its own line."""

import tomllib
from collections.abc import Mapping
from dataclasses import dataclass, field
from decimal import Decimal
from pathlib import Path
from typing import Literal

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

import workbench as wb
from workbench._files import data_folder
from workbench.claims.toml_schema import Lines, build, read_toml

TORTURE = '''# c [x
a = 1
"q.r" = """
[[claim]]
x = [1,
"""
[log]
b.c = [ # [
  [1, "a]"],
  [2, {z = 1, "y k" = [3,
     4]}],
]
[[claim]]
id = 'x # ['
[[claim.check]]
k = 1
[[claim.check]]
k = 2
[claim.method]
n = 3
[[claim]]
[[claim.check]]
k = 4
'''


def test_a_file_that_hides_brackets_in_strings_and_comments():
    tomllib.loads(TORTURE)
    lines = Lines("f", TORTURE)
    expected = {
        ("a",): 2, ("q.r",): 3, ("log",): 7, ("log", "b", "c"): 8, ("log", "b", "c", 0): 9, ("log", "b", "c", 1): 10,
        ("claim", 0, "id"): 14, ("claim", 0, "check", 0, "k"): 16, ("claim", 0, "check", 1, "k"): 18,
        ("claim", 0, "method", "n"): 20, ("claim", 1): 21, ("claim", 1, "check", 0, "k"): 23,
    }  # fmt: skip
    assert {place: lines.of(place) for place in expected} == expected
    assert Lines("f", 'k = [1,\t\n  """2\n  """, 3]').of(("k", 1)) == 2  # an element of several lines: the first
    assert lines.of(("log", "b", "c", 1, 1, "z")) == 10  # inside an element: where the element begins
    assert lines.of(("claim", 0, "method", "nothing")) == 19
    assert lines.of(("nowhere",)) == 1


def leaves(value, place=()):
    """Every key and element of a parsed document."""
    if place:
        yield place
    inner = value.items() if isinstance(value, dict) else enumerate(value) if isinstance(value, list) else ()
    for key, item in inner:
        yield from leaves(item, (*place, key))


@pytest.mark.parametrize("path", sorted((data_folder() / "claims").glob("*.toml")), ids=lambda p: p.stem)
def test_every_key_of_the_bundled_files_is_found_on_a_line_that_shows_it(path):
    text = path.read_text()
    parsed = tomllib.loads(text, parse_float=Decimal)
    found, lines = Lines(path.stem, text), text.splitlines()
    arrays = {
        (kind,) for kind in parsed if isinstance(parsed[kind], list) and kind != "uses"
    }  # only their tables have lines
    keys = [
        p for p in leaves(parsed) if isinstance(p[-1], str) and p not in arrays and p[-1] not in ("check", "criteria")
    ]
    assert len(keys) > 50
    assert all(place[-1] in lines[found.of(place) - 1] for place in keys)
    for i, claim in enumerate(parsed.get("claim", [])):
        assert lines[found.of(("claim", i, "id")) - 1] == f'id = "{claim["id"]}"'
    for i, table in enumerate(parsed.get("table", [])):
        for j, row in enumerate(table["rows"]):
            assert str(row[0]) in lines[found.of(("table", i, "rows", j)) - 1]


VALUES = st.recursive(
    st.integers() | st.booleans() | st.text(alphabet='ab [],={}#."', max_size=6),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.sampled_from("pqr"), inner, max_size=2),
    max_leaves=6,
)


def written(value, spread):
    """A value as TOML; arrays over several lines if ``spread``."""
    if isinstance(value, bool):
        return str(value).lower()
    if isinstance(value, str):
        return '"' + value.replace("\\", "\\\\").replace('"', '\\"') + '"'
    if isinstance(value, list):
        space = "\n # ]\n" if spread else ""
        return "[" + ",".join(space + written(v, spread) for v in value) + space + "]"
    if isinstance(value, dict):
        return "{" + ", ".join(f"{k} = {written(v, False)}" for k, v in value.items()) + "}"
    return str(value)


@given(st.lists(st.tuples(VALUES, st.booleans(), st.sampled_from(["", "# [[\n", "\n\n"])), min_size=1, max_size=5))
@example([([], False, ""), ([[], 0], True, "")])
def test_keys_and_elements_are_found_on_their_lines_and_in_order(entries):
    text, expected = "", {}
    for i, (value, spread, before) in enumerate(entries):
        text += before
        expected["t", i] = text.count("\n") + 1
        text += "[[t]]\n"
        expected["t", i, "k"] = text.count("\n") + 1
        text += "k = "
        for j in range(len(value)) if isinstance(value, list) else ():
            until = written([*value[:j], 0], spread)  # a number in its place ends on the line on which it begins
            expected["t", i, "k", j] = (text + until.rstrip("] #\n")).count("\n") + 1
        text += written(value, spread) + "\n"
    lines = Lines("f", text)
    assert {place: lines.of(place) for place in expected} == expected
    in_order = [lines.of(place) for place in leaves(tomllib.loads(text)) if place != ("t",)]
    assert in_order == sorted(in_order)


def test_numbers_keep_the_decimals_they_were_printed_with(tmp_path):
    path = tmp_path / "a.toml"
    path.write_text("a = 75.0\nb = 75\n", newline="\r\n")
    tables, lines = read_toml(path)
    assert str(tables["a"]) == "75.0"
    assert tables["b"] == 75
    assert lines.of(("b",)) == 2


def test_what_is_no_toml_is_one_message(tmp_path):
    with pytest.raises(wb.WorkbenchError, match="cannot be read as text"):
        read_toml(Path("nowhere.toml"))
    (tmp_path / "a.toml").write_text("a = 1\n[[claim\n")
    with pytest.raises(wb.WorkbenchError, match=r"a\.toml: not TOML .*line 2"):
        read_toml(tmp_path / "a.toml")


@dataclass(frozen=True)
class Inner:
    share: Decimal
    kind: Literal["one", "two"] = "one"


@dataclass(frozen=True)
class Outer:
    name: str
    n: int | str = 0
    flag: bool = False
    inner: tuple[Inner, ...] = ()
    free: Mapping[str, object] = field(default_factory=dict)


def read(text, tmp_path):
    (tmp_path / "f.toml").write_text(text)
    tables, lines = read_toml(tmp_path / "f.toml")
    return build(Outer, tables, (), lines)


def test_a_table_becomes_its_dataclass(tmp_path):
    made = read(
        'name = "a"\n[[inner]]\nshare = 1\n[[inner]]\nshare = 0.50\nkind = "two"\n[free]\nx = [1.0]\n', tmp_path
    )
    assert made == Outer("a", inner=(Inner(Decimal(1)), Inner(Decimal("0.50"), "two")), free={"x": [Decimal("1.0")]})
    assert str(made.inner[1].share) == "0.50"
    assert isinstance(made.inner[0].share, Decimal)


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("", "line 1: the file lacks name"),
        ("name = 3", "line 1: name must be text in quotes, got 3"),
        ("name = 'a'\nn = true", "line 2: n must be a whole number or text in quotes, got True"),
        ("name = 'a'\nflag = 1", "line 2: flag must be true or false, got 1"),
        ("name = 'a'\ninner = 'x'", "line 2: inner must be a list, got 'x'"),
        ("name = 'a'\ninner = ['x']", "line 2: inner must be a table, got 'x'"),
        ("name = 'a'\nfree = 1", "line 2: free must be a table, got 1"),
        ("name = 'a'\n[[inner]]\nkind = 'two'", "line 2: inner lacks share"),
        ("name = 'a'\n[[inner]]\nshare = '1'", "line 3: share must be a number, got '1'"),
        ("name = 'a'\n[[inner]]\nshare = 1\nkind = 'tow'", "line 4: kind must be one of one, two, got 'tow'"),
        ("name = 'a'\n[[inner]]\nshare = 1\nkin = 'two'", "line 4: unknown inner key 'kin'; did you mean 'kind'?"),
    ],
)
def test_a_wrong_table_says_where_and_what_was_expected(tmp_path, text, message):
    with pytest.raises(wb.WorkbenchError) as error:
        read(text, tmp_path)
    assert message in str(error.value)
