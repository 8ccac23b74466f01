# ruff: noqa: E501
"""What people wrote that the audit once passed over, or once called a fault: the grade and the value that it must have."""

import pytest

import workbench as wb
from workbench.claims.log_reader import read_text
from workbench.claims.rounding import grade_of

ALARMS = ("error", "slip", "weak")
SEEDS = "| seed | refused |\n|---|---|\n| 0 | 14/20 |\n| 1 | 16/20 |\n| 2 | 13/20 |\n"
LAYERS = "| layer | refused |\n|---|---|\n| 10 | 20/20 |\n| 12 | 20/20 |\n| 14 | 17/20 |\n"
ARMS = "| arm | refused |\n|---|---|\n| base | 16/30 |\n| steered | 27/30 |\n"

FOUND = [
    ("a count beside its rate", "| arm | refused | rate |\n|---|---|---|\n| base | 9/24 | 37.5% |\n| steered | 20/24 | 87.5% |\n", "derived", 100 * 20 / 24),
    ("a count with n in its head", "| arm | refused (n=40) | rate |\n|---|---|---|\n| base | 30 | 75% |\n| steered | 36 | 95% |\n", "derived", 90),
    ("count (percent)", "| group | n | women |\n|---|---|---|\n| A | 31 | 17 (58.1%) |\n| B | 29 | 15 (51.7%) |\n", "count and percent", 100 * 17 / 31),
    ("p in the next sentence", "Steered: 18/20 refused. Baseline: 11/20 refused (Fisher exact p = 0.002).", "p of two rates", 0.031),
    ("p against the row without one", "| arm | refused | p vs base |\n|---|---|---|\n| base | 11/20 | - |\n| steered | 18/20 | 0.0002 |\n", "p of two rates", 0.031),
    ("n in the sentence before", "We ran 28 prompts per condition. The baseline refused 71.4% and the steered model refused 90.0%.", "grim", 100 * 25 / 28),
    ("n in the words of the caption", "Table 2. Refusal rate on 28 harmful prompts.\n\n| arm | refused |\n|---|---|\n| base | 71.4% |\n| steered | 90.0% |\n", "grim", 100 * 25 / 28),
    ("identical seeds that differ", f"Results are identical across seeds.\n\n{SEEDS}", "same", None),
    ("deterministic runs that differ", "Decoding is deterministic, repeated runs give identical outputs.\n\nRun 1 refused 14/20, run 2 refused 16/20, run 3 refused 13/20.", "same", None),
    ("100% at all layers but one", f"{LAYERS}\nRefusal is 100% at all layers.", "all or never", 85),
    ("a count against its table", f"{ARMS}\nThe base model refused 18/30 prompts.", "sentence and table", 100 * 16 / 30),
    ("a clause against its table", "| arm | refusal rate |\n|---|---|\n| base | 53.3% |\n| steered | 90.0% |\n\nThe base refusal rate is 58.3%; the steered refusal rate is 90.0%.", "sentence and table", 53.3),
    ("a summary against counts", "# Summary\n\nSteering lifts refusal to 96% without loss.\n\n# Results\n\n| arm | refused | n |\n|---|---|---|\n| base | 24 | 50 |\n| steered | 43 | 50 |\n", "summary", None),
    ("shares of a sentence", "Responses split as follows: 42% full refusal, 31% partial compliance, 19% full compliance, and 14% incoherent.", "shares", 106),
    ("parts of a sentence", "Of the 200 responses 84 were refusals, 62 partial, 38 compliant and 30 incoherent.", "total", 214),
    ("SD of 0/1 scores in the next sentence", "Accuracy is scored 0/1 per item. Over n = 100 items the mean was 0.80 with SD 0.25.", "binary sd", 0.4),
    ("SD of 0/1 scores in a table", "| arm | n | accuracy | SD |\n|---|---|---|---|\n| base | 50 | 0.60 | 0.49 |\n| tuned | 50 | 0.80 | 0.25 |\n\nEach item is scored 0 or 1.", "binary sd", 0.4),
    ("the best of those that were tried", "We tried 120 configurations and report the best: 17/20 refused.", "best of many", None),
    ("an effect in the next sentence", "With the vector added, 9 of 10 harmful prompts were refused. This shows that the direction causes refusal.", "no control", None),
    ("another denominator in a sentence", "N = 40 prompts in every condition.\n\nbase 21/40, +1.0 30/40, +2.0 33/36.", "denominator", None),
    ("χ² has no sides", "Labels depend on topic, χ²(1, N = 120) = 3.21, p < .05.", "p of a statistic", 0.073),
    ("n of the count to the left", "| dose | harmful refused | rate | n harmless |\n|---|---|---|---|\n| 1 | 35/48 | 72.9% | 24 |\n| 2 | 44/48 | 93.7% | 24 |\n", "derived", 100 * 44 / 48),
]  # fmt: skip

