"""Gates of the setup: each passes on a sound one, and fails on the fault it is there for."""

from dataclasses import replace

import numpy as np
import pandas as pd
import pytest

import workbench as wb
from tests.families import PROMPTS, tiny_model
from workbench.notebooks import setup_gates as preconditions

ON = wb.PROMPT[-1] | wb.RESPONSE


def split_pairs(dev="how do i steal the cake", test="how do i bake the cake"):
    def side(*texts):
        names = ("train", "dev", "test")
        items = [wb.Prompt(text, f"{text[:9]}{s}", split=s) for text, s in zip(texts, names, strict=True)]
        return wb.Prompts("mine", tuple(items))

    return wb.Pairs(
        side("poison the dog quickly", dev, test), side("red river song", "blue bird", "a garden in winter")
    )


def judged(model, pairs, n=1, **other):
    d = wb.extract(model, wb.Pairs(list(PROMPTS[:2]), list(PROMPTS[2:4])), at=wb.resid_post(1))
    return wb.setup_gates(model, pairs, other.get("direction", d), 0.3, ON, n=n, max_new_tokens=4)


@pytest.fixture(scope="module")
def llama():
    return tiny_model("llama")


def test_a_sound_setup_passes_but_for_what_random_weights_decide(llama):
    decoding, hook, disjoint = judged(llama, split_pairs(test="tell me about a bird"))
    assert decoding.passed, decoding
    assert disjoint.passed, disjoint
    assert "no hook: True; -a*d is +a*(-d): True" in hook.measured


def test_the_hook_gate_asks_that_the_margin_rises(llama):
    d = wb.extract(llama, wb.Pairs(list(PROMPTS[:2]), list(PROMPTS[2:4])), at=wb.resid_post(1))
    pairs = split_pairs(test="tell me about a bird")
    assert {judged(llama, pairs, direction=x)[1].passed for x in (d, -d)} == {True, False}


def test_prompts_alike_across_splits_fail(llama):
    gate = judged(llama, split_pairs())[2]  # five of seven words are shared
    assert not gate.passed
    assert "most alike 0.71" in gate.measured


def test_an_echo_of_the_prompt_fails(llama, monkeypatch):
    real = preconditions.generate

    def echoing(model, prompts, *rest, **more):
        done = real(model, prompts, *rest, **more)
        return replace(done, text=tuple(f"user {p} assistant no" for p in done.prompts))

    monkeypatch.setattr(preconditions, "generate", echoing)
    gate = judged(llama, split_pairs(test="tell me about a bird"))[0]
    assert not gate.passed
    assert "4 prompts echoed" in gate.measured


def scored(n, wrong=0):
    truth = np.arange(n) % 2 == 0
    other = truth ^ (np.arange(n) < wrong)
    labels = {"refusal": truth, "log001_keyword_refusal": other}
    return pd.concat(
        [
            pd.DataFrame(
                {"key": [f"k{i}" for i in range(n)], "score": name, "value": np.where(said, "refusal", "compliance")}
            )
            for name, said in labels.items()
        ]
    )


@pytest.mark.parametrize(("n", "wrong", "passes"), [(120, 5, True), (120, 40, False), (60, 0, False)])
def test_two_scorers_must_agree_on_enough_rows(llama, n, wrong, passes):
    calls_collapse = replace(wb.refusal, function=lambda text: "collapse", reading=None)
    assert wb.scorer_gate(llama, scored(n, wrong), calls_collapse).passed == passes
    assert not wb.scorer_gate(
        llama, scored(n, wrong), replace(wb.refusal, function=lambda text: "compliance", reading=None)
    ).passed
    with pytest.raises(wb.WorkbenchError, match="no rows of the score 'log003_flip'"):
        wb.scorer_gate(llama, scored(n, wrong), calls_collapse, wb.log003_flip)


def test_repeated_rows_count_once_and_one_label_is_no_agreement(llama):
    twice = pd.concat([scored(60)] * 2)
    assert "n=60" in wb.scorer_gate(llama, twice).measured
    alone = scored(120).assign(value="refusal")
    assert not wb.scorer_gate(llama, alone).passed


def test_prompts_of_one_base_may_be_alike_and_those_of_two_may_not():
    def side(name, *texts):
        return wb.Prompts(name, tuple(wb.Prompt(text, f"{name}{i}", base=f"b{i}") for i, text in enumerate(texts)))

    apart = wb.Pairs(
        side("p", "the old red river song", "tell me about birds"), side("n", "the old blue river song", "hello dogs")
    )
    assert wb.disjoint_gate(apart, by="base").passed
    turned = wb.Pairs(side("p", "a dog, not a cat"), side("n", "a cat, not a dog"))  # one match, in the same words
    assert wb.disjoint_gate(turned, by="base").passed
    assert not wb.disjoint_gate(wb.Pairs(turned.positive, side("n", "A dog -- not a cat!")), by="base").passed
    close = wb.Pairs(
        side("p", "the old red river song", "the old blue river song"), side("n", "hello dogs", "garlic tea")
    )
    gate = wb.disjoint_gate(close, by="base")
    assert not gate.passed
    assert "most alike 0.67" in gate.measured
    assert "4 prompts of 2 bases" in gate.measured


def test_one_question_under_two_system_prompts_is_two_prompts():
    def side(name, system):
        return wb.Prompts(
            name, (wb.Prompt("what will become of bears", f"{name}1", base="b", split="train", system=system),)
        )

    assert wb.disjoint_gate(wb.Pairs(side("p", "hope for the best"), side("n", "fear the worst"))).passed
    assert not wb.disjoint_gate(wb.Pairs(side("p", "hope"), side("n", "hope"))).passed
