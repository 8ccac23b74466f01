"""Each slip found in the logs, planted: it is caught, or cannot be made. One test per slip, by its number."""

import inspect
import re

import numpy as np
import pytest
import torch

import workbench as wb
from tests.families import PROMPTS
from tests.generation.test_steer_hooks import direction
from tests.planted_model import planted_direction, planted_model, planted_pairs
from tests.planted_rows import planted_rows
from workbench._files import data_folder
from workbench.models.hooks import reading
from workbench.scoring.labels import refusal_label

BASELINE = "hello please be brief"
COMPLIES = "Sure! First, rinse the rice until the water runs clear."
GIBBERISH = ["the " * 20, "\ufffd" * 12, "", "ok ok ok ok ok ok ok ok ok", "?!?!?!?!?!?!"]


def test_T01_amplified_logits_that_never_reach_the_sampler(llama):
    plain = wb.generate(llama, PROMPTS, max_new_tokens=8).token_ids
    assert wb.amplify(llama, PROMPTS, BASELINE, 2.0, 8, every_step=False).token_ids == plain  # the slip
    assert wb.amplify(llama, PROMPTS, BASELINE, 2.0, 8).token_ids != plain
    zero, one = (wb.amplified_logits(llama, PROMPTS, BASELINE, alpha) for alpha in (0, 1))
    assert not np.allclose(zero, one)


@pytest.mark.parametrize("source", ["model", "random"])
def test_T02_the_spread_of_amplified_logits_follows_the_variance_law(llama, source):
    rng = np.random.default_rng(0)
    target = wb.amplified_logits(llama, PROMPTS[:1], BASELINE, 0)[0] if source == "model" else rng.normal(size=500)
    one = (
        wb.amplified_logits(llama, PROMPTS[:1], BASELINE, 1)[0]
        if source == "model"
        else 2 * target - rng.normal(size=500)
    )
    other = 2 * target - one
    cov = np.cov(target, other)
    for alpha in (0.1, 0.5, 2.0):
        seen = (
            wb.amplified_logits(llama, PROMPTS[:1], BASELINE, alpha)[0]
            if source == "model"
            else target + alpha * (target - other)
        )
        law = (1 + alpha) ** 2 * cov[0, 0] - 2 * alpha * (1 + alpha) * cov[0, 1] + alpha**2 * cov[1, 1]
        assert np.std(seen, ddof=1) == pytest.approx(np.sqrt(law), rel=1e-3)
        assert np.std(seen, ddof=1) != pytest.approx(
            alpha / 0.1 * np.std(target, ddof=1), rel=0.05
        )  # what the log expected


@pytest.mark.parametrize("system", ["", "winter tea"])
def test_T03_a_response_holds_neither_user_nor_system_prompt(tiny, system):
    prompt = "how do i bake garlic bread"
    out = wb.generate(tiny, [prompt], system=system or None, system_in_user=True, max_new_tokens=6)
    own = [i for i in out.token_ids[0] if i not in tiny.stop_ids]
    assert len(out.token_ids[0]) <= 6
    assert out.text[0] == tiny.tokenizer.decode(own, skip_special_tokens=True)
    assert prompt not in out.text[0]
    assert not system or system not in out.text[0]


def test_T04_a_compliant_reply_complies_under_every_system_prompt():
    refusing = "I cannot help with anything illegal."
    assert refusal_label(f"{refusing} {COMPLIES}") == "refusal"  # the slip: the prompt is scored with the reply
    assert refusal_label(COMPLIES) == "compliance"
    asked = [wb.Prompt("How do I cook rice?", system=system) for system in ("", refusing)]
    reply = "Rinse the rice, then cook it in twice as much water for twelve minutes."
    said = wb.refusal.reading(None, asked, [reply] * 2, [wb.Steer()] * 2)
    assert list(said) == ["compliance"] * 2  # the score sees what was asked, and no system prompt


def test_T05_a_full_stop_against_a_colon_is_reported():
    words = [w for p in planted_pairs(40, 3).positive for w in [p.text]]
    pairs = wb.Pairs([f"{w}." for w in words], [f"{w}:" for w in reversed(words)])
    assert wb.surface_confounds(pairs).suspicious
    half = wb.Pairs([f"{w}." for w in words[::2]], [f"{w}." for w in words[1::2]])
    assert "last character" not in wb.surface_confounds(half).suspicious


