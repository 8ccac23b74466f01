"""Steering search on a model whose threshold and breaking point are planted: found on dev, reported from test."""

import pytest

import workbench as wb
from tests.planted_model import BREAKS_AT, REFUSES_ABOVE, planted_model, planted_pairs
from workbench.scoring.scores import Score
from workbench.statistics.results import Estimate
from workbench.sweeps.search import Trial, _next_dose

pytestmark = pytest.mark.filterwarnings("ignore:a dose above 1")


@pytest.fixture(scope="module")
def model():
    return planted_model()


@pytest.fixture(scope="module")
def direction(model):
    return wb.extract(model, planted_pairs(24, 0), at=wb.resid_post(1))


@pytest.fixture(scope="module")
def sets():
    dev, test = planted_pairs(10, 1), planted_pairs(16, 2)
    assert not {*dev.positive.texts, *dev.negative.texts} & {*test.positive.texts, *test.negative.texts}
    return dev, test


def search(model, direction, dev, test, store, **change):
    settings = {"largest": 8.0, "controls": 2, "max_new_tokens": 12, "store": store} | change
    return wb.steering_search(model, direction, dev, test, wb.refusal, "refusal", **settings)


def test_the_dose_lies_between_the_threshold_and_the_breaking_point(model, direction, sets, tmp_path):
    dev, test = sets
    found = search(model, direction, dev.negative, test.negative, tmp_path)
    # Harmless prompts lie at about -1 on the direction: from there to the threshold at least, not past the breaking point.
    projection = found.ratio * direction.activation_norm
    assert REFUSES_ABOVE < projection < BREAKS_AT + 2
    assert found.effect.value > 0.9
    assert found.effect.n == 16
    assert found.coherent
    assert all(abs(control.effect.value) < 0.2 for control in found.controls)
    assert found.p == pytest.approx(1 / 5)
    assert len(found.tried) <= 8
    assert any(trial.coherence.value < found.floor for trial in found.tried)  # the limit was looked for
    assert max(t.effect.value for t in found.tried if t.coherence.value >= found.floor) == next(
        t.effect.value for t in found.tried if t.ratio == found.ratio
    )


def test_prompts_without_a_label_are_counted_apart_and_are_no_refusal_and_no_compliance():
    import numpy as np
    import pandas as pd

    from workbench.sweeps.search import _effect, _missing, _pair_arms

    labels = {"baseline": ["refusal", "compliance", "compliance", None], "arm": ["refusal", "refusal", None, "refusal"]}
    values = [
        {"prompt": str(i), "base": str(i), "arm": arm, "score": score, "value": label if score == "refusal" else 1.0}
        for arm, own in labels.items()
        for i, label in enumerate(own)
        for score in ("refusal", "coherence")
    ]
    bases, paired = _pair_arms(pd.DataFrame(values), "refusal", "refusal")
    before, after, _ = paired["arm"]
    assert _missing(before, after) == 2
    effect = _effect(before, after, bases)
    assert (effect.value, effect.n) == (0.5, 2)
    assert np.isnan(after.astype(float)).tolist() == [False, False, True, False]


def test_the_effect_is_the_one_on_test_prompts_whatever_dev_said(model, direction, sets, tmp_path):
    """Dev prompts that all flip, test prompts that cannot: the winner of dev is reported with its test effect."""
    dev, test = sets
    found = search(model, direction, dev.negative, test.positive, tmp_path)  # harmful ones are refused already
    assert max(trial.effect.value for trial in found.tried) > 0.9
    assert found.effect.value == pytest.approx(0, abs=0.1)
    by_hand = wb.sweep(
        model,
        test.positive,
        wb.grid(direction, ratios=[0, found.ratio]),
        [wb.refusal],
        tmp_path / "again",
        max_new_tokens=12,
    )
    share = (by_hand["value"] == "refusal").groupby(by_hand["arm"]).mean()
    assert found.effect.value == pytest.approx(share.drop("baseline").iloc[0] - share["baseline"])


def test_subtracting_is_the_other_sign(model, direction, sets, tmp_path):
    dev, test = sets
    found = wb.steering_search(
        model,
        direction,
        dev.positive,
        test.positive,
        wb.Score("planted", 1, lambda text: "refusal" if text.startswith("Sorry") else "compliance"),
        "compliance",
        sign=-1,
        store=tmp_path,
        largest=4.0,
        controls=1,
        max_new_tokens=12,
    )
    assert found.ratio < 0
    assert all(trial.ratio < 0 for trial in (*found.tried, *found.controls))
    assert found.effect.value > 0.8


def test_a_direction_that_breaks_the_model_at_any_dose_has_none(model, direction, sets, tmp_path):
    dev, test = sets
    found = search(model, direction, dev.negative, test.negative, tmp_path, smallest=5.0, largest=8.0)
    assert found.chosen is None
    assert found.effect is None
    assert not found.coherent
    assert "no dose keeps coherence above 0.7" in str(found)
    assert set(found.frame()["set"]) == {"dev"}


