"""The picture of the ledger: a line for each claim, and nothing told by colour alone."""

from itertools import pairwise

import numpy as np
import pytest

import workbench as wb
from tests.browser import until
from tests.figures.test_in_browser import boxes, overflow, overlapping, point
from tests.planted_rows import planted_rows, record, setup_passed
from workbench.claims.claim import OUTCOMES
from workbench.figures.forests import LOOKS


@pytest.fixture(scope="module")
def ledger(tmp_path_factory):
    """Verdicts of several kinds, one claim on two models, a part, a limit, one interval without an end."""
    path = tmp_path_factory.mktemp("ledger")
    record("S3.2", planted_rows(80, 0.5), path=path)
    record("S3.2", planted_rows(80).assign(model="Mistral-7B"), path=path)

    def measured(claim, *numbers, p=0.01, by_log=None):
        gates = (*setup_passed(claim), *(wb.Gate(name, True, "") for name in ("G5", "G6", "G7")))
        effect = wb.Estimate(*numbers, 90, "m")
        wb.ledger.record(claim, measured=wb.Measured(effect, p, True, gates), by_log=by_log, model="m", path=path)

    measured("S3.5", -9.0, -12.0, -7.0)
    measured("S2.7", 0.03, 0.01, 0.05)
    measured("S2.10b", 0.03, -0.08, 0.12, p=float("nan"))
    measured("S1.1", 0.5, -float("inf"), 0.9)
    log = wb.Measured(wb.Estimate(0.96, 0.9, 0.98, 90, "m"), float("nan"), True)
    measured("S1.6", 0.0, -0.02, 0.02, p=0.9, by_log=log)
    return wb.ledger.open(path)


@pytest.fixture(scope="module")
def figure(ledger):
    return wb.figures.forest(ledger)


def drawn(figure, column):
    """The traces of the column of verdicts, or of the scales."""
    about = figure.layout.meta["panels"]
    axes = {panel["column" if column else "x"].replace("axis", "") for panel in about}
    return [t for t in figure.data if (t.xaxis or "x") in axes and len(t.x) and t.x[0] is not None]


def test_every_claim_has_a_line_and_every_verdict_a_mark(ledger, figure):
    frame = ledger.frame()
    lines = [text.split()[0] for axis in figure.select_yaxes() for text in axis.ticktext]
    assert sorted(lines) == sorted(set(frame["claim"]))
    assert len([line for line in lines if line in {claim.id for claim in wb.logged_claims()}]) == 47
    column = drawn(figure, True)
    assert sum(len(t.x) for t in column) == len(frame)
    for name in set(frame["outcome"]):
        own = [t for t in column if t.name == name]
        assert sum(len(t.x) for t in own) == (frame["outcome"] == name).sum()
    assert (
        len({symbol for _, symbol in LOOKS.values()}) == len({colour for colour, _ in LOOKS.values()}) == len(OUTCOMES)
    )
    assert set(LOOKS) == set(OUTCOMES)


def test_lines_of_one_unit_share_a_scale_and_those_of_others_have_their_own(ledger, figure):
    frame = ledger.frame().drop_duplicates("claim").set_index("claim")
    panels = figure.layout.meta["panels"]
    lines = {panel["x"]: {line for line, _ in panel["lines"]} for panel in panels}
    (bic,) = [x for x, names in lines.items() if "S3.5" in names]
    assert lines[bic] == {"S3.5"}
    low, high = figure.layout[bic].range
    assert low < -12 < 6 < high  # interval and minimum effect
    (share,) = [x for x, names in lines.items() if "S3.2" in names]
    assert {frame.loc[name, "unit"].split(",")[0].split()[0] for name in lines[share]} == {"share"}
    tops = [figure.layout[panel["y"]].domain for panel in panels]
    assert all(upper[0] > lower[1] for upper, lower in pairwise(tops))


def test_the_minimum_effect_is_a_tick_and_a_margin_has_two(figure):
    ticks = [t for t in figure.data if t.name == "minimum effect, or limit" and len(t.x) and t.x[0] is not None]
    where = {}
    for t in ticks:
        where.setdefault(t.customdata[0][0].split("</b>")[0][3:], []).append(t.x[0])
    assert where["S3.2"] == [0.2]
    assert where["S2.10b"] == [0.35, -0.35]
    assert where["S1.8"] == [0.05]
    assert "S2.10" not in where  # a claim without a minimum


