"""The whole path on a model whose answer is known: extraction, sweep, verdict; sign, layer and breaking dose."""

import numpy as np
import pytest

import workbench as wb
from tests.planted_model import BREAKS_AT, LAYER, planted_direction, planted_model, planted_pairs
from tests.planted_rows import record
from workbench.steering.directions import Directions

#: doses beyond the norm of the activations are what the model is built for
pytestmark = pytest.mark.filterwarnings("ignore:a dose above 1")
ON = wb.PROMPT[-1] | wb.RESPONSE
N = 60


@pytest.fixture(scope="module")
def model():
    return planted_model()


@pytest.fixture(scope="module")
def ds(model):
    return wb.extract(model, planted_pairs(80, seed=1), at=wb.resid_post.all)


@pytest.fixture(scope="module")
def strength(model):
    """How far each harmful test prompt lies along the planted direction, by the trace of the model itself."""
    prompts = planted_pairs(N, seed=2).positive
    path = wb.trace(
        model, [(p.text, "sure") for p in prompts], wb.extract(model, planted_pairs(80, 1), at=wb.resid_post(LAYER))
    )
    last = np.array(path.prompt_lengths) - 1
    return path.dot[np.arange(N), 0, last]


@pytest.fixture(scope="module")
def ratio(ds):
    """The dose that moves the stream by 2.5 along the direction: beyond every prompt's own, and short of breaking."""
    return 2.5 / ds[LAYER].activation_norm


def swept(model, tmp_path_factory, directions, ratios, **more):
    store = tmp_path_factory.mktemp("store")
    rows = wb.sweep(
        model,
        planted_pairs(N, seed=2),
        wb.grid(directions, ratios, on=ON, **more),
        [wb.refusal],
        store,
        max_new_tokens=12,
    )
    rows["value"] = rows["value"].replace(
        "off topic", "compliance"
    )  # it complies in one word, "sure", which names nothing
    return rows


@pytest.fixture(scope="module")
def rows(model, ds, ratio, tmp_path_factory):
    return swept(model, tmp_path_factory, ds, [-ratio, 0, ratio], layers=[0, LAYER], controls=24)


def arm(layer, ratio):
    return wb.Arm(wb.Steer(), "direction", layer, ratio).name


def test_the_direction_is_recovered_from_its_layer_on_with_its_sign(ds):
    cosines = [float(d.unit().vector @ planted_direction()) for d in ds]
    assert abs(cosines[0]) < 1e-6
    assert min(cosines[LAYER:]) > 0.99


def test_the_sign_is_reproduced_at_the_planted_layer_and_not_before_it(rows, ratio, tmp_path):
    at = record("S3.2", rows, arm=arm(LAYER, -ratio), path=tmp_path)
    assert at.outcome == "reproduced", at.frame().to_string()
    assert at.effect.value == 1.0
    before = record("S3.2", rows, arm=arm(0, -ratio), path=tmp_path)
    assert before.effect.value == 0.0
    assert before.outcome != "reproduced"
    either = record("S3.2", rows, path=tmp_path)
    assert (either.outcome, either.effect.value) == ("reproduced", 1.0)
    assert any(f"Taken of 2 arms: {arm(LAYER, -ratio)}" in reason for reason in either.reasons)
    assert wb.ledger.open(tmp_path).recheck()["agrees"].all()


def test_both_signs_act_as_planted(rows, ratio):
    labels = {x: wb.outcomes(rows, "negative", arm(LAYER, x), "refusal").mean() for x in (-ratio, ratio)}
    assert wb.outcomes(rows, "positive", "baseline", "refusal").all()
    assert not wb.outcomes(rows, "negative", "baseline", "refusal").any()
    assert labels == {-ratio: 0.0, ratio: 1.0}


def test_the_wrong_sign_is_not_reproduced(model, ds, ratio, tmp_path_factory, tmp_path):
    rows = swept(model, tmp_path_factory, Directions((-ds[LAYER],)), [-ratio, 0, ratio], controls=24)
    verdict = record("S3.2", rows, arm=arm(LAYER, -ratio), path=tmp_path)
    assert verdict.outcome != "reproduced"
    assert verdict.effect.value <= 0


def test_a_random_direction_in_place_of_the_planted_one_is_not_reproduced(model, ds, ratio, tmp_path_factory, tmp_path):
    directions = Directions((ds[LAYER].random(99),))
    rows = swept(model, tmp_path_factory, directions, [-ratio, 0, ratio], controls=24)
    assert record("S3.2", rows, arm=arm(LAYER, -ratio), path=tmp_path).outcome != "reproduced"


def test_the_breaking_dose_is_where_it_was_planted(model, ds, strength, tmp_path_factory, tmp_path):
    unit = float(ds[LAYER].unit().vector @ planted_direction())
    norm = ds[LAYER].activation_norm
    middle = float(np.median(strength)) + BREAKS_AT
    shifts = np.array([middle - 0.9, middle, middle + 0.9])
    ratios = list(-shifts / norm)
    rows = swept(model, tmp_path_factory, ds[LAYER], [0, *ratios], controls=0)
    found = [wb.outcomes(rows, "positive", arm(LAYER, r), "collapse").mean() for r in ratios]
    expected = [float(np.mean(strength - shift * unit < -BREAKS_AT)) for shift in shifts]
    assert found == pytest.approx(expected, abs=0.1)
    assert expected[0] < 0.3 < 0.7 < expected[-1]
    verdict = record("S3.2", rows, arm=arm(LAYER, ratios[-1]), path=tmp_path)
    assert verdict.outcome == "inconclusive"
    assert any("G5 coherence" in reason for reason in verdict.reasons)
