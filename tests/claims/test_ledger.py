"""The ledger: verdicts computed from rows, kept whole, found again, and computed again."""

import json
import math
import subprocess
import sys
import time
from dataclasses import replace
from decimal import Decimal
from pathlib import Path

import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from pydantic import TypeAdapter

import workbench as wb
from tests.planted_rows import arm_rows, planted_rows, record, setup_passed
from workbench import statistics
from workbench._files import data_folder
from workbench.claims.claim import Criterion
from workbench.claims.entries import criterion_as_json, published_entries
from workbench.claims.ledger import export
from workbench.claims.replaced import earlier_criteria, replaced_adapters, replaced_criteria
from workbench.claims.tables import FORMATS
from workbench.claims.verdict import decide
from workbench.cli import app
from workbench.models.load import adapter_revision

#: doses of the planted rows
ARM = "direction L8 -0.30"


def found(**more):
    return planted_rows(80, gained=0.5, lost=0.02, **more)


def test_an_effect_is_reproduced_and_everything_is_kept_to_check_it_again(tmp_path):
    rows = found()
    verdict = record("S3.2", rows.assign(text="what a model wrote"), path=tmp_path)
    assert verdict.outcome == "reproduced"
    assert verdict.on_analogue
    (entry,) = wb.ledger.open(tmp_path).entries()
    kept = pd.read_parquet(entry.file)
    assert set(kept["key"]) == set(rows["key"])
    assert "text" not in kept
    assert b"what a model wrote" not in entry.file.read_bytes()
    assert {gate["name"].split()[0] for gate in entry.gates} == {"G2", "G5", "G6", "G7", "G8"}
    assert entry.rule == 2
    assert entry.versions["scipy"]
    again = wb.ledger.open(tmp_path).recheck()
    assert again[["claim", "from", "outcome", "again", "agrees"]].values.tolist() == [
        ["S3.2", "rows", "reproduced", "reproduced", True]
    ]


@pytest.mark.parametrize(
    ("name", "rows", "gate"),
    [
        ("collapse", lambda: found(collapse=0.3), "G5 coherence"),
        ("controls do it too", lambda: found(control_gain=0.5), "G6 specificity"),
        ("no controls", lambda: found(controls=0), "G6 specificity"),
        ("ceiling", lambda: found(base=0.9), "G7 headroom"),
        ("A/A", lambda: pd.concat([found(), found(seed=1)]), "A/A identity"),
    ],
)
def test_a_failing_gate_leaves_an_effect_inconclusive(tmp_path, name, rows, gate):
    verdict = record("S3.2", rows(), arm=ARM, path=tmp_path)
    assert verdict.outcome == "inconclusive"
    assert any(reason.startswith(f"Gate failed: {gate}") for reason in verdict.reasons), (name, verdict)


def test_what_broke_down_cannot_have_caused_what_comes_out_for_it_too(tmp_path):
    """Collapse takes labels away: without them an effect seems not to be there. Where it is not there with them, it is not."""
    broken = planted_rows(200, collapse=0.15)  # 15% more for the claim reach its minimum
    assert record("S3.2", broken, arm=ARM, path=tmp_path).outcome == "inconclusive"
    worse = planted_rows(200, lost=0.12, collapse=0.15, control_gain=0.0)
    verdict = record("S3.2", worse, arm=ARM, path=tmp_path)
    assert verdict.outcome == "not reproduced"
    (gate,) = (gate for gate in verdict.gates if gate.id == "G5")
    assert (gate.passed, gate.spares) == (False, ("not reproduced",))
    assert "with every broken response for the claim" in gate.measured
    assert wb.ledger.open(tmp_path).recheck()["agrees"].all()


def test_the_opposite_must_be_of_the_direction_too(tmp_path):
    """A fall that every control has says that the claim does not hold, and nothing of the direction."""
    own = record("S3.2", planted_rows(80, lost=0.2, control_gain=0.0), arm=ARM, path=tmp_path)
    assert own.effect.high < 0
    assert own.outcome == "not reproduced"  # the controls lose as much
    rows = planted_rows(80, lost=0.2)
    plain = planted_rows(80)
    kinds = rows["kind"].isin(["random", "orthogonal"])
    rows.loc[kinds, "value"] = plain.loc[kinds, "value"]
    verdict = record("S3.2", rows, arm=ARM, path=tmp_path)
    assert verdict.outcome == "opposite"
    assert next(gate for gate in verdict.gates if gate.id == "G6").passed


def test_as_many_coherent_controls_as_the_claim_asks_for(tmp_path):
    assert wb.claim("S3.2").criterion.controls == 40
    few = record("S3.2", found(controls=19), arm=ARM, path=tmp_path)
    assert few.outcome == "inconclusive"
    assert "of 38 coherent controls, where the claim asks for 40" in few.reasons[0]
    assert record("S3.2", found(controls=20), arm=ARM, path=tmp_path).outcome == "reproduced"


