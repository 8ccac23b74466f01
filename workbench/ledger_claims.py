"""Claims of one's own in a ledger: a copy of their file, so that ledger, recheck and report know them without being told."""

import os
import uuid
from pathlib import Path

from workbench.claims import Claim, logged_claims, read_claims
from workbench.errors import WorkbenchError
from workbench.folders import data_folder
from workbench.toml_lines import read_toml

_FOLDER = "claims"


def keep_claim(ledger: Path, claim: Claim) -> None:
    """Copy the file of a claim, and the files that it uses, into a ledger; the logged claims need no copy.

    Args:
        ledger: its folder. claim: as ``wb.claim(id, file)`` gives it.

    Raises:
        WorkbenchError: the claim is from no file; its file uses files of another folder; or an id of the file is that of a
            logged claim, or of a claim from another file of this ledger. Nothing is written then.
    """
    if not claim.file:
        raise WorkbenchError(
            f"{claim.id} is from no file, so nobody could check its verdict; read it: wb.claim(id, 'FILE.toml')"
        )
    source = Path(claim.file)
    if source.resolve().parent == (data_folder() / "claims").resolve():
        return
    target = ledger / _FOLDER / source.stem
    _check_ids(ledger, source)
    names = [source.name, *read_toml(source)[0].get("uses", [])]
    if outside := [name for name in names if Path(name).name != name]:
        raise WorkbenchError(f"{source} uses {outside[0]}; what verdicts rest on uses files beside it only")
    for name in reversed(names):
        _copy(source.parent / name, target / name)


def kept_claims(ledger: Path) -> tuple[Claim, ...]:
    """The claims of one's own that verdicts of a ledger are about, as they were when they were last judged.

    Raises:
        WorkbenchError: a copy is broken, or two files hold a claim of the same id.
    """
    found: dict[str, Claim] = {}
    files = [path for path in sorted((ledger / _FOLDER).glob("*/*.toml")) if path.stem == path.parent.name]
    for file in files:
        for one in read_claims(file, notebooks=False):
            if one.id in found:
                raise WorkbenchError(
                    f"claim {one.id} is in {found[one.id].file} and {one.file}; remove the outdated folder"
                )
            found[one.id] = one
    return tuple(found.values())


def _check_ids(ledger: Path, source: Path) -> None:
    """No claim of a file is called like a logged one, or like one that this ledger has from a file of another name."""
    others = {one.id: "a logged claim" for one in logged_claims()}
    others |= {one.id: one.file for one in kept_claims(ledger) if Path(one.file).stem != source.stem}
    for one in read_claims(source, notebooks=False):
        if one.id in others:
            raise WorkbenchError(f"{source}: the id {one.id} is taken by {others[one.id]}; choose another")


def _copy(source: Path, target: Path) -> None:
    """Copy a file, whole or not at all."""
    content = source.read_bytes()
    if target.is_file() and target.read_bytes() == content:
        return
    target.parent.mkdir(parents=True, exist_ok=True)
    draft = target.with_name(f".{target.name}.{uuid.uuid4().hex}")
    draft.write_bytes(content)
    os.replace(draft, target)
