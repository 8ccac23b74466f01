"""Scores for which a model reads the response again, held to a language whose probabilities are known exactly."""

from itertools import pairwise

import numpy as np
import pytest
import torch

import workbench as wb
from tests.families import PROMPTS
from tests.generation.test_steer_hooks import direction
from tests.planted import bigram, bigram_model
from workbench.scoring.coherence import fluency, surface
from workbench.scoring.collapse import collapse_reason, repetition
from workbench.scoring.distances import kl, kl_per_token, surprise_per_token
from workbench.scoring.logs import LOG001_PHRASES
from workbench.scoring.margins import margin

IN_GRAMMAR = "the cat in the river . a dog in a cat . the bird in the dog . a river in the cat ."
#: the same words in sentences of the same look; no word may follow the one before it
NONSENSE = "cat the in bird a . dog the in river a . bird a . cat the . river the in dog"


@pytest.fixture(scope="module")
def planted():
    return bigram_model()


def surprises(text, model):
    """Minus the planted log-probability of each word."""
    vocabulary = model.tokenizer.get_vocab()
    words = ["assistant", *text.split()]
    return [-float(bigram(before, vocabulary)[vocabulary[word]].log()) for before, word in pairwise(words)]


def test_cross_entropy_is_the_planted_one_alone_and_in_a_batch(planted):
    texts = [IN_GRAMMAR, "the cat", NONSENSE]
    found = wb.cross_entropy(planted, [("hello", text) for text in texts], batch_size=2)
    np.testing.assert_allclose(found, [np.mean(surprises(text, planted)) for text in texts], atol=1e-4)
    alone = [wb.cross_entropy(planted, [("hello you are a dog", text)])[0] for text in texts]
    np.testing.assert_allclose(found, alone, atol=1e-5)


def test_a_prompt_that_many_responses_follow_is_read_once_and_changes_nothing(tiny64, monkeypatch):
    """Against each response read by itself, prompts of several lengths between them; and a single token, which needs no second pass."""
    said = ["the red bird", "a", "in the river a cat in winter the dog", "red", "winter winter"]
    chats = [(prompt, text) for prompt in PROMPTS for text in said]
    found = surprise_per_token(tiny64, chats, batch_size=32)
    alone = [surprise_per_token(tiny64, [chat])[0] for chat in chats]
    for row, one in zip(found, alone, strict=True):
        np.testing.assert_allclose(row[: len(one)], one, atol=1e-9)
        assert np.isnan(row[len(one) :]).all()
    read = []
    forward = tiny64.hf.forward
    monkeypatch.setattr(tiny64.hf, "forward", lambda *a, **k: read.append(k["input_ids"].shape) or forward(*a, **k))
    surprise_per_token(tiny64, chats, batch_size=len(chats))
    assert [rows for rows, _ in read] == [len(PROMPTS), len(chats)]
    short = [(PROMPTS[0], text) for text in ("a", "the", "red")]
    one_token = surprise_per_token(tiny64, short, batch_size=3)
    if one_token.shape[1] == 1:
        assert [rows for rows, _ in read[2:]] == [1]


def test_cross_entropy_reads_answers_of_prompts_and_rises_under_a_large_dose(llama):
    answered = [wb.Prompt("hello", "a", answer="the red bird"), wb.Prompt("hello", "b", answer="a cat in winter")]
    plain = wb.cross_entropy(llama, answered)
    np.testing.assert_allclose(plain, wb.cross_entropy(llama, [(p.text, p.answer) for p in answered]), atol=1e-6)
    none = wb.cross_entropy(llama, answered, wb.add(direction(llama, wb.resid_post(1)), 0.0))
    np.testing.assert_array_equal(none, plain)
    assert (wb.cross_entropy(llama, answered, wb.add(direction(llama, wb.resid_post(1)), 0.9)) != plain).all()
    with pytest.raises(wb.WorkbenchError, match="brings no answer"):
        wb.cross_entropy(llama, ["hello"])
    with pytest.raises(wb.WorkbenchError, match="2 Steers for 1 texts"):
        wb.cross_entropy(llama, [("hello", "cat")], [wb.Steer()] * 2)


