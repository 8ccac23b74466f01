"""Where data and cache lie, how a file is written whole, and how content is keyed."""

import errno
import hashlib
import json
import os
import uuid
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

#: the name that this package is installed under; "workbench" is another project on the package index
DISTRIBUTION = "steering-workbench"


def package_folder() -> Path:
    """Where the package itself lies."""
    return Path(__file__).resolve().parent


def data_folder() -> Path:
    """The bundled data: inside an installed package, or beside it in a checkout."""
    package = package_folder()
    bundled = package / "data"
    return bundled if bundled.is_dir() else package.parent / "data"


def cache_folder() -> Path:
    """Where fetched models are kept: ``$WORKBENCH_CACHE``, else ``$XDG_CACHE_HOME/workbench``, else ``~/.cache/workbench``."""
    if chosen := os.environ.get("WORKBENCH_CACHE"):
        return Path(chosen).expanduser()
    return Path(os.environ.get("XDG_CACHE_HOME") or "~/.cache").expanduser() / "workbench"


@contextmanager
def whole(path: str | Path) -> Iterator[Path]:
    """A file that is written whole or not at all: after a crash the old one is there, or the new one.

    Yields:
        A path beside ``path`` to write to. When the block ends well, it is synced to the disk and takes the name ``path``;
        when it does not, it is removed and ``path`` is as it was. A link stays a link: the file that it leads to is written.

    Raises:
        OSError: ``path`` is there and is no file: a folder, a pipe, or a device such as ``/dev/null``, which a file that takes
            its name would destroy.

    >>> with whole(folder / "note.txt") as draft:
    ...     _ = draft.write_text("all of it")
    >>> (folder / "note.txt").read_text()
    'all of it'
    """
    if not isinstance(path, str | Path) or not str(path) or "\0" in str(path):
        raise OSError(errno.EINVAL, f"expected the name of a file, got {path!r:.60}", str(path)[:60])
    target = Path(os.path.realpath(path))
    if target.exists() and not target.is_file():
        kind = "folder" if target.is_dir() else "pipe or device"
        raise OSError(
            errno.EEXIST, f"it is a {kind}, and no file is written over it; give the name of a file", str(path)
        )
    target.parent.mkdir(parents=True, exist_ok=True)
    draft = target.with_name(f".{target.name}.{uuid.uuid4().hex}")
    try:
        yield draft
        _sync(draft)
        draft.replace(target)
        _sync(target.parent)
    except OSError as error:
        if error.filename in (None, str(draft)):  # of a write to a full disk the system names no file, else the draft
            error.filename, error.filename2 = str(path), None
        raise
    finally:
        draft.unlink(missing_ok=True)


def _sync(path: Path) -> None:
    """Have the disk hold what was written."""
    descriptor = os.open(path, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


def content_key(content: object, length: int = 32) -> str:
    """A key that is the same wherever the content is the same: hexadecimal digits of the sha256 of its JSON.

    >>> content_key(["smollm2", 3], length=8)
    'c7999c94'
    """
    return hashlib.sha256(json.dumps(content).encode()).hexdigest()[:length]
