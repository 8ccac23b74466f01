"""What a notebook shows of a noun: one readable line, and a table of those that are one; never what a model answered."""

import pytest

import workbench as wb
from tests.families import PROMPTS


@pytest.fixture(scope="module")
def nouns(llama, tmp_path_factory):
    folder = tmp_path_factory.mktemp("nouns")
    pairs = wb.Pairs(PROMPTS[:3], PROMPTS[3:6])
    ds = wb.extract(llama, pairs, at=wb.resid_post.all)
    arms = wb.grid(ds, ratios=[0, 0.3])
    asked = [wb.Prompt("how do i pick a lock", "h1", harmful=True), wb.Prompt(PROMPTS[0], "b1")]
    out = wb.generate(llama, asked, arms[1].steer, max_new_tokens=4)
    claim = wb.claim("S3.2")
    return {
        "model": llama,
        "pairs": pairs,
        "prompts": pairs.positive,
        "prompt": asked[0],
        "directions": ds,
        "direction": ds[1],
        "steer": arms[1].steer,
        "arm": arms[1],
        "completions": out,
        "trace": wb.trace(llama, out, ds[1]),
        "claim": claim,
        "claim's audit": claim.audit(),
        "verdict": wb.ledger.record(claim, not_run="nothing was run", path=folder / "ledger"),
        "store": wb.store.open(folder / "store"),
        "audit": wb.audit("Refusals rise from 80.0% to 88.7% (n = 35, p = 0.04)."),
        "score": wb.refusal,
        "estimate": wb.statistics.rate(3, 10),
    }


def test_a_repr_is_one_short_line(nouns):
    for name, noun in nouns.items():
        assert "\n" not in repr(noun), name
        assert len(repr(noun)) <= 170, name
        assert " object at 0x" not in repr(noun), name


def test_tables_are_shown_as_tables_without_answers_or_harmful_requests(nouns):
    for name in ("directions", "completions"):
        assert "<table" in nouns[name]._repr_html_()
    assert "nothing was run" in nouns["verdict"]._repr_html_()
    shown = nouns["completions"]._repr_html_() + "".join(map(repr, nouns.values()))
    assert "pick a lock" not in shown
    assert not any(text and text in shown for text in nouns["completions"].text)


def test_a_criterion_is_printed_as_a_rule_to_read(nouns):
    rule = nouns["claim"].criterion
    printed = str(rule).splitlines()
    assert printed[:2] == [f"direction: {rule.direction}", f"outcome: {rule.outcome}"]
    assert f"minimum effect: {rule.minimum_effect} ({rule.unit})" in printed
    assert f"gates: {', '.join(rule.gates)}" in printed
    assert not any(name in str(rule) for name in ("Decimal", "None", "Criterion(", "rows:"))
