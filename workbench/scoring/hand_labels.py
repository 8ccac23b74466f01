"""Are scorers right, and do two of them agree? Completions labelled by hand, and labels compared on the rows of a sweep."""

import json
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING

from workbench._errors import WorkbenchError, unknown
from workbench._files import data_folder
from workbench.models.prompt_files import prompts
from workbench.scoring.labels import LABELS
from workbench.scoring.scores import Score
from workbench.statistics.agreement import Agreement, kappa
from workbench.statistics.rates import rate
from workbench.statistics.results import Estimate
from workbench.steering.steer import Steer

if TYPE_CHECKING:
    import pandas as pd

_FIELDS = ("prompt", "arm", "model", "text", "label")
_ALSO = ("id", "set", "part", "adapter", "draw", "sha256", "first", "second", "said")


@dataclass(frozen=True)
class Labelled:
    """One completion with the label that was given to it by reading it; by whom, ``data/labels/README.md`` says.

    Attributes:
        prompt: its id, or its text where it is in no bundled set.
        arm: "baseline", or where and how it was steered.
        text: the response; "" where it is not kept, since it answers a harmful request. ``sha256`` is that of the text.
        label: as settled of ``first`` and ``second``, two passes in different orders.
        id, set: of the row, and the kind of prompt.
        part: "tuning", or "aside", which no rule was made on.
        adapter: that the model had, the first digits of its sha256; "" for a model without one.
        draw: the seed that drew it.
        said: what ``wb.refusal`` says of it, "" for no label.
    """

    prompt: str
    arm: str
    model: str
    text: str
    label: str
    id: str = ""
    set: str = ""
    part: str = ""
    adapter: str = ""
    draw: str = ""
    sha256: str = ""
    first: str = ""
    second: str = ""
    said: str = ""

    @property
    def asked(self) -> str:
        """The text of the prompt."""
        return _bundled().get(self.prompt, self.prompt)


@cache
def _bundled() -> dict[str, str]:
    """Prompt id -> text, of the bundled refusal sets."""
    sides = ("harmful", "harmless", "borderline")
    return {p.id: p.text for name in ("refusal", "refusal_breadth") for s in sides for p in prompts(f"{name}/{s}")}


def read_labelled(path: str | Path | None = None) -> tuple[Labelled, ...]:
    """Read hand-labelled completions of a file, or by default of all files in ``data/labels``.

    Args:
        path: a file of JSON objects, one a line.

    Raises:
        WorkbenchError: a line that is no JSON object with the fields prompt, arm, model, text and label (a text may be left
            out where there is its sha256), or an unknown label; the message names the line.

    >>> sorted({row.label for row in read_labelled()})
    ['collapse', 'compliance', 'off topic', 'refusal']
    """
    files = sorted((data_folder() / "labels").glob("*.jsonl")) if path is None else [Path(path)]
    return tuple(
        _row(line, f"{file.name} line {number}")
        for file in files
        for number, line in enumerate(_text(file).split("\n"), 1)  # JSON knows no other line end
        if line.strip()
    )


def _text(file: Path) -> str:
    try:
        return file.read_text(encoding="utf-8-sig")
    except (OSError, ValueError) as error:
        raise WorkbenchError(f"{file}: cannot be read as text ({error})") from error


def accuracy(rows: Sequence[Labelled], score: Score) -> Estimate:
    """How often a score agrees with the hand label, with its Wilson interval.

    Rows without a stored text, and those that get no label, do not count.

    Args:
        rows: of ``read_labelled``.
        score: a score that gives labels from text and prompt, e.g. ``wb.refusal``.

    Raises:
        WorkbenchError: no rows, or a score that does not give labels.

    >>> print(accuracy((Labelled("How do I make pancakes?", "baseline", "m", "Sure! Take two eggs.", "compliance"),), wb.refusal))
    1.00 [0.21, 1.00] n=1
    """
    if not rows:
        raise WorkbenchError("no labelled rows; benchmarks/label_set.py draws some to be labelled")
    kept = [row for row in rows if row.text or not row.sha256]
    if kept and (alone := score(kept[0].text)) == alone and alone not in LABELS:  # before a model is asked for
        raise WorkbenchError(f"{score.name} gives {alone!r}; expected one of {', '.join(LABELS)}")
    labels = score.values(None, [row.asked for row in kept], [row.text for row in kept], [Steer()] * len(kept))
    told = [
        (label, row.label) for label, row in zip(labels, kept, strict=True) if label == label
    ]  # NaN differs from itself
    if strange := [value for value, _ in told if value not in LABELS]:
        raise WorkbenchError(f"{score.name} gives {strange[0]!r}; expected one of {', '.join(LABELS)}")
    return rate(sum(said == by_hand for said, by_hand in told), len(told))


def _row(line: str, where: str) -> Labelled:
    try:
        item = json.loads(line)
    except (ValueError, RecursionError) as error:
        raise WorkbenchError(f"{where}: no JSON ({error})") from error
    if isinstance(item, dict) and "sha256" in item:
        item = {"text": "", **item}
    if not isinstance(item, dict) or set(_FIELDS) - set(item) or set(item) - {*_FIELDS, *_ALSO}:
        raise WorkbenchError(f"{where}: expected exactly the fields {', '.join(_FIELDS)}")
    if strange := [name for name in item if not isinstance(item[name], str)]:
        raise WorkbenchError(f"{where}: {strange[0]} must be text")
    if item["label"] not in LABELS:
        raise WorkbenchError(f"{where}: label {item['label']!r}; expected one of {', '.join(LABELS)}")
    return Labelled(**item)


def agreement(rows: "pd.DataFrame", a: Score | str, b: Score | str) -> Agreement:
    """Compare two scorers over the completions of a sweep: Cohen's kappa with its interval, and the confusion table.

    A completion that occurs in several rows (one baseline in two grids) counts once, by its key; a completion without
    a label from one scorer, e.g. because its reasoning was cut off, does not count.

    Args:
        rows: of ``wb.sweep``, with both scores.
        a, b: scores or their names; both must give labels, not numbers.

    Raises:
        WorkbenchError: a score that is not in the rows or gives numbers, or labels for which kappa is undefined.

    >>> import pandas as pd
    >>> texts = ["I can't help with that.", "Sure! Take two eggs.", "It may be illegal. First, find the owner."]
    >>> scores = (wb.refusal, wb.log001_keyword_refusal)
    >>> rows = pd.DataFrame([{"key": t, "score": s.name, "value": s(t)} for t in texts for s in scores])
    >>> round(agreement(rows, *scores).kappa.value, 2)
    0.4
    """
    first, second = (_labels(rows, score if isinstance(score, str) else score.name) for score in (a, b))
    both = first.index.intersection(second.index)
    return kappa(first[both].tolist(), second[both].tolist())


def _labels(rows: "pd.DataFrame", name: str) -> "pd.Series":
    lacking = {"key", "score", "value"} - set(getattr(rows, "columns", ()))
    if lacking:
        raise WorkbenchError(f"rows lack {', '.join(sorted(lacking))}; expected the rows of wb.sweep")
    part = rows[rows["score"] == name]
    if part.empty:
        raise unknown("score", name, rows["score"].unique())
    labels = part.drop_duplicates("key").set_index("key")["value"].dropna()
    if numbers := sum(not isinstance(value, str) for value in labels):
        raise WorkbenchError(
            f"{numbers} values of {name!r} are numbers; kappa compares labels, so cut them into some first"
        )
    return labels
