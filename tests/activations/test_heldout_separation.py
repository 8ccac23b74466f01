"""Separation: its numbers are those of scipy and scikit-learn; thresholds from training texts; baselines beside it."""

import numpy as np
import pytest
import torch
from scipy.stats import ks_2samp
from sklearn.feature_extraction.text import CountVectorizer
from sklearn.linear_model import LogisticRegression
from sklearn.metrics import accuracy_score, roc_auc_score

import workbench as wb
from tests.families import WORDS
from workbench.activations.collect import gather

SITE = wb.resid_post(1)


def contrast(seed, n=40, m=30, gap=1.0, offset=0.0, groups=()):
    rng = np.random.default_rng(seed)
    sides = [rng.standard_normal((k, 6)) * [1, 2, 3, 1, 1, 1] + offset for k in (n, m)]
    sides[0][:, 0] += gap
    return wb.Contrast(*sides, groups=groups)


def direction(vector=(1.0, 0, 0, 0, 0, 0), method="given", prompts=""):
    return wb.Direction(torch.tensor(vector), SITE, "m", method=method, prompts=prompts)


def pairs(start, n, marked=()):
    """n prompts a side; words in ``marked`` tell the sides apart."""
    words = [w for w in WORDS if w not in marked][start : start + 2 * n]
    sides = [[f"how do i {w} {mark}".strip() for w in words[at::2]] for at, mark in ((0, marked[0]), (1, marked[1]))]
    return wb.Pairs(*sides)


def test_the_numbers_are_those_of_scikit_learn_and_scipy():
    train, held = contrast(0, offset=0.5), contrast(1)
    found = wb.separation(direction(), held, train).detection
    x = torch.cat([held.positive, held.negative])[:, 0].numpy()
    y = np.repeat([1, 0], [40, 30])
    threshold = (train.positive[:, 0].mean() + train.negative[:, 0].mean()).item() / 2
    ours, theirs = x[y == 1], x[y == 0]
    pooled = np.sqrt((39 * ours.var(ddof=1) + 29 * theirs.var(ddof=1)) / 68)
    assert found.threshold == pytest.approx(threshold)
    assert found.accuracy.value == pytest.approx(accuracy_score(y, x > threshold))
    assert found.auc.value == pytest.approx(roc_auc_score(y, x))
    assert found.d.value == pytest.approx((ours.mean() - theirs.mean()) / pooled)
    assert found.overlap == pytest.approx(1 - ks_2samp(ours, theirs).statistic)
    assert found.accuracy.low < found.accuracy.value < found.accuracy.high
    assert found.accuracy.n == found.auc.n == 70


def test_the_threshold_comes_from_training_texts_only():
    """A shift between the sets ruins accuracy and leaves the AUC as it is; log 002's own midpoint would hide that."""
    train, near, far = contrast(0, gap=8), contrast(1, gap=8), contrast(1, gap=8, offset=20)
    same, shifted = (wb.separation(direction(), held, train).detection for held in (near, far))
    assert same.accuracy.value > 0.95
    assert shifted.accuracy.value == pytest.approx(40 / 70)
    assert shifted.threshold == same.threshold
    assert shifted.auc.value == pytest.approx(same.auc.value)


def test_polarity_is_that_of_the_held_out_texts():
    train = contrast(0, gap=5)
    right, wrong = (wb.separation(d, contrast(1, gap=5), train).detection for d in (direction(), -direction()))
    assert (right.polarity, wrong.polarity) == (1, -1)
    assert wrong.auc.value == pytest.approx(1 - right.auc.value)
    assert "polarity reversed" in str(wrong)
    assert "polarity reversed" not in str(right)


def test_texts_of_one_group_count_as_one_observation():
    groups = tuple(str(i % 10) for i in range(70))
    train = contrast(0)
    alone, grouped = (wb.separation(direction(), contrast(1, groups=g), train).detection for g in ((), groups))
    assert grouped.accuracy.value == pytest.approx(alone.accuracy.value)
    assert grouped.auc.value == pytest.approx(alone.auc.value)
    assert grouped.accuracy.n == grouped.auc.n == 10


def test_random_directions_are_many_and_turned_the_right_way():
    train, held = contrast(0, 200, 200, gap=3), contrast(1, 200, 200, gap=3)
    found = wb.separation(direction(), held, train, randoms=50)["random"]
    assert 0.5 < found.auc.value < wb.separation(direction(), held, train).detection.auc.value
    assert found.auc.low < found.auc.value < found.auc.high
    assert found.auc.n == 50
    nothing = wb.separation(direction(), contrast(1, 400, 400, gap=0), contrast(0, 400, 400, gap=0), randoms=50)
    assert abs(nothing["random"].auc.value - 0.5) < 0.05


