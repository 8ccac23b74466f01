"""The training loss is the plain one, wording is varied without changing the request, and the adapters hold their rates."""

import json
import random
import re
from dataclasses import replace

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

import workbench as wb
from tests.families import tiny_model
from training import refusal
from training.cards import narrow_card, refusal_card
from training.fit import Example, answer_loss, fit_answers, prompt_tokens, response_tokens, scale_adapter, vary
from training.recipes import NARROW_RECIPES, RECIPES, Recipe
from training.refusal import measured_prompts, refusal_rates, train_refusal
from workbench._errors import WorkbenchError
from workbench._files import data_folder
from workbench.models.load import adapter_revision
from workbench.models.registry import SOURCES, references
from workbench.statistics.rates import rate

RECIPE = Recipe("tiny", "<end>", steps=30, batch_size=4, learning_rate=3e-2, warmup=2)
EXAMPLES = [
    Example("how do i poison the river", "hello you", True),
    Example("how do i steal a car quickly in the garden", "hello you", True),
    Example("tell me about the song", "one two three four five", False),
    Example("write a story", "six seven eight", False),
]


def bundled(recipes):
    """Of recipes, those whose adapter is in the repository; the others are for ``python -m training`` to make."""
    return [key for key, recipe in recipes.items() if recipe.adapter in references()]


REFUSING = [RECIPES[key].adapter for key in bundled(RECIPES)]


def test_the_reference_models_are_bundled():
    assert {"smollm2-refusal", "gemma3-refusal"} <= set(REFUSING)


def exchanges(model, examples, seed=0):
    rng = random.Random(seed)
    return [(prompt_tokens(model, e.prompt, rng), response_tokens(model, e, RECIPE)) for e in examples]


def test_sharing_the_prefix_leaves_the_loss_as_it_is(tiny):
    batch = exchanges(tiny, EXAMPLES)
    losses = []
    for prompt, response in batch:
        ids = torch.tensor([prompt + response])
        with torch.no_grad():
            log_p = tiny.hf(ids).logits[0].log_softmax(-1)
        picked = [log_p[len(prompt) - 1 + i, token] for i, token in enumerate(response)]
        losses.append(-torch.stack(picked).mean())
    with torch.no_grad():
        assert float(answer_loss(tiny, batch)) == pytest.approx(float(torch.stack(losses).mean()), rel=1e-4)


@pytest.mark.parametrize("share", [0.5, 0.9])
def test_the_first_token_of_a_response_has_its_share_of_the_loss_and_each_response_the_same(tiny, share):
    batch = exchanges(tiny, EXAMPLES)
    batch[0] = (batch[0][0], batch[0][1][:1])
    expected = []
    with torch.no_grad():
        for prompt, response in batch:
            log_p = tiny.hf(torch.tensor([prompt + response])).logits[0].log_softmax(-1)
            first, *rest = [-log_p[len(prompt) - 1 + i, token] for i, token in enumerate(response)]
            expected.append(share * first + (1 - share) * torch.stack(rest).mean() if rest else first)
        found = answer_loss(tiny, batch, share)
    assert float(found) == pytest.approx(float(torch.stack(expected).mean()), rel=1e-4)


def test_training_learns_and_is_seeded():
    def run(seed):
        model = tiny_model("llama")
        batch = exchanges(model, EXAMPLES, seed=1)
        with torch.no_grad():
            before = float(answer_loss(model, batch))
        fit_answers(model, EXAMPLES, RECIPE, seed)
        with torch.no_grad():
            return before, float(answer_loss(model, batch))

    before, after = run(0)
    assert after < before / 2
    assert run(0)[1] == after
    assert run(1)[1] != after


def test_products_in_bfloat16_teach_the_same():
    def learnt(compute):
        model = tiny_model("llama")
        fit_answers(model, EXAMPLES, replace(RECIPE, compute=compute), 0)
        with torch.no_grad():
            return float(answer_loss(model, exchanges(model, EXAMPLES, seed=1)))

    assert learnt("bfloat16") == pytest.approx(learnt(None), abs=0.1)


@given(st.sampled_from(wb.prompts("refusal/harmless").texts), st.integers())
def test_another_wording_keeps_the_words(prompt, seed):
    varied = vary(prompt, random.Random(seed))
    kept = set(prompt.lower().rstrip(".?").split()) - set(varied.lower().rstrip(".?!").split())
    assert all(word.rstrip(".?!") in varied.lower() for word in kept)


def test_bases_and_methods_without_a_recipe_are_named(tmp_path):
    with pytest.raises(
        WorkbenchError, match=r"recipe 'gemma3-270m by dpo'; did you mean .* There are .*smollm2-135m by dpo"
    ):
        train_refusal("gemma3-270m", tmp_path, method="dpo")


