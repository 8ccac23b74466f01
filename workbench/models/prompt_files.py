"""How prompts are read from files: the bundled sets and the user's own. A broken line is named.

A bundled contrast set is a folder of ``data/prompts/``. Its prompts carry a fixed split, so that no prompt that made a
direction or an adapter is ever used to judge it.
"""

import csv
import json
from collections.abc import Iterator
from dataclasses import fields, replace
from pathlib import Path

from workbench._errors import WorkbenchError, unknown
from workbench._files import data_folder
from workbench.models.prompts import Pairs, Prompt, Prompts, as_prompts

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

    >>> pairs("refusal").train
    Pairs('refusal.train', positive=128, negative=128)
    """
    if name not in CONTRASTS:
        yours = ". For your own: wb.Pairs(positive=wb.prompts('a.jsonl'), negative=wb.prompts('b.jsonl'))"
        raise unknown("contrast set", name, CONTRASTS, yours)
    positive, negative, borderline = CONTRASTS[name]
    border = prompts(f"{name}/{borderline}") if borderline else None
    return Pairs(prompts(f"{name}/{positive}"), prompts(f"{name}/{negative}"), border, name)


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
        read = read_prompts(bundled, str(name))
        harmful = bundled.stem == "harmful"
        return Prompts(read.name, tuple(replace(p, harmful=True) for p in read)) if harmful else read
    if path.is_file():
        return read_prompts(path, path.stem)
    known = [str(p.relative_to(data_folder() / "prompts").with_suffix("")) for p in bundled_files()]
    raise unknown("prompt set", str(name), known, "; a file of your own ends in .jsonl or .csv")


def bundled_files() -> list[Path]:
    """The files of all bundled prompt sets."""
    return sorted((data_folder() / "prompts").rglob("*.jsonl"))


#: what a line may carry beside its text
OPTIONAL = tuple(field.name for field in fields(Prompt) if field.name not in ("text", "harmful"))


def read_prompts(path: Path, name: str) -> Prompts:
    """The prompts of a ``.jsonl`` or ``.csv`` file; see ``prompts``."""
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
    values = {key: row.get(key) or "" for key in OPTIONAL}
    for key, value in values.items():
        if not isinstance(value, str):
            raise WorkbenchError(f"{where}: {key!r} is {value!r}; expected text")
    identity = values["id"] or default_id
    harmful = row.get("harmful", False) in (True, "true")
    return Prompt(text, **{**values, "id": identity, "base": values["base"] or identity}, harmful=harmful)
