"""What goes to somebody else, and what was fixed before a run: exported ledgers and registrations."""

import json
import shutil
import zipfile

import pandas as pd
import pytest

import workbench as wb
from tests.claims.test_ledger import rewritten
from tests.planted_rows import planted_rows, record
from workbench.claims.ledger import export, open_exported
from workbench.claims.registrations import claim_hash, registrations
from workbench.cli import app

OWN = """
[log]
id = "mine"
title = "A log of my own"

[[claim]]
id = "P1"
title = "Taking the direction away gets requests complied with"
section = "1"
kind = "comparison"
statement = "It does."
models = ["planted"]

[claim.method]
site = "resid_post, layer 8"
positions = "all"
normalisation = "none"
decoding = "greedy"
scorer = "keywords"
n = 40

[claim.numbers]
before = { count = 3, n = 40 }
after = { count = 30, n = 40 }

[[claim.check]]
test = "differs"
higher = "after"
lower = "before"

[claim.criterion]
direction = "compliance rises"
outcome = "compliance, -0.3 minus none"
minimum_effect = 0.2
unit = "share"
test = ["mcnemar"]
gates = ["G5", "G6", "G7"]
contrast = { label = "compliance", sign = "-" }
"""


@pytest.fixture
def own(tmp_path):
    """A claims file of one's own."""
    file = tmp_path / "P1.toml"
    file.write_text(OWN)
    return file


@pytest.fixture
def rows():
    return planted_rows(80, 0.5).assign(text="what a model wrote")


def stored(folder, keys, written="2026-01-02T00:00:00+00:00"):
    """A store that holds the completions of some rows, written at a time."""
    about = {"text": "", "tokens": 8, "finish": "stop", "model": "planted", "revision": "1", "prompt": "p", "steer": ""}
    frame = pd.DataFrame({"key": list(keys)}).assign(**about, decoding="greedy")
    wb.store.open(folder).append(frame.assign(written=written) if written else frame)
    return folder


def workbench(capsys, *arguments):
    code = app([str(a) for a in arguments], standalone_mode=False)
    return code or 0, capsys.readouterr().out


def test_an_exported_ledger_is_one_file_that_is_checked_anywhere(tmp_path, own, rows, capsys):
    ledger = tmp_path / "ledger"
    record("S3.2", rows, path=ledger)
    wb.ledger.record(wb.claim("P1", own), rows, path=ledger)
    code, said = workbench(capsys, "ledger", "--path", ledger, "--export", tmp_path / "mine.zip")
    assert code == 0
    assert "workbench ledger --recheck" in said
    shutil.rmtree(ledger)
    own.unlink()
    assert workbench(capsys, "ledger", "--recheck", tmp_path / "mine.zip")[0] == 0
    opened = wb.ledger.open(tmp_path / "mine.zip")
    assert opened.recheck()[["claim", "outcome", "agrees"]].values.tolist() == [
        ["S3.2", "reproduced", True],
        ["P1", "reproduced", True],
    ]
    with zipfile.ZipFile(tmp_path / "mine.zip") as archive:
        assert not any(b"what a model wrote" in archive.read(name) for name in archive.namelist())
        said = json.loads(archive.read("manifest.json"))
    assert [claim["id"] for claim in said["claims"]] == ["S3.2", "P1"]
    assert said["versions"]["scipy"]
    assert [verdict["outcome"] for verdict in said["verdicts"]] == ["reproduced", "reproduced"]


def test_what_was_changed_on_the_way_is_found_and_nothing_strange_is_unpacked(tmp_path, rows):
    record("S3.2", rows, path=tmp_path / "ledger")
    (entry,) = wb.ledger.open(tmp_path / "ledger").entries()
    rewritten(entry, value=lambda frame: "refusal")
    file = export(wb.ledger.open(tmp_path / "ledger"), tmp_path / "mine.zip")
    with zipfile.ZipFile(file, "a") as archive:
        for name in ("../outside.parquet", "claims/note.txt", "claims/a/b/c.toml"):
            archive.writestr(name, b"x")
    opened = open_exported(file)
    assert opened.recheck()["agrees"].tolist() == [False]
    assert not (opened.path.parent / "outside.parquet").exists()
    assert [file.suffix for file in opened.path.rglob("*") if file.is_file()] == [".parquet"]


