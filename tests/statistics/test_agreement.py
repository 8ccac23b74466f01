"""Agreement of two scorers: tables worked by hand, laws, coverage."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from sklearn.metrics import cohen_kappa_score
from statsmodels.stats.inter_rater import cohens_kappa

from workbench import WorkbenchError, statistics

few = st.integers(1, 7).flatmap(lambda n: st.tuples(st.integers(0, n), st.just(n)))
NAN = float("nan")
words = st.sampled_from(["refusal", "compliance", "collapse"])


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


@pytest.mark.parametrize(
    ("call", "message"),
    [
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
