"""Means, effect sizes, ranks, areas and agreement: hand-made cases, laws, and intervals that cover what they claim."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.stats import spearmanr, t, ttest_1samp, ttest_ind, ttest_rel
from sklearn.metrics import cohen_kappa_score, roc_auc_score
from statsmodels.stats.inter_rater import cohens_kappa

from workbench import WorkbenchError, statistics

NAN = float("nan")
numbers = st.lists(st.floats(-100, 100, width=32), min_size=3, max_size=30)


def prompts_with_variants(rng, prompts, variants, icc=0.3):
    """Outcomes that resemble each other within a prompt, true rate 0.2, and the prompt of each."""
    share = rng.beta(0.2 * (1 - icc) / icc, 0.8 * (1 - icc) / icc, prompts)
    return (rng.random((prompts, variants)) < share[:, None]).ravel(), np.repeat(np.arange(prompts), variants)


# Means


@given(st.floats(-1, 1), st.floats(0.001, 1), st.floats(0.001, 1))
def test_an_interval_implies_significance_just_where_it_leaves_zero_out(value, below, above):
    found = statistics.Estimate(value, value - below, value + above, 20, "")
    p = statistics.p_from_interval(found)
    assert 0 <= p <= 1
    if min(abs(found.low), abs(found.high)) > 1e-6:
        assert (p < 0.05) == (found.low > 0 or found.high < 0)


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


# Effect size


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


# Ranks


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


# Areas


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


# Agreement


def labels_of(table):
    rows = [(i, j) for i, row in enumerate(table) for j, count in enumerate(row) for _ in range(count)]
    return tuple(zip(*rows, strict=True))


def test_kappa_of_a_table_worked_by_hand():
    # 20 yes-yes, 15 no-no, 5 and 10 otherwise: 70% agree, 25/50 * 30/50 + 25/50 * 20/50 = 50% by chance, kappa 0.4.
    found = statistics.kappa(*labels_of([[20, 5], [10, 15]]))
    assert found.kappa.value == pytest.approx(0.4)
    assert found.agreement == statistics.rate(35, 50)
    assert found.table == ((20, 5), (10, 15))
    reference = cohens_kappa(np.array([[20, 5], [10, 15]]))
    assert (found.kappa.low, found.kappa.high) == pytest.approx((reference.kappa_low, reference.kappa_upp))


words = st.sampled_from(["refusal", "compliance", "collapse"])


@settings(max_examples=50)
@given(st.lists(st.tuples(words, words), min_size=2, max_size=60))
def test_kappa_is_sklearns_is_symmetric_and_ignores_names(rows):
    a, b = zip(*rows, strict=True)
    if len(set(a) | set(b)) < 2:
        return
    found, swapped = statistics.kappa(a, b), statistics.kappa(b, a)
    assert found.kappa.value == pytest.approx(cohen_kappa_score(a, b))
    assert (swapped.kappa.low, swapped.kappa.high) == pytest.approx((found.kappa.low, found.kappa.high))
    assert swapped.table == tuple(zip(*found.table, strict=True))
    assert -1 <= found.kappa.low <= found.kappa.value + 1e-12
    assert found.kappa.value <= found.kappa.high + 1e-12 <= 1 + 2e-12
    assert found.kappa.high - found.kappa.low > 0.01
    renamed = statistics.kappa([hash(x) for x in a], [hash(x) for x in b])
    assert renamed.kappa.value == pytest.approx(found.kappa.value)


def test_perfect_agreement_keeps_an_honest_width():
    few, many = (statistics.kappa(["a", "b"] * n, ["a", "b"] * n) for n in (5, 50))
    assert few.kappa.value == few.kappa.high == 1
    assert few.kappa.low < 0.6 < 0.9 < many.kappa.low < 1
    # Half of the agreement is chance, so kappa's limit is twice as far from 1 as that of the agreement.
    assert 1 - many.kappa.low == pytest.approx(2 * (1 - many.agreement.low))


def test_the_confusion_table_is_labelled():
    found = statistics.kappa(["refusal", "refusal", "collapse"], ["refusal", "collapse", "collapse"])
    assert found.labels == ("collapse", "refusal")
    assert found.frame().loc["refusal", "collapse"] == 1
    assert found.frame().loc["collapse", "refusal"] == 0
    assert str(found).startswith("kappa 0.40 [")


def test_kappa_covers():
    rng = np.random.default_rng(0)
    inside = 0
    for _ in range(
        300
    ):  # truth: 0.6 of the rows are agreed on sight, the rest are labelled independently, half and half
        first = rng.random(100) < 0.5
        second = np.where(rng.random(100) < 0.6, first, rng.random(100) < 0.5)
        found = statistics.kappa(first, second).kappa
        inside += found.low <= 0.6 <= found.high
    assert inside / 300 == pytest.approx(0.95, abs=0.03)


# Refusals


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
        (lambda: statistics.kappa([], []), "got 0 and 0"),
        (lambda: statistics.kappa(["a"], ["a", "b"]), "got 1 and 2"),
        (lambda: statistics.kappa(["a", None], ["a", "b"]), "1 of 4 labels are missing"),
        (lambda: statistics.kappa(["a", NAN], ["a", "b"]), "1 of 4 labels are missing"),
        (lambda: statistics.kappa(["a", "a"], ["a", "a"]), "only ever say 'a'"),
    ],
)
def test_what_cannot_be_computed_is_refused_with_the_reason(call, message):
    with pytest.raises(WorkbenchError, match=message):
        call()


def test_few_clusters_get_the_reach_of_students_t():
    from workbench.statistics.means import widened

    assert widened(0.95, 1e6) == pytest.approx(0.95, abs=1e-5)
    reach = t.isf(0.025, 9) * np.sqrt(10 / 9)
    assert widened(0.95, 10) == pytest.approx(
        np.mean(np.abs(np.random.default_rng(0).normal(size=400_000)) < reach), abs=2e-3
    )


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
