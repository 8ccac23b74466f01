"""Sampling: a row's random numbers are its own, and tokens come with the probabilities they have."""

from functools import cache

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.stats import chisquare

import workbench as wb
from tests.families import FAMILIES, PROMPTS, tiny_model
from tests.generation.test_steer_hooks import direction
from workbench.generation.decoding import Sampling, draw, random_numbers
from workbench.generation.engine import likeliest
from workbench.steering.steer import Steer

IDS = [(1, 2, 3), (4, 5)]


def test_random_numbers_belong_to_seed_prompt_and_arm_and_begin_alike_however_many_there_are(llama):
    d = direction(llama, wb.resid_post(1))
    steers = [wb.add(d, 0.5), Steer()]
    numbers = random_numbers(Sampling(1.0, seed=3), IDS, steers, 6)
    assert torch.equal(random_numbers(Sampling(1.0, seed=3), IDS[::-1], steers[::-1], 9)[:, :6].flip(0), numbers)
    assert torch.equal(random_numbers(Sampling(0.5, seed=3), IDS[:1], [wb.add(-d, -0.5)], 6), numbers[:1])
    others = [(4, IDS[:1], steers[:1]), (3, IDS[1:], steers[:1]), (3, IDS[:1], steers[1:])]
    for seed, ids, steer in others:
        assert not (random_numbers(Sampling(1.0, seed=seed), ids, steer, 6) == numbers[0]).any()
    assert ((numbers >= 0) & (numbers < 1)).all()


def test_tokens_come_as_often_as_they_are_likely_and_only_from_the_nucleus():
    logits = torch.tensor([[2.0, 1.0, 0.0, -1.0, 0.5]])
    numbers = torch.from_numpy(np.random.default_rng(0).random(20_000))
    for temperature, top_p, inside in ((1.0, 1.0, [0, 1, 2, 3, 4]), (0.7, 1.0, [0, 1, 2, 3, 4]), (1.0, 0.7, [0, 1])):
        tokens = draw(logits.expand(len(numbers), -1), Sampling(temperature, top_p), numbers)
        p = (logits[0].double() / temperature).softmax(-1)[inside]
        counts = np.bincount(tokens.numpy(), minlength=5)
        assert set(counts.nonzero()[0]) == set(inside)
        assert chisquare(counts[inside], len(numbers) * (p / p.sum()).numpy()).pvalue > 1e-4


def test_the_likeliest_token_is_drawn_where_the_nucleus_is_small_or_the_temperature_low():
    logits = torch.randn(50, 30, dtype=torch.float64, generator=torch.Generator().manual_seed(0))
    for sampling in (Sampling(1.0, top_p=1e-9), Sampling(1e-7)):
        for number in (1e-9, 0.5, 1 - 2**-53, 1.0):
            assert torch.equal(
                draw(logits, sampling, torch.full((50,), number, dtype=torch.float64)), logits.argmax(-1)
            )


@cache
def cached64(family):
    return tiny_model(family, "float64")


@settings(max_examples=12)
@given(
    family=st.sampled_from(sorted(FAMILIES)),
    rows=st.lists(
        st.tuples(
            st.sampled_from(PROMPTS),
            st.sampled_from([-0.9, 0.0, 0.6]),
            st.sampled_from(["all", "response", "prompt[-1]"]),
            st.integers(0, 2),
        ),
        min_size=2,
        max_size=8,
    ),
    batch_size=st.integers(1, 8),
    seed=st.integers(0, 9),
    top_p=st.sampled_from([1.0, 0.8]),
)
def test_sampled_rows_do_not_depend_on_their_batch(family, rows, batch_size, seed, top_p):
    model = cached64(family)
    steers = [wb.add(direction(model, wb.resid_post(layer)), c, on=on) for _, c, on, layer in rows]
    how = {"max_new_tokens": 6, "temperature": 0.9, "top_p": top_p, "seed": seed}
    packed = wb.generate(model, [prompt for prompt, *_ in rows], steers, batch_size=batch_size, **how)
    for (prompt, *_), steer, ids in zip(rows, steers, packed.token_ids, strict=True):
        assert wb.generate(model, [prompt], steer, **how).token_ids[0] == ids


def test_a_seed_per_row_is_that_seed_for_the_row(tiny64):
    how = {"max_new_tokens": 6, "temperature": 1.0, "top_p": 0.9}
    prompts, seeds = [PROMPTS[0], PROMPTS[1], PROMPTS[0]], [4, 5, 6]
    together = wb.generate(tiny64, prompts, seed=seeds, **how)
    apart = [wb.generate(tiny64, [p], seed=seed, **how).token_ids[0] for p, seed in zip(prompts, seeds, strict=True)]
    assert list(together.token_ids) == apart
    assert apart[0] != apart[2]
    assert together.decoding == "sampled at temperature 1, top_p 0.9, a seed per row"
    with pytest.raises(wb.WorkbenchError, match="2 seeds for 3 prompts"):
        wb.generate(tiny64, prompts, seed=[1, 2], **how)


def test_another_seed_writes_other_rows_and_the_same_seed_the_same(llama):
    def written(seed):
        return wb.generate(llama, PROMPTS, max_new_tokens=8, temperature=1.0, seed=seed)

    assert written(0).token_ids == written(0).token_ids != written(1).token_ids
    assert written(1).decoding == "sampled at temperature 1, top_p 1, seed 1"


@pytest.mark.parametrize("bad", [{"temperature": -1}, {"temperature": float("nan")}, {"top_p": 0}, {"top_p": 1.2}])
def test_settings_out_of_range_are_refused(llama, bad):
    with pytest.raises(wb.WorkbenchError, match="expected"):
        wb.generate(llama, PROMPTS[:1], **bad)


@given(st.integers(1, 6), st.sampled_from([1, 7, 97, 512, 1536, 1000]), st.integers(0, 10_000))
def test_greedy_takes_the_first_of_the_largest_logits(rows, words, seed):
    """Few distinct values, so that most maxima are shared."""
    logits = torch.randint(0, 4, (rows, words), generator=torch.Generator().manual_seed(seed)).float()
    assert likeliest(logits, torch.zeros(rows), torch.zeros(rows)).tolist() == [
        row.index(max(row)) for row in logits.tolist()
    ]
