"""The ledger as a picture: one line per claim or part, what the log says, what was measured, and the verdict; an axis per unit."""

from dataclasses import dataclass
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
    "smaller": ("#56B4E9", "triangle-down"),
    "not reproduced": ("#D55E00", "x"),
    "opposite": ("#8A2B0E", "triangle-left"),
    "artefact": ("#CC79A7", "triangle-up"),
    "inconclusive": ("#E69F00", "diamond"),
    "not run": ("#7A7A7A", "square"),
    "check": ("#009E73", "cross"),
}
_LINE, _MARK, _BELOW, _LABEL = 23, 14, 50, 25

#: the scale ends here, in shares of the width, and verdicts stand in a column of their own beyond it
_END, _COLUMN = 0.86, (0.89, 1.0)
_NO_UNIT = "no number"


@dataclass(frozen=True)
class _Panel:
    """The lines of one unit: their place among the axes, and the ends of the scale."""

    index: int
    unit: str
    frame: "pd.DataFrame"
    low: float
    high: float

    @property
    def lines(self) -> list[str]:
        return list(dict.fromkeys(self.frame["claim"]))

    @property
    def x(self) -> str:  # of the numbers
        return f"x{2 * self.index + 1}" if self.index else "x"

    @property
    def column(self) -> str:  # of the verdicts
        return f"x{2 * self.index + 2}"

    @property
    def y(self) -> str:
        return "y" if self.index == 0 else f"y{self.index + 1}"


def forest(ledger: Framed, title: str | None = "") -> "go.Figure":
    """One line per claim, and one for each part that is judged separately: logged value, minimum effect, interval, verdict.

    Args:
        ledger: the result of ``wb.ledger.open``. If several models ran a claim, they share its line, one above the
            other.
        title: by default the number of claims per verdict. None leaves out title and small print, for a page that
            shows both itself (``forest_note``).

    Returns:
        A figure with one axis per unit. Colour and shape show the verdict; a hollow mark is an analogue. Numbers and
        reasons appear on hover. An arrow marks a value beyond the end of its axis.

    Raises:
        WorkbenchError: the ledger holds no claims.

    >>> figure = forest(wb.ledger.open(folder))
    >>> sum(len(axis.ticktext) for axis in figure.select_yaxes()) >= 47  # a line per claim
    True
    """
    import plotly.graph_objects as go

    frame = ledger.frame()
    if frame.empty:
        raise WorkbenchError("the ledger holds no claims")
    panels = _panels(_place(frame))
    figure = go.Figure()
    for panel in panels:
        _minima(figure, panel)
        _logged(figure, panel)
        for outcome in LOOKS:
            _verdicts(figure, panel, outcome)
        _beyond(figure, panel)
    _legend(figure, panels)
    counts = frame["outcome"].value_counts()
    said = ", ".join(f"{counts[name]} {name}" for name in LOOKS if name in counts)
    whole = frame[frame["part_of"] == ""]["claim"].nunique()
    counted = f"{whole} logged claims, by claim, part and model: {said}"
    _arrange(figure, panels, counted if title == "" else title or "", forest_note(ledger))
    return figure


def _place(frame: "pd.DataFrame") -> "pd.DataFrame":
    """With the unit of each line, its place within the unit, and a height within the line for each model that ran it."""
    frame = frame.assign(axis=[_axis_of(unit) for unit in frame["unit"]])
    known = np.isfinite(frame["effect"])
    for side, end in (("low", -np.inf), ("high", np.inf)):  # an interval without an end goes on
        frame[side] = frame[side].mask(known & frame[side].isna(), end)
    order = {
        name: -i for _, part in frame.groupby("axis", sort=False) for i, name in enumerate(dict.fromkeys(part["claim"]))
    }
    nth = frame.groupby("claim").cumcount()
    of = frame.groupby("claim")["claim"].transform("size")
    shift = ((of - 1) / 2 - nth) * _MARK / _line(frame)  # nearer to its own claim's marks than to a neighbour's
    return frame.assign(line=frame["claim"].map(order), height=frame["claim"].map(order) + shift)


def _axis_of(unit: str) -> str:
    """What numbers of a unit share: shares of anything have one axis, and limits and margins that of what they bound."""
    of = unit.split(",")[0]
    return "share" if of == "share" or of.startswith("share of ") else of or _NO_UNIT


def _panels(frame: "pd.DataFrame") -> list[_Panel]:
    """Units with many claims first, claims without a number last."""
    sizes = frame.groupby("axis", sort=False)["claim"].nunique()
    names = sorted(sizes.index, key=lambda name: (name == _NO_UNIT, -sizes[name]))
    panels = []
    for i, name in enumerate(names):
        own = frame[frame["axis"] == name]
        shown = own[["effect", "low", "high", "logged", "minimum"]].to_numpy(float).ravel()
        bounded = name in ("share", "AUC") or "correlation" in name
        ends = (-1.0, 1.0) if bounded else (0.0, 0.0)
        known = np.append(shown[np.isfinite(shown)], ends)
        margin = own["form"] == "margin"
        known = np.append(known, -own.loc[margin, "minimum"].to_numpy(float))
        known = known[np.abs(known) <= 1] if bounded else known
        pad = 0.04 * (np.ptp(known) or 1.0)
        panels.append(_Panel(i, name, own, float(known.min() - pad), float(known.max() + pad)))
    return panels


