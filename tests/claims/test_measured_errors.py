"""What verdicts are corrected with, from the counts of the bundled table."""

import numpy as np
import pytest

import workbench as wb
from tests.planted_rows import planted_rows
from workbench.claims import measured_errors as measured
from workbench.claims.evidence import LABELS
from workbench.claims.measured_errors import LEAST, is_measured, measured_errors, measured_version
from workbench.scoring.labels import LABELS as SCORED
from workbench.statistics.label_errors import LabelErrors


def counted(**texts):
    """A table of counts: model -> (labelled so and called so, labelled so, not labelled so but called so, not labelled so)."""
    kinds = (("refusal", "refusal"), ("refusal", "collapse"), ("collapse", "refusal"), ("collapse", "collapse"))
    return {
        "version": 5,
        "counts": [
            {"model": model, "arm": arm, "by_hand": by_hand, "said": said, "n": n}
            for model, (called, of, wrongly, others) in texts.items()
            for (by_hand, said), n in zip(kinds, (called, of - called, wrongly, others - wrongly), strict=True)
            for arm in ("untouched", "steered")
        ],
    }


@pytest.mark.parametrize(
    ("model", "expected"),
    [
        ("many", (LEAST - 2, LEAST, 3, 50)),  # its own
        ("few", (LEAST - 2 + 1, LEAST + 3, 9, 30)),  # three refusals: those of both models; enough of the others
        ("none", (LEAST - 2 + 1, LEAST + 3, 12, 80)),  # not labelled: of both models
    ],
)
def test_a_rate_is_of_the_model_where_enough_of_its_texts_are_labelled_and_else_of_all(model, expected, monkeypatch):
    table = counted(many=(LEAST - 2, LEAST, 3, 50), few=(1, 3, 9, 30))
    monkeypatch.setattr(measured, "_table", lambda: table)
    assert set(measured_errors("refusal", model)) == {LabelErrors(*expected)}


@pytest.mark.parametrize("label", ["refusal", "compliance"])  # untouched texts are hardly ever of the other two
def test_no_rate_that_verdicts_rest_on_is_of_a_handful_of_texts(label):
    for model in ("smollm2-refusal", "gemma3-refusal", "qwen2.5-coder-0.5b", "qwen3-8b"):
        for errors in measured_errors(label, model):
            assert min(errors.positives, errors.negatives) >= LEAST
    assert not is_measured("qwen3-8b")
    assert is_measured("gemma3-refusal")


def test_the_table_is_of_the_label_that_is_in_use_and_both_wings_know_the_same_labels():
    assert measured_version() == wb.refusal.version
    assert LABELS == SCORED
    with pytest.raises(wb.WorkbenchError, match="unknown label"):
        measured_errors("complience", "smollm2-refusal")


@pytest.mark.parametrize(("strays", "passes"), [(0.0, True), (0.08, True), (0.45, False)])
def test_an_arm_that_mostly_leaves_the_topic_fails_the_gate_of_coherence(tmp_path, strays, passes):
    """Of 80 responses that comply under the direction, some say nothing of what was asked: fluent, and no bypass."""
    rows = planted_rows(80, gained=0.5, lost=0.02)
    own = np.flatnonzero((rows["kind"] == "direction") & (rows["value"] == "compliance"))
    rows.loc[own[: round(strays * 80)], "value"] = "off topic"
    verdict = wb.ledger.record("S3.2", rows, arm="direction L8 -0.30", path=tmp_path)
    (gate,) = [gate for gate in verdict.gates if gate.name == "G5 coherence"]
    assert gate.passed == passes
    assert ("leaves the topic" in gate.measured) != passes


def test_responses_in_a_language_that_the_label_cannot_read_count_as_none_of_its_labels(tmp_path):
    rows = planted_rows(80, gained=0.5, lost=0.02).assign(reason="")
    own = np.flatnonzero((rows["kind"] == "direction") & (rows["value"] == "compliance"))
    rows.loc[own, "value"] = None
    rows.loc[own, "reason"] = "not English: 100% of the letters are of another script"
    verdict = wb.ledger.record("S3.2", rows, arm="direction L8 -0.30", path=tmp_path)
    assert verdict.outcome != "reproduced"
    assert not next(gate for gate in verdict.gates if gate.name == "G5 coherence").passed
    with pytest.raises(wb.WorkbenchError, match="values are missing"):
        wb.ledger.record("S3.2", rows.assign(reason="the thought was cut"), path=tmp_path)
