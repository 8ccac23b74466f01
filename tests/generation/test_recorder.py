"""Traces: the right numbers, the right tokens, the same while generating and when read again, on every family."""

import copy

import numpy as np
import pytest
import torch

import workbench as wb
from tests.families import PROMPTS, tiny_model
from tests.generation.test_steer_hooks import direction
from workbench.generation.recorder import token_labels
from workbench.models.load import from_modules
from workbench.steering.sites import HOOK_NAMES, Site


def by_hand(model, ids, site):
    """Activations at a site through the bridge, [pos, width]: a path the tracer does not take."""
    with torch.no_grad():
        _, cache = model.bridge.run_with_cache(torch.tensor([list(ids)]), names_filter=lambda name: name == str(site))
    return cache[str(site)][0].reshape(len(ids), -1).double()


@pytest.mark.parametrize("kind", HOOK_NAMES)
def test_projections_norms_and_cosines_are_those_of_the_bridge(tiny64, kind):
    site = Site(1, kind)
    d = direction(tiny64, site)
    found = wb.trace(tiny64, PROMPTS[:3], d)
    for row, ids in enumerate(found.token_ids):
        h = by_hand(tiny64, ids, site)
        expected = h @ (d.vector.double() / d.norm)
        n = len(ids)
        np.testing.assert_allclose(found.dot[row, 0, :n], expected, rtol=1e-4, atol=1e-5)
        np.testing.assert_allclose(found.norm[row, 0, :n], h.norm(dim=-1), rtol=1e-4)
        np.testing.assert_allclose(found.cosine[row, 0, :n], expected / h.norm(dim=-1), rtol=1e-4, atol=1e-5)
        assert np.isnan(found.dot[row, 0, n:]).all()


@pytest.mark.parametrize("on", ["all", "prompt[-1]", "response[1:3]"])
def test_reading_again_agrees_with_tracing_while_generating(tiny64, on):
    d = direction(tiny64, wb.resid_post(1))
    steer = wb.add(d, 0.6, on=on).when(direction(tiny64, wb.resid_post(0), 4), above=0.0)
    where = [wb.resid_post(1), wb.resid_post(2), wb.attn_out(2)]
    done, live = wb.trace_generation(tiny64, PROMPTS, d, where, steer, max_new_tokens=7, envelope=3)
    assert done.token_ids == wb.generate(tiny64, PROMPTS, steer, max_new_tokens=7).token_ids
    again = wb.trace(tiny64, done, d, where, envelope=3)
    for row, ids in enumerate(live.token_ids):
        n = len(ids)
        assert ids == again.token_ids[row][:n]
        assert n == len(again.token_ids[row]) - 1
        np.testing.assert_allclose(live.dot[row, :, :n], again.dot[row, :, :n], rtol=1e-4, atol=1e-4)
        np.testing.assert_allclose(live.norm[row, :, :n], again.norm[row, :, :n], rtol=1e-4)
        np.testing.assert_allclose(live.random[row, ..., :n], again.random[row, ..., :n], rtol=1e-4, atol=1e-4)
        assert (live.edited[row, :n] == again.edited[row, :n]).all()
    assert live.edited.any() or on == "prompt[-1]"  # of a few random directions, the gate may open at no last token


def test_edited_tokens_are_those_of_the_positions(tiny):
    d = direction(tiny, wb.resid_post(1))
    on = wb.PROMPT[-1] | wb.RESPONSE[1:3]
    done = wb.generate(tiny, PROMPTS, wb.add(d, 0.5, on=on), max_new_tokens=6)
    found = wb.trace(tiny, done, d)
    for row, ids in enumerate(found.token_ids):
        assert (found.edited[row, : len(ids)] == on.mask(found.prompt_lengths[row], len(ids))).all()
    assert not wb.trace(tiny, done, d, steer=wb.Steer()).edited.any()


def test_steering_shows_in_the_trace_as_coef_times_the_norm(tiny64):
    d = direction(tiny64, wb.resid_post(1))
    done = wb.generate(tiny64, PROMPTS, wb.add(d, 0.5, on=wb.RESPONSE), max_new_tokens=5)
    with_, without = wb.trace(tiny64, done, d), wb.trace(tiny64, done, d, steer=wb.Steer())
    gained = with_.dot - without.dot
    np.testing.assert_allclose(gained[with_.edited[:, None]], 0.5 * d.norm, rtol=1e-4)
    prompt = np.arange(gained.shape[-1]) < np.array(with_.prompt_lengths)[:, None]
    np.testing.assert_allclose(gained[:, 0][prompt], 0, atol=1e-5)


