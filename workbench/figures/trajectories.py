"""Projections token by token: one line per arm or direction, the text underneath, a slider over the layers."""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Literal

import numpy as np

from workbench.errors import WorkbenchError
from workbench.figures import theme
from workbench.figures.axes import Axis, axis_over, mark_boundary
from workbench.figures.curves import Curve, band, mean, single
from workbench.figures.headlines import small_print, trajectory_title
from workbench.figures.reading import SINK, VALUES, Framed, Reading, check_panels, read, rounded
from workbench.figures.words import escaped

if TYPE_CHECKING:
    import pandas as pd
    import plotly.graph_objects as go

#: pixels: of a panel, of the words above it, of the slider
_PANEL, _WORDS, _SLIDER = (320, 220), 24, 76
#: so many attention sinks are named
_NAMED = 3


@dataclass(frozen=True)
class _View:
    """What the slider changes beside the curves: heading, its pixels, and the scale."""

    title: str
    height: int
    low: float
    high: float


def trajectory(
    trace: "Framed | pd.DataFrame",
    value: str = "dot",
    color: Literal["arm", "direction"] = "arm",
    title: str | None = None,
    show_text: bool = False,
    layer: int | None = None,
) -> "go.Figure":
    """Projection at every token of prompt and response, with a slider over the layers.

    One line per arm (or direction), one panel per direction (or arm). Responses are aligned at their first token. With
    several responses each arm has thin lines and their mean, drawn where at least half of them still go on. Diamonds are
    steered tokens. The grey band, if the trace has an envelope, is where 95% of random directions lie: the mean over an
    arm's responses, the widest over arms. Tokens with over ten times the median norm (attention sinks, Sun et al. 2024) do
    not set the scale and are no part of the means in the title; where one lies outside, the small print says so.

    Args:
        trace: a ``Trace``, or its frame, or some rows of it.
        value: "dot" with the unit vector, "cosine", or "z" against the neutral set of the trace.
        color: what the colours tell apart, "arm" or "direction".
        title: what is seen, as a sentence; by default the means of each line.
        show_text: show the text of tokens marked as hidden; they are ``▮`` otherwise.
        layer: where the slider begins; the middle one by default.

    Returns:
        A plotly figure.

    Raises:
        WorkbenchError: see ``read``; an unknown ``color``; more than six panels; a layer that was not traced.

    >>> wb.figures.trajectory(wb.trace(model, out, [d]))  # doctest: +SKIP
    """
    from plotly.subplots import make_subplots

    if color not in ("arm", "direction"):
        raise WorkbenchError(f"color={color!r}: lines are coloured by 'arm' or by 'direction'")
    reading = read(trace, value, show_text)
    start = reading.index(layer)
    panels = reading.named("direction" if color == "arm" else "arm")
    check_panels(panels)
    axis = axis_over(reading.lines)
    curves = _curves(reading, axis, color)
    figure = make_subplots(rows=len(panels), cols=1, shared_xaxes=True, vertical_spacing=0.08 if panels[1:] else 0)
    for curve in curves:
        figure.add_trace(curve.trace, row=curve.panel + 1, col=1)
    _explain_diamonds(figure, reading)
    views = _views(reading, axis, color, title)
    _arrange(figure, reading, axis, panels, top=max(view.height for view in views))
    _slide(figure, reading, curves, views, start)
    return figure


def _curves(reading: Reading, axis: Axis, color: str) -> list[Curve]:
    """The band behind, then the lines of each arm or direction, panel by panel."""
    names = reading.named(color)
    by = "direction" if color == "arm" else "arm"
    curves = []
    for panel, shown in enumerate(reading.named(by)):
        lines = [line for line in reading.lines if getattr(line, by) == shown]
        groups = [[line for line in lines if getattr(line, color) == name] for name in names]
        curves += band(panel, groups, axis)
        for place, group in enumerate(groups):
            thin = len(group) > 1
            curves += [single(panel, line, place, axis, reading.value, color, thin) for line in group]
            curves += [mean(panel, group, place, axis, reading.value, color)] if thin else []
    return curves


def _explain_diamonds(figure: "go.Figure", reading: Reading) -> None:
    if any(line.steered.any() for line in reading.lines):
        marker = {"symbol": "diamond", "size": 9, "color": theme.INK}
        look = {"mode": "markers", "marker": marker, "name": "steered token", "legendrank": 2000}
        figure.add_scatter(x=[None], y=[None], row=1, col=1, **look)


