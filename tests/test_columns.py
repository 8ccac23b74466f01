"""Files and frames have the columns that docs/columns.md names, each of its type."""

import json
import re
from pathlib import Path

import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

import workbench as wb
from tests.families import PROMPTS

PAGE = (Path(__file__).parents[1] / "docs" / "columns.md").read_text(encoding="utf-8")
TABLES = {
    part.splitlines()[0]: [re.findall(r"^\| (\w+) \| ([^|]+) \|", table, re.MULTILINE) for table in part.split("\n\n")]
    for part in PAGE.split("\n## ")
}
KINDS = {
    "text": lambda t: pa.types.is_string(t) or pa.types.is_large_string(t),
    "integer": pa.types.is_integer,
    "number": pa.types.is_floating,
    "true or false": pa.types.is_boolean,
}
LENGTH = wb.Score("characters", 1, lambda text: float(len(text)))


def documented(section, table=0):
    """Column -> type, of one table of the page."""
    found = [dict(rows) for rows in TABLES[section] if rows]
    return {name: kind for name, kind in found[table].items() if name != "column"}


def check(path, columns, **also):
    """A file has these columns and no others, each of the type that the page names."""
    schema = pq.read_schema(path)
    assert schema.names == list(columns)
    for name, kind in (columns | also).items():
        assert KINDS[kind](schema.field(name).type), name


@pytest.fixture(scope="module")
def swept(llama, tmp_path_factory):
    """The store of a sweep, its rows by a score of labels, and its rows by two scores."""
    store = tmp_path_factory.mktemp("columns") / "store"
    d = wb.extract(llama, wb.Pairs(PROMPTS[:3], PROMPTS[3:6]), at=wb.resid_post(1))
    arms = wb.grid(d, ratios=[-0.3, 0], controls=1)
    labels, both = (
        wb.sweep(llama, {"positive": wb.Prompts("a", tuple(map(wb.Prompt, PROMPTS[:3], "abc")))}, arms, scores, store)
        for scores in ([wb.refusal], [wb.refusal, LENGTH])
    )
    return store, labels, both, wb.trace(llama, wb.generate(llama, PROMPTS[:2], max_new_tokens=4), d)


def test_rows_of_a_sweep(swept, tmp_path):
    _, labels, both, _ = swept
    columns = documented("The rows of a sweep")
    labels.to_parquet(tmp_path / "labels.parquet", index=False)
    check(tmp_path / "labels.parquet", columns, value="text")
    both[both["score"] == "characters"].to_parquet(tmp_path / "numbers.parquet", index=False)
    assert pd.read_parquet(tmp_path / "numbers.parquet")["value"].astype(float).gt(0).any()
    both.astype({"value": "string"}).to_parquet(tmp_path / "both.parquet", index=False)  # as the page says
    check(tmp_path / "both.parquet", columns, value="text")


def test_a_store(swept):
    store = swept[0]
    for kind, table in (("part", 0), ("score", 1)):
        files = sorted(store.glob(f"{kind}-*.parquet"))
        assert files
        for file in files:
            check(file, documented("The store", table))


def test_an_entry_of_a_ledger(swept, tmp_path):
    wb.ledger.record("S3.2", swept[1], path=tmp_path)
    (file,) = tmp_path.glob("verdict-*.parquet")
    said = PAGE.split("## The ledger")[1].split("No text")[0]
    schema = pq.read_schema(file)
    assert set(schema.names) <= set(re.findall(r"`(\w+)`", said))
    assert KINDS["text"](schema.field("value").type)
    verdict = json.loads(schema.metadata[b"workbench.verdict"])
    assert {"outcome", "effect", "p", "gates", "criterion", "versions"} <= set(verdict)


def test_a_trace(swept, tmp_path):
    swept[3].frame().to_parquet(tmp_path / "trace.parquet", index=False)
    check(tmp_path / "trace.parquet", documented("A trace"))