def test_a_batch_equals_its_rows_alone_and_text_equals_tokens(tiny64):
    d = direction(tiny64, wb.resid_post(2))
    pairs = [(prompt, "bread cake river" if i % 2 else "song") for i, prompt in enumerate(PROMPTS)]
    whole = wb.trace(tiny64, pairs, d, wb.resid_post.all)
    for row, pair in enumerate(pairs):
        alone = wb.trace(tiny64, [pair], d, wb.resid_post.all)
        n = len(alone.token_ids[0])
        assert alone.token_ids[0] == whole.token_ids[row]
        np.testing.assert_allclose(whole.dot[row, :, :n], alone.dot[0], rtol=1e-4, atol=1e-5)


def test_z_scores_of_the_neutral_set_have_mean_0_and_sd_1(tiny):
    d = direction(tiny, wb.resid_post(1))
    found = wb.trace(tiny, PROMPTS, d, wb.resid_post.all, neutral=PROMPTS, envelope=20)
    inside = found.z[:, :, 1:]
    np.testing.assert_allclose(np.nanmean(inside, axis=(0, 2)), 0, atol=1e-5)
    np.testing.assert_allclose(np.nanstd(inside, axis=(0, 2), ddof=1), 1, atol=1e-4)
    with pytest.raises(wb.WorkbenchError, match="need a neutral set"):
        wb.trace(tiny, PROMPTS, d).z  # noqa: B018


def test_the_envelope_holds_what_nothing_looks_like(llama):
    d = direction(llama, wb.resid_post(1))
    nothing = [d.random(seed) for seed in range(500, 600)]
    frame = wb.trace(llama, PROMPTS, nothing, envelope=200).frame()
    inside = ((frame["dot"] > frame["dot_low"]) & (frame["dot"] < frame["dot_high"])).mean()
    assert 0.9 < inside < 0.99
    cosine = ((frame["cosine"] > frame["cosine_low"]) & (frame["cosine"] < frame["cosine_high"])).mean()
    assert cosine == pytest.approx(inside)


def test_frame_says_what_each_number_is(llama):
    ds = [direction(llama, wb.resid_post(1)), direction(llama, wb.resid_post(2), 3)]
    done = wb.generate(llama, PROMPTS[:2], [wb.Steer(), wb.add(ds[0], ratio=-0.3)], max_new_tokens=4)
    found = wb.trace(llama, done, ds)
    frame = found.frame()
    assert found.dot.shape[:2] == (2, 2)
    assert set(frame["arm"]) == {"base", "-0.30"}
    one = frame[(frame["row"] == 1) & (frame["layer"] == 2) & (frame["offset"] == 0)].iloc[0]
    position = found.prompt_lengths[1]
    assert (one["position"], one["part"]) == (position, "response")
    assert one["dot"] == found.dot[1, 1, position]
    assert one["token"] == llama.tokenizer.decode([done.token_ids[1][0]])
    assert len(found.select(rows=[1], probes=[0]).frame()) == len(found.tokens[1])
    means = found.mean("prompt")
    assert means[0, 0] == pytest.approx(found.dot[0, 0, : found.prompt_lengths[0]].mean(), rel=1e-5)


def test_text_of_harmful_requests_under_steering_is_marked_hidden(llama):
    prompts = wb.pairs("refusal").dev.positive[:2]
    d = direction(llama, wb.resid_post(1))
    plain, steered = (wb.generate(llama, prompts, s, max_new_tokens=3) for s in (wb.Steer(), wb.add(d, -1.0)))
    assert plain.hidden == (False, False)
    assert steered.hidden == (True, True)
    frame = wb.trace(llama, steered, d).frame()
    assert (frame["hidden"] == (frame["part"] == "response")).all()
    harmless = wb.generate(llama, wb.pairs("refusal").dev.negative[:1], wb.add(d, -1.0), max_new_tokens=3)
    assert harmless.hidden == (False,)


