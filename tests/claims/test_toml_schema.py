"""Lines of a TOML file: whatever stands in strings and comments, each key is found on its own line."""

import tomllib
from decimal import Decimal
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

import workbench as wb
from workbench._files import data_folder
from workbench.claims.toml_schema import Lines, _scan, read_toml

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
    found = dict(_scan(TORTURE))
    expected = {
        ("a",): 2, ("q.r",): 3, ("log",): 7, ("log", "b", "c"): 8, ("log", "b", "c", 0): 9, ("log", "b", "c", 1, 1, "z"): 10,
        ("log", "b", "c", 1, 1, "y k", 1): 11, ("claim", 0, "id"): 14, ("claim", 0, "check", 0, "k"): 16,
        ("claim", 0, "check", 1, "k"): 18, ("claim", 0, "method", "n"): 20, ("claim", 1): 21, ("claim", 1, "check", 0, "k"): 23,
    }  # fmt: skip
    assert expected.items() <= found.items()
    assert Lines("f", TORTURE).of(("claim", 0, "method", "nothing")) == 19
    assert Lines("f", TORTURE).of(("nowhere",)) == 1


def leaves(value, place=()):
    """Every key and element of a parsed document."""
    if place:
        yield place
    inner = value.items() if isinstance(value, dict) else enumerate(value) if isinstance(value, list) else ()
    for key, item in inner:
        yield from leaves(item, (*place, key))


@pytest.mark.parametrize("path", sorted((data_folder() / "claims").glob("*.toml")), ids=lambda p: p.stem)
def test_every_place_of_the_bundled_files_is_found_on_a_line_that_shows_it(path):
    text = path.read_text()
    parsed = tomllib.loads(text, parse_float=Decimal)
    found, lines = dict(_scan(text)), text.splitlines()
    assert set(found) <= set(leaves(parsed))
    missing = set(leaves(parsed)) - set(found)  # an array of tables has no line of its own, its tables have
    assert all((*place, 0) in found for place in missing)
    for place, line in found.items():
        if isinstance(place[-1], str):
            assert place[-1] in lines[line - 1]
    ids = {("claim", i, "id"): claim["id"] for i, claim in enumerate(parsed.get("claim", []))}
    for place, identity in ids.items():
        assert lines[found[place] - 1] == f'id = "{identity}"'


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
def test_places_are_those_of_the_parser_and_in_order(entries):
    text, expected = "", {}
    for i, (value, spread, before) in enumerate(entries):
        text += before
        expected["t", i] = text.count("\n") + 1
        text += "[[t]]\n"
        expected["t", i, "k"] = text.count("\n") + 1
        text += f"k = {written(value, spread)}\n"
    found = dict(_scan(text))
    assert set(leaves(tomllib.loads(text))) == set(found) | {("t",)}
    assert expected.items() <= found.items()
    assert list(found.values()) == sorted(found.values())


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
