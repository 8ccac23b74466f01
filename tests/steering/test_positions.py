import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from workbench import ALL, PROMPT, RESPONSE, Positions, WorkbenchError
from workbench.steering.positions import Span

bounds = st.none() | st.integers(-9, 9)
spans = st.builds(
    lambda region, index, start, stop: Span(region, index=index) if index is not None else Span(region, start, stop),
    st.sampled_from(["prompt", "response", "all"]),
    st.none() | st.integers(-9, 9),
    bounds,
    bounds,
)
positions = st.lists(spans, min_size=1, max_size=4, unique=True).map(lambda s: Positions(tuple(s)))


@given(positions)
def test_text_round_trip(p):
    assert Positions.parse(str(p)) == p


@given(positions, st.integers(1, 12), st.integers(0, 12))
def test_mask_is_python_indexing(p, prompt, response):
    tokens = list(range(prompt + response))
    regions = {"prompt": tokens[:prompt], "response": tokens[prompt:], "all": tokens}
    meant = set()
    for span in p.spans:
        region = regions[span.region]
        if span.index is None:
            meant |= set(region[span.start : span.stop])
        elif -len(region) <= span.index < len(region):
            meant.add(region[span.index])
    assert set(np.flatnonzero(p.mask(prompt, prompt + response))) == meant


@given(positions, positions, st.integers(1, 9), st.integers(0, 9))
def test_or_is_union(a, b, prompt, response):
    joined = (a | b).mask(prompt, prompt + response)
    assert (joined == (a.mask(prompt, prompt + response) | b.mask(prompt, prompt + response))).all()


@given(positions, st.integers(1, 9), st.integers(0, 6), st.integers(0, 6))
def test_without_a_needed_end_a_longer_response_changes_no_earlier_token(p, prompt, short, more):
    if not p.needs_end():
        longer = p.mask(prompt, prompt + short + more)[: prompt + short]
        assert (longer == p.mask(prompt, prompt + short)).all()


@pytest.mark.parametrize(
    ("text", "column"),
    [
        ("promt[-1]", 1),
        ("prompt[-1] response", 12),
        ("prompt[-1] | ", 14),
        ("prompt[x]", 8),
        ("", 1),
        ("prompt[1] | respons", 13),
    ],
)
def test_errors_point_at_the_character(text, column):
    with pytest.raises(WorkbenchError, match=f"at character {column}"):
        Positions.parse(text)


def test_only_whole_regions_are_indexed():
    with pytest.raises(WorkbenchError, match="only PROMPT, RESPONSE and ALL"):
        (PROMPT | RESPONSE)[0]
    with pytest.raises(WorkbenchError, match="step"):
        ALL[::2]
    with pytest.raises(WorkbenchError, match="outside a prompt of 5 tokens"):
        PROMPT[-6].check_prompt_length(5)


@given(positions, st.integers(1, 6), st.integers(0, 4), st.integers(0, 4))
def test_a_prefill_leaves_the_same_tokens_meant(chosen, prompt, prefill, rest):
    total = prompt + prefill + rest
    try:
        moved = chosen.prefilled(prompt, prefill)
    except WorkbenchError:
        outside = [s for s in chosen.spans if s.region == "prompt" and s.index is not None]
        assert chosen.needs_end() or any(not -prompt <= span.index < prompt for span in outside)
        return
    assert moved.mask(prompt + prefill, total).tolist() == chosen.mask(prompt, total).tolist()
    assert Positions.parse(str(moved)) == moved
