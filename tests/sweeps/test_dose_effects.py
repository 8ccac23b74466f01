"""A dose steers where its effect is above 0 and above every coherent control, and the text is whole."""

import numpy as np
import pandas as pd
import pytest

import workbench as wb


def rows(direction=1.0, control=0.0, fluent=1.0, control_fluent=1.0):
    noise = np.random.default_rng(0).normal(0, 0.1, 12)
    arms = [("baseline", "baseline", -1, 0.0, 0.0, 1.0), ("direction L3 +0.20", "direction", 3, 0.2, direction, fluent)]
    arms += [
        ("random 0 L3 +0.20", "random", 3, 0.2, control, control_fluent),
        ("random 0 L3 +0.40", "random", 3, 0.4, 9.0, 1.0),
    ]
    return pd.DataFrame(
        {"prompt": f"p{i}", "base": f"p{i}", "arm": arm, "kind": kind, "layer": layer, "ratio": ratio, "score": score, "value": v}
        for arm, kind, layer, ratio, effect, whole in arms
        for i in range(12)
        for score, v in (("odds", effect + (noise[i] if kind == "direction" else 0.0)), ("coherence", whole))
    )  # fmt: skip


@pytest.mark.parametrize(
    ("given", "steers"),
    [
        ({}, True),
        ({"direction": 0.0}, False),
        ({"direction": -1.0}, False),
        ({"control": 2.0}, False),  # a random direction does more
        ({"control": 2.0, "control_fluent": 0.3}, False),  # no coherent control to compare with
        ({"fluent": 0.3}, False),
    ],
)
def test_what_steers(given, steers):
    found = wb.dose_effects(rows(**given), "odds")
    assert found["steers"].tolist() == [steers]
    assert found["change"][0] == pytest.approx(given.get("direction", 1.0), abs=0.1)


def test_controls_of_another_dose_do_not_count():
    assert wb.dose_effects(rows(), "odds")["control"][0] == 0


def test_what_is_missing_is_said():
    with pytest.raises(wb.WorkbenchError, match="rows lack harm"):
        wb.dose_effects(rows(), "harm")
    with pytest.raises(wb.WorkbenchError, match="a baseline"):
        wb.dose_effects(rows().query("kind != 'baseline'"), "odds")


def test_changes_are_paired_and_controls_of_a_kind_are_one_row():
    found = wb.paired_changes(rows(direction=1.0, control=-0.5), "odds", by=["kind"]).set_index("kind")
    assert found["change"]["direction"] == pytest.approx(1.0, abs=0.1)
    assert found["change"]["random"] == pytest.approx((-0.5 + 9.0) / 2)
    assert found["low"]["direction"] < found["change"]["direction"] < found["high"]["direction"]
    assert found["n"].tolist() == [12, 12]
    by_dose = wb.paired_changes(rows(control=-0.5), "odds").set_index(["kind", "ratio"])
    assert by_dose["change"]["random", 0.2] == pytest.approx(-0.5)


def test_a_prompt_without_a_value_is_left_out_of_its_kind_alone():
    some = rows()
    some.loc[(some["kind"] == "random") & (some["prompt"] == "p0"), "value"] = np.nan
    found = wb.paired_changes(some, "odds", by=["kind"]).set_index("kind")
    assert found["n"].to_dict() == {"direction": 12, "random": 11}


def test_shares_of_a_label_change_by_points():
    some = rows()
    some["value"] = np.where(
        some["kind"] == "baseline", "refusal", np.where(some["prompt"] < "p5", "compliance", "refusal")
    )
    found = wb.paired_changes(some, "odds", "refusal", by=["kind"])
    share = (some[some["kind"] == "direction"]["value"] == "refusal").mean()
    assert found["change"].tolist() == pytest.approx([share - 1] * 2)
    with pytest.raises(wb.WorkbenchError, match="gives labels"):
        wb.paired_changes(some, "odds")
    with pytest.raises(wb.WorkbenchError, match="no column 'method'"):
        wb.paired_changes(rows(), "odds", by=["method"])
    with pytest.raises(wb.WorkbenchError, match="a baseline"):
        wb.paired_changes(rows().query("kind != 'baseline'"), "odds")