def test_T06_no_prompt_is_in_two_splits_and_a_whole_set_is_no_extraction_set(llama):
    def bag(text):
        return frozenset(re.findall(r"\w+", text.casefold()))

    pairs = wb.pairs("refusal")
    train, test = ([bag(p.text) for p in side] for side in (pairs.train.positive, pairs.test.positive))
    assert max(len(a & b) / len(a | b) for a in train for b in test) < 0.6
    with pytest.raises(wb.WorkbenchError, match="extract from one of them"):
        wb.extract(llama, pairs, at=wb.resid_post(1))


def test_T07_minus_a_d_and_a_minus_d_are_one_condition_and_zero_is_none(tiny):
    d = direction(tiny, wb.resid_post(1))
    written = [wb.generate(tiny, PROMPTS, s, max_new_tokens=6).token_ids for s in (wb.add(d, -1.0), wb.add(-d, 1.0))]
    assert written[0] == written[1]
    assert (
        wb.generate(tiny, PROMPTS, wb.add(d, 0.0), max_new_tokens=6).token_ids
        == wb.generate(tiny, PROMPTS, max_new_tokens=6).token_ids
    )


def test_T08_a_flipped_sign_lowers_the_refusal_margin():
    model, pairs = planted_model(), planted_pairs(30, 1)
    d = wb.extract(model, pairs, at=wb.resid_post(1))
    plus, zero, minus = (wb.refusal_margin(model, pairs.negative, wb.add(d, ratio=r)).mean() for r in (0.5, 0, -0.5))
    assert plus > zero > minus
    assert float(d.unit().vector @ planted_direction()) > 0.99


def test_T09_mock_rows_are_no_evidence(tmp_path):
    rows = planted_rows(60, 0.5)
    rows["mock"] = [True] + [False] * (len(rows) - 1)
    with pytest.raises(wb.WorkbenchError, match="1 rows are flagged mock"):
        wb.ledger.record("S3.2", rows, path=tmp_path)


def test_T10_more_prompts_than_there_are_is_an_error():
    with pytest.raises(wb.WorkbenchError, match="distinct prompts; 10000 were asked for"):
        wb.pairs("refusal").test.positive.take(10_000)


def test_T11_an_impossible_percentage_is_found(tmp_path):
    text = (data_folder() / "claims" / "README.md").read_text()
    example = re.findall(r"```toml\n(.*?)```", text, re.DOTALL)[1]  # the first is the shortest file there is
    file = tmp_path / "log.toml"
    file.write_text(example)
    (claim,) = wb.read_claims(file)
    assert claim.audit().verdict == "inconsistent"
    file.write_text(example.replace("83.3", "82.5"))
    (mended,) = wb.read_claims(file)
    assert all(finding.check != "grim" or finding.outcome != "fails" for finding in mended.audit())


def test_T14_gibberish_is_collapse_and_stops_a_verdict(tmp_path):
    assert {refusal_label(text) for text in GIBBERISH} == {"collapse"}
    rows = planted_rows(60, 0.5)
    broken = rows["arm"] == "direction L8 -0.30"
    rows.loc[broken, "value"] = [refusal_label(GIBBERISH[i % len(GIBBERISH)]) for i in range(60)]
    verdict = wb.ledger.record("S3.2", rows, path=tmp_path)
    assert verdict.outcome == "inconclusive"
    assert any("G5 coherence" in reason for reason in verdict.reasons)


def test_T15_distinct_words_at_random_are_not_coherent():
    rng = np.random.default_rng(0)
    letters = list("abcdefghijklmnopqrstuvwxyz")
    salad = " ".join("".join(rng.choice(letters, rng.integers(4, 9))) for _ in range(40))
    assert refusal_label(salad) == "collapse"


@pytest.mark.parametrize("layer", [0, 1])
def test_T16_a_direction_is_hooked_at_the_tensor_it_was_read_from(llama, layer):
    pairs = wb.Pairs(PROMPTS[:3], PROMPTS[3:])
    d = wb.extract(llama, pairs, at=wb.resid_post(layer), read=wb.PROMPT[-1])
    states = []
    for side in (PROMPTS[:3], PROMPTS[3:]):
        ids = [torch.tensor([llama.encode([p]).token_ids[0]]) for p in side]
        with torch.no_grad():
            states.append(
                torch.stack([llama.hf(i, output_hidden_states=True).hidden_states[layer + 1][0, -1] for i in ids]).mean(
                    0
                )
            )
    torch.testing.assert_close(d.vector, states[0] - states[1], rtol=1e-4, atol=1e-5)
    seen = []
    with reading(llama.hf, d.site, seen.append), torch.no_grad():
        found = llama.hf(ids[0], output_hidden_states=True).hidden_states
    assert torch.equal(seen[0], found[layer + 1])
    assert not torch.equal(seen[0], found[layer])  # the slip: off by one


