"""Prompt sets: the bundled ones and the user's own, checked line by line.

A bundled contrast set is a folder of ``data/prompts/``; its prompts carry a fixed split so that no prompt that made a
direction or an adapter is ever used to judge it.
"""

import csv
import json
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path

from workbench.errors import WorkbenchError
from workbench.folders import data_folder

SPLITS = ("tuning", "train", "dev", "test")


@dataclass(frozen=True)
class Prompt:
    """One prompt: its text, a unique id, a category, and the base id that groups variants of one prompt into a cluster.

    ``harmful`` marks a harmful request: what it gets under steering is counted and not displayed, unless asked.
    ``answer`` is a written answer, where there is one, for reading under teacher forcing.
    """

    text: str
    id: str
    category: str = ""
    base: str = ""
    split: str = ""
    harmful: bool = False
    answer: str = ""

    def __str__(self) -> str:
        return self.text


@dataclass(frozen=True)
class Prompts(Sequence[Prompt]):
    """A named, ordered set of prompts. Behaves as a sequence of ``Prompt``; ``texts`` are the strings."""

    name: str
    items: tuple[Prompt, ...] = field(repr=False)

    def __len__(self) -> int:
        return len(self.items)

    def __getitem__(self, key):
        return Prompts(self.name, self.items[key]) if isinstance(key, slice) else self.items[key]

    def __iter__(self) -> Iterator[Prompt]:
        return iter(self.items)

    def __repr__(self) -> str:
        return f"Prompts({self.name!r}, n={len(self)})"

    @property
    def texts(self) -> list[str]:
        """The strings, in order."""
        return [prompt.text for prompt in self.items]

    @property
    def splits(self) -> tuple[str, ...]:
        """The splits that occur, in the order tuning, train, dev, test, others."""
        found = {prompt.split for prompt in self.items if prompt.split}
        return tuple(s for s in SPLITS if s in found) + tuple(sorted(found - set(SPLITS)))

    def split(self, name: str) -> "Prompts":
        """The prompts of one split. Raises WorkbenchError for a split that does not occur."""
        if name not in self.splits:
            raise WorkbenchError(f"{self.name} has no split {name!r}; it has {', '.join(self.splits) or 'no splits'}")
        return Prompts(f"{self.name}.{name}", tuple(p for p in self.items if p.split == name))

    def take(self, n: int) -> "Prompts":
        """The first ``n`` prompts, balanced over categories in turn.

        Raises WorkbenchError when there are fewer than ``n``: rows are never repeated to reach a number.
        """
        if not 0 < n <= len(self):
            raise WorkbenchError(f"{self.name} has {len(self)} distinct prompts; {n} were asked for")
        seen: dict[str, int] = {}
        ranked = []
        for order, prompt in enumerate(self.items):
            rank = seen[prompt.category] = seen.get(prompt.category, -1) + 1
            ranked.append((rank, order, prompt))
        return Prompts(self.name, tuple(prompt for _, _, prompt in sorted(ranked)[:n]))


@dataclass(frozen=True)
class Pairs:
    """A contrast set: positive and negative prompts. A positive coefficient moves toward the positive set.

    Bundled sets also have the splits ``train``, ``dev``, ``test`` and ``tuning`` (which only adapters may see), or some of
    them, and, where written, a ``borderline`` set: prompts that sound like the positive set and belong to the negative one.

    >>> Pairs(positive=["How do I pick a lock?"], negative=["How do I pick a melon?"])
    Pairs('custom', positive=1, negative=1)
    """

    positive: Prompts
    negative: Prompts
    borderline: Prompts | None = None
    name: str = "custom"

    def __post_init__(self) -> None:
        for side in ("positive", "negative"):
            value = getattr(self, side)
            if not isinstance(value, Prompts):
                object.__setattr__(self, side, as_prompts(value, f"{self.name}.{side}"))

    def __repr__(self) -> str:
        border = f", borderline={len(self.borderline)}" if self.borderline is not None else ""
        return f"Pairs({self.name!r}, positive={len(self.positive)}, negative={len(self.negative)}{border})"

    def __getattr__(self, name: str) -> object:
        if name.startswith("_"):
            raise AttributeError(name)
        raise AttributeError(
            f"{self.name} has no split {name!r}; it has {', '.join(self.positive.splits) or 'no splits'}"
        )

    def split(self, name: str) -> "Pairs":
        """The pairs of one split: positive, negative and borderline prompts alike."""
        border = self.borderline
        if border is not None:
            border = border.split(name) if name in border.splits else None
        return Pairs(self.positive.split(name), self.negative.split(name), border, f"{self.name}.{name}")

    @property
    def tuning(self) -> "Pairs":
        """For training adapters only."""
        return self.split("tuning")

    @property
    def train(self) -> "Pairs":
        """For extracting directions."""
        return self.split("train")

    @property
    def dev(self) -> "Pairs":
        """For choosing layers, doses and thresholds."""
        return self.split("dev")

    @property
    def test(self) -> "Pairs":
        """For reporting, once."""
        return self.split("test")


#: bundled contrast sets: name -> (positive, negative, borderline or None)
CONTRASTS: dict[str, tuple[str, str, str | None]] = {
    "refusal": ("harmful", "harmless", "borderline"),
    "refusal_breadth": ("harmful", "harmless", "borderline"),  # tuning only
}


