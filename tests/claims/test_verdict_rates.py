"""How often verdicts are wrong: without an effect, with one of the stated minimum, and with one that any direction has."""

from functools import cache

import numpy as np
import pytest

import workbench as wb
from tests.planted_rows import planted_rows
from workbench import statistics
from workbench.claims.evidence import prepare_rows
from workbench.claims.replication import read_rows
from workbench.claims.verdict import decide
from workbench.statistics.power import needed_n_mean, needed_n_paired, power_paired
from workbench.statistics.rates import rate

pytestmark = pytest.mark.slow
RUNS = 400
LOST = 0.02


@pytest.fixture(autouse=True)
def power_of_each_size_once(monkeypatch):
    """What n prompts can show depends on n and the claim, not on the draw: the real functions, called once for each."""
    for name in ("detectable_paired", "needed_n_paired"):
        monkeypatch.setattr(statistics, name, cache(getattr(statistics, name)))


def verdicts(identity, draw, runs=RUNS):
    """Outcomes of simulated replications, by the rule that ``ledger.record`` follows."""
    claim = wb.claim(identity)
    found = []
    for seed in range(runs):
        m = read_rows(claim, prepare_rows(draw(seed), ("refusal",))).measured
        found.append(decide(claim, m.gates, m.effect, m.p, m.direction_holds).outcome)
    return np.array(found)


def share(outcomes, outcome="reproduced"):
    return rate(int((outcomes == outcome).sum()), len(outcomes))


def needed(identity):
    return needed_n_paired(gained=wb.claim(identity).minimum_effect + LOST, lost=LOST)


#: claim, sign of its dose, label that it counts
PAIRED = [("S3.2", -0.3, "compliance"), ("S1.2", 0.3, "refusal")]


@pytest.mark.parametrize(("identity", "ratio", "label"), PAIRED)
@pytest.mark.parametrize("noise", [0.02, 0.2])
def test_without_an_effect_at_most_5_percent_are_reproduced(identity, ratio, label, noise):
    n = needed(identity)
    outcomes = verdicts(identity, lambda s: planted_rows(n, noise, noise, seed=s, ratio=ratio, label=label))
    assert share(outcomes).value <= 0.05, share(outcomes)


@pytest.mark.parametrize(("identity", "ratio", "label"), PAIRED)
def test_an_effect_of_the_stated_minimum_is_found_in_80_percent(identity, ratio, label):
    n = needed(identity)
    gained = wb.claim(identity).minimum_effect + LOST
    found = share(verdicts(identity, lambda s: planted_rows(n, gained, LOST, seed=s, ratio=ratio, label=label)))
    assert power_paired(gained, LOST, n) >= 0.8  # exact, of the test alone
    assert found.value >= 0.75, found  # 400 runs at 80% spread by 2 points: a loss to the gates would show
    assert found.high >= 0.8, found


def test_the_best_of_several_arms_is_no_more_often_wrong():
    outcomes = verdicts("S3.2", lambda s: planted_rows(80, 0.2, 0.2, seed=s, layers=(4, 8, 12, 16), controls=3))
    assert share(outcomes).value <= 0.05, share(outcomes)


@pytest.mark.parametrize("controls", [2, 5, 20])
def test_what_every_direction_does_is_not_reproduced_however_few_the_controls(controls):
    """Each direction has its own large effect, drawn from one distribution: the extracted one is none but another."""

    def draw(seed):
        rng = np.random.default_rng(10_000 + seed)
        rows = planted_rows(80, rng.uniform(0.2, 0.6), 0.0, seed=seed, controls=controls)
        others = planted_rows(80, seed=seed, controls=0)  # the same baseline
        base = (others["value"] == "compliance").to_numpy()[:80]
        for arm in rows[rows["kind"].isin(["random", "orthogonal"])]["arm"].unique():
            gained = ~base & (rng.random(80) < rng.uniform(0.2, 0.6) / 0.7)
            rows.loc[rows["arm"] == arm, "value"] = np.where(base | gained, "compliance", "refusal")
        return rows

    outcomes = verdicts("S3.2", draw, runs=200)
    assert share(outcomes).value <= 0.05, share(outcomes)


def test_against_controls_too():
    claim = wb.claim("S3.3")
    null = verdicts("S3.3", lambda s: planted_rows(60, 0.1, 0.1, seed=s), runs=200)
    assert share(null).value <= 0.05, share(null)
    floor = float(claim.criterion.contrast.interval_above)  # the interval must exclude this, and not only 0
    n = needed_n_mean(claim.minimum_effect - floor, sd=0.5)
    planted = verdicts("S3.3", lambda s: planted_rows(n, 0.32, 0.02, seed=s, control_gain=0.02), runs=200)
    assert share(planted).value >= 0.8, share(planted)
