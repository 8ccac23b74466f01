"""The 47 logged claims and their audits; claims files are read strictly, with the line of every mistake."""

import re
import shutil
import tomllib
from collections import Counter

import pytest
from typer.testing import CliRunner

import workbench as wb
from tests.invented import claims_file, rates
from workbench._files import data_folder
from workbench.claims.audits.check_results import VERDICTS
from workbench.claims.claim import GATES, NOTEBOOKS, OUTCOMES
from workbench.claims.files import own_claims, read_claims
from workbench.claims.tables import FORMATS
from workbench.cli import app

FOLDER = data_folder() / "claims"

#: The audit verdict of every claim, and of its lettered assertions.
EXPECTED = {
    "S0.1": "supported", "S0.2": "artefact", "S0.3": "refuted (analytic)", "S0.4": "artefact", "S0.5": "inconsistent",
    "S0.6": "inconsistent", "S0.7": "inconsistent", "S0.8": "inconsistent", "S0.9": "inconsistent", "S0.10": "artefact",
    "S0.11": "untestable",
    "S1.1": "artefact", "S1.2": "underpowered", "S1.3": "underpowered", "S1.4": "underpowered", "S1.5": "underpowered",
    "S1.6": "artefact", "S1.7": "underpowered", "S1.8": "underpowered", "S1.9": "untestable", "S1.10": "untestable",
    "S2.1": "underpowered", "S2.2": "underpowered", "S2.3": "underpowered", "S2.4": "underpowered", "S2.5": "artefact",
    "S2.6": "supported", "S2.7": "underpowered", "S2.8": "underpowered", "S2.9": "underpowered", "S2.10": "supported",
    "S2.11": "inconsistent", "S2.12": "untestable", "S2.13": "supported", "S2.14": "supported", "S2.15": "artefact",
    "S2.16": "underpowered", "S2.17": "inconsistent",
    "S3.1": "inconsistent", "S3.2": "supported", "S3.3": "supported", "S3.4": "inconsistent", "S3.5": "inconsistent",
    "S3.6": "inconsistent", "S3.7": "inconsistent", "S3.8": "inconsistent", "S3.9": "untestable",
}  # fmt: skip
PARTS = {
    "S0.2": {"a": "supported", "b": "artefact"},
    "S0.10": {"a": "artefact", "b": "artefact", "c": "untestable"},
    "S1.1": {"a": "supported", "b": "artefact"},
    "S1.6": {"a": "artefact", "b": "artefact", "c": "artefact"},
    "S2.8": {"a": "untestable", "b": "underpowered", "c": "inconsistent", "d": "untestable", "e": "underpowered"},
    "S2.10": {"a": "supported", "b": "inconsistent", "c": "supported", "d": "underpowered", "e": "underpowered"},
    "S3.2": {"a": "underpowered", "b": "supported", "c": "refuted (analytic)", "d": "inconsistent"},
    "S3.3": {"a": "supported", "b": "inconsistent", "c": "artefact"},
}