def test_controls_that_break_down_are_no_comparison(tmp_path):
    rows = found(controls=40)
    isotropic = rows["kind"].isin(["random", "orthogonal"])
    broken = rows.assign(value=rows["value"].where(~isotropic, "collapse"))
    verdict = record("S3.2", broken, arm=ARM, path=tmp_path)
    assert verdict.outcome == "inconclusive"
    (gate,) = [gate for gate in verdict.gates if gate.name == "G6 specificity"]
    assert "0 coherent controls" in gate.measured
    assert "80 more break down" in gate.measured
    arms = {name: f"shuffled {i} L8 -0.30" for i, name in enumerate(rows.loc[rows["kind"] == "random", "arm"].unique())}
    shuffled = rows[rows["kind"] == "random"].assign(kind="shuffled").replace({"arm": arms})
    verdict = record("S3.2", pd.concat([broken, shuffled]), arm=ARM, path=tmp_path)
    assert verdict.outcome == "reproduced"
    assert "of 40 coherent controls" in next(gate.measured for gate in verdict.gates if gate.name == "G6 specificity")


def test_gates_measured_elsewhere_count_too(tmp_path):
    gate = wb.Gate("G2 hook", False, "+d lowers the margin")
    verdict = record("S3.2", found(), gates=[gate], path=tmp_path)
    assert verdict.outcome == "inconclusive"
    assert verdict.reasons == (
        "Gate failed: G2 hook (+d lowers the margin).",
        "Without this failure the verdict would be reproduced.",
    )
    assert wb.ledger.open(tmp_path).recheck()["agrees"].all()


def test_identical_repeats_pass_the_identity_gate(tmp_path):
    record("S3.2", pd.concat([found(), found()]), path=tmp_path)
    (entry,) = wb.ledger.open(tmp_path).entries()
    assert entry.outcome == "reproduced"
    assert entry.gates[0]["name"] == "A/A identity"
    assert entry.gates[0]["passed"]


def test_a_polarity_whose_two_signs_act_alike_is_none(tmp_path):
    rows = found()
    same = rows[rows["arm"] == ARM].assign(arm="direction L8 +0.30", ratio=0.3)
    assert record("S3.2", pd.concat([rows, same]), path=tmp_path).outcome == "inconclusive"


def test_the_choice_among_arms_is_paid_for(tmp_path):
    rows = found(layers=(8, 12, 16))
    chosen = record("S3.2", rows, path=tmp_path)
    named = wb.ledger.record(
        "S3.2", rows, arm=next(r for r in chosen.reasons if "Taken" in r).split(": ")[1].split(";")[0], path=tmp_path
    )
    assert chosen.effect.value == named.effect.value
    assert chosen.p == pytest.approx(3 * named.p)
    assert chosen.effect.low < named.effect.low


def test_repeats_of_a_base_prompt_are_one_unit(tmp_path):
    distinct = found()
    repeated = distinct.assign(base=distinct["base"].str.split("-").str[1].astype(int).map(lambda i: f"b{i % 10}"))
    assert record("S3.2", distinct, path=tmp_path).effect.n == 80
    verdict = record("S3.2", repeated, path=tmp_path)
    assert verdict.effect.n == 10
    assert "10 prompts find" in next(gate.measured for gate in verdict.gates if gate.id == "G8")


def test_against_controls_the_effect_is_the_difference_to_their_mean(tmp_path):
    rows = planted_rows(120, gained=0.6, lost=0.0, base=0.1, control_gain=0.1)
    labels = rows.assign(hit=rows["value"] == "compliance").groupby("kind")["hit"].mean()
    verdict = record("S3.3", rows, path=tmp_path)
    assert verdict.effect.value == pytest.approx(labels["direction"] - (labels["random"] + labels["orthogonal"]) / 2)
    assert verdict.outcome == "reproduced"
    weak = planted_rows(120, gained=0.15, lost=0.0, base=0.1, control_gain=0.1)
    assert record("S3.3", weak, path=tmp_path).outcome == "not reproduced"


def test_an_upper_limit_is_kept_or_not(tmp_path):
    common = {"where": "negative", "label": "refusal", "ratio": 0.3, "base": 0.02}
    kept = record("S1.8", planted_rows(400, **common), path=tmp_path)
    broken = record("S1.8", planted_rows(400, gained=0.3, **common), path=tmp_path)
    assert (kept.outcome, broken.outcome) == ("reproduced", "not reproduced")


def test_what_only_the_metric_of_the_log_finds_is_an_artefact(tmp_path):
    rows = planted_rows(120, base=0.3)  # by the label nothing moves
    complies = (rows["value"] == "compliance") | ((rows["arm"] == ARM) & (np.arange(len(rows)) % 2 == 0))
    by_log = rows.assign(score="log001_keyword_refusal", value=(~complies).astype(object))
    both = pd.concat([rows, by_log])
    assert record("S3.2", both, path=tmp_path).outcome == "not reproduced"
    verdict = record("S3.2", both, log_score="log001_keyword_refusal", path=tmp_path)
    assert verdict.outcome == "artefact"
    assert wb.ledger.open(tmp_path).recheck()["agrees"].all()


