"""Rates, pairs, families and plans: known values, agreement with scipy and statsmodels, laws, error rates."""

import dataclasses
import json
import subprocess
import sys
from functools import cache
from itertools import combinations, product

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.optimize import minimize_scalar
from scipy.stats import binom, binomtest, chi2_contingency, norm, spearmanr
from statsmodels.stats.contingency_tables import Table
from statsmodels.stats.multitest import multipletests
from statsmodels.stats.weightstats import ttost_ind, ttost_paired

from workbench import WorkbenchError, statistics

counts = st.integers(1, 200).flatmap(lambda n: st.tuples(st.integers(0, n), st.just(n)))
few = st.integers(1, 7).flatmap(lambda n: st.tuples(st.integers(0, n), st.just(n)))
pairs = st.lists(st.tuples(st.booleans(), st.booleans()), min_size=2, max_size=60)


# The package


def test_every_name_is_there_and_nothing_heavy_is_imported_with_it():
    assert all(hasattr(statistics, name) for name in statistics.__all__)
    code = (
        "import sys, workbench.statistics; heavy = {'scipy', 'statsmodels', 'pandas', 'torch'}; "
        "print(sorted({m.split('.')[0] for m in sys.modules} & heavy))"
    )
    assert subprocess.run([sys.executable, "-c", code], capture_output=True, text=True).stdout.strip() == "[]"


def test_every_public_function_has_an_example():
    functions = [getattr(statistics, name) for name in statistics.__all__]
    assert [f.__name__ for f in functions if callable(f) and not isinstance(f, type) and ">>>" not in f.__doc__] == []


@pytest.mark.parametrize(
    "result",
    [
        lambda: statistics.rate(np.int64(3), np.int64(5)),
        lambda: statistics.heterogeneity(np.array([3, 4]), np.array([5, 9])),
        lambda: statistics.trend(np.arange(3), np.array([1, 2, 3]), 5),
        lambda: statistics.mean(np.array([True, False, True])),
        lambda: statistics.mean(np.ones(3)),
        lambda: statistics.bootstrap(lambda rows: np.mean(rows), np.arange(5)),
        lambda: statistics.cohens_d(np.arange(4), np.arange(1, 7)),
        lambda: statistics.paired_difference(np.array([True, False]), np.array([True, True])),
        lambda: statistics.permutation(np.arange(4), np.arange(1, 5)),
        lambda: statistics.permutation_maximum(np.arange(6).reshape(3, 2)),
        lambda: statistics.equivalence(np.array([True, False]), np.array([True, True]), 0.5),
        lambda: statistics.equivalence(np.array([0.1, 0.3]), np.array([0.3, 0.4]), np.float64(0.5)),
        lambda: statistics.equivalence_rates(np.int64(3), np.int64(5), np.int64(4), np.int64(5), 0.5),
        lambda: statistics.dose_response(np.arange(4), np.array([1, 2, 4, 5]), np.full(4, 6)),
        lambda: statistics.largest_jump(np.arange(4), np.array([1, 2, 4, 5]), np.full(4, 6)),
        lambda: statistics.spearman(np.arange(9), np.arange(9) % 4),
        lambda: statistics.auc(np.arange(9), np.arange(9) % 4 < 2),
        lambda: statistics.kappa(["a", "b", "b"], ["a", "b", "a"]),
    ],
)
def test_results_are_plain_numbers_and_print_on_few_lines(result):
    found = result()
    kept = json.loads(json.dumps(dataclasses.asdict(found)))
    assert set(kept) == set(found.__dataclass_fields__)
    assert "np." not in str(found)
    assert found == result()
    with pytest.raises(dataclasses.FrozenInstanceError):
        setattr(found, next(iter(kept)), 0)


# Rates


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


# Pairs


@given(pairs)
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


@settings(max_examples=40)
@given(st.lists(st.tuples(st.booleans(), st.booleans()), min_size=2, max_size=12))
def test_a_paired_permutation_of_outcomes_is_mcnemars_test(units):
    a, b = zip(*units, strict=True)
    found = statistics.permutation(a, b)
    assert found.method == "paired permutation, exact"
    assert found.p == pytest.approx(statistics.mcnemar(a, b))


@settings(max_examples=25)
@given(
    st.lists(st.floats(-5, 5, width=16), min_size=2, max_size=4),
    st.lists(st.floats(-5, 5, width=16), min_size=2, max_size=4),
)
def test_an_exact_unpaired_permutation_enumerates(a, b):
    found = statistics.permutation(a, b, paired=False)
    both, m = np.array(a + b), len(a)
    chosen = [both[list(rows)].sum() for rows in combinations(range(len(both)), m)]
    below, above = (np.mean([sign * (c - sum(a)) >= -1e-9 for c in chosen]) for sign in (-1, 1))
    assert found.p == pytest.approx(min(1, 2 * min(below, above)))
    assert found.value == pytest.approx(np.mean(b) - np.mean(a), abs=1e-12)


