"""Load a model once, hold it two ways, and encode chats in one place.

``Model.bridge`` is TransformerLens 4's ``TransformerBridge``: every hook of the field, for interactive work.
``Model.hf`` is the plain transformers module on the very same weights: what the fast paths run on. A pre-flight check
holds the two to the same logits each time a model is loaded.
"""

import copy
import hashlib
import json
import math
from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from functools import cached_property
from pathlib import Path
from typing import Any

import torch

from workbench.adapters import adapter_revision, fingerprint, merge_adapter
from workbench.checks import preflight, report
from workbench.errors import WorkbenchError
from workbench.fetching import fetch
from workbench.loading import Loading, dtype_of
from workbench.offline import offline, quiet
from workbench.plain import plain_copy
from workbench.prompt_sets import Prompt, Prompts, as_prompts
from workbench.registry import Embedded, Hub, Reference, base_of, references, resolve


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


def load(
    name: str,
    dtype: str | torch.dtype = "float32",
    device: str | None = None,
    device_map: str | dict | None = None,
    revision: str | None = None,
    check: bool = True,
    chat_template: str | None = None,
    adapter_scale: float = 1.0,
) -> Model:
    """Load a model and hold its bridge and its plain module to the same logits.

    Args:
        name: a registry name (``workbench models`` lists them), a hub id, or a local folder.
        dtype: of the weights; float32 where exactness is the point. ``"auto"`` takes bfloat16 where the hardware has
            matrix units for it and float32 elsewhere.
        device: e.g. ``"cuda"``; default: a GPU if there is one, else the CPU.
        device_map: passed to transformers to spread a large model over the GPUs of a machine, e.g. ``"auto"``.
        revision: of a hub model; default: the one pinned in the registry.
        check: run the pre-flight check (about a second) and raise if it fails.
        chat_template: a Jinja chat template, for a model that has none or to replace its own.
        adapter_scale: how much of a reference model's adapter is merged: 1 for all of it, 0 for its base; between them lies
            a family of models that refuse more and more. The revision names a scale other than 1.

    Raises:
        WorkbenchError: unknown name, a failed download, a scale for a model without an adapter, or a failed check.

    >>> model = load("smollm2-refusal")  # doctest: +SKIP
    """
    source = resolve(name)
    if revision is not None and not isinstance(source, Hub):
        raise WorkbenchError(f"revision= is for models of a hub; {name} is pinned by its sha256")
    if adapter_scale != 1 and not (isinstance(source, Reference) and math.isfinite(adapter_scale)):
        raise WorkbenchError(
            f"adapter_scale={adapter_scale} is for reference models ({', '.join(references())}) and finite; got {name}"
        )
    if device is not None and device.startswith("cuda") and not torch.cuda.is_available():
        raise WorkbenchError(f"device {device!r}: no GPU is available here; leave device= out to use the CPU")
    torch_dtype, place = dtype_of(dtype, device), device or ("cuda" if torch.cuda.is_available() else "cpu")
    hf, tokenizer, revision, where = _weights(source, torch_dtype, device_map, revision, adapter_scale)
    if device_map is None:
        hf = hf.to(place)
    if chat_template is not None:
        tokenizer.chat_template = chat_template
    tokenizer.padding_side = "left"
    if tokenizer.pad_token_id is None:
        tokenizer.pad_token = tokenizer.eos_token
    label = source.name if not isinstance(source, Path) else source.name or str(source)
    named = str(source) if isinstance(source, Path) else name
    pinned = revision if isinstance(source, Hub) else None
    loading = Loading(named, torch_dtype, device_map, pinned, chat_template, adapter_scale)
    model = replace(_boot(hf.eval(), tokenizer, label, revision, where), loading=loading)
    if check:
        results = preflight(model)
        if not all(result.passed for result in results):
            raise WorkbenchError(f"{label} failed its pre-flight check:\n{report(results)}")
    return model


def from_modules(hf: Any, tokenizer: Any, name: str, revision: str = "in memory") -> Model:
    """A Model over a transformers module and tokenizer that are already in memory (tiny test models, your own).

    The module is taken over: TransformerLens replaces parts of it, and a copy that shares every weight becomes ``.hf``.
    """
    tokenizer.padding_side = "left"
    if tokenizer.pad_token_id is None:
        tokenizer.pad_token = tokenizer.eos_token
    return _boot(hf.eval(), tokenizer, name, revision, name)


def _boot(hf: Any, tokenizer: Any, name: str, revision: str, where: str) -> Model:
    """The only place that boots TransformerLens. Booting rewires the module, so a copy on the same weights goes first."""
    from transformer_lens.model_bridge import TransformerBridge

    for parameter in hf.parameters():
        parameter.requires_grad_(False)
    plain = plain_copy(hf)
    hf.config.architectures = hf.config.architectures or [type(hf).__name__]
    with offline(), quiet():
        bridge = TransformerBridge.boot_transformers(where, hf_model=hf, tokenizer=_bridge_tokenizer(tokenizer))
    config = plain.config.get_text_config()
    return Model(name, revision, bridge, plain, tokenizer, config.num_hidden_layers, config.hidden_size)


def _bridge_tokenizer(tokenizer: Any) -> Any:
    """A copy for TransformerLens, which changes the tokenizer it is given.

    It also re-reads from disk a tokenizer that does not write a BOS by itself; saying that it does keeps it as it is.
    """
    twin = copy.deepcopy(tokenizer)
    twin.init_kwargs = {"name_or_path": "", **tokenizer.init_kwargs, "add_bos_token": True}
    return twin


def _weights(
    source: Any, dtype: torch.dtype, device_map: Any, revision: str | None, scale: float
) -> tuple[Any, Any, str, str]:
    """Module, tokenizer, revision and place of a resolved source."""
    from transformers import AutoModelForCausalLM, AutoTokenizer

    if isinstance(source, Hub):
        commit = revision or source.revision
        try:
            tokenizer = AutoTokenizer.from_pretrained(source.id, revision=commit)
            hf = AutoModelForCausalLM.from_pretrained(source.id, revision=commit, dtype=dtype, device_map=device_map)
        except OSError as error:
            raise WorkbenchError(
                f"could not load {source.id} at {commit[:12]}: {str(error).splitlines()[0]} "
                "Embedded models need no hub: try smollm2-refusal or gemma3-refusal"
            ) from error
        return hf, tokenizer, getattr(hf.config, "_commit_hash", None) or commit, source.id
    base = base_of(source)
    folder = base if isinstance(base, Path) else fetch(base.name)
    with offline():
        tokenizer = AutoTokenizer.from_pretrained(folder)
        hf = AutoModelForCausalLM.from_pretrained(str(folder), dtype=dtype, device_map=device_map)
    revision = base.sha256[:12] if isinstance(base, Embedded) else fingerprint(folder)
    if isinstance(source, Reference):
        hf, revision = merge_adapter(hf, source.folder, scale), f"{revision}+{adapter_revision(source.folder)}"
        revision += "" if scale == 1 else f"*{scale:g}"
        template = source.folder / "chat_template.jinja"
        if template.is_file():
            tokenizer.chat_template = template.read_text()
    return hf, tokenizer, revision, str(folder)
