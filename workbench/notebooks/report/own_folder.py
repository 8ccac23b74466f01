"""How is a report's folder replaced? By one that was built beside it, and only where every file in it is as a report wrote it."""

import hashlib
import json
import os
import platform
import re
import shutil
import uuid
from collections.abc import Iterator, Mapping
from contextlib import contextmanager, suppress
from pathlib import Path

from workbench._errors import WorkbenchError
from workbench._files import content_key
from workbench.notebooks.execute import check_folder

#: lies in every folder that a report made, and says which files are its own once it is whole
_MARKER = ".workbench-report"


@contextmanager
def replace_folder(target: Path) -> Iterator[Path]:
    """A folder to write to, which takes the place of ``target`` when the block ends well and is removed when it does not.

    Until then ``target`` stays as it is, whatever happens; what a killed process left beside it is cleared away. A folder that no
    report made and that is empty is filled, and not replaced.

    Raises:
        WorkbenchError: ``target`` is a file, or holds one that no report wrote.

    >>> with replace_folder(folder / "site") as draft:
    ...     _ = (draft / "index.html").write_text("first")
    >>> _ = (folder / "site" / "thesis.tex").write_text("mine")
    >>> with replace_folder(folder / "site") as draft:
    ...     pass
    Traceback (most recent call last):
    workbench._errors.WorkbenchError: ...site holds thesis.tex, which no report wrote; move it away, or give another folder with --out
    """
    given, target = target, Path(os.path.abspath(target.resolve()))
    _check_own(given)  # a message shows the folder as it was given
    target.parent.mkdir(parents=True, exist_ok=True)
    _clear_leftovers(target)
    draft = target.with_name(f".{target.name}.draft-{_host()}-{os.getpid()}-{uuid.uuid4().hex}")
    draft.mkdir()
    try:
        _write_marker(draft, {})
        yield draft
        _write_marker(draft, {name: _hash(draft / name) for name in _files_in(draft) if name != _MARKER})
        _check_own(given)
        _swap(draft, target)
    finally:
        shutil.rmtree(draft, ignore_errors=True)


def _swap(draft: Path, target: Path) -> None:
    if target.is_dir() and not (target / _MARKER).exists():
        _fill(draft, target)
        return
    old = target.with_name(draft.name.replace(".draft-", ".old-"))
    if target.exists():
        target.rename(old)
    try:
        draft.rename(target)
    except OSError:
        if old.exists():
            old.rename(target)
        raise
    shutil.rmtree(old, ignore_errors=True)


def _fill(draft: Path, target: Path) -> None:
    """Move what was built into an empty folder, the marker first, so that another report knows what a killed one left."""
    for child in sorted(draft.iterdir(), key=lambda child: child.name != _MARKER):
        shutil.move(child, target / child.name)


def _check_own(target: Path) -> None:
    check_folder(target, "--out")
    if not target.is_dir():
        return
    own = _read_marker(target).get("files", {})
    for name in _files_in(target):
        if name not in own and name != _MARKER:
            raise WorkbenchError(
                f"{target} holds {name}, which no report wrote; move it away, or give another folder with --out"
            )
        if isinstance(own, dict) and name in own and _hash(target / name) != own[name]:
            raise WorkbenchError(
                f"{target / name} was changed since a report wrote it; move it away, or give another folder with --out"
            )


def _clear_leftovers(target: Path) -> None:
    """Remove what processes that are gone left beside the target; a report that one had set aside is put back."""
    import psutil

    for kind in ("old", "draft"):
        for left in target.parent.glob(f".{target.name}.{kind}-*"):
            made = re.fullmatch(rf"\.{re.escape(target.name)}\.{kind}-(\w+)-(\d+)-[0-9a-f]{{32}}", left.name)
            if made is None or made[1] != _host() or psutil.pid_exists(int(made[2])):
                continue
            if kind == "old" and not target.exists() and (left / _MARKER).is_file():
                left.rename(target)
            else:
                shutil.rmtree(left, ignore_errors=True)


def _host() -> str:
    return content_key(platform.node(), length=8)


def _files_in(folder: Path) -> Iterator[str]:
    """What lies in a folder, links and empty folders included, one after the other: of a whole disk only the first few are seen."""
    for root, folders, files in os.walk(folder):
        if not folders and not files and Path(root) != folder:
            yield f"{Path(root).relative_to(folder).as_posix()}/"
        links = [name for name in folders if os.path.islink(os.path.join(root, name))]
        for name in sorted([*files, *links]):
            yield Path(root, name).relative_to(folder).as_posix()


def _hash(path: Path) -> str:
    """What a file says; of a link where it leads."""
    content = os.readlink(path).encode() if path.is_symlink() else path.read_bytes()
    return hashlib.sha256(content).hexdigest()


def _write_marker(folder: Path, files: Mapping[str, str]) -> None:
    (folder / _MARKER).write_text(json.dumps({"files": dict(files)}), encoding="utf-8")


def _read_marker(folder: Path) -> dict:
    with suppress(OSError, ValueError):
        marker = json.loads((folder / _MARKER).read_text(encoding="utf-8"))
        return marker if isinstance(marker, dict) else {}
    return {}
