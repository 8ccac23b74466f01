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
).filter(lambda span: not span.is_empty())
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


@given(bounds, bounds)
def test_a_slice_that_means_no_token_of_any_chat_is_refused(start, stop):
    longest = 30  # of a bound of at most 9, twice and more: the bounds have crossed by then or never do
    reached = any(range(n)[start:stop] for n in range(longest))
    if reached:
        assert PROMPT[start:stop] == Positions.parse(
            f"prompt[{'' if start is None else start}:{'' if stop is None else stop}]"
        )
        return
    for write in (lambda: PROMPT[start:stop], lambda: Positions.parse(f"prompt[{start or ''}:{stop}] | response")):
        with pytest.raises(
            WorkbenchError, match=r"means no token of any chat; expected a slice .*, e\.g\. prompt\["
        ) as error:
            write()
        mended = Positions.parse(str(error.value).rpartition("e.g. ")[2])
        assert mended.mask(longest, longest).any()


@pytest.mark.parametrize(
    ("text", "mended"),
    [
        ("prompt[5:2]", "prompt[2:5]"),
        ("prompt[-2:-5]", "prompt[-5:-2]"),
        ("response[-3:0]", "response[-3:]"),
        ("all[:0]", "all[0]"),
        ("prompt[4:4]", "prompt[4]"),
    ],
)
def test_the_error_of_an_empty_slice_says_what_may_have_been_meant(text, mended):
    with pytest.raises(WorkbenchError) as error:
        Positions.parse(text)
    assert str(error.value).endswith(f"e.g. {mended}")


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
        none = not chosen.mask(prompt, prompt).any() and all(span.region == "prompt" for span in chosen.spans)
        assert none or chosen.needs_end() or any(not -prompt <= span.index < prompt for span in outside)
        return
    assert moved.mask(prompt + prefill, total).tolist() == chosen.mask(prompt, total).tolist()
    assert Positions.parse(str(moved)) == moved