#: (claim, check, which of its findings): what it must recompute, and to how many places that is known.
RECOMPUTED = {
    ("S0.2", "change", 0): ([4.5, 9.9, -1.4, 43.2, 61.4], 1),
    ("S0.2", "skipped_row", 0): ([-4.60, -4.67, -4.64, -4.66, -4.77], 2),
    ("S0.3", "variance_law", 0): ([2.2265, 2.3148, 2.4354, 2.8487, 0.802], 3),
    ("S0.1", "pooled_sd", 0): ([54.40], 2),
    ("S0.4", "alike_means", 0): ([0.369], 3),
    ("S0.4", "correlation", 0): ([0.037], 3),
    ("S0.5", "power", 0): ([0.06], 2),
    ("S0.5", "subgroups", 0): ([1.0, 4.0, 3.5, 2.0, 2.0, 6.0], 1),
    ("S0.5", "totals", 0): ([13, 16, 15, 12, 14, 13], 0),
    ("S0.6", "grim", 0): ([3], 0),
    ("S0.7", "sum", 0): ([24], 0),
    ("S1.2", "best_of", 0): ([0.97], 2),
    ("S1.8", "limit", 0): ([0.161], 3),
    ("S2.1", "difference", 0): ([0.49], 2),
    ("S2.3", "change", 0): ([24.3], 1),
    ("S2.3", "aucs_differ", 0): ([0.059, 0.075], 3),
    ("S2.4", "ratio", 0): ([2.98], 2),
    ("S2.6", "ratio", 0): ([5.43], 2),
    ("S2.6", "ratio", 1): ([1.64], 2),
    ("S2.7", "difference", 0): ([29.5, 28.0, 28.9], 1),
    ("S2.7", "beyond_noise", 0): ([1.5, 4.9], 1),
    ("S2.9", "correlations_differ", 0): ([0.78, 0.95, 0.44, 0.86], 2),
    ("S2.9", "correlations_differ", 1): ([0.53, 0.98, 0.00, 0.94], 2),
    ("S2.10", "governs", 0): ([-0.87, -0.58], 2),
    ("S2.11", "difference", 0): ([100, 95, 90, 55], 0),
    ("S2.13", "mean", 0): ([91.38], 2),
    ("S2.13", "grim", 0): ([201], 0),
    ("S2.14", "mean", 0): ([99.62], 2),
    ("S2.14", "grim", 0): ([223], 0),
    ("S2.16", "ratio", 1): ([15.98], 2),
    ("S2.17", "within", 0): ([4, 10], 0),
    ("S2.17", "correlation", 0): ([0.90], 2),
    ("S3.5", "step_or_curve", 0): ([9.54, 73], 0),
}
P_VALUES = {
    ("S0.4", "alike_means", 0): 0.868, ("S0.5", "alike", 0): 0.788, ("S0.5", "differs", 0): 0.590, ("S0.7", "differs", 0): 0.67,
    ("S1.2", "differs", 0): 1.0, ("S1.4", "differs", 0): 0.143, ("S1.4", "trend", 0): 0.126, ("S1.5", "differs", 0): 0.605,
    ("S1.5", "paired_best", 0): 0.5, ("S1.7", "differs", 0): 1.0, ("S1.7", "differs", 1): 0.342, ("S2.2", "differs", 0): 0.472,
    ("S2.2", "differs", 1): 0.781, ("S2.3", "aucs_differ", 0): 0.081, ("S2.4", "differs", 0): 0.63, ("S2.11", "differs", 0): 0.51,
    ("S2.11", "differs", 1): 0.0084, ("S2.15", "differs", 1): 1.8e-24, ("S2.15", "differs", 2): 8.8e-9,
    ("S2.15", "compatible", 0): 0.52, ("S2.15", "compatible", 1): 0.064, ("S2.16", "means_differ", 0): 0.55,
    ("S2.16", "nonzero", 0): 0.013, ("S3.2", "differs", 0): 0.063, ("S3.2", "identical", 0): 0.369, ("S3.2", "identical", 1): 0.795,
    ("S3.2", "repeats", 0): 0.577, ("S3.2", "repeats", 1): 0.981, ("S3.2", "repeats", 2): 0.980, ("S3.3", "differs", 0): 5.9e-10,
    ("S3.3", "differs", 1): 1.1e-5, ("S3.4", "differs", 0): 8.3e-9, ("S3.5", "p_value", 0): 0.00125, ("S3.5", "differs", 0): 0.00014,
    ("S3.6", "differs", 0): 0.059, ("S3.6", "compatible", 1): 7.6e-10,
}  # fmt: skip


@pytest.fixture(scope="module")
def audits():
    return {claim.id: claim.audit() for claim in wb.logged_claims()}


def finding(audits, key):
    identity, check, which = key
    return [f for f in audits[identity] if f.check == check][which]


def test_every_logged_claim_has_its_verdict(audits):
    assert {identity: audit.verdict for identity, audit in audits.items()} == EXPECTED
    assert Counter(EXPECTED.values()) == dict(zip(VERDICTS, (1, 7, 5, 13, 14, 7), strict=True))
    assert {i: dict(a.parts) for i, a in audits.items() if a.parts} == PARTS


@pytest.mark.parametrize("key", RECOMPUTED, ids=lambda k: f"{k[0]}-{k[1]}-{k[2]}")
def test_what_is_recomputed(audits, key):
    values, places = RECOMPUTED[key]
    found = finding(audits, key).values[: len(values)]
    assert [round(v, places) for v in found] == pytest.approx(values, abs=0.6 * 10**-places)


def test_p_values(audits):
    found = {key: finding(audits, key).p for key in P_VALUES}
    assert found == pytest.approx(P_VALUES, rel=0.04)


