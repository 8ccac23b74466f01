"""Methods compared on held-out texts: planted directions are found, thresholds come from training texts."""

import numpy as np
import pytest
import torch

import workbench as wb
from workbench.activations.heldout import Judged, judged, shortfall, widest_area

SITES = [wb.resid_post(0), wb.resid_post(1)]


def planted(n, shift, seed, offset=0.0):
    x = np.random.default_rng(seed).standard_normal((2 * n, 8))
    x[:n, 2] += shift
    x += offset
    return wb.Contrast(torch.from_numpy(x[:n]), torch.from_numpy(x[n:]))


def two(n, seed, shifts=(0.0, 4.0)):
    return {site: planted(n, shift, seed + i) for i, (site, shift) in enumerate(zip(SITES, shifts, strict=True))}


def turned(positive, negative):
    return negative.mean(0) - positive.mean(0)


def test_a_planted_direction_separates_where_it_is_planted():
    found = judged(two(60, 1), two(40, 11))
    assert found.margins.shape == (2, 80)
    assert abs(found.areas[0] - 0.5) < 0.2
    assert found.areas[1] > 0.95
    assert found.effect_sizes[1] == pytest.approx(4, abs=0.8)
    assert found.accuracies[1] > 0.9
    for i in range(2):
        assert found.areas[i] == pytest.approx(wb.statistics.auc(found.margins[i], found.positive).value, abs=1e-12)


def test_the_threshold_is_that_of_the_training_texts():
    train, held = {SITES[0]: planted(60, 4.0, 1)}, {SITES[0]: planted(40, 4.0, 2, offset=10.0)}
    found = judged(train, held)
    assert found.accuracies[0] < 0.6  # all lie on one side; a threshold from the texts judged would hide that
    assert found.areas[0] > 0.95


def test_a_direction_turned_around_says_so():
    found = judged(two(60, 1), two(40, 11), turned)
    assert found.areas[1] < 0.05
    assert found.effect_sizes[1] < -2


def test_shortfall_is_0_of_itself_1_of_chance_2_of_the_opposite():
    sets = [(two(60, seed, (3.0, 3.0)), two(40, seed + 50, (3.0, 3.0))) for seed in (1, 5)]
    best, opposite = [judged(*one) for one in sets], [judged(*one, turned) for one in sets]
    axis = torch.eye(8, dtype=torch.float64)[5]  # where nothing is planted
    nothing = [judged(*one, lambda p, n: axis) for one in sets]
    assert shortfall(best, best, 99).value == 0
    assert shortfall(opposite, best, 99).value == pytest.approx(2)
    chance = shortfall(nothing, best, 99)
    assert chance.low < 1 < chance.high
    assert chance.low > 0.5
    assert shortfall(nothing, best, 99) == chance


def test_what_cannot_be_compared_is_said():
    train = {SITES[0]: planted(60, 4.0, 1)}
    with pytest.raises(wb.WorkbenchError, match="unknown method 'prob'; did you mean 'probe'"):
        judged(train, train, "prob")
    with pytest.raises(wb.WorkbenchError, match="not the same sites"):
        judged(train, {SITES[1]: planted(40, 4.0, 2)})
    with pytest.raises(wb.WorkbenchError, match="same texts"):
        shortfall([judged(train, train)], [judged(train, {SITES[0]: planted(30, 4.0, 2)})])


def test_the_best_of_many_sites_is_above_one_half_without_any_signal():
    rng = np.random.default_rng(0)
    sides = np.repeat([True, False], 20)
    one, many = (Judged(rng.standard_normal((n, 40)), sides, tuple(map(str, range(40)))) for n in (1, 30))
    assert abs(widest_area(one).value - 0.5) < 0.02
    found = widest_area(many)
    assert 0.6 < found.value < found.high < 0.85
    assert found == widest_area(many)


def test_the_surface_of_the_texts_is_judged_like_a_direction():
    def worded(n, seed, words=("good", "bad")):
        found = planted(n, 0.0, seed)
        return wb.Contrast(found.positive, found.negative, tuple(tuple(f"{w} {i}" for i in range(n)) for w in words))

    train, held = {SITES[0]: worded(20, 1)}, {SITES[0]: worded(10, 2)}
    found = judged(train, held, "bag of words")
    assert found.areas.tolist() == [1.0]
    assert found.right.all()
    both = {site: worded(10, 2) for site in SITES}
    assert judged({site: worded(20, 1) for site in SITES}, both, "first word").margins.shape == (2, 20)
    assert judged(train, {SITES[0]: worded(10, 2, ("bad", "good"))}, "bag of words").areas.tolist() == [0.0]
    with pytest.raises(wb.WorkbenchError, match="'bag of words' needs the texts"):
        judged({SITES[0]: planted(20, 4.0, 1)}, held, "bag of words")
