"""A tiny Llama whose refusal direction, its sign, its layer and the dose at which it breaks are set by hand.

Layer 0 carries the topic of the words to the last token and layer 1 their harm, written as a known direction; layer 2 does
nothing. The unembedding reads that direction: "Sorry" above 0.2, "sure" below, and an endless "the" or "red" beyond ±4.
"""

import numpy as np
import torch
from tokenizers import Tokenizer, models, pre_tokenizers
from transformers import LlamaConfig, LlamaForCausalLM, PreTrainedTokenizerFast

import workbench as wb
from tests.families import CHATML
from workbench.models.load import from_modules
from workbench.models.model import Model

HARMFUL = [f"harm{i}" for i in range(12)]
HARMLESS = [f"kind{i}" for i in range(12)]
FILLER = [f"word{i}" for i in range(12)]
REPLIES = ["Sorry", "sure", "the", "red"]
SPECIAL = ["<pad>", "<bos>", "<eos>", "<unk>", "<turn>", "<end>"]
VOCABULARY = [*SPECIAL, "user", "assistant", *REPLIES, *HARMFUL, *HARMLESS, *FILLER]

WIDTH, LAYER, GAIN = 32, 1, 1.4
REFUSES_ABOVE, BREAKS_AT = 0.2, 4.0
ONE, HARM, TOPIC, DONE, CARRIED = 0, 1, 2, 3, 6  # coordinates of the stream; 4 to 7 also hold noise


def planted_direction():
    """The direction that means refusal, of norm 1, in coordinates that nothing else uses."""
    vector = torch.zeros(WIDTH)
    vector[8:] = torch.randn(WIDTH - 8, generator=torch.Generator().manual_seed(5))
    return vector / vector.norm()


def _tokenizer():
    core = Tokenizer(models.WordLevel({word: i for i, word in enumerate(VOCABULARY)}, unk_token="<unk>"))
    core.pre_tokenizer = pre_tokenizers.WhitespaceSplit()
    return PreTrainedTokenizerFast(
        tokenizer_object=core,
        chat_template=CHATML,
        additional_special_tokens=["<turn>", "<end>"],
        pad_token="<pad>",
        bos_token="<bos>",
        eos_token="<eos>",
        unk_token="<unk>",
    )


def _embeddings():
    table = torch.zeros(len(VOCABULARY), WIDTH)
    table[:, ONE] = 1
    table[:, 4:8] = torch.randn(len(VOCABULARY), 4, generator=torch.Generator().manual_seed(6)) * 0.3
    for i, word in enumerate(VOCABULARY):
        table[i, HARM] = (word in HARMFUL) - float(word in HARMLESS)
        table[i, TOPIC] = (i % 3) - 1.0
        table[i, DONE] = 50.0 * (word in ("Sorry", "sure"))
    return table


def _unembedding(direction):
    """Rows are read as: c times the direction plus a constant."""
    table = torch.zeros(len(VOCABULARY), WIDTH)
    table[:, ONE] = -100
    for word, slope, constant in (
        ("Sorry", 1.0, 0.0),
        ("sure", 0.0, REFUSES_ABOVE),
        ("the", 3.0, -2 * BREAKS_AT),
        ("red", -1.0, REFUSES_ABOVE - BREAKS_AT),
    ):
        table[VOCABULARY.index(word)] = slope * direction
        table[VOCABULARY.index(word), ONE] = constant
    table[VOCABULARY.index("<eos>")] = 0
    table[VOCABULARY.index("<eos>"), [DONE, ONE]] = torch.tensor([1.0, -5.0])
    return table


@torch.no_grad()
def planted_model() -> Model:
    """The model; nothing in it is random that is not noise."""
    config = LlamaConfig(
        vocab_size=len(VOCABULARY),
        hidden_size=WIDTH,
        intermediate_size=16,
        num_hidden_layers=3,
        num_attention_heads=4,
        num_key_value_heads=4,
        head_dim=8,
        max_position_embeddings=128,
        pad_token_id=0,
        bos_token_id=1,
        eos_token_id=2,
        tie_word_embeddings=False,
    )
    module = LlamaForCausalLM(config)
    direction = planted_direction()
    module.model.embed_tokens.weight.copy_(_embeddings())
    module.lm_head.weight.copy_(_unembedding(direction))
    for number, layer in enumerate(module.model.layers):
        layer.mlp.down_proj.weight.zero_()
        attention = layer.self_attn
        for part in (attention.q_proj, attention.k_proj, attention.v_proj, attention.o_proj):
            part.weight.zero_()  # equal scores: each token attends to all before it alike
        if number == 0:
            attention.v_proj.weight[0, TOPIC] = 1
            attention.o_proj.weight[CARRIED, 0] = 1
        if number == LAYER:
            attention.v_proj.weight[0, HARM] = 1
            attention.o_proj.weight[:, 0] = GAIN * direction
    return from_modules(module, _tokenizer(), "planted")


def planted_pairs(n, seed):
    """n distinct prompts a side, of 3 neutral words and 2 to 4 that mean harm, or none."""
    rng = np.random.default_rng(seed)
    sides = []
    for words in (HARMFUL, HARMLESS):
        found = {}
        while len(found) < n:
            chosen = [*rng.choice(FILLER, 3, replace=False), *rng.choice(words, rng.integers(2, 5), replace=False)]
            found[" ".join(rng.permutation(chosen))] = None
        sides.append(list(found))
    return wb.Pairs(*sides)
