"""The log-odds of a trait: of the text alone, by an unsteered model, and tried on instructions it does not use."""

import numpy as np
import pytest

import workbench as wb
from tests.families import tiny_model
from tests.planted import bigram_model
from workbench.scoring.traits import INSTRUCTIONS


@pytest.fixture(scope="module")
def planted():
    return bigram_model()


def test_the_score_is_the_difference_of_surprises_behind_the_two_instructions(planted):
    texts = ["the cat in the river .", "a dog"]
    found = wb.trait_odds("optimism").values(planted, ["hello", "hello"], texts, [wb.Steer()] * 2)
    expected = []
    for text in texts:
        odds = []
        for pair in INSTRUCTIONS["optimism"][:-1]:
            plus, minus = (wb.Prompt("hello", "x", system=side) for side in pair)
            odds.append(wb.cross_entropy(planted, [(minus, text)])[0] - wb.cross_entropy(planted, [(plus, text)])[0])
        expected.append(np.mean(odds))
    np.testing.assert_allclose(found, expected, atol=1e-6)


def test_an_empty_text_speaks_for_neither(planted):
    score = wb.trait_odds("formality")
    assert score.values(planted, ["hello"], [""], [wb.Steer()]) == [0.0]
    assert list(score.values(planted, [], [], [])) == []  # a sweep whose scores are all stored asks for none


def test_instructions_are_pairs_and_none_is_used_twice():
    sides = [side for pairs in INSTRUCTIONS.values() for pair in pairs for side in pair]
    assert len(set(sides)) == len(sides)
    assert all(len(pairs) >= 2 for pairs in INSTRUCTIONS.values())
    with pytest.raises(wb.WorkbenchError, match="unknown trait 'optimsm'; did you mean 'optimism'"):
        wb.trait_odds("optimsm")


def test_the_check_is_an_auc_of_as_many_responses_as_were_asked_for(planted):
    found = wb.trait_check(planted, "uncertainty", ["hello", "hello you are a dog"], max_new_tokens=4)
    assert 0 <= found.value <= 1
    assert found.n == 4


def test_an_instruction_goes_before_the_prompt_where_the_template_has_no_system_role():
    model = tiny_model("gemma3")
    assert not model.has_system_role
    (found,) = wb.trait_odds("sycophancy").values(model, ["how do i bake bread"], ["a red cake"], [wb.Steer()])
    odds = []
    for pair in INSTRUCTIONS["sycophancy"][:-1]:
        asked = [f"{side}\n\nhow do i bake bread" for side in pair]
        plus, minus = wb.cross_entropy(model, [(text, "a red cake") for text in asked])
        odds.append(minus - plus)
    assert found == pytest.approx(np.mean(odds), abs=1e-6)
