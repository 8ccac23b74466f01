"""Equivalence: an interval inside the margin, Tango's score by maximum likelihood, error rates at the margin."""

from itertools import product

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.optimize import minimize_scalar
from scipy.stats import binom, norm
from statsmodels.stats.weightstats import ttost_ind, ttost_paired

from workbench import WorkbenchError, statistics

few = st.integers(1, 7).flatmap(lambda n: st.tuples(st.integers(0, n), st.just(n)))
pairs = st.lists(st.tuples(st.booleans(), st.booleans()), min_size=2, max_size=60)


@given(pairs, st.floats(0.02, 0.9), st.floats(0.01, 0.2))
def test_equivalence_means_that_the_interval_is_inside_the_margin(units, margin, alpha):
    a, b = zip(*units, strict=True)
    forth = statistics.equivalence(a, b, margin, alpha=alpha)
    back = statistics.equivalence(b, a, margin, alpha=alpha)
    d = forth.difference
    if abs(forth.p - alpha) > 1e-6:
        assert forth.holds == (-margin < d.low and d.high < margin)
    assert d.low - 1e-9 <= d.value <= d.high + 1e-9
    assert (back.p, back.difference.low) == pytest.approx((forth.p, -d.high), abs=1e-6)


@settings(max_examples=40)
@given(few, few, st.floats(0.05, 0.9))
def test_equivalence_of_independent_rates_does_too(first, second, margin):
    forth = statistics.equivalence_rates(*first, *second, margin)
    back = statistics.equivalence_rates(*second, *first, margin)
    d = forth.difference
    if abs(forth.p - 0.05) > 1e-6:
        assert forth.holds == (-margin < d.low and d.high < margin)
    assert (back.p, back.difference.low) == pytest.approx((forth.p, -d.high), abs=1e-6)


def test_tangos_score_is_what_maximum_likelihood_gives():
    def score(gained, lost, n, d):  # by maximising the restricted likelihood numerically
        def loss(share):
            same = 1 - 2 * share - d
            return -(gained * np.log(share + d) + lost * np.log(share) + (n - gained - lost) * np.log(same))

        share = minimize_scalar(
            loss, bounds=(max(0, -d) + 1e-12, (1 - d) / 2 - 1e-12), method="bounded", options={"xatol": 1e-12}
        ).x
        return (gained - lost - n * d) / np.sqrt(n * (2 * share + d * (1 - d)))

    for gained, lost, n, margin in [(6, 3, 50, 0.15), (1, 9, 80, 0.2), (12, 10, 60, 0.25)]:
        a = [False] * gained + [True] * lost + [True] * (n - gained - lost)
        b = [True] * gained + [False] * lost + [True] * (n - gained - lost)
        found = statistics.equivalence(a, b, margin)
        assert found.p == pytest.approx(
            max(norm.sf(score(gained, lost, n, -margin)), norm.cdf(score(gained, lost, n, margin))), rel=1e-3
        )
        z = norm.isf(0.05)
        assert score(gained, lost, n, found.difference.low) == pytest.approx(z, abs=1e-4)
        assert score(gained, lost, n, found.difference.high) == pytest.approx(-z, abs=1e-4)


def test_equivalence_of_numbers_is_statsmodels():
    rng = np.random.default_rng(0)
    a = rng.normal(size=30)
    b = a + rng.normal(0.1, 0.4, size=30)
    assert statistics.equivalence(a, b, 0.3).p == pytest.approx(ttost_paired(b, a, -0.3, 0.3)[0])
    unpaired = statistics.equivalence(a, b[:25], 0.9, paired=False)
    assert unpaired.p == pytest.approx(ttost_ind(b[:25], a, -0.9, 0.9, usevar="unequal")[0])
    assert unpaired.holds == (max(-unpaired.difference.low, unpaired.difference.high) < 0.9)
    yes, no = [True] * 40 + [False] * 10, [True] * 41 + [False] * 9
    assert statistics.equivalence(yes, no, 0.2, paired=False) == statistics.equivalence_rates(40, 50, 41, 50, 0.2)


def test_equivalence_keeps_its_error_rate_at_the_margin_and_finds_equals():
    margin, n = 0.15, 100
    wrong = 0.0
    for lost, gained in product(
        range(45), range(25)
    ):  # truth: 25% lost, 10% gained, a difference of exactly the margin
        chance = binom.pmf(lost, n, 0.25) * binom.pmf(gained, n - lost, 0.10 / 0.75)
        a = [True] * lost + [False] * (n - lost)
        b = [False] * lost + [True] * gained + [False] * (n - lost - gained)
        wrong += chance * statistics.equivalence(a, b, margin).holds if chance > 3e-4 else 0.0
    assert 0.02 < wrong <= 0.06
    size = 0.0
    for x, y in product(range(81, 99), range(62, 88)):  # truth: 90% and 75%
        chance = binom.pmf(x, 100, 0.90) * binom.pmf(y, 100, 0.75)
        size += chance * statistics.equivalence_rates(x, 100, y, 100, margin).holds if chance > 3e-4 else 0.0
    assert 0.02 < size <= 0.06
    assert statistics.equivalence([True] * 90 + [False] * 110, [True] * 91 + [False] * 109, 0.1).holds
    assert not statistics.equivalence([True] * 9 + [False] * 11, [True] * 9 + [False] * 11, 0.1).holds


@pytest.mark.parametrize(
    ("call", "message"),
    [
        (lambda: statistics.equivalence([True, False], [True, True], 0), "margin is 0"),
        (lambda: statistics.equivalence([True, False], [True, True], 1.5), "margin is 1.5"),
        (lambda: statistics.equivalence([0.5, 0.7], [0.6, 0.8], -1), "margin is -1"),
        (lambda: statistics.equivalence([0.5, 0.7], [0.5, 0.7], 0.1), "needs spread"),
        (lambda: statistics.equivalence([0.5, 0.7], [0.5, 0.7, 0.8], 0.1), "one value per unit"),
    ],
)
def test_what_cannot_be_computed_is_refused_with_the_reason(call, message):
    with pytest.raises(WorkbenchError, match=message):
        call()
