"""How a model is loaded: its weights, from a hub, the cache, a folder or memory; an adapter merged; and one check of it.

The result holds two modules on the same weights: TransformerLens' bridge, and a plain transformers module, which every
forward pass of this package goes through.
"""

import contextlib
import copy
import gc
import math
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

import torch

from workbench._errors import WorkbenchError
from workbench.models.chats import check_template, template_options
from workbench.models.checks import preflight, report
from workbench.models.environment import devices
from workbench.models.families import refuse_other_family
from workbench.models.fetch import Files, files_of, offline, one_line, quiet, read_gguf
from workbench.models.folder import check_adapter, check_safetensors, has_tokenizer, is_adapter, read_json
from workbench.models.identity import check_layers, file_hash
from workbench.models.model import Loading, Model
from workbench.models.registry import SOURCES, Hub, Reference, references, resolve
from workbench.steering.steer import number

#: what transformers knows our attention in float64 by, once it was chosen in a process
EXACT = "workbench_exact"

#: bytes of weights that are read within seconds
_WITHOUT_A_BAR = 2_000_000_000


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
    """Load a model, and check that its bridge and its plain module give the same logits.

    Args:
        name: a registry name (``workbench models`` lists them), a hub id, the folder of a model or of a LoRA adapter, which is
            merged into its base, or a GGUF file.
        dtype: of the weights; float32, the default, is the most exact. ``"auto"`` takes bfloat16 where the hardware
            has matrix units for it and float32 elsewhere.
        device: "cuda", "cuda:1", "mps" or "cpu"; "auto", as by default, takes the first available of cuda, mps and
            cpu. mps (Apple silicon) is untested.
        device_map: passed to transformers to spread a large model over the GPUs of a machine, e.g. ``"auto"``.
        revision: of a hub model; default: the one pinned in the registry.
        check: run the pre-flight check (about a second) and raise if it fails.
        chat_template: a Jinja chat template, for a model that has none or to replace its own; or the name of one of several.
        adapter_scale: how much of a reference model's adapter is merged: 1 for all of it, 0 for its base. The model
            refuses more as the scale grows. The revision names a scale other than 1.
        template: options of the chat template, e.g. ``{"enable_thinking": False}``. A template that writes today's
            date always gets 26 July 2024, unless ``{"date": "2025-01-31"}`` gives another day.

    Raises:
        WorkbenchError: unknown name, a failed download, a broken file, a family that is not supported, code of the model's own,
            quantised weights, weights that are not those of the config, a scale for a model without an adapter, or a failed
            check. Loading never installs a package, never asks on the terminal, and never runs code of a model's
            folder.

    >>> tiny = load(model_folder)
    >>> tiny.n_layers, tiny.d_model, tiny.dtype
    (3, 32, torch.float32)
    """
    source = resolve(name)
    adapter_scale = number(adapter_scale, "adapter_scale")
    if chat_template is not None and not str(chat_template).isidentifier():  # that may be the name of one of several
        check_template(chat_template)
    if revision is not None and not isinstance(source, Hub):
        raise WorkbenchError(f"revision= is for models of a hub; {name} is pinned by its sha256")
    has_adapter = isinstance(source, Reference) or (isinstance(source, Path) and source.is_dir() and is_adapter(source))
    if adapter_scale != 1 and not (has_adapter and math.isfinite(adapter_scale)):
        raise WorkbenchError(
            f"adapter_scale={adapter_scale} is for models with an adapter ({', '.join(references())}) and finite; got {name}"
        )
    place = _place(device)
    torch_dtype = dtype_of(dtype, place.type)
    files = files_of(source, revision)
    files.check()
    own = source.resolve() if isinstance(source, Path) else source
    label = str(own) if isinstance(own, Path) and own.name in SOURCES else own.name
    named = str(own) if isinstance(own, Path) else name
    pinned = files.commit if isinstance(source, Hub) else None
    loading = Loading(named, torch_dtype, device_map, pinned, chat_template, adapter_scale, template)
    with _no_collection(), one_line(files.adapter or files.folder):
        hf, tokenizer = _read(files, torch_dtype, device_map, adapter_scale)
        if device_map is None:
            hf = hf.to(place)
        _choose_template(tokenizer, chat_template, label)
        options = template_options(tokenizer, label, template)
        revision = files.revision(chat_template, adapter_scale)
        model = _boot(hf.eval(), tokenizer, label, revision, str(files.folder.resolve()), options, loading)
        if check:
            _check(model, label)
    return model