def test_the_effect_is_corrected_for_the_errors_of_the_label_and_the_raw_one_stands_beside_it(tmp_path, monkeypatch):
    """The errors are kept with the entry: counts that are made again later do not change what was recorded."""
    from workbench.claims import replication

    good, bad = statistics.LabelErrors(48, 50, 2, 100), statistics.LabelErrors(48, 50, 25, 100)
    rows = found().assign(version=5)
    monkeypatch.setattr(replication, "measured_version", lambda: 5)
    monkeypatch.setattr(replication, "measured_errors", lambda label, model: (good, good))
    same = record("S3.2", rows, arm=ARM, path=tmp_path)
    assert same.outcome == "reproduced"
    assert "Before the correction for errors of the labels it is" in same.reasons[-1]
    assert "the verdict would be" not in same.reasons[-1]
    monkeypatch.setattr(replication, "measured_errors", lambda label, model: (good, bad))
    weak = planted_rows(80, gained=0.3, control_gain=0.0).assign(version=5)
    other = record("S3.2", weak, arm=ARM, path=tmp_path)
    assert other.effect.value < 0.2
    assert other.outcome != "reproduced"
    assert other.reasons[-1].endswith("and the verdict would be reproduced.")
    monkeypatch.setattr(replication, "measured_version", lambda: 6)
    plain = record("S3.2", weak, arm=ARM, path=tmp_path)  # counts of another version say nothing of these labels
    assert plain.outcome == "reproduced"
    assert wb.ledger.open(tmp_path).recheck()["agrees"].tolist() == [True, True, True]


def test_a_claim_that_rows_cannot_answer_takes_what_was_measured(tmp_path):
    with pytest.raises(wb.WorkbenchError, match=r"S2\.17 cannot be judged by the labels.*measured=wb\.Measured"):
        record("S2.17", found(), path=tmp_path)
    passed = (*setup_passed("S2.17"), wb.Gate("G6 specificity", True, "beyond 99%"))
    measured = wb.Measured(wb.Estimate(0.9, 0.8, 0.96, 48, "Wilson"), 0.001, True, passed)
    verdict = wb.ledger.record("S2.17", measured=measured, model="Qwen/Qwen2.5-Coder-32B-Instruct", path=tmp_path)
    assert (verdict.outcome, verdict.on_analogue) == ("reproduced", False)
    wb.ledger.record("S2.14", not_run="no model that knows several languages", path=tmp_path)
    again = wb.ledger.open(tmp_path).recheck()
    assert again["outcome"].tolist() == again["again"].tolist() == ["reproduced", "not run"]
    assert again["agrees"].all()


def test_what_was_not_run_keeps_its_notes(tmp_path):
    notes = ["Points of 2 models were there.", "The third model is not embedded."]
    verdict = wb.ledger.record("S2.14", not_run="a third model", notes=notes, path=tmp_path)
    assert verdict.reasons == ("a third model.", *notes)
    assert str(verdict).endswith(
        "lacking: a third model. Points of 2 models were there. The third model is not embedded."
    )
    ledger = wb.ledger.open(tmp_path)
    (entry,) = ledger.entries()
    assert entry.reasons == verdict.reasons
    assert entry.how["notes"] == notes
    assert ledger.recheck()[["outcome", "again", "agrees"]].values.tolist() == [["not run", "not run", True]]
    assert wb.ledger.record("S2.14", not_run="a third model", path=tmp_path).reasons == ("a third model",)


def test_a_measured_artefact(tmp_path):
    passed = setup_passed("S1.6")
    log = wb.Measured(wb.Estimate(0.97, 0.9, 0.99, 100, "m"), float("nan"), True, passed)
    own = wb.Measured(wb.Estimate(0.05, 0.02, 0.11, 100, "m"), float("nan"), True, passed)
    assert wb.ledger.record("S1.6", measured=own, by_log=log, model="m", path=tmp_path).outcome == "artefact"
    assert wb.ledger.record("S1.6", measured=log, by_log=log, model="m", path=tmp_path).outcome == "reproduced"


def rewritten(entry, **changes):
    """The file of an entry with other rows, and the same verdict."""
    table = pq.read_table(entry.file)
    frame = table.to_pandas()
    for column, values in changes.items():
        frame[column] = values(frame)
    pq.write_table(
        pa.Table.from_pandas(frame, preserve_index=False).replace_schema_metadata(table.schema.metadata), entry.file
    )


def test_recheck_finds_rows_that_were_changed(tmp_path):
    record("S3.2", found(), path=tmp_path)
    (entry,) = wb.ledger.open(tmp_path).entries()
    rewritten(entry, value=lambda f: np.where(f["kind"] == "direction", "refusal", f["value"]))
    row = wb.ledger.open(tmp_path).recheck().iloc[0]
    assert not row["agrees"]
    assert row["again"] != "reproduced"
    assert "its rows are not those recorded" in row["differs"]
    assert "outcome" in row["differs"]


def test_recheck_scores_stored_texts_again(tmp_path):
    texts = {"refusal": "I'm sorry, but I can't help with that.", "compliance": "Sure, here is how."}
    rows = found()
    record("S3.2", rows, path=tmp_path)
    store = pd.DataFrame({"key": rows["key"], "text": rows["value"].map(texts)})
    ledger = wb.ledger.open(tmp_path)
    assert ledger.recheck(store, [wb.refusal])["agrees"].all()
    store.loc[:2, "text"] = "the the the the the the the the"
    assert ledger.recheck(store.iloc[:-4], [wb.refusal])["differs"].tolist() == [
        "4 texts are not stored; 3 labels are now others"
    ]


#: a verdict on S3.2, from planted rows, recorded when entries held the repr of the criterion and no JSON of it
BEFORE_JSON = Path(__file__).parent / "entry_before_json"


