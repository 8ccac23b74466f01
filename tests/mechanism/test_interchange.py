"""Interchange: the arithmetic of TransformerLens, on chats of any length; a planted coordinate is all that counts."""

import numpy as np
import pytest
import torch

import workbench as wb
from tests.mechanism.test_attribute import direction
from tests.mechanism.test_patch import EQUAL, UNEQUAL, difference
from tests.planted_model import planted_direction, planted_model, planted_pairs
from workbench.steering.directions import Direction


def test_values_are_those_of_transformer_lens(llama):
    from transformer_lens.tools.analysis import interchange as tl

    d = direction(llama, wb.resid_post(1))
    rows = wb.interchange(llama, EQUAL, d, difference, random=1, ways=["denoise"])
    first, second = (llama.encode(side).padded()[0] for side in (EQUAL.positive, EQUAL.negative))
    last = torch.full((2,), first.shape[1] - 1)
    hook = "blocks.1.hook_resid_post"

    def logits(ids):
        return llama.bridge(ids)[:, -1]

    sources = tl.collect_activations(llama.bridge, hook, first, logits, positions=last)
    basis = (d.vector / d.norm)[:, None]
    own, free = tl.SubspaceInterchange(basis), tl.random_basis(llama.d_model, 1, 0)
    for name, step in {
        "direction": own,
        "placebo": tl.NormMatchedPlacebo(own, free),
        "random": tl.SubspaceInterchange(free),
    }.items():
        theirs = difference(tl.intervened_logits(llama.bridge, hook, step, second, sources, logits, positions=last))
        ours = rows[rows["basis"] == name]["value"].to_numpy()
        np.testing.assert_allclose(ours, theirs.numpy(), atol=2e-5)


def test_laws_of_the_bases_on_every_family(tiny64):
    d, e = direction(tiny64, wb.resid_post(1)), direction(tiny64, wb.resid_post(1), 1)
    rows = wb.interchange(tiny64, UNEQUAL, d, metric=d, random=2)
    own = dict(iter(rows.groupby("basis")))
    for name in ("direction", "whole"):
        assert own[name]["value"].to_numpy() == pytest.approx(own[name]["source"].to_numpy(), abs=1e-9)
    assert own["rest"]["value"].to_numpy() == pytest.approx(own["rest"]["base"].to_numpy(), abs=1e-9)
    moved = own["placebo"].groupby(["pair", "way"])["moved"].mean()
    assert moved.to_numpy() == pytest.approx(
        own["direction"].groupby(["pair", "way"])["moved"].mean().to_numpy(), abs=1e-9
    )
    whole = wb.patch(tiny64, UNEQUAL, "resid", difference, layers=[1])
    swapped = wb.interchange(tiny64, UNEQUAL, [d, e], difference, random=1)
    assert swapped[swapped["basis"] == "whole"]["value"].to_numpy() == pytest.approx(
        whole["value"].to_numpy(), abs=1e-9
    )


def test_a_planted_coordinate_is_sufficient_and_necessary():
    model = planted_model()
    d = Direction(planted_direction(), wb.resid_post(1), model.name, activation_norm=1.0)
    pairs = planted_pairs(6, seed=2)
    sorry, sure = (model.tokenizer.convert_tokens_to_ids(word) for word in ("Sorry", "sure"))

    def refuses(logits):
        return logits[:, sorry] - logits[:, sure]

    effects = wb.patch_effects(wb.interchange(model, pairs, d, refuses, random=3)).set_index(["way", "basis"])
    for way in ("denoise", "noise"):
        assert effects.loc[(way, "direction"), "share"] == pytest.approx(1.0, abs=0.1)
        assert abs(effects.loc[(way, "rest"), "share"]) < 0.1
        assert abs(effects.loc[(way, "placebo"), "share"]) < 0.5


def test_directions_of_several_layers_are_each_at_theirs(llama):
    ds = wb.extract(llama, UNEQUAL, at=wb.resid_post.all)
    rows = wb.interchange(llama, EQUAL, ds, difference, random=1, control=wb.within_side(EQUAL))
    assert sorted(rows["layer"].unique()) == [0, 1, 2]
    assert set(rows["set"]) == {"pairs", "control"}
    assert len(wb.patch_effects(rows)) == 2 * 3 * (6 + 5)  # the control has too few prompts to shuffle labels


@pytest.mark.parametrize(
    ("make", "says"),
    [
        (lambda d, e: [], "expected a Direction, Directions"),
        (lambda d, e: [d, e], "or a list of Directions at one site"),
        (lambda d, e: [d, d * 2], "do not span 2 dimensions"),
        (lambda d, e: 3, "expected a Direction"),
    ],
)
def test_what_is_no_subspace_is_refused(llama, make, says):
    d, e = direction(llama, wb.resid_post(1)), direction(llama, wb.resid_post(2))
    with pytest.raises(wb.WorkbenchError, match=says):
        wb.interchange(llama, EQUAL, make(d, e), difference)
    with pytest.raises(wb.WorkbenchError, match="comes after"):
        wb.interchange(llama, EQUAL, e, metric=d)


def test_the_coordinate_of_another_model_or_of_a_steered_run_takes_its_place(llama, tiny_tuned):
    d = direction(llama, wb.resid_post(1))
    for source in (tiny_tuned, wb.add(direction(llama, wb.resid_post(0), 3), 2.0)):
        rows = wb.interchange(llama, EQUAL.positive, d, metric=d, source=source, random=1)
        assert (rows["source"] - rows["base"]).abs().min() > 1e-3
        own = dict(iter(rows.groupby("basis")))
        for name in ("direction", "whole"):
            assert own[name]["value"].to_numpy() == pytest.approx(own[name]["source"].to_numpy(), abs=1e-4)
        assert own["rest"]["value"].to_numpy() == pytest.approx(own["rest"]["base"].to_numpy(), abs=1e-4)
        whole = wb.patch(llama, EQUAL.positive, "resid", difference, source=source, layers=[1])
        swapped = wb.interchange(llama, EQUAL.positive, d, difference, source=source, random=1)
        assert swapped[swapped["basis"] == "whole"]["value"].to_numpy() == pytest.approx(
            whole["value"].to_numpy(), abs=1e-5
        )
    with pytest.raises(wb.WorkbenchError, match="expected two runs"):
        wb.interchange(llama, EQUAL.positive, d, difference)
