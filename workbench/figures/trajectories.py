"""Projections token by token: one line per arm or direction, the text underneath, a slider over the layers.

A panel has one curve for each response, one for their mean, and the band of random directions behind them.
"""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Literal

import numpy as np

from workbench._errors import WorkbenchError
from workbench.figures import theme
from workbench.figures.axes import Axis, axis_over, mark_boundary
from workbench.figures.titles import small_print, trajectory_title
from workbench.figures.trace_lines import (
    SINK,
    VALUES,
    Framed,
    Line,
    Panels,
    check_panels,
    describe,
    name_place,
    read,
    to_json,
)
from workbench.figures.words import escape

if TYPE_CHECKING:
    import pandas as pd
    import plotly.graph_objects as go


#: up to so many tokens each has a dot
_FEW = 40

#: pixels: of a panel, of the words above it, of the slider
_PANEL, _WORDS, _SLIDER = (320, 220), 24, 76

#: so many attention sinks are named
_NAMED = 3


@dataclass(frozen=True)
class Curve:
    """A plotly trace, and what the slider puts into it: values and norms, each ``[layer, token]``; norms may be absent."""

    trace: "go.Scatter"
    panel: int
    values: np.ndarray
    norms: np.ndarray | None = None


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

    One line per arm (or direction), one panel per direction (or arm). Responses are aligned at their first token.
    With several responses, each arm has thin lines and their mean, which is drawn as long as at least half of the
    responses continue. Diamonds mark steered tokens. The grey band, if the trace has an envelope, contains 95% of
    random directions: the mean over an arm's responses, and the widest over arms. Tokens with over ten times the
    median norm (attention sinks, Sun et al. 2024) do not set the scale and do not count in the means of the title. If
    such a token lies outside the scale, the small print says so.

    Args:
        trace: a ``Trace``, or its frame, or some rows of it.
        value: "dot" with the unit vector, "cosine", or "z" against the neutral set of the trace.
        color: what the colours distinguish, "arm" or "direction".
        title: a sentence that says what the figure shows; by default the means of each line.
        show_text: show the text of tokens marked as hidden; they are ``▮`` otherwise.
        layer: the initial layer of the slider; the middle one by default.

    Raises:
        WorkbenchError: see ``read``; an unknown ``color``; more than six panels; a layer that was not traced.

    >>> d = wb.extract(model, tiny_pairs, at=wb.resid_post(1))
    >>> out = wb.generate(model, ["how do i bake a cake"], max_new_tokens=4)
    >>> figure = wb.figures.trajectory(wb.trace(model, out, [d], sites=wb.resid_post.all), layer=1)
    >>> len(figure.layout.sliders[0].steps) == model.n_layers
    True
    """
    from plotly.subplots import make_subplots

    if color not in ("arm", "direction"):
        raise WorkbenchError(f"color={color!r}: lines are coloured by 'arm' or by 'direction'")
    panels = read(trace, value, show_text)
    start = panels.index(layer)
    panel_names = panels.named("direction" if color == "arm" else "arm")
    check_panels(panel_names)
    axis = axis_over(panels.lines)
    curves = _curves(panels, axis, color)
    spacing = 0.08 if panel_names[1:] else 0
    figure = make_subplots(rows=len(panel_names), cols=1, shared_xaxes=True, vertical_spacing=spacing)
    for curve in curves:
        figure.add_trace(curve.trace, row=curve.panel + 1, col=1)
    _explain_diamonds(figure, panels)
    views = _views(panels, axis, color, title)
    _arrange(figure, panels, axis, panel_names, top=max(view.height for view in views))
    _slide(figure, panels, curves, views, start)
    return figure


def _curves(panels: Panels, axis: Axis, color: str) -> list[Curve]:
    """The band behind, then the lines of each arm or direction, panel by panel."""
    names = panels.named(color)
    by = "direction" if color == "arm" else "arm"
    curves = []
    for panel, shown in enumerate(panels.named(by)):
        lines = [line for line in panels.lines if getattr(line, by) == shown]
        groups = [[line for line in lines if getattr(line, color) == name] for name in names]
        curves += _band_curves(panel, groups, axis)
        for place, group in enumerate(groups):
            thin = len(group) > 1
            curves += [_single_curve(panel, line, place, axis, panels.value, color, thin) for line in group]
            curves += [_mean_curve(panel, group, place, axis, panels.value, color)] if thin else []
    return curves


def _single_curve(panel: int, line: Line, place: int, axis: Axis, value: str, color: str, thin: bool) -> Curve:
    """One response: a line whose hover tells token, value, norm and position, with diamonds where it was steered."""
    import plotly.graph_objects as go

    few = len(axis.offsets) <= _FEW
    name = getattr(line, color)
    scatter = go.Scatter(
        x=axis.names(line.offsets),
        mode="lines" if thin else "lines+markers",
        name=escape(name),
        legendgroup=escape(name),
        showlegend=panel == 0 and not thin,
        opacity=0.4 if thin else 1,
        line={"color": theme.colour(place), "width": 1 if thin else 2 if few else 1.5, "dash": theme.dash(place)},
        marker=_diamonds(line.steered, few),
        text=describe(line),
        hovertemplate=f"%{{text}}<br>{escape(line.direction)}: <b>%{{y:{VALUES[value].digits}}}</b><br>"
        f"norm %{{customdata:.4~g}}, layer %{{meta}}<br>{escape(line.arm)}, prompt {escape(line.prompt_id)}<extra></extra>",
    )
    return Curve(scatter, panel, line.values, line.norms)


def _mean_curve(panel: int, lines: Sequence[Line], place: int, axis: Axis, value: str, color: str) -> Curve:
    """The mean of several responses, where at least half of them still go on."""
    import plotly.graph_objects as go

    name = getattr(lines[0], color)
    values = _stack([line.values for line in lines], lines, axis)
    counts = np.isfinite(values).sum(axis=0)
    enough = np.where(2 * counts >= len(lines), _mean(values), np.nan)
    scatter = go.Scatter(
        x=axis.names(np.array(axis.offsets)),
        mode="lines+markers",
        name=escape(name),
        legendgroup=escape(name),
        showlegend=panel == 0,
        marker=_diamonds(_mostly_steered(lines, axis), few=False),
        line={"color": theme.colour(place), "width": 3, "dash": theme.dash(place)},
        text=[f"<b>{escape(w)}</b><br>{name_place(o)}" for w, o in zip(axis.words, axis.offsets, strict=True)],
        hovertemplate=f"%{{text}}<br>{escape(lines[0].direction)}: <b>%{{y:{VALUES[value].digits}}}</b><br>"
        f"mean norm %{{customdata:.4~g}}, layer %{{meta}}<br>{escape(lines[0].arm)}, mean of up to {len(lines)} responses"
        "<extra></extra>",
    )
    return Curve(scatter, panel, enough, _mean(_stack([line.norms for line in lines], lines, axis)))


def _band_curves(panel: int, groups: Sequence[Sequence[Line]], axis: Axis) -> list[Curve]:
    """Where random directions lie: the mean over the responses of a group, the widest over groups; nothing if untraced."""
    import plotly.graph_objects as go

    lows, highs = [], []
    for lines in groups:
        known = [line for line in lines if line.low is not None and line.high is not None]
        if known:
            lows.append(_mean(_stack([line.low for line in known if line.low is not None], known, axis)))
            highs.append(_mean(_stack([line.high for line in known if line.high is not None], known, axis)))
    if not lows:
        return []
    style = {"mode": "lines", "line": {"width": 0}, "hoverinfo": "skip", "legendgroup": "band", "legendrank": 3000}
    x = axis.names(np.array(axis.offsets))
    low = go.Scatter(x=x, showlegend=False, **style)
    high = go.Scatter(
        x=x, fill="tonexty", fillcolor=theme.BAND, showlegend=panel == 0, name="95% of random directions", **style
    )
    return [Curve(low, panel, np.fmin.reduce(lows)), Curve(high, panel, np.fmax.reduce(highs))]


def _diamonds(steered: np.ndarray, few: bool) -> dict[str, object]:
    """Diamonds on steered tokens; on the others a dot, or nothing where there are too many to tell apart."""
    size = np.where(steered, 10 if few else 5, 6 if few else 0).tolist()
    symbol = np.where(steered, "diamond", "circle").tolist()
    return {"size": size, "symbol": symbol, "opacity": 1, "line": {"width": 0}}


def _mostly_steered(lines: Sequence[Line], axis: Axis) -> np.ndarray:
    """Offsets where at least half of the responses that have a token there were steered."""
    flags = _stack([line.steered[np.newaxis].astype(float) for line in lines], lines, axis)
    return _mean(flags)[0] >= 0.5


def _stack(grids: Sequence[np.ndarray], lines: Sequence[Line], axis: Axis) -> np.ndarray:
    """``[line, layer, offset]``, NaN where a line has no token."""
    stack = np.full((len(lines), grids[0].shape[0], len(axis.offsets)), np.nan)
    for row, (grid, line) in enumerate(zip(grids, lines, strict=True)):
        stack[row][:, np.searchsorted(axis.offsets, line.offsets)] = grid
    return stack


def _mean(stack: np.ndarray) -> np.ndarray:
    """Over lines; NaN where none has a token, without numpy's warning."""
    counts = np.isfinite(stack).sum(axis=0)
    return np.where(counts > 0, np.nansum(stack, axis=0) / np.maximum(counts, 1), np.nan)