def test_drawn_permutations_are_seeded_near_the_exact_and_never_zero():
    rng = np.random.default_rng(0)
    a = rng.normal(size=13)
    b = a + rng.normal(0.5, 1, size=13)
    exact, drawn = statistics.permutation(a, b), statistics.permutation(a, b, resamples=4999)
    assert (exact.method, drawn.method) == ("paired permutation, exact", "paired permutation, 4999 drawn")
    assert drawn.p == pytest.approx(exact.p, abs=0.02)
    assert drawn == statistics.permutation(a, b, resamples=4999)
    assert drawn.p != statistics.permutation(a, b, resamples=4999, seed=1).p
    assert statistics.permutation(np.zeros(50), np.ones(50), resamples=999).p == pytest.approx(2 / 1000)


def test_copies_of_a_prompt_add_no_evidence():
    a, b = [0, 0, 1, 0, 0, 0, 0], [1, 1, 1, 1, 0, 1, 1]
    base = np.tile(range(7), 5)
    assert statistics.permutation(a * 5, b * 5, clusters=base).p == pytest.approx(statistics.permutation(a, b).p)
    assert statistics.permutation(a * 5, b * 5).p < statistics.permutation(a, b).p / 50
    table = np.array([b, a]).T - np.array([a, a]).T
    copied = statistics.permutation_maximum(np.tile(table, (5, 1)), clusters=base)
    assert copied.p == pytest.approx(statistics.permutation_maximum(table).p)
    assert copied.n == 7


def test_the_best_of_many_is_tested_as_the_best_of_many():
    rng = np.random.default_rng(0)
    single, family = 0, 0
    for _ in range(100):
        noise = rng.normal(size=(12, 1)) + rng.normal(size=(12, 10))  # options share the prompts
        best = noise.mean(axis=0).argmax()
        single += statistics.permutation(np.zeros(12), noise[:, best]).p / 2 <= 0.05
        family += statistics.permutation_maximum(noise, resamples=199).p <= 0.05
    assert family / 100 <= 0.1 < 0.15 < single / 100
    planted = rng.normal(size=(20, 10))
    planted[:, 3] += 1.2
    found = statistics.permutation_maximum(planted)
    assert found.p < 0.01
    assert found.value == pytest.approx(planted[:, 3].mean())


# Equivalence


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


# Plans


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


# Families


def test_holm_is_monotone_caps_at_one_and_is_statsmodels():
    assert statistics.holm([0.01, 0.02, 0.9]) == pytest.approx([0.03, 0.04, 0.9])
    p = [0.04, 0.001, 0.3, 0.04, 0.02, 0.9]
    assert statistics.holm(p) == pytest.approx(multipletests(p, method="holm")[1])
    assert statistics.holm([]) == []


def test_holm_in_the_example_of_benjamini_and_hochberg():
    # Benjamini and Hochberg (1995), section 3.1: of these fifteen, three by the familywise method.
    p = [0.0001, 0.0004, 0.0019, 0.0095, 0.0201, 0.0278, 0.0298, 0.0344, 0.0459]
    p += [0.3240, 0.4262, 0.5719, 0.6528, 0.7590, 1.0]
    assert sum(q <= 0.05 for q in statistics.holm(p)) == 3


@given(st.lists(st.floats(0, 1), min_size=1, max_size=12), st.randoms())
def test_adjusted_values_keep_order_and_lie_between_p_and_bonferroni(p, random):
    order = random.sample(range(len(p)), len(p))
    adjusted = statistics.holm(p)
    assert statistics.holm([p[i] for i in order]) == pytest.approx([adjusted[i] for i in order])
    assert all(a - 1e-12 <= b <= min(1, a * len(p)) + 1e-12 for a, b in zip(p, adjusted, strict=True))


def test_families_keep_their_error_rate():
    rng = np.random.default_rng(0)
    any_false = []
    for _ in range(600):
        z = 0.6 * rng.normal() + 0.8 * rng.normal(size=20)  # arms that share a baseline
        z[:5] += 3.5
        any_false.append(min(statistics.holm(2 * norm.sf(np.abs(z)))[5:]) <= 0.05)
    assert np.mean(any_false) <= 0.07


# Refusals

NAN = float("nan")


