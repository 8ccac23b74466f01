"""What it takes to get the same results again, graded by how much each part matters."""

import os
import platform
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from workbench.claims.entries import Entry, versions
from workbench.notebooks.batch.journal import code_version, source_hash
from workbench.notebooks.report.books import Book

Grade = Literal["Decides", "Shifts numbers", "Should not matter"]


MEANING: dict[Grade, str] = {
    "Decides": "With another value it is another experiment: nothing else need agree.",
    "Shifts numbers": (
        "Rounding differs in the last bits. A greedy choice between two nearly equal tokens can then fall otherwise, so that "
        "single responses differ while rates and verdicts should stay within their intervals."
    ),
    "Should not matter": "Recorded for the case that it does.",
}


@dataclass(frozen=True)
class Item:
    """One part of a manifest: what, its value here, its grade, and why it has that."""

    what: str
    value: str
    grade: Grade
    why: str


def manifest(entries: Sequence[Entry], books: Sequence[Book], notebooks: Path) -> tuple[Item, ...]:
    """What the results of a report rest on.

    Args:
        entries: of the ledger.
        books: executed notebooks.
        notebooks: the folder that they come from, if it is there.
    """
    revisions = sorted({(entry.model, entry.revision) for entry in entries if entry.revision})
    items = [Item(f"weights of {name}", at, "Decides", "what is steered") for name, at in revisions]
    items += [
        Item("code and data of workbench", code_version(), "Decides", "prompts, steering, scores, rules of verdicts")
    ]
    for book in books:
        said = f"profile {book.profile}" + (f", {book.parameters}" if book.parameters else "")
        items.append(Item(f"{book.file.stem} on {book.model}", said, "Decides", "number of prompts, doses, seeds"))
    for name in sorted({book.notebook for book in books}):
        if (path := notebooks / f"{name}.ipynb").is_file():
            items.append(Item(f"source of {name}", source_hash(path), "Decides", "what is done"))
    return (*items, *_numbers(), *_rest())


def _numbers() -> list[Item]:
    import torch

    installed = versions()
    why = {
        "torch": "kernels",
        "transformers": "the model's code",
        "transformer-lens": "hooks",
        "numpy": "random numbers",
    }
    packages = [
        Item(x, installed[x], "Shifts numbers", why.get(x, "statistics")) for x in installed if x != "workbench"
    ]
    gpus = [torch.cuda.get_device_name(i) for i in range(torch.cuda.device_count())]
    kernels = torch.backends.cpu.get_cpu_capability()
    return [
        *packages,
        Item("processor", f"{platform.machine()}, {kernels} kernels", "Shifts numbers", "order of additions"),
        Item("accelerator", ", ".join(gpus) or "none", "Shifts numbers", "order of additions, and bfloat16 by default"),
    ]


def _rest() -> list[Item]:
    return [
        Item("threads", os.environ.get("OMP_NUM_THREADS", f"up to {os.cpu_count()}"), "Should not matter", "speed"),
        Item("Python", platform.python_version(), "Should not matter", "3.11 or newer"),
        Item("system", f"{platform.system()} {platform.release()}", "Should not matter", "Linux"),
    ]


def drift(entries: Sequence[Entry]) -> list[tuple[str, str, str]]:
    """Packages whose installed version is not the one that some verdict was recorded under: name, installed, recorded."""
    now = versions()
    then: Mapping[str, set[str]] = {name: {str(e.versions.get(name, "?")) for e in entries} for name in now}
    return [(name, now[name], ", ".join(sorted(then[name]))) for name in now if then[name] - {now[name]}]