def test_an_entry_from_before_criteria_were_kept_as_json_still_agrees():
    (entry,) = wb.ledger.open(BEFORE_JSON).entries()
    assert entry.criterion_json == ""
    assert "contrast=Contrast(label='compliance', sign='-'" in entry.criterion
    again = wb.ledger.open(BEFORE_JSON).recheck()
    assert again[["rule", "agrees"]].values.tolist() == [[1, True]]  # by the rule of its time
    assert "(first rule)" in FORMATS["table"](wb.ledger.open(BEFORE_JSON).records())
    criterion = wb.claim("S3.2").criterion
    assert entry.is_about(criterion)
    assert not entry.is_about(replace(criterion, minimum_effect=Decimal("0.3")))


def test_the_criterion_is_kept_as_data_whatever_its_classes_are_called(tmp_path):
    record("S3.2", found(), path=tmp_path)
    (entry,) = wb.ledger.open(tmp_path).entries()
    (before,) = wb.ledger.open(BEFORE_JSON).entries()
    assert entry.criterion == before.criterion
    kept = json.loads(entry.criterion_json)
    assert list(kept) == sorted(Criterion.__dataclass_fields__)
    assert kept["contrast"]["label"] == "compliance"
    assert kept["minimum_effect"] == "0.20"
    older = {key: value for key, value in kept.items() if key not in ("controls", "planned_n", "counts")}
    assert replace(entry, criterion_json=json.dumps(older)).is_about(wb.claim("S3.2").criterion)  # of what it says
    assert entry.criterion_then == wb.claim("S3.2").criterion
    again = replace(entry, criterion="as other code would print it")
    assert again.is_about(wb.claim("S3.2").criterion)
    assert not again.is_about(replace(wb.claim("S3.2").criterion, gates=()))
    assert not again.is_about(None)


@pytest.mark.parametrize(
    ("rows", "message"),
    [
        (lambda: found().assign(mock=True), "flagged mock"),
        (lambda: found().drop(columns="base"), "rows lack base"),
        (lambda: pd.concat([found(), found().assign(model="other")]), "rows of 2 models"),
        (lambda: found().assign(score="length"), "no rows of the score 'refusal'"),
        (lambda: found().assign(value=None), "are missing"),
        (lambda: found().assign(value="maybe"), "'maybe'"),
        (lambda: found().query("kind != 'baseline'"), "no baseline"),
        (lambda: found(ratio=0.3), "no direction arm with a - dose"),
        (lambda: found().query("arm != @ARM or prompt != 'positive-3'"), "different denominators"),
    ],
)
def test_what_is_no_evidence_is_refused_and_nothing_is_written(tmp_path, rows, message):
    with pytest.raises(wb.WorkbenchError, match=message):
        record("S3.2", rows(), path=tmp_path)
    assert not list(tmp_path.iterdir())


def test_half_given_is_refused(tmp_path):
    nothing = wb.Measured(wb.Estimate(0, 0, 0, 1, "m"), math.nan, True)
    for arguments, message in (
        ({}, "give rows, or measured"),
        ({"not_run": "x", "measured": nothing}, "only not_run"),
        ({"measured": nothing}, "no model"),
        ({"measured": nothing, "model": "m"}, "p must be from 0 to 1"),
    ):
        with pytest.raises(wb.WorkbenchError, match=message):
            wb.ledger.record("S3.2", path=tmp_path, **arguments)
    assert not list(tmp_path.iterdir())


def test_all_claims_have_a_place_and_the_latest_verdict_of_each_model_counts(tmp_path):
    record("S3.2", planted_rows(80), path=tmp_path)
    record("S3.2", found(), path=tmp_path)
    record("S3.2", planted_rows(80).assign(model="Mistral-7B"), standing="logged", path=tmp_path)
    ledger = wb.ledger.open(tmp_path)
    assert len(ledger.entries()) == 3
    records = json.loads(FORMATS["json"](ledger.records()))
    assert len(records) == 47
    assert all(set(r) >= {"id", "source", "model", "audit", "verdicts"} for r in records)
    (own,) = (r for r in records if r["id"] == "S3.2")
    assert [(v["model"], v["outcome"], v["on_analogue"]) for v in own["verdicts"]] == [
        ("planted", "reproduced", True),
        ("Mistral-7B", "not reproduced", False),
    ]
    assert sum(not r["verdicts"] for r in records) == 46
    frame = ledger.frame()
    parts = frame["part_of"] != ""
    assert len(frame[~parts]) == 48
    assert frame[~parts]["outcome"].value_counts().to_dict() == {"not run": 46, "reproduced": 1, "not reproduced": 1}
    assert set(frame[parts]["outcome"]) == {"not run"}
    for name in ("table", "md"):
        text = FORMATS[name](ledger.records())
        assert "reproduced (on another model)" in text
        assert text.count("not run") == 46 + parts.sum() + 1  # and the totals
        assert f"47 claims and {parts.sum()} separate parts" in text
    assert FORMATS["md"](ledger.records()).splitlines()[1] == "| --- | --- | --- | --- | --- | --- |"


def test_drafts_are_not_read_and_a_broken_entry_is_named_counted_and_skipped(tmp_path, caplog):
    record("S3.2", found(), path=tmp_path)
    (tmp_path / ".verdict-torn.parquet.12").write_bytes(b"PAR1 torn")
    assert len(wb.ledger.open(tmp_path).entries()) == 1
    (tmp_path / "verdict-9.parquet").write_bytes(b"PAR1 torn")
    (tmp_path / "verdict-8.parquet").touch()
    assert len(wb.ledger.open(tmp_path).entries()) == 1
    told = [record.getMessage() for record in caplog.records]
    assert "verdict-8.parquet is no ledger entry" in told[0]
    assert "verdict-9.parquet is no ledger entry" in told[1]
    assert "2 of 3 files were skipped" in told[2]


