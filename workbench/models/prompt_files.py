"""How prompts are read from files: the bundled sets and the user's own. A broken line is named.

A bundled contrast set is a folder of ``data/prompts/``. Its prompts carry a fixed split, so that no prompt that made a
direction or an adapter is ever used to judge it.
"""

import csv
import io
import json
from collections.abc import Iterator
from dataclasses import fields, replace
from difflib import get_close_matches
from functools import partial
from pathlib import Path
from typing import Any

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
    if not isinstance(name, str) or name not in CONTRASTS:
        yours = ". For your own: wb.Pairs(positive=wb.prompts('a.jsonl'), negative=wb.prompts('b.jsonl'))"
        raise unknown("contrast set", name, CONTRASTS, yours)
    positive, negative, borderline = CONTRASTS[name]
    border = prompts(f"{name}/{borderline}") if borderline else None
    return Pairs(prompts(f"{name}/{positive}"), prompts(f"{name}/{negative}"), border, name)


def prompts(name: str | Path) -> Prompts:
    """A bundled prompt set (``"refusal/harmful"``) or a user's file (``.jsonl`` or ``.csv``).

    A line of a JSONL file is a string or an object with ``text`` (or ``messages``) and, optionally, the other fields of
    ``Prompt``: ``id``, ``category``, ``base``, ``split``, ``topic``, ``language``, ``elicitation``, ``system``, ``answer``,
    ``prefill``, ``harmful``, ``control_tokens``. A CSV file has a header with the same names, but for ``messages``. Other names
    are left out, unless they look like one of these mistyped. Ids must be unique; where absent they are line numbers.

    Raises:
        WorkbenchError: no such set or file, or a line that is broken; the message names the file and the line.

    >>> prompts("refusal/harmful")
    Prompts('refusal/harmful', n=448)
    """
    if not isinstance(name, str | Path):
        raise WorkbenchError(f"prompts({name!r:.60}): expected the name of a prompt set, or the path of a file")
    bundled = data_folder() / "prompts" / f"{name}.jsonl"
    path = Path(name)
    if max(map(len, path.parts), default=0) > 200:
        raise WorkbenchError(f"no file {str(name)[:60]!r}…: its name is too long")
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


#: what a line may carry, as text and as a flag
FLAGS = ("harmful", "control_tokens")
TEXTS = tuple(field.name for field in fields(Prompt) if field.name not in (*FLAGS, "messages"))


def read_prompts(path: Path, name: str) -> Prompts:
    """The prompts of a ``.jsonl`` or ``.csv`` file; see ``prompts``."""
    try:
        text = path.read_bytes().decode("utf-8-sig")  # line ends as they are: a quoted cell of a CSV file may hold some
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
                yield number, json.loads(line, object_pairs_hook=partial(_once, f"{path}, line {number}"))
            except WorkbenchError:
                raise
            except (ValueError, RecursionError) as error:
                said = str(error)[:100]
                if isinstance(error, json.JSONDecodeError):
                    said = f"{error.msg} at character {error.colno}"
                raise WorkbenchError(
                    f'{path}, line {number}: not JSON ({said}): {line[:60]!r}; expected {{"text": "..."}} or "..."'
                ) from error


def _csv_rows(path: Path, text: str) -> Iterator[tuple[int, object]]:
    reader = csv.DictReader(io.StringIO(text, newline=""), strict=True)
    try:
        _once(f"{path}, line 1", [(name, None) for name in reader.fieldnames or []])
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


def _once(where: str, pairs: list[tuple[str, object]]) -> dict[str, object]:
    """An object of its names and values. Refuses a name that occurs twice, of which a reader would take the last."""
    names = [name for name, _ in pairs]
    if twice := next((name for name in names if names.count(name) > 1), None):
        raise WorkbenchError(f"{where}: {twice!r} occurs twice")
    return dict(pairs)


def _prompt(row: object, where: str, default_id: str) -> Prompt:
    if isinstance(row, str):
        row = {"text": row}
    if not isinstance(row, dict):
        raise WorkbenchError(f"{where}: expected a string or an object with 'text', not {type(row).__name__}")
    known = (*TEXTS, *FLAGS, "messages")
    for name in row.keys() - known:
        if near := get_close_matches(name.strip().lower(), known, n=1, cutoff=0.8):
            raise WorkbenchError(f"{where}: unknown field {name!r}; did you mean {near[0]!r}?")
        if near := get_close_matches(
            name.strip().lower(), FLAGS, n=1, cutoff=0.7
        ):  # a flag that is not read shows too much
            raise WorkbenchError(
                f"{where}: unknown field {name!r}; did you mean {near[0]!r}? Else give it another name"
            )
    text = row.get("text")
    if "messages" not in row and (not isinstance(text, str) or not text.strip()):
        there = f" (there is {', '.join(map(repr, row))})" if "text" not in row else ""
        raise WorkbenchError(f"{where}: 'text' is {text!r}; expected a prompt{there}")
    values: dict[str, Any] = {key: "" if row.get(key) is None else row[key] for key in TEXTS}
    for key, value in values.items():
        if not isinstance(value, str):
            raise WorkbenchError(f"{where}: {key!r} is {value!r}; expected text")
    identity = values["id"] or default_id
    flags: dict[str, Any] = {key: row[key] for key in FLAGS if key in row}
    messages = row.get("messages", ())
    if "messages" in row and not isinstance(messages, list):
        raise WorkbenchError(f"{where}: 'messages' is {messages!r:.60}; expected a list of objects, in a .jsonl file")
    try:
        return Prompt(**{**values, "id": identity, "base": values["base"] or identity}, **flags, messages=messages)
    except WorkbenchError as error:
        raise WorkbenchError(f"{where}: {error}") from error
