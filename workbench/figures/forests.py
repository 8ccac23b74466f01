"""The ledger as a picture: one line per claim, what the log says, what was measured, and the verdict."""

from typing import TYPE_CHECKING

import numpy as np

from workbench._errors import WorkbenchError
from workbench.figures import theme
from workbench.figures.trace_lines import Framed
from workbench.figures.words import escape, number

if TYPE_CHECKING:
    import pandas as pd
    import plotly.graph_objects as go


#: verdict: colour and shape; either tells them apart alone
LOOKS = {
    "reproduced": ("#0072B2", "circle"),
    "not reproduced": ("#D55E00", "x"),
    "inconclusive": ("#E69F00", "diamond"),
    "artefact": ("#CC79A7", "triangle-up"),
    "not run": ("#7A7A7A", "square"),
}
_LINE, _MARK, _BELOW, _LABEL = 23, 14, 62, 25

#: the scale ends here, and verdicts stand in a column of their own beyond it
_END, _COLUMN = 1.0, 1.22


def forest(ledger: Framed, title: str | None = "") -> "go.Figure":
    """Every claim as one line: logged value, measured interval, verdict by colour and shape, hollow if not on the logged model.

    Args:
        ledger: of ``wb.ledger.open``. Several models that ran a claim share its line, one above the other.
        title: by default how many claims got which verdict; None for none and no small print either, on a page that says
            both itself, in lines as wide as the page (``forest_note``).

    Returns:
        A figure. The scale is the claim's own unit (a difference of shares, a correlation), cut at -1 and 1; on hover
        stand the unit, the numbers and the reasons.

    Raises:
        WorkbenchError: the ledger holds no claims.

    >>> len(forest(wb.ledger.open(folder)).layout.yaxis.ticktext)  # a line per claim
    47
    """
    import plotly.graph_objects as go

    frame = ledger.frame()
    if frame.empty:
        raise WorkbenchError("the ledger holds no claims")
    frame = _place(frame)
    figure = go.Figure()
    _logged(figure, frame)
    for outcome, (colour, symbol) in LOOKS.items():
        _verdicts(figure, frame[frame["outcome"] == outcome], outcome, colour, symbol)
    counts = frame["outcome"].value_counts()
    said = ", ".join(f"{counts[name]} {name}" for name in LOOKS if name in counts)
    counted = f"{frame['claim'].nunique()} logged claims, by claim and model: {said}"
    _arrange(figure, frame, counted if title == "" else title or "", forest_note(ledger))
    return figure


def _place(frame: "pd.DataFrame") -> "pd.DataFrame":
    """With the line of each claim, from the top, and a height within the line for each model that ran it."""
    order = {name: -i for i, name in enumerate(dict.fromkeys(frame["claim"]))}
    nth = frame.groupby("claim").cumcount()
    of = frame.groupby("claim")["claim"].transform("size")
    shift = ((of - 1) / 2 - nth) * _MARK / _line(frame)  # nearer to its own claim's marks than to a neighbour's
    return frame.assign(line=frame["claim"].map(order), height=frame["claim"].map(order) + shift)


def _line(frame: "pd.DataFrame") -> int:
    """Pixels of a claim's line: as many as the models of the claim that most have run take."""
    return max(_LINE, _MARK * int(frame["claim"].value_counts().max()) + 6)


def _logged(figure: "go.Figure", frame: "pd.DataFrame") -> None:
    known = frame[frame["logged"].notna()].drop_duplicates("claim")
    figure.add_scatter(
        x=known["logged"].clip(-_END, _END),
        y=known["line"],
        mode="markers",
        name="logged value",
        marker={"symbol": "line-ns-open", "size": 13, "color": theme.INK, "line": {"width": 2.5}},
        customdata=[[_about(row), number(row.logged)] for row in known.itertuples()],
        hovertemplate="%{customdata[0]}<br>logged: %{customdata[1]}<extra></extra>",
    )


