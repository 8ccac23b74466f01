"""Rates: known values, agreement with scipy and statsmodels, laws, error rates."""

from itertools import product

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy.stats import binom, binomtest, chi2_contingency, norm
from statsmodels.stats.contingency_tables import Table

from workbench import WorkbenchError, statistics

counts = st.integers(1, 200).flatmap(lambda n: st.tuples(st.integers(0, n), st.just(n)))
few = st.integers(1, 7).flatmap(lambda n: st.tuples(st.integers(0, n), st.just(n)))


@given(counts)
def test_wilson_is_scipys_and_holds_the_rate(count):
    k, n = count
    estimate = statistics.rate(k, n)
    reference = binomtest(k, n).proportion_ci(method="wilson")
    assert (estimate.low, estimate.high) == pytest.approx((reference.low, reference.high), abs=1e-9)
    assert 0 <= estimate.low <= estimate.value <= estimate.high <= 1


def test_the_figures_of_the_logs():
    assert statistics.fisher(9, 100, 7, 100) == pytest.approx(0.795, abs=5e-4)
    assert statistics.fisher(6, 100, 15, 100) == pytest.approx(0.063, abs=5e-4)
    assert statistics.fisher(31, 35, 6, 36) == pytest.approx(5.9e-10, rel=0.01)
    assert statistics.two_proportion_z(16, 50, 33, 50) == pytest.approx(0.00067, abs=1e-5)
    assert str(statistics.rate(17, 20)) == "0.85 [0.64, 0.95] n=20"


def test_print_form():
    assert str(statistics.rate(31, 35)) == "0.89 [0.74, 0.95] n=35"


@given(st.lists(few, min_size=2, max_size=4), st.randoms())
def test_heterogeneity_is_fishers_test_for_two_groups_and_ignores_order(groups, random):
    k, n = zip(*groups, strict=True)
    found = statistics.heterogeneity(k, n, exact=True)
    assert 0 < found.p <= 1
    order = random.sample(range(len(k)), len(k))
    again = statistics.heterogeneity([k[i] for i in order], [n[i] for i in order], exact=True)
    assert (again.value, again.p) == pytest.approx((found.value, found.p))
    if len(k) == 2:
        assert found.p == pytest.approx(statistics.fisher(k[0], n[0], k[1], n[1]))


def test_heterogeneity_takes_pearson_where_counts_allow_and_says_so():
    k, n = [30, 41, 38], [60, 62, 61]
    found = statistics.heterogeneity(k, n)
    reference = chi2_contingency([k, [of - one for one, of in zip(k, n, strict=True)]], correction=False)
    assert found.p == pytest.approx(reference.pvalue)
    assert found.method == "chi-square, 3 groups"
    assert statistics.heterogeneity([9, 11, 11, 9, 9, 10], 12, exact=False).p == pytest.approx(0.743, abs=5e-4)


def test_heterogeneity_of_many_groups_draws_tables_and_agrees_with_pearson():
    k, n = [12, 20, 9, 16, 14, 21, 11, 18], 40
    drawn = statistics.heterogeneity(k, n, exact=True)
    assert "9999 random tables" in drawn.method
    assert drawn.p == pytest.approx(statistics.heterogeneity(k, n, exact=False).p, abs=0.02)
    assert drawn == statistics.heterogeneity(k, n, exact=True)


def test_the_trends_of_the_log_by_layer():
    by_layer = {12: [3, 4, 4, 4], 14: [3, 3, 1, 0], 16: [3, 3, 3, 1], 18: [3, 3, 2, 2], 20: [3, 3, 2, 3]}
    found = [statistics.trend([0, 0.5, 1, 1.5], k, 4).p for k in by_layer.values()]
    assert found == pytest.approx([0.50, 0.025, 0.27, 0.51, 1.0], abs=0.005)