def _explain_diamonds(figure: "go.Figure", panels: Panels) -> None:
    if any(line.steered.any() for line in panels.lines):
        marker = {"symbol": "diamond", "size": 9, "color": theme.INK}
        look = {"mode": "markers", "marker": marker, "name": "steered token", "legendrank": 2000}
        figure.add_scatter(x=[None], y=[None], row=1, col=1, **look)


def _views(panels: Panels, axis: Axis, color: str, title: str | None) -> list[_View]:
    """Heading and scale of each layer: a scale for each layer of dots, one for all of cosines and z-scores, to compare."""
    layers = range(len(panels.layers))
    scales = [_scale(panels, [i]) for i in layers] if panels.value == "dot" else [_scale(panels, layers)] * len(layers)
    views = []
    for index, (low, high) in enumerate(scales):
        notes = small_print(panels, axis, _outside(panels, index, low, high))
        text, height = theme.heading(title or trajectory_title(panels, index, color), notes)
        views.append(_View(text, height, low, high))
    return views


def _scale(panels: Panels, layers: Iterable[int]) -> tuple[float, float]:
    """From the lowest to the highest value or band at these layers, attention sinks left out, with some room."""
    at = list(layers)
    grids = [
        (grid[at], line.sink[at])
        for line in panels.lines
        for grid in (line.values, line.low, line.high)
        if grid is not None
    ]
    values = np.concatenate([grid[~sink & np.isfinite(grid)] for grid, sink in grids])
    low, high = (float(values.min()), float(values.max())) if len(values) else (-1.0, 1.0)
    room = 0.06 * (high - low) or max(abs(high), 1.0) * 0.1
    return low - room, high + room


