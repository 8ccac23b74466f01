# ruff: noqa: E501
"""Words against series of numbers, sentences against tables, n in words: each fault at its grade and line, and clean twins."""

import pytest

import workbench as wb
from workbench.claims.log_reader import read_text

DOSES = "| dose | refused |\n|---|---|\n| 0 | 6/30 |\n| 2 | 11/30 |\n| 4 | 22/30 |\n| 6 | 19/30 |\n\n"
FULL = "| layer | refused |\n|---|---|\n| 8 | 30/30 |\n| 9 | 30/30 |\n| 10 | 26/30 |\n\n"
ARMS = "| arm | complied | n |\n|---|---|---|\n| base | 9 | 40 |\n| ablated | 31 | 40 |\n\n"

FAULTY = [
    ("all", FULL + "Refusal is 100% at every layer.", "all or never", "error", 7),
    ("same in runs", "Both runs gave exactly the same count (22/50 and 27/50 refused).", "same", "error", 1),
    ("no effect", "| dose | ppl |\n|---|---|\n| 0 | 6.0 |\n| 1 | 7.2 |\n| 2 | 9.9 |\n\nPerplexity does not depend on the dose.", "correlation in words", "weak", 7),
    ("best", DOSES + "Dose 6 is the best dose.", "peak", "weak", 8),
    ("list falls", "Loss decreases at every step: 3.1, 2.4, 2.6, 1.9.", "monotone", "error", 1),
    ("n for each", "Each condition was run on 24 prompts per arm. Steering refused 80.0% of them.", "grim", "error", 1),
    ("p of a list", "- base: 8/25\n- steered: 14/25\n- Fisher's exact test: p = 0.001", "p of two rates", "error", 3),
    ("sentence and table", ARMS + "The ablated model complied on 35/40 prompts.", "sentence and table", "weak", 6),
    ("given twice", "Base compliance is 9/40.\n\n## Later\n\nBase compliance is 12/40, as before.", "given twice", "weak", 5),
    ("risk ratio", "The risk ratio was 3.4 (20/50 vs 10/50).", "derived", "error", 1),
    ("interval and p", "Mean difference 1.5 (95% CI -2.0 to 5.0), p = .004.", "significance", "error", 1),
    ("kappa above agreement", "The judges show 80% agreement with κ = 0.91.", "kappa", "error", 1),
    ("counts of a confusion table", "TP = 30, FP = 10, FN = 20, TN = 40; precision 75%, recall 71.0%.", "confusion", "error", 1),
    ("n for all in prose", "N = 50 prompts per arm. Base: 20/50. Steered: 38/44.", "denominator", "weak", 1),
    ("two names", "Run 1: -2 * v gives 10/40. Run 2: +2 * (-v) gives 21/40.", "two names", "weak", 1),
]  # fmt: skip
CLEAN = [
    FULL + "Refusal is not 100% at every layer.",
    FULL + "Refusal is 100% at nearly all layers.",
    "Both runs used exactly the same prompts (22/50 and 27/50 refused).",
    "| dose | ppl |\n|---|---|\n| 0 | 6.0 |\n| 1 | 6.2 |\n| 2 | 5.9 |\n\nPerplexity does not depend on the dose.",
    DOSES + "Dose 4 is the best dose.",
    "Loss decreases at every step: 3.1, 2.6, 2.4, 1.9.",
    "Each condition was run on 25 prompts per arm. Steering refused 80.0% of them.",
    ARMS + "The ablated model complied on 31/40 prompts.",
    "The risk ratio was 2.0 (20/50 vs 10/50).",
    "Mean difference 3.5 (95% CI 1.0 to 6.0), p = .007.",
    "The judges show 90% agreement with κ = 0.79.",
    "N = 50 prompts per arm. Base: 20/50. Steered: 38/50.",
]


def audited(text):
    """The findings; a rule that broke would only show among what was not read."""
    result = wb.audit(read_text(text))
    assert not [why for _, _, why in result.unread if "cannot be computed" in why]
    return result.findings


@pytest.mark.parametrize(("text", "rule", "grade", "line"), [f[1:] for f in FAULTY], ids=[f[0] for f in FAULTY])
def test_a_fault_is_found_at_its_grade_and_line(text, rule, grade, line):
    found = audited(text)
    assert (rule, grade, line) in {(f.rule, f.grade, f.line) for f in found}


@pytest.mark.parametrize("text", CLEAN)
def test_a_clean_twin_raises_no_alarm(text):
    assert [str(f) for f in audited(text) if f.grade in ("error", "slip")] == []
