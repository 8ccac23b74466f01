"""Shared models: tiny random ones of every family (no download), and the embedded ones, fetched once per session."""

import os
import subprocess
import sys

os.environ.setdefault("TOKENIZERS_PARALLELISM", "false")

import psutil
import pytest
from hypothesis import settings

from tests.browser import Visitor, launched
from tests.families import FAMILIES, tiny_model
from tests.forked_kernel import install
from workbench.models.registry import base_of, is_fetched, resolve

settings.register_profile("workbench", deadline=None, derandomize=True)  # the same examples on every machine
settings.register_profile("explore", deadline=None)  # others each time: pytest --hypothesis-profile=explore
settings.load_profile("workbench")


@pytest.fixture(scope="session", autouse=True)
def warm_kernels(tmp_path_factory):
    """Notebooks that tests run start with torch imported; see ``tests.forked_kernel``."""
    install(tmp_path_factory.mktemp("kernels"))


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


@pytest.fixture(scope="session")
def smollm2_quick():
    """The same weights in bfloat16 where the processor has matrix units for it, for what no digit depends on."""
    import workbench as wb

    return wb.load("smollm2-refusal", dtype="auto", check=False)


@pytest.fixture(scope="session")
def gemma3_quick():
    """The same of the Gemma family."""
    import workbench as wb

    return wb.load("gemma3-refusal", dtype="auto", check=False)


@pytest.fixture(scope="session")
def one_ray():
    """Ray stays up from test to test, and goes at the end."""
    for patience, value in {  # on a busy machine; Ray's own are 10 to 60 seconds
        "RAY_DASHBOARD_STARTUP_TIMEOUT_S": "300",
        "RAY_agent_register_timeout_ms": "300000",
        "RAY_worker_register_timeout_seconds": "300",
    }.items():
        os.environ.setdefault(patience, value)
    os.environ.setdefault("RAY_ENABLE_UV_RUN_RUNTIME_ENV", "0")
    import ray

    start = ray.init

    def persistent(*arguments, **more):
        """Ray's node dies where its helpers take 15 s to come up, as they do on a very busy machine: it is started again."""
        before = set(psutil.Process().children(recursive=True))
        for _ in range(5):
            try:
                return start(*arguments, **more)
            except Exception as error:
                if "timed out during startup" not in str(error):
                    raise
                for left in set(psutil.Process().children(recursive=True)) - before:
                    left.kill()
        return start(*arguments, **more)

    ray.init = persistent
    yield
    ray.init = start
    ray.shutdown()


@pytest.fixture
def cluster(one_ray):
    """A local Ray of two CPUs: that of the test before, if it left one."""
    import ray

    if not ray.is_initialized():
        ray.init(num_cpus=2, object_store_memory=200_000_000, include_dashboard=False, log_to_driver=False)


@pytest.fixture
def no_ray(one_ray):
    """For a test that starts Ray by itself: none is up before it."""
    import ray

    ray.shutdown()


@pytest.fixture(scope="session")
def extractions(tmp_path_factory):
    """A store of activations: what several tests extract from one model, the model reads once."""
    return tmp_path_factory.mktemp("extractions")


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


#: what is not among the cheap laws, which come first
HEAVY = ("slow", "model", "browser")
#: Tests that share what is dear, by their name or a fixture they ask for: workers take each group as one. One Ray is up at a
#: time, a model is loaded once, a report is built once. Groups come before what is slow by itself, which fills up the end.
TOGETHER = {
    "test_examples_run_as_written[cluster]": "ray",  # first of its group: the Ray that this page leaves is taken by the others
    "cluster": "ray",
    "test_sign_inversion_runs[smollm2-refusal]": "smollm2",  # it leaves the activations that pages of docs read
    "smollm2_refusal": "smollm2",
    "smollm2_quick": "smollm2",
    "gemma3_refusal": "gemma3",
    "gemma3_quick": "gemma3",
    "llama_class": "gemma3",
    "chromium": "browser",
    "runs": "browser",
    "mixed": "batch",
}


#: many tests of some seconds each: they fill up what longer ones leave of one worker's time
LAST = "test_every_notebook_runs_on_any_model"


@pytest.hookimpl(tryfirst=True)  # before xdist reads the groups
def pytest_collection_modifyitems(items):
    """Cheap laws first, then the groups, then what is slow by itself; and say which tests share a worker."""
    words = list(TOGETHER)
    shared = {item: next((i for i, word in enumerate(words) if named(item, word)), len(words)) for item in items}
    for item, index in shared.items():
        if index < len(words):
            item.add_marker(pytest.mark.xdist_group(TOGETHER[words[index]]))
    heavy = {item: any(item.get_closest_marker(mark) for mark in HEAVY) for item in items}
    items.sort(key=lambda i: (heavy[i] or shared[i] < len(words), shared[i], i.name.startswith(LAST)))


#: what fetches models while the cheap laws run
FETCHING = pytest.StashKey[subprocess.Popen]()


def pytest_collection_finish(session):
    """Models that these tests will need are fetched meanwhile, by one of the workers: a download needs little of a processor."""
    if (
        getattr(session.config, "workerinput", {"workerid": "gw0"})["workerid"] != "gw0"
        or session.config.option.collectonly
    ):
        return
    models = {f"{name}_{which}": f"{name}-refusal" for name in ("smollm2", "gemma3") for which in ("refusal", "quick")}
    wanted = {model for word, model in models.items() if any(named(item, word) for item in session.items)}
    lacking = [model for model in sorted(wanted, reverse=True) if not is_fetched(base_of(resolve(model)))]
    if lacking:
        fetch = "import sys, workbench as wb; [wb.fetch(name) for name in sys.argv[1:]]"
        quiet = {"stdin": subprocess.DEVNULL, "stdout": subprocess.DEVNULL, "stderr": subprocess.DEVNULL}
        session.config.stash[FETCHING] = subprocess.Popen([sys.executable, "-c", fetch, *lacking], **quiet)


def pytest_unconfigure(config):
    """Where no test came to need them, nothing is left running."""
    if (process := config.stash.get(FETCHING, None)) is not None:
        process.kill()
        process.wait()


def named(item, word):
    """Whether a test is called so, or asks for a fixture of that name, itself or by its parameter."""
    return item.name == word or word in item.fixturenames or item.name.endswith(f"[{word}]")
