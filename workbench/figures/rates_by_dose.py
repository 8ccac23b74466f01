"""Rates against the dose of a direction, with controls: what a sweep found."""

from typing import TYPE_CHECKING

from workbench._errors import WorkbenchError, unknown
from workbench.figures import theme
from workbench.figures.words import escape
from workbench.statistics.rates import rate

if TYPE_CHECKING:
    import pandas as pd
    import plotly.graph_objects as go


#: pixels of the panels, of the names above and of the labels below them
_PANELS, _TITLES, _BELOW = 396, 50, 76
SET_NAMES = {"positive": "harmful", "negative": "harmless", "borderline": "borderline (harmless)"}


def dose_response(rows: "pd.DataFrame", title: str = "", label: str = "refusal") -> "go.Figure":
    """Rate of a label and of collapse against the signed dose, one panel per prompt set, one colour per layer.

    Args:
        rows: of ``wb.sweep`` with the score "refusal"; directions are lines with Wilson intervals, and controls are
            grey dots, one per control direction.
        title: a sentence that says what the figure shows.
        label: "refusal" or "compliance".

    Returns:
        A figure with two rows of panels: the label above, collapse below.

    Raises:
        WorkbenchError: no rows of that score.

    >>> d = wb.extract(model, tiny_pairs, at=wb.resid_post(1))
    >>> arms = wb.grid(d, ratios=[-0.3, 0, 0.3])
    >>> rows = wb.sweep(model, tiny_pairs.positive, arms, [wb.refusal], max_new_tokens=4)
    >>> [line.name for line in dose_response(rows).data]  # above and below
    ['layer 1', 'layer 1']
    """
    from plotly.subplots import make_subplots

    rows = rows[(rows["score"] == "refusal") & rows["value"].notna()]  # rows without a label count for none
    if rows.empty:
        raise WorkbenchError("no rows of the score 'refusal'; sweep with scores=[wb.refusal]")
    if label not in (labels := {"refusal", "compliance", "off topic", "collapse", *map(str, rows["value"])}):
        raise unknown("label", label, sorted(labels))
    sets = [s for s in SET_NAMES if s in set(rows["set"])] or list(dict.fromkeys(rows["set"]))
    names = [SET_NAMES.get(s, s) for s in sets]
    figure = make_subplots(
        rows=2,
        cols=len(sets),
        shared_xaxes=True,
        shared_yaxes=True,
        row_heights=[0.66, 0.34],
        vertical_spacing=0.08,
        horizontal_spacing=0.03,
        subplot_titles=[
            f"{escape(name).replace(' ', '<br>')}<br>n = {rows[rows['set'] == s]['prompt'].nunique()}"
            for s, name in zip(sets, names, strict=True)
        ],
    )
    figure.update_annotations(font_size=13)
    for column, name in enumerate(sets, 1):
        part = rows[rows["set"] == name]
        for row, what in ((1, label), (2, "collapse")):
            _controls(figure, part, what, row, column)
            _lines(figure, part, what, row, column)
            figure.update_yaxes(title_text=f"{what} rate", row=row, col=1)
    entries = [str(trace.name) for trace in figure.data if trace.showlegend is not False]
    figure.update_yaxes(range=[-0.04, 1.04], tickformat=".0%")
    figure.update_xaxes(nticks=5, autotickangles=[0, -90])
    figure.update_xaxes(title_text="dose: coef·‖v‖ / mean ‖h‖", row=2, col=1 + len(sets) // 2)
    below = theme.legend_below(-_BELOW / _PANELS)
    theme.lay_out(figure, title, "", _PANELS, _TITLES, _BELOW + theme.legend_height(entries), legend=below)
    return figure


def _lines(figure: "go.Figure", part: "pd.DataFrame", what: str, row: int, column: int) -> None:
    base = part[part["kind"] == "baseline"]
    own = part[part["kind"] == "direction"]
    for i, layer in enumerate(sorted(own["layer"].unique())):
        groups = dict(list(own[own["layer"] == layer].groupby("ratio")))
        groups |= {0.0: base} if len(base) else {}
        rates = {dose: rate(int((groups[dose]["value"] == what).sum()), len(groups[dose])) for dose in sorted(groups)}
        above, below = [r.high - r.value for r in rates.values()], [r.value - r.low for r in rates.values()]
        figure.add_scatter(
            x=list(rates),
            y=[r.value for r in rates.values()],
            error_y={"array": above, "arrayminus": below, "thickness": 1, "width": 2},
            mode="lines+markers",
            name=f"layer {layer}",
            legendgroup=f"layer {layer}",
            showlegend=row == 1 and column == 1,
            line={"color": theme.colour(i), "dash": theme.DASHES[i % len(theme.DASHES)]},
            customdata=[[str(r)] for r in rates.values()],
            hovertemplate=f"layer {layer}, dose %{{x:+.2f}}<br>{what} %{{customdata[0]}}<extra></extra>",
            row=row,
            col=column,
        )


def _controls(figure: "go.Figure", part: "pd.DataFrame", what: str, row: int, column: int) -> None:
    symbols = {"random": "circle", "orthogonal": "diamond", "shuffled": "triangle-up", "covariant": "square"}
    for kind, symbol in symbols.items():
        groups = part[part["kind"] == kind].groupby(["ratio", "seed", "layer"])
        if len(groups) == 0:
            continue
        figure.add_scatter(
            x=[ratio for (ratio, _, _), _ in groups],
            y=[(group["value"] == what).mean() for _, group in groups],
            mode="markers",
            name=f"{kind} controls",
            legendgroup=kind,
            showlegend=row == 1 and column == 1,
            marker={"color": "#777", "symbol": symbol, "size": 7, "opacity": 0.55},
            customdata=[[f"{kind} {seed}, layer {layer}"] for (_, seed, layer), _ in groups],
            hovertemplate=f"%{{customdata[0]}}, dose %{{x:+.2f}}<br>{what} %{{y:.0%}}<extra></extra>",
            row=row,
            col=column,
        )
