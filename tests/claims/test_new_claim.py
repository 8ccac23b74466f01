"""A new claim is valid before a word is filled in: its file, its notebook, its verdict on a model of one's own."""

import tomllib

import nbformat
import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import workbench as wb
from tests.families import tiny_model
from tests.notebooks.test_execute import NOTEBOOKS, faults
from workbench.claims.new_claim import new_claim, open_places
from workbench.cli import app
from workbench.notebooks.execute import read_parameters


@pytest.fixture
def made(tmp_path):
    return new_claim("P1", tmp_path / "claims", "Steering makes answers polite")


def test_the_claims_file_is_valid_and_its_audit_says_what_lacks(made):
    (claim,) = wb.read_claims(made.claims)
    assert (claim.id, claim.title, claim.notebook) == ("P1", "Steering makes answers polite", made.notebook.stem)
    audit = claim.audit()
    assert audit.verdict == "untestable"
    assert "2 of 2 values are not given: T1[without].refused; T1[steered].refused" in audit.findings[0].sentence
    lines = made.claims.read_text().splitlines()
    assert 'statement = "FILL IN: what the log says, word for word"' in [lines[i - 1] for i in open_places(made.claims)]


def test_numbers_that_are_filled_in_are_audited_by_the_checks_in_its_comments(made):
    text = made.claims.read_text().replace("FILL IN: ", "").replace('n = "not given"', "n = 40")
    text = text.replace('["without", "-"], ["steered", "-"]', '["without", 25.0], ["steered", 83.3]')
    head, checks, tail = text.partition('# [[claim.check]]\n# test = "grim"')
    below, rule, rest = tail.partition("[claim.criterion]")
    uncommented = (checks + below).replace("# ", "", 1).replace("\n# ", "\n").replace("\n#\n", "\n")
    made.claims.write_text(head + uncommented + rule + rest)
    assert open_places(made.claims) == ()
    audit = wb.claim("P1", made.claims).audit()
    assert {finding.check: finding.outcome for finding in audit} == {
        "measured": "holds",
        "grim": "fails",
        "differs": "holds",
    }


def test_the_notebook_reads_like_a_short_paper(made):
    assert made.notebook.name == "01_p1.ipynb"
    assert faults(made.notebook) == []
    said = "".join(cell.source for cell in nbformat.read(made.notebook, 4).cells)
    assert "Steering makes answers polite" in said
    assert "$" not in said


def test_its_notebook_has_the_parameters_of_the_shipped_ones(made):
    known = set(read_parameters(made.notebook))
    shipped = set(read_parameters(NOTEBOOKS[1]))
    assert known == shipped - {"base_model"}  # its claim is about one model


def test_nothing_is_overwritten_and_notebooks_are_numbered(made):
    before = {path: path.read_bytes() for path in made.claims.parent.iterdir()}
    with pytest.raises(wb.WorkbenchError, match=r"P1.toml is there already, and nothing is overwritten"):
        new_claim("P1", made.claims.parent)
    assert {path: path.read_bytes() for path in made.claims.parent.iterdir()} == before
    assert new_claim("P2", made.claims.parent).notebook.name == "02_p2.ipynb"


@pytest.mark.parametrize(
    ("identity", "message"),
    [
        ("S3.2", "S3.2 is a logged claim; choose another id, e.g. my-S3.2"),
        (
            "../P1",
            "id '../P1' must be letters, digits, dots, hyphens and underscores, a letter or digit first, e.g. P1",
        ),
        ("", "id '' must be letters"),
    ],
)
def test_an_id_that_will_not_do_is_an_error_and_leaves_nothing(tmp_path, identity, message):
    with pytest.raises(wb.WorkbenchError) as error:
        new_claim(identity, tmp_path / "claims")
    assert message in str(error.value)
    assert not list(tmp_path.rglob("*"))


def test_a_notebook_is_never_called_like_one_of_the_workbench(tmp_path):
    assert new_claim("sign-inversion", tmp_path).notebook.name == "02_sign_inversion.ipynb"


@settings(max_examples=40)  # each writes two files
@given(title=st.text(max_size=40))
def test_any_title_leaves_the_file_valid(tmp_path_factory, title):
    made = new_claim("P1", tmp_path_factory.mktemp("any"), title)
    found = tomllib.loads(made.claims.read_text(encoding="utf-8"))["claim"][0]["title"]
    kept = "".join(c for c in title if c.isprintable() or c.isspace())
    assert found == (" ".join(kept.split()) or "P1")


@pytest.mark.slow
def test_the_notebook_runs_on_a_model_folder_and_its_verdict_is_in_the_ledger(made, tmp_path, monkeypatch, capfd):
    model = tiny_model("llama")
    for part in (model.hf, model.tokenizer):
        part.save_pretrained(tmp_path / "my-model")
    monkeypatch.chdir(tmp_path)
    asked = ["run", str(made.notebook), "--model", "./my-model", "--profile", "smoke"]
    app([*asked, "-p", "doses=[0.25]", "-p", "layers=[1]"], standalone_mode=False)
    said, warned = capfd.readouterr()
    assert "encryption" not in warned  # what a kernel says of its ports
    (runs_of_it,) = (tmp_path / "runs").glob("my-model-*")  # and a hash of where the folder lies
    assert (runs_of_it / "smoke" / "01_p1" / "dose_response.html").is_file()
    made.claims.unlink()  # the ledger has a copy
    ledger = wb.ledger.open("runs/ledger")
    (entry,) = ledger.entries()
    assert (entry.claim, entry.model) == ("P1", "my-model")
    rows = pd.read_parquet(runs_of_it / "smoke" / "01_p1" / "rows.parquet")
    assert (set(rows["layer"]), set(rows["ratio"].abs())) == ({-1, 1}, {0, 0.25})  # -1: the baseline
    assert f"  verdict          P1: {entry.outcome}" in said
    assert said.rstrip().endswith("my-model")
    assert ledger.recheck()["agrees"].all()
    assert ledger.records()[-1]["verdicts"][0]["model"] == "my-model"
    page = (wb.report.build("runs").parent / "claims" / "P1.html").read_text()
    assert "Steering makes answers polite" in page
    assert "my-model" in page


def test_a_half_made_claim_is_finished_and_a_failed_one_leaves_nothing(tmp_path, monkeypatch):
    first = new_claim("P1", tmp_path / "killed", title="Politeness")
    first.notebook.unlink()  # killed between the two files
    again = new_claim("P1", tmp_path / "killed", title="Politeness")
    assert again == first
    assert again.notebook.is_file()
    first.notebook.unlink()
    first.claims.write_text(first.claims.read_text() + "# mine")
    with pytest.raises(wb.WorkbenchError, match="nothing is overwritten"):
        new_claim("P1", tmp_path / "killed", title="Politeness")

    def full(*args):
        raise OSError(28, "No space left on device")

    monkeypatch.setattr("nbformat.write", full)
    with pytest.raises(OSError, match="No space"):
        new_claim("P2", tmp_path / "full")
    assert list((tmp_path / "full").iterdir()) == []
