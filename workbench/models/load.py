"""How a model is loaded: its weights, from a hub, the cache, a folder or memory; an adapter merged; and one check of it.

The result holds two modules on the same weights: TransformerLens' bridge, and a plain transformers module, which every
forward pass of this package goes through.
"""

import copy
import hashlib
import json
import math
from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

import torch

from workbench._errors import WorkbenchError
from workbench.models.chats import check_template, template_options
from workbench.models.checks import preflight, report
from workbench.models.fetch import fetch, offline, quiet
from workbench.models.model import Loading, Model
from workbench.models.registry import Embedded, Hub, Reference, base_of, references, resolve


def load(
    name: str,
    dtype: str | torch.dtype = "float32",
    device: str | None = None,
    device_map: str | dict | None = None,
    revision: str | None = None,
    check: bool = True,
    chat_template: str | None = None,
    adapter_scale: float = 1.0,
    template: Mapping[str, Any] | None = None,
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
        template: options of the chat template, e.g. ``{"enable_thinking": False}``. A template that writes today's date is
            told one day, 26 July 2024, unless ``{"date": "2025-01-31"}`` names another.

    Raises:
        WorkbenchError: unknown name, a failed download, a scale for a model without an adapter, or a failed check.

    >>> tiny = load(model_folder)
    >>> tiny.n_layers, tiny.d_model, tiny.dtype
    (3, 32, torch.float32)
    """
    source = resolve(name)
    if chat_template is not None:
        check_template(chat_template)
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
    label = source.name if not isinstance(source, Path) else source.name or str(source)
    named = str(source) if isinstance(source, Path) else name
    pinned = revision if isinstance(source, Hub) else None
    loading = Loading(named, torch_dtype, device_map, pinned, chat_template, adapter_scale, template)
    options = template_options(tokenizer, label, template)
    model = replace(_boot(hf.eval(), tokenizer, label, revision, where), loading=loading, template=options)
    if check:
        results = preflight(model)
        if not all(result.passed for result in results):
            raise WorkbenchError(f"{label} failed its pre-flight check:\n{report(results)}")
    return model


def from_modules(
    hf: Any, tokenizer: Any, name: str, revision: str = "in memory", template: Mapping[str, Any] | None = None
) -> Model:
    """A Model over a transformers module and tokenizer that are already in memory (tiny test models, your own).

    The module is taken over: TransformerLens replaces parts of it, and a copy that shares every weight becomes ``.hf``.
    """
    options = template_options(tokenizer, name, template)
    return replace(_boot(hf.eval(), tokenizer, name, revision, name), template=options)


def _boot(hf: Any, tokenizer: Any, name: str, revision: str, where: str) -> Model:
    """The only place that boots TransformerLens. Booting rewires the module, so a copy on the same weights goes first."""
    from transformer_lens.model_bridge import TransformerBridge

    tokenizer.padding_side = "left"
    if tokenizer.pad_token_id is None:
        tokenizer.pad_token = tokenizer.eos_token
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


def dtype_of(dtype: str | torch.dtype, device: str | None) -> torch.dtype:
    """The dtype that ``load`` was given by name, or as "auto".

    Raises:
        WorkbenchError: not one that models are run in.
    """
    if dtype == "auto":
        return fast_dtype(device)
    meant = getattr(torch, dtype, None) if isinstance(dtype, str) else dtype
    if meant not in (torch.float64, torch.float32, torch.bfloat16, torch.float16):
        raise WorkbenchError(f"dtype {dtype!r}: expected float32, bfloat16, float16, float64 or 'auto'")
    return meant


def fast_dtype(device: str | None = None) -> torch.dtype:
    """bfloat16 where the hardware multiplies matrices in it (a GPU, or a CPU with AMX), float32 elsewhere."""
    if torch.cuda.is_available() and device != "cpu":
        return torch.bfloat16
    has_amx = getattr(torch.cpu, "_is_amx_tile_supported", lambda: False)()
    return torch.bfloat16 if has_amx else torch.float32


def merge_adapter(hf: Any, folder: Path, scale: float = 1.0) -> Any:
    """The module with a LoRA adapter of ``folder`` merged into its weights, its change of them times ``scale``.

    Raises WorkbenchError when the folder holds no adapter.
    """
    from peft import PeftModel
    from peft.tuners.lora import LoraLayer

    if not (folder / "adapter_model.safetensors").is_file():
        raise WorkbenchError(
            f"no adapter in {folder}: expected adapter_model.safetensors; `python -m training` makes one"
        )
    with offline(), quiet():
        tuned = PeftModel.from_pretrained(hf, str(folder))
        for module in tuned.modules():
            if isinstance(module, LoraLayer):
                module.scale_layer(scale)
        return tuned.merge_and_unload()


def adapter_revision(folder: Path) -> str:
    """A short hash of an adapter's weights."""
    return hashlib.sha256((folder / "adapter_model.safetensors").read_bytes()).hexdigest()[:12]


def fingerprint(folder: Path) -> str:
    """A short hash that names the weights of a local folder: config, file sizes, and both ends of each weight file."""
    digest = hashlib.sha256((folder / "config.json").read_bytes())
    for path in sorted(folder.glob("*.safetensors")) + sorted(folder.glob("*.bin")):
        size = path.stat().st_size
        digest.update(json.dumps([path.name, size]).encode())
        with open(path, "rb") as stream:
            digest.update(stream.read(1 << 20))
            stream.seek(max(size - (1 << 20), 0))
            digest.update(stream.read())
    return digest.hexdigest()[:12]


def plain_copy(hf: Any) -> Any:
    """A copy that shares every weight and buffer, with attention that batching does not change, and a quick head."""
    plain = copy.deepcopy(hf, {id(t): t for t in [*hf.parameters(), *hf.buffers()]})
    use_exact_attention(plain)
    plain.get_output_embeddings().register_forward_pre_hook(_contiguous)
    _settle(plain)
    return plain


def _contiguous(_: Any, args: tuple) -> tuple:
    """The head's input in one piece.

    Given a slice of columns, as ``logits_to_keep`` makes it, PyTorch on a CPU multiplies row by row with a copy of the whole
    head for each: of 160 rows and 49,152 words in bfloat16 that took 12 s of the 15 s that reading their prompts took.
    """
    return (args[0].contiguous(), *args[1:])


@torch.no_grad()
def _settle(hf: Any) -> None:
    """One forward pass that nothing depends on.

    On a CPU, in about one process of five, the very first pass came out with rotary cosines off by 1.5e-4, and logits by
    1e-4 of the largest; every later pass agrees to the last bit.
    """
    ids = torch.zeros(1, 64, dtype=torch.long, device=hf.get_input_embeddings().weight.device)
    hf.get_decoder()(input_ids=ids, use_cache=False)


def use_exact_attention(hf: Any) -> None:
    """Switch a float64 module that runs eager attention (Gemma 2) to one that stays in float64; leave any other as it is.

    The eager attention of transformers takes its softmax in float32. In a float64 model that loses half the digits, and
    the float64 mask value overflows there, so that a padded row comes out as NaN.
    """
    if hf.dtype != torch.float64 or hf.config.get_text_config()._attn_implementation != "eager":
        return
    from transformers import AttentionInterface, AttentionMaskInterface
    from transformers.masking_utils import eager_mask

    AttentionInterface.register("workbench_exact", _attention)
    AttentionMaskInterface.register("workbench_exact", eager_mask)
    hf.set_attn_implementation("workbench_exact")


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