def test_slips_are_shown_and_decide_nothing(audits):
    slips = {f"{a.claim} {f.check}": f.sentence for a in audits.values() for f in a if f.outcome == "slip"}
    assert set(slips) == {"S0.1 pooled_sd", "S0.2 change", "S2.13 grim", "S2.14 grim"}
    assert "61.3 is printed (S0-A[2.0].expansion), 61.42 recomputed" in slips["S0.2 change"]
    assert "3 of 5" not in slips["S0.2 change"]
    assert "98.7%, 99.6% need n = 223, not 222" in slips["S2.14 grim"]


#: Files, an alteration of their text, the claim, and its verdict (or a letter's) afterwards.
ALTERED = [
    ("S0", [("2.3115", "2.9115")], "S0.3", "", "inconsistent"),  # off the variance law, so a loss is left to explain
    ("S0", [('"different responses" = { count = 72', '"different responses" = { count = 24')], "S0.9", "", "inconsistent"),
    ("S0", [('needs = ["000: sampling is seeded"]', 'needs = ["000: responses end at the token cap"]'),
            ('"different responses" = { count = 72', '"different responses" = { count = 24')], "S0.9", "", "supported"),
    ("S0", [('"sd of length" = 54.5', '"sd of length" = 45.5')], "S0.1", "", "inconsistent"),
    ("S0", [("22.55, 15.33", "12.55, 15.33"), ("37.88", "27.88")], "S0.2", "a", "inconsistent"),
    ("S1", [('n = 20\ncolumns = [\n    "condition', 'n = 200\ncolumns = [\n    "condition')], "S1.5", "", "supported"),
    ("S1", [("[14, 4.04]", "[14, 2.04]")], "S1.1", "a", "inconsistent"),
    ("S1", [("[14, 75, 75, 25, 0, -50]", "[14, 75, 75, 30, 0, -45]")], "S1.4", "", "inconsistent"),
    ("S2", [("blocked = { percent = 94, n = 17 }", "blocked = { percent = 65, n = 17 }")], "S2.5", "", "supported"),
    ("S2", [("74.5, 200", "54.5, 200")], "S2.13", "", "inconsistent"),
    ("S2", [("99.1, 222", "99.2, 222")], "S2.14", "", "inconsistent"),
    ("S2", [('["gpt-4.1-mini", "logprob", 6.1]', '["gpt-4.1-mini", "logprob", 16.1]')], "S2.6", "", "inconsistent"),
    ("S2", [("90.8, 77.1, 29.5", "90.8, 77.1, 19.5")], "S2.7", "", "inconsistent"),
    ("S3", [('"inverted +15", -15, 99', '"inverted +15", -14, 99'), ('"inverted +15", -15, 7', '"inverted +15", -14, 7')],
     "S3.2", "c", "supported"),
    ("S3", [('"standard +15", 15, 6', '"standard +15", 15, 1')], "S3.2", "a", "underpowered"),
    ("S3", [('"baseline", 0, 15', '"baseline", 0, 94')], "S3.2", "", "underpowered"),
    ("S3", [("[26, 48.6, 20.0, 57.1]", "[26, 48.6, 51.4, 57.1]")], "S3.4", "", "supported"),
    ("S3", [("p = 0.0007", "p = 0.0107")], "S3.5", "", "inconsistent"),
    ("S3", [("false", "true")], "S3.8", "", "supported"),
    ("S3", [('"judgements behind it" = "-"', '"judgements behind it" = 5')], "S3.9", "", "inconsistent"),
    ("evidence", [("[10, 66,", "[10, 32,"), ("[11, 58,", "[11, 32,"), ("[12, 92,", "[12, 98,"), ("[13, 96,", "[13, 98,")],
     "S3.5", "", "supported"),
    ("evidence", [('["detailed", 20, 20]', '["detailed", 1, 3]')], "S1.6", "a", "supported"),
    ("evidence", [('"Gemma-2-9B", "single L24", 100, 100', '"Gemma-2-9B", "single L24", 0, 100'), ('"four", 0, 50', '"four", 48, 50'),
                  ('"12 16 20 24", 30, 50', '"12 16 20 24", 0, 50')], "S3.6", "", "supported"),
]  # fmt: skip


