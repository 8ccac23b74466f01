"""Shared models: tiny random ones of every family (no download), and the embedded ones, fetched once per session."""

import os

os.environ.setdefault("TOKENIZERS_PARALLELISM", "false")

import pytest
from hypothesis import settings

from tests.families import FAMILIES, tiny_model

settings.register_profile("workbench", deadline=None, derandomize=bool(os.environ.get("CI")))
settings.load_profile("workbench")


@pytest.fixture(scope="session", params=FAMILIES)
def tiny(request):
    """A tiny random model of each family in float32."""
    return tiny_model(request.param)


@pytest.fixture(scope="session", params=FAMILIES)
def tiny64(request):
    """The same in float64, where batching and caching change nothing but the last bits."""
    return tiny_model(request.param, dtype="float64")


@pytest.fixture(scope="session")
def llama():
    """One tiny family, where one is enough."""
    return tiny_model("llama")


@pytest.fixture(scope="session")
def smollm2_refusal():
    """The reference model of the Llama family."""
    import workbench as wb

    return wb.load("smollm2-refusal")


@pytest.fixture(scope="session")
def gemma3_refusal():
    """The reference model of the Gemma family."""
    import workbench as wb

    return wb.load("gemma3-refusal")


def pytest_collection_modifyitems(items):
    """Cheap laws first, then what runs a pretrained model, then what is slow."""
    items.sort(
        key=lambda item: (item.get_closest_marker("slow") is not None, item.get_closest_marker("model") is not None)
    )