@pytest.mark.parametrize(("k", "n"), [(3, 2), (-1, 4), (0, 0), (2.5, 5)])
def test_impossible_counts_are_refused(k, n):
    with pytest.raises(WorkbenchError, match="is not a count"):
        statistics.rate(k, n)


def test_unpaired_lengths_are_refused():
    with pytest.raises(WorkbenchError, match="one value per unit"):
        statistics.mcnemar([True], [True, False])


@pytest.mark.parametrize(
    ("call", "message"),
    [
        (lambda: statistics.mcnemar([], []), "one value per unit"),
        (lambda: statistics.mcnemar([True, NAN], [True, False]), "NaN"),
        (lambda: statistics.mcnemar(["refusal"], ["compliance"]), "expected numbers"),
        (lambda: statistics.paired_difference([0, 2], [1, 1]), "True or False"),
        (lambda: statistics.rate(1, 2, confidence=95), "confidence is 95"),
        (lambda: statistics.heterogeneity([3], [4]), "at least 2"),
        (lambda: statistics.heterogeneity([3, 4], [4, 4, 4]), "one n per count"),
        (lambda: statistics.trend([1, 1], [2, 3], 4), "all doses are 1"),
        (lambda: statistics.trend([1, 2, 3], [2, 3], 4), "one value per unit"),
        (lambda: statistics.trend(range(9), [20] * 9, 40, exact=True), "would enumerate"),
        (lambda: statistics.permutation([1, 2], [1]), "one value per unit"),
        (lambda: statistics.permutation([1, NAN], [1, 2]), "NaN"),
        (lambda: statistics.permutation([1, 2], [3, 4], paired=False, clusters=[1, 2]), "clusters go with paired"),
        (lambda: statistics.permutation([1, 2], [3, 4], clusters=[1]), "one name per value"),
        (lambda: statistics.permutation([1], [2], paired=False), "at least 3"),
        (lambda: statistics.permutation_maximum([1, 2, 3]), "unit, option"),
        (lambda: statistics.permutation_maximum([[1, NAN], [2, 3]]), "NaN"),
        (lambda: statistics.equivalence([True, False], [True, True], 0), "margin is 0"),
        (lambda: statistics.equivalence([True, False], [True, True], 1.5), "margin is 1.5"),
        (lambda: statistics.equivalence([0.5, 0.7], [0.6, 0.8], -1), "margin is -1"),
        (lambda: statistics.equivalence([0.5, 0.7], [0.5, 0.7], 0.1), "needs spread"),
        (lambda: statistics.equivalence([0.5, 0.7], [0.5, 0.7, 0.8], 0.1), "one value per unit"),
        (lambda: statistics.power(0.2, 1.3, 10), "p_after is 1.3"),
        (lambda: statistics.power(0.2, 0.3, 0), "n is 0"),
        (lambda: statistics.power(0.2, 0.3, 10, test="t"), "no test 't'; there are fisher, z"),
        (lambda: statistics.power_paired(0.8, 0.4, 10), "sum of at most 1"),
        (lambda: statistics.power_mean(1, 0, 10), "sd is 0"),
        (lambda: statistics.needed_n(0.2, 0.2), "equal rates"),
        (lambda: statistics.needed_n(0.2, 0.3, power=80), "power is 80"),
        (lambda: statistics.needed_n_paired(0.2, 0.2), "equal shares"),
        (lambda: statistics.needed_n_mean(0, 1), "effect of 0"),
        (lambda: statistics.needed_n_mean(1e-6, 1), "too small to plan"),
        (lambda: statistics.detectable(0.5, 0), "n is 0"),
        (lambda: statistics.detectable_paired(10, lost=2), "probabilities"),
        (lambda: statistics.holm([0.1, NAN]), "NaN"),
        (lambda: statistics.holm([0.1, 1.2]), "from 0 to 1"),
    ],
)
def test_what_cannot_be_computed_is_refused_with_the_reason(call, message):
    with pytest.raises(WorkbenchError, match=message):
        call()


def test_the_closer_of_two_correlations_is_told_and_a_constant_goes_with_nothing():
    rng = np.random.default_rng(0)
    outcome = rng.standard_normal(40)
    near, far = outcome + rng.normal(0, 0.2, 40), outcome + rng.normal(0, 3, 40)
    found = statistics.spearman_difference(near, far, outcome, block=3)
    expected = spearmanr(near, outcome)[0] - spearmanr(far, outcome)[0]
    assert found.value == pytest.approx(expected, abs=1e-12)
    assert 0 < found.low < found.value < found.high
    assert statistics.spearman_difference(far, near, outcome, block=3).high < 0
    assert statistics.spearman_difference(near, np.ones(40), outcome).value == pytest.approx(
        spearmanr(near, outcome)[0]
    )