@pytest.mark.parametrize(
    ("file", "edits", "identity", "letter", "verdict"), ALTERED, ids=lambda v: v if isinstance(v, str) else ""
)
def test_other_numbers_lead_to_another_audit(tmp_path, file, edits, identity, letter, verdict):
    shutil.copytree(FOLDER, tmp_path, dirs_exist_ok=True)
    path = tmp_path / f"{file}.toml"
    text = path.read_text()
    for old, new in edits:
        assert old in text
        text = text.replace(old, new)
    path.write_text(text)
    claims = {claim.id: claim for claim in read_claims(tmp_path / f"{identity[:2]}.toml")}
    audit = claims[identity].audit()
    assert (audit.parts[letter] if letter else audit.verdict) == verdict, list(map(str, audit))


def test_every_logged_claim_is_complete():
    claims = wb.logged_claims()
    assert [c.id for c in claims] == list(EXPECTED)
    counts = Counter(c.id.split(".")[0] for c in claims)
    assert counts == {"S0": 11, "S1": 10, "S2": 17, "S3": 9}
    for claim in claims:
        assert claim.log.id == f"00{claim.id[1]}"
        assert claim.log.file.startswith(claim.log.id)
        assert claim.log.repository
        assert claim.notebook in NOTEBOOKS
        assert claim.replication is not None
        assert set(claim.replication.expected) <= set(OUTCOMES)
        assert claim.checks
        assert claim.numbers or claim.tables or claim.evidence
        if claim.criterion is None:
            assert claim.replication.expected == ("not run",)
            with pytest.raises(wb.WorkbenchError, match="has no criterion"):
                claim.minimum_effect  # noqa: B018
        else:
            assert claim.minimum_effect >= 0
            assert set(claim.criterion.gates) <= set(GATES)
            assert claim.criterion.test
    assert {c.notebook for c in (*claims, *own_claims())} == set(NOTEBOOKS)  # every notebook has its claims
    assert [c.id for c in claims if c.criterion is None] == ["S1.10", "S3.9"]


def test_every_claim_of_this_project_has_a_rule_and_no_logged_number():
    for claim in own_claims():
        assert re.fullmatch(r"W\.\d+", claim.id)
        assert claim.criterion is not None
        assert claim.notebook in NOTEBOOKS
        assert (dict(claim.numbers), claim.tables, claim.checks) == ({}, (), ())
        assert wb.claim(claim.id) == claim
    assert not {c.id for c in own_claims()} & {c.id for c in wb.logged_claims()}


def test_no_table_or_fact_is_left_unused():
    text = {path.stem: path.read_text() for path in FOLDER.glob("*.toml")}
    ids = [item["id"] for t in text.values() for kind in ("table", "fact") for item in tomllib.loads(t).get(kind, [])]
    everything = "".join(text.values())
    assert [i for i in ids if not re.search(rf'["]{re.escape(i)}["\[.]', everything.replace(f'id = "{i}"', ""))] == []


def test_provenance_tells_the_log_from_its_repository():
    cells = {c.name: c.provenance for t in wb.claim("S3.2").tables for row in t.rows for c in row}
    assert cells["S3-B[Mistral-7B, baseline].bypass"] == "P"
    assert cells["S3-B[Mistral-7B, standard -15].bypass"] == "L"
    evidence = {t.id: t for t in wb.claim("S3.5").evidence if hasattr(t, "rows")}
    assert {c.provenance for c in evidence["E3-C"].select(None, "logistic")} == {"R"}
    assert {c.provenance for c in evidence["E3-C"].select(None, "jailbreak")} == {"P"}


def test_no_file_states_a_verdict():
    for path in FOLDER.glob("*.toml"):
        for claim in tomllib.loads(path.read_text()).get("claim", []):
            told = [value for check in claim.get("check", []) for value in check.values() if isinstance(value, str)]
            assert not set(told) & {*VERDICTS, "fails", "holds"}


def test_the_frame_shows_numbers_as_printed():
    frame = wb.claim("S1.5").frame().set_index(["row", "column"])
    assert frame.loc[("steering 1.0", "harmful"), "logged"] == "95.0%"
    assert frame.loc[("steering 1.0", "harmful"), "Wilson 95%"] == "0.95 [0.76, 0.99] n=20"
    assert frame.loc[("base", "coherence"), "Wilson 95%"] == ""
    assert wb.claim("S0.5").frame().loc[0, "row"] == "0.1"


