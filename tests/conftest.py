"""Shared models: tiny random ones of every family (no download), and the embedded ones, fetched once per session."""

import os

os.environ.setdefault("TOKENIZERS_PARALLELISM", "false")

import pytest
from hypothesis import settings

from tests.browser import Visitor, launched
from tests.families import FAMILIES, tiny_model

settings.register_profile("workbench", deadline=None, derandomize=True)  # the same examples on every machine
settings.register_profile("explore", deadline=None)  # others each time: pytest --hypothesis-profile=explore
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


@pytest.fixture(scope="module")
def chromium():
    """A headless Chromium. Per module, since Playwright's event loop must be gone before notebooks start their own."""
    with launched() as browser:
        yield browser


@pytest.fixture
def visitor(chromium):
    """Opens pages without network; at the end no page may have complained or asked for anything beyond the disk."""
    visitor = Visitor(chromium)
    yield visitor
    visitor.close()
    assert visitor.complaints == []
    assert visitor.abroad == []


#: cheap laws first, then what opens a browser, what runs a pretrained model, and what is slow
COSTS = ("slow", "model", "browser")
#: of tests that run side by side, those on one worker: a model is loaded once, and one Ray cluster is up at a time
TOGETHER = {
    "smollm2_refusal": "smollm2",
    "gemma3_refusal": "gemma3",
    "chromium": "chromium",
    "test_cluster": "ray",
    "on_ray": "ray",
    "[cluster]": "ray",
}


@pytest.hookimpl(tryfirst=True)  # before xdist reads the groups
def pytest_collection_modifyitems(items):
    """Order tests by cost, and say which share a worker."""
    items.sort(key=lambda item: [item.get_closest_marker(mark) is not None for mark in COSTS])
    for item in items:
        words = " ".join((item.nodeid, *item.fixturenames))
        if group := next((name for word, name in TOGETHER.items() if word in words), None):
            item.add_marker(pytest.mark.xdist_group(group))
