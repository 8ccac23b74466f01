"""The rule of verdicts, case by case."""

from dataclasses import replace
from decimal import Decimal

import pytest
from hypothesis import given
from hypothesis import strategies as st

import workbench as wb
from workbench.claims.claim import OUTCOMES
from workbench.claims.verdict import Gate, Measured, decide, read_numbers
from workbench.statistics.results import Estimate


def gates(*failed, of="S3.2", without=()):
    """All gates that a claim requires, those named failed; some not measured."""
    names = [name for name in wb.claim(of).criterion.gates if name not in without]
    return [Gate(f"{name} as measured", name not in failed, "found") for name in names]


def outcome(effect, p=0.001, holds=True, of="S3.2", passed=None, **more):
    return decide(
        wb.claim(of), gates(of=of) if passed is None else passed, Estimate(*effect, 80, "m"), p, holds, **more
    )


#: the minimum is .20
@pytest.mark.parametrize(
    ("effect", "p", "holds", "said"),
    [
        ((0.5, 0.3, 0.7), 0.001, True, "reproduced"),
        ((0.2, 0.05, 0.35), 0.01, True, "reproduced"),
        ((0.19, 0.05, 0.33), 0.01, True, "smaller"),
        ((0.1, 0.05, 0.15), 0.001, True, "smaller"),
        ((0.1, 0.01, 0.21), 0.03, True, "smaller"),  # half of the minimum from few prompts is not the claim
        ((0.05, -0.05, 0.15), 0.4, True, "not reproduced"),
        ((-0.05, -0.15, 0.05), 0.4, True, "not reproduced"),
        ((-0.3, -0.5, -0.1), 0.01, False, "opposite"),
        ((-0.3, -0.5, -0.1), 0.01, True, "opposite"),
        ((0.1, -0.1, 0.3), 0.3, True, "inconclusive"),
        ((0.3, -0.02, 0.6), 0.08, True, "inconclusive"),
        ((0.5, 0.3, 0.7), 0.001, False, "inconclusive"),
        ((0.3, 0.01, 0.6), 0.2, True, "inconclusive"),  # not significant once all tests of the notebook are counted
        ((0.1, 0.01, 0.19), 0.2, True, "not reproduced"),
        ((-0.1, -0.19, -0.01), 0.2, True, "not reproduced"),
    ],
)
def test_the_interval_decides(effect, p, holds, said):
    verdict = outcome(effect, p, holds)
    assert verdict.outcome == said
    assert "on analogue" in str(verdict)


@given(
    st.floats(-1, 1),
    st.floats(0, 1),
    st.floats(0, 1),
    st.sampled_from(["S3.2", "S1.8", "S0.5", "S2.8", "S0.9", "S1.6"]),
)
def test_exactly_one_outcome_and_never_reproduced_below_the_minimum(value, below, above, of):
    criterion = wb.claim(of).criterion
    effect = Estimate(value, value - below, value + above, 80, "m")
    said = read_numbers(criterion, Measured(effect, 0.01, True))[0]
    assert said in OUTCOMES
    if said == "reproduced" and criterion.bound == "least":
        assert value >= float(criterion.minimum_effect) - 1e-9
        assert effect.low > 0
    if criterion.form == "effect" and effect.high < 0:
        assert said == "opposite"


FORMS = [
    ("S1.8", (0.0, -0.02, 0.03), "reproduced"),  # a limit of .05
    ("S1.8", (0.2, 0.1, 0.3), "not reproduced"),
    ("S1.8", (0.03, -0.02, 0.08), "inconclusive"),
    ("S0.10c", (0.0, -0.25, 0.25), "reproduced"),  # a margin of .50
    ("S0.10c", (-1.3, -1.4, -1.2), "not reproduced"),
    ("S0.10c", (-0.4, -0.8, 0.04), "inconclusive"),
    ("S2.8", (0.2, 0.1, 0.3), "reproduced"),  # without a minimum
    ("S2.8", (-0.2, -0.3, -0.1), "opposite"),
    ("S2.8", (0.2, -0.1, 0.5), "inconclusive"),
    ("S1.6", (0.92, 0.83, 0.97), "reproduced"),  # a level of .90
    ("S1.6", (0.8, 0.7, 0.88), "not reproduced"),
    ("S1.6", (0.85, 0.75, 0.93), "inconclusive"),
]


@pytest.mark.parametrize(("of", "effect", "said"), FORMS)
def test_limits_margins_signs_and_levels_have_rules_of_their_own(of, effect, said):
    assert outcome(effect, 0.01, of=of).outcome == said


def test_few_units_reach_no_level():
    claim = wb.claim("S1.6")
    two = Estimate(1.0, 0.34, 1.0, 2, "Wilson")
    assert decide(claim, gates(of="S1.6"), two, float("nan"), True).outcome == "inconclusive"


DECIDED = {
    "reproduced": (0.5, 0.3, 0.7),
    "smaller": (0.1, 0.05, 0.15),
    "not reproduced": (0.05, -0.05, 0.15),
    "opposite": (-0.3, -0.5, -0.1),
}
#: the table of docs/verdicts.md: which outcome becomes what where a gate failed, or was not measured
LEFT = {
    "G2": ("inconclusive", "inconclusive", "inconclusive", "inconclusive"),
    "G5": ("inconclusive", "inconclusive", "inconclusive", "inconclusive"),
    "G6": ("inconclusive", "inconclusive", "not reproduced", "not reproduced"),
    "G7": ("inconclusive", "inconclusive", "inconclusive", "opposite"),
    "G8": ("reproduced", "smaller", "not reproduced", "opposite"),
}