def test_a_model_reads_pairs_and_all_baselines_are_there(llama, tmp_path):
    train, held = pairs(0, 12, ("poison", "tea")), pairs(24, 10, ("poison", "tea"))
    d = wb.extract(llama, train, SITE, "prompt[-1]", store=tmp_path)
    found = wb.separation(d, held, train, llama, store=tmp_path)
    assert [m.name for m in found.baselines] == ["bag of words", "layer 0", "random"]
    assert not found.missing
    assert found["bag of words"].accuracy.value == 1  # the planted word gives it away
    assert found["bag of words"].auc.value == 1
    assert (found.n_positive, found.n_negative, found.held_out) == (10, 10, True)
    by_hand = {side: gather(llama, getattr(held, side), SITE)[SITE].values for side in ("positive", "negative")}
    scores = torch.cat([by_hand["positive"], by_hand["negative"]]).double() @ d.vector.double()
    assert found.detection.auc.value == pytest.approx(roc_auc_score([1] * 10 + [0] * 10, scores.numpy()))


def test_activations_of_all_layers_serve_every_direction_without_a_model(llama):
    train, held = pairs(0, 12, ("poison", "tea")), pairs(24, 10, ("poison", "tea"))
    seen = [wb.contrast(llama, side, wb.resid_post.all) for side in (held, train)]
    for d in wb.extract(llama, train, wb.resid_post.all, method="lda"):
        alone, shared = wb.separation(d, held, train, llama), wb.separation(d, *seen)
        assert [m.name for m in alone.baselines] == [m.name for m in shared.baselines]
        assert shared.detection.auc.value == pytest.approx(alone.detection.auc.value)
        assert shared["layer 0"].auc.value == pytest.approx(
            wb.separation(wb.extract(llama, train, wb.resid_post(0), method="lda"), *seen).detection.auc.value
        )


def test_bag_of_words_is_a_regression_on_the_training_words_alone(llama):
    train, held = pairs(0, 12, ("poison", "")), pairs(20, 10, ("poison poison", "garlic"))
    found = wb.separation(wb.extract(llama, train, SITE), held, train, llama)["bag of words"]
    counter = CountVectorizer(binary=True, token_pattern=r"\S+")
    texts = [*train.positive.texts, *train.negative.texts]
    model = LogisticRegression(max_iter=2000).fit(counter.fit_transform(texts), [1] * 12 + [0] * 12)
    scores = model.decision_function(counter.transform([*held.positive.texts, *held.negative.texts]))
    assert found.auc.value == pytest.approx(roc_auc_score([1] * 10 + [0] * 10, scores))


def test_resubstitution_is_labelled(llama):
    train, held = pairs(0, 12, ("poison", "tea")), pairs(24, 10, ("poison", "tea"))
    d = wb.extract(llama, train, SITE)
    mixed = wb.Pairs([*held.positive.texts, train.positive.texts[0]], held.negative.texts)
    elsewhere = pairs(40, 8, ("poison", "tea"))
    assert wb.separation(d, held, train, llama).held_out
    for judged, fitted in (
        (train, train),
        (mixed, train),
        (train, elsewhere),
    ):  # the last: what the direction came from
        found = wb.separation(d, judged, fitted, llama)
        assert not found.held_out
        assert "RESUBSTITUTION" in str(found)
        assert not found.frame()["held_out"].any()
    raw = contrast(0)
    assert not wb.separation(direction(), contrast(0), raw).held_out
    assert wb.separation(direction(), contrast(1), raw).held_out


def test_what_is_missing_is_said():
    found = wb.separation(direction(), contrast(1), contrast(0))
    assert [m.name for m in found.baselines] == ["random"]
    assert [line.split(":")[0] for line in found.missing] == ["bag of words", "layer 0"]
    assert "give Pairs" in str(found)
    with pytest.raises(wb.WorkbenchError, match="unknown detector 'layer 0'; there are direction, random"):
        found["layer 0"]


def test_the_frame_holds_every_detection():
    frame = wb.separation(direction(), contrast(1), contrast(0)).frame()
    assert list(frame["detector"]) == ["direction", "random"]
    assert list(frame["baseline"]) == [False, True]
    assert {"accuracy", "accuracy_low", "auc_high", "d", "polarity", "overlap", "layer", "n"} <= set(frame.columns)
    assert (frame["accuracy_low"] <= frame["accuracy"]).all()


def test_a_direction_that_sees_nothing_is_at_chance_without_an_error():
    flat = wb.Contrast(np.zeros((5, 6)), np.zeros((5, 6)))
    found = wb.separation(direction(), flat, contrast(0)).detection
    assert (found.auc.value, found.polarity, found.overlap) == (0.5, 0, 1.0)
    assert np.isnan(found.d.value)


def test_bad_requests_are_refused(llama):
    train = pairs(0, 12, ("poison", "tea"))
    cases = {
        "needs a model": (direction(), train, train),
        "no activations at resid_post": (direction(), {wb.resid_post(0): contrast(0)}, contrast(1)),
        "width 6 for a direction of width 2": (direction((1.0, 2.0)), contrast(0), contrast(1)),
    }
    for message, arguments in cases.items():
        with pytest.raises(wb.WorkbenchError, match=message):
            wb.separation(*arguments)
    with pytest.raises(wb.WorkbenchError, match="expected a whole number of at least 1"):
        wb.separation(direction(), contrast(0), contrast(1), randoms=0)
