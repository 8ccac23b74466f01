"""Numbers with intervals along layers, doses or names, one panel below another: what a comparison found."""

from collections.abc import Mapping
from typing import TYPE_CHECKING

from workbench.figures import theme
from workbench.figures.words import escape

if TYPE_CHECKING:
    import pandas as pd
    import plotly.graph_objects as go


#: pixels of a panel, of the gap that holds the name of the next one (and an axis), and of the labels below the last
_PANEL, _GAP, _WIDE_GAP, _BELOW = 210, 46, 96, 70


def lines(
    frame: "pd.DataFrame",
    title: str = "",
    x: str | Mapping[str, str] = "layer",
    small_print: str = "",
    zero: bool = False,
    joined: bool = True,
) -> "go.Figure":
    """One line per series and one panel per quantity, with a shared axis or one axis each.

    Args:
        frame: one row per point: panel, series, x (a number or a name), y, and optionally low and high.
        title: a sentence that says what the figure shows.
        small_print: what a reader needs to know besides.
        x: the label of the axis; or, by panel, the label of its own axis.
        zero: draw a line at 0 in every panel.
        joined: join the points of a series; not if x is a name.

    Raises:
        WorkbenchError: no rows, or a column that is missing.

    >>> import pandas as pd
    >>> frame = pd.DataFrame({"panel": "AUC", "series": "mean_diff", "x": [1, 2, 3], "y": [0.5, 0.8, 0.9]})
    >>> [line.name for line in lines(frame).data]
    ['mean_diff']
    """
    from plotly.subplots import make_subplots

    theme.check_rows(frame, ("panel", "series", "x", "y"))
    panels, series = list(dict.fromkeys(frame["panel"])), list(dict.fromkeys(frame["series"]))
    gap = _GAP if isinstance(x, str) else _WIDE_GAP
    plot = _PANEL * len(panels) + gap * (len(panels) - 1)
    figure = make_subplots(
        rows=len(panels),
        shared_xaxes=isinstance(x, str),
        vertical_spacing=gap / plot if len(panels) > 1 else 0,
        subplot_titles=[escape(str(panel)) for panel in panels],
    )
    figure.update_annotations(font_size=13, x=0, xanchor="left")
    for row, panel in enumerate(panels, 1):
        for i, name in enumerate(series):
            part = frame[(frame["panel"] == panel) & (frame["series"] == name)]
            if len(part):
                shown = not any(trace.name == escape(str(name)) for trace in figure.data)
                _add_line(figure, row, part, str(name), i, shown, joined)
    if not joined and frame["x"].map(type).eq(str).any():  # side by side over a name
        figure.update_layout(scattermode="group", scattergap=0.5)
    if zero:
        figure.add_hline(y=0, line_color=theme.INK, line_width=1)
    figure.update_xaxes(zeroline=False)  # layer 0 is a layer like the others
    legend = theme.legend_height([str(name) for name in series]) if len(series) > 1 else 0
    named = {panels[-1]: x} if isinstance(x, str) else x
    for panel, what in named.items():
        figure.update_xaxes(title_text=escape(what), row=panels.index(panel) + 1, col=1)
    below = theme.legend_below(-_BELOW / plot)
    theme.lay_out(figure, title, small_print, plot, 26, _BELOW + legend, showlegend=len(series) > 1, legend=below)
    return figure


def _add_line(
    figure: "go.Figure", row: int, part: "pd.DataFrame", name: str, place: int, shown: bool, joined: bool
) -> None:
    said, reach = [""] * len(part), {}
    if {"low", "high"} <= set(part.columns) and part["low"].notna().any():
        above, below = part["high"] - part["y"], part["y"] - part["low"]
        reach = {"error_y": {"array": above, "arrayminus": below, "thickness": 1, "width": 2}}
        said = [f" [{a:.2f}, {b:.2f}]" for a, b in zip(part["low"], part["high"], strict=True)]
    figure.add_scatter(
        row=row,
        col=1,
        x=part["x"],
        y=part["y"],
        mode="lines+markers" if joined else "markers",
        name=escape(name),
        legendgroup=escape(name),
        showlegend=shown,
        line={"color": theme.colour(place), "dash": theme.dash(place)},
        marker={"size": 5 if joined else 9},
        customdata=[[text] for text in said],
        hovertemplate=f"{escape(name)}, %{{x}}: <b>%{{y:.2f}}</b>%{{customdata[0]}}<extra></extra>",
        **reach,
    )
