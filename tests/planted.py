"""Tiny models whose behaviour is written into the weights: a bigram language, and a judge that counts good and bad words."""

import torch
from transformers import LlamaConfig, LlamaForCausalLM

from tests.families import CHATML, tokenizer
from workbench.models.load import from_modules
from workbench.models.model import Model

#: what follows what, likely; anything else has probability SLIP in all
FOLLOWS = {
    "assistant": ("the", "a"),
    "the": ("cat", "dog", "bird", "river"),
    "a": ("cat", "dog", "bird", "river"),
    "cat": ("in", "."),
    "dog": ("in", "."),
    "bird": ("in", "."),
    "river": ("in", "."),
    "in": ("the", "a"),
    ".": ("the", "a"),
}
SLIP = 0.02
GOOD, BAD = ("cake", "song", "summer"), ("poison", "steal", "garlic")


def bigram(word: str, vocabulary: dict[str, int]) -> torch.Tensor:
    """Probabilities of the next word, [vocabulary], float64."""
    p = torch.full((len(vocabulary),), SLIP / len(vocabulary), dtype=torch.float64)
    likely = [vocabulary[w] for w in FOLLOWS.get(word, ())]
    p[likely] += (1 - SLIP) / max(len(likely), 1)
    return p / p.sum()


def bigram_model() -> Model:
    """Writes by FOLLOWS alone: its log-probabilities are known exactly."""
    words = tokenizer(CHATML)
    vocabulary = words.get_vocab()
    module = _silent(len(vocabulary))
    width = module.config.hidden_size
    with torch.no_grad():
        for word, i in vocabulary.items():
            module.lm_head.weight[:, i] = (bigram(word, vocabulary).log() / width**0.5).float()
    return from_modules(module, words, "planted-bigram")


def judge_model(sure: float = 20.0) -> Model:
    """Rates a chat 0 to 9 by its share of GOOD words minus BAD ones; with ``sure`` below 0 it would rather say "hello"."""
    words = tokenizer(CHATML)
    words.add_tokens([str(n) for n in range(10)])
    vocabulary = words.get_vocab()
    module = _silent(len(vocabulary))
    width, channel = module.config.hidden_size, module.config.hidden_size - 1
    layer = module.model.layers[0].self_attn
    with torch.no_grad():
        for group, sign in ((GOOD, 1.0), (BAD, -1.0)):
            for word in group:
                layer.v_proj.weight[0, vocabulary[word]] = sign / width**0.5
        layer.o_proj.weight[channel, 0] = 2.0  # attention is uniform: the mean over the chat
        last = vocabulary["assistant"]
        for n in range(10):
            module.lm_head.weight[vocabulary[str(n)], last] = (sure - 0.3 * (n - 4.5) ** 2) / width**0.5
            module.lm_head.weight[vocabulary[str(n)], channel] = 3.0 * (n - 4.5) / width**0.5
        module.lm_head.weight[vocabulary["hello"], last] = 10.0 / width**0.5
    return from_modules(module, words, f"planted-judge {sure:g}")


def _silent(vocabulary: int) -> LlamaForCausalLM:
    """One layer that adds nothing, one-hot embeddings: what the last token says is all that decides."""
    config = LlamaConfig(
        vocab_size=vocabulary,
        hidden_size=96,
        intermediate_size=8,
        num_hidden_layers=2,
        num_attention_heads=1,
        num_key_value_heads=1,
        head_dim=8,
        rms_norm_eps=1e-12,
        pad_token_id=0,
        bos_token_id=1,
        eos_token_id=2,
        tie_word_embeddings=False,
    )
    module = LlamaForCausalLM(config)
    with torch.no_grad():
        for name, parameter in module.named_parameters():
            if "norm" not in name:
                parameter.zero_()
        module.model.embed_tokens.weight[:, :vocabulary] = torch.eye(vocabulary)
    return module
