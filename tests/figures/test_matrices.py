"""Heatmaps of shares: every share in its cell, chance at white."""

import pandas as pd
import pytest

import workbench as wb

FRAME = pd.DataFrame(
    [
        ("topics", name, made, judged, share)
        for name, shares in (("probe", (1.0, 0.75, 0.5, 0.25)), ("words", (0.5, 0.5, 0.5, 0.5)))
        for (made, judged), share in zip((("art", "art"), ("art", "code"), ("code", "art"), ("code", "code")), shares, strict=True)
    ]
    + [("domains", "probe", "a", "b", 0.9)],
    columns=["panel", "series", "train", "test", "value"],
)  # fmt: skip


def test_each_share_stands_where_it_belongs():
    figure = wb.figures.matrices(FRAME, "directions carry over & more")
    probe, words, domains = figure.data
    assert [list(line) for line in probe.z] == [[1.0, 0.75], [0.5, 0.25]]  # rows: made from; columns: judged on
    assert (list(probe.y), list(probe.x)) == (["art", "code"], ["art", "code"])
    assert [list(line) for line in probe.text] == [["100", "75"], ["50", "25"]]
    assert [list(line) for line in domains.z] == [[0.9]]
    assert (probe.xaxis, words.xaxis, domains.xaxis) == ("x", "x2", "x3")
    assert [a.text for a in figure.layout.annotations] == ["topics: probe", "words", "domains: probe"]
    assert figure.layout.xaxis4.visible is False
    assert (figure.layout.coloraxis.cmin, figure.layout.coloraxis.cmid, figure.layout.coloraxis.cmax) == (0, 0.5, 1)
    assert "more &amp;" not in figure.layout.title.text
    assert "over &amp;" in figure.layout.title.text.replace("<br>", " ")


def test_a_cell_that_is_missing_is_left_blank():
    grid = wb.figures.matrices(FRAME.drop(index=2)).data[0]
    assert list(grid.z[1]) == [None, 0.25]
    assert list(grid.text[1]) == ["", "25"]


def test_what_is_no_table_of_shares_is_refused():
    with pytest.raises(wb.WorkbenchError, match="without \\['value'\\]"):
        wb.figures.matrices(FRAME.drop(columns="value"))
    with pytest.raises(wb.WorkbenchError, match="got 0 rows"):
        wb.figures.matrices(FRAME.iloc[:0])
    with pytest.raises(wb.WorkbenchError, match="twice"):
        wb.figures.matrices(pd.concat([FRAME, FRAME.iloc[:1]]))
