"""How often verdicts are wrong: without an effect, at parts and multiples of the minimum, and with an effect that any direction has."""

import importlib.util
import json
import re
import sys
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

import workbench as wb
from tests.planted_rows import planted_rows, setup_passed
from workbench.claims.evidence import ArmLabels, prepare_rows
from workbench.claims.replication import read_rows
from workbench.claims.verdict import decide
from workbench.statistics.rates import rate


@pytest.fixture(scope="module")
def characteristics():
    """The benchmark that docs/verdicts.md is computed with, as a module."""
    path = Path(__file__).parents[2] / "benchmarks" / "operating_characteristics.py"
    spec = importlib.util.spec_from_file_location("operating_characteristics", path)
    module = importlib.util.module_from_spec(spec)
    sys.modules[spec.name] = module
    spec.loader.exec_module(module)
    return module


def share(counts, outcome="reproduced"):
    return rate(counts[outcome], counts.total())


@pytest.mark.parametrize("identity", ["S3.2", "S1.2"])
def test_the_rule_at_the_n_that_a_claim_plans_with(characteristics, identity):
    claim = wb.claim(identity)
    least, n = claim.minimum_effect, claim.criterion.planned_n
    none, half, more = (
        characteristics.simulate(claim, characteristics.DESIGNS[identity], size * least, n, 150)
        for size in (0, 0.5, 1.5)
    )
    assert share(none).value <= 0.05
    assert share(none, "opposite").value <= 0.05
    assert share(half).low <= 0.10
    assert share(more).high >= 0.80
    assert share(more).value >= 0.7  # 150 runs at 80% spread by 3 points


def test_more_prompts_do_not_make_a_small_effect_reproduced_more_often(characteristics):
    """What was wrong with a rule that asked the interval to reach the minimum, the other way round too."""
    claim = wb.claim("S3.2")
    rates = [
        share(characteristics.simulate(claim, characteristics.DESIGNS["S3.2"], 0.1, n, 150)).value for n in (60, 240)
    ]
    assert rates[1] <= rates[0]
    assert rates[1] <= 0.05


def test_the_tables_of_the_page_are_those_of_the_file_and_the_file_is_of_the_present_claims(characteristics):
    root = Path(__file__).parents[2]
    told = json.loads((root / "figures" / "operating_characteristics.json").read_text())
    written = (root / "docs" / "verdicts.md").read_text()
    tables = written.split("<!-- operating characteristics -->")[1].split("<!-- end -->")[0]
    assert tables.strip() == characteristics.page(told)
    for name, said in told.items():
        claim = wb.claim(name)
        assert characteristics.planned(name).items() <= said.items(), name
        assert list(said["outcomes"]) == list(characteristics.effects(claim)), name
    missing = set(characteristics.DESIGNS) - set(told)
    (sentence,) = re.findall(
        r"More results are then\ninconclusive than the tables show\. (.+?) are not in the tables", written
    )
    assert missing == set(re.findall(r"S\d\.\d+\w?", sentence))


@pytest.mark.parametrize("name", ["S0.10c", "S2.10"])
def test_a_row_of_the_file_comes_out_again(characteristics, name):
    told = json.loads((Path(__file__).parents[2] / "figures" / "operating_characteristics.json").read_text())[name]
    (effect, size), *_ = characteristics.effects(wb.claim(name)).items()
    runs = sum(told["outcomes"][effect].values())
    again = characteristics.simulate(wb.claim(name), characteristics.DESIGNS[name], size, told["n"], runs)
    assert dict(again) == told["outcomes"][effect]


def test_every_claim_that_plans_an_n_has_a_design_or_is_told_apart(characteristics):
    planned = {
        line.id for one in wb.logged_claims() for line in one.lines() if line.criterion and line.criterion.planned_n
    }
    assert planned - set(characteristics.DESIGNS) == characteristics.WITHOUT_DESIGN
    assert {name for name in characteristics.DESIGNS if wb.claim(name).criterion is None} == set()


def read(identity, rows):
    """The verdict of rows, by the way that ``ledger.record`` goes."""
    claim = wb.claim(identity)
    m = read_rows(claim, prepare_rows(rows, ("refusal",)), extra=setup_passed(identity)).measured
    return decide(claim, m.gates, m.effect, m.p, m.direction_holds).outcome


def test_rows_and_counts_lead_to_the_same_verdict(characteristics):
    """The benchmark draws counts; a sweep gives rows. Interval, test and controls are computed by the same functions."""
    claim = wb.claim("S3.2")
    for seed, gained in enumerate((0.02, 0.15, 0.25, 0.4)):
        rows = planted_rows(60, gained, 0.05, seed=seed, control_gain=0.05)
        labels = ArmLabels(prepare_rows(rows, ("refusal",)), claim.criterion.contrast)
        before, after, _ = labels.pair("direction L8 -0.30")
        table = [int(np.sum((before == b) & (after == a))) for b, a in ((1, 1), (1, 0), (0, 1), (0, 0))]
        effect, p = characteristics.pair_counts(*table)
        read_again = read_rows(claim, prepare_rows(rows, ("refusal",))).measured
        assert (effect, p) == (read_again.effect, read_again.p)


@pytest.mark.slow
def test_the_best_of_several_arms_is_no_more_often_wrong():
    outcomes = [
        read("S3.2", planted_rows(80, 0.2, 0.2, seed=s, layers=(4, 8, 12, 16), controls=20)) for s in range(100)
    ]
    assert rate(outcomes.count("reproduced"), 100).low <= 0.05


@pytest.mark.slow
@pytest.mark.parametrize("controls", [19, 40])
def test_what_every_direction_does_is_not_reproduced(controls):
    """Each direction has its own large effect, drawn from one distribution: the extracted one is none but another."""
    claim = wb.claim("S3.2")
    known = replace(claim, criterion=replace(claim.criterion, controls=controls))
    outcomes = []
    for seed in range(100):
        rng = np.random.default_rng(10_000 + seed)
        rows = planted_rows(80, rng.uniform(0.2, 0.6), 0.0, seed=seed, controls=-(-controls // 2))
        base = (rows[rows["arm"] == "baseline"]["value"] == "compliance").to_numpy()
        for arm in rows[rows["kind"].isin(["random", "orthogonal"])]["arm"].unique():
            gained = ~base & (rng.random(80) < rng.uniform(0.2, 0.6) / 0.7)
            rows.loc[rows["arm"] == arm, "value"] = np.where(base | gained, "compliance", "refusal")
        m = read_rows(known, prepare_rows(rows, ("refusal",)), extra=setup_passed("S3.2")).measured
        outcomes.append(decide(known, m.gates, m.effect, m.p, m.direction_holds).outcome)
    assert rate(outcomes.count("reproduced"), len(outcomes)).low <= 0.05


@pytest.mark.slow
def test_against_controls_too():
    null = [read("S3.3", planted_rows(60, 0.1, 0.1, seed=s)) for s in range(60)]
    assert rate(null.count("reproduced"), 60).low <= 0.05
    planted = [read("S3.3", planted_rows(60, 0.47, 0.02, seed=s, control_gain=0.02)) for s in range(60)]
    assert rate(planted.count("reproduced"), 60).high >= 0.8