def _check(model: Model, label: str) -> None:
    results = preflight(model)
    if all(result.passed for result in results):
        return
    if broken := [name for name, tensor in model.hf.named_parameters() if not torch.isfinite(tensor).all()]:
        raise WorkbenchError(
            f"{len(broken)} weights of {label} hold NaN or infinite values ({_few(broken)}); save or download it again, or load "
            "it as float32 if they were too large for another dtype"
        )
    raise WorkbenchError(f"{label} failed its pre-flight check:\n{report(results)}")


def _place(device: object) -> torch.device:
    """Where a model goes; by default, or with "auto", the first of cuda, mps and cpu that there is.

    Raises:
        WorkbenchError: no device, or one that is not there.
    """
    there = [name for name, present in devices().items() if present]
    if device is None or device == "auto":
        return torch.device(there[0])
    try:
        place = torch.device(device)  # type: ignore[call-overload]
    except (RuntimeError, TypeError, ValueError) as error:
        raise WorkbenchError(f"device {device!r:.60}: expected e.g. 'cpu', 'cuda' or 'cuda:1'") from error
    if place.type not in ("cpu", "cuda", "mps") or isinstance(device, bool | int):
        raise WorkbenchError(f"device {device!r:.60}: expected e.g. 'cpu', 'cuda' or 'cuda:1'")
    if place.type not in there:
        raise WorkbenchError(f"device {device!r}: it is not available here; leave device= out to use {there[0]}")
    number = torch.cuda.device_count() if place.type == "cuda" else 1
    if place.index is not None and place.index >= number:
        raise WorkbenchError(f"device {device!r}: the last one here is {place.type}:{number - 1}")
    return place


def from_modules(
    hf: Any, tokenizer: Any, name: str, revision: str = "", template: Mapping[str, Any] | None = None
) -> Model:
    """A Model over a transformers module and tokenizer that are already in memory (tiny test models, your own).

    The module is taken over: TransformerLens replaces parts of it, and a copy that shares every weight becomes ``.hf``.

    Args:
        hf, tokenizer: what transformers made.
        name: what results call it.
        revision: what names its weights; by default a hash of them, of its config and of its tokenizer.

    Raises:
        WorkbenchError: no causal language model and tokenizer of transformers, a family that is not supported, layers that are
            not those of the config, quantised weights, or a tokenizer without end and padding.
    """
    _refuse_other_modules(hf, tokenizer, name)
    options = template_options(tokenizer, name, template)
    try:
        return _boot(hf.eval(), tokenizer, name, revision, name, options)
    except (
        AttributeError,
        TypeError,
        IndexError,
        KeyError,
    ) as error:  # of a block that lacks or has what its family has not
        said = " ".join(str(error).split())
        raise WorkbenchError(
            f"the modules of {name} are not those of its family ({type(error).__name__}: {said:.200}); give the model as "
            "transformers made it, and edit its weights alone"
        ) from error


def _refuse_other_modules(hf: Any, tokenizer: Any, name: str) -> None:
    """Raise WorkbenchError for what is no causal language model and tokenizer of transformers, or has other layers."""
    from transformers import PreTrainedModel, PreTrainedTokenizerBase

    if not isinstance(hf, PreTrainedModel) or hf.get_output_embeddings() is None:
        raise WorkbenchError(
            f"hf of {name} is {type(hf).__name__}: expected a causal language model with its head, as "
            "transformers.AutoModelForCausalLM.from_pretrained(...) gives it"
        )
    if not isinstance(tokenizer, PreTrainedTokenizerBase):
        raise WorkbenchError(
            f"tokenizer of {name} is {type(tokenizer).__name__}: expected what transformers.AutoTokenizer.from_pretrained(...) gives"
        )
    refuse_other_family(hf.config.model_type, name)
    check_layers(hf, hf.config.get_text_config().num_hidden_layers, name)


