"""Titles that say what is seen, made from the numbers of the figure, and the small print under them."""

from collections.abc import Sequence

import numpy as np

from workbench.figures.axes import Axis
from workbench.figures.trace_lines import VALUES, Line, Panels
from workbench.figures.words import HIDDEN, number

_NAMES_IN_TITLE, _PEAKS_IN_TITLE = 6, 4
_MANY = 60

#: a space at which no line is broken
_TIED = "\u00a0"


def trajectory_title(panels: Panels, index: int, color: str) -> str:
    """The mean over the response of each line at one layer; over prompt and response, if there is one.

    Like all titles here: a line break where a line should end, before what is seen.
    """
    by = "direction" if color == "arm" else "arm"
    names, panel_names = panels.named(color), panels.named(by)
    opening = _opening(panels, index)
    means = {part: part_mean(panels.lines, index, part) for part in ("prompt", "response")}
    if len(names) == len(panel_names) == 1:
        parts = [f"{part}{_TIED}{number(mean)}" for part, mean in means.items() if mean is not None]
        return f"{opening}\nmean — {' · '.join(parts)}"
    if len(names) * len(panel_names) > _NAMES_IN_TITLE:
        return f"{opening}, by {color}"
    part = "prompt" if means["response"] is None else "response"
    texts = []
    for panel in panel_names:
        inside = [line for line in panels.lines if getattr(line, by) == panel]
        own = {
            name: part_mean([line for line in inside if getattr(line, color) == name], index, part) for name in names
        }
        numbers = " · ".join(f"{name}:{_TIED}{_shown(mean)}" for name, mean in own.items())
        texts.append(f"{panel} — {numbers}" if panel_names[1:] else numbers)
    if panel_names[1:]:
        return "\n".join([f"{opening}, {part}{_TIED}mean", *texts])
    return f"{opening}\n{part} mean — {texts[0]}"


def heatmap_title(panels: Panels) -> str:
    """The layer where each response (or prompt, if there is none) is farthest from 0 on average, and how far."""
    opening = f"{_opening(panels)} by layer and token"
    if len(panels.lines) > _PEAKS_IN_TITLE:
        return opening
    response = any((line.offsets >= 0).any() for line in panels.lines)
    part = "response" if response else "prompt"
    peaks = [(line, _peak(line, len(panels.layers), part)) for line in panels.lines]
    several = len(panels.lines) > 1
    texts = [
        (f"{line.arm if len(panels.named('arm')) > 1 else line.direction}: " if several else "")
        + f"{number(peak[1])} at layer {panels.layers[peak[0]]}"
        for line, peak in peaks
        if peak
    ]
    return f"{opening}\n{part} mean peaks: {' · '.join(text.replace(' ', _TIED) for text in texts)}"


def tokens_title(panels: Panels, index: int) -> str:
    """What colours the text, and at which layer."""
    return f"{_opening(panels, index)}, token by token"


def small_print(panels: Panels, axis: Axis, outside: Sequence[str] = ()) -> str:
    """What a reader must know to read the figure right, or nothing."""
    notes = []
    rows = len({line.row for line in panels.lines})
    if max(_per_line(panels)) > 1:
        notes.append(f"thin: {rows} responses; thick: their means")
    if axis.borrowed:
        notes.append(f"text below: {axis.borrowed}, the others on hover")
    if axis.borrowed is None:
        notes.append("below: tokens that all share, else the distance from the first response token")
    if outside:
        notes.append(f"beyond the scale: {', '.join(outside)}")
    if any(HIDDEN in line.words for line in panels.lines):
        notes.append(f"{HIDDEN}: text not shown")
    if len(axis.offsets) > _MANY:
        notes.append("drag to zoom in")
    return " · ".join(notes)


def part_mean(lines: Sequence[Line], index: int, part: str) -> float | None:
    """Mean over the tokens of a part, then over lines, at one layer, attention sinks left out; None without any."""
    means = []
    for line in lines:
        inside = (line.offsets >= 0) == (part == "response")
        values = line.values[index][inside & ~line.sink[index]]
        if np.isfinite(values).any():
            means.append(float(np.nanmean(values)))
    return float(np.mean(means)) if means else None


def _opening(panels: Panels, index: int | None = None) -> str:
    directions = panels.named("direction")
    arms = panels.named("arm")
    at = "" if index is None else f" at layer {panels.layers[index]}"
    on = directions[0] if len(directions) == 1 else f"{len(directions)} directions"
    inside = f" in {arms[0]}" if len(arms) == 1 else ""
    return f"{VALUES[panels.value].title} {on}{at}{inside}"


def _per_line(panels: Panels) -> list[int]:
    keys = [(line.arm, line.direction) for line in panels.lines]
    return [keys.count(key) for key in keys]


def _peak(line: Line, layers: int, part: str) -> tuple[int, float] | None:
    """The layer (counted from the first) of the largest absolute mean, and the mean."""
    means = [(i, mean) for i in range(layers) if (mean := part_mean([line], i, part)) is not None]
    return max(means, key=lambda peak: abs(peak[1]), default=None)


def _shown(mean: float | None) -> str:
    return "–" if mean is None else number(mean)