GOOD = claims_file(rates(45.0, 82.5), 'test = "grim"\nof = "T.rate"', "gain = 37.5\nshare = { percent = 95, n = 40 }")

CHECK = 'test = "grim"\nof = "T.rate"'

#: what to change, the line of the mistake in the changed file as text, and the message
MISTAKES = [
    ('title = "An invented claim"', 'titel = "An invented claim"', "titel", "unknown claim key 'titel'; did you mean 'title'?"),
    ('title = "An invented claim"\n', "", "[[claim]]", "claim lacks title"),
    ('kind = "comparison"', 'kind = "rumour"', "rumour", "kind must be one of measurement, comparison, interpretation, method"),
    ('models = ["a-model"]', 'models = ["a-model", 3]', "a-model", "models must be text in quotes, got 3"),
    ('models = ["a-model"]', 'models = "a-model"', "models", "models must be a list, got 'a-model'"),
    ("minimum_effect = 0.1", 'minimum_effect = "big"', "minimum_effect", "minimum_effect must be a number, got 'big'"),
    ("minimum_effect = 0.1", "minimum_effect = true", "minimum_effect", "must be a number, got True"),
    ('gates = ["G1"]', 'gates = [\n  "G1",\n  "G9"]', '"G9"', "gates must be one of G1, G2"),
    ('test = ["mcnemar"]', 'test = ["t-test"]', "t-test", "test must be one of mcnemar, fisher"),
    ('section = "1"\n', 'section = "1"\nnotebook = "99_nothing"\n', "99_nothing", "unknown notebook '99_nothing'"),
    ("n = 40\ncolumns", "columns", "[[table]]", "table 'T' has percentages but no n"),
    ("n = 40\ncolumns", "n = 0\ncolumns", "n = 0", "n must be a whole number above 0, or 'not given'"),
    ("share = { percent = 95, n = 40 }", "share = { percent = 95 }", "share =", "share lacks n"),
    ("share = { percent = 95,", "share = { percent = 95, count = 3,", "share =", "exactly one of value, percent, share and count"),
    ("gain = 37.5", 'gain = { value = 37.5, provenance = "X" }', "gain", "provenance must be one of L, R, P, I"),
    ('provenance = "L"', 'provenance = "Q"', '"Q"', "provenance must be one of L, R, P, I, got 'Q'"),
    ('"rate: percent"', '"rate: ratio"', "rate: ratio", "column 'rate: ratio' must be 'name: type'"),
    ('"rate: percent"', '"rate: share"', "82.5", "T[arm 0].rate must be a share from 0 to 1, got 45.0; a percentage has the type percent"),
    ('"rate: percent"', '"rate: percent of m"', "rate: percent of m", "unknown column of type n 'm'; there are none"),
    (CHECK, 'test = "within"\nof = "T.rate"', "[[claim.check]]", "it needs low, high or both"),
    (CHECK, 'test = "same"\nof = "gain"', "[[claim.check]]", "check 'same' says nothing: of has 1"),
    (CHECK, 'test = "procedure"\nneeds = []', "[[claim.check]]", "check 'procedure' says nothing: needs has 0"),
    (CHECK, 'test = "reversals"\nof = "T.rate"', "[[claim.check]]", "check 'reversals' says nothing: of has 2"),
    (CHECK, 'test = "alike"\nof = "share"', "[[claim.check]]", "check 'alike' says nothing: of has 1"),
    (CHECK, 'test = "compatible"\na = "share"\nb = "share"', "[[claim.check]]", "a and b are the same numbers"),
    (CHECK, 'test = "peak"\nof = "T.rate"\nat = "T.rate"', "[[claim.check]]", "at names every number of of"),
    ('["arm 1", 82.5]]', '\n["arm 1", "many"]]', '"many"', r"T[arm 1].rate must be a number, or '-' (percent), got 'many'"),
    ('["arm 1", 82.5]]', '\n["arm 1"]]', '["arm 1"]]', "a row needs 2 cells, got 1"),
    ('of = "T.rate"', 'off = "T.rate"', "off =", "unknown check key 'off'; did you mean 'of'?"),
    ('test = "grim"', 'test = "grimm"', "grimm", "unknown check 'grimm'; did you mean 'grim'? There are grim"),
    ('of = "T.rate"', "", "[[claim.check]]", "check 'grim' lacks of"),
    ('of = "T.rate"', 'of = "T.rates"', "T.rates", "table T has no column 'rates'; did you mean 'rate'? There are arm, rate"),
    ('of = "T.rate"', 'of = "T[arm 7].rate"', "arm 7", "table T has no row [arm 7]"),
    ('of = "T.rate"', 'of = "U.rate"', "U.rate", "'U.rate' is no number of this claim and no table; there are gain, share, T"),
    ('of = "T.rate"', "of = []", "of = []", "must not be empty"),
    ('of = "T.rate"', 'part = "z"\nof = "T.rate"', 'part = "z"', "unknown part 'z'; there are none"),
    ("n = 40\n\n[[table]]", 'n = "many"\n\n[[table]]', "[[claim]]", "n must be a whole number above 0, or 'not given'"),
    ("n = 40\n\n[[table]]", "\n[[table]]", "[[claim]]", "method lacks n"),
    ('scorer = "label"', 'scores = "label"', "scores", "unknown method key 'scores'; did you mean 'scorer'?"),
    ('[log]\nid = "X"', 'uses = ["none.toml"]\n[log]\nid = "X"', "none.toml", "there is no file"),
    ('id = "X.1"', 'id = "X.1"\ntables = ["V"]', '"V"', "unknown table 'V'; there are T"),
    ('id = "X.1"', 'id = "X.1"\npremises = ["X.1"]', "premises", "unknown claim above this one 'X.1'; there are none"),
    ('id = "X.1"', 'id = "X.1"\nheadline = ["q"]', '"q"', "unknown letter 'q'"),
    ("minimum_effect = 0.1", "minimum_effect = nan", "minimum_effect", "minimum_effect must be a number above 0, got NaN"),
    ("minimum_effect = 0.1", "minimum_effect = inf", "minimum_effect", "minimum_effect must be a number above 0, got Infinity"),
    ("minimum_effect = 0.1", "minimum_effect = 1e400", "minimum_effect", "minimum_effect must be a number above 0, got 1E+400"),
    ("minimum_effect = 0.1", "minimum_effect = 1e-400", "minimum_effect", "minimum_effect must be a number above 0, got 1E-400"),
    ("minimum_effect = 0.1", "minimum_effect = 0.1\nlogged = 1e400", "logged", "logged must be a number, got 1E+400"),
    ("minimum_effect = 0.1", "minimum_effect = 0.1\nat_least = -1", "at_least", "at_least must be a whole number from 0, got -1"),
    ("minimum_effect = 0.1", "minimum_effect = -0.2", "minimum_effect", "minimum_effect must be a number above 0, got -0.2"),
    ("minimum_effect = 0.1", "minimum_effect = 0", "minimum_effect", "minimum_effect must be above 0"),
    ("minimum_effect = 0.1", "minimum_effect = 10", "minimum_effect", "minimum_effect in 'share' is at most 1 (0.1 is ten points)"),
    ("minimum_effect = 0.1", "minimum_effect = 0.1\nlogged = nan", "logged", "logged must be a number, got NaN"),
    ('test = ["mcnemar"]', "test = []", "test = []", "test must name at least one test"),
    ("n = 40\ncolumns", "n = true\ncolumns", "n = true", "n must be"),
    ("n = 40\ncolumns", "n = -5\ncolumns", "n = -5", "n must be a whole number above 0, or 'not given'"),
    ('["arm 1", 82.5]]', '\n["arm 1", nan]]', "nan]]", "T[arm 1].rate must be a number, or '-' (percent), got NaN"),
    ('["arm 1", 82.5]]', '\n["arm 1", inf]]', "inf", "T[arm 1].rate must be a number, or '-' (percent), got Infinity"),
    ('["arm 1", 82.5]]', '\n["arm 1", 1e-999999]]', "1e-999999", "T[arm 1].rate must be a number, or '-' (percent)"),
    ("gain = 37.5", "gain = { value = -inf }", "gain", "gain must be"),
]  # fmt: skip


