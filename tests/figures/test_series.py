"""The figure of lines: panels, intervals, one legend entry per series."""

import pandas as pd
import pytest

import workbench as wb

FRAME = pd.DataFrame(
    [("accuracy", "probe", 1, 0.8, 0.7, 0.9), ("accuracy", "random", 1, 0.5, 0.4, 0.6), ("steering", "probe", 1, 0.2, 0.1, 0.4)],
    columns=["panel", "series", "x", "y", "low", "high"],
)  # fmt: skip


def test_each_series_of_each_panel_is_a_line_with_its_interval():
    figure = wb.figures.lines(FRAME, "probe is best & more", x="layer", zero=True)
    assert [(t.name, t.y[0], t.showlegend) for t in figure.data] == [
        ("probe", 0.8, True),
        ("random", 0.5, True),
        ("probe", 0.2, False),
    ]
    assert figure.data[2].error_y.array[0] == pytest.approx(0.2)
    assert figure.data[2].error_y.arrayminus[0] == pytest.approx(0.1)
    assert [a.text for a in figure.layout.annotations][:2] == ["accuracy", "steering"]
    assert "probe is best &amp; more" in figure.layout.title.text.replace("<br>", " ")
    assert figure.data[0].line.color == figure.data[2].line.color != figure.data[1].line.color


def test_points_without_intervals_and_names_on_the_axis():
    figure = wb.figures.lines(FRAME[["panel", "series", "x", "y"]].assign(x="attn_out"), joined=False)
    assert figure.data[0].mode == "markers"
    assert figure.data[0].error_y.array is None
    assert figure.layout.scattermode == "group"  # over one name, side by side
    assert wb.figures.lines(FRAME, joined=False).layout.scattermode is None


def test_panels_with_axes_of_their_own():
    figure = wb.figures.lines(FRAME, x={"accuracy": "dose", "steering": "coefficient"})
    assert [figure.layout[a].title.text for a in ("xaxis", "xaxis2")] == ["dose", "coefficient"]
    assert figure.layout.xaxis.matches is None
    assert wb.figures.lines(FRAME).layout.xaxis.matches == "x2"


def test_a_frame_without_points_is_refused():
    with pytest.raises(wb.WorkbenchError, match="without"):
        wb.figures.lines(FRAME.drop(columns="y"))
    with pytest.raises(wb.WorkbenchError, match="got 0 rows"):
        wb.figures.lines(FRAME.iloc[:0])
