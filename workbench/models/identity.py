"""Which model is this? Its revision: a hash of everything that decides what it writes.

Of files: every byte of the weights and the adapter, config, tokenizer, chat template and its options, stop tokens. A file is
hashed once (about a second per GB, once) and its hash is kept in the cache folder, as long as size, times, inode and device
of the file prove that it is the same. Of a module in memory: its parameters, config, tokenizer, template and stop tokens.
An edit of a loaded model in memory changes its revision too.
"""

import hashlib
import json
import os
import time
from collections.abc import Iterator
from dataclasses import dataclass
from functools import lru_cache
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

#: Words that are summed at a time.
_PIECE = 1 << 20

#: A model of fewer bytes is read whole each time its revision is asked for.
_SMALL = 8 << 20


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
            pass
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
        return revision_now(model)

    def __set__(self, model: Any, of_files: str) -> None:
        model.__dict__["of_files"] = of_files


def revision_now(model: Any, every_byte: bool = False) -> str:
    """The revision of a model as it is in memory now.

    A model that came from files has theirs, followed by ``~`` and a hash where it was edited since. One without files has the
    hash of its memory.

    Args:
        model: any. every_byte: read all parameters, and not only what PyTorch counts of their changes: an edit through ``.data`` is not
            counted. A small model is always read whole; a sweep reads every byte once.
    """
    seal = model.seal
    tensors = dict(_tensors(model.hf))
    seen = (_words(model), [(name, t.data_ptr(), _version(t), str(t.dtype)) for name, t in tensors.items()])
    small = sum(t.nbytes for t in tensors.values()) <= _SMALL
    if every_byte or small or seen != seal.seen:
        parts = [[name, str(t.dtype), list(t.shape), _checksum(t)] for name, t in tensors.items()]
        now = content_key([_words(model), _config(model.hf), parts], length=12)
        seal.now, seal.seen, seal.at_boot = now, seen, seal.at_boot or now
    if of_files := model.__dict__["of_files"]:
        return of_files if seal.now == seal.at_boot else f"{of_files}~{seal.now}"
    return content_key([seal.now, model.vocabulary], length=16)


def _tensors(hf: Any) -> Iterator[tuple[str, "torch.Tensor"]]:
    """Parameters and buffers. Rotary frequencies are left out: they follow from the config, and some change as they are used."""
    yield from hf.named_parameters()
    yield from ((name, tensor) for name, tensor in hf.named_buffers() if not name.endswith("inv_freq"))


def _version(tensor: "torch.Tensor") -> int:
    return 0 if tensor.is_inference() else tensor._version


def _checksum(tensor: "torch.Tensor") -> int:
    """A sum of all bytes, 8 at a time, each times an odd number that belongs to its place: any single change changes it."""
    import torch

    flat = tensor.detach().contiguous().view(-1).view(torch.uint8)
    rest = flat[len(flat) // 8 * 8 :]
    words, total = flat[: len(flat) - len(rest)].view(torch.int64), 0
    for start in range(0, len(words), _PIECE):
        piece = words[start : start + _PIECE]
        odd = _odd_numbers(len(piece), str(piece.device))
        total = (total * 1000003 + int((piece * odd).sum())) % (1 << 64)
    return (total * 1000003 + int.from_bytes(bytes(rest.tolist()), "little")) % (1 << 64)


@lru_cache(maxsize=4)
def _odd_numbers(n: int, device: str) -> "torch.Tensor":
    import torch

    place = torch.arange(n, device=device)
    return (place * 0x9E3779B97F4A7C1 ^ place * place) * 2 + 1


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