def _outside(panels: Panels, index: int, low: float, high: float) -> list[str]:
    """The attention sinks that the scale leaves out at a layer."""
    sinks = [
        word
        for line in panels.lines
        for word, value, sink in zip(line.words, line.values[index], line.sink[index], strict=True)
        if sink and not low <= value <= high
    ]
    words = list(dict.fromkeys(sinks))
    more = f" and {len(words) - _NAMED} more" if len(words) > _NAMED else ""
    return [f"{', '.join(words[:_NAMED])}{more} (over {SINK:.0f} times the median norm)"] if words else []


def _arrange(figure: "go.Figure", panels: Panels, axis: Axis, panel_names: Sequence[str], top: int) -> None:
    """Sizes and places: heading, legend, panels, text, slider, without overlap at 390 pixels."""
    entries = [str(trace.name) for trace in figure.data if trace.showlegend is not False and trace.name]
    legend = theme.legend_height(entries) if len(entries) > 1 else 0
    height = _PANEL[0] if len(panel_names) == 1 else _PANEL[1] * len(panel_names)
    top += (_SLIDER if len(panels.layers) > 1 else 0) + _WORDS
    bottom = axis.height + legend
    figure.update_layout(
        template=theme.template(),
        height=top + height + bottom,
        margin={"t": top, "b": bottom},
        hovermode="closest",
        hoverdistance=40,
        showlegend=legend > 0,
        legend=theme.legend_below(-axis.height / height),
    )
    figure.update_xaxes(**axis.layout(), showticklabels=False)
    figure.update_xaxes(showticklabels=True, row=len(panel_names), col=1)
    figure.update_yaxes(title_text=VALUES[panels.value].axis)
    mark_boundary(figure, axis, len(panel_names))
    if panel_names[1:]:
        for row, name in enumerate(panel_names, 1):
            figure.update_yaxes(title_text=f"<b>{escape(name)}</b><br>{VALUES[panels.value].axis}", row=row, col=1)


def _slide(figure: "go.Figure", panels: Panels, curves: Sequence[Curve], views: Sequence[_View], start: int) -> None:
    """One step per layer, which replaces values, norms, title and scale; and the figure as the first step leaves it."""
    scales = [key for key in figure.layout.to_plotly_json() if key.startswith("yaxis")]
    steps = []
    for index, (layer, view) in enumerate(zip(panels.layers, views, strict=True)):
        values = [to_json(curve.values[index]) for curve in curves]
        norms = [[] if curve.norms is None else to_json(curve.norms[index]) for curve in curves]
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