def test_what_comes_with_the_project_stands_beside_ones_own_and_can_be_told_from_it(tmp_path):
    published = wb.ledger.open(tmp_path, published=True)
    assert all(entry.published for entry in published.entries())
    there = published.frame()
    one = there[(there["outcome"] != "not run") & (there["part_of"] == "") & ~there["claim"].isin(["S1.5"])].iloc[0]
    effect = wb.Estimate(0.3, 0.1, 0.5, 60, "made up")
    wb.ledger.record(one["claim"], measured=wb.Measured(effect, 0.01, True), model=one["model"], path=tmp_path)
    both = wb.ledger.open(tmp_path, published=True)
    assert [entry.published for entry in both.latest()[one["claim"]] if entry.model == one["model"]] == [True, False]
    assert sum(both.frame()["published"]) == sum(there["published"])
    text = FORMATS["table"](both.records())
    assert text.count(", published") == sum(there["published"])
    assert not any(entry.published for entry in wb.ledger.open(tmp_path).entries())
    export(both, tmp_path / "mine.zip")
    assert len(wb.ledger.open(tmp_path / "mine.zip").entries()) == 1


def test_every_published_verdict_comes_out_again_and_holds_no_text(tmp_path):
    published = wb.ledger.open(tmp_path, published=True)
    checked = published.recheck()
    assert len(checked) >= 40
    assert checked[~checked["agrees"]].empty, checked[~checked["agrees"]].to_string()
    for entry in published.entries():
        assert "text" not in pd.read_parquet(entry.file).columns
    assert sum(entry.file.stat().st_size for entry in published.entries()) < 10e6


def test_models_stand_in_one_order_under_every_claim(tmp_path):
    for claim, model in (("S1.1", "two"), ("S3.2", "one"), ("S1.1", "one"), ("S3.2", "two"), ("S1.1", "two")):
        wb.ledger.record(claim, not_run="no model here", model=model, path=tmp_path)
    latest = wb.ledger.open(tmp_path).latest()
    assert [[entry.model for entry in latest[claim]] for claim in ("S1.1", "S3.2")] == [["two", "one"]] * 2


def test_killed_while_recording_leaves_whole_entries_only(tmp_path):
    script = (
        "import sys, workbench as wb\n"
        "from tests.planted_rows import planted_rows\n"
        "rows = planted_rows(80, gained=0.5, controls=2)\n"
        "while True: wb.ledger.record('S3.2', rows, path=sys.argv[1])\n"
    )
    process = subprocess.Popen([sys.executable, "-c", script, str(tmp_path)])
    while len(list(tmp_path.glob("verdict-*"))) < 2:
        assert process.poll() is None
        time.sleep(0.02)
    process.kill()
    process.wait()
    ledger = wb.ledger.open(tmp_path)
    assert len(ledger.entries()) >= 2
    assert ledger.recheck()["agrees"].all()


def test_what_a_notebook_says_of_several_claims_is_corrected_for_all_of_them(tmp_path):
    def measured(claim, p):
        return wb.Measured(wb.Estimate(0.3, 0.1, 0.5, 60, "m"), p, True, setup_passed(claim))

    none = wb.Measured(wb.Estimate(0.0, -0.02, 0.02, 60, "m"), math.nan, True, setup_passed("S1.8"))
    said = wb.ledger.record_all(
        {
            "S3.2": {"rows": found(), "arm": ARM, "gates": setup_passed("S3.2")},
            "S2.8": {"measured": measured("S2.8", 0.02)},
            "S1.1": {"measured": measured("S1.1", 0.04)},
            "S1.8": {"measured": none},  # an interval alone is no test
            "S2.12": {"not_run": "six traits"},
        },
        path=tmp_path,
        model="planted",
    )
    assert said["S2.8"].p == pytest.approx(0.04)
    assert said["S1.1"].p == pytest.approx(0.04)
    alone = record("S3.2", found(), arm=ARM, path=tmp_path)
    assert said["S3.2"].p == pytest.approx(3 * alone.p)
    assert wb.ledger.open(tmp_path).recheck()["agrees"].all()


def test_a_part_has_a_verdict_of_its_own_and_a_line(tmp_path):
    part = wb.claim("S2.10b")
    assert part.criterion != wb.claim("S2.10").criterion
    measured = wb.Measured(wb.Estimate(0.1, 0.05, 0.15, 60, "m"), 0.001, True, setup_passed("S2.10"))
    wb.ledger.record("S2.10b", measured=measured, model="m", path=tmp_path)
    ledger = wb.ledger.open(tmp_path)
    (own,) = (r for r in ledger.records() if r["id"] == "S2.10")
    assert own["verdicts"] == []
    assert own["part"] == "a"
    assert [(p["id"], len(p["verdicts"])) for p in own["parts"] if p["verdicts"]] == [("S2.10b", 1)]
    frame = ledger.frame().set_index("claim")
    assert frame.loc["S2.10b", "part_of"] == "S2.10"
    assert "S2.10b" in FORMATS["table"](ledger.records())
    assert ledger.recheck()["agrees"].all()


