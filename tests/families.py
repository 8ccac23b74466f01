"""Tiny random models of each family, with a word tokenizer and a chat template that behaves like the family's."""

from pathlib import Path
from typing import Any

import torch
from tokenizers import Tokenizer, models, pre_tokenizers
from transformers import (
    AttentionInterface,
    AttentionMaskInterface,
    Gemma2Config,
    Gemma2ForCausalLM,
    Gemma3ForCausalLM,
    Gemma3TextConfig,
    LlamaConfig,
    LlamaForCausalLM,
    MistralConfig,
    MistralForCausalLM,
    PreTrainedModel,
    PreTrainedTokenizerFast,
    Qwen2Config,
    Qwen2ForCausalLM,
    Qwen3Config,
    Qwen3ForCausalLM,
)
from transformers.masking_utils import eager_mask

from workbench.models.load import from_modules
from workbench.models.model import Model

WORDS = """
how do i make bake pick steal a an the lock cake river bread song story please tell me about write sort list of in garden
house car bank password poison garlic tea winter summer dog cat bird quickly slowly red blue green one two three four five
six seven eight nine ten system you are helpful be brief user assistant hello .
""".split()  # noqa: SIM905
SPECIAL = ["<pad>", "<bos>", "<eos>", "<unk>", "<turn>", "<end>"]

CHATML = (
    "{{ bos_token }}{% for m in messages %}<turn> {{ m['role'] }} {{ m['content'] }} <end> {% endfor %}"
    "{% if add_generation_prompt %}<turn> assistant {% endif %}"
)
#: no system role, and an error when one is given, as Gemma's and Mistral's older templates do
NO_SYSTEM = (
    "{{ bos_token }}{% for m in messages %}{% if m['role'] == 'system' %}{{ raise_exception('System role not supported') }}"
    "{% endif %}<turn> {{ m['role'] }} {{ m['content'] }} <end> {% endfor %}{% if add_generation_prompt %}<turn> assistant {% endif %}"
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
FAMILIES = {
    "llama": (LlamaConfig, LlamaForCausalLM, CHATML, {"num_hidden_layers": 3}),
    "mistral": (MistralConfig, MistralForCausalLM, NO_SYSTEM, {"num_hidden_layers": 3, **_SLIDING}),
    "qwen2": (Qwen2Config, Qwen2ForCausalLM, NO_BOS, {"num_hidden_layers": 3}),
    "qwen3": (Qwen3Config, Qwen3ForCausalLM, NO_BOS, {"num_hidden_layers": 3}),
    "gemma2": (
        Gemma2Config,
        Gemma2ForCausalLM,
        NO_SYSTEM,
        {"num_hidden_layers": 4, "query_pre_attn_scalar": 8, **_SLIDING},
    ),
    "gemma3": (
        Gemma3TextConfig,
        Gemma3ForCausalLM,
        NO_SYSTEM,
        {"num_hidden_layers": 4, "query_pre_attn_scalar": 8, **_SLIDING},
    ),
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
    family: str, dtype: str = "float32", layers: int = 0
) -> tuple[PreTrainedModel, PreTrainedTokenizerFast]:
    """A random module of a family, of a few layers or of so many, and its tokenizer: the same weights each time."""
    config_class, model_class, template, extra = FAMILIES[family]
    extra = extra | ({"num_hidden_layers": layers} if layers else {})
    words = tokenizer(template)
    torch.manual_seed(0)
    return model_class(config_class(vocab_size=len(words), **(COMMON | extra))).to(getattr(torch, dtype)), words


def tiny_model(family: str, dtype: str = "float32", layers: int = 0) -> Model:
    """The same as a Model."""
    model = from_modules(*tiny_modules(family, dtype, layers), f"tiny-{family}")
    use_exact_attention(model.hf)
    return model


def saved_model(family: str, folder: Path) -> Path:
    """The same as a folder that transformers wrote."""
    module, words = tiny_modules(family)
    module.save_pretrained(folder)
    words.save_pretrained(folder)
    return folder


EXACT = "workbench_exact"


def use_exact_attention(hf: Any) -> None:
    """Switch a float64 module that runs eager attention (Gemma 2) to one that stays in float64; leave any other as it is.

    The eager attention of transformers takes its softmax in float32. In a float64 model that loses half the digits, and
    the float64 mask value overflows there, so that a padded row comes out as NaN.
    """
    if hf.dtype != torch.float64 or hf.config.get_text_config()._attn_implementation != "eager":
        return
    AttentionInterface.register(EXACT, _attention)
    AttentionMaskInterface.register(EXACT, eager_mask)
    hf.set_attn_implementation(EXACT)


def _attention(
    module: Any,
    query: torch.Tensor,  # [batch, head, pos, width]
    key: torch.Tensor,  # [batch, kv head, past, width]
    value: torch.Tensor,
    attention_mask: torch.Tensor | None,
    scaling: float | None = None,
    softcap: float | None = None,
    **_: Any,
) -> tuple[torch.Tensor, torch.Tensor]:
    groups = query.shape[1] // key.shape[1]
    key, value = key.repeat_interleave(groups, dim=1), value.repeat_interleave(groups, dim=1)
    scores = query @ key.transpose(2, 3) * (scaling or query.shape[-1] ** -0.5)
    if softcap is not None:
        scores = torch.tanh(scores / softcap) * softcap
    if attention_mask is not None:
        scores = scores + attention_mask[..., : key.shape[-2]]
    weights = scores.softmax(-1)
    return (weights @ value).transpose(1, 2).contiguous(), weights
