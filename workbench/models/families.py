"""Which families of models are known, and what is said of any other?

A family is a ``model_type`` of transformers. The test suite holds every family of the table to plain transformers with
hand-written hooks. Nothing here loads torch: a config is refused before anything else is read or fetched.
"""

from collections.abc import Mapping
from typing import Any

from workbench._errors import WorkbenchError

#: the families that are supported: model_type -> the class that holds its weights
FAMILIES = {
    "llama": "LlamaForCausalLM",
    "mistral": "MistralForCausalLM",
    "ministral3": "Ministral3ForCausalLM",
    "mixtral": "MixtralForCausalLM",
    "qwen2": "Qwen2ForCausalLM",
    "qwen2_moe": "Qwen2MoeForCausalLM",
    "qwen3": "Qwen3ForCausalLM",
    "qwen3_moe": "Qwen3MoeForCausalLM",
    "gemma": "GemmaForCausalLM",
    "gemma2": "Gemma2ForCausalLM",
    "gemma3_text": "Gemma3ForCausalLM",
    "smollm3": "SmolLM3ForCausalLM",
}

#: where a config says that its weights are quantised: transformers' key, and the older one of compressed-tensors
_QUANTISED = ("quantization_config", "compression_config")

#: sizes that make no sense unless they are whole numbers above 0
_SIZES = (
    "hidden_size",
    "intermediate_size",
    "num_hidden_layers",
    "num_attention_heads",
    "num_key_value_heads",
    "vocab_size",
)

_MOST_LAYERS = 1000


def refuse_other_family(family: object, where: str) -> None:
    """Raise WorkbenchError unless a ``model_type`` is one that is supported; ``where`` says what holds it."""
    if isinstance(family, str) and family in FAMILIES:
        return
    raise WorkbenchError(f"models of type {family!r} are not supported ({where}); supported are {', '.join(FAMILIES)}")


def check_config(config: Mapping[str, Any], where: str) -> None:
    """Raise WorkbenchError where a config is of a model that cannot be loaded; nothing of it is run.

    Refused by name are, in this order: code of the model's own, other families, wrappers of several modalities, models that
    are no causal language models, and quantised weights.

    >>> check_config({"model_type": "llama", "architectures": ["LlamaForCausalLM"]}, "config.json")
    >>> check_config({"model_type": "mamba"}, "config.json")  # doctest: +ELLIPSIS
    Traceback (most recent call last):
        ...
    workbench._errors.WorkbenchError: models of type 'mamba' are not supported (config.json); supported are llama, ...
    """
    if code := config.get("auto_map"):
        names = ", ".join(map(str, code.values() if isinstance(code, Mapping) else [code]))
        raise WorkbenchError(
            f"{where} asks for code of its own (auto_map: {names}); code of a model's folder is never run. "
            "Take a version of the model whose architecture is part of transformers"
        )
    family = config.get("model_type")
    if family is None:
        raise WorkbenchError(f"{where} has no model_type; expected one of {', '.join(FAMILIES)}")
    if family not in list(FAMILIES) and any(
        name in config for name in ("text_config", "vision_config", "audio_config")
    ):
        raise WorkbenchError(
            f"{where}: {family!r} is a wrapper of several modalities (text with images or sound), which is not supported; "
            f"take a model of text alone: {', '.join(FAMILIES)}"
        )
    refuse_other_family(family, where)
    written = config.get("architectures") or [FAMILIES[family]]
    if not isinstance(written, list):
        raise WorkbenchError(f"{where}: architectures is {written!r:.60}; expected a list, e.g. ['{FAMILIES[family]}']")
    if FAMILIES[family] not in written:
        raise WorkbenchError(
            f"{where}: its architecture is {', '.join(map(str, written))}, which does not write text as a chat model does; "
            f"expected {FAMILIES[family]}"
        )
    how = next((config[key] for key in _QUANTISED if config.get(key) is not None), None)
    if how is not None:
        method = how.get("quant_method", "?") if isinstance(how, Mapping) else how
        raise WorkbenchError(
            f"{where}: the weights are quantised ({method}), which is not supported; take the model in bfloat16, float16 "
            "or float32"
        )
    check_sizes_of(config, where)


def check_sizes_of(config: Mapping[str, Any], where: str) -> None:
    """Raise WorkbenchError where a size that a config states makes no sense.

    >>> check_sizes_of({"hidden_size": 16}, "config.json")
    """
    for name in _SIZES:
        size = config.get(name)
        if size is not None and not (type(size) is int and 0 < size < 1 << 32):
            raise WorkbenchError(f"{where}: {name} is {size!r:.60}; expected a whole number above 0")
    if (config.get("num_hidden_layers") or 0) > _MOST_LAYERS:
        raise WorkbenchError(
            f"{where}: num_hidden_layers is {config['num_hidden_layers']}; expected at most {_MOST_LAYERS}"
        )
