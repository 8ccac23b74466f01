"""Doses: planted shapes are found, and planted doses lie in their intervals."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.special import expit

from workbench import WorkbenchError, statistics

counts = st.integers(1, 200).flatmap(lambda n: st.tuples(st.integers(0, n), st.just(n)))
NAN = float("nan")
LOG_DOSES = [0, 8, 9, 10, 11, 12, 13, 14, 15, 16]
LOG_COUNTS = [0, 16, 16, 33, 29, 46, 48, 50, 50, 50]
SHAPES = {
    "flat": lambda d: np.full(d.shape, 0.3),
    "step": lambda d: np.where(d > 4.5, 0.85, 0.1),
    "logistic": lambda d: expit(0.9 * (d - 4.4)),
    "logistic with plateaus": lambda d: 0.15 + 0.6 * expit(1.8 * (d - 5.2)),
}


def test_the_threshold_of_the_log_is_a_smooth_curve():
    found = statistics.dose_response(LOG_DOSES, LOG_COUNTS, 50)
    curve = found["logistic"]
    assert found.best == curve
    assert curve.midpoint.value == pytest.approx(9.54, abs=0.005)
    assert found.behind("step") == pytest.approx(73, abs=0.5)
    assert (curve.deviance, curve.deviance_p) == (pytest.approx(18.5, abs=0.05), pytest.approx(0.018, abs=5e-4))
    logged = [0.0, 22.1, 39.2, 59.3, 76.8, 88.2, 94.4, 97.5, 98.9, 99.5]
    assert 100 * curve.rate(LOG_DOSES) == pytest.approx(logged, abs=0.06)
    assert curve.midpoint.low < 9.54 < curve.midpoint.high
    assert statistics.largest_jump(LOG_DOSES, LOG_COUNTS, 50).p > 0.05
    assert str(found).startswith("logistic from 0.00 to 1.00, midpoint 9.54 [")


@pytest.mark.parametrize("shape", SHAPES)
@pytest.mark.parametrize("falling", [False, True])
def test_a_planted_shape_is_found(shape, falling):
    rng = np.random.default_rng(0)
    doses = np.arange(12.0)
    rates = 1 - SHAPES[shape](doses) if falling else SHAPES[shape](doses)
    best = [statistics.dose_response(doses, rng.binomial(100, rates), 100, resamples=99).best for _ in range(6)]
    assert [fit.shape for fit in best].count(shape) >= 5
    for fit in best:
        assert np.abs(fit.rate(doses) - rates).max() < 0.2
        if fit.shape == shape != "flat":
            assert (fit.before > fit.after) == falling


def test_a_step_from_nothing_to_all_is_a_step_and_not_a_steep_curve():
    found = statistics.dose_response(range(8), [0, 0, 0, 0, 50, 50, 50, 50], 50)
    assert found.best.shape == "step"
    assert found.behind("logistic") > 6
    assert (found.best.midpoint.low, found.best.midpoint.value, found.best.midpoint.high) == (3, 3.5, 4)
    assert found["logistic"].width.value == pytest.approx(1)  # no steeper than the gap between doses
    assert statistics.largest_jump(range(8), [0, 0, 0, 0, 50, 50, 50, 50], 50).p < 0.01


@pytest.mark.parametrize("count", [0, 50])
def test_outcomes_that_are_all_alike_are_flat(count):
    found = statistics.dose_response(range(6), [count] * 6, 50)
    assert found.best.shape == "flat"
    assert found.best.before == count / 50
    assert np.isinf(found["logistic"].midpoint.high) or np.isinf(found["logistic"].midpoint.low)
    assert str(found.best) == f"flat at {count / 50:.2f}"


def test_the_midpoint_interval_covers_by_counts_and_by_prompts():
    rng = np.random.default_rng(0)
    doses = np.arange(8.0)
    by_count = by_prompt = 0
    for _ in range(30):
        found = statistics.dose_response(doses, rng.binomial(40, expit(1.2 * (doses - 3.3))), 40, resamples=99)
        by_count += found["logistic"].midpoint.low <= 3.3 <= found["logistic"].midpoint.high
        own = 3.3 + rng.logistic(0, 0.8, size=30)  # each prompt breaks at its own dose
        outcomes = (doses[None] > own[:, None]).ravel()
        found = statistics.dose_response(
            np.tile(doses, 30), outcomes, clusters=np.repeat(np.arange(30), 8), resamples=99
        )["logistic"].midpoint
        by_prompt += found.low <= 3.3 <= found.high
        assert found.n == 30
    assert by_count >= 26
    assert by_prompt >= 26


def test_copies_of_a_prompt_do_not_narrow_the_interval():
    rng = np.random.default_rng(0)
    doses = np.tile(np.arange(6.0), 20)
    outcomes = rng.random(120) < expit(doses - 2.5)
    prompts = np.repeat(np.arange(20), 6)

    def width(found):
        return found["logistic"].midpoint.high - found["logistic"].midpoint.low

    once = width(statistics.dose_response(doses, outcomes, clusters=prompts))
    copied = statistics.dose_response(np.tile(doses, 5), np.tile(outcomes, 5), clusters=np.tile(prompts, 5))
    assert width(copied) == pytest.approx(once, rel=0.02)
    assert width(statistics.dose_response(np.tile(doses, 5), np.tile(outcomes, 5))) < 0.6 * once


@settings(max_examples=8)
@given(st.lists(st.integers(0, 20), min_size=6, max_size=6), st.floats(0.1, 30))
def test_doses_carry_their_unit_and_their_sign(counts, unit):
    doses = np.array([0.0, 1.0, 2.0, 3.0, 4.0, 6.0])
    found = statistics.dose_response(doses, counts, 20, resamples=99)
    scaled = statistics.dose_response(unit * doses, counts, 20, resamples=99)
    turned = statistics.dose_response(-doses, counts, 20, resamples=99)
    for shape in ("flat", "step", "logistic"):
        assert scaled[shape].bic == pytest.approx(found[shape].bic, abs=0.02)
        assert turned[shape].bic == pytest.approx(found[shape].bic, abs=0.02)
    assert found["logistic with plateaus"].deviance <= found["logistic"].deviance + 0.02
    assert found.best.bic == min(fit.bic for fit in found.fits)
    assert ((found.best.rate(doses) >= 0) & (found.best.rate(doses) <= 1)).all()
    again = statistics.midpoint(doses, counts, 20)
    assert again == found["logistic"].midpoint.value
    if abs(again) < 20 and found["logistic"].width.value < 20:
        assert scaled["logistic"].midpoint.value == pytest.approx(unit * again, rel=0.02, abs=0.05 * unit)
        assert turned["logistic"].midpoint.value == pytest.approx(-again, rel=0.02, abs=0.05)


def test_rows_are_the_same_as_their_counts():
    doses, outcomes = np.repeat(LOG_DOSES, 50), np.concatenate([np.arange(50) < k for k in LOG_COUNTS])
    rows, counted = (
        statistics.dose_response(doses, outcomes),
        statistics.dose_response(LOG_DOSES, LOG_COUNTS, 50),
    )
    assert rows == counted


def test_the_ratio_of_two_midpoints_over_the_same_prompts():
    rng = np.random.default_rng(0)
    doses, prompts = np.tile(np.arange(7.0), 25), np.repeat(np.arange(25), 7)
    prompt_effect = rng.normal(0, 0.7, 25)[prompts]
    bypass, collapse = (rng.random(175) < expit(1.5 * (doses - at + prompt_effect)) for at in (2.0, 4.0))
    found = statistics.bootstrap(
        lambda rows: statistics.midpoint(doses[rows], bypass[rows]) / statistics.midpoint(doses[rows], collapse[rows]),
        clusters=prompts,
        resamples=99,
    )
    assert found.low < 0.5 < found.high < 1
    assert found.n == 25


def test_the_largest_jump_is_rarely_surprising_under_a_smooth_curve():
    rng = np.random.default_rng(0)
    doses = np.arange(10.0)
    smooth = [
        statistics.largest_jump(doses, rng.binomial(40, expit(0.8 * (doses - 4.5))), 40, resamples=199).p
        for _ in range(60)
    ]
    assert np.mean(np.array(smooth) <= 0.05) <= 0.12
    assert np.mean(np.array(smooth) <= 0.5) > 0.25
    stepped = [
        statistics.largest_jump(doses, rng.binomial(200, np.where(doses > 4.5, 0.8, 0.2)), 200, resamples=199).p
        for _ in range(10)
    ]
    assert np.median(stepped) <= 0.05


@given(st.lists(st.floats(-1, 1, allow_subnormal=False), min_size=1, max_size=6), st.floats(0.1, 10))
def test_half_of_the_maximum_is_reached_where_the_curve_crosses_it(gains, unit):
    doses = [unit * (i + 1) for i in range(len(gains))]
    found = statistics.half_maximum(doses, gains)
    if max(gains) <= 0:
        assert np.isnan(found)
        return
    assert 0 < found <= doses[-1]
    assert np.interp(found, [0, *doses], np.maximum.accumulate([0, *gains])) == pytest.approx(max(gains) / 2)
    assert statistics.half_maximum(doses, [3 * gain for gain in gains]) == pytest.approx(found)
    assert not any(gain >= max(gains) / 2 for gain, dose in zip(gains, doses, strict=True) if dose < found * (1 - 1e-9))


@pytest.mark.parametrize(
    ("call", "message"),
    [
        (lambda: statistics.dose_response([1, 2, 3], [1, 2, 3], 4), "3 different doses: at least four"),
        (lambda: statistics.dose_response([], []), "at least 1 numbers"),
        (lambda: statistics.dose_response([1, 2, 3, NAN], [1, 2, 3, 4], 4), "NaN"),
        (lambda: statistics.dose_response([1, 2, 3, 4], [1, 2, 3, 5], 4), "is not a count"),
        (lambda: statistics.dose_response([1, 2, 3, 4], [1, 2, 3], 4), "one value per unit"),
        (lambda: statistics.dose_response([1, 2, 3, 4], [1, 2, 3, 4], [4, 4]), "one n per count"),
        (lambda: statistics.dose_response([1, 2, 3, 4], [0, 0, 1, 1], clusters="aaaa"), "one cluster"),
        (lambda: statistics.dose_response([1, 2, 3, 4], [0, 0, 1, 1], clusters="ab"), "one name per value"),
        (
            lambda: statistics.dose_response([1, 2, 3, 4], [0, 0, 1, 1])["cubic"],
            "unknown shape 'cubic'; there are flat",
        ),
        (lambda: statistics.midpoint([1, 2, 3, 4], [0, 0, 1, 1], shape="flat"), "no midpoint for 'flat'"),
        (lambda: statistics.largest_jump([1, 2], [0, 1]), "2 different doses"),
    ],
)
def test_what_cannot_be_computed_is_refused_with_the_reason(call, message):
    with pytest.raises(WorkbenchError, match=message):
        call()