def pairs(name: str) -> Pairs:
    """A bundled contrast set.

    For ``"refusal"`` the positive set is the harmful requests, so adding its direction adds refusal.
    ``"refusal_breadth"`` has the same three sides over more topics and forms, and only the split ``tuning``.

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

    A line of a JSONL file is a string or an object with ``text`` and, optionally, ``id``, ``category``, ``base``,
    ``split``, ``harmful``, ``answer``; a CSV file has a header with the same names. Ids must be unique; where absent they are line numbers.

    Raises:
        WorkbenchError: no such set or file, or a line that is broken; the message names the file and the line.

    >>> prompts("refusal/harmful")
    Prompts('refusal/harmful', n=448)
    """
    bundled = data_folder() / "prompts" / f"{name}.jsonl"
    path = Path(name)
    if not path.suffix and bundled.is_file():
        found = _read(bundled, str(name))
        return (
            Prompts(found.name, tuple(replace(p, harmful=True) for p in found)) if bundled.stem == "harmful" else found
        )
    if path.is_file():
        return _read(path, path.stem)
    known = sorted(p.relative_to(data_folder() / "prompts").with_suffix("") for p in bundled_files())
    raise WorkbenchError(
        f"no prompt set {str(name)!r}; bundled are {', '.join(map(str, known))}; "
        "a file of your own ends in .jsonl or .csv"
    )


def bundled_files() -> list[Path]:
    """The files of all bundled prompt sets."""
    return sorted((data_folder() / "prompts").rglob("*.jsonl"))


def as_prompts(texts: Sequence[str | Prompt] | Prompts, name: str = "prompts") -> Prompts:
    """Prompts from strings, ``Prompt`` objects or ``Prompts``; refuses an empty list, a blank text or a lone string."""
    if isinstance(texts, Prompts):
        items: tuple[Prompt, ...] = texts.items
        name = texts.name
    elif isinstance(texts, str):
        raise WorkbenchError(f"{name}: got one string; expected a list of prompts, e.g. [{texts[:30]!r}]")
    else:
        items = tuple(t if isinstance(t, Prompt) else Prompt(t, f"{name}-{i}") for i, t in enumerate(texts, 1))
    if not items:
        raise WorkbenchError(f"{name}: the list of prompts is empty; expected at least one")
    for i, prompt in enumerate(items, 1):
        if not isinstance(prompt.text, str) or not prompt.text.strip():
            raise WorkbenchError(f"{name}: prompt {i} is {prompt.text!r}; expected text")
    return Prompts(name, items)


def _read(path: Path, name: str) -> Prompts:
    try:
        text = path.read_text(encoding="utf-8-sig")
    except UnicodeDecodeError as error:
        raise WorkbenchError(f"{path}: not UTF-8 text (byte {error.start}); save it as UTF-8") from error
    if path.suffix == ".jsonl":
        rows = _jsonl_rows(path, text)
    elif path.suffix == ".csv":
        rows = _csv_rows(path, text)
    else:
        raise WorkbenchError(f"{path}: expected a file that ends in .jsonl or .csv")
    items: list[Prompt] = []
    seen: dict[str, int] = {}
    for line, row in rows:
        prompt = _prompt(row, f"{path}, line {line}", default_id=f"{name}-{line}")
        if prompt.id in seen:
            raise WorkbenchError(f"{path}, line {line}: id {prompt.id!r} is already that of line {seen[prompt.id]}")
        seen[prompt.id] = line
        items.append(prompt)
    return as_prompts(Prompts(name, tuple(items)), name)


def _jsonl_rows(path: Path, text: str) -> Iterator[tuple[int, object]]:
    for number, line in enumerate(text.split("\n"), 1):
        if line.strip():
            try:
                yield number, json.loads(line)
            except json.JSONDecodeError as error:
                raise WorkbenchError(
                    f"{path}, line {number}: not JSON ({error.msg} at character {error.colno}): {line[:60]!r}; "
                    'expected {"text": "..."} or "..."'
                ) from error


def _csv_rows(path: Path, text: str) -> Iterator[tuple[int, object]]:
    reader = csv.DictReader(text.splitlines(keepends=True), strict=True)
    try:
        if "text" not in (reader.fieldnames or []):
            raise WorkbenchError(f"{path}, line 1: no column 'text'; the header is {reader.fieldnames}")
        for row in reader:
            if None in row or None in row.values():
                raise WorkbenchError(
                    f"{path}, line {reader.line_num}: expected {len(reader.fieldnames or [])} columns, as in the header; "
                    "quote a text that has commas"
                )
            yield reader.line_num, dict(row)
    except csv.Error as error:
        raise WorkbenchError(f"{path}, line {reader.line_num}: not CSV ({error})") from error


def _prompt(row: object, where: str, default_id: str) -> Prompt:
    if isinstance(row, str):
        row = {"text": row}
    if not isinstance(row, dict):
        raise WorkbenchError(f"{where}: expected a string or an object with 'text', not {type(row).__name__}")
    text = row.get("text")
    if not isinstance(text, str) or not text.strip():
        raise WorkbenchError(f"{where}: 'text' is {text!r}; expected a prompt")
    fields = {key: row.get(key) or "" for key in ("id", "category", "base", "split", "answer")}
    for key, value in fields.items():
        if not isinstance(value, str):
            raise WorkbenchError(f"{where}: {key!r} is {value!r}; expected text")
    identity = fields["id"] or default_id
    harmful = row.get("harmful", False) in (True, "true")
    return Prompt(
        text, identity, fields["category"], fields["base"] or identity, fields["split"], harmful, fields["answer"]
    )
