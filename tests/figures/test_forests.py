"""The picture of the ledger: a line for each claim, and nothing told by colour alone."""

import numpy as np
import pytest

import workbench as wb
from tests.figures.test_in_browser import boxes, overflow, overlapping, point
from tests.planted_rows import planted_rows
from workbench.figures.forests import LOOKS


@pytest.fixture(scope="module")
def ledger(tmp_path_factory):
    """Verdicts of four kinds, one claim on two models, one effect beyond the scale."""
    path = tmp_path_factory.mktemp("ledger")
    wb.ledger.record("S3.2", planted_rows(80, 0.5), path=path)
    wb.ledger.record("S3.2", planted_rows(80).assign(model="Mistral-7B"), path=path)
    wb.ledger.record("S3.3", planted_rows(20, 0.3), path=path)
    far = wb.Measured(wb.Estimate(-9.0, -12.0, -7.0, 12, "BIC"), 0.01, True)
    wb.ledger.record("S3.5", measured=far, model="m", path=path)
    log = wb.Measured(wb.Estimate(0.96, 0.9, 0.98, 90, "m"), float("nan"), True)
    none = wb.Measured(wb.Estimate(0.0, -0.02, 0.02, 90, "m"), 0.9, True)
    wb.ledger.record("S1.6", measured=none, by_log=log, model="m", path=path)
    return wb.ledger.open(path)


@pytest.fixture(scope="module")
def figure(ledger):
    return wb.figures.forest(ledger)


def test_every_claim_has_a_line_and_every_verdict_a_mark(ledger, figure):
    frame = ledger.frame()
    assert len(figure.layout.yaxis.ticktext) == 47
    column = [t for t in figure.data if len(t.x) and t.x[0] is not None and min(t.x) > 1.1]
    assert sum(len(t.x) for t in column) == len(frame) == 48
    for trace in column:
        assert (
            len(trace.x)
            == (
                (frame["outcome"] == trace.name) & (frame["on_analogue"] == trace.marker.symbol.endswith("-open"))
            ).sum()
        )
    assert len({symbol for _, symbol in LOOKS.values()}) == len({colour for colour, _ in LOOKS.values()}) == 5


def test_the_marks_of_a_claim_stand_nearer_to_one_another_than_to_its_neighbours(tmp_path):
    effect = wb.Measured(wb.Estimate(0.5, 0.4, 0.6, 90, "m"), 0.001, True)
    for model in ("one", "two", "three"):
        for claim in ("S1.1", "S1.2", "S1.3"):
            wb.ledger.record(claim, measured=effect, model=model, path=tmp_path)
    figure = wb.figures.forest(wb.ledger.open(tmp_path))
    heights = sorted(y for t in figure.data if len(t.x) and t.x[0] is not None and min(t.x) > 1.1 for y in t.y)
    marks = np.array([y for y in heights if -13.5 < y < -10.5]).reshape(-1, 3)  # S1.1 to S1.3, from below
    pixels = (figure.layout.height - figure.layout.margin.t - figure.layout.margin.b) / 47
    within, between = np.diff(marks, axis=1).max() * pixels, (marks[1:, 0] - marks[:-1, -1]).min() * pixels
    assert 9 < within < between  # a mark is nine pixels wide


def test_intervals_are_those_of_the_ledger_cut_at_the_scale(ledger, figure):
    frame = ledger.frame()
    row = frame[(frame["claim"] == "S3.2") & frame["on_analogue"]].iloc[0]
    (trace,) = (
        t
        for t in figure.data
        if t.name == "reproduced" and t.marker.symbol == "circle-open" and t.error_x.array is not None
    )
    assert trace.x[0] == pytest.approx(row["effect"])
    assert trace.x[0] + trace.error_x.array[0] == pytest.approx(row["high"])
    assert trace.x[0] - trace.error_x.arrayminus[0] == pytest.approx(row["low"])
    (far,) = (
        t
        for t in figure.data
        if t.name == "not reproduced" and t.marker.symbol == "x-open" and t.error_x.array is not None
    )
    assert np.min(far.x) == -1
    assert "beyond the scale: S3.5" in figure.layout.title.text


def test_logged_values_stand_where_the_log_gives_one(figure):
    (trace,) = (t for t in figure.data if t.name == "logged value")
    shown = dict(zip(np.round(-np.array(trace.y)).astype(int), trace.x, strict=True))
    ids = [text.split()[0] for text in figure.layout.yaxis.ticktext]
    assert {ids[i]: x for i, x in shown.items()} == {
        "S1.2": 0.25,
        "S1.5": 0.1,
        "S1.6": 1.0,
        "S1.8": 0.0,
        "S2.5": 0.94,
        "S3.3": 0.719,
    }


def test_a_page_may_say_title_and_small_print_itself_in_lines_of_its_own_width(ledger, figure):
    bare = wb.figures.forest(ledger, title=None)
    assert not bare.layout.title.text
    assert bare.layout.margin.t < figure.layout.margin.t
    note = wb.figures.forest_note(ledger)
    assert note.endswith("hollow if not on the logged model · beyond the scale: S3.5")
    assert "<br>" not in note


@pytest.mark.browser
@pytest.mark.parametrize("width", [390, 1280])
def test_the_page_is_readable_wide_and_narrow(visitor, figure, tmp_path, width):
    page = visitor.open(wb.figures.save(figure, tmp_path / "forest"), width)
    page.wait_for_selector(".ytick text")
    assert overflow(page) <= 0
    labels = boxes(page, ".ytick text")
    assert len(labels) == 47
    words = labels + boxes(page, ".xtick text") + boxes(page, ".gtitle, .legendtext, .xtitle")
    assert all(left >= 0 and right <= width for left, _, right, _ in words)
    assert overlapping(words) == []
    trace = next(
        i for i, t in enumerate(figure.data) if t.name == "reproduced" and t.error_x.array is not None and len(t.x)
    )
    page.evaluate("y => scrollTo(0, y - 400)", point(page, trace, 0)[1])
    x, y = point(page, trace, 0)
    page.mouse.move(x - 30, y + 20)
    page.mouse.move(x, y, steps=4)
    page.wait_for_timeout(300)
    card = page.text_content(".hoverlayer .hovertext")
    assert "S3.2" in card
    assert "reproduced, on another model: planted" in card
