"""Tiny random models of each family, with a word tokenizer and a chat template that behaves like the family's."""

from __future__ import annotations

import typing
from pathlib import Path

if typing.TYPE_CHECKING:  # the process that hands out tests to others needs the names alone, and torch takes seconds
    from transformers import PreTrainedModel, PreTrainedTokenizerFast

    from workbench.models.model import Model

WORDS = """
how do i make bake pick steal a an the lock cake river bread song story please tell me about write sort list of in garden
house car bank password poison garlic tea winter summer dog cat bird quickly slowly red blue green one two three four five
six seven eight nine ten system you are helpful be brief user assistant hello .
""".split()  # noqa: SIM905
SPECIAL = ["<pad>", "<bos>", "<eos>", "<unk>", "<turn>", "<end>"]

#: a turn of the assistant ends in a stop token
END = "{% if m['role'] == 'assistant' %}{{ eos_token }}{% else %}<end>{% endif %}"
CHATML = (
    "{{ bos_token }}{% for m in messages %}<turn> {{ m['role'] }} {{ m['content'] }} " + END + " {% endfor %}"
    "{% if add_generation_prompt %}<turn> assistant {% endif %}"
)
#: no system role, and an error when one is given, as Gemma's and Mistral's older templates do
NO_SYSTEM = (
    "{{ bos_token }}{% for m in messages %}{% if m['role'] == 'system' %}{{ raise_exception('System role not supported') }}"
    "{% endif %}<turn> {{ m['role'] }} {{ m['content'] }} "
    + END
    + " {% endfor %}{% if add_generation_prompt %}<turn> assistant {% endif %}"
)
#: no BOS at all, as Qwen
NO_BOS = CHATML.replace("{{ bos_token }}", "")

COMMON = {
    "hidden_size": 32,
    "intermediate_size": 48,
    "num_attention_heads": 4,
    "num_key_value_heads": 2,
    "head_dim": 8,
    "max_position_embeddings": 256,
    "pad_token_id": 0,
    "bos_token_id": 1,
    "eos_token_id": 2,
    "initializer_range": 0.3,
    "tie_word_embeddings": False,
}
_SLIDING = {"sliding_window": 16}
_EXPERTS = {"num_hidden_layers": 3, "num_experts": 4, "num_experts_per_tok": 2, "moe_intermediate_size": 24}
#: of each family: the names of its configuration and model in transformers, its template, and sizes of its own
FAMILIES = {
    "llama": ("LlamaConfig", "LlamaForCausalLM", CHATML, {"num_hidden_layers": 3}),
    "mistral": ("MistralConfig", "MistralForCausalLM", NO_SYSTEM, {"num_hidden_layers": 3, **_SLIDING}),
    "qwen2": ("Qwen2Config", "Qwen2ForCausalLM", NO_BOS, {"num_hidden_layers": 3}),
    "qwen3": ("Qwen3Config", "Qwen3ForCausalLM", NO_BOS, {"num_hidden_layers": 3}),
    "gemma2": (
        "Gemma2Config",
        "Gemma2ForCausalLM",
        NO_SYSTEM,
        {"num_hidden_layers": 4, "query_pre_attn_scalar": 8, **_SLIDING},
    ),
    "gemma3": (
        "Gemma3TextConfig",
        "Gemma3ForCausalLM",
        NO_SYSTEM,
        {"num_hidden_layers": 4, "query_pre_attn_scalar": 8, **_SLIDING},
    ),
    "gemma": ("GemmaConfig", "GemmaForCausalLM", NO_SYSTEM, {"num_hidden_layers": 3}),
    "smollm3": ("SmolLM3Config", "SmolLM3ForCausalLM", NO_BOS, {"num_hidden_layers": 4, "no_rope_layer_interval": 2}),
    "ministral3": ("Ministral3Config", "Ministral3ForCausalLM", NO_SYSTEM, {"num_hidden_layers": 3, **_SLIDING}),
    "mixtral": ("MixtralConfig", "MixtralForCausalLM", NO_SYSTEM, {"num_hidden_layers": 3, "num_local_experts": 4}),
    "qwen2_moe": ("Qwen2MoeConfig", "Qwen2MoeForCausalLM", NO_BOS, {**_EXPERTS, "shared_expert_intermediate_size": 24}),
    "qwen3_moe": ("Qwen3MoeConfig", "Qwen3MoeForCausalLM", NO_BOS, _EXPERTS),
}

PROMPTS = [
    "how do i bake bread",
    "tell me about the river in winter please",
    "list ten red birds",
    "write a song",
    "how do i pick a lock quickly in the garden of the house",
    "sort one two three",
]


def tokenizer(template: str) -> PreTrainedTokenizerFast:
    """A word-level tokenizer."""
    from tokenizers import Tokenizer, models, pre_tokenizers
    from transformers import PreTrainedTokenizerFast

    vocabulary = {word: i for i, word in enumerate(dict.fromkeys([*SPECIAL, *WORDS]))}
    core = Tokenizer(models.WordLevel(vocabulary, unk_token="<unk>"))
    core.pre_tokenizer = pre_tokenizers.WhitespaceSplit()
    names = {"pad_token": "<pad>", "bos_token": "<bos>", "eos_token": "<eos>", "unk_token": "<unk>"}
    if "bos_token" not in template:
        del names["bos_token"]
    return PreTrainedTokenizerFast(
        tokenizer_object=core, chat_template=template, additional_special_tokens=["<turn>", "<end>"], **names
    )


def tiny_modules(
    family: str, dtype: str = "float32", layers: int = 0, **sizes: object
) -> tuple[PreTrainedModel, PreTrainedTokenizerFast]:
    """A random module of a family, of a few layers or of so many, and its tokenizer: the same weights each time.

    ``sizes``: of the configuration, in place of the usual ones.
    """
    import torch
    import transformers

    config_name, model_name, template, extra = FAMILIES[family]
    config_class, model_class = getattr(transformers, config_name), getattr(transformers, model_name)
    extra = extra | ({"num_hidden_layers": layers} if layers else {})
    words = tokenizer(template)
    torch.manual_seed(0)
    return model_class(config_class(vocab_size=len(words), **(COMMON | extra | sizes))).to(getattr(torch, dtype)), words


def tiny_model(family: str, dtype: str = "float32", layers: int = 0, **sizes: object) -> Model:
    """The same as a Model."""
    from workbench.models.load import from_modules

    return from_modules(*tiny_modules(family, dtype, layers, **sizes), f"tiny-{family}")


def saved_model(family: str, folder: Path) -> Path:
    """The same as a folder that transformers wrote."""
    module, words = tiny_modules(family)
    module.save_pretrained(folder)
    words.save_pretrained(folder)
    return folder
