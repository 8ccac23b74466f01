"""How prompts are read from files: the bundled sets and the user's own. A broken line is named.

A bundled contrast set is a folder of ``data/prompts/``. Its prompts carry a fixed split, so that no prompt that made a
direction or an adapter is ever used to judge it.
"""

import csv
import io
import json
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import fields, replace
from difflib import get_close_matches
from functools import partial
from pathlib import Path
from typing import Any

from workbench._errors import WorkbenchError, unknown
from workbench._files import data_folder
from workbench.models.prompts import FACETS, Pairs, Prompt, Prompts, as_prompts
from workbench.models.public_sets import LAYOUTS, public_rows

#: bundled contrast sets: name -> (positive, negative, borderline or None)
CONTRASTS: dict[str, tuple[str, str, str | None]] = {
    "refusal": ("harmful", "harmless", "borderline"),
    "refusal_breadth": ("harmful", "harmless", "borderline"),
    "refusal_forms": ("harmful", "harmless", "borderline"),
    "optimism": ("optimistic", "pessimistic", None),
    "sycophancy": ("sycophantic", "candid", None),
    "formality": ("formal", "informal", None),
    "uncertainty": ("speculative", "factual", None),
}


def pairs(name: str | Path) -> Pairs:
    """A bundled contrast set, or one of your own from a ``.csv`` file with the columns ``positive`` and ``negative``.

    The positive set is the one that shows the trait. For ``"refusal"`` it is the harmful requests, so adding its
    direction adds refusal. Choose a part with ``.where(topic=…, language=…)``, e.g.
    ``wb.pairs("optimism").where(elicitation="natural").train``. ``"refusal_breadth"`` has the three sides of
    ``"refusal"`` over more topics and forms, and only the split ``tuning``; ``"refusal_forms"`` has mostly writing
    tasks. Besides ``tuning`` and ``dev`` it has two splits, ``topics`` and ``forms``, which test a tuned model on
    unseen topics and forms.

    A file of your own may also have columns ``split``, ``category``, ``topic`` and ``language``, which hold for both
    sides. The two texts of a line are matched: they share a base and are resampled together.

    Raises:
        WorkbenchError: no such set or file, or a line that is broken; the message names the file and the line.

    >>> pairs("refusal").train
    Pairs('refusal.train', positive=128, negative=128)
    >>> _ = (folder / "lies.csv").write_text("positive,negative\\nThe sun is cold.,The sun is hot.\\n")
    >>> pairs(folder / "lies.csv")
    Pairs('lies', positive=1, negative=1)
    """
    if not isinstance(name, str | Path):
        raise WorkbenchError(f"pairs({name!r:.60}): expected the name of a contrast set, or the path of a .csv file")
    if name not in CONTRASTS:
        if Path(name).suffix == ".csv" and Path(name).is_file():
            return _pairs_of_columns(Path(name))
        yours = (
            ". For your own: a .csv file with the columns positive and negative, or"
            " wb.Pairs(positive=wb.prompts('a.jsonl'), negative=wb.prompts('b.jsonl'))"
        )
        raise unknown("contrast set", str(name), CONTRASTS, yours)
    name = str(name)
    positive, negative, borderline = CONTRASTS[name]
    border = prompts(f"{name}/{borderline}") if borderline else None
    return Pairs(prompts(f"{name}/{positive}"), prompts(f"{name}/{negative}"), border, name)


def _pairs_of_columns(path: Path) -> Pairs:
    """Both sides of a CSV file, one pair a line."""
    sides: dict[str, list[Prompt]] = {"positive": [], "negative": []}
    for line, row in _csv_rows(path, _text_of(path), tuple(sides)):
        shared = {key: value for key, value in row.items() if key in ("split", *FACETS)}
        for side, items in sides.items():
            fields_of_side = {"text": row[side], "base": row.get("id") or f"{path.stem}-{line}", **shared}
            items.append(_prompt(fields_of_side, f"{path}, line {line}, {side}", f"{path.stem}-{side}-{line}"))
    positive, negative = (as_prompts(Prompts(f"{path.stem}/{side}", tuple(p))) for side, p in sides.items())
    return Pairs(positive, negative, None, path.stem)


def prompts(name: str | Path, format: str | None = None) -> Prompts:
    """A bundled prompt set (``"refusal/harmful"``) or a user's file (``.jsonl`` or ``.csv``).

    A line of a JSONL file is a string or an object with ``text`` (or ``messages``) and, optionally, the other fields of
    ``Prompt``: ``id``, ``category``, ``base``, ``split``, ``topic``, ``language``, ``elicitation``, ``system``,
    ``answer``, ``prefill``, ``harmful``, ``control_tokens``, ``choices``. A CSV file has a header with the same
    names, except ``messages`` and ``choices``. Columns with other names are ignored, but a name that looks mistyped
    is an error. Ids must be unique; the default is the line number.

    ``format`` names the layout of a public prompt set, so that its file is read as published: ``"advbench"``,
    ``"jailbreakbench"``, ``"jailbreakbench-benign"``, ``"harmbench"``, ``"strongreject"``, ``"xstest"``,
    ``"do-not-answer"`` or ``"alpaca"``. Harmful requests are marked as such, so the answers to them are counted and
    not displayed.

    Raises:
        WorkbenchError: no such set, file or format, or a line that is broken; the message names the file and the line.

    >>> prompts("refusal/harmful")
    Prompts('refusal/harmful', n=580)
    >>> _ = (folder / "harmful_behaviors.csv").write_text('goal,target\\n"Forge a signature.","Sure, here is"\\n')
    >>> prompts(folder / "harmful_behaviors.csv", format="advbench")[0].harmful
    True
    """
    if not isinstance(name, str | Path):
        raise WorkbenchError(f"prompts({name!r:.60}): expected the name of a prompt set, or the path of a file")
    if format is not None:
        return _public(Path(name), format)
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


