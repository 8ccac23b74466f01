import pandas as pd
import pytest

import workbench as wb
from workbench import figures


def rows():
    """Six prompts in two sets: a direction whose refusals follow the dose, and a control that does nothing."""
    found = []
    for name in ("positive", "negative"):
        for prompt in range(3):
            for ratio, value in ((-0.3, "compliance"), (0.0, "refusal"), (0.3, "refusal")):
                kind = "baseline" if ratio == 0 else "direction"
                found.append((name, f"{name}{prompt}", kind, -1 if ratio == 0 else 12, ratio, -1, "refusal", value))
            found.append((name, f"{name}{prompt}", "random", 12, -0.3, 0, "refusal", "refusal"))
    return pd.DataFrame(found, columns=["set", "prompt", "kind", "layer", "ratio", "seed", "score", "value"])


def test_lines_hold_the_rates_with_the_baseline_at_zero():
    figure = figures.dose_response(rows(), title="what is seen")
    line = next(t for t in figure.data if t.name == "layer 12")
    assert list(line.x) == [-0.3, 0.0, 0.3]
    assert list(line.y) == [0.0, 1.0, 1.0]
    assert line.error_y.array[0] == pytest.approx(wb.statistics.rate(0, 3).high)
    control = next(t for t in figure.data if t.name == "random controls")
    assert list(control.y) == [1.0]
    assert figure.layout.title.text == "what is seen"
    assert len(figure.data) == 2 * 2 * 2


def test_panels_name_their_sets_and_n():
    titles = [a.text for a in figures.dose_response(rows()).layout.annotations]
    assert titles[:2] == ["harmful<br>n = 3", "harmless<br>n = 3"]


def test_a_saved_page_is_offline_and_shares_its_script(tmp_path):
    figure = figures.dose_response(rows())
    for name in ("a", "b"):
        page = figures.save(figure, tmp_path / "pages" / name)
        assert page.suffix == ".html"
        assert page.stat().st_size < 200_000
        assert "cdn." not in page.read_text()
    assert len(list((tmp_path / "pages").glob("*.js"))) == 1


def test_rows_without_labels_are_refused():
    with pytest.raises(wb.WorkbenchError, match="no rows of the score"):
        figures.dose_response(rows().assign(score="length"))


def test_a_map_has_a_cell_per_layer_and_dose_and_the_baseline_at_zero():
    one = rows()[rows()["set"] == "positive"]
    figure = figures.outcome_map(one)
    assert {trace.textfont.color for trace in figure.data} == {
        figures.theme.ON_CELLS
    }  # cells are light on dark pages too
    refused, complied, astray, collapsed = figure.data
    assert (list(refused.x), list(refused.y)) == (["-0.30", "0", "+0.30"], ["12"])
    assert list(refused.z[0]) == [0.0, 1.0, 1.0]
    assert list(complied.z[0]) == [1.0, 0.0, 0.0]
    assert list(astray.z[0]) == list(collapsed.z[0]) == [0.0, 0.0, 0.0]
    assert refused.customdata[0][1] == str(wb.statistics.rate(3, 3))
    gap = one[~((one["kind"] == "direction") & (one["ratio"] > 0))]
    more = pd.concat([gap, one[one["kind"] == "direction"].assign(layer=13)])
    assert [list(line) for line in figures.outcome_map(more).data[0].z] == [[0.0, 1.0, None], [0.0, 1.0, 1.0]]
    with pytest.raises(wb.WorkbenchError, match="one prompt set; got positive, negative"):
        figures.outcome_map(rows())
    with pytest.raises(wb.WorkbenchError, match="under a direction"):
        figures.outcome_map(one[one["kind"] == "baseline"])
