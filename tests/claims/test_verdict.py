"""The rule of verdicts, case by case."""

import pytest

import workbench as wb
from workbench.claims.verdict import Gate, decide
from workbench.statistics.results import Estimate

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
    claim = wb.claim("S3.2")
    assert claim.minimum_effect == 0.2
    verdict = decide(claim, gates, Estimate(*effect, 40, "m"), p, direction)
    assert verdict.outcome == outcome
    assert "on analogue" in str(verdict)
    assert "Gate failed: g (broken)." in str(verdict) or FAIL not in gates


@pytest.mark.parametrize(
    ("effect", "p", "outcome"),
    [
        ((0.5, 0.3, 0.7), 0.001, "inconclusive"),
        ((0.0, -0.1, 0.1), 0.9, "not reproduced"),
        ((0.1, -0.1, 0.3), 0.3, "inconclusive"),
    ],
)
def test_a_gate_of_the_effect_stands_in_the_way_of_reproduced_only(effect, p, outcome):
    claim = wb.claim("S3.2")
    gate = Gate("G6 specificity", False, "controls do it too", of_effect=True)
    assert decide(claim, [PASS, gate], Estimate(*effect, 40, "m"), p, True).outcome == outcome
    assert decide(claim, [FAIL, gate], Estimate(*effect, 40, "m"), p, True).outcome == "inconclusive"


def test_the_interval_must_reach_the_minimum_and_the_estimate_need_not():
    claim = wb.claim("S3.2")
    verdict = decide(claim, [PASS], Estimate(0.17, 0.05, 0.29, 60, "m"), 0.01, True)
    assert verdict.outcome == "reproduced"
    assert "The estimate itself falls short" in verdict.reasons[0]
    assert decide(claim, [PASS], Estimate(0.1, 0.02, 0.18, 60, "m"), 0.01, True).outcome == "not reproduced"


@pytest.mark.parametrize(
    ("identity", "effect", "outcome"),
    [
        ("S1.8", (0.0, -0.02, 0.03), "reproduced"),
        ("S1.8", (0.2, 0.1, 0.3), "not reproduced"),
        ("S1.8", (0.03, -0.02, 0.08), "inconclusive"),
        ("S0.5", (0.0, -0.05, 0.05), "reproduced"),
        ("S0.5", (-0.3, -0.4, -0.2), "not reproduced"),
        ("S0.5", (-0.08, -0.2, 0.04), "inconclusive"),
    ],
)
def test_upper_limits_and_margins(identity, effect, outcome):
    assert decide(wb.claim(identity), [PASS], Estimate(*effect, 200, "m"), 0.5, True).outcome == outcome
