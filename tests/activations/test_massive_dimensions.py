import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

import workbench as wb
from tests.families import PROMPTS, tiny_model
from workbench.activations.extract import massive


@given(seed=st.integers(0, 200), width=st.integers(50, 3000))
def test_ordinary_dimensions_are_not_massive_and_a_planted_one_is(seed, width):
    mean = torch.randn(width, generator=torch.Generator().manual_seed(seed))
    assert massive(mean) == ()
    mean[width // 2] = -40.0
    assert massive(mean) == (width // 2,)
    assert massive(mean * 1e6) == massive(mean)


def test_no_activation_at_all_has_no_massive_dimension():
    assert massive(torch.zeros(8)) == ()


@pytest.fixture(scope="module")
def loud():
    """A tiny model with one dimension of the stream that is huge in every text."""
    model = tiny_model("llama")
    model.hf.model.embed_tokens.weight[:, 5] += 300.0
    return model


def test_a_massive_dimension_is_reported_with_its_size(loud):
    found = wb.massive_dimensions(loud, PROMPTS, at=wb.resid_post.all)
    assert list(found["dimension"]) == [5, 5, 5]
    assert list(found["layer"]) == [0, 1, 2]
    assert found["mean"].between(250, 350).all()
    assert (found["times"] > 20).all()
    assert wb.massive_dimensions(loud, PROMPTS, at=wb.z(1)).empty


@pytest.mark.parametrize("method", ["mean_diff", "probe", "random"])
def test_cleaning_leaves_massive_dimensions_out_and_says_so(loud, method):
    pairs = wb.Pairs(PROMPTS[:3], PROMPTS[3:])
    plain = wb.extract(loud, pairs, at=wb.resid_post(1), method=method)
    cleaned = wb.extract(loud, pairs, at=wb.resid_post(1), method=method, clean=True)
    assert plain.vector[5] != 0
    assert cleaned.vector[5] == 0
    assert cleaned.method == f"{method} cleaned(5)"
    assert cleaned.activation_norm == plain.activation_norm  # the dose is of the activations as they are
    if method == "mean_diff":
        others = [i for i in range(len(plain.vector)) if i != 5]
        assert torch.equal(cleaned.vector[others], plain.vector[others])


def test_cleaning_where_nothing_is_massive_changes_nothing_but_the_name(llama):
    pairs = wb.Pairs(PROMPTS[:3], PROMPTS[3:])
    plain, cleaned = (wb.extract(llama, pairs, at=wb.resid_post(1), clean=clean) for clean in (False, True))
    assert torch.equal(plain.vector, cleaned.vector)
    assert cleaned.method == "mean_diff cleaned()"
