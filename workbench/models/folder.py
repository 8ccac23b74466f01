"""Can the model in this folder be loaded, and if not: which file is wrong, and what is to be done?

All that can be known without torch is looked at before anything is loaded, so that a broken folder costs no time and one
line says what is wrong with it. ``identity`` hashes the same files.
"""

import json
import zipfile
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from workbench._errors import WorkbenchError
from workbench.models.families import check_config

#: what makes a tokenizer: one of these must be there
_TOKENIZERS = ("tokenizer.json", "tokenizer.model", "vocab.json", "tekken.json")

#: files beside config and weights that decide what a model writes
_TEXT_FILES = (
    "generation_config.json",
    "tokenizer_config.json",
    "special_tokens_map.json",
    "added_tokens.json",
    "merges.txt",
    "chat_template.jinja",
    "chat_template.json",
    *_TOKENIZERS,
)

#: bytes; of a larger JSON file (a tokenizer) only the end is looked at: transformers reads it whole right after
_LARGE = 4 << 20

_LFS = b"version https://git-lfs"


def check_folder(folder: Path) -> None:
    """Look at every file of a model's folder that will be read, and raise WorkbenchError with the first that is broken."""
    config = read_json(folder / "config.json")
    check_config(config, str(folder / "config.json"))
    if other := config.get("transformers_weights"):
        raise WorkbenchError(
            f"{folder / 'config.json'} names weights of its own ({other}); name them model.safetensors"
        )
    for path in weight_files(folder):
        _check_weights(path)
    if (folder / "generation_config.json").is_file():
        check_stop_tokens(read_json(folder / "generation_config.json"), config, folder / "generation_config.json")
    check_tokenizer(folder)


def check_stop_tokens(generation: Mapping[str, Any], config: Mapping[str, Any], where: Path) -> None:
    """Raise WorkbenchError where ``eos_token_id`` is no token of the model, or no list of some."""
    ids = generation.get("eos_token_id")
    known = config.get("vocab_size")
    size = known if isinstance(known, int) else 1 << 32
    for one in ids if isinstance(ids, list) else [] if ids is None else [ids]:
        if type(one) is not int or not 0 <= one < size:
            raise WorkbenchError(f"{where}: eos_token_id is {ids!r:.60}; expected tokens of the model, 0 to {size - 1}")


def has_tokenizer(folder: Path) -> bool:
    """Whether a folder holds a tokenizer."""
    return any((folder / name).is_file() for name in _TOKENIZERS)


def check_tokenizer(folder: Path) -> None:
    """Look at the files of a tokenizer, and raise WorkbenchError with the first that is broken or missing."""
    if not has_tokenizer(folder):
        _refuse_dangling(folder, _TOKENIZERS)
        raise WorkbenchError(
            f"{folder} has no tokenizer: expected {', '.join(_TOKENIZERS[:2])} or vocab.json with merges.txt; copy the "
            "tokenizer of the model it was made from there (tokenizer.save_pretrained)"
        )
    for path in text_files(folder):
        if path.suffix == ".json" and path.stat().st_size > _LARGE:
            if not read_text(path).rstrip().endswith("}"):
                raise WorkbenchError(f"{path} is cut: it does not end as JSON does; download or copy it again")
        elif path.suffix == ".json":
            content = read_json(path)
            if path.name == "tokenizer_config.json" and content.get("auto_map"):
                raise WorkbenchError(
                    f"{path} asks for code of its own (auto_map); code of a model's folder is never run. Take a tokenizer "
                    "that is part of transformers"
                )
        elif path.suffix in (".jinja", ".txt"):
            read_text(path)


def _refuse_dangling(folder: Path, names: Sequence[str]) -> None:
    """Say of a link that leads nowhere what it is: a hub's cache is made of links."""
    for name in names:
        path = folder / name
        if path.is_symlink() and not path.exists():
            raise WorkbenchError(
                f"{path} is a link to {path.readlink()}, which is not there; download or copy it again"
            )


def is_adapter(folder: Path) -> bool:
    """Whether a folder holds an adapter, and no whole model.

    Raises:
        WorkbenchError: it holds both.
    """
    if not (folder / "adapter_config.json").is_file():
        return False
    if any(
        (folder / name).is_file() for name in ("model.safetensors", "model.safetensors.index.json", "pytorch_model.bin")
    ):
        raise WorkbenchError(
            f"{folder} holds both a whole model and an adapter (adapter_config.json); move one of them to a folder of its own"
        )
    return True


def check_adapter(folder: Path) -> str:
    """Look at the files of a LoRA adapter, and return the name of its base, "" if it names none.

    Raises:
        WorkbenchError: a file is missing or broken, it is no LoRA adapter, or it asks for code of its own.
    """
    path = folder / "adapter_config.json"
    config = read_json(path)
    if (kind := config.get("peft_type")) != "LORA":
        raise WorkbenchError(f"{path}: an adapter of type {kind!r} is not supported; expected LORA")
    if config.get("megatron_config"):
        raise WorkbenchError(f"{path} has a module of its own imported (megatron_core), which is never done")
    if not (folder / "adapter_model.safetensors").is_file():
        raise WorkbenchError(
            f"no adapter in {folder}: expected adapter_model.safetensors; save it with safe_serialization=True"
        )
    _check_weights(folder / "adapter_model.safetensors")
    if has_tokenizer(folder):
        check_tokenizer(folder)
    return str(config.get("base_model_name_or_path") or "")