def test_replay_reads_one_models_text_in_another(llama):
    twin = tiny_model("mistral")  # the same tokens under other weights
    d = direction(llama, wb.resid_post(1))
    done = wb.generate(llama, PROMPTS[:2], max_new_tokens=4)
    with pytest.raises(wb.WorkbenchError, match=r"wb\.replay"):
        wb.trace(twin, done, d)
    words = copy.deepcopy(llama.tokenizer)
    words.add_tokens(["zebra"])
    stranger = from_modules(copy.deepcopy(llama.hf), words, "stranger")
    with pytest.raises(wb.WorkbenchError, match="different tokenizers"):
        wb.replay(stranger, done, d)
    found = wb.replay(twin, done, d)
    expected = by_hand(twin, found.token_ids[0], wb.resid_post(1)) @ (d.vector.double() / d.norm)
    assert found.token_ids[0] == done.prompt_token_ids[0] + done.token_ids[0]
    np.testing.assert_allclose(found.dot[0, 0, : len(expected)], expected, rtol=1e-3, atol=1e-3)


def test_bad_input_is_refused(llama):
    d = direction(llama, wb.resid_post(1))
    cases = {
        "which has 3 layers": lambda: wb.trace(llama, PROMPTS, d, [wb.resid_post(9)]),
        "dimensions but": lambda: wb.trace(llama, PROMPTS, d, [wb.k(1)]),
        "one or more Directions": lambda: wb.trace(llama, PROMPTS, []),
        "is empty": lambda: wb.trace(llama, [], d),
        "pairs throughout": lambda: wb.trace(llama, [("a", "b"), "c"], d),
        "2 names in arms= for 6 rows": lambda: wb.trace(llama, PROMPTS, d, arms=["a", "b"]),
        "was read from another": lambda: wb.trace(llama, PROMPTS, d.transfer("another")),
        "envelope=-1": lambda: wb.trace(llama, PROMPTS, d, envelope=-1),
    }
    for message, act in cases.items():
        with pytest.raises(wb.WorkbenchError, match=message):
            act()


TEXTS = ["naïve café", "你好，世界。", "I 🙂 you 👩‍👩‍👧‍👦", "привет", "a\nb", "한국어 日本語", ""]


@pytest.mark.parametrize("kind", ["bytes", "fallback"])
@pytest.mark.parametrize("text", TEXTS)
def test_labels_are_whole_characters_and_joined_they_are_the_text(kind, text):
    from tokenizers import Tokenizer, decoders, models, pre_tokenizers
    from transformers import PreTrainedTokenizerFast

    if kind == "bytes":  # one token per byte, as of rare characters in GPT-2's, Llama 3's and Qwen's tokenizers
        letters = {letter: i for i, letter in enumerate(sorted(pre_tokenizers.ByteLevel.alphabet()))}
        core = Tokenizer(models.BPE(letters, []))
        core.pre_tokenizer, core.decoder = pre_tokenizers.ByteLevel(False, use_regex=False), decoders.ByteLevel()
    else:  # as in Llama 2's and Gemma's
        pieces = {"<unk>": 0} | {f"<0x{i:02X}>": i + 1 for i in range(256)}
        core = Tokenizer(models.BPE(pieces, [], byte_fallback=True, unk_token="<unk>"))
        core.decoder = decoders.Sequence([decoders.ByteFallback(), decoders.Fuse()])
    words = PreTrainedTokenizerFast(tokenizer_object=core)
    ids = words.encode(text, add_special_tokens=False)
    labels = token_labels(words, ids)
    assert len(labels) == len(ids) == len(text.encode())
    assert "".join(labels) == text
    assert not any("\ufffd" in label for label in labels)
    cut = token_labels(words, ids[:-1])  # a response may end in the middle of a character
    assert not any("\ufffd" in label for label in cut)
    assert all(cut) or "" in labels


def test_a_trace_of_nan_names_the_prompt_and_what_steered_it_and_no_other_trace_does(llama, caplog):
    d = direction(llama, wb.resid_post(1))
    wb.trace(llama, [("write a song", "dog cat"), ("hello", "bird")], d, steer=wb.add(d, 0.5))
    wb.trace_generation(llama, ["write a song", "hello"], d, steer=wb.add(d, 0.5), max_new_tokens=4)
    assert not caplog.records
    wb.trace(llama, ["write a song", "hello"], d, steer=wb.add(d, 1e38), sites=wb.resid_post.all)
    assert "2 of 2 rows are NaN or infinite, first of prompt 'texts-1' under add(+1e+38" in caplog.text
