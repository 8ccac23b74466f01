"""Multiple choice: the questions keep their promises, and the score is what reading each answer by itself gives."""

import json
from collections import Counter

import numpy as np
import pytest

import workbench as wb
from workbench._files import data_folder
from workbench.generation.teacher_forcing import continuation_surprise, log_probabilities

SONG = wb.Prompt("write a song", "song", choices=["the red bird", "tea", "a long river"], answer="tea")
CAKE = wb.Prompt("bake the cake", "cake", choices=["the tea", "birds", "fire"], answer="fire")


def random_direction(model, layer, seed):
    vector = np.random.default_rng(seed).normal(size=model.d_model)
    return wb.Direction(vector, wb.resid_post(layer), model.name, model.revision)


@pytest.fixture(scope="module")
def questions():
    return wb.questions()


def test_forty_questions_in_each_of_six_subjects_each_asked_once(questions):
    assert set(Counter(question.category for question in questions).values()) == {40}
    assert len(questions.values("category")) == 6
    assert len({question.id for question in questions}) == len({q.text.casefold() for q in questions}) == 240
    assert len(questions.take(60)) == 60
    assert set(Counter(question.category for question in questions.take(60)).values()) == {10}


def test_four_different_choices_of_which_one_is_right(questions):
    for question in questions:
        assert len({one.strip().casefold() for one in question.choices}) == 4, question.text
        assert question.choices.count(question.answer) == 1, question.text
        assert all(one == one.strip() for one in question.choices)


def test_each_place_is_the_right_one_equally_often_within_each_subject(questions):
    places = Counter((question.category, question.choices.index(question.answer)) for question in questions)
    assert len(places) == 24
    assert set(places.values()) == {10}


def test_the_files_hold_what_a_prompt_may_carry_and_nothing_else():
    for path in sorted((data_folder() / "prompts" / "questions").glob("*.jsonl")):
        for line in path.read_text().splitlines():
            assert set(json.loads(line)) == {"id", "category", "text", "choices", "answer"}


@pytest.mark.parametrize("on", ["prompt", "prompt[-1] | response", "response[1:]", "all"])
def test_answers_read_together_are_read_as_each_by_itself(tiny64, on):
    """The prompt is read once for all of its answers; plain teacher forcing reads it with each."""
    steers = [wb.add(random_direction(tiny64, 1, seed), coef=2.0, on=on) for seed in range(2)]
    chats = tiny64.encode([SONG.text, CAKE.text])
    answers = [[tiny64.tokenizer.encode(one, add_special_tokens=False) for one in p.choices] for p in (SONG, CAKE)]
    together = continuation_surprise(tiny64, chats, steers, answers, batch_size=2)
    for row, own in enumerate(answers):
        alone = chats.take([row] * len(own)).followed_by(own)
        logs = log_probabilities(tiny64, alone, [steers[row]] * len(own))
        for i, ids in enumerate(own):
            expected = [-float(logs[i, at, token]) for at, token in enumerate(ids)]
            np.testing.assert_allclose(together[row][i], expected, atol=1e-9)


def test_the_score_is_the_log_odds_of_the_right_answer(llama):
    (value,) = wb.multiple_choice.values(llama, [SONG], [""], [wb.Steer()])
    ids = [llama.tokenizer.encode(one, add_special_tokens=False) for one in SONG.choices]
    (nats,) = continuation_surprise(llama, llama.encode([SONG]), [wb.Steer()], [ids])
    likely = np.exp([-one.sum() for one in nats])
    assert value == pytest.approx(float(np.log(likely[1] / (likely[0] + likely[2]))), abs=1e-6)


def test_steering_the_prompt_alone_moves_it_and_a_dose_of_nothing_does_not(llama):
    d = random_direction(llama, 1, 0)
    steers = [wb.Steer(), wb.add(d, coef=0, on=wb.PROMPT), wb.add(d, coef=3, on=wb.PROMPT)]
    plain, nothing, moved = wb.multiple_choice.values(llama, [SONG] * 3, [""] * 3, steers)
    assert plain == nothing != moved


def test_a_sweep_writes_nothing_and_is_read_back(llama, tmp_path):
    arms = wb.grid(random_direction(llama, 1, 0), coefs=[0, 2], on=wb.PROMPT[-1] | wb.RESPONSE)
    rows = wb.sweep(llama, [SONG, CAKE], arms, [wb.multiple_choice], tmp_path)
    assert set(rows["finish"]) == {"not written"}
    assert rows["tokens"].sum() == 0
    assert wb.store.open(tmp_path).keys() == set()
    assert rows["value"].map(np.isfinite).all()
    assert len(set(rows["value"])) == 4
    assert wb.sweep(llama, [SONG, CAKE], arms, [wb.multiple_choice], tmp_path).equals(rows)


def test_one_text_with_other_choices_is_another_question(llama, tmp_path):
    other = wb.Prompt(SONG.text, "other", choices=SONG.choices, answer="a long river")
    rows = wb.sweep(llama, [SONG, other], [wb.BASELINE], [wb.multiple_choice], tmp_path)
    assert rows["value"].nunique() == 2
    both = wb.multiple_choice.values(llama, [SONG, other], ["", ""], [wb.Steer()] * 2)
    assert rows["value"].tolist() == pytest.approx(both, abs=1e-5)


def test_beside_a_score_of_responses_the_responses_are_written(llama, tmp_path):
    rows = wb.sweep(llama, [SONG], [wb.BASELINE], [wb.refusal, wb.multiple_choice], tmp_path, max_new_tokens=2)
    assert set(rows["score"]) == {"refusal", "multiple_choice"}
    assert (rows["tokens"] > 0).all()
    assert len(wb.store.open(tmp_path).keys()) == 1


def test_prompts_without_choices_are_refused_before_anything_is_written(llama, tmp_path):
    sets = {"harmful": wb.Prompts("harmful", (wb.Prompt("write a song", "bare"),))}
    with pytest.raises(wb.WorkbenchError, match="prompt 'bare' has no choices"):
        wb.sweep(llama, sets, [wb.BASELINE], [wb.refusal, wb.multiple_choice], tmp_path)
    assert wb.store.open(tmp_path).keys() == set()


@pytest.mark.parametrize(
    ("choices", "answer"),
    [("tea", "tea"), (["tea"], "tea"), (["tea", "Tea "], "tea"), (["tea", "cake"], "fire"), (["tea", 3], "tea")],
)
def test_choices_that_decide_nothing_are_refused(choices, answer):
    with pytest.raises(wb.WorkbenchError, match=r"choices.* expected"):
        wb.Prompt("What is it?", "odd", choices=choices, answer=answer)


@pytest.mark.model
def test_a_small_model_beats_chance_and_a_strong_push_takes_that_away(smollm2_refusal, tmp_path):
    easy = wb.questions().where(category=["geography", "history", "science"]).take(24)
    d = random_direction(smollm2_refusal, 10, 0)
    arms = wb.grid(d, coefs=[0, 400 / d.norm], on="all")
    rows = wb.sweep(smollm2_refusal, easy, arms, [wb.multiple_choice], tmp_path)
    right = rows.groupby("kind")["value"].apply(lambda odds: int((odds > 0).sum()))
    assert wb.statistics.rate(right["baseline"], 24).low > 0.25
    assert right["direction"] < right["baseline"]