@pytest.mark.parametrize(("old", "new", "line", "message"), MISTAKES, ids=[m[3][:40] for m in MISTAKES])
def test_a_mistake_in_a_file_is_one_message_with_its_line(tmp_path, old, new, line, message):
    path = tmp_path / "log.toml"
    path.write_text(GOOD)
    assert read_claims(path)[0].audit().verdict == "supported"
    assert old in GOOD
    text = GOOD.replace(old, new, 1)
    path.write_text(text)
    number = next(i for i, row in enumerate(text.splitlines(), 1) if line in row)
    with pytest.raises(wb.WorkbenchError, match=re.escape(message)) as error:
        read_claims(path)
    assert str(error.value).startswith(f"{path}, line {number}: ")


def test_ids_are_unique(tmp_path):
    path = tmp_path / "log.toml"
    body = GOOD[GOOD.index("[[claim]]") :]
    path.write_text(f"{GOOD}\n{body}")
    with pytest.raises(wb.WorkbenchError, match=r"line \d+: there is another claim 'X\.1' above"):
        read_claims(path)
    path.write_text(GOOD.replace("[[claim]]", rates(50.0) + "\n[[claim]]"))
    with pytest.raises(wb.WorkbenchError, match=r"line \d+: there is another table 'T' above"):
        read_claims(path)
    (tmp_path / "more.toml").write_text(rates(50.0))
    path.write_text(f'uses = ["more.toml"]\n{GOOD}')
    with pytest.raises(wb.WorkbenchError, match="line 1: defined here and in the file it uses: T"):
        read_claims(path)


