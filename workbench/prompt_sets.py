"""The bundled prompt sets and the user's own.

A bundled contrast set is a folder of ``data/prompts/``; its prompts carry a fixed split so that no prompt that made a
direction or an adapter is ever used to judge it.
"""

from dataclasses import replace
from pathlib import Path

from workbench.errors import WorkbenchError
from workbench.folders import data_folder
from workbench.prompt_files import read_prompts
from workbench.prompt_nouns import FACETS, SPLITS, Pairs, Prompt, Prompts, as_prompts

__all__ = [
    "CONTRASTS",
    "FACETS",
    "SPLITS",
    "Pairs",
    "Prompt",
    "Prompts",
    "as_prompts",
    "bundled_files",
    "pairs",
    "prompts",
]

#: bundled contrast sets: name -> (positive, negative, borderline or None)
CONTRASTS: dict[str, tuple[str, str, str | None]] = {
    "refusal": ("harmful", "harmless", "borderline"),
    "refusal_breadth": ("harmful", "harmless", "borderline"),
    "optimism": ("optimistic", "pessimistic", None),
    "sycophancy": ("sycophantic", "candid", None),
    "formality": ("formal", "informal", None),
    "uncertainty": ("speculative", "factual", None),
}


def pairs(name: str) -> Pairs:
    """A bundled contrast set.

    The positive set is the one that draws the trait. For ``"refusal"`` it is the harmful requests, so adding its
    direction adds refusal. Choose a part with ``.where(topic=…, language=…)``, e.g.
    ``wb.pairs("optimism").where(elicitation="natural").train``. ``"refusal_breadth"`` has the three sides of ``"refusal"``
    over more topics and forms, and only the split ``tuning``.

    Raises:
        WorkbenchError: no bundled set has that name.

    >>> pairs("refusal").train
    Pairs('refusal.train', positive=128, negative=128)
    """
    if name not in CONTRASTS:
        raise WorkbenchError(
            f"no bundled contrast set {name!r}; there are {', '.join(CONTRASTS)}. "
            "For your own: wb.Pairs(positive=wb.prompts('a.jsonl'), negative=wb.prompts('b.jsonl'))"
        )
    positive, negative, borderline = CONTRASTS[name]
    return Pairs(
        prompts(f"{name}/{positive}"),
        prompts(f"{name}/{negative}"),
        prompts(f"{name}/{borderline}") if borderline else None,
        name,
    )


def prompts(name: str | Path) -> Prompts:
    """A bundled prompt set (``"refusal/harmful"``) or a user's file (``.jsonl`` or ``.csv``).

    A line of a JSONL file is a string or an object with ``text`` and, optionally, the other fields of ``Prompt``: ``id``,
    ``category``, ``base``, ``split``, ``topic``, ``language``, ``elicitation``, ``system``, ``answer``, ``harmful``. A CSV file
    has a header with the same names. Ids must be unique; where absent they are line numbers.

    Raises:
        WorkbenchError: no such set or file, or a line that is broken; the message names the file and the line.

    >>> prompts("refusal/harmful")
    Prompts('refusal/harmful', n=448)
    """
    bundled = data_folder() / "prompts" / f"{name}.jsonl"
    path = Path(name)
    if not path.suffix and bundled.is_file():
        found = read_prompts(bundled, str(name))
        return (
            Prompts(found.name, tuple(replace(p, harmful=True) for p in found)) if bundled.stem == "harmful" else found
        )
    if path.is_file():
        return read_prompts(path, path.stem)
    known = sorted(p.relative_to(data_folder() / "prompts").with_suffix("") for p in bundled_files())
    raise WorkbenchError(
        f"no prompt set {str(name)!r}; bundled are {', '.join(map(str, known))}; "
        "a file of your own ends in .jsonl or .csv"
    )


def bundled_files() -> list[Path]:
    """The files of all bundled prompt sets."""
    return sorted((data_folder() / "prompts").rglob("*.jsonl"))
