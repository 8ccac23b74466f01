"""How do I begin a claim of my own? With a claims file and a notebook, which both run before a word is filled in."""

import json
import re
from dataclasses import dataclass
from pathlib import Path
from string import Template

import nbformat

from workbench._errors import WorkbenchError
from workbench._files import whole
from workbench.claims.claim import ID, ID_WORDS, NOTEBOOKS
from workbench.claims.files import logged_claims

_TEMPLATES = Path(__file__).parent / "templates"
_MARK = "FILL IN"
_KERNEL = {"name": "python3", "display_name": "Python 3", "language": "python"}


@dataclass(frozen=True)
class Scaffold:
    """The files of a new claim."""

    claims: Path
    notebook: Path


def new_claim(identity: str, folder: str | Path = "claims", title: str = "") -> Scaffold:
    """Write the claims file and the notebook of a new claim; both are valid, and mark what is to be filled in.

    Args:
        identity: id of the claim: letters, digits, dots, hyphens and underscores.
        folder: where they go; the notebook gets the next number there.
        title: of the claim; by default its id.

    Returns:
        Where they lie: ``FOLDER/ID.toml`` and ``FOLDER/NN_id.ipynb``.

    Raises:
        WorkbenchError: the file is there already, a logged claim has that id, or the id is not valid. Nothing is written then.

    >>> made = new_claim("P1", folder, title="Steering makes answers polite")
    >>> made.claims.name, made.notebook.name
    ('P1.toml', '01_p1.ipynb')
    >>> wb.claim("P1", made.claims).audit().verdict
    'untestable'
    """
    place = Path(folder)
    claims = place / f"{identity}.toml"
    _check(identity, claims)
    number, stem = _numbered(place, identity)
    named = " ".join("".join(c for c in title if c.isprintable() or c.isspace()).split()) or identity
    quoted = json.dumps(named, ensure_ascii=False)[
        1:-1
    ]  # between the quotes of a TOML string, whose escapes are JSON's
    words = {"id": identity, "stem": stem, "number": number, "file": claims.name, "title": named}
    text, notebook = _filled("claim.toml", {**words, "title": quoted}), _notebook(_filled("notebook.txt", words))
    made = Scaffold(claims, place / f"{stem}.ipynb")
    begun = (
        claims.is_file() and claims.read_bytes() == text.encode()
    )  # one that was killed before it wrote the notebook
    if claims.exists() and not begun:
        raise WorkbenchError(f"{claims} is there already, and nothing is overwritten; choose another id or --folder")
    with whole(claims) as draft:
        draft.write_text(text, encoding="utf-8")
    try:
        with whole(made.notebook) as draft:
            nbformat.write(notebook, draft)
    except BaseException:
        claims.unlink()
        raise
    return made


def open_places(path: str | Path) -> tuple[int, ...]:
    """The lines of a claims file that still say what is to be filled in; comments do not count."""
    lines = Path(path).read_text(encoding="utf-8").splitlines()
    return tuple(i for i, line in enumerate(lines, 1) if _MARK in line and not line.lstrip().startswith("#"))


def _check(identity: str, claims: Path) -> None:
    if not isinstance(identity, str) or not ID.fullmatch(identity) or len(identity) > 100:
        raise WorkbenchError(f"id {identity!r} must be {ID_WORDS}, e.g. P1")
    if any(place.exists() and not place.is_dir() for place in claims.parents):
        raise WorkbenchError(f"{claims.parent} is, or lies below, a file; expected a folder")
    if identity in {one.id for one in logged_claims()}:
        raise WorkbenchError(f"{identity} is a logged claim; choose another id, e.g. my-{identity}")


def _numbered(folder: Path, identity: str) -> tuple[str, str]:
    """The next number in a folder of notebooks, and the name of the notebook; never that of one of the workbench's."""
    taken = [int(path.name[:2]) for path in folder.glob("[0-9][0-9]_*.ipynb")]
    words = re.sub(r"\W+", "_", identity.lower()).strip("_")
    for number in range(max(taken, default=0) + 1, 100):
        if (stem := f"{number:02d}_{words}") not in NOTEBOOKS:
            return f"{number:02d}", stem
    raise WorkbenchError(f"{folder} has a notebook numbered 99; take another folder with --folder")


def _filled(template: str, words: dict[str, str]) -> str:
    return Template((_TEMPLATES / template).read_text(encoding="utf-8")).substitute(words)


def _notebook(text: str) -> nbformat.NotebookNode:
    """Cells, each after a line ``%% KIND``."""
    info = {"kernelspec": _KERNEL, "language_info": {"name": "python"}}
    book = nbformat.v4.new_notebook(metadata=info)
    for part in re.split(r"^%% ", text, flags=re.MULTILINE)[1:]:
        kind, _, source = part.partition("\n")
        if kind == "markdown":
            book.cells.append(nbformat.v4.new_markdown_cell(source.strip("\n")))
        else:
            tags = {"tags": ["parameters"]} if kind == "parameters" else {}
            book.cells.append(nbformat.v4.new_code_cell(source.strip("\n"), metadata=tags))
    return book