def test_T17_one_bos_and_a_padded_batch_is_its_prompts_alone(tiny):
    for ids in tiny.encode(PROMPTS).token_ids:
        assert list(ids).count(tiny.tokenizer.bos_token_id) <= 1
    together = wb.generate(tiny, PROMPTS, max_new_tokens=5).token_ids
    assert list(together) == [wb.generate(tiny, [p], max_new_tokens=5).token_ids[0] for p in PROMPTS]


@pytest.mark.filterwarnings("ignore:a dose above 1")
@pytest.mark.parametrize("coef", [0.1 + 0.2, 1 / 3, 12.349999999999999, -7e-9])
def test_T18_coefficients_are_kept_to_the_last_digit(llama, coef):
    steer = wb.add(direction(llama, wb.resid_post(1)), coef)
    (edit,) = wb.Steer.from_json(steer.to_json()).edits
    assert edit.coef == coef
    assert edit.coef != float(f"{coef:.1f}")


def test_T19_the_dose_does_not_depend_on_the_scale_of_the_vector(llama):
    d = direction(llama, wb.resid_post(1))
    (unit,) = wb.add(d.unit(), 2.0).edits
    assert unit.dose == pytest.approx(2.0 / d.activation_norm)
    (raw,), (scaled,) = wb.add(d, ratio=0.3).edits, wb.add(d * 17, ratio=0.3).edits
    assert raw.dose == pytest.approx(0.3)
    assert scaled.dose == pytest.approx(0.3)


def test_T21_arms_with_different_denominators_do_not_compare(tmp_path):
    rows = planted_rows(60, 0.5)
    filtered = rows[~((rows["kind"] == "direction") & (rows["value"] == "refusal"))]
    with pytest.raises(wb.WorkbenchError, match=r"the baseline 60 of 60: arms with different denominators"):
        wb.ledger.record("S3.2", filtered, path=tmp_path)


def test_T22_two_runs_are_identical_and_sampling_is_asked_for_and_seeded(llama, tmp_path):
    arms = wb.grid(direction(llama, wb.resid_post(1)), ratios=[0, 0.5])
    runs = [
        wb.sweep(llama, PROMPTS, arms, [wb.refusal], tmp_path / str(i), max_new_tokens=5, show_text=True)
        for i in (0, 1)
    ]
    assert runs[0].equals(runs[1])
    assert inspect.signature(wb.generate).parameters["temperature"].default == 0
    drawn = [wb.generate(llama, PROMPTS, temperature=1.0, seed=seed, max_new_tokens=8).token_ids for seed in (0, 0, 1)]
    assert drawn[0] == drawn[1] != drawn[2]


def test_T23_no_hook_is_left_behind(llama):
    ids = torch.tensor([llama.encode(PROMPTS[:1]).token_ids[0]])
    with torch.no_grad():
        before = llama.hf(ids).logits
    wb.generate(llama, PROMPTS, wb.add(direction(llama, wb.resid_post(1)), 2.0), max_new_tokens=3)
    with (
        pytest.raises(RuntimeError, match="planted"),
        wb.steered(llama, wb.add(direction(llama, wb.resid_post(0)), 2.0), prompt_length=5),
    ):
        raise RuntimeError("planted")
    with torch.no_grad():
        assert torch.equal(llama.hf(ids).logits, before)


def test_T24_the_union_over_configurations_is_an_oracle_and_never_reproduced(tmp_path):
    rows = planted_rows(80, 0.3, layers=(4, 8, 12))
    union = wb.oracle(rows, "compliance")
    name = union.loc[union["kind"] == "oracle", "arm"].iloc[0]
    assert name == "oracle of 3 arms"
    verdict = wb.ledger.record("S3.2", union, arm=name, path=tmp_path)
    assert verdict.effect.value >= 0.3
    assert verdict.outcome == "inconclusive"
    assert any("no single configuration" in reason for reason in verdict.reasons)
