"""Plans: power is the sum over all tables that the test rejects, and the n found is the smallest that reaches it."""

from functools import cache
from itertools import product

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.stats import binom, binomtest

from workbench import WorkbenchError, statistics


@pytest.mark.parametrize(("n", "m"), [(6, 6), (9, 5), (12, 12)])
@pytest.mark.parametrize("test", ["fisher", "z"])
def test_power_is_the_sum_over_all_tables_that_the_test_rejects(n, m, test):
    p_value = {"fisher": statistics.fisher, "z": statistics.two_proportion_z}[test]
    by_hand = sum(
        binom.pmf(x, n, 0.2) * binom.pmf(y, m, 0.75)
        for x, y in product(range(n + 1), range(m + 1))
        if p_value(x, n, y, m) <= 0.05
    )
    assert statistics.power(0.2, 0.75, n, m, test=test) == pytest.approx(by_hand, abs=1e-9)


def test_power_of_the_logs():
    assert statistics.power(9 / 12, 11 / 12, 12) == pytest.approx(0.06, abs=0.005)
    assert statistics.power(0.85, 0.95, 20) == pytest.approx(0.07, abs=0.005)
    assert statistics.power(0.85, 0.95, 155) >= 0.8


@pytest.mark.parametrize(("before", "after"), [(0.15, 0.06), (0.1, 0.9), (0.5, 0.65)])
@pytest.mark.parametrize("test", ["fisher", "z"])
def test_needed_n_reaches_the_power_and_no_fewer_do(before, after, test):
    n = statistics.needed_n(before, after, test=test)
    assert statistics.power(before, after, n, test=test) >= 0.8 > statistics.power(before, after, n - 1, test=test)


def test_needed_n_reaches_the_power_in_simulation():
    rng = np.random.default_rng(0)
    n = statistics.needed_n(0.15, 0.35)
    p_value = cache(lambda x, y: statistics.fisher(x, n, y, n))
    found = [
        p_value(x, y) <= 0.05 for x, y in zip(rng.binomial(n, 0.15, 3000), rng.binomial(n, 0.35, 3000), strict=True)
    ]
    assert np.mean(found) == pytest.approx(0.8, abs=0.025)
    n = statistics.needed_n_paired(gained=0.25, lost=0.05)
    shares = rng.multinomial(n, [0.25, 0.05, 0.7], 3000)
    p_value = cache(lambda g, m: binomtest(g, m).pvalue if m else 1.0)
    assert np.mean([p_value(g, g + m) <= 0.05 for g, m, _ in shares]) == pytest.approx(0.8, abs=0.025)


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
    assert statistics.power_paired(gained, lost, n) == pytest.approx(power(n))


@pytest.mark.parametrize("paired", [True, False])
def test_needed_n_of_a_mean_is_the_smallest(paired):
    n = statistics.needed_n_mean(5, 14, paired)
    assert statistics.power_mean(5, 14, n, paired) >= 0.8 > statistics.power_mean(5, 14, n - 1, paired)
    assert statistics.detectable_mean(14, n, paired) <= 5 < statistics.detectable_mean(14, n - 1, paired)
    assert statistics.power_mean(-5, 14, n, paired) == statistics.power_mean(5, 14, n, paired)


@settings(max_examples=12)
@given(st.floats(0.02, 0.7), st.integers(15, 120), st.booleans())
def test_what_is_detectable_has_just_that_power(before, n, rise):
    change = statistics.detectable(before, n, rise=rise)
    if change < np.inf:
        after = before + change if rise else before - change
        assert 0 <= after <= 1
        assert statistics.power(before, after, n) == pytest.approx(0.8, abs=1e-3)
        assert statistics.detectable(before, 2 * n, rise=rise) < change
        assert statistics.detectable(1 - before, n, rise=not rise) == pytest.approx(change, abs=1e-4)
    else:
        assert statistics.power(before, 1.0 if rise else 0.0, n) < 0.8


def test_detectable_net_gain_has_just_that_power():
    change = statistics.detectable_paired(120, lost=0.02)
    assert statistics.power_paired(0.02 + change, 0.02, 120) == pytest.approx(0.8, abs=1e-3)
    assert statistics.detectable_paired(120, lost=0.1) > change > statistics.detectable_paired(240, lost=0.02)
    assert statistics.detectable_paired(5) == np.inf


def test_equal_rates_have_at_most_the_level():
    assert 0.02 < statistics.power(0.4, 0.4, 60) <= 0.05
    assert statistics.power_paired(0.1, 0.1, 60) <= 0.05
    assert statistics.power_paired(0.0, 0.0, 60) == 0


@pytest.mark.parametrize(
    ("call", "message"),
    [
        (lambda: statistics.power(0.2, 1.3, 10), "p_after is 1.3"),
        (lambda: statistics.power(0.2, 0.3, 0), "n is 0"),
        (lambda: statistics.power(0.2, 0.3, 10, test="t"), "unknown test 't'; there are fisher, z"),
        (lambda: statistics.power_paired(0.8, 0.4, 10), "sum of at most 1"),
        (lambda: statistics.power_mean(1, 0, 10), "sd is 0"),
        (lambda: statistics.needed_n(0.2, 0.2), "equal rates"),
        (lambda: statistics.needed_n(0.2, 0.3, power=80), "power is 80"),
        (lambda: statistics.needed_n_paired(0.2, 0.2), "equal shares"),
        (lambda: statistics.needed_n_mean(0, 1), "effect of 0"),
        (lambda: statistics.needed_n_mean(1e-6, 1), "too small to plan"),
        (lambda: statistics.detectable(0.5, 0), "n is 0"),
        (lambda: statistics.detectable_paired(10, lost=2), "probabilities"),
    ],
)
def test_what_cannot_be_computed_is_refused_with_the_reason(call, message):
    with pytest.raises(WorkbenchError, match=message):
        call()