def _boot(
    hf: Any,
    tokenizer: Any,
    name: str,
    revision: str,
    where: str,
    template: Mapping[str, Any],
    loading: Loading | None = None,
) -> Model:
    """The only place that boots TransformerLens. Booting rewires the module, so a copy on the same weights goes first."""
    refuse_other_family(hf.config.model_type, name)
    if (method := getattr(hf, "quantization_method", None)) is not None:
        raise WorkbenchError(
            f"the weights of {name} are quantised ({method}), which is not supported; load them in bfloat16"
        )
    tokenizer.padding_side = "left"
    known = hf.get_input_embeddings().weight.shape[0]
    if tokenizer.eos_token_id is not None and tokenizer.eos_token_id >= known:
        raise WorkbenchError(
            f"the tokenizer of {name} ends with {tokenizer.eos_token!r}, token {tokenizer.eos_token_id}, but the model has "
            f"embeddings of {known} alone; set eos_token in its tokenizer_config.json to one that it has"
        )
    if tokenizer.pad_token_id is None or tokenizer.pad_token_id >= known:  # nothing is read where it pads
        if tokenizer.eos_token_id is None:
            raise WorkbenchError(
                f"the tokenizer of {name} has neither eos_token nor pad_token; set them in its tokenizer_config.json"
            )
        tokenizer.pad_token = tokenizer.eos_token
    for parameter in hf.parameters():
        parameter.requires_grad_(False)
    if hf.dtype == torch.float64 and hasattr(hf.config.get_text_config(), "num_experts_per_tok"):
        hf.set_experts_implementation("eager")  # the grouped products of the other ways know no float64
    plain = plain_copy(hf)
    hf.config.architectures = hf.config.architectures or [type(hf).__name__]
    with offline(), quiet(), nothing_installed() as TransformerBridge:
        bridge = TransformerBridge.boot_transformers(where, hf_model=hf, tokenizer=_bridge_tokenizer(tokenizer))
    config = plain.config.get_text_config()
    n_layers, d_model = config.num_hidden_layers, config.hidden_size
    model = Model(name, revision, bridge, plain, tokenizer, n_layers, d_model, loading, template=template)
    model.revision  # noqa: B018 (looks at the memory as it is now: any later edit shows)
    return model


@contextlib.contextmanager
def nothing_installed() -> Iterator[Any]:
    """TransformerLens' bridge, which inside runs no pip: without torchvision it would install that for some models."""
    from transformer_lens.model_bridge import TransformerBridge
    from transformer_lens.model_bridge.sources.transformers import helpers

    before, helpers._ensure_torchvision = helpers._ensure_torchvision, lambda: False
    try:
        yield TransformerBridge
    finally:
        helpers._ensure_torchvision = before


def _bridge_tokenizer(tokenizer: Any) -> Any:
    """A copy for TransformerLens, which changes the tokenizer it is given. Both hold one and the same vocabulary.

    It also re-reads from disk a tokenizer that does not write a BOS by itself; saying that it does keeps it as it is. Where
    it would add tokens of its own, the vocabulary is copied too.
    """
    held = [*tokenizer.init_kwargs.values(), *vars(tokenizer).values()]
    shared = {id(one): one for one in held if isinstance(one, dict | list) and len(one) > 1000}
    adds = tokenizer.eos_token_id is None or (tokenizer.bos_token is not None and tokenizer.bos_token_id is None)
    if not adds:
        shared[id(tokenizer.backend_tokenizer)] = tokenizer.backend_tokenizer
    twin = copy.deepcopy(tokenizer, shared)
    small = {name: value for name, value in tokenizer.init_kwargs.items() if id(value) not in shared}
    twin.init_kwargs = {"name_or_path": "", **small, "add_bos_token": True}
    return twin


@contextlib.contextmanager
def _no_collection() -> Iterator[None]:
    """No garbage collection inside: reading a large tokenizer makes a million lists, and each round looks at all of torch."""
    if not gc.isenabled():
        yield
        return
    gc.disable()
    try:
        yield
    finally:
        gc.enable()


def _read(files: Files, dtype: torch.dtype, device_map: Any, scale: float) -> tuple[Any, Any]:
    """Module and tokenizer of files that were checked."""
    from transformers import AutoModelForCausalLM, AutoTokenizer

    folder = files.folder
    if folder.is_file():
        _, hf, tokenizer = read_gguf(folder, dtype)
    else:
        own = {"trust_remote_code": False, "local_files_only": True}
        how = own | {
            "dtype": dtype,
            "device_map": device_map,
            "ignore_mismatched_sizes": True,
        }  # so that all are listed
        spoken = files.adapter if files.adapter is not None and has_tokenizer(files.adapter) else folder
        with offline(), quiet(), one_line(spoken):
            tokenizer = _converted_tokenizer(spoken) if files.converted and spoken == folder else None
            tokenizer = tokenizer or AutoTokenizer.from_pretrained(spoken, **own)
        large = sum(file.stat().st_size for file in folder.glob("*.safetensors")) > _WITHOUT_A_BAR
        with offline(), quiet(bars=large), one_line(folder):
            both: Any = AutoModelForCausalLM.from_pretrained(str(folder), **how, output_loading_info=True)
            hf, loaded = both
        _refuse_other_weights(loaded, folder)
    if files.adapter is not None:
        hf = merge_adapter(hf, files.adapter, scale)
        template = files.adapter / "chat_template.jinja"
        if template.is_file():
            tokenizer.chat_template = template.read_text()
    return hf, tokenizer