def test_a_claim_without_a_criterion_or_without_checks(tmp_path):
    path = tmp_path / "log.toml"
    start, end = GOOD.index("[claim.criterion]"), GOOD.index("[claim.numbers]")
    path.write_text(GOOD[:start] + GOOD[end:])
    with pytest.raises(wb.WorkbenchError, match=r"claim 'X\.1' lacks a criterion"):
        read_claims(path)
    path.write_text(GOOD[:start] + '[claim.replication]\ndesign = "none"\nexpected = ["not run"]\n' + GOOD[end:])
    assert read_claims(path)[0].criterion is None
    path.write_text(GOOD[: GOOD.index("[[claim.check]]")])
    assert read_claims(path)[0].audit().verdict == "untestable"


def test_a_claim_is_no_better_than_what_it_rests_on(tmp_path):
    path = tmp_path / "log.toml"
    second = GOOD[GOOD.index("[[claim]]") :].replace('id = "X.1"', 'id = "X.2"\npremises = ["X.1"]')
    path.write_text(f"{GOOD}\n{second}")
    assert [c.audit().verdict for c in read_claims(path)] == ["supported", "supported"]
    path.write_text(
        f"{GOOD}\n{second}".replace('of = "T.rate"', 'of = ["T.rate", "share"]', 1).replace(
            "percent = 95", "percent = 94", 1
        )
    )
    first, rests = (c.audit() for c in read_claims(path))
    assert (first.verdict, rests.verdict) == ("inconsistent", "inconsistent")
    assert rests.findings[0].sentence == "rests on X.1 (An invented claim), which is inconsistent"


def test_headline_letters_decide_and_the_others_stand_beside(tmp_path):
    path = tmp_path / "log.toml"
    letters = GOOD.replace("[claim.numbers]", '[claim.parts]\na = "one"\nb = "two"\n\n[claim.numbers]')
    letters = letters.replace("[[claim.check]]\n", '[[claim.check]]\npart = "a"\n')
    letters += '\n[[claim.check]]\npart = "b"\ntest = "same"\nof = ["gain", "share"]\n'
    for headline, verdict in (
        ("", "inconsistent"),
        ('headline = ["a"]\n', "supported"),
        ('headline = ["b"]\n', "inconsistent"),
    ):
        path.write_text(letters.replace('id = "X.1"\n', f'id = "X.1"\n{headline}'))
        audit = read_claims(path)[0].audit()
        assert audit.verdict == verdict
        assert audit.parts == {"a": "supported", "b": "inconsistent"}


def test_an_unknown_id_lists_the_known():
    with pytest.raises(
        wb.WorkbenchError,
        match=r"unknown claim 'S9\.9'; did you mean 'S\d\.9'\? There are S0\.1, .*; one of your own",
    ):
        wb.claim("S9.9")


