"""From a trace to lines: a checked frame, cut into one line per response and direction, as arrays by layer and token."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Protocol, runtime_checkable

import numpy as np

from workbench._errors import WorkbenchError, check_flag
from workbench.figures.words import HIDDEN, escape, visible

if TYPE_CHECKING:
    import pandas as pd


COLUMNS = (
    *("row", "arm", "prompt_id", "direction", "layer", "site", "position", "offset", "part", "token"),
    *("dot", "cosine", "z", "norm", "steered", "hidden"),
)

#: a token with this many times the median norm is an attention sink (Sun et al. 2024), whose dots would flatten the rest
SINK = 10.0
MAX_PANELS = 6


@dataclass(frozen=True)
class Value:
    """A quantity: its name in a title, its name on an axis, and how plotly writes its numbers."""

    title: str
    axis: str
    digits: str


#: what can be drawn
VALUES = {
    "dot": Value("Projection on", "dot with the unit vector", "+.4~g"),
    "cosine": Value("Cosine with", "cosine", "+.3f"),
    "z": Value("z-score along", "z-score (neutral text is 0)", "+.2f"),
}


@runtime_checkable
class Framed(Protocol):
    """Whatever has a frame: a ``Trace``."""

    def frame(self) -> "pd.DataFrame":
        """One row per response, direction, layer and token."""
        ...


@dataclass(frozen=True)
class Line:
    """One response along one direction: ``[token]`` arrays, and ``[layer, token]`` arrays of what depends on the layer.

    ``texts`` are the tokens, ``▮`` where they must not be shown; ``words`` the same with whitespace made visible. ``sink``
    are tokens whose norm is over ten times the median of the response at that layer. ``low`` and ``high``, the central 95%
    of random directions, are None where none were asked for.
    """

    row: int
    arm: str
    prompt_id: str
    direction: str
    texts: tuple[str, ...]
    words: tuple[str, ...]
    offsets: np.ndarray
    positions: np.ndarray
    steered: np.ndarray
    values: np.ndarray
    norms: np.ndarray
    sink: np.ndarray
    low: np.ndarray | None
    high: np.ndarray | None


@dataclass(frozen=True)
class Panels:
    """All lines of a trace for one value, over the same layers."""

    value: str
    layers: tuple[int, ...]
    lines: tuple[Line, ...]

    def named(self, by: str) -> list[str]:
        """The arms or directions, in the order of the trace."""
        return list(dict.fromkeys(getattr(line, by) for line in self.lines))

    def extent(self, index: int | None = None) -> float:
        """The largest absolute value at one layer or at all, attention sinks left out; 1 if there is none but 0."""
        at = slice(None) if index is None else slice(index, index + 1)
        inside = [np.abs(line.values[at][~line.sink[at] & np.isfinite(line.values[at])]) for line in self.lines]
        return float(max((values.max() for values in inside if len(values)), default=0.0)) or 1.0

    def index(self, layer: int | None) -> int:
        """Which layer to begin with: the one asked for, or the middle one.

        Raises:
            WorkbenchError: that layer was not traced.
        """
        if layer is None:
            return len(self.layers) // 2
        if layer not in self.layers:
            raise WorkbenchError(f"layer {layer} is not in the trace; it has layers {_listed(self.layers)}")
        return self.layers.index(layer)


def read(trace: "Framed | pd.DataFrame", value: str, show_text: bool) -> Panels:
    """Check a trace and cut it into lines; tokens become what may be shown of them.

    Args:
        trace: a Trace, or its frame (or a part of its rows).
        value: "dot", "cosine" or "z".
        show_text: show also the text of tokens that are marked as hidden.

    Raises:
        WorkbenchError: an unknown value, missing columns, no rows, several sites, or z-scores without a neutral set.
    """
    frame = trace.frame() if isinstance(trace, Framed) else trace
    _check(frame, value)
    layers = tuple(sorted(int(layer) for layer in frame["layer"].unique()))
    groups = frame.groupby(["row", "direction"], sort=False)
    check_flag(show_text, "show_text")
    return Panels(value, layers, tuple(_line(group, value, layers, show_text) for _, group in groups))


def describe(line: Line) -> list[str]:
    """Each token of a line for a hover: its text, where it stands, whether it was steered; escaped."""
    places = zip(line.words, line.positions.tolist(), line.offsets.tolist(), line.steered.tolist(), strict=True)
    return [
        f"<b>{escape(word)}</b><br>position {position}, {name_place(offset)}" + (", steered" if steered else "")
        for word, position, offset, steered in places
    ]


def name_place(offset: int) -> str:
    """An offset in words.

    >>> name_place(3), name_place(-1)
    ('response +3', 'prompt −1')
    """
    return f"response {offset:+d}" if offset >= 0 else f"prompt −{-offset}"


def to_json(values: np.ndarray) -> list[float | None]:
    """Numbers with four significant digits, which a page can carry thousands of; NaN becomes None."""
    return [float(f"{v:.4g}") if np.isfinite(v) else None for v in values.tolist()]


def check_panels(names: Sequence[object]) -> None:
    """Refuse a figure of more panels than can be read.

    Raises:
        WorkbenchError: with what to select.
    """
    if len(names) > MAX_PANELS:
        raise WorkbenchError(
            f"{len(names)} panels are more than can be read; select up to {MAX_PANELS}, "
            "for example frame = trace.frame(); frame[frame['row'] == 0]"
        )


def _check(frame: "pd.DataFrame", value: str) -> None:
    if value not in VALUES:
        raise WorkbenchError(f"value={value!r} cannot be drawn; it is one of {', '.join(map(repr, VALUES))}")
    missing = [name for name in COLUMNS if name not in frame.columns]
    if missing:
        raise WorkbenchError(f"not the frame of a trace: it has no column {', '.join(missing)}; pass wb.trace(...)")
    if frame.empty:
        raise WorkbenchError("the trace has no rows; nothing was traced, or the selection left nothing")
    sites = list(frame["site"].unique())
    if len(sites) > 1:
        raise WorkbenchError(
            f"the trace holds the sites {', '.join(map(str, sites))}, and a figure shows one; "
            f"select it with frame[frame['site'] == {sites[0]!r}]"
        )
    if frame[value].isna().all():
        raise WorkbenchError(
            f"every {value} is NaN; z-scores need a neutral set when tracing, 'dot' and 'cosine' do not"
        )


def _line(group: "pd.DataFrame", value: str, layers: tuple[int, ...], show_text: bool) -> Line:
    tokens = group.drop_duplicates("position").sort_values("position")
    positions = tokens["position"].to_numpy()
    hidden = tokens["hidden"].to_numpy(dtype=bool) & (not show_text)
    steered = group.groupby("position")["steered"].any().to_numpy(dtype=bool)
    place = group["layer"].map(layers.index).to_numpy(), np.searchsorted(positions, group["position"].to_numpy())

    def by_layer(column: str) -> np.ndarray:
        grid = np.full((len(layers), len(positions)), np.nan)
        grid[place] = group[column].to_numpy(dtype=float)
        return grid

    norms = by_layer("norm")
    texts = tuple(HIDDEN if h else str(t) for h, t in zip(hidden, tokens["token"], strict=True))
    band = f"{value}_low" in group.columns and not group[f"{value}_low"].isna().all()
    first = tokens.iloc[0]
    return Line(
        row=int(first["row"]),
        arm=str(first["arm"]),
        prompt_id=str(first["prompt_id"]),
        direction=str(first["direction"]),
        texts=texts,
        words=tuple(map(visible, texts)),
        offsets=tokens["offset"].to_numpy(),
        positions=positions,
        steered=steered,
        values=by_layer(value),
        norms=norms,
        sink=norms > SINK * np.nanmedian(norms, axis=1, keepdims=True),
        low=by_layer(f"{value}_low") if band else None,
        high=by_layer(f"{value}_high") if band else None,
    )


def _listed(layers: Sequence[int]) -> str:
    together = list(layers) == list(range(layers[0], layers[-1] + 1))
    return f"{layers[0]} to {layers[-1]}" if together and len(layers) > 2 else ", ".join(map(str, layers))
