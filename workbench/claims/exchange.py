"""How does a ledger go to somebody else? As one file that holds all it takes to compute its verdicts again, and no text of a model.

A ZIP archive: the entries as they are (labels, conditions and keys of the rows; the criterion each was judged by; versions), the
claims files they are about, the registrations, and ``manifest.json``, which says what was claimed and how each verdict came out.
"""

import json
import shutil
import tempfile
import zipfile
from collections.abc import Iterable, Sequence
from pathlib import Path, PurePosixPath

from workbench._errors import WorkbenchError
from workbench._files import whole
from workbench.claims.claim import Claim
from workbench.claims.entries import Entry, versions

_MANIFEST = "manifest.json"
_FORMAT = "workbench ledger 1"
_PARTS = ("verdict-*.parquet", "claims/*/*.toml", "registered/*.json")
_MOST = 2 * 10**9  # bytes that an archive may unpack to


def write_archive(folder: Path, entries: Sequence[Entry], claims: Iterable[Claim], file: str | Path) -> Path:
    """Write the entries of a ledger, and what they rest on, into one file; ``ledger.export`` calls this.

    Args:
        folder: of the ledger.
        entries: all of them.
        claims: that the ledger knows.
        file: to be written; it must not be there.

    Raises:
        WorkbenchError: there are no entries, or the file is there already.
    """
    target = Path(file)
    if not entries:
        raise WorkbenchError(f"{folder} holds no verdicts; run a notebook first, e.g. workbench run NOTEBOOK")
    if target.exists():
        raise WorkbenchError(f"{target} is there already, and nothing is overwritten; choose another name")
    known = {line.id: line for one in claims for line in one.lines()}
    told = [
        {
            "id": one.id,
            "title": one.title,
            "source": f"{one.log.file or one.log.id}, {one.section}",
            "models": one.models,
            "statement": one.statement,
        }
        for one in (known[name] for name in dict.fromkeys(entry.claim for entry in entries) if name in known)
    ]
    verdicts = [entry.summary() | {"claim": entry.claim, "file": entry.file.name} for entry in entries]
    manifest = {"format": _FORMAT, "versions": versions(), "claims": told, "verdicts": verdicts}
    with whole(target) as draft, zipfile.ZipFile(draft, "w", zipfile.ZIP_DEFLATED) as archive:
        archive.writestr(_MANIFEST, json.dumps(manifest, indent=1, ensure_ascii=False))
        for pattern in _PARTS:
            for part in sorted(folder.glob(pattern)):
                archive.write(part, part.relative_to(folder).as_posix())
    return target


def unpacked(file: str | Path) -> tempfile.TemporaryDirectory:
    """A folder with what ``write_archive`` put into a file; it goes when nothing refers to it any more.

    Raises:
        WorkbenchError: it is no such file.
    """
    folder = tempfile.TemporaryDirectory(prefix="workbench-ledger-")
    try:
        with zipfile.ZipFile(file) as archive:
            said = json.loads(archive.read(_MANIFEST))
            if said.get("format") != _FORMAT:
                raise WorkbenchError(f"{file} is of the format {said.get('format')!r:.40}; expected {_FORMAT!r}")
            if sum(part.file_size for part in archive.infolist()) > _MOST:
                raise WorkbenchError(f"{file} unpacks to more than {_MOST // 10**9} GB, which no ledger does")
            for part in archive.infolist():
                _unpack(archive, part, Path(folder.name))
    except (zipfile.BadZipFile, KeyError, ValueError, AttributeError, OSError) as error:
        seen = "there is no such file" if isinstance(error, FileNotFoundError) else str(error)
        raise WorkbenchError(
            f"{file} is no exported ledger ({seen}); workbench ledger --export FILE writes one"
        ) from error
    return folder


def _unpack(archive: zipfile.ZipFile, part: zipfile.ZipInfo, folder: Path) -> None:
    """A file of the kinds that an export holds; anything else that an archive may hold is left out."""
    name = PurePosixPath(part.filename)
    if (
        ".." in name.parts
        or name.is_absolute()
        or not any(name.match(p) and len(name.parts) == p.count("/") + 1 for p in _PARTS)
    ):
        return
    target = folder / name
    target.parent.mkdir(parents=True, exist_ok=True)
    with archive.open(part) as source, target.open("wb") as written:
        shutil.copyfileobj(source, written)
