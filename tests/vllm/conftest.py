"""Tests that run vLLM, in the environment that ``make test-vllm`` builds; elsewhere they are skipped, and say so."""

import os
from importlib.util import find_spec
from pathlib import Path

import pytest

from tests.families import tiny_model
from workbench.generation.vllm_engine import VLLM, import_vllm, stop_engine
from workbench.models.families import FAMILIES

#: vLLM's kernels on a CPU want heads of 32 numbers, and experts of a multiple of them
SIZES = {
    "hidden_size": 64,
    "intermediate_size": 64,
    "num_attention_heads": 2,
    "num_key_value_heads": 1,
    "head_dim": 32,
}
MORE = {
    "qwen2_moe": {"moe_intermediate_size": 32, "shared_expert_intermediate_size": 32},
    "qwen3_moe": {"moe_intermediate_size": 32},
    # vLLM's has no head of its own, and no real one has; smaller embeddings, so that it does not just repeat the last word
    "gemma2": {"tie_word_embeddings": True, "initializer_range": 0.05},
}

#: in this process: importing all again for each engine would take longer than what is tested
HERE = VLLM(own_process=False)


def vllm_sized(family, dtype="float32", **more):
    """A tiny model of a family in sizes that vLLM takes."""
    return tiny_model(family, dtype, **(SIZES | MORE.get(family, {}) | more))


def pytest_collection_modifyitems(items):
    if find_spec("vllm") is not None or os.environ.get("TEST_VLLM"):
        return
    for item in items:
        if Path(__file__).parent in item.path.parents:
            item.add_marker(pytest.mark.skip(reason="vLLM is not in this environment: make test-vllm runs these"))


@pytest.fixture(scope="session", autouse=True)
def classes_known():
    """vLLM looks at each class of models in a new process, for half a minute of imports: here they are looked at in this one."""
    import_vllm()
    from vllm import ModelRegistry

    for name in set(FAMILIES.values()):
        ModelRegistry.register_model(name, ModelRegistry.models[name].load_model_cls())


@pytest.fixture(scope="module", autouse=True)
def no_engine_left():
    """An engine does not outlive the file that started it."""
    yield
    stop_engine()
