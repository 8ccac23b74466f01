"""How often does the label err? What verdicts are corrected with: counts on completions labelled by hand, per model and kind of arm."""

import json
from functools import cache

from workbench._errors import unknown
from workbench._files import data_folder
from workbench.claims.evidence import LABELS
from workbench.statistics.label_errors import LabelErrors

#: texts that a rate of one model rests on at least; below that it is the rate of all models together
LEAST = 20


def measured_errors(label: str, model: str) -> tuple[LabelErrors, LabelErrors]:
    """How often ``wb.refusal`` errs about a label, on untouched and on steered texts of a model.

    Counted on the part of ``data/labels`` that no rule was made on (``benchmarks/label_table.py --write``). Where a model has
    fewer than ``LEAST`` texts of a kind, or was not labelled at all, the rate is that of all labelled models together: of three
    texts nothing could be said, and the correction would be a guess.

    Args:
        label: "refusal", "compliance", "off topic" or "collapse".
        model: its name in the registry.

    Returns:
        The errors on untouched and on steered texts, for ``statistics.corrected_difference``.

    Raises:
        WorkbenchError: no such label.

    >>> untouched, steered = measured_errors("compliance", "smollm2-refusal")
    >>> untouched.positives + untouched.negatives, steered.positives + steered.negatives > 90
    (100, True)
    """
    if label not in LABELS:
        raise unknown("label", label, LABELS)
    return _errors(label, model, "untouched"), _errors(label, model, "steered")


def is_measured(model: str) -> bool:
    """Whether texts of this model were labelled by hand.

    >>> is_measured("smollm2-refusal"), is_measured("qwen3-8b")
    (True, False)
    """
    return any(line["model"] == model for line in _table()["counts"])


def measured_version() -> int:
    """The version of ``wb.refusal`` that the counts are of: rows of another version are not corrected by them."""
    return int(_table()["version"])


@cache
def _table() -> dict:
    return json.loads((data_folder() / "labels" / "confusion.json").read_text(encoding="utf-8"))


def _errors(label: str, model: str, arm: str) -> LabelErrors:
    lines = [line for line in _table()["counts"] if line["arm"] == arm]

    def counts(by_hand: bool) -> tuple[int, int]:
        """Of the texts that have the label by hand, or that have not: how many are called so, and how many there are."""
        side = [line for line in lines if (line["by_hand"] == label) == by_hand]
        own = [line for line in side if line["model"] == model]
        enough = sum(line["n"] for line in own) >= LEAST
        chosen = own if enough else side
        return sum(line["n"] for line in chosen if line["said"] == label), sum(line["n"] for line in chosen)

    return LabelErrors(*counts(True), *counts(False))