def _verdicts(figure: "go.Figure", part: "pd.DataFrame", outcome: str, colour: str, symbol: str) -> None:
    """Intervals on the scale and marks in the column; a mark of its own in the legend, filled, though none is drawn."""
    common = {"mode": "markers", "name": outcome, "legendgroup": outcome}
    for analogue in (False, True):
        own = part[part["on_analogue"] == analogue]
        look = symbol + ("-open" if analogue and outcome != "not run" else "")
        line = {"width": 2 if look.endswith("-open") else 0, "color": colour}
        marker = {"symbol": look, "color": colour, "size": 6 if outcome == "not run" else 9, "line": line}
        hover = [[_about(row), _measured(row)] for row in own.itertuples()]
        template = "%{customdata[0]}<br>%{customdata[1]}<extra></extra>"
        drawn = {
            "y": own["height"],
            "showlegend": False,
            "customdata": hover,
            "marker": marker,
            "hovertemplate": template,
        }
        figure.add_scatter(x=[_COLUMN] * len(own), **common, **drawn)
        value, low, high = (own[name].clip(-_END, _END) for name in ("effect", "low", "high"))
        bars = {"array": high - value, "arrayminus": value - low, "thickness": 2, "width": 0, "color": colour}
        figure.add_scatter(x=value, error_x=bars, **common, **drawn)
    figure.add_scatter(x=[None], y=[None], marker={"symbol": symbol, "color": colour, "size": 9}, **common)


def _about(row) -> str:  # a row of the frame, as pandas gives it
    return f"<b>{row.claim}</b> {_fold(row.title)}<br>audit: {escape(row.audit)}"


def _measured(row) -> str:
    analogue = {"another": ", on another model", "logged": ""}.get(row.standing, ", on analogue" * row.on_analogue)
    lines = [f"{row.outcome}{analogue}" + (f": {escape(row.model)}" if row.model else "")]
    if np.isfinite(row.effect):
        lines.append(f"{number(row.effect)} [{number(row.low)}, {number(row.high)}], n = {row.n:.0f}")
        lines.append(f"in {_fold(row.unit)}; minimum {number(row.minimum)}")
    return "<br>".join([*lines, *([_fold(row.reasons)] if row.reasons else [])])


def _fold(text: str) -> str:
    return "<br>".join(theme.wrap(text, 48))


def forest_note(ledger: Framed) -> str:
    """What a reader must know to read the forest right: its small print."""
    frame = ledger.frame()
    cut = frame[(frame[["effect", "low", "high"]].abs() > _END).any(axis=1)]["claim"].unique()
    small = "bar: logged · interval: measured, in the unit of each claim (hover) · right: verdict, hollow if not on the logged model"
    return small + (f" · beyond the scale: {', '.join(cut)}" if len(cut) else "")


def _arrange(figure: "go.Figure", frame: "pd.DataFrame", title: str, small: str) -> None:
    claims = frame.drop_duplicates("claim")
    text, top = theme.heading(title, small) if title else ("", 48)  # the tool bar must not lie on the first line
    legend = theme.legend_height(["logged value", *LOOKS])
    panel = _line(frame) * len(claims)
    figure.add_vline(x=(_END + _COLUMN) / 2 - 0.02, line={"color": theme.FAINT, "width": 1})
    figure.update_layout(
        template=theme.template(),
        title_text=text,
        height=panel + top + _BELOW + legend,
        margin={"t": top + 6, "b": _BELOW + legend, "l": 166, "r": 12},
        legend={"orientation": "h", "x": 1, "xanchor": "right", "y": -_BELOW / panel, "yanchor": "top"},
        hovermode="closest",
    )
    figure.update_xaxes(
        range=[-_END - 0.06, _COLUMN + 0.12],
        tickvals=[-1, -0.5, 0, 0.5, 1],
        ticktext=["≤ −1", "−0.5", "0", "0.5", "≥ 1"],
        title_text="effect, in the claimed direction",
        zeroline=True,
    )
    figure.update_yaxes(
        range=[-len(claims) + 0.4, 0.6],
        tickvals=claims["line"],
        ticktext=[_label(row) for row in claims.itertuples()],
        tickfont={"size": 11},
        zeroline=False,
        showgrid=True,
        automargin=False,
    )


def _label(row) -> str:
    text = f"{row.claim} {row.title}"
    return escape(text if len(text) <= _LABEL else text[: _LABEL - 1].rstrip() + "…")
