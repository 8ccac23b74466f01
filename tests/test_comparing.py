"""Methods compared on held-out texts: planted directions are found, thresholds come from training texts."""

import numpy as np
import pytest
import torch

import workbench as wb
from workbench.comparing import areas, effect_sizes, held_out_margins


def planted(n, shift, seed, offset=0.0):
    rng = np.random.default_rng(seed)
    x = rng.standard_normal((2 * n, 8))
    x[:n, 2] += shift
    x += offset
    return wb.Contrast(torch.from_numpy(x[:n]), torch.from_numpy(x[n:]))


SITES = [wb.resid_post(0), wb.resid_post(1)]
POSITIVE = np.repeat([True, False], 40)


def test_a_planted_direction_separates_where_it_is_planted():
    train = dict(zip(SITES, (planted(60, 0.0, 1), planted(60, 4.0, 2)), strict=True))
    held = dict(zip(SITES, (planted(40, 0.0, 3), planted(40, 4.0, 4)), strict=True))
    margins = held_out_margins(train, held, "mean_diff")
    assert margins.shape == (2, 80)
    found = areas(margins, POSITIVE)
    assert abs(found[0] - 0.5) < 0.2 and found[1] > 0.95
    assert effect_sizes(margins, POSITIVE)[1] == pytest.approx(4, abs=0.8)
    for i in range(2):
        expected = wb.statistics.auc(margins[i], POSITIVE).value
        assert found[i] == pytest.approx(expected, abs=1e-12)


def test_the_threshold_is_that_of_the_training_texts():
    train, held = {SITES[0]: planted(60, 4.0, 1)}, {SITES[0]: planted(40, 4.0, 2, offset=10.0)}
    right = (held_out_margins(train, held)[0] > 0) == POSITIVE
    assert right.mean() < 0.6  # all lie on one side; a threshold from the texts judged would hide that


def test_a_direction_turned_around_has_an_area_below_one_half():
    train, held = {SITES[0]: planted(60, 4.0, 1)}, {SITES[0]: planted(40, 4.0, 2)}
    turned = held_out_margins(train, held, lambda p, n: n.mean(0) - p.mean(0))
    assert areas(turned, POSITIVE)[0] < 0.05
    assert effect_sizes(turned, POSITIVE)[0] < -2


def test_what_cannot_be_compared_is_said():
    train = {SITES[0]: planted(60, 4.0, 1)}
    with pytest.raises(wb.WorkbenchError, match="unknown method 'prob'"):
        held_out_margins(train, train, "prob")
    with pytest.raises(wb.WorkbenchError, match="not the same sites"):
        held_out_margins(train, {SITES[1]: planted(40, 4.0, 2)})
