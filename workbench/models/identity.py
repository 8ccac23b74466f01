"""Which model is this? Its revision: a hash of everything that decides what it writes.

Of files: every byte of the weights and the adapter, config, tokenizer, chat template and its options, stop tokens. A file is
hashed once (about a second per GB, once) and its hash is kept in the cache folder, as long as size, times, inode and device
of the file prove that it is the same. Of a module in memory: its parameters, config, tokenizer, template and stop tokens.
An edit of a loaded model in memory changes its revision too, however it was made.
"""

import hashlib
import json
import os
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from workbench._errors import WorkbenchError
from workbench._files import cache_folder, content_key, whole
from workbench.models.folder import read_json, text_files, weight_files

if TYPE_CHECKING:
    import torch

#: A file younger than this when it was hashed may change again without its times showing it: its hash is not kept.
_SETTLED_SECONDS = 3.0

#: What a JSON file says of the program that wrote it, and not of the model.
_NOT_THE_MODEL = ("transformers_version", "_name_or_path", "name_or_path")

#: Words of 8 bytes that are summed at a time, as rows of so many.
_SQUARE, _SIDE = 1 << 17, 512


def file_hash(path: Path) -> str:
    """The sha256 of a file's bytes, computed once for as long as the file is proved unchanged."""
    try:
        kept = _kept_at(path)
        proof = _proof(path)
        try:
            content = json.loads(kept.read_text())
            if content["proof"] == proof:
                return str(content["sha256"])
        except (OSError, ValueError, KeyError, TypeError):
            pass  # no hash is kept yet, or its file is torn: it is computed again, and the file is written anew
        with open(path, "rb") as stream:
            digits = hashlib.file_digest(stream, "sha256").hexdigest()
        if _proof(path) != proof:
            raise WorkbenchError(f"{path} changed while it was read; wait until it is written, and load it again")
    except OSError as error:
        raise WorkbenchError(f"cannot read {path}: {error.strerror}") from error
    if time.time() - max(proof[1], proof[2]) / 1e9 > _SETTLED_SECONDS:
        try:
            with whole(kept) as draft:
                draft.write_text(json.dumps({"path": str(path), "proof": proof, "sha256": digits}))
        except OSError:  # a cache that cannot be written costs time, and nothing else
            pass
    return digits


def _kept_at(path: Path) -> Path:
    return cache_folder() / "hashes" / f"{content_key(str(path.resolve()))}.json"


def _proof(path: Path) -> list[int]:
    """What proves a file unchanged: a write sets its times, and only the system can set the second of them."""
    about = os.stat(path)
    return [about.st_size, about.st_mtime_ns, about.st_ctime_ns, about.st_ino, about.st_dev]


def files_revision(folder: Path, adapter: Path | None = None, **said: object) -> str:
    """The revision of a model of files: 16 hexadecimal digits.

    Args:
        folder: of the model; or its GGUF file.
        adapter: the folder of a LoRA adapter that is merged into it.
        said: what the caller said that decides the text too, e.g. a chat template; None where nothing was said.

    Raises:
        WorkbenchError: a file is missing or cannot be read.
    """
    if folder.is_file():
        content = [["gguf", file_hash(folder)]]
    else:
        content = [[path.name, file_hash(path)] for path in weight_files(folder)]
        content += [[path.name, _text_hash(path)] for path in (folder / "config.json", *text_files(folder))]
    if adapter is not None:
        own = [adapter / name for name in ("adapter_config.json", "adapter_model.safetensors")]
        content += [["adapter", path.name, _text_hash(path)] for path in (*own, *text_files(adapter))]
    content += [["said", name, repr(value)] for name, value in sorted(said.items()) if value is not None]
    return content_key(content, length=16)


def _text_hash(path: Path) -> str:
    """The hash of a file; of the small JSON files, of what they say."""
    if path.suffix != ".json" or path.name in ("tokenizer.json", "vocab.json", "tekken.json"):
        return file_hash(path)
    content = {name: value for name, value in read_json(path).items() if name not in _NOT_THE_MODEL}
    return content_key(json.dumps(content, sort_keys=True))


@dataclass
class Seal:
    """What a model was in memory when it was booted, and when it was last looked at."""

    at_boot: str = ""
    now: str = ""
    seen: object = None


class Revision:
    """The field ``revision`` of a model: it is given that of the files, "" for none, and gives what the model is now."""

    def __get__(self, model: Any, _: type | None = None) -> str:
        if model is None:
            raise AttributeError("revision")  # so that the field has no default
        return _look(model, every_byte=True)

    def __set__(self, model: Any, of_files: str) -> None:
        model.__dict__["of_files"] = of_files


def revision_now(model: Any) -> str:
    """The revision of a model as it is in memory now: every byte of its weights is read, about 0.3 s per GB on a CPU.

    A model that came from files has theirs, followed by ``~`` and a hash where it was edited since. One without files has the
    hash of its memory: weights, config, what its modules are and hold, tokenizer, template and stop tokens. Hooks and methods that a
    user puts in are not part of it.
    """
    check_layers(model.hf, model.n_layers, model.name)
    return _look(model, every_byte=True)


