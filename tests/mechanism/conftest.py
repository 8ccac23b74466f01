"""Models for tests of mechanism."""

import pytest
import torch

from tests.families import tiny_model
from workbench.models.hooks import blocks


@pytest.fixture(scope="session")
def tiny_tuned():
    """The tiny Llama with one MLP of other weights: a model tuned from it."""
    tuned = tiny_model("llama")
    with torch.no_grad():
        blocks(tuned.hf)[1].mlp.down_proj.weight.mul_(2.0)
    return tuned
