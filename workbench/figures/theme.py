"""One look for every figure: colours that stay apart for every eye, on a light page and on a dark one.

Notebooks do not tell a plotly figure which theme they wear, so figures have no ground of their own and every colour here
is readable on white and on JupyterLab's dark ``#111``. Saved pages know more: ``pages.py`` sharpens the text there.
"""

import math
import textwrap
from collections.abc import Sequence
from typing import TYPE_CHECKING

from workbench._errors import WorkbenchError
from workbench.figures.words import escape

if TYPE_CHECKING:
    import pandas as pd
    import plotly.graph_objects as go


#: Okabe and Ito's palette (2008), which stays distinct with every common form of colour blindness; their black is a grey
#: here, so that it is seen on a dark page too. Those that show on both grounds come first.
COLOURS = ("#0072B2", "#D55E00", "#009E73", "#CC79A7", "#E69F00", "#56B4E9", "#7A7A7A")
DASHES = ("solid", "dash", "dot", "dashdot")

#: text: as far from white as from #111
INK = "#7A7A7A"
FAINT = "rgba(127,127,127,0.28)"
BAND = "rgba(127,127,127,0.22)"

#: of heatmaps: text on cells, which have the same colours on a light and on a dark page; and a gap around each
ON_CELLS = "#222222"
CELLS = {"texttemplate": "%{text}", "coloraxis": "coloraxis", "xgap": 1, "ygap": 1}

#: negative blue, nothing nearly white, positive vermillion; as plotly wants it
DIVERGING = ((0.0, "#0072B2"), (0.5, "#F7F7F7"), (1.0, "#D55E00"))
FONT = "system-ui, -apple-system, 'Segoe UI', 'DejaVu Sans', sans-serif"
MONO = "ui-monospace, 'DejaVu Sans Mono', Menlo, Consolas, monospace"

#: plotly's buttons that go: zooming is dragging and a double click, and no text of a model is ever offered for upload
_BUTTONS = (
    *("sendChartToCloud", "select2d", "lasso2d", "zoom2d", "pan2d", "zoomIn2d", "zoomOut2d", "autoScale2d"),
    *("hoverClosestCartesian", "hoverCompareCartesian", "toggleSpikelines"),
)

#: what fits a line of a phone (390 px), in characters
TITLE_WIDTH, SMALL_WIDTH = 46, 57
_SMALL, _LINE, _PHONE = 12, 19.5, 314


def colour(index: int) -> str:
    """The colour of the index-th line."""
    return COLOURS[index % len(COLOURS)]


def dash(index: int) -> str:
    """The dash of the index-th line: solid until the colours repeat, so that no two lines look the same."""
    return DASHES[index // len(COLOURS) % len(DASHES)]


def wrap(text: str, width: int = TITLE_WIDTH) -> list[str]:
    """Text in lines that fit a phone, escaped; plotly breaks no lines itself."""
    return [escape(line) for part in text.splitlines() for line in textwrap.wrap(part, width, break_on_hyphens=False)]


def heading(title: str, small_print: str = "") -> tuple[str, int]:
    """A title and the small print under it as plotly wants them, and the pixels they take."""
    lines = wrap(title)
    lines += [f"<span style='font-size:{_SMALL}px'>{line}</span>" for line in wrap(small_print, SMALL_WIDTH)]
    return "<br>".join(lines), round(_LINE * len(lines)) + 22


def lay_out(
    figure: "go.Figure", title: str, small_print: str, plot: float, above: float, below: float, **layout: object
) -> None:
    """Dress a figure: title, template, and a height of ``plot`` pixels with so many above (beside the title) and below."""
    text, top = heading(title, small_print)
    height, margin = plot + top + above + below, {"t": top + above, "b": below}
    figure.update_layout(template=template(), title_text=text, height=height, margin=margin, **layout)


def legend_height(entries: Sequence[str]) -> int:
    """Pixels that a horizontal legend takes on a phone, where plotly lays its entries out in equal columns."""
    widest = max(44 + 7.5 * len(entry) for entry in entries)
    return 22 * math.ceil(len(entries) / max(1, int(_PHONE // widest)))


def legend_below(y: float) -> dict[str, object]:
    """A horizontal legend whose upper left corner lies at y (paper), below the plot."""
    return {"orientation": "h", "x": 0, "xanchor": "left", "y": y, "yanchor": "top"}


def check_rows(frame: "pd.DataFrame", columns: Sequence[str]) -> None:
    """Raises a WorkbenchError for a frame without rows or without one of these columns."""
    lacking = [name for name in columns if name not in frame]
    if lacking or frame.empty:
        raise WorkbenchError(f"expected rows with {', '.join(columns)}; got {len(frame)} rows without {lacking}")


def slider(steps: Sequence[dict], start: int, above: int) -> dict:
    """A plotly slider over layers, so many pixels above the plot."""
    return {
        "active": start,
        "steps": list(steps),
        "currentvalue": {"prefix": "layer ", "font": {"size": 13}, "offset": 4},
        "pad": {"t": 0, "b": above, "l": 0, "r": 0},
        "x": 0,
        "y": 1,
        "yanchor": "bottom",
        "len": 1,
        "bgcolor": FAINT,
        "activebgcolor": COLOURS[0],
        "bordercolor": INK,
        "borderwidth": 1,
        "tickcolor": INK,
        "ticklen": 4,
        "minorticklen": 2,
        "font": {"size": 11, "color": INK},
        "transition": {"duration": 0},
    }


def diverging(extent: float, title: str, y: float) -> dict:
    """A colour axis from -extent to extent with nothing at white, its scale lying below the plot at y (paper)."""
    bar = {"title": {"text": title, "side": "top", "font": {"size": 12}}, "tickfont": {"size": 11}, "outlinewidth": 0}
    bar |= {"lenmode": "pixels", "len": 260, "thickness": 12, **legend_below(y)}
    return {
        "colorscale": [list(stop) for stop in DIVERGING],
        "cmin": -extent,
        "cmid": 0,
        "cmax": extent,
        "colorbar": bar,
    }


def template() -> "go.layout.Template":
    """The plotly template of all figures: no ground, text and grid for light and dark, dark hover cards."""
    import plotly.graph_objects as go

    axis = {
        "gridcolor": FAINT,
        "zerolinecolor": INK,
        "zerolinewidth": 1,
        "linecolor": FAINT,
        "tickcolor": FAINT,
        "automargin": True,
        "title": {"font": {"size": 13}, "standoff": 8},
    }
    layout = go.Layout(
        font={"family": FONT, "size": 13, "color": INK},
        paper_bgcolor="rgba(0,0,0,0)",
        plot_bgcolor="rgba(0,0,0,0)",
        colorway=COLOURS,
        xaxis=axis,
        yaxis=axis,
        title={
            "x": 0,
            "xref": "container",
            "xanchor": "left",
            "y": 1,
            "yref": "container",
            "yanchor": "top",
            "pad": {"l": 12, "t": 14},
            "font": {"size": 15},
        },
        hoverlabel={
            "bgcolor": "#22262b",
            "bordercolor": "#22262b",
            "align": "left",
            "font": {"color": "#ffffff", "size": 13, "family": FONT},
            "namelength": -1,
        },
        modebar={"remove": _BUTTONS, "bgcolor": "rgba(0,0,0,0)", "color": INK, "activecolor": COLOURS[0]},
        legend={"font": {"size": 13}, "bgcolor": "rgba(0,0,0,0)"},
        margin={"l": 62, "r": 14, "t": 80, "b": 60},
    )
    return go.layout.Template(layout=layout)
