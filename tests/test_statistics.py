"""Intervals and tests against known values, against scipy's own, and by their laws."""

from functools import cache

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy.stats import binom, binomtest

from workbench import WorkbenchError, statistics

counts = st.integers(1, 200).flatmap(lambda n: st.tuples(st.integers(0, n), st.just(n)))


@given(counts)
def test_wilson_is_scipys_and_holds_the_rate(count):
    k, n = count
    estimate = statistics.rate(k, n)
    reference = binomtest(k, n).proportion_ci(method="wilson")
    assert (estimate.low, estimate.high) == pytest.approx((reference.low, reference.high), abs=1e-9)
    assert 0 <= estimate.low <= estimate.value + 1e-12 <= estimate.high + 2e-12 <= 1 + 3e-12


def test_the_figures_of_the_logs():
    assert statistics.fisher(9, 100, 7, 100) == pytest.approx(0.795, abs=5e-4)
    assert statistics.fisher(6, 100, 15, 100) == pytest.approx(0.063, abs=5e-4)
    assert statistics.fisher(31, 35, 6, 36) == pytest.approx(5.9e-10, rel=0.01)
    assert statistics.two_proportion_z(16, 50, 33, 50) == pytest.approx(0.00067, abs=1e-5)
    assert str(statistics.rate(17, 20)) == "0.85 [0.64, 0.95] n=20"


def test_print_form():
    assert str(statistics.rate(31, 35)) == "0.89 [0.74, 0.95] n=35"


@given(st.lists(st.tuples(st.booleans(), st.booleans()), min_size=1, max_size=60))
def test_paired_difference_is_antisymmetric_and_holds_the_difference(units):
    a, b = zip(*units, strict=True)
    forth, back = statistics.paired_difference(a, b), statistics.paired_difference(b, a)
    assert forth.value == pytest.approx(np.mean(b) - np.mean(a))
    assert (forth.low, forth.high) == pytest.approx((-back.high, -back.low))
    assert forth.low - 1e-12 <= forth.value <= forth.high + 1e-12
    assert statistics.mcnemar(a, b) == statistics.mcnemar(b, a)


def test_newcombes_published_example():
    # Newcombe (1998), method 10: 36, 12, 2 and 0 of 50 pairs give a difference of 0.20 with 0.0569 to 0.3404.
    a = [True] * 36 + [True] * 12 + [False] * 2
    b = [True] * 36 + [False] * 12 + [True] * 2
    found = statistics.paired_difference(b, a)
    assert (found.value, found.low, found.high) == pytest.approx((0.20, 0.0569, 0.3404), abs=1e-4)


def test_paired_interval_covers():
    rng = np.random.default_rng(0)
    inside = 0
    for _ in range(400):
        u = rng.random(60)
        before, after = u < 0.3, (u < 0.25) | (rng.random(60) < 0.2)
        truth = (0.25 + 0.75 * 0.2) - 0.3
        found = statistics.paired_difference(before, after)
        inside += found.low <= truth <= found.high
    assert 0.91 <= inside / 400 <= 0.99


@pytest.mark.parametrize(("gained", "lost"), [(0.4, 0.05), (0.3, 0.0), (0.05, 0.35)])
def test_needed_pairs_reach_the_power_and_no_fewer_do(gained, lost):
    p_value = cache(lambda g, m: binomtest(g, m).pvalue)

    def power(n):
        total = 0.0
        for m in range(n + 1):
            reject = sum(binom.pmf(g, m, gained / (gained + lost)) for g in range(m + 1) if m and p_value(g, m) <= 0.05)
            total += binom.pmf(m, n, gained + lost) * reject
        return total

    n = statistics.needed_n_paired(gained, lost)
    assert power(n) >= 0.8 > power(max(n - 8, 1))


def test_holm_is_monotone_and_caps_at_one():
    assert statistics.holm([0.01, 0.02, 0.9]) == pytest.approx([0.03, 0.04, 0.9])
    assert statistics.holm([]) == []


@pytest.mark.parametrize(("k", "n"), [(3, 2), (-1, 4), (0, 0)])
def test_impossible_counts_are_refused(k, n):
    with pytest.raises(WorkbenchError, match="is not a count"):
        statistics.rate(k, n)


def test_unpaired_lengths_are_refused():
    with pytest.raises(WorkbenchError, match="one value per unit"):
        statistics.mcnemar([True], [True, False])
