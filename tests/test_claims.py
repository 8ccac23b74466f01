"""The audit on the logged claim and on invented ones with planted faults; the rule of verdicts, case by case."""

import pytest

import workbench as wb
from workbench.claims import Cell, Claim, Gate, decide, read_claims
from workbench.statistics import Estimate

CRITERION = {"minimum_effect": 0.2}


def claim(*cells, method=None):
    return Claim(
        "X.1", "t", "log", "s", "says", ("m",), "nb", method or {}, tuple(Cell(*c, "log") for c in cells), CRITERION
    )


def test_s3_2_audit_finds_what_the_numbers_say():
    found = wb.claim("S3.2").audit()
    identical = [f for f in found if f.check == "identical conditions"]
    assert [f"{f.p:.3f}" for f in identical] == ["0.369", "0.795"]
    assert "96%" in identical[0].sentence
    assert "99%" in identical[0].sentence
    baseline = {f.sentence.split(":")[0]: f.p for f in found if f.check == "against baseline"}
    assert baseline["Mistral-7B, standard, +15"] == pytest.approx(0.063, abs=1e-3)
    assert baseline["Mistral-7B, standard, -15"] < 1e-20
    assert [f.check for f in found].count("pseudo-replication") == 1
    assert not [f for f in found if f.check == "GRIM"]


def test_planted_faults_are_found_and_clean_numbers_raise_nothing():
    assert [f.check for f in claim(("m", "a", 1.0, 88.6, 100)).audit()] == ["GRIM"]
    assert claim(("m", "a", 1.0, 88.6, 35)).audit() == []
    assert [f.check for f in claim(("m", "a", 2.0, 50.0, 10), ("m", "b", 2.0, 70.0, 10)).audit()] == [
        "identical conditions"
    ]
    assert claim(("m", "a", 2.0, 50.0, 10), ("n", "b", 2.0, 70.0, 10)).audit() == []
    assert claim(("m", "a", 1.0, 50.0, 10), method={"n": 10, "distinct_prompts": 10}).audit() == []


def test_every_claim_file_is_read_and_strict(tmp_path):
    with pytest.raises(wb.WorkbenchError, match=r"no claim 'S9\.9'; there are S3\.2"):
        wb.claim("S9.9")
    path = tmp_path / "c.toml"
    path.write_text('[[claim]]\nid = "A"\ntitel = "typo"\n')
    with pytest.raises(wb.WorkbenchError, match="claim A: unknown titel; the keys are"):
        read_claims(path)
    path.write_text('[[claim]]\nid = "A"\n')
    with pytest.raises(wb.WorkbenchError, match="claim A: lacks criterion"):
        read_claims(path)
    path.write_text("[[claim\n")
    with pytest.raises(wb.WorkbenchError, match="not TOML"):
        read_claims(path)


PASS, FAIL = Gate("g", True, "fine"), Gate("g", False, "broken")


@pytest.mark.parametrize(
    ("gates", "effect", "p", "direction", "outcome"),
    [
        ([PASS], (0.5, 0.3, 0.7), 0.001, True, "reproduced"),
        ([PASS, FAIL], (0.5, 0.3, 0.7), 0.001, True, "inconclusive"),
        ([PASS], (0.5, 0.3, 0.7), 0.001, False, "inconclusive"),
        ([PASS], (0.05, -0.05, 0.15), 0.4, True, "not reproduced"),
        ([PASS], (-0.3, -0.5, -0.1), 0.01, False, "not reproduced"),
        ([PASS], (0.1, -0.1, 0.3), 0.3, True, "inconclusive"),
        ([PASS], (0.3, -0.02, 0.6), 0.08, True, "inconclusive"),
    ],
)
def test_verdicts_follow_the_rule(gates, effect, p, direction, outcome):
    verdict = decide(claim(), gates, Estimate(*effect, 40, "m"), p, direction)
    assert verdict.outcome == outcome
    assert "on analogue" in str(verdict)
    assert "Gate failed: g (broken)." in str(verdict) or FAIL not in gates