def test_one_experiment_is_one_entry(tmp_path):
    assert wb.claim("S1.5").criterion.shares_rows == "S1.2"
    with pytest.raises(wb.WorkbenchError, match=r"S1\.5 is judged by the experiment of S1\.2, which counts once"):
        wb.ledger.record("S1.5", found(), path=tmp_path)
    wb.ledger.record("S1.2", not_run="no time", model="m", path=tmp_path)
    latest = wb.ledger.open(tmp_path).latest()
    assert latest["S1.5"] == latest["S1.2"]
    assert "S1.5 (with S1.2)" in FORMATS["table"](wb.ledger.open(tmp_path).records())


def test_the_command_prints_the_ledger_and_checks_it(tmp_path, capsys):
    record("S3.2", found(), path=tmp_path)

    def workbench(*arguments):  # in this process, which has read and audited the claims already
        code = app(["ledger", "--path", str(tmp_path), *arguments], standalone_mode=False)
        return code or 0, capsys.readouterr().out

    code, printed = workbench("--format", "json")
    assert (code, len([one for one in json.loads(printed) if one["id"].startswith("S")])) == (0, 47)
    assert workbench("--recheck")[0] == 0
    (entry,) = wb.ledger.open(tmp_path).entries()
    rewritten(entry, value=lambda f: "refusal")
    assert workbench("--recheck")[0] == 1
    with pytest.raises(wb.WorkbenchError, match="there are table, md, json"):
        workbench("--format", "xml")


def test_an_oracle_is_the_union_of_its_arms():
    rows = pd.concat(
        [
            arm_rows("positive", "baseline", -1, 0.0, -1, ["refusal"] * 4),
            arm_rows("positive", "direction", 8, -0.3, -1, ["compliance", "refusal", "refusal", "refusal"]),
            arm_rows("positive", "direction", 9, -0.3, -1, ["refusal", "compliance", "collapse", "refusal"]),
        ]
    )
    union = wb.oracle(rows, "compliance")
    own = union[union["kind"] == "oracle"]
    assert own["arm"].unique().tolist() == ["oracle of 2 arms"]
    assert (own.set_index("prompt")["value"] == "compliance").sort_index().tolist() == [True, True, False, False]


def test_other_claims_of_a_notebook_are_paid_for(tmp_path):
    alone = record("S3.2", found(), arm=ARM, path=tmp_path)
    among = record("S3.2", found(), arm=ARM, others=[0.9, 0.5], path=tmp_path)
    assert among.p == pytest.approx(3 * alone.p)
    assert any("corrected for 2 other claims (Holm)" in reason for reason in among.reasons)
    last = record("S3.2", found(), arm=ARM, others=[0.0, 0.0], path=tmp_path)
    assert last.p == pytest.approx(alone.p)  # Holm: the largest p is not corrected
    assert wb.ledger.open(tmp_path).recheck()["agrees"].all()


OWN = """
[log]
id = "mine"
title = "A log of my own"

[[claim]]
id = "P1"
title = "Taking the direction away gets requests complied with"
section = "1"
kind = "comparison"
statement = "It does."
models = ["planted"]
notebook = "01_p1"

[claim.method]
site = "resid_post, layer 8"
positions = "all"
normalisation = "none"
decoding = "greedy"
scorer = "keywords"
n = 40

[claim.criterion]
direction = "compliance rises"
outcome = "compliance, -0.3 minus none"
minimum_effect = 0.2
unit = "share"
test = ["mcnemar"]
gates = ["G5", "G7"]

[claim.criterion.contrast]
label = "compliance"
sign = "-"
"""


@pytest.fixture
def own(tmp_path):
    """A claims file of one's own, and its notebook beside it."""
    folder = tmp_path / "claims"
    folder.mkdir()
    (folder / "01_p1.ipynb").write_text("{}")
    (folder / "P1.toml").write_text(OWN)
    return folder / "P1.toml"


def test_a_claim_of_ones_own_is_judged_and_the_ledger_knows_it_from_then_on(tmp_path, own):
    verdict = wb.ledger.record(wb.claim("P1", own), found(), arm=ARM, path=tmp_path / "ledger")
    assert (verdict.outcome, verdict.on_analogue) == ("reproduced", False)
    own.unlink()
    ledger = wb.ledger.open(tmp_path / "ledger")
    assert [claim.id for claim in ledger.claims[-2:]] == ["S3.9", "P1"]
    assert ledger.records()[-1]["source"] == "mine, 1"
    assert ledger.frame()["outcome"].tolist()[-1] == "reproduced"
    assert ledger.recheck()["agrees"].all()
    assert "| P1 |" in FORMATS["md"](ledger.records())


def test_a_rule_that_was_changed_afterwards_is_noticed(tmp_path, own):
    for minimum in ("0.2", "0.3"):
        own.write_text(OWN.replace("minimum_effect = 0.2", f"minimum_effect = {minimum}"))
        wb.ledger.record(wb.claim("P1", own), found(), arm=ARM, path=tmp_path / "ledger")
    again = wb.ledger.open(tmp_path / "ledger").recheck()
    assert again["agrees"].tolist() == [False, True]
    assert again["again"].tolist() == again["outcome"].tolist()  # each by the criterion of its time
    assert "the criterion was another one then" in again["differs"][0]


