"""Around a direction: singular values, cosines, features of a sparse autoencoder, tokens that activate it."""

import json

import pytest
import torch
from safetensors.torch import save_file

import workbench as wb
from tests.families import PROMPTS
from tests.mechanism.test_attribute import direction
from tests.planted_model import planted_direction, planted_model, planted_pairs
from workbench.steering.directions import Direction


def test_the_singular_values_of_one_planted_direction():
    model = planted_model()
    d = Direction(planted_direction(), wb.resid_post(1), model.name, activation_norm=1.0)
    table = wb.spectrum(model, planted_pairs(8, seed=3), d)
    assert table["value"].is_monotonic_decreasing
    assert table["share"].sum() == pytest.approx(1)
    assert table["cosine"].iloc[0] > 0.9
    assert table["value"].iloc[0] > 3 * table["control"].iloc[0]


def test_cosines_are_a_matrix_of_names(llama):
    d, e = direction(llama, wb.resid_post(0)), direction(llama, wb.resid_post(1), 1)
    table = wb.cosines(
        {"all": wb.extract(llama, wb.Pairs(PROMPTS[:3], PROMPTS[3:]), at=wb.resid_post.all), "d": d, "e": -e}
    )
    assert list(table.index) == list(table.columns) == ["all 0", "all 1", "all 2", "d", "e"]
    assert table.loc["d", "e"] == pytest.approx(-d.cosine(e))
    assert (table.to_numpy() == table.to_numpy().T).all()
    with pytest.raises(wb.WorkbenchError, match="has no directions"):
        wb.cosines({})


@pytest.mark.parametrize(
    "config", [{"hook_name": "blocks.1.hook_resid_post"}, {"metadata": {"hook_name": "blocks.1.hook_resid_post"}}]
)
def test_rows_of_a_decoder_are_directions(tmp_path, llama, config):
    decoder = torch.randn(7, llama.d_model)
    save_file({"W_dec": decoder, "W_enc": decoder.T.contiguous()}, tmp_path / "sae_weights.safetensors")
    (tmp_path / "cfg.json").write_text(json.dumps(config))
    first, second = wb.sae_directions(tmp_path, [5, 2], llama)
    assert torch.equal(first.vector, decoder[5])
    assert (second.site, second.method, second.model) == (wb.resid_post(1), "sae(2)", llama.name)
    assert wb.sae_directions(tmp_path, [0], llama, site=wb.resid_post(2))[0].site == wb.resid_post(2)
    with pytest.raises(wb.WorkbenchError, match="has features 0 to 6"):
        wb.sae_directions(tmp_path, [7], llama)


def test_what_is_no_sparse_autoencoder_is_refused(tmp_path, llama):
    with pytest.raises(wb.WorkbenchError, match="as sae-lens writes them"):
        wb.sae_directions(tmp_path, [0], llama)
    save_file({"W_enc": torch.zeros(2, 2)}, tmp_path / "sae_weights.safetensors")
    with pytest.raises(wb.WorkbenchError, match="holds W_enc; expected W_dec"):
        wb.sae_directions(tmp_path, [0], llama)
    save_file({"W_dec": torch.ones(2, 5)}, tmp_path / "sae_weights.safetensors")
    (tmp_path / "cfg.json").write_text("{}")
    with pytest.raises(wb.WorkbenchError, match="has width 32"):
        wb.sae_directions(tmp_path, [0], llama)
    save_file({"W_dec": torch.ones(2, 32)}, tmp_path / "sae_weights.safetensors")
    with pytest.raises(wb.WorkbenchError, match="names no hook"):
        wb.sae_directions(tmp_path, [0], llama)


def test_top_tokens_are_those_with_the_largest_projection(tmp_path, llama):
    d = direction(llama, wb.resid_post(1))
    path = tmp_path / "texts.txt"
    path.write_text("\n".join([*PROMPTS, ""]))
    top = wb.top_tokens(llama, path, d, k=4, around=1, batch_size=2)
    unit, every = d.vector / d.norm, []
    for number, line in enumerate(PROMPTS):
        ids = [1, *llama.tokenizer.encode(line, add_special_tokens=False)]
        with torch.no_grad():
            h = llama.hf(torch.tensor([ids]), output_hidden_states=True).hidden_states[2][0] @ unit
        every += [(float(v), number, p, llama.tokenizer.decode(ids[p])) for p, v in enumerate(h.tolist()) if p]
    best = sorted(every, reverse=True)[:4]
    assert top["value"].tolist() == pytest.approx([b[0] for b in best], abs=1e-5)
    assert list(zip(top["text"], top["position"], top["token"], strict=True)) == [b[1:] for b in best]
    assert all(token in span for token, span in zip(top["token"], top["span"], strict=True))
    with pytest.raises(wb.WorkbenchError, match="expected a text file"):
        wb.top_tokens(llama, tmp_path / "none.txt", d)
    with pytest.raises(wb.WorkbenchError, match="no text of two tokens"):
        wb.top_tokens(llama, ["", " "], d)
