"""Look before writing: one forward pass per row tells which arms leave the first token's refusal margin where it was."""

from collections import defaultdict
from collections.abc import Sequence

import numpy as np

from workbench.edits import Steer
from workbench.models import Model
from workbench.rows import Row
from workbench.scoring import refusal_margin


def margins(model: Model, rows: Sequence[Row], batch_size: int = 32) -> dict[str, float]:
    """The refusal margin of each row, by key; each key is read once."""
    items = list({row.key: row for row in rows}.values())
    values = refusal_margin(model, [row.prompt for row in items], [row.arm.steer for row in items], batch_size)
    return {row.key: float(value) for row, value in zip(items, values, strict=True)}


def unmoved(model: Model, rows: Sequence[Row], found: dict[str, float], least: float) -> set[str]:
    """The keys of the steered rows whose arm shifts the mean margin of their set by less than ``least``, in nats.

    The shift is the mean over the prompts of a set of the margin under the arm minus the margin without steering.
    """
    prompts = list({row.prompt for row in rows})
    plain = dict(zip(prompts, refusal_margin(model, prompts, Steer()), strict=True))
    shifts: defaultdict[tuple, list[float]] = defaultdict(list)
    for row in rows:
        shifts[row.set, row.arm].append(found[row.key] - plain[row.prompt])
    moved = {place for place, values in shifts.items() if abs(np.mean(values)) >= least}
    wanted = {row.key for row in rows if not row.arm.steer.effective or (row.set, row.arm) in moved}
    return {row.key for row in rows} - wanted