@given(st.lists(few, min_size=3, max_size=4), st.floats(0.1, 5), st.floats(-5, 5))
def test_a_trend_turns_with_its_doses_and_ignores_their_unit(groups, unit, start):
    k, n = zip(*groups, strict=True)
    doses = [0.0, 1.0, 3.0, 4.0][: len(k)]
    found = statistics.trend(doses, k, n)
    turned = statistics.trend([-d for d in doses], k, n)
    scaled = statistics.trend([start + unit * d for d in doses], k, n)
    assert (turned.value, turned.p) == pytest.approx((-found.value, found.p))
    assert (scaled.value * unit, scaled.p) == pytest.approx((found.value, found.p), abs=1e-9)


@given(st.lists(few, min_size=2, max_size=4))
def test_a_trend_of_failures_is_a_trend_of_successes(groups):
    k, n = zip(*groups, strict=True)
    successes = statistics.trend(range(len(k)), k, n)
    failures = statistics.trend(range(len(k)), [of - one for one, of in zip(k, n, strict=True)], n)
    assert 0 <= successes.p <= 1
    assert (failures.value, failures.p) == pytest.approx((-successes.value, successes.p))


@given(st.integers(1, 12), st.data())
def test_the_exact_trend_of_two_equal_groups_is_fishers_test(n, data):
    x, y = data.draw(st.integers(0, n)), data.draw(st.integers(0, n))
    assert statistics.trend([0, 1], [x, y], n).p == pytest.approx(statistics.fisher(x, n, y, n))


def test_the_normal_trend_is_statsmodels():
    k, n, doses = np.array([3, 8, 12, 19]), np.array([30, 31, 29, 30]), np.array([0.0, 1.0, 2.0, 4.0])
    reference = Table(np.stack([k, n - k], axis=1), shift_zeros=False).test_ordinal_association(doses, np.array([1, 0]))
    found = statistics.trend(doses, k, n, exact=False)
    deviates = norm.isf(found.p / 2) ** 2, reference.zscore**2
    assert deviates[0] == pytest.approx(deviates[1] * n.sum() / (n.sum() - 1))  # statsmodels divides by n - 1
    assert found.p == pytest.approx(statistics.trend(doses, k, n, exact=True).p, abs=1e-4)
    assert found.value == pytest.approx(
        np.polyfit(np.repeat(doses, n), np.repeat([1, 0] * 4, np.stack([k, n - k], 1).ravel()), 1)[0]
    )


def test_exact_tests_keep_their_level():
    n, p = [8, 8, 8], 0.3
    sizes = {"heterogeneity": 0.0, "trend": 0.0}
    for k in product(range(9), repeat=3):
        chance = np.prod(binom.pmf(k, 8, p))
        sizes["heterogeneity"] += chance * (statistics.heterogeneity(k, n, exact=True).p <= 0.05)
        sizes["trend"] += chance * (statistics.trend([0, 1, 2], k, n).p <= 0.05)
    assert all(0.01 < size <= 0.05 for size in sizes.values()), sizes


@pytest.mark.parametrize(("k", "n"), [(3, 2), (-1, 4), (0, 0), (2.5, 5)])
def test_impossible_counts_are_refused(k, n):
    with pytest.raises(WorkbenchError, match="is not a count"):
        statistics.rate(k, n)


@pytest.mark.parametrize(
    ("call", "message"),
    [
        (lambda: statistics.rate(1, 2, confidence=95), "confidence is 95"),
        (lambda: statistics.heterogeneity([3], [4]), "at least 2"),
        (lambda: statistics.heterogeneity([3, 4], [4, 4, 4]), "one n per count"),
        (lambda: statistics.trend([1, 1], [2, 3], 4), "all doses are 1"),
        (lambda: statistics.trend([1, 2, 3], [2, 3], 4), "one value per unit"),
        (lambda: statistics.trend(range(9), [20] * 9, 40, exact=True), "would enumerate"),
    ],
)
def test_what_cannot_be_computed_is_refused_with_the_reason(call, message):
    with pytest.raises(WorkbenchError, match=message):
        call()
