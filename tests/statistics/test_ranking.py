"""Rank correlations and areas under the curve: agreement with scipy and sklearn, laws, coverage."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.stats import spearmanr
from sklearn.metrics import roc_auc_score

from workbench import WorkbenchError, statistics

few = st.integers(1, 7).flatmap(lambda n: st.tuples(st.integers(0, n), st.just(n)))
NAN = float("nan")


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


@settings(max_examples=30)
@given(st.lists(st.tuples(st.integers(0, 9), st.integers(0, 9)), min_size=4, max_size=26), st.integers(1, 2))
def test_spearman_is_scipys_and_ignores_monotone_changes(points, block):
    x, y = (np.array(side, dtype=float) for side in zip(*points, strict=True))
    if np.ptp(x) == 0 or np.ptp(y) == 0:
        return
    found = statistics.spearman(x, y, block, resamples=199)
    assert found.value == pytest.approx(spearmanr(x, y).statistic)
    assert -1 <= found.low <= found.high <= 1
    bent = statistics.spearman(np.exp(x), y**3, block, resamples=199)
    assert (bent.value, bent.low, bent.high) == pytest.approx((found.value, found.low, found.high))
    swapped = statistics.spearman(y, x, block, resamples=199)
    assert (swapped.value, swapped.low) == pytest.approx((found.value, found.low))


def test_blocks_of_layers_cover_where_single_layers_do_not():
    rng = np.random.default_rng(0)

    def along_layers():
        walk = rng.normal(size=56)
        for i in range(1, 56):
            walk[i] = 0.85 * walk[i - 1] + np.sqrt(1 - 0.85**2) * walk[i]
        return walk[30:]

    blocks = single = 0
    for _ in range(200):
        x, y = along_layers(), along_layers()
        found, r = statistics.spearman(x, y, resamples=299), spearmanr(x, y)
        blocks += found.low <= 0 <= found.high
        single += r.pvalue > 0.05
    assert single / 200 < 0.8
    assert blocks / 200 >= 0.92


def test_delong_by_its_definition():
    scores, labels = [1.0, 2.0, 2.0, 4.0, 2.0, 3.0, 5.0], [0, 0, 0, 0, 1, 1, 1]
    negative, positive = scores[:4], scores[4:]
    wins = np.array([[1.0 if p > q else 0.5 if p == q else 0.0 for q in negative] for p in positive])
    # Positives at 2, 3 and 5 beat (1 + 0.5 + 0.5 + 0), (1 + 1 + 1 + 0) and 4 of the four negatives.
    assert wins.sum(axis=1).tolist() == [2, 3, 4]
    error = np.sqrt(wins.mean(axis=1).var(ddof=1) / 3 + wins.mean(axis=0).var(ddof=1) / 4)
    found = statistics.auc(scores, labels)
    assert found.value == wins.mean() == 0.75
    width = np.log(found.high / (1 - found.high)) - np.log(found.low / (1 - found.low))
    assert width == pytest.approx(2 * 1.959964 * error / (0.75 * 0.25))


def test_auc_of_clusters_counts_copies_once_and_has_the_spread_of_a_cluster_bootstrap():
    rng = np.random.default_rng(3)
    labels, clusters = np.tile([True, False], 60), np.repeat(np.arange(30), 4)
    scores = rng.normal(labels * 1.0) + np.repeat(rng.normal(size=60), 2) * np.tile([1, -1], 60)
    plain, alone = statistics.auc(scores, labels), statistics.auc(scores, labels, clusters=range(120))
    assert alone.value == plain.value
    assert (alone.low, alone.high) == pytest.approx((plain.low, plain.high), abs=0.005)
    grouped = statistics.auc(scores, labels, clusters=clusters)
    assert grouped.n == 30
    rows = [np.concatenate([np.flatnonzero(clusters == c) for c in rng.integers(30, size=30)]) for _ in range(400)]
    spread = np.std([roc_auc_score(labels[r], scores[r]) for r in rows])
    assert (grouped.high - grouped.low) / (2 * 1.96) == pytest.approx(spread, rel=0.15)
    copies = statistics.auc(np.tile(scores, 4), np.tile(labels, 4), clusters=np.tile(clusters, 4))
    assert (copies.low, copies.high) == pytest.approx((grouped.low, grouped.high), abs=0.01)
    with pytest.raises(WorkbenchError, match="at least two independent clusters"):
        statistics.auc(scores, labels, clusters=[0] * 120)


@settings(max_examples=50)
@given(st.lists(st.tuples(st.integers(0, 12), st.booleans()), min_size=4, max_size=40))
def test_auc_is_sklearns_turns_with_its_sign_and_stays_inside(rows):
    scores, labels = (np.array(side) for side in zip(*rows, strict=True))
    if min(labels.sum(), (~labels).sum()) < 2:
        return
    found, turned = statistics.auc(scores, labels), statistics.auc(-scores, labels)
    assert found.value == pytest.approx(roc_auc_score(labels, scores))
    assert (turned.value, turned.low) == pytest.approx((1 - found.value, 1 - found.high), abs=1e-6)
    assert 0 <= found.low <= found.value + 1e-12
    assert found.value <= found.high + 1e-12 <= 1 + 2e-12
    assert found.high - found.low > 0.01
    stretched = statistics.auc(np.exp(scores / 3), labels)
    assert (stretched.low, stretched.high) == pytest.approx((found.low, found.high))


def test_delong_is_near_the_bootstrap_and_covers():
    rng = np.random.default_rng(0)
    labels = np.arange(120) < 50
    scores = rng.normal(labels * 1.0)
    found = statistics.auc(scores, labels)
    drawn = [roc_auc_score(labels, np.r_[rng.choice(scores[:50], 50), rng.choice(scores[50:], 70)]) for _ in range(400)]
    assert (found.low, found.high) == pytest.approx(tuple(np.quantile(drawn, [0.025, 0.975])), abs=0.02)
    truth, inside = 0.7602, 0  # of normal scores one standard deviation apart
    for _ in range(300):
        found = statistics.auc(rng.normal(labels * 1.0), labels)
        inside += found.low <= truth <= found.high
    assert inside / 300 == pytest.approx(0.95, abs=0.03)


def test_classes_that_do_not_overlap_keep_an_honest_width():
    few, many = statistics.auc(range(8), [0] * 4 + [1] * 4), statistics.auc(range(80), [0] * 40 + [1] * 40)
    assert (few.value, few.high) == (1.0, 1.0)
    assert 0.4 < few.low < 0.85 < many.low < 1
    tied = statistics.auc([1] * 6, [0, 1] * 3)
    assert tied.value == 0.5
    assert tied.low < 0.4 < 0.6 < tied.high


def test_the_areas_of_the_log():
    errors = [statistics.auc_standard_error(area, 17, 118) for area in (0.854, 0.687)]
    assert errors == pytest.approx([0.059, 0.075], abs=5e-4)
    assert (0.854 - 0.687) / np.hypot(*errors) == pytest.approx(1.74, abs=0.01)
    assert statistics.auc_standard_error(0.8, 30, 50) == pytest.approx(statistics.auc_standard_error(0.2, 50, 30))


def test_auc_permutation_is_the_difference_of_areas_and_is_uniform_where_detectors_are_equally_good():
    rng = np.random.default_rng(4)
    labels = np.repeat([True, False], [12, 20])
    ps = []
    for _ in range(300):
        signal = labels + rng.standard_normal(32)
        a, b = (signal + rng.standard_normal(32) for _ in range(2))
        found = statistics.auc_permutation(a, b, labels, resamples=199)
        assert found.value == pytest.approx(roc_auc_score(labels, b) - roc_auc_score(labels, a))
        ps.append(found.p)
    assert 0.01 < np.mean(np.array(ps) <= 0.05) < 0.1
    better = statistics.auc_permutation(rng.standard_normal(32), 3 * labels + rng.standard_normal(32), labels)
    assert better.value > 0.2
    assert better.p < 0.01
    assert statistics.auc_permutation(signal, signal, labels).p == 1
    perfect = statistics.auc_permutation(labels + rng.random(32) / 2, 2 * labels + rng.random(32), labels)
    assert (perfect.value, perfect.p) == (0, 1)


@pytest.mark.parametrize(
    ("call", "message"),
    [
        (lambda: statistics.spearman([1, 2, 3], [1, 2, 3]), "at least 4"),
        (lambda: statistics.spearman([1, 2, 3, 4], [1, 2, 3]), "y: expected|one value per unit|at least 4"),
        (lambda: statistics.spearman([1, 1, 1, 1], [1, 2, 3, 4]), "x: all 4 values are 1"),
        (lambda: statistics.spearman(range(6), range(6), block=4), "at least two blocks"),
        (lambda: statistics.auc([1, 2, 3], [True, True, True]), "3 positive and 0 negative"),
        (lambda: statistics.auc([1, 2, 3], [True, False]), "one label per score"),
        (lambda: statistics.auc([1, 2, NAN], [True, False, True]), "NaN"),
        (lambda: statistics.auc([1, 2, 3], [1, 2, 3]), "True or False"),
        (lambda: statistics.auc_standard_error(54, 10, 10), "area is 54"),
        (lambda: statistics.auc_standard_error(0.5, 0, 10), "positives is 0"),
    ],
)
def test_what_cannot_be_computed_is_refused_with_the_reason(call, message):
    with pytest.raises(WorkbenchError, match=message):
        call()