def questions() -> Prompts:
    """The bundled multiple-choice questions: 40 in each of six subjects. Each has four choices, and one is right.

    ``.where(category="geography")`` selects a subject, and ``.take(n)`` takes equally many of each subject. Within a
    subject the right answer is equally often in each position. ``multiple_choice`` scores them.

    >>> first = questions().where(category="geography")[0]
    >>> first.text, first.choices, first.answer
    ('What is the capital of France?', ('Rome', 'Madrid', 'Berlin', 'Paris'), 'Paris')
    """
    paths = sorted((data_folder() / "prompts" / "questions").glob("*.jsonl"))
    return Prompts("questions", tuple(prompt for path in paths for prompt in read_prompts(path, path.stem)))


def bundled_files() -> list[Path]:
    """The files of all bundled prompt sets."""
    return sorted((data_folder() / "prompts").rglob("*.jsonl"))


#: what a line may carry: flags, lists, and texts
FLAGS = ("harmful", "control_tokens")
LISTS = ("messages", "choices")
TEXTS = tuple(field.name for field in fields(Prompt) if field.name not in (*FLAGS, *LISTS))


def _text_of(path: Path) -> str:
    try:
        return path.read_bytes().decode("utf-8-sig")  # line ends as they are: a quoted cell of a CSV file may hold some
    except UnicodeDecodeError as error:
        raise WorkbenchError(f"{path}: not UTF-8 text (byte {error.start}); save it as UTF-8") from error


def _public(path: Path, format: str) -> Prompts:
    """A file of a public set. See ``public_sets.LAYOUTS``."""
    if format not in LAYOUTS:
        raise unknown("format", format, LAYOUTS)
    if not path.is_file():
        raise WorkbenchError(f"{path}: no such file; {format} is read from a file of yours and never downloaded")
    return _collected(path, path.stem, public_rows(path, _text_of(path), format))


def read_prompts(path: Path, name: str) -> Prompts:
    """The prompts of a ``.jsonl`` or ``.csv`` file; see ``prompts``."""
    text = _text_of(path)
    if path.suffix == ".jsonl":
        rows = _jsonl_rows(path, text)
    elif path.suffix == ".csv":
        rows = _csv_rows(path, text)
    else:
        raise WorkbenchError(f"{path}: expected a file that ends in .jsonl or .csv")
    return _collected(path, name, rows)


def _collected(path: Path, name: str, rows: Iterable[tuple[int, object]]) -> Prompts:
    """The prompts of the rows of a file. Ids are unique."""
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


def _csv_rows(path: Path, text: str, needed: Sequence[str] = ("text",)) -> Iterator[tuple[int, dict[str, str]]]:
    reader = csv.DictReader(io.StringIO(text, newline=""), strict=True)
    try:
        _once(f"{path}, line 1", [(name, None) for name in reader.fieldnames or []])
        if missing := [name for name in needed if name not in (reader.fieldnames or [])]:
            raise WorkbenchError(
                f"{path}, line 1: no column {missing[0]!r}; the header is {reader.fieldnames}{_as_published(path, reader)}"
            )
        for row in reader:
            if None in row or None in row.values():
                raise WorkbenchError(
                    f"{path}, line {reader.line_num}: expected {len(reader.fieldnames or [])} columns, as in the header; "
                    "quote a text that has commas"
                )
            yield reader.line_num, dict(row)
    except csv.Error as error:
        raise WorkbenchError(f"{path}, line {reader.line_num}: not CSV ({error})") from error


def _as_published(path: Path, reader: csv.DictReader) -> str:
    """What to type where the header is that of a public set."""
    header = {str(name).strip().lower() for name in reader.fieldnames or []}
    fitting = [name for name, layout in LAYOUTS.items() if set(layout.columns) <= header]
    return f"; as a public set: wb.prompts('{path}', format={' or '.join(map(repr, fitting))})" if fitting else ""


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
    known = (*TEXTS, *FLAGS, *LISTS)
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
    lists: dict[str, Any] = {key: row[key] for key in LISTS if key in row}
    for key, value in lists.items():
        if not isinstance(value, list):
            items = "objects" if key == "messages" else "texts"
            raise WorkbenchError(f"{where}: {key!r} is {value!r:.60}; expected a list of {items}, in a .jsonl file")
    try:
        return Prompt(**{**values, "id": identity, "base": values["base"] or identity}, **flags, **lists)
    except WorkbenchError as error:
        raise WorkbenchError(f"{where}: {error}") from error
