"""What a cell of a batch depends on, as one content key: the same key means that running it again would change nothing."""

import hashlib
import json
from collections.abc import Iterable
from functools import cache
from pathlib import Path

import nbformat

from workbench.adapters import adapter_revision, fingerprint
from workbench.batch.plans import Cell
from workbench.folders import data_folder
from workbench.ledger_files import versions
from workbench.registry import Embedded, Hub, Reference, base_of, resolve

#: what only arranges or shows results: a change of it makes no result outdated
_PRESENTATION = ("batch", "report", "cli.py")


def content_key(cell: Cell) -> str:
    """A hash of the notebook's source, the claims files beside it, parameters, model revision, code, data and versions.

    Outputs, metadata and the order of keys do not count, nor does where results go.
    """
    inputs = {
        "source": source_hash(cell.notebook),
        "claims": {name: hashlib.sha256(content).hexdigest() for name, content in cell.claims.items()},
        "model": [cell.model, model_revision(cell.model)],
        "profile": cell.profile,
        "parameters": cell.parameters,
        "code": code_version(),
    }
    return hashlib.sha256(json.dumps(inputs, sort_keys=True).encode()).hexdigest()[:24]


def source_hash(notebook: Path) -> str:
    """A hash of what the cells of a notebook say and which of them holds the parameters."""
    cells = nbformat.read(notebook, as_version=4).cells
    said = [[c.cell_type, c.source, c.metadata.get("tags", [])] for c in cells]
    return hashlib.sha256(json.dumps(said).encode()).hexdigest()[:24]


def model_revision(name: str) -> str:
    """The revision that ``load`` would give a model, without loading it."""
    source = resolve(name)
    base = base_of(source)
    if isinstance(base, Hub):
        return base.revision
    found = base.sha256[:12] if isinstance(base, Embedded) else fingerprint(base)
    return f"{found}+{adapter_revision(source.folder)}" if isinstance(source, Reference) else found


@cache
def code_version() -> str:
    """A hash of the package's code and bundled data, and of the versions of what it computes with."""
    package = Path(__file__).resolve().parents[1]
    digest = hashlib.sha256(json.dumps(versions(), sort_keys=True).encode())
    for root, files in ((package, package.rglob("*.py")), (data_folder(), _data_files())):
        for path in sorted(files):
            inside = path.relative_to(root)
            if root is data_folder() or inside.parts[0] not in (*_PRESENTATION, "data"):
                digest.update(json.dumps([inside.as_posix(), hashlib.sha256(path.read_bytes()).hexdigest()]).encode())
    return digest.hexdigest()[:16]


def _data_files() -> Iterable[Path]:
    """Prompts, claims and labels; adapters are in the model's revision, plans in the cells themselves."""
    return (
        p for kind in ("prompts", "claims", "labels") for p in (data_folder() / kind).rglob("*.*") if p.suffix != ".md"
    )
