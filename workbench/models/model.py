"""What a loaded model is, and what a chat is once it is tokens.

``Model.bridge`` is TransformerLens 4's ``TransformerBridge``: every hook of the field, for interactive work.
``Model.hf`` is the plain transformers module on the very same weights: what the fast paths run on. A pre-flight check
holds the two to the same logits each time a model is loaded.
"""

from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from functools import cached_property
from typing import TYPE_CHECKING, Any

import numpy as np
import torch
from jaxtyping import Int
from torch import Tensor

from workbench._errors import WorkbenchError
from workbench._files import content_key
from workbench.models.identity import Revision, Seal, stop_tokens
from workbench.models.prompts import Prompt, Prompts, as_prompts


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
    """Chats as token ids: the prompt, with its template and generation prompt, and the response where there is one.

    Attributes:
        prompts: the user turns. token_ids: of each whole chat. pad_id: what fills a batch up.
        prompt_lengths: tokens of each prompt; the response follows. By default the whole chat is the prompt.
    """

    prompts: tuple[str, ...]
    token_ids: tuple[tuple[int, ...], ...]
    pad_id: int
    prompt_lengths: tuple[int, ...] = ()

    def __post_init__(self) -> None:
        object.__setattr__(self, "prompt_lengths", self.prompt_lengths or self.lengths)

    def __len__(self) -> int:
        return len(self.token_ids)

    @cached_property
    def lengths(self) -> tuple[int, ...]:
        """Tokens per chat, template included."""
        return tuple(map(len, self.token_ids))

    @cached_property
    def responses(self) -> tuple[tuple[int, ...], ...]:
        """The tokens of each response; none where the whole chat is the prompt."""
        return tuple(ids[start:] for ids, start in zip(self.token_ids, self.prompt_lengths, strict=True))

    def take(self, rows: Sequence[int]) -> "Encoded":
        """These chats, in this order; a chat may be taken several times."""
        names = ("prompts", "token_ids", "prompt_lengths")
        chosen: dict[str, Any] = {name: tuple(getattr(self, name)[row] for row in rows) for name in names}
        return replace(self, **chosen)

    def followed_by(self, responses: Sequence[Sequence[int]]) -> "Encoded":
        """These chats, all of each as the prompt, with a response each."""
        chats = tuple((*ids, *response) for ids, response in zip(self.token_ids, responses, strict=True))
        return replace(self, token_ids=chats, prompt_lengths=self.lengths)

    def whole(self) -> "Encoded":
        """The same chats, all of each as the prompt: ``padded`` then pads at the left alone."""
        return replace(self, prompt_lengths=self.lengths)

    def padded(
        self, rows: Sequence[int] | None = None, device: Any = "cpu"
    ) -> tuple[Int[Tensor, "batch pos"], Int[Tensor, "batch pos"]]:
        """Ids and mask of the chosen chats, side by side: all prompts end at one column, and the responses follow it.

        The mask is 1 on real tokens. So prompts are padded at the left and responses at the right.

        >>> ids, mask = model.encode(["write a song", "tell me about the river"]).padded()
        >>> ids.shape, mask.sum(1).tolist(), model.encode(["write a song"]).lengths
        (torch.Size([2, 11]), [9, 11], (9,))
        """
        chosen = range(len(self)) if rows is None else rows
        width = max(self.prompt_lengths[row] for row in chosen)
        columns = width + max(self.lengths[row] - self.prompt_lengths[row] for row in chosen)
        ids, mask = np.full((len(chosen), columns), self.pad_id), np.zeros((len(chosen), columns), dtype=np.int64)
        for i, row in enumerate(chosen):
            start = width - self.prompt_lengths[row]
            here = slice(start, start + self.lengths[row])
            ids[i, here], mask[i, here] = self.token_ids[row], 1
        return torch.from_numpy(ids).to(device), torch.from_numpy(mask).to(device)

    @staticmethod
    def positions(mask: Int[Tensor, "batch pos"]) -> Int[Tensor, "batch pos"]:
        """The place of each column's token in its chat, whatever padding stands before it."""
        return (mask.cumsum(-1) - 1).clamp(min=0)


@dataclass(frozen=True, eq=False)
class Model:
    """A loaded model.

    ``revision`` is a hash of everything that decides what it writes, as it is now (see ``identity``): that of the files it came
    from, after their commit if they are of a hub, or of its memory.
    """

    name: str
    if TYPE_CHECKING:
        revision: str
    else:
        revision: str = Revision()
    bridge: Any = field(repr=False)
    hf: Any = field(repr=False)
    tokenizer: Any = field(repr=False)
    n_layers: int = 0
    d_model: int = 0
    loading: Loading | None = field(default=None, repr=False)  # None: made in memory
    seal: Seal = field(default_factory=Seal, repr=False)

    @property
    def device(self) -> torch.device:
        """Where the token embeddings, and so the inputs, are."""
        return self.hf.get_input_embeddings().weight.device

    @property
    def dtype(self) -> torch.dtype:
        """The dtype of the weights."""
        return self.hf.get_input_embeddings().weight.dtype

    @property
    def stop_ids(self) -> frozenset[int]:
        """Token ids that end a response."""
        return stop_tokens(self)

    @cached_property
    def vocabulary(self) -> str:
        """A fingerprint of the tokenizer: models with the same one mean the same by a token id."""
        return content_key(sorted(self.tokenizer.get_vocab().items()), length=16)

    @cached_property
    def has_system_role(self) -> bool:
        """Whether the chat template writes a system message."""
        from jinja2.exceptions import TemplateError

        messages = [{"role": "system", "content": "The quick brown fox."}, {"role": "user", "content": "Hello."}]
        try:
            text = self.tokenizer.apply_chat_template(messages, tokenize=False, add_generation_prompt=True)
        except TemplateError:
            return False
        return "The quick brown fox." in text

    def encode(
        self, prompts: Sequence[str | Prompt] | Prompts, system: str | None = None, system_in_user: bool = False
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

        >>> chats = model.encode(["write a song", "tell me about the river"])
        >>> len(chats), chats.lengths
        (2, (9, 11))
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