@pytest.mark.parametrize("height", [-30.0, 0.0, 5.0, 30.0])
def test_the_margin_is_that_of_the_score_however_sure_the_model_is(height):
    logits = torch.randn(3, 50, generator=torch.Generator().manual_seed(0), dtype=torch.float64)
    logits[:, [4, 7]] += height
    p = logits.softmax(-1)
    expected = p[:, [4, 7]].sum(-1).log() - p[:, [i for i in range(50) if i not in (4, 7)]].sum(-1).log()
    torch.testing.assert_close(margin(torch.tensor([4, 7]), logits), expected, rtol=1e-9, atol=1e-9)


def test_divergence_is_that_of_the_bridge_token_by_token(llama):
    """Against full, unpadded passes of the hooked bridge, one chat at a time."""
    d = direction(llama, wb.resid_post(1))
    steer = wb.add(d, 2.0, on=wb.PROMPT[-1] | wb.RESPONSE)
    done = wb.generate(llama, PROMPTS, steer, max_new_tokens=7)
    found = kl_per_token(llama, done, batch_size=4)
    for row, (ids, reply) in enumerate(zip(done.prompt_token_ids, done.token_ids, strict=True)):
        tokens = torch.tensor([[*ids, *reply]])
        with torch.no_grad(), wb.steered(llama, steer, len(ids)) as bridge:
            steered = bridge(tokens)[0].double().log_softmax(-1)
        with torch.no_grad():
            plain = llama.bridge(tokens)[0].double().log_softmax(-1)
        span = slice(len(ids) - 1, len(ids) + len(reply) - 1)
        expected = (steered.exp() * (steered - plain)).sum(-1)[span]
        np.testing.assert_allclose(found[row, : len(reply)], expected, atol=1e-4)
        assert np.isnan(found[row, len(reply) :]).all()
        assert (expected > 1e-3).any()


def test_divergence_is_zero_without_steering_and_grows_with_the_dose(llama):
    d = direction(llama, wb.resid_post(1))
    pairs = [("hello", "the red bird in winter"), ("list red birds", "cat")]
    none, small, large = (np.nanmean(kl_per_token(llama, pairs, wb.add(d, coef))) for coef in (0.0, 0.5, 2.0))
    assert none == 0
    assert 0 < small < large
    with pytest.raises(wb.WorkbenchError, match="only Completions know how they were steered"):
        kl_per_token(llama, pairs)


def test_fluent_nonsense_is_what_only_the_model_sees(planted):
    assert min(surprises(NONSENSE, planted)) > 5
    assert collapse_reason(NONSENSE) == "" == collapse_reason(IN_GRAMMAR)
    assert wb.coherence(NONSENSE) > 0.5  # from the text alone
    nonsense, fine, terse, odd, loop, nothing = wb.coherence.values(
        planted, ["hello"] * 6, [NONSENSE, IN_GRAMMAR, "the cat", "poison", "the cat " * 20, ""], [wb.Steer()] * 6
    )
    assert nonsense < 0.5 < fine
    assert terse > 0.9
    assert odd > 0.5  # one word that surprises is no breakdown
    assert loop == nothing == 0  # though it surprises nobody
    assert fine > 0.9


def test_coherence_reads_unsteered_whatever_wrote_the_text(planted):
    d = direction(planted, wb.resid_post(0))
    args = planted, ["hello"] * 2, [IN_GRAMMAR, NONSENSE]
    assert wb.coherence.values(*args, [wb.add(d, 0.9)] * 2) == wb.coherence.values(*args, [wb.Steer()] * 2)


@pytest.mark.parametrize("text", ["42", "Paris.", "Yes", "4", "H2O", "Blue, red and green.", "x = 3"])
def test_terse_correct_answers_are_coherent(text):
    assert surface(text) == 1
    assert fluency(np.array([9.0, 1.0])) > 0.5


def test_fluency_falls_with_surprise_and_needs_length_to_condemn():
    values = [fluency(np.full(40, s)) for s in (0.5, 2, 4, 5, 6, 9)]
    assert values == sorted(values, reverse=True)
    assert [fluency(np.full(n, 9.0)) > 0.5 for n in (1, 2, 40)] == [True, True, False]


def test_repetition_is_the_share_of_repeated_4_grams():
    assert repetition(" ".join(map(str, range(100, 140)))) == 0
    assert repetition("one two three four " * 10) == pytest.approx(1 - 4 / 37)
    assert repetition("one two one two") == 0  # too short to tell