@pytest.mark.parametrize("measured", [True, False])
@pytest.mark.parametrize("gate", LEFT)
def test_a_gate_that_failed_or_was_not_measured_leaves_what_it_cannot_have_caused(gate, measured):
    passed = gates(gate) if measured else gates(without=(gate,))
    assert tuple(outcome(effect, passed=passed).outcome for effect in DECIDED.values()) == LEFT[gate]
    verdict = outcome(DECIDED["reproduced"], passed=passed)
    if gate != "G8":
        assert "found" in verdict.reasons[0] if measured else "required and not measured" in verdict.reasons[0]
        assert "Without this failure the verdict would be reproduced." in verdict.reasons


def test_power_is_told_of_what_is_inconclusive_only():
    few = [*gates(without=("G8",)), Gate("G8 power", False, "20 prompts of 40")]
    assert "Power: 20 prompts of 40." in str(outcome((0.1, -0.1, 0.3), 0.3, passed=few))
    assert "20 prompts" not in str(outcome(DECIDED["opposite"], passed=few))


def test_a_gate_spares_what_it_says_it_cannot_have_caused():
    coherence = Gate("G5 coherence", False, "30% collapse", spares=("not reproduced",))
    passed = [*gates(without=("G5",)), coherence]
    assert [outcome(e, passed=passed).outcome for e in DECIDED.values()] == [
        "inconclusive", "inconclusive", "not reproduced", "not reproduced",
    ]  # fmt: skip


def test_without_headroom_a_limit_is_not_kept_but_can_be_broken():
    for effect, said in (((0.0, -0.05, 0.05), "inconclusive"), ((0.3, 0.2, 0.4), "not reproduced")):
        assert outcome(effect, 0.01, of="S0.5", passed=gates("G7", of="S0.5")).outcome == said


def test_reproduced_takes_every_required_gate_also_from_a_measurement(tmp_path):
    effect = Estimate(0.3, 0.2, 0.4, 60, "")
    verdict = wb.ledger.record("S3.6", measured=wb.Measured(effect, 0.001, True), model="x", path=tmp_path)
    assert verdict.outcome == "inconclusive"
    assert sum("required and not measured" in reason for reason in verdict.reasons) == 7  # all but power


def test_only_the_metric_of_the_log_makes_an_artefact():
    log = Measured(Estimate(0.5, 0.4, 0.6, 80, "m"), 0.001, True)
    said = {name: outcome(effect, by_log=log).outcome for name, effect in DECIDED.items()}
    assert said == {
        "reproduced": "reproduced", "smaller": "smaller", "not reproduced": "artefact", "opposite": "artefact",
    }  # fmt: skip


def test_a_correction_of_the_labels_decides_and_what_it_changed_is_told():
    corrected, raw = (0.15, -0.01, 0.31), Estimate(0.22, 0.1, 0.34, 80, "m")
    verdict = outcome(corrected, 0.06, uncorrected=raw)
    assert verdict.outcome == "inconclusive"
    assert "Before the correction for errors of the labels it is 0.22 [0.10, 0.34] n=80" in verdict.reasons[-1]
    alike = outcome(DECIDED["reproduced"], uncorrected=Estimate(0.4, 0.3, 0.5, 80, "m"))
    assert alike.outcome == "reproduced"
    assert "the verdict would be" not in alike.reasons[-1]


def test_arithmetic_on_ones_own_rows_is_a_check_whatever_comes_out():
    claim = wb.claim("S0.1")
    for effect, said in (((0.01, 0.01, 0.01), "It holds"), ((3.0, 3.0, 3.0), "It does not hold")):
        verdict = decide(claim, gates(of="S0.1"), Estimate(*effect, 72, "identity"), float("nan"), True)
        assert verdict.outcome == "check"
        assert verdict.reasons[0].startswith(said)


def test_too_few_units_are_no_replication():
    claim = wb.claim("S3.2")
    counted = replace(claim, criterion=replace(claim.criterion, counts="models", at_least=6))
    few = decide(counted, gates(), Estimate(0.9, 0.8, 1.0, 5, "m"), 0.001, True)
    assert (few.outcome, few.reasons) == ("not run", ("The claim needs 6 models; there are 5.",))
    assert decide(counted, gates(), Estimate(0.9, 0.8, 1.0, 6, "m"), 0.001, True).outcome == "reproduced"


def test_the_form_of_a_criterion_follows_from_unit_and_tests():
    forms = {of: wb.claim(of).criterion.form for of in ("S3.2", "S2.8", "S1.6", "S1.8", "S0.10c")}
    assert forms == {"S3.2": "effect", "S2.8": "sign", "S1.6": "level", "S1.8": "limit", "S0.10c": "margin"}
    assert replace(wb.claim("S3.2").criterion, minimum_effect=Decimal(0)).form == "sign"


def test_a_verdict_reads_as_a_sentence_without_numbers_that_are_none(tmp_path):
    lacking = str(wb.ledger.record("S1.8", not_run="an arm that gains refusals", path=tmp_path))
    assert lacking.startswith("S1.8: not run")
    assert lacking.endswith("; lacking: an arm that gains refusals.")
    limit = wb.Measured(wb.Estimate(0.0, -0.01, 0.01, 200, ""), float("nan"), True)
    judged = str(wb.ledger.record("S1.8", measured=limit, model="m", path=tmp_path))
    assert "effect 0.00 [-0.01, 0.01] n=200. " in judged
    assert "nan" not in lacking + judged