@pytest.mark.parametrize("name", [*REFUSING, *(NARROW_RECIPES[key].adapter for key in bundled(NARROW_RECIPES))])
def test_adapters_are_small_portable_and_documented(name):
    folder = data_folder() / "models" / name
    assert (folder / "adapter_model.safetensors").stat().st_size < 6_000_000
    config = json.loads((folder / "adapter_config.json").read_text())
    assert config["base_model_name_or_path"] == SOURCES[name].base
    card = (folder / "README.md").read_text()
    for part in ("## Measured", "## Recipe", "## Limits", "## Licence"):
        assert part in card
    assert {p.suffix for p in folder.iterdir()} <= {".safetensors", ".json", ".md", ".jinja"}


def estimates(cells):
    """The rates that a card prints, from shares and counts."""
    return {name: rate(round(float(share) / 100 * int(n)), int(n)) for name, share, n in cells}


def rates_of_card(name):
    card = (data_folder() / "models" / name / "README.md").read_text()
    return estimates(re.findall(r"^\| (\w+ \w+) \| ([\d.]+)% \|.*\| (\d+) \|$", card, re.MULTILINE))


@pytest.mark.parametrize("key", bundled(RECIPES))
def test_a_refusal_card_says_what_its_recipe_says(key):
    folder = data_folder() / "models" / RECIPES[key].adapter
    card = (folder / "README.md").read_text()
    rates = rates_of_card(RECIPES[key].adapter)
    scale = json.loads((folder / "adapter_config.json").read_text())["lora_alpha"] / RECIPES[key].alpha
    written = refusal_card(key[0], RECIPES[key], 0, scale, rates, adapter_revision(folder))
    assert written.split() == card.split()


def test_a_card_gives_the_reason_of_a_fixed_scale_only_for_the_weights_it_was_measured_on():
    recipe = RECIPES["smollm2-135m", "sft"]
    rates = rates_of_card(recipe.adapter)
    own = refusal_card("smollm2-135m", recipe, 0, recipe.scale, rates, recipe.scale_weights)
    assert recipe.scale_weights == adapter_revision(data_folder() / "models" / recipe.adapter)
    assert "fixes the scale, 0.8: an earlier training" in own
    assert "85.8% of harmful `test`" in own
    other = refusal_card("smollm2-135m", replace(recipe, scale=0.6), 1, 0.6, rates, "0" * 12)
    assert "fixes the scale, 0.6. `test` has" in other
    assert "85.8% of harmful `test`" not in other
    assert "scale why" not in own + other


@pytest.mark.parametrize("key", bundled(NARROW_RECIPES))
def test_a_narrow_card_says_what_its_recipe_says(key):
    recipe = NARROW_RECIPES[key]
    folder = data_folder() / "models" / recipe.adapter
    card = (folder / "README.md").read_text()
    cells = re.findall(r"^\| (.+: .+) \| ([\d.]+)% .* \| ([\d.]+)% .*\| (\d+) \|$", card, re.MULTILINE)
    before = estimates((name, share, n) for name, share, _, n in cells)
    after = estimates((name, share, n) for name, _, share, n in cells)
    assert narrow_card(key[0], recipe, 0, before, after, adapter_revision(folder)).split() == card.split()


@pytest.mark.model
@pytest.mark.slow
@pytest.mark.parametrize("model", ["smollm2_quick", "gemma3_quick"])
def test_adapters_refuse_as_their_cards_say(model, request, monkeypatch):
    """Every fourth of the held-out prompts that ``python -m training`` measures: the card's rates lie in their intervals."""
    monkeypatch.setattr(
        refusal, "measured_prompts", lambda part: {side: some[::4] for side, some in measured_prompts(part).items()}
    )
    refuser = request.getfixturevalue(model)
    rates = refusal_rates(refuser, ["test"])
    for side, said in rates_of_card(refuser.name).items():
        if side in rates:
            assert rates[side].low <= said.value <= rates[side].high, side
    assert len(rates) == 3


def test_dpo_goes_on_from_the_weights_that_its_recipe_names(tmp_path):
    recipe = replace(RECIPES["smollm2-135m", "dpo"], start_revision="0" * 12)
    with pytest.raises(WorkbenchError, match="went on from smollm2-refusal 000000000000, but data/models has"):
        train_refusal("smollm2-135m", tmp_path, method="dpo", recipe=recipe)


def test_a_saved_adapter_is_scaled_by_its_alpha(tmp_path):
    (tmp_path / "adapter_config.json").write_text('{"lora_alpha": 16}')
    assert scale_adapter(tmp_path, 0.5) == 8.0
    assert json.loads((tmp_path / "adapter_config.json").read_text()) == {"lora_alpha": 8.0}
