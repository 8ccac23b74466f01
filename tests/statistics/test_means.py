"""Means and effect sizes: hand-made cases, laws, and intervals that cover what they claim."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.stats import t, ttest_1samp, ttest_ind, ttest_rel

from workbench import WorkbenchError, statistics

NAN = float("nan")
numbers = st.lists(st.floats(-100, 100, width=32), min_size=3, max_size=30)


def prompts_with_variants(rng, prompts, variants, icc=0.3):
    """Outcomes that resemble each other within a prompt, true rate 0.2, and the prompt of each."""
    share = rng.beta(0.2 * (1 - icc) / icc, 0.8 * (1 - icc) / icc, prompts)
    return (rng.random((prompts, variants)) < share[:, None]).ravel(), np.repeat(np.arange(prompts), variants)


@given(st.floats(-1, 1), st.floats(0.001, 1), st.floats(0.001, 1))
def test_an_interval_implies_significance_just_where_it_leaves_zero_out(value, below, above):
    found = statistics.Estimate(value, value - below, value + above, 20, "")
    p = statistics.p_from_interval(found)
    assert 0 <= p <= 1
    if min(abs(found.low), abs(found.high)) > 1e-6:
        assert (p < 0.05) == (found.low > 0 or found.high < 0)


@given(*[st.floats(allow_nan=True, allow_infinity=True)] * 3)
def test_an_estimate_may_be_unknown_or_outside_of_its_interval_and_bounds_never_cross(value, low, high):
    if low > high:
        with pytest.raises(WorkbenchError, match="runs backwards, from"):
            statistics.Estimate(value, low, high, 20, "")
    else:
        assert statistics.Estimate(value, low, high, 20, "").n == 20


def test_the_implied_p_is_that_of_the_normal_interval_it_came_from():
    found = statistics.Estimate(0.3, 0.3 - 1.959964 * 0.1, 0.3 + 1.959964 * 0.1, 20, "")
    assert statistics.p_from_interval(found) == pytest.approx(0.0026998, rel=1e-4)
    assert statistics.p_from_interval(statistics.Estimate(0.0, 0.0, 0.0, 5, "")) == 1
    assert statistics.p_from_interval(statistics.Estimate(0.2, 0.2, 0.2, 5, "")) == 0
    assert statistics.p_from_interval(statistics.Estimate(0.2, 0.3, 0.4, 5, "")) == 0
    assert statistics.p_from_interval(statistics.Estimate(0.2, -0.4, 0.1, 5, "")) > 0.05


def test_the_cluster_bootstrap_covers_where_intervals_that_count_variants_do_not():
    rng = np.random.default_rng(0)
    clustered = naive = 0
    for _ in range(300):
        outcomes, prompts = prompts_with_variants(rng, 10, 10)
        found, wilson = statistics.mean(outcomes, prompts, resamples=499), statistics.rate(outcomes.sum(), 100)
        clustered += found.low <= 0.2 <= found.high
        naive += wilson.low <= 0.2 <= wilson.high
        assert found.n == 10
    assert naive / 300 < 0.8
    assert 0.91 <= clustered / 300 <= 0.98


def test_the_mean_of_single_rows_is_near_the_t_interval():
    values = np.random.default_rng(0).normal(3, 2, size=60)
    found, reference = statistics.mean(values), ttest_1samp(values, 0).confidence_interval()
    assert found.value == pytest.approx(values.mean())
    assert (found.low, found.high) == pytest.approx((reference.low, reference.high), abs=0.06)


@settings(max_examples=20)
@given(numbers, st.floats(0.1, 10), st.floats(-10, 10))
def test_a_mean_moves_with_its_unit_and_stays_inside_its_values(values, unit, start):
    found = statistics.mean(values, resamples=199)
    assert min(values) - 1e-6 <= found.low <= found.high <= max(values) + 1e-6
    moved = statistics.mean([start + unit * v for v in values], resamples=199)
    expected = [start + unit * x for x in (found.value, found.low, found.high)]
    assert [moved.value, moved.low, moved.high] == pytest.approx(expected, abs=1e-6)


def test_copies_of_a_row_in_its_own_cluster_change_nothing():
    values = np.random.default_rng(1).random(12)
    once, often = statistics.mean(values), statistics.mean(np.repeat(values, 5), np.repeat(np.arange(12), 5))
    assert (often.low, often.high, often.n) == (pytest.approx(once.low), pytest.approx(once.high), 12)
    copied = statistics.mean(np.repeat(values, 5))
    assert copied.high - copied.low < 0.6 * (once.high - once.low)


def test_a_seed_fixes_the_interval_and_another_seed_does_not():
    values = np.random.default_rng(1).random(40)
    assert statistics.mean(values, seed=3) == statistics.mean(values, seed=3)
    assert statistics.mean(values, seed=3).low != statistics.mean(values, seed=4).low


def test_outcomes_that_are_all_alike_keep_an_honest_width():
    found = statistics.mean([True] * 20, clusters=list("abcd") * 5)
    wilson = statistics.rate(4, 4)
    assert (found.value, found.low, found.high, found.n) == (1.0, wilson.low, wilson.high, 4)
    zero = statistics.mean([0] * 6)
    assert (zero.low, zero.high) == pytest.approx((0.0, statistics.rate(0, 6).high))
    for measured in (0.25, 0.0):
        constant = statistics.mean([measured] * 6)
        assert (constant.low, constant.high) == (measured, measured)


def test_bootstrap_of_any_statistic_covers_and_resamples_whole_clusters():
    rng = np.random.default_rng(0)
    inside, seen = 0, []
    for _ in range(100):
        values = np.repeat(rng.exponential(size=20), 3)

        def median(rows, values=values):
            times = np.bincount(rows, minlength=60).reshape(20, 3)
            seen.append((times == times[:, :1]).all())
            return float(np.median(values[rows]))

        found = statistics.bootstrap(median, clusters=np.repeat(np.arange(20), 3), resamples=199)
        inside += found.low <= np.log(2) <= found.high
    assert all(seen)
    assert inside >= 91


def test_bootstrap_of_a_mean_is_near_the_mean():
    outcomes, prompts = prompts_with_variants(np.random.default_rng(0), 40, 5)
    one = statistics.bootstrap(lambda rows: float(outcomes[rows].mean()), prompts, resamples=1999)
    other = statistics.mean(outcomes, prompts)
    assert (one.value, one.n) == (other.value, other.n)
    assert (one.low, one.high) == pytest.approx((other.low, other.high), abs=0.03)


@settings(max_examples=60)
@given(numbers, numbers, st.booleans())
def test_cohens_d_excludes_zero_exactly_when_the_t_test_does(a, b, paired):
    if paired:
        a, b = a[: min(len(a), len(b))], b[: min(len(a), len(b))]
    x, y = np.array(a), np.array(b)
    if (np.std(y - x) if paired else np.std(x) + np.std(y)) < 1e-3:
        return
    p = (ttest_rel if paired else ttest_ind)(y, x).pvalue
    found = statistics.cohens_d(a, b, paired=paired)
    back = statistics.cohens_d(b, a, paired=paired)
    if abs(p - 0.05) > 1e-6:
        assert (p < 0.05) == (found.low > 0 or found.high < 0)
    assert found.low <= found.value + 1e-9
    assert found.value <= found.high + 1e-9
    assert (back.value, back.low) == pytest.approx((-found.value, -found.high), abs=1e-6)


def test_cohens_d_by_hand_and_its_coverage():
    assert statistics.cohens_d([1, 2, 3], [3, 4, 5]).value == pytest.approx(2.0)
    assert statistics.cohens_d([1, 2, 3], [2, 4, 6], paired=True).value == pytest.approx(2.0)
    rng = np.random.default_rng(0)
    inside = 0
    for _ in range(400):
        found = statistics.cohens_d(rng.normal(size=12), rng.normal(1.2, 1, size=18))
        inside += found.low <= 1.2 <= found.high
    assert inside / 400 == pytest.approx(0.95, abs=0.025)


def test_few_clusters_get_the_reach_of_students_t():
    from workbench.statistics.means import widen

    assert widen(0.95, 1e6) == pytest.approx(0.95, abs=1e-5)
    reach = t.isf(0.025, 9) * np.sqrt(10 / 9)
    assert widen(0.95, 10) == pytest.approx(
        np.mean(np.abs(np.random.default_rng(0).normal(size=400_000)) < reach), abs=2e-3
    )


@pytest.mark.parametrize(
    ("call", "message"),
    [
        (lambda: statistics.mean([]), "at least 1 numbers"),
        (lambda: statistics.mean([1.0, NAN]), "1 of 2 values are NaN"),
        (lambda: statistics.mean([1.0, float("inf")]), "infinite"),
        (lambda: statistics.mean(["a", "b"]), "expected numbers"),
        (lambda: statistics.mean([[1, 2], [3, 4]]), "got shape"),
        (lambda: statistics.mean([1.0, 2.0], clusters=["a"]), "one name per value, got 1 for 2"),
        (lambda: statistics.mean([1.0, 2.0], clusters=["a", None]), "1 of 2 values have no cluster"),
        (lambda: statistics.mean([1.0, 2.0], clusters=["a", "a"]), "at least two independent clusters"),
        (lambda: statistics.mean([1.0, 2.0], confidence=1), "confidence is 1"),
        (lambda: statistics.mean([1.0, 2.0], resamples=10), "resamples is 10"),
        (lambda: statistics.bootstrap(lambda rows: NAN, [1, 2, 3]), "the statistic is nan"),
        (lambda: statistics.bootstrap(lambda rows: 1.0, [1, 2, 3], block=2), "at least two blocks"),
        (lambda: statistics.cohens_d([1], [2, 3]), "before: expected one row of at least 2"),
        (lambda: statistics.cohens_d([1, 1], [2, 2]), "no spread"),
        (lambda: statistics.cohens_d([1, 2], [2, 3], paired=True), "no spread"),
        (lambda: statistics.cohens_d([1, 2, 3], [2, 3], paired=True), "one value per unit"),
    ],
)
def test_what_cannot_be_computed_is_refused_with_the_reason(call, message):
    with pytest.raises(WorkbenchError, match=message):
        call()
