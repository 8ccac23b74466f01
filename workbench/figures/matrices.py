"""Tables of shares as heatmaps: what was made from one cell and judged on another, by method."""

from typing import TYPE_CHECKING

from workbench._errors import WorkbenchError
from workbench.figures import theme
from workbench.figures.words import escape

if TYPE_CHECKING:
    import pandas as pd
    import plotly.graph_objects as go


#: pixels of a cell's height, above a panel, and below it, for the names of its columns
_CELL, _ABOVE, _BELOW = 26, 30, 78
_COLUMNS = ("panel", "series", "train", "test", "value")


def matrices(frame: "pd.DataFrame", title: str = "", small_print: str = "", chance: float = 0.5) -> "go.Figure":
    """One small heatmap per panel (down) and series (across). Rows: where a direction was made. Columns: where it was tested.

    Args:
        frame: one row per cell: panel, series, train, test, value (a share). Each panel has its own cells; series
            share them.
        title: a sentence that says what the figure shows.
        small_print: what a reader needs to know besides.
        chance: the share at chance level; it is white, lower values are blue and higher ones vermillion.

    Raises:
        WorkbenchError: no rows, a column that is missing, or a cell that occurs twice.

    >>> import pandas as pd
    >>> cells = [("layer 1", "mean_diff", "en", "en", 0.9), ("layer 1", "mean_diff", "en", "fr", 0.6)]
    >>> frame = pd.DataFrame(cells, columns=["panel", "series", "train", "test", "value"])
    >>> matrices(frame).data[0].z
    ([0.9, 0.6],)
    """
    from plotly.subplots import make_subplots

    theme.check_rows(frame, _COLUMNS)
    if frame.duplicated(list(_COLUMNS[:4])).any():
        raise WorkbenchError("a cell occurs twice; average it first")
    panels, series = list(dict.fromkeys(frame["panel"])), list(dict.fromkeys(frame["series"]))
    tall = [_CELL * frame.loc[frame["panel"] == panel, "train"].nunique() for panel in panels]
    between = _ABOVE + _BELOW
    plot = sum(tall) + between * (len(panels) - 1)
    figure = make_subplots(
        rows=len(panels),
        cols=len(series),
        row_heights=tall,
        vertical_spacing=between / plot if panels[1:] else 0,
        horizontal_spacing=0.03 if series[1:] else 0,
        subplot_titles=[_named(frame, panel, name, i == 0) for panel in panels for i, name in enumerate(series)],
    )
    figure.update_annotations(font_size=12)
    for row, panel in enumerate(panels, 1):
        for col, name in enumerate(series, 1):
            part = _part(frame, panel, name)
            if len(part):
                _add_grid(figure, row, col, part, f"{panel}, {name}")
            else:
                figure.update_xaxes(visible=False, row=row, col=col)
            figure.update_yaxes(showticklabels=col == 1, autorange="reversed", row=row, col=col)
    figure.update_xaxes(type="category", tickangle=-45, tickfont_size=11, showgrid=False)
    figure.update_yaxes(type="category", tickfont_size=11, showgrid=False)
    scale = theme.diverging(max(1 - chance, chance), "share on the right side", -_BELOW / plot)
    colours = scale | {"cmid": chance, "cmin": 0.0, "cmax": 1.0}
    theme.lay_out(figure, title, small_print, plot, _ABOVE, 2 * _BELOW, coloraxis=colours)
    return figure


def _part(frame: "pd.DataFrame", panel: str, name: str) -> "pd.DataFrame":
    return frame[(frame["panel"] == panel) & (frame["series"] == name)]


def _named(frame: "pd.DataFrame", panel: str, name: str, first: bool) -> str:
    """The heading of a small heatmap, that of its panel before the first; none where there is no heatmap."""
    own = str(name) if len(_part(frame, panel, name)) else ""
    return escape(f"{panel}: {own}".removesuffix(": ") if first else own)


def _add_grid(figure: "go.Figure", row: int, col: int, part: "pd.DataFrame", name: str) -> None:
    table = part.pivot(index="train", columns="test", values="value")
    table = table.reindex(index=list(dict.fromkeys(part["train"])), columns=list(dict.fromkeys(part["test"])))
    values = [[None if cell != cell else float(cell) for cell in line] for line in table.to_numpy()]
    figure.add_heatmap(
        x=[escape(str(x)) for x in table.columns],
        y=[escape(str(y)) for y in table.index],
        z=values,
        text=[["" if cell is None else f"{100 * cell:.0f}" for cell in line] for line in values],
        textfont={"size": 11, "color": theme.ON_CELLS},
        hovertemplate=f"{escape(name)}<br>made from %{{y}}, judged on %{{x}}: <b>%{{z:.1%}}</b><extra></extra>",
        row=row,
        col=col,
        **theme.CELLS,
    )
