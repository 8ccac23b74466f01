"""Maps of the parts of a model: layer by component, layer by head, layer by token."""

from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING

import numpy as np

from workbench._errors import WorkbenchError
from workbench.figures import theme
from workbench.figures.words import escape

if TYPE_CHECKING:
    import pandas as pd
    import plotly.graph_objects as go

#: pixels of a layer, of a panel at least and at most, above a panel, and below it
_LAYER, _PANEL, _ABOVE, _BELOW = 13, (150, 460), 30, 84
_MOST = 6

#: order of what is no head: before the heads, and after them
_KINDS = {"embed": -2, "attn": -1, "mlp": 1000, "bias": 1001, "edit": 1002}


def attribution(frame: "pd.DataFrame", title: str = "", small_print: str = "") -> "go.Figure":
    """Contribution of each component to a direction: layers down, heads (or attention) and MLP across, one panel per run.

    Cells are means over prompts. Hovering shows the interval over prompts (t) and the values for random directions.

    Args:
        frame: the result of ``wb.attribute``.
        title: a sentence that says what the figure shows; by default the component that writes most.
        small_print: what a reader needs to know besides.

    Raises:
        WorkbenchError: no rows, or a column that is missing.

    >>> d = wb.extract(model, tiny_pairs, at=wb.resid_post(2))
    >>> figure = wb.figures.attribution(wb.attribute(model, tiny_pairs.positive, d, heads=True))
    >>> list(figure.data[0].x)
    ['embed', 'H0', 'H1', 'H2', 'H3', 'MLP']
    """
    theme.check_rows(frame, ("prompt", "run", "component", "kind", "layer", "head", "value", "random_sd", "beyond"))
    own = frame[frame["kind"].isin(["head", *_KINDS])]
    table = own.groupby(["run", "component", "kind", "layer", "head"], sort=False, as_index=False).agg(
        value=("value", "mean"),
        spread=("value", "sem"),
        n=("value", "size"),
        random_sd=("random_sd", "mean"),
        beyond=("beyond", "mean"),
    )
    table["column"] = [
        f"H{head}" if kind == "head" else {"attn": "attention", "mlp": "MLP"}.get(kind, kind)
        for kind, head in zip(table["kind"], table["head"], strict=True)
    ]
    table["place"] = [
        head if kind == "head" else _KINDS[kind] for kind, head in zip(table["kind"], table["head"], strict=True)
    ]
    table["hover"] = [
        f"{escape(row.component)}: <b>{row.value:+.3g}</b>{_interval(row.value, row.spread, row.n)}<br>"
        f"random directions: sd {row.random_sd:.2g}, {row.beyond:.0%} of them less<extra>{escape(row.run)}</extra>"
        for row in table.itertuples()
    ]
    total = frame[frame["kind"] == "total"].groupby("run", sort=False)["value"].mean()
    panels = [(f"{run}: {total.get(run, np.nan):+.3g} in all", part) for run, part in table.groupby("run", sort=False)]
    if not title:
        most = table.iloc[int(table["value"].abs().argmax())]
        title = f"{most['component']} writes most: {most['value']:+.3g} of {total.get(most['run'], np.nan):+.3g}"
    return _maps(panels, "value", "mean added along the direction", title, small_print)


def patching(effects: "pd.DataFrame", value: str = "", title: str = "", small_print: str = "") -> "go.Figure":
    """Effect of patching each place: layers down; heads or tokens across; one panel per set and way.

    Args:
        effects: the result of ``wb.patch_effects``. Places that were only estimated are empty, unless
            ``value="estimate"``.
        value: "share" (of the way from base to source), "effect" (in units of the metric) or "estimate"; by default
            the share if there is one.
        title: a sentence that says what the figure shows; by default the place with the largest effect.

    Raises:
        WorkbenchError: no rows, a column that is missing, or another value.

    >>> d = wb.extract(model, tiny_pairs, at=wb.resid_post(2))
    >>> effects = wb.patch_effects(wb.patch(model, tiny_pairs, "attn", d, on="prompt[-2:]", each=True))
    >>> list(wb.figures.patching(effects).data[0].y)
    ['0', '1', '2']
    """
    theme.check_rows(effects, ("set", "way", "layer", "token", "effect", "low", "high", "share"))
    value = value or ("share" if effects["share"].notna().any() else "effect")
    if value not in ("share", "effect", "estimate"):
        raise WorkbenchError(f"value={value!r}: expected 'share', 'effect' or 'estimate'")
    table = effects[effects["layer"] >= 0].copy() if (effects["layer"] >= 0).any() else effects.copy()
    name = "component" if "component" in table else "basis"
    table["place"] = table.get("head", -1)
    several = table["token"].nunique() > 1
    order = {token: i for i, token in enumerate(dict.fromkeys(table["token"]))}
    kinds = [_kind(str(c)) for c in table[name]]
    if several:
        table["place"] = [order[token] for token in table["token"]]
        table["column"] = table["token"]
        table["panel"] = [
            f"{s}, {w}{'' if len(set(kinds)) == 1 else ', ' + k}"
            for s, w, k in zip(table["set"], table["way"], kinds, strict=True)
        ]
    else:
        table["column"] = kinds
        table["place"] = [1000 if k == "MLP" else int(h) for k, h in zip(kinds, table["place"], strict=True)]
        table["panel"] = [f"{s}, {w}" for s, w in zip(table["set"], table["way"], strict=True)]
    table["hover"] = [
        f"{escape(str(getattr(row, name)))}, {escape(str(row.token))}<br>effect <b>{row.effect:+.3g}</b> "
        f"[{row.low:+.3g}, {row.high:+.3g}]<br>share {row.share:.0%}<extra></extra>"
        for row in table.itertuples()
    ]
    words = {"share": "share of the way to the source", "effect": "effect", "estimate": "estimated effect"}
    if not title and table[value].notna().any():
        most = table.loc[table[value].abs().idxmax()]
        size = f"{most[value]:.0%} of the way" if value == "share" else f"{most[value]:+.3g}"
        title = f"{most[name]} moves the metric most: {size} ({most['set']}, {most['way']})"
    return _maps(list(table.groupby("panel", sort=False)), value, words[value], title, small_print)


