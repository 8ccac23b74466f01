"""Pairs and families: published examples, laws, permutations against enumeration, error rates."""

from itertools import combinations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.stats import binomtest, norm
from statsmodels.stats.multitest import multipletests

from workbench import WorkbenchError, statistics

pairs = st.lists(st.tuples(st.booleans(), st.booleans()), min_size=2, max_size=60)
NAN = float("nan")


@given(pairs)
def test_paired_difference_is_antisymmetric_and_holds_the_difference(units):
    a, b = zip(*units, strict=True)
    forth, back = statistics.paired_difference(a, b), statistics.paired_difference(b, a)
    assert forth.value == pytest.approx(np.mean(b) - np.mean(a))
    assert (forth.low, forth.high) == pytest.approx((-back.high, -back.low))
    assert forth.low - 1e-12 <= forth.value <= forth.high + 1e-12
    assert statistics.mcnemar(a, b) == statistics.mcnemar(b, a)


@given(st.integers(0, 30), st.integers(0, 30))
def test_mcnemar_takes_outcomes_or_counts_of_those_that_changed(gained, lost):
    p = statistics.mcnemar_counts(gained, lost)
    assert p == pytest.approx(binomtest(gained, gained + lost).pvalue if gained + lost else 1)
    before, after = [False] * gained + [True] * (lost + 1), [True] * gained + [False] * lost + [True]
    assert statistics.mcnemar(before, after) == p


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


def test_unpaired_lengths_are_refused():
    with pytest.raises(WorkbenchError, match="one value per unit"):
        statistics.mcnemar([True], [True, False])


@pytest.mark.parametrize(
    ("call", "message"),
    [
        (lambda: statistics.mcnemar([], []), "one value per unit"),
        (lambda: statistics.mcnemar_counts(-1, 2), "gained is -1"),
        (lambda: statistics.mcnemar([True, NAN], [True, False]), "NaN"),
        (lambda: statistics.mcnemar(["refusal"], ["compliance"]), "expected numbers"),
        (lambda: statistics.paired_difference([0, 2], [1, 1]), "True or False"),
        (lambda: statistics.permutation([1, 2], [1]), "one value per unit"),
        (lambda: statistics.permutation([1, NAN], [1, 2]), "NaN"),
        (lambda: statistics.permutation([1, 2], [3, 4], paired=False, clusters=[1, 2]), "clusters go with paired"),
        (lambda: statistics.permutation([1, 2], [3, 4], clusters=[1]), "one name per value"),
        (lambda: statistics.permutation([1], [2], paired=False), "at least 3"),
        (lambda: statistics.permutation_maximum([1, 2, 3]), "unit, option"),
        (lambda: statistics.permutation_maximum([[1, NAN], [2, 3]]), "NaN"),
        (lambda: statistics.holm([0.1, NAN]), "NaN"),
        (lambda: statistics.holm([0.1, 1.2]), "from 0 to 1"),
    ],
)
def test_what_cannot_be_computed_is_refused_with_the_reason(call, message):
    with pytest.raises(WorkbenchError, match=message):
        call()