def known_revision(model: Any) -> str:
    """The same without reading the weights again, for use behind ``revision_now``: what PyTorch counts of their changes shows."""
    check_layers(model.hf, model.n_layers, model.name)
    return _look(model, every_byte=False)


def memory_hash(model: Any) -> str:
    """What a model is in memory now, whatever its files and the caller call it: equal for a copy that writes the same.

    >>> len(memory_hash(model)), memory_hash(model) == memory_hash(model)
    (12, True)
    """
    _look(model, every_byte=True)
    return str(model.seal.now)


def check_layers(hf: Any, expected: int, name: str) -> None:
    """Raise WorkbenchError where a module has more or fewer layers than it should: nothing that names a layer would be right."""
    if (seen := len(hf.get_decoder().layers)) != expected:
        raise WorkbenchError(
            f"{name} has {seen} layers in memory and {expected} in its config; set config.num_hidden_layers = {seen} before "
            "wb.from_modules(hf, tokenizer, name), or load the model again"
        )


def _look(model: Any, every_byte: bool) -> str:
    seal = model.seal
    tensors = dict(_tensors(model.hf))
    rest = [_words(model), _tokenizer_state(model.tokenizer), _config(model.hf), _modules_state(model.hf)]
    seen = (rest, [(name, t.data_ptr(), _version(t), str(t.dtype)) for name, t in tensors.items()])
    if every_byte or seen != seal.seen:
        parts = [[name, str(t.dtype), list(t.shape), _checksum(t)] for name, t in tensors.items()]
        now = content_key([*rest, parts], length=12)
        seal.now, seal.seen, seal.at_boot = now, seen, seal.at_boot or now
    if of_files := model.__dict__["of_files"]:
        return of_files if seal.now == seal.at_boot else f"{of_files}~{seal.now}"
    return content_key([seal.now, model.vocabulary], length=16)


def _tensors(hf: Any) -> Iterator[tuple[str, "torch.Tensor"]]:
    """Parameters and buffers; the rotary frequencies only where they do not change as they are used."""
    yield from hf.named_parameters()
    yield from ((n, t) for n, t in hf.named_buffers() if not (n.endswith("inv_freq") and _rope_moves(hf)))


def _rope_moves(hf: Any) -> bool:
    """Whether the rotary frequencies depend on what was read last."""
    config = hf.config.get_text_config()
    rope = getattr(config, "rope_parameters", None) or getattr(config, "rope_scaling", None) or {}
    return any(kind in json.dumps(rope, default=str) for kind in ("dynamic", "longrope"))


def _modules_state(hf: Any) -> list[object]:
    """What decides the text beside tensors: which modules there are, and the numbers that each holds (an epsilon, a scale)."""
    moves, state = _rope_moves(hf), list[object]()
    for name, module in hf.named_modules():
        if moves and "inv_freq" in module._buffers:
            continue
        held = {k: v for k, v in vars(module).items() if k[0] != "_" and isinstance(v, bool | int | float | str)}
        state.append([name, type(module).__qualname__, sorted(held.items())])
    return state


def _tokenizer_state(tokenizer: Any) -> list[object]:
    """What a tokenizer does, but for its vocabulary: of that its size, and a token here and there."""
    core = getattr(tokenizer, "backend_tokenizer", None)
    special = [str(tokenizer.special_tokens_map), sorted(tokenizer.all_special_tokens), len(tokenizer)]
    if core is None:
        return special
    size = core.get_vocab_size(with_added_tokens=True)
    tokens = [core.id_to_token(i) for i in range(0, size, max(1, size // 500))]
    parts = [str(part) for part in (core.normalizer, core.pre_tokenizer, core.decoder)]
    return [*special, size, tokens, parts]


def _version(tensor: "torch.Tensor") -> int:
    return 0 if tensor.is_inference() else tensor._version


def _checksum(tensor: "torch.Tensor") -> str:
    """A hash of all bytes, by sums over the rows and columns of squares of them: no change or swap of one or two words is lost."""
    import torch

    flat = tensor.detach().contiguous().view(-1).view(torch.uint8)
    words = flat[: len(flat) // 8 * 8].view(torch.int64)
    squares = len(words) // _SQUARE * _SQUARE
    sums = []
    for start in range(0, squares, _SQUARE):
        square = words[start : start + _SQUARE].view(-1, _SIDE)
        sums += [square.sum(0), square.sum(1)]
    digest = hashlib.sha256(flat[squares * 8 :].cpu().numpy().tobytes())
    if sums:
        digest.update(torch.cat(sums).cpu().numpy().tobytes())
    return digest.hexdigest()[:32]


def _words(model: Any) -> list[object]:
    """What decides the text beside weights and config: the template and the tokens that end a response."""
    return [str(model.tokenizer.chat_template), sorted(stop_tokens(model))]


def stop_tokens(model: Any) -> frozenset[int]:
    """The ids that end a response: those of the generation config, and the tokenizer's own."""
    ids = model.hf.generation_config.eos_token_id
    listed = ids if isinstance(ids, list) else [ids]
    return frozenset(i for i in [*listed, model.tokenizer.eos_token_id] if i is not None)


def _config(hf: Any) -> str:
    content = {name: value for name, value in hf.config.to_dict().items() if name not in _NOT_THE_MODEL}
    return json.dumps([type(hf).__name__, content], sort_keys=True, default=str)
