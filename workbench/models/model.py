"""Load a model once, hold it two ways, and encode chats in one place.

``Model.bridge`` is TransformerLens 4's ``TransformerBridge``: every hook of the field, for interactive work.
``Model.hf`` is the plain transformers module on the very same weights: what the fast paths run on. A pre-flight check
holds the two to the same logits each time a model is loaded.

How a model is asked for: in which dtype, and what it was loaded with, so that another process can load the same one.
"""

import hashlib
import json
from collections.abc import Sequence
from dataclasses import dataclass, field
from functools import cached_property
from typing import Any

import numpy as np
import torch

from workbench._errors import WorkbenchError
from workbench.models.prompts import Prompt, Prompts, as_prompts
from workbench.steering.positions import Positions


@dataclass(frozen=True)
class Loading:
    """Arguments of ``load`` that decide the weights; where they lie is for each process to choose.

    Attributes:
        name: a registry name, a hub id, or the absolute path of a folder. revision: of a hub model, else None.
    """

    name: str
    dtype: torch.dtype
    device_map: str | dict | None
    revision: str | None
    chat_template: str | None
    adapter_scale: float = 1.0


@dataclass(frozen=True)
class Encoded:
    """Chats as token ids, template and generation prompt included. One entry per prompt.

    ``tensors`` left-pads any subset; the position of token ``t`` is never a column number but its place in the chat.
    """

    prompts: tuple[str, ...]
    token_ids: tuple[tuple[int, ...], ...]
    pad_id: int

    def __len__(self) -> int:
        return len(self.token_ids)

    @cached_property
    def lengths(self) -> tuple[int, ...]:
        """Tokens per prompt, template included."""
        return tuple(len(ids) for ids in self.token_ids)

    def take(self, rows: Sequence[int]) -> "Encoded":
        """These chats, in this order; a chat may be taken several times."""
        return Encoded(tuple(self.prompts[i] for i in rows), tuple(self.token_ids[i] for i in rows), self.pad_id)

    def tensors(self, rows: Sequence[int] | None = None, device: Any = "cpu") -> tuple[torch.Tensor, torch.Tensor]:
        """Left-padded ids and mask of the chosen rows. Each [batch, pos], int64; the mask is 1 on real tokens."""
        chosen = [self.token_ids[row] for row in (range(len(self)) if rows is None else rows)]
        width = max(map(len, chosen))
        ids = torch.tensor([[self.pad_id] * (width - len(t)) + list(t) for t in chosen], device=device)
        mask = torch.tensor([[0] * (width - len(t)) + [1] * len(t) for t in chosen], device=device)
        return ids, mask


@dataclass(frozen=True, eq=False)
class Model:
    """A loaded model.

    ``revision`` names the weights: the hub commit, or a hash of the files (base and adapter) they came from.
    """

    name: str
    revision: str
    bridge: Any = field(repr=False)
    hf: Any = field(repr=False)
    tokenizer: Any = field(repr=False)
    n_layers: int = 0
    d_model: int = 0
    loading: Loading | None = field(default=None, repr=False)  # None: made in memory

    @property
    def device(self) -> torch.device:
        """Where the token embeddings, and so the inputs, are."""
        return self.hf.get_input_embeddings().weight.device

    @property
    def dtype(self) -> torch.dtype:
        """The dtype of the weights."""
        return self.hf.get_input_embeddings().weight.dtype

    @cached_property
    def stop_ids(self) -> frozenset[int]:
        """Token ids that end a response."""
        ids = self.hf.generation_config.eos_token_id
        listed = ids if isinstance(ids, list) else [ids]
        return frozenset(i for i in [*listed, self.tokenizer.eos_token_id] if i is not None)

    @cached_property
    def vocabulary(self) -> str:
        """A fingerprint of the tokenizer: models with the same one mean the same by a token id."""
        entries = sorted(self.tokenizer.get_vocab().items())
        return hashlib.sha256(json.dumps(entries).encode()).hexdigest()[:16]

    @cached_property
    def has_system_role(self) -> bool:
        """Whether the chat template writes a system message."""
        from jinja2.exceptions import TemplateError

        marker = "The quick brown fox."
        try:
            messages = [{"role": "system", "content": marker}, {"role": "user", "content": "Hello."}]
            text = self.tokenizer.apply_chat_template(messages, tokenize=False, add_generation_prompt=True)
        except TemplateError:
            return False
        return marker in text

    def encode(
        self,
        prompts: Sequence[str | Prompt] | Prompts,
        system: str | None = None,
        system_in_user: bool = False,
    ) -> Encoded:
        """Chats as token ids: the model's own template, rendered straight to ids, so that there is one BOS.

        Args:
            prompts: user turns; a ``Prompt`` that has a system prompt of its own brings it along.
            system: a system prompt for all of them.
            system_in_user: allow a system prompt on a model whose template has no system role, by putting it before
                the user's text.

        Raises:
            WorkbenchError: no prompts, a blank prompt, no chat template, a system prompt that the template drops, or
                two system prompts for one prompt.

        >>> model.encode(["Hello."]).lengths  # doctest: +SKIP
        (31,)
        """
        items = as_prompts(prompts).items
        texts = [prompt.text for prompt in items]
        if not self.tokenizer.chat_template:
            raise WorkbenchError(
                f"{self.name} has no chat template (a pretrained model?); give one: wb.load(..., chat_template='...')"
            )
        if system is not None and (twice := [prompt.id for prompt in items if prompt.system]):
            raise WorkbenchError(f"prompt {twice[0]!r} has a system prompt of its own; leave system= out")
        systems = [prompt.system or system for prompt in items]
        if any(s is not None for s in systems) and not self.has_system_role and not system_in_user:
            raise WorkbenchError(
                f"the chat template of {self.name} has no system role; pass system_in_user=True to put it before the user's "
                "text, or, where prompts bring their own, prompts.system_in_user()"
            )
        rows = tuple(tuple(self._render(text, own)) for text, own in zip(texts, systems, strict=True))
        return Encoded(tuple(texts), rows, self.tokenizer.pad_token_id)

    def _render(self, text: str, system: str | None) -> list[int]:
        messages = [{"role": "user", "content": text}]
        if system is not None and self.has_system_role:
            messages.insert(0, {"role": "system", "content": system})
        elif system is not None:
            messages[0]["content"] = f"{system}\n\n{text}"
        return self.tokenizer.apply_chat_template(messages, add_generation_prompt=True, return_dict=False)


@dataclass(frozen=True)
class Texts:
    """Chats to read, as tokens: ``encoded`` holds them whole, ``prompt_lengths`` says where each response begins."""

    encoded: Encoded
    prompt_lengths: tuple[int, ...]

    def __len__(self) -> int:
        return len(self.encoded)

    def mask(self, row: int, read: Positions) -> np.ndarray:
        """Which tokens of a chat are read. Shape [token], bool."""
        return read.mask(self.prompt_lengths[row], self.encoded.lengths[row])