def test_projection_is_the_traced_mean_of_the_response(llama):
    d = direction(llama, wb.resid_post(1))
    pairs = [("hello", "the red bird"), ("list red birds", "cat cat dog")]
    score = wb.projection(d)
    values = score.values(llama, [p for p, _ in pairs], [t for _, t in pairs], [wb.add(d, 3.0)] * 2)
    trace = wb.trace(llama, pairs, d)
    assert values == pytest.approx(trace.mean("response")[:, 0].tolist())
    assert values[0] != pytest.approx(values[1])
    assert wb.projection(d, wb.resid_post(2)).name != score.name


def test_scores_that_need_a_model_say_so():
    with pytest.raises(wb.WorkbenchError, match="kl cannot be told from the text alone"):
        kl("hello")


def test_equal_rows_are_scored_once_and_order_is_kept(llama):
    seen = []

    def read(model, prompts, texts, steers):
        seen.extend(zip(prompts, texts, strict=True))
        return [float(len(text)) for text in texts]

    score = wb.Score("length", 1, None, read)
    values = score.values(llama, ["a", "b", "a", "a"], ["x", "xx", "x", "xxx"], [wb.Steer()] * 4)
    assert values == [1, 2, 1, 3]
    assert seen == [("a", "x"), ("b", "xx"), ("a", "xxx")]
    with pytest.raises(wb.WorkbenchError, match="1 prompts, 2 texts and 0 Steers"):
        score.values(llama, ["a"], ["x", "y"], [])


def test_a_sweep_scores_by_text_and_by_model(llama, tmp_path):
    d = direction(llama, wb.resid_post(1))
    scores = [wb.refusal, wb.coherence, kl, wb.log001_keyword_refusal]
    arms = wb.grid(wb.Directions((d,)), ratios=[0, 0.8])
    rows = wb.sweep(llama, PROMPTS, arms, scores, tmp_path, max_new_tokens=5, show_text=True)
    by_score = dict(iter(rows.groupby("score")))
    assert len(rows) == 4 * 2 * len(PROMPTS)
    divergence = by_score["kl"].set_index("arm")["value"].astype(float)
    assert (divergence["baseline"] == 0).all()
    assert (divergence[arms[1].name] > 0).all()
    assert by_score["coherence"]["value"].between(0, 1).all()
    assert set(by_score["refusal"]["value"]) <= {"refusal", "compliance", "off topic", "collapse"}


def test_the_phrases_of_log_001_are_all_there():
    assert len(set(LOG001_PHRASES)) == len(LOG001_PHRASES) == 31


#: Prose, word salad and fluent nonsense for a real model
SALAD = [
    "window harbor violet ladder seventeen carpet marble tunnel biscuit orchard, granite pepper saddle lantern velvet.",
    "Cabinet often river, seven the bright of under walking sand. Maybe copper into the from apples was singing.",
    "The of green by walked table to seven, with an under it purple and slowly a the which. Of chair not of the and.",
    "He window the sad. Running of purple, and the is seven under. An eat door with from to and it was of cold chair.",
]
PROSE = [
    "Bread needs flour, water, salt and yeast. Knead the dough for ten minutes and let it rest for an hour.",
    "The river is calm in winter. Ice forms along the banks and the water turns dark and slow.",
    "I'm sorry, but I can't help with that.",
    "Paris.",
    "42",
    "Here are three red birds: the cardinal, the scarlet tanager and the summer tanager.",
]


@pytest.mark.model
@pytest.mark.parametrize("name", ["smollm2_refusal", "gemma3_refusal"])
def test_the_limit_tells_word_salad_from_prose_on_the_reference_models(name, request):
    model = request.getfixturevalue(name)
    for prompt in ("How do I bake bread?", "Describe a river in winter."):
        prose, salad = (
            wb.coherence.values(model, [prompt] * len(texts), texts, [wb.Steer()] * len(texts))
            for texts in (PROSE, SALAD)
        )
        assert min(prose) >= 0.5, dict(zip(PROSE, prose, strict=True))
        assert max(salad) < 0.7, dict(zip(SALAD, salad, strict=True))
        missed = sum(value >= 0.5 for value in salad)
        assert missed <= {"smollm2_refusal": 2, "gemma3_refusal": 1}[name], dict(
            zip(SALAD, salad, strict=True)
        )  # see LIMIT