def lens(frame: "pd.DataFrame", title: str = "", small_print: str = "") -> "go.Figure":
    """Logit lens: the likeliest next token of each layer at each token, coloured by the log-odds of a refusal opening.

    Args:
        frame: the result of ``wb.lens``, or some of its rows; up to six panels, one per text and run.

    Raises:
        WorkbenchError: no rows, a column that is missing, or more than six panels.

    >>> wb.figures.lens(wb.lens(model, ["write a song"], on="prompt[-3:]")).data[0].text[0][0] != ""
    True
    """
    theme.check_rows(frame, ("prompt", "run", "layer", "position", "token", "top", "probability", "margin"))
    table = frame.copy()
    table["place"] = table["position"]
    table["column"] = [f"{position} {token}" for position, token in zip(table["position"], table["token"], strict=True)]
    table["panel"] = [f"{prompt}, {run}" for prompt, run in zip(table["prompt"], table["run"], strict=True)]
    table["text"] = [escape(str(top[0]))[:8] for top in table["top"]]
    table["hover"] = [
        f"layer {row.layer}, after {escape(str(row.token))}<br>says {escape(' · '.join(map(str, row.top)))} ({row.probability:.0%})<br>"
        f"refusal opening: log-odds <b>{row.margin:+.2f}</b><extra></extra>"
        for row in table.itertuples()
    ]
    panels = list(table.groupby("panel", sort=False))
    if not title:
        last = table[table["layer"] == table["layer"].max()]
        title = f"at the last layer a refusal opening has log-odds of {last['margin'].mean():+.2f}, on average over these tokens"
    return _maps(panels, "margin", "log-odds that the next token opens a refusal", title, small_print, text="text")


def _kind(component: str) -> str:
    """The column of a component: its head, or what it is."""
    if component.startswith("L") and "H" in component and " + " not in component:
        return "H" + component.split("H")[1]
    return {"attn_out": "attention", "mlp_out": "MLP", "resid_post": "stream"}.get(
        component.split("_", 1)[-1], component
    )


def _interval(value: float, spread: float, n: int) -> str:
    from scipy.stats import t

    if n < 2 or not np.isfinite(spread):
        return ""
    reach = float(t.isf(0.025, n - 1)) * spread
    return f" [{value - reach:+.3g}, {value + reach:+.3g}] n={n}"


def _maps(
    panels: "Sequence[tuple[str, pd.DataFrame]]", value: str, scale: str, title: str, small_print: str, text: str = ""
) -> "go.Figure":
    """One heatmap per panel: the columns ``layer``, ``column`` (in the order of ``place``), the value, and ``hover``."""
    from plotly.subplots import make_subplots

    if len(panels) > _MOST:
        raise WorkbenchError(f"{len(panels)} panels; a figure has at most {_MOST}: choose rows of the frame")
    tall = [min(max(_LAYER * part["layer"].nunique(), _PANEL[0]), _PANEL[1]) for _, part in panels]
    plot, between = sum(tall) + (_ABOVE + _BELOW) * (len(panels) - 1), _ABOVE + _BELOW
    figure = make_subplots(
        rows=len(panels),
        cols=1,
        row_heights=tall,
        vertical_spacing=between / plot if panels[1:] else 0,
        subplot_titles=[escape(str(name)) for name, _ in panels],
    )
    figure.update_annotations(font_size=12)
    extent = 0.0
    for row, (_, part) in enumerate(panels, 1):
        columns = list(dict.fromkeys(part.sort_values("place", kind="stable")["column"]))
        layers = sorted(part["layer"].unique())
        cells = {(line.layer, line.column): line for line in part.itertuples()}
        grid = [[cells.get((layer, column)) for column in columns] for layer in layers]

        def each(read: Callable, grid: list[list] = grid) -> list[list]:
            return [[None if cell is None else read(cell) for cell in line] for line in grid]

        values = each(
            lambda cell: None if not np.isfinite(getattr(cell, value)) else float(f"{getattr(cell, value):.5g}")
        )
        extent = max([extent, *(abs(v) for line in values for v in line if v is not None)])
        words = (
            {"text": each(lambda cell: getattr(cell, text)), "textfont": {"size": 10, "color": theme.ON_CELLS}}
            if text
            else {}
        )
        shown = theme.CELLS if text else {"coloraxis": "coloraxis", "xgap": 1, "ygap": 1}
        figure.add_heatmap(
            z=values,
            x=[escape(str(column)) for column in columns],
            y=["–" if layer < 0 else str(layer) for layer in layers],
            customdata=each(lambda cell: cell.hover),
            hovertemplate="%{customdata}",
            hoverongaps=False,
            row=row,
            col=1,
            **words,
            **shown,
        )
    figure.update_xaxes(type="category", tickangle=-45, tickfont_size=11, showgrid=False)
    figure.update_yaxes(type="category", title_text="layer", tickfont_size=11, showgrid=False)
    colours = theme.diverging(extent or 1.0, scale, -_BELOW / plot)
    theme.lay_out(figure, title, small_print, plot, _ABOVE, 2 * _BELOW, coloraxis=colours)
    return figure