def _views(reading: Reading, axis: Axis, color: str, title: str | None) -> list[_View]:
    """Heading and scale of each layer: a scale for each layer of dots, one for all of cosines and z-scores, to compare."""
    layers = range(len(reading.layers))
    scales = (
        [_scale(reading, [i]) for i in layers] if reading.value == "dot" else [_scale(reading, layers)] * len(layers)
    )
    views = []
    for index, (low, high) in enumerate(scales):
        notes = small_print(reading, axis, _outside(reading, index, low, high))
        text, height = theme.heading(title or trajectory_title(reading, index, color), notes)
        views.append(_View(text, height, low, high))
    return views


def _scale(reading: Reading, layers: Iterable[int]) -> tuple[float, float]:
    """From the lowest to the highest value or band at these layers, attention sinks left out, with some room."""
    at = list(layers)
    grids = [
        (grid[at], line.sink[at])
        for line in reading.lines
        for grid in (line.values, line.low, line.high)
        if grid is not None
    ]
    values = np.concatenate([grid[~sink & np.isfinite(grid)] for grid, sink in grids])
    low, high = (float(values.min()), float(values.max())) if len(values) else (-1.0, 1.0)
    room = 0.06 * (high - low) or max(abs(high), 1.0) * 0.1
    return low - room, high + room


def _outside(reading: Reading, index: int, low: float, high: float) -> list[str]:
    """The attention sinks that the scale leaves out at a layer."""
    found = [
        word
        for line in reading.lines
        for word, value, sink in zip(line.words, line.values[index], line.sink[index], strict=True)
        if sink and not low <= value <= high
    ]
    words = list(dict.fromkeys(found))
    more = f" and {len(words) - _NAMED} more" if len(words) > _NAMED else ""
    return [f"{', '.join(words[:_NAMED])}{more} (over {SINK:.0f} times the median norm)"] if words else []


def _arrange(figure: "go.Figure", reading: Reading, axis: Axis, panels: Sequence[str], top: int) -> None:
    """Sizes and places: heading, legend, panels, text, slider, without overlap at 390 pixels."""
    entries = [str(trace.name) for trace in figure.data if trace.showlegend is not False and trace.name]
    legend = theme.legend_height(entries) if len(entries) > 1 else 0
    height = _PANEL[0] if len(panels) == 1 else _PANEL[1] * len(panels)
    top += (_SLIDER if len(reading.layers) > 1 else 0) + _WORDS
    bottom = axis.height + legend
    figure.update_layout(
        template=theme.template(),
        height=top + height + bottom,
        margin={"t": top, "b": bottom},
        hovermode="closest",
        hoverdistance=40,
        showlegend=legend > 0,
        legend={"orientation": "h", "x": 0, "y": -axis.height / height, "yanchor": "top", "xanchor": "left"},
    )
    figure.update_xaxes(**axis.layout(), showticklabels=False)
    figure.update_xaxes(showticklabels=True, row=len(panels), col=1)
    figure.update_yaxes(title_text=VALUES[reading.value].axis)
    mark_boundary(figure, axis, len(panels))
    if panels[1:]:
        for row, name in enumerate(panels, 1):
            figure.update_yaxes(title_text=f"<b>{escaped(name)}</b><br>{VALUES[reading.value].axis}", row=row, col=1)


def _slide(figure: "go.Figure", reading: Reading, curves: Sequence[Curve], views: Sequence[_View], start: int) -> None:
    """One step per layer, which replaces values, norms, title and scale; and the figure as the first step leaves it."""
    scales = [key for key in figure.layout.to_plotly_json() if key.startswith("yaxis")]
    steps = []
    for index, (layer, view) in enumerate(zip(reading.layers, views, strict=True)):
        values = [rounded(curve.values[index]) for curve in curves]
        norms = [[] if curve.norms is None else rounded(curve.norms[index]) for curve in curves]
        layout: dict[str, object] = {f"{name}.range": [view.low, view.high] for name in scales}
        layout["title.text"] = view.title
        data = {"y": values, "customdata": norms, "meta": layer}
        steps.append({"method": "update", "label": str(layer), "args": [data, layout, list(range(len(curves)))]})
        if index == start:
            for trace, y, customdata in zip(figure.data[: len(curves)], values, norms, strict=True):
                trace.update(y=y, customdata=customdata, meta=layer)
    figure.update_yaxes(range=[views[start].low, views[start].high])
    figure.update_layout(title_text=views[start].title)
    if steps[1:]:
        figure.update_layout(sliders=[theme.slider(steps, start, _WORDS)])