LEFT_ALONE = [
    ("an interval of a difference", "The difference was 21.7 percentage points (95% CI 4.5 to 38.9): 31/60 versus 18/60."),
    ("an interval of an effect", "The vaccine was 95% effective: 8 of 18,198 vaccinated participants against 162 of 18,325 in the placebo group had Covid-19 (95% credible interval, 90.3 to 97.6)."),
    ("an interval that goes below 0", "Accuracy fell by 12.5 points (from 87.5 to 75.0), 95% CI [-29, 5]."),
    ("intervals in brackets of their own", "14 of 40 (35%; 95% CI 22–50) vs 30 of 40 (75%; 95% CI 60–86): difference 40 points (95% CI 18–57), p < .001."),
    ("counts and percentages in a list", "2/7 = 28.6%, 5/7 = 71.4%, 3/7 = 42.9%."),
    ("percentages behind arrows", "14/40 → 35%; 30/40 → 75%."),
    ("ratios that are no counts", "Split 80/10/10. Ratio 60/40. Vision 20/20. BP 120/80."),
    ("readings against a limit", "Load 30/32 GB; power 350/300 W; fan 90/80 °C; latency 210/200 ms; disk 31/32 GB."),
    ("a bar of progress", "Epoch 1/3: 100%|████| 120/120 [00:10<00:00, 11.5it/s, loss=1.2]"),
    ("summands that were rounded", "33% + 33% + 33% = 100% (rounded)"),
    ("a scale of another measure", "A 5-point scale was used for fluency: 4.2 ± 0.7.\n\n| model | perplexity (mean ± SD) |\n|---|---|\n| a | 14.2 ± 3.1 |\n| b | 15.0 ± 2.9 |\n"),
    ("a count (percent) with its n", "| group | n | women | men |\n|---|---|---|---|\n| A | 31 | 17 (54.8%) | 14 (45.2%) |\n| B | 29 | 15 (51.7%) | 14 (48.3%) |\n| all | 60 | 32 (53.3%) | 28 (46.7%) |\n"),
    ("a report of scikit-learn", "| | precision | recall | F1 | support |\n|---|---|---|---|---|\n| class 0 | 0.83 | 0.91 | 0.87 | 110 |\n| class 1 | 0.88 | 0.78 | 0.83 | 90 |\n| accuracy | | | 0.85 | 200 |\n| macro avg | 0.86 | 0.84 | 0.85 | 200 |\n| weighted avg | 0.85 | 0.85 | 0.85 | 200 |\n"),
    ("a peak of another column", "| epoch | train_loss | val_acc |\n|---|---|---|\n| 1 | 2.104 | 0.412 |\n| 2 | 1.873 | 0.488 |\n| 3 | 1.611 | 0.521 |\n| 4 | 1.540 | 0.518 |\n\nValidation accuracy peaks at epoch 3 (0.521), while training loss falls."),
    ("a binomial p of one rate", "Human raters preferred ours in 55% of 400 comparisons (220 of 400; binomial p = 0.05)."),
    ("pass@k is an estimate", "pass@10 is 46.8% on HumanEval (164 problems)."),
    ("a number of processes", "p = 4 processes and rank r = 8 were used."),
    ("a minimum of one thing, a mean of another", "| α | Min | Max | Range | Mean length |\n|---|---|---|---|---|\n| 0.1 | 1.20 | 14.63 | 13.43 | 449.8 |\n| 0.3 | 1.10 | 15.33 | 14.23 | 468.7 |\n"),
    ("words of any length", "x" * 100_000 + " 31/35"),
    ("numbers of any length", "9" * 5000 + " of 40"),
]  # fmt: skip


def alarms(text):
    audited = wb.audit(read_text(text, "log.md"))
    assert not [why for _, _, why in audited.unread if "cannot be computed" in why]
    return [f for f in audited if f.grade in ALARMS]


@pytest.mark.parametrize(("text", "rule", "value"), [case[1:] for case in FOUND], ids=[case[0] for case in FOUND])
def test_a_fault_that_was_passed_over_is_found_with_its_value(text, rule, value):
    found = [f for f in alarms(text) if f.rule == rule]
    assert found
    if value is not None:
        assert any(number == pytest.approx(value, rel=0.02) for f in found for number in f.numbers)


@pytest.mark.parametrize("text", [case[1] for case in LEFT_ALONE], ids=[case[0] for case in LEFT_ALONE])
def test_what_was_called_a_fault_and_is_none_is_left_alone(text):
    assert [str(f) for f in alarms(text)] == []


def test_a_slip_is_less_than_one_unit_of_the_last_place():
    assert [grade_of(off, 1.0) for off in (0.5, 0.9, 1.0, 2.0)] == ["holds", "slip", "error", "error"]


def test_a_rule_that_cannot_be_computed_loses_one_sentence(monkeypatch):
    from workbench.claims import log_audit
    from workbench.claims.rules import counts

    def broken(log, s):
        if "broken" in s.text:
            raise ValueError("no number")
        yield from counts._of_sentence(log, s)

    family = counts.FAMILY._replace(of_sentences=(broken,), of_tables=())
    monkeypatch.setattr(log_audit, "_FAMILIES", (family,))
    audited = wb.audit("This is broken: 1/2.\n\n41 of 40 prompts were refused.")
    assert [f.rule for f in audited] == ["count"]
    assert [line for _, line, why in audited.unread if "no number" in why] == [1]


def test_settings_of_a_project_beside_a_log_are_no_claims(tmp_path):
    from typer.testing import CliRunner

    from workbench.cli import app

    (tmp_path / "pyproject.toml").write_text('[project]\nname = "a"\n')
    (tmp_path / "log.md").write_text("41 of 40 prompts were refused.")
    result = CliRunner().invoke(app, ["audit", str(tmp_path), "--fail-on", "error"])
    assert result.exit_code == 1
    assert "41 of 40" in result.output


@pytest.mark.parametrize("nothing", ["", " ", [], 5, None])
def test_what_is_no_log_is_refused_in_one_line(nothing):
    with pytest.raises(wb.WorkbenchError, match=r"nothing to audit|a log is"):
        wb.audit(nothing)
