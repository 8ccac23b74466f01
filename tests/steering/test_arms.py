"""Grids: every combination of the axes once, each Steer what its name says."""

from itertools import product

import numpy as np
import pytest

import workbench as wb
from tests.families import PROMPTS
from workbench.activations.collect import means

PAIRS = wb.Pairs(PROMPTS[:3], PROMPTS[3:])


@pytest.fixture(scope="module")
def ds(llama):
    return wb.extract(llama, PAIRS, at=wb.resid_post.all)


def test_all_axes_at_once(llama, ds):
    twins = wb.shuffled(llama, PAIRS, at=wb.resid_post.all, seeds=range(2))
    arms = wb.grid(
        {"a": ds, "b": -ds},
        layers=[0, 2],
        ratios=[-0.2, 0, 0.4],
        on=["prompt[-1]", "response"],
        controls=1,
        operations=["add", "ablate", "clamp"],
        bounds=[(None, 0.0), (1.0, 2.0)],
        shuffled=twins,
    )
    kinds = ["direction", "random", "orthogonal", "shuffled", "shuffled"]
    assert len(arms) == 1 + 2 * 2 * 2 * len(kinds) * (2 + 1 + 2)
    assert len({arm.name for arm in arms}) == len(arms)
    per_kind = {kind: sum(arm.kind == kind for arm in arms) for kind in set(kinds)}
    assert per_kind == {kind: 40 * kinds.count(kind) for kind in set(kinds)}
    places = {(str(arm.steer.edits[0].on), arm.layer) for arm in arms[1:]}
    assert places == set(product(["prompt[-1]", "response"], [0, 2]))
    clamps = [arm.steer.edits[0] for arm in arms[1:] if arm.steer.edits[0].operation == "clamp"]
    assert {(edit.low, edit.high) for edit in clamps} == {(-float("inf"), 0.0), (1.0, 2.0)}


def test_every_control_has_the_norm_of_its_direction(llama, ds):
    twins = wb.shuffled(llama, PAIRS, at=wb.resid_post.all, seeds=[0, 1])
    for arm in wb.grid(ds, ratios=[0.3], controls=2, shuffled=twins):
        assert arm.steer.edits[0].direction.norm == pytest.approx(ds[arm.layer].norm, rel=1e-5)
        assert list(arm.steer.doses.values()) == pytest.approx([0.3], rel=1e-5)


def test_coefs_are_in_units_of_the_vector_and_sites_can_be_chosen(ds):
    sites = [wb.resid_post(0), wb.attn_out(2)]
    arms = wb.grid(ds[1], coefs=[-2, 0.5], at=sites)
    assert [(arm.steer.edits[0].coef, arm.steer.edits[0].site) for arm in arms] == [
        (coef, site) for site in sites for coef in (-2, 0.5)
    ]
    assert arms[0].ratio == pytest.approx(-2 * ds[1].relative_norm)
    assert arms[0].name == "direction L0 coef -2 at resid_post(0)"
    assert wb.grid(ds[1], coefs=[0])[0].name == "baseline"


def test_shuffled_labels_are_the_mean_difference_of_permuted_sides(llama):
    import numpy as np

    seeds, site = [0, 5], wb.resid_post(1)
    found = wb.shuffled(llama, PAIRS, at=site, read="prompt[-2:]", seeds=seeds, batch_size=4)
    for seed, twin in zip(seeds, found, strict=True):
        labels = np.random.default_rng(seed).permutation(6) < 3
        sides = [[p for p, label in zip(PROMPTS, labels, strict=True) if label == side] for side in (True, False)]
        positive, negative = (means(llama, llama.encode(side), [site], wb.PROMPT[-2:])[site] for side in sides)
        expected = positive.mean - negative.mean
        assert (twin[1].vector.double() - expected).norm() < 1e-5 * expected.norm()
        assert twin[1].method == f"shuffled(seed={seed})"
    assert found[0][1] != found[1][1]


def test_covariant_controls_have_the_covariance_of_the_activations(llama):
    import numpy as np

    site, n = wb.resid_post(1), len(PROMPTS)
    drawn = wb.covariant(llama, PAIRS, at=site, read="prompt[-1]", seeds=range(600), batch_size=4)
    vectors = np.stack([one[1].vector.double().numpy() for one in drawn])
    chats = [means(llama, llama.encode([prompt]), [site], wb.PROMPT[-1])[site].mean.numpy() for prompt in PROMPTS]
    activations = np.stack(chats).astype(float)
    wanted = np.cov(activations.T)
    assert np.linalg.norm(vectors.T @ vectors / len(vectors) - wanted) < 0.15 * np.linalg.norm(wanted)
    assert abs(np.trace(vectors.T @ vectors) / len(vectors) / np.trace(wanted) - 1) < 0.1
    centred = activations - activations.mean(0)
    span = np.linalg.svd(centred, full_matrices=False)[2][: n - 1]  # where activations vary, and nowhere else
    assert np.linalg.norm(vectors - vectors @ span.T @ span) < 1e-4 * np.linalg.norm(vectors)
    arms = wb.grid(wb.extract(llama, PAIRS, at=site), ratios=[0.3], covariant=drawn[:2])
    assert [arm.name for arm in arms[1:]] == ["covariant 0 L1 +0.30", "covariant 1 L1 +0.30"]


def test_doses_between_hundredths_keep_their_names_apart(ds):
    names = [arm.name for arm in wb.grid(ds[1], ratios=[0.101, 0.104, 0.1])]
    assert names == ["direction L1 +0.101", "direction L1 +0.104", "direction L1 +0.10"]


def test_axes_may_be_arrays(ds):
    arms = wb.grid(ds, ratios=np.array([0.1, 0.2]), layers=np.arange(2))
    assert [arm.name for arm in arms] == [arm.name for arm in wb.grid(ds, ratios=[0.1, 0.2], layers=[0, 1])]


def test_what_does_not_go_together_is_refused(llama, ds):
    cases = {
        "at least one ratio": {"ratios": []},
        "unknown operation 'push'; there are add, ablate, clamp": {"ratios": [0.1], "operations": ["push"]},
        "or coefs=": {"ratios": [0.1], "coefs": [1]},
        "go together": {"ratios": [0.1], "bounds": [(0, 1)]},
        "none where it does not": {"ratios": [0.1], "operations": ["ablate"]},
        "holds a value twice": {"ratios": [0.1], "on": ["all", "all"]},
        "controls >= 0": {"ratios": [0.1], "controls": -1},
    }
    for message, change in cases.items():
        with pytest.raises(wb.WorkbenchError, match=message):
            wb.grid(ds, **change)
    with pytest.raises(wb.WorkbenchError, match="at least one seed"):
        wb.shuffled(llama, PAIRS, at=wb.resid_post(1), seeds=[])