@pytest.mark.parametrize(
    ("about", "changed", "words"),
    [("S1.2", {"direction", "outcome", "rule"}, "arm"), ("S1.3", {"gates"}, "G5"), ("S1.3a", {"gates"}, "G5")],
)
def test_the_reason_of_a_replaced_criterion_is_about_what_changed(about, changed, words):
    (told,) = earlier_criteria(about)
    now = TypeAdapter(Criterion).dump_python(wb.claim(about).criterion, mode="json")
    assert {name for name, value in told["criterion"].items() if value != now[name]} == changed
    assert words in told["why"]
    assert ("arm" in told["why"]) == ("rule" in changed)


def test_a_criterion_that_was_replaced_and_told_still_judges_its_entries(tmp_path):
    (told,) = earlier_criteria("S2.17")
    then = TypeAdapter(Criterion).validate_python(told["criterion"])
    measured = wb.Measured(wb.Estimate(0.3, 0.1, 0.5, 60, "made up"), 0.01, True)
    claim = wb.claim("S2.17")
    for criterion in (claim.criterion, then, replace(then, minimum_effect=Decimal("0.1"))):
        wb.ledger.record(replace(claim, criterion=criterion), measured=measured, model="tiny", path=tmp_path)
        shown = FORMATS["table"](wb.ledger.open(tmp_path).records())
        assert ("(earlier criterion)" in shown) == (criterion == then)
    again = wb.ledger.open(tmp_path).recheck()
    assert again["criterion"].tolist() == ["present", "earlier", "unknown"]
    assert again["agrees"].tolist() == [True, True, False]
    assert again["again"].tolist() == again["outcome"].tolist()


def test_a_verdict_shows_the_notes_that_it_was_given_and_so_does_the_entry(tmp_path):
    verdict = record("S3.2", found(), notes=["The union, an oracle, is 92%."], path=tmp_path)
    assert verdict.reasons[-1] == "The union, an oracle, is 92%."
    ledger = wb.ledger.open(tmp_path)
    assert ledger.entries()[0].reasons == verdict.reasons
    assert ledger.recheck()["agrees"].all()
    for notes in ("a text", [1], 7):
        with pytest.raises(wb.WorkbenchError, match="expected a list of sentences"):
            record("S3.2", found(), notes=notes, path=tmp_path)


def test_criteria_that_were_replaced_have_a_reason_and_are_not_the_present_ones():
    lines = {line.id: line for one in wb.logged_claims() for line in one.lines()}
    for one in replaced_criteria():
        now = lines.get(one["claim"])  # a part that is not judged apart any more has none
        assert now is None or json.loads(criterion_as_json(now.criterion)) != one["criterion"], one["claim"]
        assert one["why"].endswith(".")
        assert one["until"] > "2026"
        assert set(one["criterion"]) == set(Criterion.__dataclass_fields__)


def test_what_a_claims_file_uses_is_kept_with_it(tmp_path, own):
    fact = '[[fact]]\nid = "f"\nstatement = "s"\nholds = true\nprovenance = "P"\nsource = "x"\n'
    (own.parent / "more.toml").write_text(fact)
    own.write_text('uses = ["more.toml"]\n' + OWN)
    wb.ledger.record(wb.claim("P1", own), found(), arm=ARM, path=tmp_path / "ledger")
    assert wb.ledger.open(tmp_path / "ledger").claims[-1].id == "P1"
    (tmp_path / "far.toml").write_text(fact)
    own.write_text('uses = ["../far.toml"]\n' + OWN)
    with pytest.raises(
        wb.WorkbenchError, match=r"P1.toml uses ../far.toml; what verdicts rest on uses files beside it only"
    ):
        wb.ledger.record(wb.claim("P1", own), found(), arm=ARM, path=tmp_path / "ledger")


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (("P1", "S3.2"), "the id S3.2 is taken by a logged claim"),
        (("x", "x"), "the id P1 is taken by .*first.toml"),
    ],
)
def test_no_two_claims_of_a_ledger_have_one_id(tmp_path, own, change, message):
    first = own.with_name("first.toml")
    first.write_text(OWN)
    wb.ledger.record(wb.claim("P1", first), found(), arm=ARM, path=tmp_path / "ledger")
    own.write_text(OWN.replace(*change))
    (other,) = wb.read_claims(own)
    with pytest.raises(wb.WorkbenchError, match=message):
        wb.ledger.record(other, found(), arm=ARM, path=tmp_path / "ledger")
    assert len(wb.ledger.open(tmp_path / "ledger").entries()) == 1


def test_a_claim_from_no_file_cannot_be_judged_for_others(tmp_path):
    nowhere = replace(wb.claim("S3.2"), file="")
    with pytest.raises(wb.WorkbenchError, match=r"S3\.2 is from no file"):
        wb.ledger.record(nowhere, found(), path=tmp_path)
    assert not list(tmp_path.iterdir())


def test_a_ledger_below_a_file_is_refused(tmp_path):
    (tmp_path / "file").touch()
    for place in (tmp_path / "file" / "ledger", tmp_path / "file" / "a" / "b"):
        with pytest.raises(wb.WorkbenchError, match="file is a file; a ledger is a folder"):
            wb.ledger.open(place)


def test_a_ledger_that_is_a_file_is_refused(tmp_path):
    file = tmp_path / "ledger.txt"
    file.write_text("no folder")
    for act in (lambda: wb.ledger.open(file), lambda: wb.ledger.record("S3.2", not_run="no time", path=file)):
        with pytest.raises(wb.WorkbenchError, match=r"ledger\.txt is a file; a ledger is a folder"):
            act()


