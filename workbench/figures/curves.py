"""The curves of a trajectory panel: responses, their means, and the band of random directions."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from workbench.figures import theme
from workbench.figures.axes import Axis
from workbench.figures.reading import VALUES, Line, described, placed
from workbench.figures.words import escaped

if TYPE_CHECKING:
    import plotly.graph_objects as go

#: up to so many tokens each has a dot
_FEW = 40


@dataclass(frozen=True)
class Curve:
    """A plotly trace, and what the slider puts into it: values and norms, each ``[layer, token]``; norms may be absent."""

    trace: "go.Scatter"
    panel: int
    values: np.ndarray
    norms: np.ndarray | None = None


def single(panel: int, line: Line, place: int, axis: Axis, value: str, color: str, thin: bool) -> Curve:
    """One response: a line whose hover tells token, value, norm and position, with diamonds where it was steered."""
    import plotly.graph_objects as go

    few = len(axis.offsets) <= _FEW
    name = getattr(line, color)
    scatter = go.Scatter(
        x=axis.names(line.offsets),
        mode="lines" if thin else "lines+markers",
        name=escaped(name),
        legendgroup=escaped(name),
        showlegend=panel == 0 and not thin,
        opacity=0.4 if thin else 1,
        line={"color": theme.colour(place), "width": 1 if thin else 2 if few else 1.5, "dash": theme.dash(place)},
        marker=_diamonds(line.steered, few),
        text=described(line),
        hovertemplate=f"%{{text}}<br>{escaped(line.direction)}: <b>%{{y:{VALUES[value].digits}}}</b><br>"
        f"norm %{{customdata:.4~g}}, layer %{{meta}}<br>{escaped(line.arm)}, prompt {escaped(line.prompt_id)}<extra></extra>",
    )
    return Curve(scatter, panel, line.values, line.norms)


def mean(panel: int, lines: Sequence[Line], place: int, axis: Axis, value: str, color: str) -> Curve:
    """The mean of several responses, where at least half of them still go on."""
    import plotly.graph_objects as go

    name = getattr(lines[0], color)
    values = _stacked([line.values for line in lines], lines, axis)
    counts = np.isfinite(values).sum(axis=0)
    enough = np.where(2 * counts >= len(lines), _mean(values), np.nan)
    scatter = go.Scatter(
        x=axis.names(np.array(axis.offsets)),
        mode="lines+markers",
        name=escaped(name),
        legendgroup=escaped(name),
        showlegend=panel == 0,
        marker=_diamonds(_mostly_steered(lines, axis), few=False),
        line={"color": theme.colour(place), "width": 3, "dash": theme.dash(place)},
        text=[f"<b>{escaped(w)}</b><br>{placed(o)}" for w, o in zip(axis.words, axis.offsets, strict=True)],
        hovertemplate=f"%{{text}}<br>{escaped(lines[0].direction)}: <b>%{{y:{VALUES[value].digits}}}</b><br>"
        f"mean norm %{{customdata:.4~g}}, layer %{{meta}}<br>{escaped(lines[0].arm)}, mean of up to {len(lines)} responses"
        "<extra></extra>",
    )
    return Curve(scatter, panel, enough, _mean(_stacked([line.norms for line in lines], lines, axis)))


def band(panel: int, groups: Sequence[Sequence[Line]], axis: Axis) -> list[Curve]:
    """Where random directions lie: the mean over the responses of a group, the widest over groups; nothing if untraced."""
    import plotly.graph_objects as go

    lows, highs = [], []
    for lines in groups:
        known = [line for line in lines if line.low is not None and line.high is not None]
        if known:
            lows.append(_mean(_stacked([line.low for line in known if line.low is not None], known, axis)))
            highs.append(_mean(_stacked([line.high for line in known if line.high is not None], known, axis)))
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
    size = np.where(steered, 10 if few else 5, 6 if few else 0)
    return {
        "size": size.tolist(),
        "symbol": np.where(steered, "diamond", "circle").tolist(),
        "opacity": 1,
        "line": {"width": 0},
    }


def _mostly_steered(lines: Sequence[Line], axis: Axis) -> np.ndarray:
    """Offsets where at least half of the responses that have a token there were steered."""
    flags = _stacked([line.steered[np.newaxis].astype(float) for line in lines], lines, axis)
    return _mean(flags)[0] >= 0.5


def _stacked(grids: Sequence[np.ndarray], lines: Sequence[Line], axis: Axis) -> np.ndarray:
    """``[line, layer, offset]``, NaN where a line has no token."""
    found = np.full((len(lines), grids[0].shape[0], len(axis.offsets)), np.nan)
    for row, (grid, line) in enumerate(zip(grids, lines, strict=True)):
        found[row][:, np.searchsorted(axis.offsets, line.offsets)] = grid
    return found


def _mean(stack: np.ndarray) -> np.ndarray:
    """Over lines; NaN where none has a token, without numpy's warning."""
    counts = np.isfinite(stack).sum(axis=0)
    return np.where(counts > 0, np.nansum(stack, axis=0) / np.maximum(counts, 1), np.nan)