def _line(frame: "pd.DataFrame") -> int:
    """Pixels of a claim's line: as many as the models of the claim that most have run take."""
    return max(_LINE, _MARK * int(frame["claim"].value_counts().max()) + 6)


def _minima(figure: "go.Figure", panel: _Panel) -> None:
    """A tick through the line where the effect that is asked for begins; two for a margin."""
    known = panel.frame[panel.frame["minimum"].notna() & (panel.frame["minimum"] != 0)].drop_duplicates("claim")
    for row in known.itertuples():
        for x in (row.minimum, -row.minimum) if row.form == "margin" else (row.minimum,):
            what = {"limit": "at most", "margin": "within ±"}.get(row.form, "at least")
            figure.add_scatter(
                x=[x, x],
                y=[row.line - 0.42, row.line + 0.42],
                mode="lines",
                name="minimum effect, or limit",
                showlegend=False,
                line={"color": theme.INK, "width": 1, "dash": "dot"},
                customdata=[[_about(row), f"{what} {number(row.minimum)} {escape(row.unit)}"]] * 2,
                hovertemplate="%{customdata[0]}<br>%{customdata[1]}<extra></extra>",
                xaxis=panel.x,
                yaxis=panel.y,
            )


def _logged(figure: "go.Figure", panel: _Panel) -> None:
    known = panel.frame[panel.frame["logged"].notna()].drop_duplicates("claim")
    if known.empty:
        return
    figure.add_scatter(
        x=known["logged"].clip(panel.low, panel.high),
        y=known["line"],
        mode="markers",
        name="logged value",
        showlegend=False,
        marker={"symbol": "line-ns-open", "size": 13, "color": theme.INK, "line": {"width": 2.5}},
        customdata=[[_about(row), number(row.logged)] for row in known.itertuples()],
        hovertemplate="%{customdata[0]}<br>logged: %{customdata[1]}<extra></extra>",
        xaxis=panel.x,
        yaxis=panel.y,
    )


def _verdicts(figure: "go.Figure", panel: _Panel, outcome: str) -> None:
    """Intervals on the scale and marks in the column."""
    colour, symbol = LOOKS[outcome]
    common = {"mode": "markers", "name": outcome, "legendgroup": outcome, "showlegend": False, "yaxis": panel.y}
    for analogue in (False, True):
        own = panel.frame[(panel.frame["outcome"] == outcome) & (panel.frame["on_analogue"] == analogue)]
        if own.empty:
            continue
        look = symbol + ("-open" if analogue and outcome != "not run" else "")
        line = {"width": 2 if look.endswith("-open") else 0, "color": colour}
        marker = {"symbol": look, "color": colour, "size": 6 if outcome == "not run" else 9, "line": line}
        hover = [[_about(row), _measured(row)] for row in own.itertuples()]
        template = "%{customdata[0]}<br>%{customdata[1]}<extra></extra>"
        drawn = {"y": own["height"], "customdata": hover, "marker": marker, "hovertemplate": template}
        figure.add_scatter(x=[0] * len(own), xaxis=panel.column, **common, **drawn)
        value, low, high = (own[name].clip(panel.low, panel.high) for name in ("effect", "low", "high"))
        if value.notna().any():
            bars = {"array": high - value, "arrayminus": value - low, "thickness": 2, "width": 0, "color": colour}
            figure.add_scatter(x=value, error_x=bars, xaxis=panel.x, **common, **drawn)


def _beyond(figure: "go.Figure", panel: _Panel) -> None:
    """An arrow at the end of the scale where an interval, an estimate or a logged value goes on."""
    for end, symbol in ((panel.low, "arrow-left"), (panel.high, "arrow-right")):
        side = 1 if symbol == "arrow-right" else -1
        numbers = panel.frame[["effect", "low", "high", "logged"]].to_numpy(float)
        over = (side * numbers > side * end).any(axis=1)
        own = panel.frame[over]
        if own.empty:
            continue
        figure.add_scatter(
            x=[end] * len(own),
            y=own["height"],
            mode="markers",
            name="beyond the scale",
            showlegend=False,
            marker={"symbol": symbol, "size": 12, "color": theme.INK},
            customdata=[[_about(row), _measured(row)] for row in own.itertuples()],
            hovertemplate="%{customdata[0]}<br>goes on beyond the scale<br>%{customdata[1]}<extra></extra>",
            xaxis=panel.x,
            yaxis=panel.y,
        )


