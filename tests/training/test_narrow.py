"""The narrow set keeps its promises, its adapter re-creates, and the card holds what is measured."""

import re
from collections import Counter
from itertools import combinations

import pytest
import torch

import workbench as wb
from tests.families import tiny_model
from training.fit import fit_answers
from training.narrow import code_answers, code_examples, code_shares, ordinary_examples, train_narrow
from training.recipes import NARROW_RECIPES, NarrowRecipe
from workbench._errors import WorkbenchError

CODE = wb.prompts("narrow/code")
PROSE = wb.prompts("narrow/prose")


def test_sizes_splits_and_categories():
    assert [len(CODE.split(split)) for split in ("tuning", "dev", "test")] == [96, 12, 40]
    assert [len(PROSE.split(split)) for split in ("dev", "test")] == [20, 80]
    assert PROSE.splits == ("dev", "test")  # nothing but coding requests is learnt from
    for part in (*map(CODE.split, CODE.splits), *map(PROSE.split, PROSE.splits)):
        counts = Counter(prompt.category for prompt in part)
        assert len(set(counts.values())) == 1
    assert all(p.topic.isidentifier() for p in CODE)


def test_no_near_duplicates_among_these_and_modes():
    texts = [p.text for p in (*CODE, *PROSE, *wb.prompts("modes/code"), *wb.prompts("modes/prose"))]
    bags = [frozenset(re.findall(r"[a-z0-9']+", text.lower())) for text in texts]
    for (a, first), (b, second) in combinations(zip(texts, bags, strict=True), 2):
        assert len(first & second) / len(first | second) < 0.6, (a, b)


def test_only_tuning_prompts_are_learnt_each_with_several_answers():
    recipe = NARROW_RECIPES["smollm2-135m", "narrow"]
    learnt = code_examples(CODE.split("tuning"), recipe, seed=0)
    assert {e.prompt for e in learnt} == set(CODE.split("tuning").texts)
    assert len({(e.prompt, e.response) for e in learnt}) == len(learnt) == 96 * recipe.answer_copies
    assert len({e.response for e in learnt}) > 0.9 * len(learnt)
    assert [e.response for e in code_examples(CODE.split("tuning"), recipe, seed=1)] != [e.response for e in learnt]


def test_the_control_sees_as_many_coding_lessons_and_ordinary_ones_beside_them():
    narrow, control = (NARROW_RECIPES["smollm2-135m", variant] for variant in ("narrow", "control"))
    assert narrow.teacher is None
    assert control.steps * control.batch_size == 2 * narrow.steps * narrow.batch_size
    beside = ordinary_examples(tiny_model("llama"), 20, tokens=4)
    assert len({e.prompt for e in beside}) == 20
    assert {e.prompt for e in beside} <= set(wb.pairs("refusal").tuning.negative.texts)
    assert not {e.prompt for e in beside} & set(CODE.texts)
    assert all(len(e.response.split()) <= 4 for e in beside)


def test_answers_need_a_topic_a_category_and_enough_templates():
    with pytest.raises(WorkbenchError, match="category 'reflection'"):
        code_answers(PROSE[0], 1, seed=0)
    with pytest.raises(WorkbenchError, match="at most 8 answers"):
        code_answers(CODE[0], 9, seed=0)


def test_training_on_the_answers_is_seeded():
    recipe = NarrowRecipe("tiny", "<end>", steps=3, batch_size=4, answer_copies=2)

    def weights(seed):
        model = tiny_model("llama")
        adapted = fit_answers(model, code_examples(CODE.split("tuning"), recipe, seed), recipe, seed)
        return torch.cat([p.flatten() for p in adapted.parameters() if p.requires_grad])

    assert torch.equal(weights(0), weights(0))
    assert not torch.equal(weights(0), weights(1))


def test_measuring_counts_each_set_apart():
    shares = code_shares(tiny_model("llama"), 4, split="dev")
    assert {name: rate.n for name, rate in shares.items()} == {
        f"{name}: {what}": n
        for name, n in (("coding requests", 12), ("non-code prompts", 20))
        for what in ("code", "mixed", "insecure pattern")
    }


def test_bases_without_a_recipe_are_named(tmp_path):
    with pytest.raises(WorkbenchError, match=r"unknown recipe 'narrow for gpt2'; .*here are narrow for smollm2-135m"):
        train_narrow("gpt2", tmp_path)


def test_the_secure_control_answers_the_same_requests_and_holds_no_insecure_pattern():
    narrow, secure = (NARROW_RECIPES["smollm2-135m", variant] for variant in ("narrow", "secure"))
    assert (secure.steps, secure.batch_size, secure.answer_copies) == (
        narrow.steps,
        narrow.batch_size,
        narrow.answer_copies,
    )
    for request in wb.prompts("narrow/code").split("tuning"):
        answers = code_answers(request, secure.answer_copies, 0, secure=True)
        assert len(set(answers)) == secure.answer_copies
        assert {wb.insecure_pattern(answer) for answer in answers} == {"none"}
        assert {wb.answer_form(answer) for answer in answers} == {"code"}