def _converted_tokenizer(folder: Path) -> Any | None:
    """The tokenizer of a folder that ``fetch`` converted, read once; or None, where its class does more than its file says.

    transformers parses Gemma's tokenizer.json twice, and builds its 262,144 tokens and their merges again from Python: 4 of
    the 6 s that such a model took to load. The file gives the same tokenizer. Qwen's class adds a normaliser.
    """
    from transformers import PreTrainedTokenizerFast

    told = read_json(folder / "tokenizer_config.json")
    if told.pop("tokenizer_class", None) not in ("GemmaTokenizer", "TokenizersBackend"):
        return None
    template = folder / "chat_template.jinja"
    if template.is_file():
        told["chat_template"] = template.read_text(encoding="utf-8")
    file = str(folder / "tokenizer.json")
    return PreTrainedTokenizerFast(tokenizer_file=file, name_or_path=str(folder), **told)


def _refuse_other_weights(loaded: Mapping[str, Any], folder: Path) -> None:
    """Raise WorkbenchError where weights are missing (transformers makes them up), unexpected, or of another shape."""
    missing = sorted(loaded["missing_keys"])
    unexpected = sorted(name for name in loaded["unexpected_keys"] if not name.endswith("rotary_emb.inv_freq"))
    reshaped = [f"{name} {tuple(seen)} for {tuple(own)}" for name, seen, own in sorted(loaded["mismatched_keys"])]
    kinds = {"missing": missing, "unexpected": unexpected, "of another shape": reshaped}
    told = [f"{len(names)} {kind} ({_few(names)})" for kind, names in kinds.items() if names]
    told += [str(error).splitlines()[0] for error in loaded.get("error_msgs") or ()]
    if told:
        prefixes = ("_orig_mod.", "base_model.model.", "module.")
        prefix = next((p for p in prefixes if any(name.startswith(p) for name in unexpected)), "")
        hint = f"remove the prefix {prefix!r} from their names" if prefix else "save or download the model again"
        raise WorkbenchError(f"the weights in {folder} are not those of its config.json: {'; '.join(told)}; {hint}")


def _few(names: Sequence[str], most: int = 8) -> str:
    return ", ".join(names[:most]) + (f" and {len(names) - most} more" if len(names) > most else "")


def _choose_template(tokenizer: Any, said: str | None, label: str) -> None:
    """One chat template: the one that was said, by its text or by its name among several; else the default of several."""
    own = tokenizer.chat_template
    if isinstance(own, dict):
        if (name := said or "default") not in own and said is None:
            raise WorkbenchError(
                f"{label} has several chat templates ({', '.join(own)}) and none called default; choose one: "
                f"wb.load(..., chat_template={next(iter(own), '')!r})"
            )
        tokenizer.chat_template = own[name] if name in own else check_template(said)
    elif said is not None:
        tokenizer.chat_template = check_template(said)


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
    kind = _place(device).type
    if kind == "cuda":
        return torch.bfloat16
    if kind == "mps":
        return torch.float32
    has_amx = getattr(torch.cpu, "_is_amx_tile_supported", lambda: False)()
    return torch.bfloat16 if has_amx else torch.float32


def merge_adapter(hf: Any, folder: Path, scale: float = 1.0) -> Any:
    """The module with a LoRA adapter of ``folder`` merged into its weights, its change of them times ``scale``.

    Raises WorkbenchError when the folder holds no adapter.
    """
    from peft import PeftModel, get_peft_model_state_dict
    from peft.tuners.lora import LoraLayer

    check_adapter(folder)
    with offline(), quiet(), one_line(folder):
        tuned = PeftModel.from_pretrained(hf, str(folder))
        expected = set(get_peft_model_state_dict(tuned))
        saved = set(check_safetensors(folder / "adapter_model.safetensors"))
        if other := sorted(saved ^ expected):
            raise WorkbenchError(
                f"the adapter in {folder} does not fit its base: {len(expected - saved)} weights missing, "
                f"{len(saved - expected)} unexpected ({_few(other)})"
            )
        for module in tuned.modules():
            if isinstance(module, LoraLayer):
                module.scale_layer(scale)
        return tuned.merge_and_unload()


def adapter_revision(folder: Path) -> str:
    """A short hash of an adapter's weights, as its card states it."""
    return file_hash(folder / "adapter_model.safetensors")[:12]


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
