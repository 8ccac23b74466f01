"""Differences of rates that are corrected for the errors of the label: coverage, laws, and a false effect that is prevented."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

import workbench as wb
from workbench import statistics
from workbench.statistics import LabelErrors, corrected_difference

PERFECT = LabelErrors(10_000, 10_000, 0, 10_000)


def experiment(rng, n, rates, errors):
    """Paired truth, what a label with these (found, false) says of it, and hand-labelled counts of the same label."""
    first = rng.random(n) < rates[0]
    second = np.where(
        rng.random(n) < 0.5, rng.random(n) < rates[1], first if rates[0] == rates[1] else rng.random(n) < rates[1]
    )
    said = [
        rng.random(n) < np.where(truth, found, false)
        for truth, (found, false) in zip((first, second), errors, strict=True)
    ]
    counts = [
        LabelErrors(int(rng.binomial(60, found)), 60, int(rng.binomial(60, false)), 60) for found, false in errors
    ]
    return said, counts


@pytest.mark.parametrize(
    ("rates", "errors"),
    [
        ((0.1, 0.5), ((0.95, 0.02), (0.9, 0.1))),
        ((0.3, 0.3), ((0.97, 0.02), (0.85, 0.2))),
        ((0.02, 0.9), ((0.99, 0.01), (0.95, 0.05))),
    ],
)
def test_the_interval_holds_the_true_difference_as_often_as_it_says(rates, errors):
    rng = np.random.default_rng(0)
    held = 0
    for _ in range(200):
        said, counts = experiment(rng, 60, rates, errors)
        found = corrected_difference(*said, *counts)
        held += found.low <= rates[1] - rates[0] <= found.high
    assert held / 200 >= 0.92  # 0.95 less two standard errors


def test_a_label_that_errs_more_under_steering_makes_an_effect_that_the_correction_takes_back():
    """No prompt changes; the label calls a quarter of the steered texts compliance that are none."""
    rng = np.random.default_rng(1)
    raw_says = corrected_says = 0
    for _ in range(100):
        said, counts = experiment(rng, 80, (0.05, 0.05), ((0.97, 0.01), (0.97, 0.25)))
        raw = statistics.paired_difference(*said)
        raw_says += raw.low > 0 and raw.value >= 0.1
        corrected = corrected_difference(*said, *counts)
        corrected_says += corrected.low > 0 and corrected.value >= 0.1
    assert raw_says >= 80
    assert corrected_says <= 5


@given(st.lists(st.tuples(st.booleans(), st.booleans()), min_size=4, max_size=40))
def test_a_label_that_never_errs_leaves_the_difference_as_it_is(pairs):
    before, after = zip(*pairs, strict=True)
    raw, found = statistics.paired_difference(before, after), corrected_difference(before, after, PERFECT, PERFECT)
    assert (found.value, found.low, found.high) == pytest.approx((raw.value, raw.low, raw.high), abs=2e-3)


@given(st.integers(0, 40), st.integers(0, 40), st.integers(0, 30), st.integers(0, 30))
def test_errors_known_from_fewer_texts_never_make_the_interval_narrower(before, after, called, wrongly):
    first, second = np.arange(40) < before, np.arange(40) < after
    few = LabelErrors(called, 30, wrongly, 30)
    wide = corrected_difference(first, second, few, few)
    assert -1 <= wide.low <= wide.value <= wide.high <= 1
    if called - wrongly >= 15:
        many = LabelErrors(100 * called, 3000, 100 * wrongly, 3000)
        narrow = corrected_difference(first, second, many, many)
        assert narrow.high - narrow.low <= wide.high - wide.low + 0.03


def test_clusters_and_shares_of_controls_are_taken_too():
    rng = np.random.default_rng(2)
    shares, after = rng.random(40) * 0.3, rng.random(40) < 0.7
    errors = LabelErrors(95, 100, 3, 100)
    found = corrected_difference(shares, after, errors, errors, clusters=np.arange(40) // 2)
    assert found.n == 20
    assert 0.2 < found.low < after.mean() - shares.mean() < found.high


def test_a_label_that_tells_nothing_says_so_and_no_texts_at_all_are_no_knowledge():
    before, after = [False] * 30, [True] * 30
    assert corrected_difference(before, after, PERFECT, LabelErrors(5, 10, 6, 10)).low == -1
    unknown = corrected_difference(before, after, PERFECT, LabelErrors(0, 0, 0, 0))
    assert (unknown.low, unknown.high) == (-1, 1)


@pytest.mark.parametrize(
    "call",
    [
        lambda: LabelErrors(5, 4, 0, 1),
        lambda: LabelErrors(0, 0, 1, 0),
        lambda: corrected_difference([0.5, 1.5], [0, 1], PERFECT, PERFECT),
        lambda: corrected_difference([True], [True, False], PERFECT, PERFECT),
    ],
)
def test_what_are_no_counts_or_rates_is_refused(call):
    with pytest.raises(wb.WorkbenchError):
        call()