def test_a_claim_of_ones_own_is_read_from_its_file(tmp_path):
    path = tmp_path / "log.toml"
    path.write_text(GOOD)
    assert wb.claim("X.1", path) == read_claims(path)[0]
    with pytest.raises(wb.WorkbenchError, match=r"unknown claim 'S3\.2'; there are X\.1 in .*log\.toml$"):
        wb.claim("S3.2", path)
    path.write_text(GOOD.replace('id = "X.1"', 'id = "../X"'))
    with pytest.raises(wb.WorkbenchError, match=r"line \d+: id '\.\./X' must be letters, digits"):
        read_claims(path)


def test_references():
    (table,) = wb.claim("S3.5").evidence[:1]
    assert [str(c) for c in table.select("9", "jailbreak")] == ["32%"]
    grid = wb.claim("S2.13").tables[0]
    assert len(grid.select("cross", "accuracy")) == 12
    assert len(grid.select("cross, *, Coding", "accuracy")) == 3
    assert len(grid.select("cross, History", "accuracy")) == 3
    assert [c.n for c in grid.select("cross, History, Science", "accuracy")] == [202]


def test_what_a_claims_file_says_is_shown_on_a_terminal_and_not_obeyed(tmp_path):
    """Colours, a title of the window, text that is turned around, a carriage return, and a row of a table made up."""
    hostile = r"\u001b[31mred \u001b]0;owned\u0007 \u202egnorw \r\nS9.9  made up  supported \u200b"
    path = tmp_path / "log.toml"
    path.write_text(GOOD.replace("An invented claim", hostile))
    (one,) = read_claims(path)
    for command in (["audit", str(path)], ["audit", str(path), str(path)], ["audit", str(path), "--format", "json"]):
        done = CliRunner().invoke(app, command, color=True)
        assert done.exit_code == 0
        assert not re.search("[\x00-\x08\x0b-\x1f\x7f-\x9f\u202a-\u202e\u2066-\u2069\u200b]", done.output)
        assert "1b[31mred" in done.output
    shown = FORMATS["table"]([{"id": "X", "title": one.title, "audit": "supported", "verdicts": []}])
    assert len(shown.splitlines()) == 4  # head, one row, a blank line, the totals
    shown = FORMATS["md"]([{"id": "X", "title": one.title, "audit": "supported", "verdicts": []}])
    assert len(shown.splitlines()) == 5


def test_of_two_columns_of_n_each_rate_names_its_own(tmp_path):
    path = tmp_path / "log.toml"
    columns = '["arm: text", "before: percent", "n before: n", "after: share", "n after: n"]'
    text = GOOD.replace('["arm: text", "rate: percent"]', columns).replace("T.rate", "T.before")
    text = text.replace('[["arm 0", 45.0], ["arm 1", 82.5]]', '[["arm 0", 45.0, 20, 0.333, 30]]')
    assert columns in text
    path.write_text(text)
    with pytest.raises(
        wb.WorkbenchError,
        match="2 columns of type n: say which is that of 'before', \"before: percent of n before\" or",
    ):
        read_claims(path)
    path.write_text(
        text.replace("before: percent", "before: percent of n before").replace(
            "after: share", "after: share of n after"
        )
    )
    text = path.read_text().replace('of = "T.before"', 'of = ["T.before", "T.after"]')
    path.write_text(text)
    cells = read_claims(path)[0].checks[0].arguments["of"]
    assert [(c.n, c.successes) for c in cells] == [(20, 9), (30, 10)]


def test_shares_are_numbers_as_printed_and_table_ids_may_hold_dots(tmp_path):
    path = tmp_path / "log.toml"
    text = GOOD.replace('id = "T"', 'id = "T.1"').replace(
        'of = "T.rate"', 'of = ["T.1.rate", "T.1[arm 0].rate", "share"]'
    )
    path.write_text(text.replace("{ percent = 95, n = 40 }", "{ share = 0.886, n = 35 }"))
    (claim,) = read_claims(path)
    cells = claim.checks[0].arguments["of"]
    assert [str(c) for c in cells] == ["45.0%", "82.5%", "45.0%", "88.6%"]
    assert cells[-1].successes == 31
    assert [f.outcome for f in claim.audit()] == ["holds"]


def test_a_check_that_cannot_be_computed_loses_nothing_else(tmp_path):
    path = tmp_path / "log.toml"
    path.write_text(GOOD + '\n[[claim.check]]\ntest = "nonzero"\nof = ["gain"]\n')
    audit = read_claims(path)[0].audit()
    assert [f.outcome for f in audit] == ["holds", "not computed"]
    assert audit.verdict == "supported"