def weight_files(folder: Path) -> list[Path]:
    """The files of weights that transformers reads: those of an index, or the single one.

    Raises:
        WorkbenchError: there are none, or one that the index names is not there.
    """
    for name in ("model.safetensors", "pytorch_model.bin"):
        index = folder / f"{name}.index.json"
        if (folder / name).is_file():
            return [folder / name]
        if index.is_file():
            listed = read_json(index).get("weight_map")
            if not isinstance(listed, Mapping) or not listed or not all(isinstance(v, str) for v in listed.values()):
                raise WorkbenchError(f"{index} has no weight_map of tensor names to files; download it again")
            names = sorted(set(listed.values()))
            if outside := [name for name in names if Path(name).name != name]:
                raise WorkbenchError(
                    f"{index} names {outside[0]!r}, which does not lie in its folder; download it again"
                )
            if gone := [name for name in names if not (folder / name).is_file()]:
                raise WorkbenchError(
                    f"{folder} lacks {len(gone)} of the {len(names)} files of weights that {index.name} names: "
                    f"{', '.join(gone)}; download or copy them again"
                )
            return [folder / name for name in names]
    _refuse_dangling(folder, ("model.safetensors", "model.safetensors.index.json", "pytorch_model.bin"))
    other = ", ".join(sorted(path.name for path in folder.iterdir())) or "nothing"
    hint = "; load a GGUF file by its own path" if list(folder.glob("*.gguf")) else ""
    raise WorkbenchError(
        f"{folder} has no weights: expected model.safetensors, or model.safetensors.index.json with its files; "
        f"there is {other}{hint}"
    )


def text_files(folder: Path) -> list[Path]:
    """The files beside config and weights that decide what a model writes: tokenizer, template, stop tokens."""
    own = [folder / name for name in _TEXT_FILES]
    return [path for path in (*own, *sorted(folder.glob("additional_chat_templates/*.jinja"))) if path.is_file()]


def read_json(path: Path) -> dict[str, Any]:
    """The object that a JSON file holds.

    Raises:
        WorkbenchError: it cannot be read, is no JSON, or holds no object; one line.
    """
    text = read_text(path)
    try:
        content = json.loads(text)
    except (ValueError, RecursionError) as error:
        at = "is empty" if not text.strip() else f"is no JSON ({error})"
        raise WorkbenchError(f"{path} {at}; it may be cut: download or copy it again") from error
    if not isinstance(content, dict):
        raise WorkbenchError(f"{path} holds a {type(content).__name__}; expected a JSON object")
    return content


def read_text(path: Path) -> str:
    """The text of a file of a model; WorkbenchError, one line, where it cannot be read."""
    try:
        with open(path, "rb") as stream:
            content = stream.read()
    except OSError as error:
        raise WorkbenchError(f"cannot read {path}: {error.strerror}") from error
    if content.startswith(_LFS):
        raise _is_pointer(path)
    try:
        return content.decode()
    except UnicodeDecodeError as error:
        raise WorkbenchError(f"{path} is no UTF-8 text (byte {error.start}); download or copy it again") from error


def _check_weights(path: Path) -> None:
    """Raise WorkbenchError unless a file of weights is whole."""
    try:
        with open(path, "rb") as stream:
            start = stream.read(64)
            if start.startswith(_LFS):
                raise _is_pointer(path)
            if path.suffix == ".bin":
                if not start:
                    raise WorkbenchError(f"{path} is empty; download or copy it again")
                if start[:2] == b"PK" and not zipfile.is_zipfile(path):
                    raise WorkbenchError(f"{path} is cut: the end of the file is missing; download or copy it again")
                return
            check_safetensors(path)
            _refuse_quantised(path)
    except OSError as error:
        raise WorkbenchError(f"cannot read {path}: {error.strerror}") from error


def check_safetensors(path: Path) -> list[str]:
    """The names of the tensors of a safetensors file; WorkbenchError unless it is as long as its header says."""
    size, broken = path.stat().st_size, f"{path} is no whole safetensors file"
    with open(path, "rb") as stream:
        length = int.from_bytes(stream.read(8), "little")
        if size < 8 or length > size - 8:
            raise WorkbenchError(f"{broken}: its {size} bytes end within the header; download or copy it again")
        try:
            header = json.loads(stream.read(length))
            entries = {name: entry for name, entry in header.items() if name != "__metadata__"}
            expected = 8 + length + max((entry["data_offsets"][1] for entry in entries.values()), default=0)
        except (ValueError, KeyError, TypeError, AttributeError, IndexError) as error:
            raise WorkbenchError(f"{broken}: its header is no JSON; download or copy it again") from error
    if size != expected:
        raise WorkbenchError(f"{broken}: it has {size} of {expected} bytes; download or copy it again")
    return list(entries)


def _refuse_quantised(path: Path) -> None:
    """Raise WorkbenchError for weights in whole numbers or in 8 bits, which would be taken for what they are not."""
    with open(path, "rb") as stream:
        header = json.loads(stream.read(int.from_bytes(stream.read(8), "little")))
    kinds = {n: e.get("dtype") for n, e in header.items() if n != "__metadata__" and n.endswith(".weight")}
    if odd := [name for name, kind in kinds.items() if kind not in ("F64", "F32", "F16", "BF16")]:
        raise WorkbenchError(
            f"{path}: {len(odd)} weights are quantised or in another form ({odd[0]} is {kinds[odd[0]]}), which is not supported; "
            "take the model in bfloat16, float16 or float32"
        )


def _is_pointer(path: Path) -> WorkbenchError:
    return WorkbenchError(f"{path} is a Git LFS pointer and not the file itself; run `git lfs pull` in its folder")