def test_what_cannot_be_exported_or_opened_is_told(tmp_path, rows):
    ledger = wb.ledger.open(tmp_path / "ledger")
    with pytest.raises(wb.WorkbenchError, match="holds no verdicts"):
        export(ledger, tmp_path / "mine.zip")
    wb.ledger.record("S3.9", not_run="nothing to run", path=tmp_path / "ledger")
    (tmp_path / "mine.zip").write_text("there")
    with pytest.raises(wb.WorkbenchError, match=r"mine\.zip is there already, and nothing is overwritten"):
        export(ledger, tmp_path / "mine.zip")
    for name in ("mine.zip", "nowhere.zip"):
        with pytest.raises(wb.WorkbenchError, match=rf"{name} is no exported ledger .*--export FILE writes one"):
            open_exported(tmp_path / name)


def test_a_registration_fixes_criterion_and_checks(tmp_path, own, capsys):
    ledger = tmp_path / "ledger"
    code, said = workbench(capsys, "register", own, "--path", ledger)
    (first,) = registrations(ledger, wb.claim("P1", own))
    assert code == 0
    assert first.hash in said
    assert first.hash == claim_hash(wb.claim("P1", own))
    assert first.criterion["minimum_effect"] == "0.2"
    assert first.checks[0][0] == "differs"
    workbench(capsys, "register", own, "--path", ledger)
    assert registrations(ledger, wb.claim("P1", own)) == [first]  # as it is: the first time counts
    for was, becomes in (("minimum_effect = 0.2", "minimum_effect = 0.3"), ("count = 30", "count = 31")):
        own.write_text(OWN.replace(was, becomes))
        assert registrations(ledger, wb.claim("P1", own)) == []
    own.write_text(OWN.replace("A log of my own", "Another title"))
    assert registrations(ledger, wb.claim("P1", own)) == [first]


@pytest.mark.parametrize(
    ("written", "said"),
    [
        ("2999-01-01T00:00:00+00:00", "before the first of its rows was written (2999-01-01"),
        ("2001-01-01T00:00:00+00:00", "after 42 of 42 rows had been written"),
        ("", "its rows carry no time"),
    ],
)
def test_a_verdict_says_whether_its_rule_was_registered_before_its_rows(tmp_path, rows, written, said):
    wb.ledger.register([wb.claim("S3.2")], tmp_path / "ledger")
    store = stored(tmp_path / "store", rows["key"].unique(), written) if written else ""
    verdict = record("S3.2", rows, store=store, path=tmp_path / "ledger")
    n = rows["key"].nunique()
    assert said.replace("42 of 42", f"{n} of {n}") in verdict.registered
    (entry,) = wb.ledger.open(tmp_path / "ledger").entries()
    assert entry.registered == verdict.registered
    assert verdict.registered in str(verdict)


def test_what_was_not_registered_says_nothing(tmp_path, rows):
    assert record("S3.2", rows, path=tmp_path).registered == ""


def test_a_registration_that_was_changed_is_found(tmp_path, own):
    wb.ledger.register([wb.claim("P1", own)], tmp_path)
    (file,) = (tmp_path / "registered").iterdir()
    file.write_text(file.read_text().replace('"0.2"', '"0.1"'))
    with pytest.raises(wb.WorkbenchError, match="its hash is not that of what it holds"):
        registrations(tmp_path, wb.claim("P1", own))
    file.write_text("{}")
    with pytest.raises(wb.WorkbenchError, match="is no registration"):
        registrations(tmp_path, wb.claim("P1", own))


@pytest.mark.parametrize(
    "content", [b"", b"{}", b"\xff\xfe", b"[1]", b"[" * 100_000, b'{"claim": "S3.2"}', "changed", "no zone"]
)
def test_a_broken_registration_keeps_no_verdict_from_being_recorded(tmp_path, rows, content, caplog):
    first = wb.ledger.register([wb.claim("S3.2")], tmp_path)[0]
    (file,) = (tmp_path / "registered").glob("S3.2-*.json")
    if content == "changed":
        content = file.read_bytes().replace(first.hash[:8].encode(), b"00000000")
    if content == "no zone":
        content = file.read_bytes().replace(b"+00:00", b"")
    file.with_name("S3.2-later.json").write_bytes(content)
    verdict = record("S3.2", rows, path=tmp_path)
    assert verdict.registered.startswith(f"Registered {first.time}")
    assert verdict.registered.endswith("1 broken registration was not counted.")
    assert "S3.2-later.json" in caplog.text
    file.unlink()
    assert record("S3.2", rows, path=tmp_path).registered == "1 broken registration was not counted."


def test_a_claim_without_a_criterion_cannot_be_registered(tmp_path):
    with pytest.raises(wb.WorkbenchError, match="nothing to register: no claim here has a criterion"):
        wb.ledger.register([wb.claim("S3.9")], tmp_path)
    assert not list(tmp_path.iterdir())


def test_the_store_says_when_rows_were_written(tmp_path):
    assert wb.store.open(stored(tmp_path / "new", ["a"], "")).written(["a", "b"])[0].startswith("20")