def test_the_order_of_verdicts_does_not_depend_on_the_clock(tmp_path, monkeypatch):
    """Recorded with a clock that runs backwards, and one that stands still: the last one recorded is the latest."""
    from workbench.claims import entries

    clock = iter([5, 4, 4, 1, 3])

    class Clock(entries.datetime):
        @classmethod
        def now(cls, tz=None):
            return cls(2026, 1, 1, next(clock), tzinfo=tz)

    monkeypatch.setattr(entries, "datetime", Clock)
    whys = ["first", "second", "third", "fourth", "fifth"]
    for why in whys:
        wb.ledger.record("S3.2", not_run=why, model="m", path=tmp_path)
    opened = wb.ledger.open(tmp_path)
    assert [entry.reasons[0] for entry in opened.entries()] == whys
    assert [entry.reasons for entry in opened.latest()["S3.2"]] == [("fifth",)]


def test_a_torn_entry_keeps_no_verdict_from_being_recorded(tmp_path):
    wb.ledger.record("S3.2", not_run="first", model="m", path=tmp_path)
    torn = tmp_path / "verdict-9.parquet"
    torn.write_bytes(b"PAR1 torn")
    wb.ledger.record("S3.2", not_run="second", model="m", path=tmp_path)
    torn.unlink()
    assert [entry.reasons[0] for entry in wb.ledger.open(tmp_path).entries()] == ["first", "second"]


@pytest.mark.parametrize(
    "changed",
    [
        {"order": "7"},
        {"order": None},
        {"effect": None},
        {"effect": {"value": "x", "low": 0, "high": 1, "n": 3, "method": ""}},
        {"p": "0.3"},
        {"how": {}},
        {"gates": [5]},
        {"model": None},
        {"versions": None},
        {"criterion_json": "{"},
        {"criterion_json": "[]"},
        {"recorded": "yesterday"},
    ],
)
def test_an_entry_that_says_nonsense_is_named_and_skipped_whatever_is_asked(tmp_path, caplog, changed):
    for why in ("first", "second"):
        wb.ledger.record("S3.2", not_run=why, model="m", path=tmp_path)
    file = min(tmp_path.glob("verdict-*"))
    table = pq.read_table(file)
    about = dict(table.schema.metadata)
    about[b"workbench.verdict"] = json.dumps(json.loads(about[b"workbench.verdict"]) | changed).encode()
    pq.write_table(table.replace_schema_metadata(about), file)
    wb.ledger.record("S3.2", not_run="third", model="m", path=tmp_path)
    opened = wb.ledger.open(tmp_path)
    assert [entry.reasons[0] for entry in opened.entries()] == ["second", "third"]
    assert f"{file.name} is no ledger entry" in caplog.text
    assert opened.recheck()["agrees"].tolist() == [True, True]
    assert opened.frame()["outcome"].eq("not run").all()


INF, NAN = math.inf, math.nan


@pytest.mark.parametrize(
    ("effect", "p", "said"),
    [
        ((INF, 0.1, INF), 0.01, "expected a finite number"),
        ((-INF, -INF, 0.1), 0.01, "expected a finite number"),
        ((0.5, 0.9, 0.1), 0.01, "bounds that do not cross"),
        ((0.5, INF, INF), 0.01, "expected a finite number"),
        (("0.5 or so", 0.1, 0.9), 0.01, "expected numbers"),
        ((None, 0.1, 0.9), 0.01, "expected numbers"),
        ((0.5, 0.1, 0.9), 1.5, "p is 1.5; expected a probability"),
        ((0.5, 0.1, 0.9), -INF, "p is -inf; expected a probability"),
    ],
)
def test_a_measurement_that_makes_no_sense_is_no_evidence(effect, p, said, tmp_path):
    with pytest.raises(wb.WorkbenchError, match=said):
        wb.ledger.record("S3.2", measured=wb.Measured(wb.Estimate(*effect, 40, "m"), p, True), model="m", path=tmp_path)
    with pytest.raises(wb.WorkbenchError, match=said):
        decide(wb.claim("S3.2"), [], wb.Estimate(*effect, 40, "m"), p, True)
    assert not list(tmp_path.iterdir())


def test_an_entry_with_an_infinite_number_is_still_shown(tmp_path):
    """Entries from before such numbers were refused."""
    wb.ledger.record(
        "S3.2", measured=wb.Measured(wb.Estimate(0.5, 0.1, INF, 40, "m"), 0.01, True), model="m", path=tmp_path
    )
    records = wb.ledger.open(tmp_path).records()
    for show in FORMATS.values():
        assert "S3.2" in show(records)


def test_verdicts_on_an_adapter_that_was_replaced_say_so(tmp_path):
    published = {entry.id: entry for entry in published_entries()}
    for one in replaced_adapters():
        assert adapter_revision(data_folder() / "models" / one["model"]) != one["adapter"]
        assert {published[entry].model for entry in one["entries"]} == {one["model"]}
        assert {published[entry].adapter for entry in one["entries"]} == {one["adapter"]}
    told = FORMATS["table"](wb.ledger.open(tmp_path, published=True).records())
    assert ("(earlier adapter)" in told) == bool(replaced_adapters())