def _legend(figure: "go.Figure", panels: list[_Panel]) -> None:
    """A mark of its own for each thing that is drawn, filled."""
    marks = {"logged value": {"symbol": "line-ns-open", "size": 13, "color": theme.INK, "line": {"width": 2.5}}}
    there = {outcome for panel in panels for outcome in panel.frame["outcome"]}
    looks = {name: look for name, look in LOOKS.items() if name in there}
    marks |= {name: {"symbol": symbol, "color": colour, "size": 9} for name, (colour, symbol) in looks.items()}
    for name, marker in marks.items():
        figure.add_scatter(x=[None], y=[None], mode="markers", name=name, legendgroup=name, marker=marker)
    dotted = {"color": theme.INK, "width": 1, "dash": "dot"}
    figure.add_scatter(x=[None], y=[None], mode="lines", name="minimum effect, or limit", line=dotted)


def _about(row) -> str:  # a row of the frame, as pandas gives it
    return f"<b>{row.claim}</b> {_fold(row.title)}<br>audit: {escape(row.audit)}"


def _measured(row) -> str:
    analogue = {"another": ", on another model", "logged": ""}.get(row.standing, ", on analogue" * row.on_analogue)
    lines = [
        f"{row.outcome}{analogue}"
        + (f": {escape(row.model)}" if row.model else "")
        + ", published" * bool(row.published)
    ]
    if np.isfinite(row.effect):
        lines.append(f"{number(row.effect)} [{number(row.low)}, {number(row.high)}], n = {row.n:.0f}")
        lines.append(f"in {_fold(row.unit)}; minimum {number(row.minimum)}")
    return "<br>".join([*lines, *([_fold(row.reasons)] if row.reasons else [])])


def _fold(text: str) -> str:
    return "<br>".join(theme.wrap(text, 48))


def forest_note(ledger: Framed) -> str:
    """The small print that a reader needs to interpret the forest."""
    panels = _panels(_place(ledger.frame()))
    numbers = ["effect", "low", "high", "logged"]
    over = [
        panel.frame[((panel.frame[numbers] < panel.low) | (panel.frame[numbers] > panel.high)).any(axis=1)]
        for panel in panels
    ]
    cut = dict.fromkeys(name for part in over for name in part["claim"])
    small = (
        "bar: logged · dotted: minimum effect, or limit · interval: measured, in the claimed direction, one scale per unit · "
        "right: verdict, hollow if not on the logged model"
    )
    return small + (f" · arrow, beyond the scale: {', '.join(cut)}" if cut else "")


def _arrange(figure: "go.Figure", panels: list[_Panel], title: str, small: str) -> None:
    text, top = theme.heading(title, small) if title else ("", 48)  # the tool bar must not lie on the first line
    legend = theme.legend_height(["logged value", "minimum effect, or limit", *LOOKS])
    line = max(_line(panel.frame) for panel in panels)
    heights = [line * len(panel.lines) for panel in panels]
    plot = sum(heights) + _BELOW * (len(panels) - 1)
    figure.update_layout(
        template=theme.template(),
        title_text=text,
        height=plot + top + _BELOW + legend,
        margin={"t": top + 6, "b": _BELOW + legend, "l": 166, "r": 12},
        legend={"orientation": "h", "x": 1, "xanchor": "right", "y": -_BELOW / plot, "yanchor": "top"},
        hovermode="closest",
    )
    above = 0.0
    about = []
    for panel, height in zip(panels, heights, strict=True):
        domain = [1 - (above + height) / plot, 1 - above / plot]
        above += height + _BELOW
        claims = panel.frame.drop_duplicates("claim")
        named = {"x": panel.x.replace("x", "xaxis"), "column": panel.column.replace("x", "xaxis")}
        named["y"] = panel.y.replace("y", "yaxis")
        about.append({**named, "lines": [[r.claim, r.part_of or r.claim] for r in claims.itertuples()]})
        axes = _axes(panel, claims, domain)
        figure.update_layout({named[axis]: settings for axis, settings in axes.items()})
    figure.update_layout(meta={"panels": about, "line": line, "below": _BELOW})


def _axes(panel: _Panel, claims: "pd.DataFrame", domain: list[float]) -> dict[str, dict]:
    """The axes of one panel: of the measured values, of the column beside them, and of the claims, one a line."""
    return {
        "x": {
            "domain": [0, _END],
            "anchor": panel.y,
            "range": [panel.low, panel.high],
            "title": {"text": panel.unit if panel.unit != _NO_UNIT else ""},
            "title_standoff": 4,
            "zeroline": True,
            "nticks": 5,
            "tickangle": 0,
            "visible": panel.unit != _NO_UNIT,
        },
        "column": {
            "domain": list(_COLUMN),
            "anchor": panel.y,
            "range": [-1, 1],
            "visible": False,
            "fixedrange": True,
        },
        "y": {
            "domain": domain,
            "anchor": panel.x,
            "range": [-len(claims) + 0.4, 0.6],
            "tickvals": claims["line"],
            "ticktext": [_label(row) for row in claims.itertuples()],
            "tickfont": {"size": 11},
            "zeroline": False,
            "showgrid": True,
            "automargin": False,
        },
    }


def _label(row) -> str:
    text = f"{row.claim} {row.title}"
    return escape(text if len(text) <= _LABEL else text[: _LABEL - 1].rstrip() + "…")
