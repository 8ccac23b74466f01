"""Projections by layer and token as a heatmap, one panel per response and direction."""

from typing import TYPE_CHECKING

from workbench.figures import theme
from workbench.figures.axes import STEERED, Axis, axis_of, mark_boundary
from workbench.figures.titles import heatmap_title, small_print
from workbench.figures.trace_lines import VALUES, Framed, Line, Panels, check_panels, describe, read, to_json
from workbench.figures.words import escape

if TYPE_CHECKING:
    import pandas as pd
    import plotly.graph_objects as go


#: pixels: of a layer, of a panel at least and at most, above a panel, of the colour scale
_LAYER, _PANEL, _ABOVE, _SCALE = 13, (150, 420), 44, 70


def heatmap(
    trace: "Framed | pd.DataFrame", value: str = "cosine", title: str | None = None, show_text: bool = False
) -> "go.Figure":
    """Projection by layer and token: where in the model and where in the text a direction is present.

    Blue is negative, white 0, vermillion positive. The cosine is the default, because dot products grow with the norm
    from layer to layer. A diamond marks steered tokens. Attention sinks (over ten times the median norm, Sun et al.
    2024) do not set the scale.

    Args:
        trace: a ``Trace``, or its frame, or some rows of it; up to six panels, each one response along one direction.
        value: "dot", "cosine" or "z".
        title: a sentence that says what the figure shows; by default the layer where the response is farthest from 0.
        show_text: show the text of tokens marked as hidden; they are ``▮`` otherwise.

    Raises:
        WorkbenchError: see ``read``; more than six panels.

    >>> d = wb.extract(model, tiny_pairs, at=wb.resid_post(1))
    >>> out = wb.generate(model, ["how do i bake a cake"], max_new_tokens=4)
    >>> figure = wb.figures.heatmap(wb.trace(model, out, [d], sites=wb.resid_post.all))
    >>> len(figure.data[0].z) == model.n_layers  # a row per layer
    True
    """
    from plotly.subplots import make_subplots

    panels = read(trace, value, show_text)
    check_panels(panels.lines)
    offsets = sorted({offset for line in panels.lines for offset in line.offsets.tolist()})
    axes = [axis_of(line, offsets) for line in panels.lines]
    tall = min(max(_LAYER * len(panels.layers), _PANEL[0]), _PANEL[1])
    between = max(axis.height for axis in axes) + _ABOVE
    height = tall * len(axes) + between * (len(axes) - 1)
    figure = make_subplots(rows=len(axes), cols=1, vertical_spacing=between / height if axes[1:] else 0)
    for row, (line, axis) in enumerate(zip(panels.lines, axes, strict=True), 1):
        _panel(figure, panels, line, axis, row)
    print_ = small_print(panels, axes[0])
    steered = f"{STEERED} steered token" if any(line.steered.any() for line in panels.lines) else ""
    bottom = axes[-1].height + _SCALE
    notes = " · ".join(note for note in (steered, print_) if note)
    colours = theme.diverging(panels.extent(), VALUES[value].axis, -(axes[-1].height + 4) / height)
    theme.lay_out(figure, title or heatmap_title(panels), notes, height, _ABOVE, bottom, coloraxis=colours)
    mark_boundary(figure, axes[0], len(axes), theme.ON_CELLS)
    return figure


def _panel(figure: "go.Figure", panels: Panels, line: Line, axis: Axis, row: int) -> None:
    layers = [str(layer) for layer in panels.layers]
    figure.add_heatmap(
        z=[to_json(values) for values in line.values],
        x=axis.names(line.offsets),
        y=layers,
        customdata=[to_json(norms) for norms in line.norms],
        text=[describe(line)] * len(layers),
        coloraxis="coloraxis",
        hoverongaps=False,
        hovertemplate=f"%{{text}}<br>{escape(line.direction)}: <b>%{{z:{VALUES[panels.value].digits}}}</b><br>"
        f"norm %{{customdata:.4~g}}, layer %{{y}}<br>{escape(line.arm)}, prompt {escape(line.prompt_id)}<extra></extra>",
        row=row,
        col=1,
    )
    figure.update_xaxes(**axis.layout(), matches="x" if row > 1 else None, row=row, col=1)
    rows = {"type": "category", "categoryorder": "array", "categoryarray": layers, "showgrid": False}
    figure.update_yaxes(title_text="layer", **rows, row=row, col=1)
    if len(panels.lines) > 1:
        name = escape(" · ".join((line.arm, line.direction, line.prompt_id)))
        number = "" if row == 1 else row
        figure.add_annotation(
            text=f"<b>{name}</b>",
            x=0,
            xref=f"x{number} domain",
            xanchor="left",
            y=1,
            yref=f"y{number} domain",
            yanchor="bottom",
            yshift=18 if row == 1 else 2,
            showarrow=False,
        )
