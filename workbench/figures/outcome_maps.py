"""What happens where: refusal, compliance, off topic and collapse by layer and dose."""

from typing import TYPE_CHECKING

from workbench._errors import WorkbenchError
from workbench.figures import theme
from workbench.figures.words import escape
from workbench.statistics.rates import rate
from workbench.statistics.results import Estimate

if TYPE_CHECKING:
    import pandas as pd
    import plotly.graph_objects as go


LABELS = ("refusal", "compliance", "off topic", "collapse")

#: pixels of a layer's row, above a panel, and below the last one
_LAYER, _ABOVE, _BELOW = 34, 46, 96


def outcome_map(rows: "pd.DataFrame", title: str = "") -> "go.Figure":
    """The share of each label by layer and dose, one panel per label. Hovering shows the interval.

    Args:
        rows: of ``wb.sweep`` with the score "refusal", one prompt set. Its direction arms are drawn, and its baseline
            is at dose 0 of every layer.
        title: a sentence that says what the figure shows.

    Raises:
        WorkbenchError: no direction rows of that score, or several prompt sets.

    >>> d = wb.extract(model, tiny_pairs, at=wb.resid_post(1))
    >>> arms = wb.grid(d, ratios=[-0.3, 0, 0.3])
    >>> rows = wb.sweep(model, tiny_pairs.positive, arms, [wb.refusal], max_new_tokens=4)
    >>> [len(panel.z[0]) for panel in outcome_map(rows).data]  # one cell per dose
    [3, 3, 3, 3]
    """
    from plotly.subplots import make_subplots

    part = rows[(rows["score"] == "refusal") & rows["value"].notna() & rows["kind"].isin(["baseline", "direction"])]
    if (part["kind"] == "direction").sum() == 0:
        raise WorkbenchError("no rows of the score 'refusal' under a direction; sweep a grid with scores=[wb.refusal]")
    if part["set"].nunique() > 1:
        raise WorkbenchError(f"one map shows one prompt set; got {', '.join(part['set'].unique())}")
    layers = sorted(part.loc[part["kind"] == "direction", "layer"].unique())
    doses = sorted({*part["ratio"].unique()})
    figure = make_subplots(
        rows=len(LABELS),
        cols=1,
        shared_xaxes=True,
        vertical_spacing=_ABOVE / _height(len(layers)),
        subplot_titles=LABELS,
    )
    for row, label in enumerate(LABELS, 1):
        cells = [[_cell(part, layer, dose, label) for dose in doses] for layer in layers]
        _add_panel(figure, row, label, layers, doses, cells)
    figure.update_xaxes(type="category")  # doses turn where a phone has no room for them side by side
    figure.update_xaxes(title_text="dose: coef·‖v‖ / mean ‖h‖", row=len(LABELS), col=1)
    figure.update_yaxes(type="category", title_text="layer")
    seen = title or f"{escape(str(part['set'].iloc[0]))}: what becomes of the responses"
    bar = {"title": "share", "tickformat": ".0%", "thickness": 12, "outlinewidth": 0}
    colours = {"colorscale": [[0, "#F7F7F7"], [1, theme.COLOURS[5]]], "cmin": 0, "cmax": 1, "colorbar": bar}
    theme.lay_out(figure, seen, "", _height(len(layers)) - _ABOVE, _ABOVE, _BELOW, coloraxis=colours)
    return figure


def _height(layers: int) -> int:
    return len(LABELS) * _LAYER * layers + (len(LABELS) - 1) * _ABOVE


def _cell(part: "pd.DataFrame", layer: int, dose: float, label: str) -> Estimate | None:
    """The share of a label under one arm; None where it was not run."""
    at = part["kind"] == "baseline" if dose == 0 else (part["layer"] == layer) & (part["ratio"] == dose)
    values = part.loc[at, "value"]
    return rate(int((values == label).sum()), len(values)) if len(values) else None


def _add_panel(
    figure: "go.Figure", row: int, label: str, layers: list, doses: list, cells: list[list[Estimate | None]]
) -> None:
    figure.add_heatmap(
        x=[f"{dose:+.2f}" if dose else "0" for dose in doses],
        y=[str(layer) for layer in layers],
        z=[[None if cell is None else cell.value for cell in line] for line in cells],
        text=[["" if cell is None else f"{cell.value:.0%}" for cell in line] for line in cells],
        customdata=[["not run" if cell is None else str(cell) for cell in line] for line in cells],
        textfont={"size": 11, "color": theme.ON_CELLS},
        hovertemplate=f"layer %{{y}}, dose %{{x}}<br>{label} %{{customdata}}<extra></extra>",
        row=row,
        col=1,
        **theme.CELLS,
    )
