import subprocess
import sys
import time

import pandas as pd

import workbench as wb


def rows(*keys):
    return pd.DataFrame({"key": keys, "text": [f"text of {k}" for k in keys]})


def test_rows_come_back_once_each(tmp_path):
    store = wb.store.open(tmp_path / "s")
    assert store.keys() == set()
    assert store.frame().empty
    store.append(rows("a", "b"))
    store.append(rows("b", "c"))
    store.append(rows())
    assert store.keys() == {"a", "b", "c"}
    assert sorted(store.frame()["key"]) == ["a", "b", "c"]
    assert list(store.frame({"c"}, show_text=True)["text"]) == ["text of c"]
    assert store.frame(set()).empty


def test_drafts_and_foreign_files_are_not_read(tmp_path):
    store = wb.store.open(tmp_path)
    store.append(rows("a"))
    (tmp_path / ".part-torn.parquet.123").write_bytes(b"PAR1 torn")
    (tmp_path / "notes.txt").write_text("mine")
    assert store.keys() == {"a"}


def test_killed_while_writing_leaves_whole_parts_only(tmp_path):
    script = (
        "import sys, itertools, pandas as pd, workbench as wb\n"
        "store = wb.store.open(sys.argv[1])\n"
        "for i in itertools.count():\n"
        "    store.append(pd.DataFrame({'key': [f'{i}-{j}' for j in range(50)], 'text': ['x' * 2000] * 50}))\n"
    )
    for wait in (0.01, 0.05, 0.12):
        process = subprocess.Popen([sys.executable, "-c", script, str(tmp_path)])
        while not list(tmp_path.glob("part-*")):
            assert process.poll() is None
            time.sleep(0.02)
        time.sleep(wait)
        process.kill()
        process.wait()
        frame = wb.store.open(tmp_path).frame()
        counts = frame["key"].str.split("-").str[0].value_counts()
        assert len(frame) > 0
        assert (counts == 50).all()


def test_duckdb_reads_it(tmp_path):
    import duckdb

    store = wb.store.open(tmp_path)
    store.append(rows("a", "b"))
    store.append(rows("b", "c"))
    query = f"SELECT DISTINCT ON (key) key, text FROM '{tmp_path}/part-*.parquet' ORDER BY key"
    assert duckdb.sql(query).fetchall() == [(k, f"text of {k}") for k in "abc"]


def test_scores_are_kept_apart_from_completions(tmp_path):
    store = wb.store.open(tmp_path)
    store.append(rows("a"))
    store.scores.append(pd.DataFrame({"key": ["s"], "completion": ["a"], "value": ["1"]}))
    assert (store.keys(), store.scores.keys()) == ({"a"}, {"s"})


def test_parts_that_cannot_be_read_are_named_counted_and_skipped(tmp_path, caplog):
    store = wb.store.open(tmp_path)
    store.append(rows("a", "b"))
    store.append(rows("c"))
    whole = next(tmp_path.glob("part-*"))
    (tmp_path / "part-empty.parquet").touch()
    (tmp_path / "part-torn.parquet").write_bytes(whole.read_bytes()[:-50])
    (tmp_path / "part-text.parquet").write_text("key,text\na,b\n")
    (tmp_path / "part-dir.parquet").mkdir()
    pd.DataFrame({"id": [1, 2]}).to_parquet(tmp_path / "part-foreign.parquet")
    pd.DataFrame({"key": ["a"]}).to_parquet(tmp_path / "part-keys.parquet")
    rows("d").assign(key=[4]).to_parquet(tmp_path / "part-number.parquet")
    rows("d").assign(text=[4.5]).to_parquet(tmp_path / "part-mean.parquet")
    assert store.keys() == {"a", "b", "c"}
    assert sorted(store.frame()["key"]) == ["a", "b", "c"]
    assert list(store.frame({"b"})["key"]) == ["b"]
    for name in ("empty", "torn", "text", "dir", "foreign", "keys", "number", "mean"):
        assert f"part-{name}.parquet is no whole part" in caplog.text
    assert "8 of 10 files were skipped" in caplog.text


def test_texts_are_among_the_rows_when_they_are_asked_for(tmp_path):
    store = wb.store.open(tmp_path)
    store.append(rows("a"))
    assert "text of a" not in store.frame().to_json()
    assert list(store.frame(show_text=True)["text"]) == ["text of a"]
