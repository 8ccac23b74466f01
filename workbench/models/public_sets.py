"""How public prompt sets are laid out: which column of JailbreakBench, HarmBench and others is what.

The sets are read from the files that their authors publish. None of them is part of this package.
"""

import csv
import io
import json
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path

from workbench._errors import WorkbenchError, unknown


@dataclass(frozen=True)
class Layout:
    """Which columns of a published file hold what. Names of columns are compared without regard to case.

    Attributes:
        source: the paper.
        text: the column of the request.
        harmful: true, false, or what says so of a row.
        id, category, topic: columns, where there are such.
        before: a column that is put before the request (HarmBench's context).
        after: a column that is put after it (Alpaca's input).
    """

    source: str
    text: str
    harmful: bool | Callable[[Mapping[str, str]], bool]
    id: str = ""
    category: str = ""
    topic: str = ""
    before: str = ""
    after: str = ""

    @property
    def columns(self) -> tuple[str, ...]:
        """All columns that are read."""
        return tuple(c for c in (self.text, self.id, self.category, self.topic, self.before, self.after) if c)


def _unsafe(row: Mapping[str, str]) -> bool:
    """XSTest: its label says it, or, in its first release, the type: contrasts are the unsafe ones."""
    label = row.get("label", "").lower()
    return label == "unsafe" if label in ("safe", "unsafe") else row.get("type", "").lower().startswith("contrast")


#: name of the format -> how its file is laid out
LAYOUTS = {
    "advbench": Layout("Zou et al. 2023, arXiv:2307.15043", "goal", True),
    "jailbreakbench": Layout("Chao et al. 2024, arXiv:2404.01318", "goal", True, category="category", topic="behavior"),
    "jailbreakbench-benign": Layout(
        "Chao et al. 2024, arXiv:2404.01318", "goal", False, category="category", topic="behavior"
    ),
    "harmbench": Layout(
        "Mazeika et al. 2024, arXiv:2402.04249",
        "behavior",
        True,
        id="behaviorid",
        category="semanticcategory",
        topic="functionalcategory",
        before="contextstring",
    ),
    "strongreject": Layout("Souly et al. 2024, arXiv:2402.10260", "forbidden_prompt", True, category="category"),
    "xstest": Layout("Röttger et al. 2024, arXiv:2308.01263", "prompt", _unsafe, category="type"),
    "do-not-answer": Layout(
        "Wang et al. 2023, arXiv:2308.13387", "question", True, category="risk_area", topic="types_of_harm"
    ),
    "alpaca": Layout("Taori et al. 2023", "instruction", False, after="input"),
}


def public_rows(path: Path, text: str, format: str) -> Iterator[tuple[int, dict[str, object]]]:
    """The prompts of a published file, as (line, fields of ``Prompt``).

    Args:
        path: named in messages; it ends in .csv, .tsv, .json or .jsonl.
        text: what the file holds.
        format: a name of ``LAYOUTS``.

    Raises:
        WorkbenchError: an unknown format, or a file that lacks its column. No message quotes a prompt.

    >>> rows = public_rows(Path("mine.csv"), "goal,target\\nPick a lock,Sure", "advbench")
    >>> next(rows)
    (2, {'text': 'Pick a lock', 'harmful': True})
    """
    if format not in LAYOUTS:
        raise unknown("format", format, LAYOUTS)
    layout = LAYOUTS[format]
    for line, raw in _records(path, text, format):
        row = {key.strip().lower(): "" if value is None else str(value).strip() for key, value in raw.items()}
        if layout.text not in row:
            raise WorkbenchError(
                f"{path}, line {line}: no column {layout.text!r}, which {format} has; there are {', '.join(row) or 'none'}"
            )
        if not row[layout.text]:
            raise WorkbenchError(f"{path}, line {line}: the column {layout.text!r} is empty; expected a prompt")
        parts = (row.get(layout.before, ""), row[layout.text], row.get(layout.after, ""))
        harmful = layout.harmful if isinstance(layout.harmful, bool) else layout.harmful(row)
        fields: dict[str, object] = {"text": "\n\n".join(part for part in parts if part), "harmful": harmful}
        named = {name: row.get(getattr(layout, name), "") for name in ("id", "category", "topic")}
        yield line, fields | {name: value for name, value in named.items() if value}


def _records(path: Path, text: str, format: str) -> Iterator[tuple[int, Mapping[str, object]]]:
    """The records of a table, whatever its file type, each with the line (of JSON: the number) it stands in."""
    if path.suffix in (".csv", ".tsv"):
        reader = csv.DictReader(io.StringIO(text, newline=""), delimiter="\t" if path.suffix == ".tsv" else ",")
        for row in reader:
            yield reader.line_num, {str(key): value for key, value in row.items() if isinstance(value, str)}
        return
    if path.suffix not in (".json", ".jsonl"):
        raise WorkbenchError(f"{path}: {format} is read from .csv, .tsv, .json or .jsonl")
    try:
        records = json.loads(text) if path.suffix == ".json" else [json.loads(s) for s in text.split("\n") if s.strip()]
    except json.JSONDecodeError as error:
        raise WorkbenchError(f"{path}: not JSON ({error.msg} in line {error.lineno})") from error
    if not isinstance(records, list) or not all(isinstance(record, dict) for record in records):
        raise WorkbenchError(f"{path}: expected a list of objects, as {format} has")
    yield from enumerate(records, 1)