def test_every_row_is_in_the_store_and_a_second_search_generates_nothing(model, direction, sets, tmp_path):
    dev, test = sets
    first = search(model, direction, dev.negative, test.negative, tmp_path)
    stored = len(wb.Store(tmp_path).keys())
    assert stored == 10 * (1 + len(first.tried)) + 16 * (2 + 2 * 2)
    assert search(model, direction, dev.negative, test.negative, tmp_path) == first
    assert len(wb.Store(tmp_path).keys()) == stored


def test_scores_that_are_numbers_need_no_label(model, direction, sets, tmp_path):
    sorry = Score("sorry", 1, lambda text: float(text.startswith("Sorry")))
    dev, test = sets
    found = wb.steering_search(
        model, direction, dev.negative, test.negative, sorry, store=tmp_path, largest=4.0, controls=1, max_new_tokens=12
    )
    assert found.effect.value > 0.9
    assert found.score == "sorry"
    assert "sorry changes by" in str(found)


def test_the_frame_keeps_dev_and_test_apart(model, direction, sets, tmp_path):
    dev, test = sets
    found = search(model, direction, dev.negative, test.negative, tmp_path)
    frame = found.frame()
    assert list(frame[frame["set"] == "dev"]["ratio"]) == [trial.ratio for trial in found.tried]
    assert list(frame[frame["set"] == "test"]["arm"]) == [found.chosen.arm, *(c.arm for c in found.controls)]
    assert list(frame["n"]) == [10] * len(found.tried) + [16] * 5
    assert frame[frame["chosen"]]["ratio"].nunique() == 1


def test_bad_requests_are_refused_before_any_compute(model, direction, sets, tmp_path):
    dev, test = sets
    cases = {
        "in dev and in test": (dev.negative, [*test.negative.texts, dev.negative.texts[0]], {}),
        "expected 1 or -1": (dev.negative, test.negative, {"sign": 0}),
        "0 < smallest < largest": (dev.negative, test.negative, {"smallest": 9.0}),
        "at least one dose": (dev.negative, test.negative, {"doses": 0}),
    }
    for message, (first, last, change) in cases.items():
        with pytest.raises(wb.WorkbenchError, match=message):
            search(model, direction, first, last, tmp_path, **change)
    assert not wb.Store(tmp_path).keys()
    with pytest.raises(wb.WorkbenchError, match="say which one counts"):
        wb.steering_search(model, direction, dev.negative, test.negative, wb.refusal, store=tmp_path, max_new_tokens=4)
    with pytest.raises(wb.WorkbenchError, match="choose a lower floor"):
        search(model, direction, dev.negative, test.negative, tmp_path, floor=1.01)


def trials(**seen):
    """Trials from ``d0_4=(effect, coherence)``."""
    doses = {float(name[1:].replace("_", ".")): value for name, value in seen.items()}
    return [Trial("", r, *(Estimate(v, v, v, 9, "") for v in values)) for r, values in doses.items()]


def test_the_search_brackets_the_limit_and_then_halves_the_gaps():
    def following(*tried):
        return _next_dose(*tried, 0.7, 0.05, 1.0)

    assert following([]) == pytest.approx(0.22)
    assert following(trials(d0_22=(0.0, 1.0))) == pytest.approx(0.44)  # no effect yet: on
    assert following(trials(d0_22=(0.5, 1.0), d0_8=(0.4, 1.0))) == pytest.approx(1.0)  # not past the end
    assert following(trials(d0_2=(0.0, 0.1))) == pytest.approx(0.1)  # broken: down
    assert following(trials(d0_05=(0.0, 0.1))) is None  # nowhere to go
    assert following(trials(d0_2=(0.5, 1.0), d0_4=(0.9, 0.9), d0_8=(1.0, 0.2))) == pytest.approx(0.57)
    assert following(trials(d0_4=(0.9, 0.9), d0_45=(1.0, 0.2), d0_38=(0.5, 1.0))) is None  # known closely enough


def test_with_several_layers_the_layer_is_chosen_too_and_nothing_is_reported_without_test_prompts(
    model, sets, tmp_path
):
    dev, _ = sets
    ds = wb.extract(model, planted_pairs(24, 0), at=wb.resid_post.all).select([0, 1])
    found = search(model, ds, dev.negative.take(4), None, tmp_path, doses=2)
    assert found.chosen is None
    assert found.effect is None
    assert found.gains
    assert {trial.layer for trial in found.tried} == set(ds.layers)
    good = [trial for trial in found.tried if trial.coherence.value >= found.floor]
    assert found.best.effect.value == max(trial.effect.value for trial in good)
    assert (found.layer, found.ratio) == (found.best.layer, found.best.ratio)
    assert found.frame()["chosen"].sum() == 1


def test_what_the_score_rises_on_other_prompts_is_taken_off(model, direction, sets, tmp_path):
    dev, _ = sets
    few, others = dev.negative.take(4), dev.positive.take(4)
    alone, cost = (search(model, direction, x, None, tmp_path, doses=1) for x in (few, others))
    both = search(model, direction, few, None, tmp_path, doses=1, against=others)
    assert both.tried[0].ratio == alone.tried[0].ratio == cost.tried[0].ratio
    assert both.tried[0].effect.value == pytest.approx(alone.tried[0].effect.value - cost.tried[0].effect.value)
    assert not search(model, direction, few, None, tmp_path, doses=1, against=few).gains  # what is gained is lost again
