"""What verdicts are corrected with, from the counts of the bundled table."""

import numpy as np
import pytest

import workbench as wb
from tests.planted_rows import planted_rows
from workbench.claims.evidence import LABELS
from workbench.claims.measured_errors import is_measured, measured_errors, measured_version
from workbench.scoring.labels import LABELS as SCORED


@pytest.mark.parametrize("label", LABELS)
def test_errors_count_every_labelled_text_once_and_those_of_an_unlabelled_model_are_of_all_together(label):
    models = ("smollm2-refusal", "gemma3-refusal", "qwen2.5-coder-0.5b")
    own = [measured_errors(label, model) for model in models]
    pooled = measured_errors(label, "qwen3-8b")
    for i in (0, 1):
        for name in ("called", "positives", "wrongly", "negatives"):
            assert sum(getattr(pair[i], name) for pair in own) == getattr(pooled[i], name)
    assert not is_measured("qwen3-8b")
    assert all(is_measured(model) for model in models)


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