def test_the_marks_of_a_claim_stand_nearer_to_one_another_than_to_its_neighbours(tmp_path):
    effect = wb.Measured(wb.Estimate(0.5, 0.4, 0.6, 90, "m"), 0.001, True)
    for model in ("one", "two", "three"):
        for claim in ("S1.7", "S1.8", "S2.2"):
            wb.ledger.record(claim, measured=effect, model=model, path=tmp_path)
    figure = wb.figures.forest(wb.ledger.open(tmp_path))
    pixels = figure.layout.meta["line"]
    (panel,) = [p for p in figure.layout.meta["panels"] if ["S1.7", "S1.7"] in p["lines"]]
    first = [line for line, _ in panel["lines"]].index("S1.7")
    column, y = panel["column"].replace("axis", ""), panel["y"].replace("axis", "")
    heights = sorted(h for t in drawn(figure, True) if (t.xaxis, t.yaxis or "y") == (column, y) for h in t.y)
    marks = np.array([h for h in heights if -first - 2.5 < h < -first + 0.5]).reshape(3, 3)  # from below
    within, between = np.diff(marks, axis=1).max() * pixels, (marks[1:, 0] - marks[:-1, -1]).min() * pixels
    assert 9 < within < between  # a mark is nine pixels wide


def test_intervals_are_those_of_the_ledger_and_what_goes_on_has_an_arrow(ledger, figure):
    frame = ledger.frame()
    row = frame[(frame["claim"] == "S3.2") & (frame["outcome"] == "reproduced")].iloc[0]
    (trace,) = (
        t
        for t in drawn(figure, False)
        if t.name == "reproduced" and t.error_x.array is not None and "S3.2" in t.customdata[0][0]
    )
    assert trace.x[0] == pytest.approx(row["effect"])
    assert trace.x[0] + trace.error_x.array[0] == pytest.approx(row["high"])
    assert trace.x[0] - trace.error_x.arrayminus[0] == pytest.approx(row["low"])
    (arrow,) = (t for t in figure.data if t.name == "beyond the scale")
    assert arrow.marker.symbol == "arrow-left"
    assert "S1.1" in arrow.customdata[0][0]
    assert "beyond the scale: S1.1" in figure.layout.title.text


def test_logged_values_stand_where_the_log_gives_one(ledger, figure):
    shown = {}
    for trace in figure.data:
        if trace.name == "logged value" and len(trace.x) and trace.x[0] is not None:
            shown |= {about[0].split("</b>")[0][3:]: x for about, x in zip(trace.customdata, trace.x, strict=True)}
    frame = ledger.frame().drop_duplicates("claim").set_index("claim")
    assert shown == frame["logged"].dropna().to_dict()
    assert {"S1.2": 0.25, "S1.6": 1.0, "S3.3": 0.719}.items() <= shown.items()


def test_a_page_may_say_title_and_small_print_itself_in_lines_of_its_own_width(ledger, figure):
    bare = wb.figures.forest(ledger, title=None)
    assert not bare.layout.title.text
    assert bare.layout.margin.t < figure.layout.margin.t
    note = wb.figures.forest_note(ledger)
    assert note.endswith("hollow if not on the logged model · arrow, beyond the scale: S1.1")
    assert "<br>" not in note


@pytest.mark.browser
@pytest.mark.parametrize("width", [390, 1280])
def test_the_page_is_readable_wide_and_narrow(visitor, figure, tmp_path, width):
    page = visitor.open(wb.figures.save(figure, tmp_path / "forest"), width)
    page.wait_for_selector("[class^=y][class$=tick] text")
    assert overflow(page) <= 0
    labels = boxes(page, "[class^=y][class$=tick] text")
    assert len(labels) == sum(len(axis.ticktext) for axis in figure.select_yaxes())
    words = (
        labels
        + boxes(page, "[class^=x][class$=tick] text")
        + boxes(page, ".gtitle, .legendtext, [class^=x][class$=title]")
    )
    assert all(left >= 0 and right <= width for left, _, right, _ in words)
    assert overlapping(words) == []
    trace = next(
        i
        for i, t in enumerate(figure.data)
        if t.name == "reproduced" and t.error_x.array is not None and "S3.2" in t.customdata[0][0]
    )
    page.evaluate("y => scrollTo(0, y - 400)", point(page, trace, 0)[1])
    x, y = point(page, trace, 0)
    page.mouse.move(x - 30, y + 20)
    page.mouse.move(x, y, steps=4)
    until(  # the cards of the points on the way come up first
        page,
        """() => { const card = document.querySelector('.hoverlayer .hovertext')?.textContent ?? '';
            return card.includes('S3.2') && !card.includes('not reproduced')
                && card.includes('reproduced, on another model: planted'); }""",
    )
