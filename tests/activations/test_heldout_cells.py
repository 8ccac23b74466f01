"""Directions judged across cells: what carries over does, what does not does not, and no text is judged by what saw it."""

import numpy as np
import pytest
import torch

import workbench as wb
from workbench.activations.heldout import OTHERS, crossed


def planted(axes, n=20, shift=4.0, shared=False, seed=0):
    """Per cell n bases, each with a positive and a negative text, which differ along the axis of the cell; and their cells."""
    rng = np.random.default_rng(seed)
    sides, cells, groups = [], [], []
    for sign in (1, -1):
        rows = []
        for cell, axis in axes.items():
            x = rng.standard_normal((n, 8))
            x[:, axis] += sign * shift / 2
            rows.append(x)
            cells += [cell] * n
            groups += [f"{'' if shared else cell}-{i:02d}" for i in range(n)]
        sides.append(torch.from_numpy(np.concatenate(rows)))
    words = tuple(tuple(f"{side} {i}" for i in range(n * len(axes))) for side in ("good", "bad"))
    return wb.Contrast(*sides, words, tuple(groups)), cells


def shares(frame):
    return frame.pivot_table(index="train", columns="test", values="right")


@pytest.mark.parametrize("method", ["mean_diff", "probe"])
def test_cells_with_one_axis_share_their_direction_and_others_do_not(method):
    found = shares(crossed(*planted({"a": 2, "b": 2, "c": 5}), method))
    assert found.loc["a", "b"] > 0.9
    assert found.loc["b", "a"] > 0.9
    assert all(found.loc[x, x] > 0.9 for x in "abc")
    assert abs(found.loc["a", "c"] - 0.5) < 0.2
    assert abs(found.loc["c", "b"] - 0.5) < 0.2


@pytest.mark.parametrize("shared", [False, True])
def test_every_text_is_judged_once_by_each_cell_and_never_by_one_that_saw_its_base(shared):
    texts, cells = planted({"a": 2, "b": 2}, n=7, shared=shared)
    x = torch.cat([texts.positive, texts.negative])
    seen = []

    def method(positive, negative):
        rows = {tuple(row.tolist()) for row in torch.cat([positive, negative])}
        seen.append({i for i, row in enumerate(x) if tuple(row.tolist()) in rows})
        return positive.mean(0) - negative.mean(0)

    frame = crossed(texts, cells, method)
    assert (frame.groupby(["train", "test"]).size() == 14).all()
    assert len(frame) == 4 * 14
    # one direction for each of five folds and cell; and where cells share no base, one of the whole cell besides
    assert sorted(map(len, seen)) == (
        sorted([10, 10, 12, 12, 12] * 2) if shared else sorted([10, 10, 12, 12, 12] * 2 + [14, 14])
    )
    for made in seen:
        bases = [texts.groups[i] for i in made]
        assert all(bases.count(base) == 2 for base in bases)  # a pair is left out as a pair


def test_noise_is_not_separated_by_what_it_was_fitted_on():
    found = shares(crossed(*planted({"a": 2, "b": 2}, shift=0.0, n=40), "probe"))
    assert (
        np.abs(found.to_numpy() - 0.5).max() < 0.2
    )  # a probe separates 40 + 40 of its own texts in 8 dimensions better


def test_the_others_judge_a_cell_together():
    texts, cells = planted({"a": 2, "b": 2, "c": 5})
    frame = crossed(texts, cells, "mean_diff", others=True)
    assert set(frame["train"]) == {OTHERS}
    assert len(frame) == len(cells)
    found = frame.groupby("test")["right"].mean()
    assert found["a"] > 0.85
    assert abs(found["c"] - 0.5) < 0.2


def test_rows_are_in_one_order_for_every_method():
    texts, cells = planted({"a": 2, "b": 2})
    one, two = (crossed(texts, cells, method) for method in ("mean_diff", "bag of words"))
    assert one[["train", "test", "base", "positive"]].equals(two[["train", "test", "base", "positive"]])
    assert two["right"].all()  # every positive text says "good"


def test_the_log_takes_its_threshold_from_the_texts_it_judges():
    texts, cells = planted({"a": 2, "b": 2}, shared=True)
    away = torch.tensor([10.0 * (cell == "b") for cell in cells])[:, None] * torch.eye(8, dtype=torch.float64)[2]
    frame = crossed(
        wb.Contrast(texts.positive + away[:40], texts.negative + away[40:], groups=texts.groups), cells, "mean_diff"
    )
    moved = frame[(frame["train"] == "a") & (frame["test"] == "b")]
    assert moved["right"].mean() == 0.5  # all lie beyond the threshold of the other cell
    assert moved["right_by_log"].mean() > 0.9
    assert frame[frame["train"] == frame["test"]]["right"].mean() > 0.9


def test_what_the_surface_says_depends_on_the_surface():
    texts, cells = planted({"a": 2, "b": 2}, n=10, shift=0.0)
    last = tuple(tuple(f"{i} {side}" for i in range(20)) for side in ("ab", "ba"))
    texts = wb.Contrast(texts.positive, texts.negative, last, texts.groups)
    right = {s: crossed(texts, cells, s)["right"].mean() for s in ("bag of words", "first word", "character n-grams")}
    assert right["bag of words"] == right["character n-grams"] == 1
    assert right["first word"] <= 0.5


def test_what_cannot_be_crossed_is_said():
    texts, cells = planted({"a": 2, "b": 2})
    with pytest.raises(wb.WorkbenchError, match="unknown method 'prob'; did you mean 'probe'"):
        crossed(texts, cells, "prob")
    with pytest.raises(wb.WorkbenchError, match="need as many cells"):
        crossed(texts, cells[:-1])
    with pytest.raises(wb.WorkbenchError, match="of 1"):
        crossed(texts, ["a"] * len(cells))
    bare = wb.Contrast(texts.positive, texts.negative, groups=texts.groups)
    with pytest.raises(wb.WorkbenchError, match="'bag of words' needs the texts"):
        crossed(bare, cells, "bag of words")
