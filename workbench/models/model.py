"""What a loaded model is, and what a chat is once it is tokens.

``Model.bridge`` is TransformerLens 4's ``TransformerBridge``: every hook of the field, for interactive work.
``Model.hf`` is the plain transformers module on the very same weights: what the fast paths run on. A pre-flight check
holds the two to the same logits each time a model is loaded.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from functools import cached_property
from typing import TYPE_CHECKING, Any

import numpy as np
import torch
from jaxtyping import Int
from torch import Tensor

from workbench._errors import WorkbenchError
from workbench._files import content_key
from workbench.models.chats import (
    ControlTokens,
    check_chat,
    check_kept,
    control_tokens,
    empty_thoughts,
    render,
    template_of,
    template_options,
    writes_system,
)
from workbench.models.identity import Revision, Seal, stop_tokens
from workbench.models.prompts import Prompt, Prompts, as_prompts


@dataclass(frozen=True)
class Loading:
    """Arguments of ``load`` that decide the weights; where they lie is for each process to choose.

    Attributes:
        name: a registry name, a hub id, or the absolute path of a folder.
        revision: of a hub model, else None.
    """

    name: str
    dtype: torch.dtype
    device_map: str | dict | None
    revision: str | None
    chat_template: str | None
    adapter_scale: float = 1.0
    template: Mapping[str, Any] | None = None


@dataclass(frozen=True)
class Encoded:
    """Chats as token ids: the prompt, with its template, generation prompt and prefill, and the response if there is one.

    Attributes:
        prompts: the user turns.
        token_ids: of each whole chat.
        pad_id: what fills a batch up.
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

    ``revision`` is a hash of everything that determines what the model writes, in its present state (see
    ``identity``). It is a hash of the files (after the commit, for a hub model) or of the weights in memory.
    ``template`` holds the options of the chat template. ``date`` is the day that is passed to a template that writes
    today's date. ``engine`` is the engine of sweeps that do not name one.

    >>> model.n_layers, model.d_model, model.dtype  # what wb.load returned
    (3, 32, torch.float32)
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
    template: Mapping[str, Any] = field(default_factory=dict, repr=False)
    engine: Any = field(default="workbench", repr=False)

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
        """A fingerprint of the tokenizer: models with the same fingerprint share their token ids."""
        return content_key(sorted(self.tokenizer.get_vocab().items()), length=16)

    @cached_property
    def has_system_role(self) -> bool:
        """Whether the chat template writes a system message."""
        return writes_system(self.tokenizer, self.name, self.template)

    @cached_property
    def context(self) -> int | None:
        """The maximum number of tokens in one chat, or None if the config does not say.

        Some rotary embeddings (dynamic, longrope) change beyond a certain length, depending on the length of the
        batch. The context ends at that length, because a chat would otherwise be encoded differently in another
        batch.
        """
        config = self.hf.config.get_text_config()
        longest = getattr(config, "max_position_embeddings", None)
        rope = getattr(config, "rope_parameters", None) or getattr(config, "rope_scaling", None) or {}
        kind, trained = rope.get("rope_type", rope.get("type")), rope.get("original_max_position_embeddings")
        if kind in ("dynamic", "longrope"):
            return trained or longest
        if kind == "yarn" and trained:
            return max(longest or 0, int(trained * rope.get("factor", 1)))
        return int(longest * rope.get("factor", 1)) if kind == "linear" and longest else longest

    def check_lengths(self, lengths: Sequence[int], new: int = 0) -> None:
        """Refuse chats that are longer than the context, with ``new`` tokens of a response to come."""
        for number, length in enumerate(lengths, 1):
            if self.context is not None and length + new > self.context:
                rest = f" and max_new_tokens is {new}: {length + new} together" if new else ""
                raise WorkbenchError(
                    f"chat {number} has {length} tokens (template included){rest}; {self.name} reads at most {self.context}. "
                    f"Shorten it{', or lower max_new_tokens' if new else ''}"
                )

    def check_chat(self) -> None:
        """Refuse a chat template that does not keep the prompt, or does not end an answer with a stop token."""
        check_chat(self.tokenizer, self.name, self.template, self.stop_ids)

    @cached_property
    def _empty_thoughts(self) -> list[tuple[tuple[int, ...], tuple[int, ...]]]:
        tokenize = self.tokenize
        ends = empty_thoughts(self.tokenizer, self.name) if self.tokenizer.chat_template else {}
        return [(tuple(tokenize(tail)), tuple(tokenize(end))) for tail, end in ends.items()]

    def at_answer(self, chats: Encoded) -> Encoded:
        """Chats up to where the answer begins: a thinking model's get an empty thought; all others are as they are.

        The empty thought is part of the prompt, as with ``enable_thinking=False`` in the template. A chat with a
        prefill is not changed.

        >>> chats = model.encode(["write a song"])
        >>> model.at_answer(chats) is chats
        True
        """
        ends = [
            next((end for tail, end in self._empty_thoughts if ids[-len(tail) :] == tail), ())
            for ids in chats.token_ids
        ]
        return chats.followed_by(ends).whole() if any(ends) else chats

    def tokenize(self, text: str) -> tuple[int, ...]:
        """The tokens of a text, without any that the tokenizer adds by itself.

        Raises:
            WorkbenchError: a text that the tokenizer cannot read, or a token without an embedding in the model.

        >>> model.tokenizer.decode(model.tokenize("write a song"))
        'write a song'
        """
        try:
            ids = tuple(self.tokenizer.encode(text, add_special_tokens=False))
        except (TypeError, ValueError, OverflowError) as error:
            raise WorkbenchError(f"the tokenizer of {self.name} does not read {text!r:.60} ({error})") from error
        known = self.hf.get_input_embeddings().weight.shape[0]
        if ids and max(ids) >= known:
            raise WorkbenchError(
                f"{self.tokenizer.convert_ids_to_tokens(max(ids))!r} is token {max(ids)} of the tokenizer, but {self.name} has "
                f"embeddings of {known} alone; take its own tokenizer, or resize the embeddings (model.resize_token_embeddings)"
            )
        return ids

    def encode(
        self,
        prompts: Sequence[str | Prompt] | Prompts,
        system: str | None = None,
        system_in_user: bool = False,
        template: Mapping[str, Any] | None = None,
    ) -> Encoded:
        """Chats as token ids: the model's own template, which alone writes the BOS, and behind it the prefill if there is one.

        Args:
            prompts: user turns; a ``Prompt`` may contain a system prompt, several turns or a prefill.
            system: a system prompt for all of them.
            system_in_user: allow a system prompt on a model whose template has no system role, by putting it before
                the user's text.
            template: options of the chat template, e.g. ``{"enable_thinking": False}``, over those that ``load`` was given.

        Raises:
            WorkbenchError: no prompts, a blank prompt, no chat template, a turn that the template drops or refuses, an option
                that it does not read, two system prompts for one prompt, a control token in a prompt that does not ask for
                it, or a chat that is longer than the context.

        >>> chats = model.encode(["write a song", "tell me about the river"])
        >>> len(chats), chats.lengths
        (2, (9, 11))
        """
        items = as_prompts(prompts).items
        texts = [prompt.text for prompt in items]
        template_of(self.tokenizer, self.name)
        options = self.template
        if system is not None and not isinstance(system, str):
            raise WorkbenchError(f"system={system!r:.60}: expected one system prompt as text, for all prompts")
        if template is not None and not isinstance(template, Mapping):
            raise WorkbenchError(
                f"template={template!r:.60}: expected options by name, e.g. {{'enable_thinking': False}}"
            )
        if template is not None:
            options = template_options(self.tokenizer, self.name, {**self.template, **template})
        if system is not None and (twice := [prompt.id for prompt in items if prompt.system]):
            raise WorkbenchError(f"prompt {twice[0]!r} has a system prompt of its own; leave system= out")
        systems = [prompt.system or system for prompt in items]
        has_role = all(own is None for own in systems) or writes_system(self.tokenizer, self.name, options)
        if not has_role and not system_in_user:
            raise WorkbenchError(
                f"the chat template of {self.name} has no system role; pass system_in_user=True to put it before the user's "
                "text, or, where prompts bring their own, prompts.system_in_user()"
            )
        if not has_role:
            own = tuple(replace(p, system=s or "") for p, s in zip(items, systems, strict=True))
            items, systems = Prompts("", own).system_in_user().items, [None] * len(items)
        control = control_tokens(self.tokenizer, self.name)
        written = [self._write(prompt, own, options, control) for prompt, own in zip(items, systems, strict=True)]
        starts = [self.tokenize(prompt.prefill) if prompt.prefill else () for prompt in items]
        rows = tuple((*self.tokenize(text), *start) for text, start in zip(written, starts, strict=True))
        self.check_lengths([len(ids) for ids in rows])
        return Encoded(tuple(texts), rows, self.tokenizer.pad_token_id)

    def _write(self, prompt: Prompt, system: str | None, options: Mapping[str, Any], control: ControlTokens) -> str:
        """One chat as text, without its prefill."""
        turns = (*(() if system is None else (("system", system),)), *prompt.turns)
        whose = f"prompt {prompt.id!r}"
        if not prompt.control_tokens:
            control.check([content for _, content in turns], prompt.prefill, self.name, whose)
        messages = [{"role": role, "content": content} for role, content in turns]
        text = render(self.tokenizer, self.name, messages, options, whose=whose)
        check_kept(text, messages, self.name, whose)
        return text
