"""The rule of verdicts, case by case."""

import pytest

import workbench as wb
from workbench.statistics import Estimate
from workbench.verdicts import Gate, decide

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
