# ruff: noqa: E501
"""A log as it is: what is read, what the rules find and leave alone, the command line and the page."""

import json
import time
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from typer.testing import CliRunner

import workbench as wb
from tests.claims.logs_to_audit import CLEAN, FAULTY, MORE_CLEAN, MORE_FAULTY, notebook
from workbench.claims.files import read_claims
from workbench.claims.log_draft import write_draft
from workbench.claims.log_page import write_page
from workbench.claims.log_reader import read_text
from workbench.claims.rules.catalogue import RULES
from workbench.cli import app

ALARMS = ("error", "slip", "weak")
INVENTED = Path(__file__).parents[2] / "docs" / "an_invented_log.md"


def alarms(text, kind=".md"):
    return [f for f in wb.audit(read_text(text, "log" + kind, kind)) if f.grade in ALARMS]


@pytest.mark.parametrize(("name", "kind", "text", "rule"), FAULTY, ids=[case[0] for case in FAULTY])
def test_a_fault_is_found_unasked(name, kind, text, rule):
    assert rule in {f.rule for f in alarms(text, kind)}


def test_clean_logs_raise_at_most_one_alarm():
    raised = [(name, str(f)) for name, kind, text, _ in CLEAN for f in alarms(text, kind)]
    raised += [(text, str(f)) for kind, text in MORE_CLEAN for f in alarms(text, kind)]
    assert len(raised) <= 1, raised


def test_faults_in_other_words_raise_some_alarm():
    assert [text for kind, text in MORE_FAULTY if not alarms(text, kind)] == []


def test_a_claims_file_may_be_six_lines(tmp_path):
    path = tmp_path / "claims.toml"
    path.write_text(
        '[[claim]]\nid = "P1"\nstatement = "Steering raises refusals."\nnumbers = { base = { count = 6, n = 35 }, steered = { count = 31, n = 35 } }\n'
    )
    assert "no fault found" in run(str(path))
    path.write_text('[[claim]]\nid = "P1"\nstatement = "Steering refuses 130% of 35."\n')
    assert "more than all of 35" in run(str(path), "--fail-on", "error", code=1)


def test_numbers_of_a_claims_file_are_checked_unasked(tmp_path):
    text = (INVENTED.parents[1] / "data" / "claims" / "README.md").read_text()
    path = tmp_path / "log.toml"
    path.write_text(
        text.split("```toml\n")[2].split("```")[0].replace('[[claim.check]]\ntest = "grim"\nof = "T1.polite"\n', "")
    )
    assert "no count out of 40 gives 83.3" in run(str(path))
    unasked = json.loads(run(str(path), "--json"))[-1]
    assert (unasked["log"], unasked["claim"], unasked["verdict"]) == (str(path), "", "error")
    assert [finding["rule"] for finding in unasked["findings"]] == ["grim"]
    run(str(path), "--json", "--fail-on", "slip", code=1)


def test_cases_are_many_in_many_formats():
    assert len(FAULTY) >= 40
    assert len(CLEAN) >= 40
    assert len({kind for _, kind, _, _ in FAULTY}) >= 5
    assert {rule for *_, rule in FAULTY} <= set(RULES)


@pytest.mark.parametrize(
    ("text", "rule", "numbers"),
    [
        ("31/35 against 40/35 prompts", "count", ()),
        ("Refusals: 83.1% (n = 24).", "grim", (100 * 20 / 24,)),
        ("The judge agreed in 27/36 (72%) of rows.", "count and percent", ()),
        ("from 21/60 to 28/60 (Fisher p = 0.003)", "p of two rates", (0.2651, 0.1936)),
        ("t(38) = 1.20, p = .012", "p of a statistic", (0.2376,)),
        ("Accuracy was 80% (95% CI 78% to 82%, n = 50).", "interval", (66.96, 88.76)),
        ("We ran 96 generations (6 doses × 4 topics × 5 seeds).", "equation", (120,)),
        ("- a: 78.4% flips\n- b: 12.1% flips\n- Difference: +68.3 pp", "difference", (66.3,)),
        ("75% → 100% (n=4)", "comparison", (1.0,)),
        ("a fall from 80 to 60 words, a 35% decrease", "difference", (-25.0,)),
        ("6.0 ± 2.0 (SD) against 5.0 ± 2.0 (SD), n = 40 each, d = 0.90", "t of two means", (0.5,)),
        ("Binary refusals: mean 0.80 (SD 0.25), n = 200.", "binary sd", (0.4,)),
    ],
)
def test_the_right_value(text, rule, numbers):
    found = next(f for f in alarms(text) if f.rule == rule)
    assert found.numbers[: len(numbers)] == pytest.approx(numbers, rel=5e-3)


def test_a_percentage_that_was_cut_off_is_a_slip():
    assert [f.grade for f in alarms("129/164 (78.6%) were polite")] == ["slip"]


@pytest.mark.parametrize(
    "text",
    [
        "Fisher p = 0.0013: 16/40 against 31/40",
        "31/40 against 16/40, p < .01",
        "16/40 against 31/40 (χ² with Yates, p = 0.0015)",
        "25/50 before and 33/50 after, McNemar p = .008",
        "t(9) = 4.06, p = .003",
        "F(1, 38) = 4.10, p = .050",
        "r(18) = .48, p = .032",
    ],
)
def test_a_right_p_value_of_any_test_is_right(text):
    assert alarms(text) == []


def test_numbers_of_sentences_have_their_kind_and_n():
    numbers = (
        wb.read_log(
            "Layer 12 of Llama-3.1-8B: 88.6 % (31/35), AUC = .91, κ = .7, +25 pp, 2x, 4.5 ± 0.3 s, p < 1e-3, 75–92%."
        )
        .statements[0]
        .numbers
    )
    assert [x.kind for x in numbers] == ["count", "percent", "auc", "kappa", "points", "times", "mean", "p", "range"]
    assert (numbers[1].value, numbers[1].n, numbers[1].successes) == (88.6, 35, 31)


def test_dates_versions_models_paths_and_settings_are_no_results():
    log = wb.read_log(
        "2026-01-31: gpt-4.1-mini v0.2 at layer 12, seed 3, s=0.5 wrote runs/2/a.json, see https://a.b/3 and Table 2."
    )
    assert [x for s in log.statements for x in s.numbers] == []


@pytest.mark.parametrize("kind", ["pipe", "grid", "spaces", "html", "csv"])
def test_a_table_is_read_with_its_lines_in_every_dress(kind):
    text = {
        "pipe": "x\n\n| a | n | rate |\n|---|---|---|\n| up | 40 | 77.5% |\n| down | 40 | 5.0% |\n",
        "grid": "x\n+----+---+----+\n| a | n | rate |\n+====+===+====+\n| up | 40 | 77.5% |\n+----+---+----+\n| down | 40 | 5.0% |\n+----+---+----+\n",
        "spaces": "x\n\na      n    rate\n----   --   -----\nup     40   77.5%\ndown   40   5.0%\n",
        "html": "<table>\n<tr><th>a</th><th>n</th><th>rate</th></tr>\n\n\n<tr><td>up</td><td>40</td><td>77.5%</td></tr>\n<tr><td>down</td><td>40</td><td>5.0%</td></tr></table>",
        "csv": "a,n,rate\nup,40,77.5%\ndown,40,5.0%\n",
    }[kind]
    (table,) = read_text(text, "x", "." + (kind if kind in ("html", "csv") else "md")).tables
    assert table.columns == ("a", "n", "rate")
    assert [x.value for x in table.column(2)] == [77.5, 5.0]
    lines = text.splitlines()
    assert all(label in lines[line - 1] for label, line in zip(("up", "down"), table.row_lines, strict=True))


def test_a_notebook_is_read_with_the_lines_of_its_file():
    text = notebook("# A\n\nOnly 83.1% (n = 24).", "base 30/20 prompts refused\n")
    log = read_text(text, "a.ipynb", ".ipynb")
    for finding in wb.audit(log):
        if finding.grade == "error":
            assert ("83.1%" if finding.rule == "grim" else "30/20") in text.splitlines()[finding.line - 1]
    assert {f.rule for f in wb.audit(log) if f.grade == "error"} == {"grim", "count"}


def test_mojibake_is_undone():
    assert wb.read_log("Œ±=-15 flips 88.6% ‚Üí works\nagain").statements[0].text.startswith("α=-15 flips 88.6% → works")


def test_a_parquet_file_and_a_folder(tmp_path):
    import pandas as pd

    pd.DataFrame({"arm": ["a", "b"], "n": [24, 24], "refusal rate %": [25.0, 61.3]}).to_parquet(tmp_path / "r.parquet")
    (tmp_path / "log.md").write_text("36 of 35 prompts were refused.")
    (tmp_path / "broken.json").write_text("{")
    audited = wb.audit(tmp_path)
    assert {(Path(f.source).name, f.rule) for f in audited if f.grade == "error"} == {
        ("r.parquet", "grim"),
        ("log.md", "count"),
    }
    assert [Path(file).name for file, _, _ in audited.unread] == ["broken.json"]


def test_nothing_to_read_is_said():
    with pytest.raises(wb.WorkbenchError, match="no such file"):
        wb.read_log("missing.md")
    with pytest.raises(wb.WorkbenchError, match="empty"):
        wb.audit(" \n")


def run(*words, code=0, input=None):
    result = CliRunner().invoke(app, ["audit", *words], input=input)
    assert result.exit_code == code, result.output
    return result.output


def test_the_command_line_takes_numbers_files_and_standard_input(tmp_path):
    assert "more than all of 35" in run("130% of 35")
    assert "Fisher p = 1.1e-09" in run("31/35 vs 6/35") or "chance alone" in run("31/35 vs 6/35")
    log = tmp_path / "log.md"
    log.write_text("41 of 40 prompts were refused.\n")
    assert "41 of 40" in run(str(log), "--fail-on", "error", code=1)
    run(str(log), code=0)
    assert "41 of 40" in run("-", input=log.read_text())
    assert json.loads(run(str(log), "--format", "json"))["findings"][0]["grade"] == "error"
    assert run(str(log), "--format", "md").startswith("| grade | place |")
    run("All 40 of 40 prompts were refused.", "--fail-on", "weak", code=0)


def test_terminal_codes_of_a_log_do_not_reach_the_terminal():
    assert "\x1b" not in str(wb.audit("\x1b[31m41 of 40\x1b[0m prompts were \u202erefused"))


def test_a_draft_is_a_valid_claims_file(tmp_path):
    for k, (_, kind, text, _) in enumerate([*FAULTY, *CLEAN]):
        log = read_text(text, f"log{k}{kind}", kind)
        try:
            path = write_draft(log, tmp_path / f"{k}.toml")
        except wb.WorkbenchError:  # no sentence with a rate in it
            continue
        for claim in read_claims(path):
            claim.audit()


def test_intervals_and_tails_are_those_of_scipy_and_statsmodels():
    from scipy import stats
    from statsmodels.stats.proportion import confint_proportions_2indep

    from workbench.claims.recomputations import difference_of_rates, interval_of_rate, p_of_changes, p_of_statistic

    for k, n in ((0, 20), (20, 20), (1, 7), (31, 35)):
        limits = {name: (low, high) for name, low, high in interval_of_rate(k, n, 90)}
        for name, method in (
            ("Wilson", "wilson"),
            ("Clopper-Pearson", "exact"),
            ("Wilson with continuity", "wilsoncc"),
        ):
            theirs = stats.binomtest(k, n).proportion_ci(0.9, method)
            assert limits[name] == pytest.approx((100 * theirs.low, 100 * theirs.high), abs=1e-6)
    newcombe = confint_proportions_2indep(31, 35, 6, 36, method="newcomb")
    assert difference_of_rates(31, 35, 6, 36) == pytest.approx(newcombe)
    assert p_of_changes(21, 6)[0][1] == pytest.approx(stats.binomtest(6, 27).pvalue)
    tails = {"t": 2 * stats.t.sf(2.2, 14), "z": 2 * stats.norm.sf(2.2), "chi2": stats.chi2.sf(2.2, 14)}
    assert {kind: p_of_statistic(kind, 2.2, (14,)) for kind in tails} == pytest.approx(tails)
    assert p_of_statistic("F", 4.87, (2, 87)) == pytest.approx(stats.f.sf(4.87, 2, 87))


def test_a_draft_says_once_what_is_not_given_and_checks_a_table_once(tmp_path):
    rates = "| arm | refused |\n|---|---|\n| base | 30.0% |\n| steered | 92.5% |\n"
    log = read_text(f"# Run (n = 40)\n\n{rates}\nRefusal rose from 12/40 to 37/40. It is 92.5% at most.\n", "run.md")
    text = write_draft(log, tmp_path / "run.toml").read_text()
    assert [text.count(words) for words in ('site = "not given"', 'test = "grim"\nof = "T1.refused"')] == [1, 1]
    claims = read_claims(tmp_path / "run.toml")
    assert [check.test for check in claims[0].checks] == ["grim", "differs"]
    assert claims[0].audit().verdict == "supported"


def test_what_is_wrong_in_a_sentence_is_told_once_of_its_draft(tmp_path):
    log = "The probe is 97.5% accurate (n = 20).\n\nRefusals: 93.3% of 20 prompts, 12.5% of 20 prompts.\n\nOf 40 prompts, 41 were refused."
    path = write_draft(read_text(log, "log.md"), tmp_path / "log.toml")
    assert "number2 = { percent = 12.5, n = 20 }" in path.read_text()
    faults = [f for f in wb.audit(path) if f.grade == "error"]
    assert [f.rule for f in faults] == ["grim", "grim", "grim", "count"]
    assert not [f for f in faults if "number" in f.sentence]
    path.write_text(path.read_text().replace("n = 20 }", "n = 30 }", 1))  # a number that its sentence does not give
    assert [f.rule for f in wb.audit(path) if "'number1 97.5% (n = 30)'" in f.sentence] == ["grim"]


def test_a_draft_of_a_table_alone_makes_a_claim_of_it(tmp_path):
    log = read_text("arm,refused,n,rate\nbase,6,35,0.171\nsteered,31,35,0.896\n", "rates.csv", ".csv")
    claims = read_claims(write_draft(log, tmp_path / "rates.toml"))
    assert [claim.audit().verdict for claim in claims] == ["inconsistent"]


def test_text_of_a_log_is_inert_in_the_page(tmp_path):
    log = read_text("<script>alert(1)</script> 41 of 40 prompts <img src=x onerror=alert(2)>")
    page = write_page(log, wb.audit(log), tmp_path / "a.html").read_text()
    assert "<script" not in page
    assert "<img" not in page


@pytest.mark.browser
def test_the_page_shows_findings_beside_their_lines(visitor, tmp_path):
    log = wb.read_log(INVENTED)
    audited = wb.audit(log)
    page = visitor.open(write_page(log, audited, tmp_path / "audit.html"))
    shown = page.locator("aside p").count()
    assert shown == len(audited)
    first = audited.findings[0]
    row = page.locator(f"#L{first.line}").first
    assert first.sentence in row.inner_text()
    assert INVENTED.read_text().splitlines()[first.line - 1].strip()[:20] in row.inner_text()
    narrow = visitor.open(tmp_path / "audit.html", width=400)
    assert narrow.evaluate("document.documentElement.scrollWidth <= window.innerWidth")


def test_honest_repeats_raise_no_alarm():
    """Ten runs of one condition, drawn by chance: of 40 logs no more than two raise an alarm."""
    import numpy as np

    rng = np.random.default_rng(0)
    loud = 0
    for _ in range(40):
        rows = "".join(f"| {k} | {rng.binomial(40, 0.4)}/40 |\n" for k in range(10))
        loud += bool(alarms(f"All runs are alike.\n\n| run | flips |\n|---|---|\n{rows}"))
    assert loud <= 2


def test_a_long_log_is_read_in_linear_time():
    text = INVENTED.read_text()
    once = text * max(1, 400 // len(text.splitlines()))
    wb.audit(once)
    begin = time.process_time()  # of this process alone, however busy the machine is
    wb.audit(once)
    short = time.process_time() - begin
    begin = time.process_time()
    wb.audit(once * 2)
    assert time.process_time() - begin < 8 * short + 1


def test_the_documented_page_is_the_one_that_is_written_today(tmp_path, monkeypatch):
    """Mended by: workbench audit docs/an_invented_log.md --html docs/an_invented_log.html."""
    monkeypatch.chdir(INVENTED.parents[1])
    log = wb.read_log("docs/an_invented_log.md")
    assert write_page(log, wb.audit(log), tmp_path / "a.html").read_text() == INVENTED.with_suffix(".html").read_text()


def test_every_rule_has_its_row_and_its_rate_in_the_documentation():
    page = (INVENTED.parent / "auditing.md").read_text()
    assert all(f"\n| {name} | {rule.asks} | {rule.follows} | " in page for name, rule in RULES.items())


def test_shares_of_a_claims_file_are_checked_unasked(tmp_path):
    path = tmp_path / "short.toml"
    path.write_text('[[claim]]\nid = "M.1"\nstatement = "Up."\n[claim.numbers]\nafter = { share = 0.886, n = 35 }\n')
    assert [f.rule for f in wb.audit(path) if f.grade == "error"] == []
    path.write_text(path.read_text().replace("0.886", "0.887"))
    assert [f.rule for f in wb.audit(path) if f.grade == "error"] == ["grim"]


def test_of_two_n_in_a_sentence_each_rate_has_its_own():
    both = "Steering raises refusals from 75% to 100% (n = 4), and from {}% to 97.1% (n = 35, p = 0.2)."
    assert [f.rule for f in wb.audit(both.format(88.6)) if f.grade in ("error", "slip")] == []
    assert [f.rule for f in wb.audit(both.format(88.7)) if f.grade in ("error", "slip")] == ["grim"]


def test_the_page_of_an_audit_replaces_no_other_file(tmp_path):
    log, page = read_text("Refusals rise from 80.0% to 88.7% (n = 35).\x1b[31m\u202e"), tmp_path / "a.html"
    page.write_text("<p>my own notes</p>")
    with pytest.raises(wb.WorkbenchError, match="no audit wrote it"):
        write_page(log, wb.audit(log), page)
    assert page.read_text() == "<p>my own notes</p>"
    page.unlink()
    written = write_page(log, wb.audit(log), page).read_text()
    assert write_page(log, wb.audit(log), page).read_text() == written
    assert "default-src 'none'" in written
    assert r"\x1b[31m\u202e" in written
    assert not {"\x1b", "\u202e"} & set(written)


@pytest.mark.parametrize(
    ("kind", "text"), [(".json", "[" * 100_000), (".html", "<div>" * 20_000), (".ipynb", '{"cells": ' + "[" * 100_000)]
)
def test_what_is_nested_too_deeply_is_not_read_and_loses_no_other_file(tmp_path, kind, text):
    (tmp_path / f"deep{kind}").write_text(text)
    (tmp_path / "log.md").write_text("Refusals rise from 80.0% to 88.7% (n = 35).")
    audited = wb.audit(wb.read_log(tmp_path))
    assert [why for _, _, why in audited.unread] == ["nested too deeply"]
    assert "error" in {f.grade for f in audited.findings}


@pytest.mark.parametrize("kind", ["csv", "jsonl", "parquet"])
def test_rows_that_are_too_many_are_counted_and_not_dropped_in_silence(tmp_path, kind):
    import pandas as pd

    from workbench.claims.log_formats import MOST_ROWS

    frame = pd.DataFrame({"arm": "a", "layer": range(MOST_ROWS + 5)})
    path = tmp_path / f"rows.{kind}"
    if kind == "csv":
        frame.to_csv(path, index=False)
    elif kind == "jsonl":
        frame.to_json(path, orient="records", lines=True)
    else:
        frame.to_parquet(path)
    log = wb.read_log(path)
    line = MOST_ROWS + (1 if kind == "jsonl" else 2)
    assert [(n, why) for _, n, why in log.unread] == [
        (line, "the 5 rows from here on: of a table of data 20,000 are read")
    ]
    assert len(log.tables[0].rows) == MOST_ROWS


def test_the_work_on_a_column_grows_with_its_rows_and_not_with_their_square(tmp_path, monkeypatch):
    """Counted in looks at cells, which no busy machine changes."""
    from workbench.claims.log_text import LogTable

    looks = []
    column = LogTable.column
    monkeypatch.setattr(LogTable, "column", lambda table, j: looks.append(len(table.rows)) or column(table, j))

    def count(n):
        rows = "\n".join(f"p{i % 50},arm{i % 7},{i % 3 / 10:.1f},{i * 37 % 1000 / 1000:.3f}" for i in range(n))
        (tmp_path / "rows.csv").write_text(f"prompt,arm,rate,score\n{rows}\n")
        looks.clear()
        wb.audit(wb.read_log(tmp_path / "rows.csv"))
        return sum(looks)

    few, many = count(4000), count(8000)
    assert many < 3 * few


@pytest.mark.parametrize(
    ("text", "found"),
    [
        ("18 of 20 prompts were refused, which is 85%.", "18 of 20 is 90.0%, not 85%"),
        ("18 of 20, that is 85%.", "18 of 20 is 90.0%, not 85%"),
        ("It refused 18 of 20, or 85%, in the end.", "18 of 20 is 90.0%, not 85%"),
        ("18 of 20 prompts were refused, which is 90%.", ""),
        ("12 of 20 or 80% would be needed to pass.", ""),
        ("3 of 20 were refused, which is 5% more than before.", ""),
        ("The cosine similarity of the two directions is -1.4.", "between -1 and 1"),
        ("The cosine between the directions was 0.93.", ""),
        ("A cosine schedule with 3 restarts.", ""),
        ("Compliance rose from 31% to 62% (n = 100), a fourfold increase.", "fourfold"),
        ("Compliance rose from 31% to 62% (n = 100), a twofold increase.", ""),
    ],
)
def test_percentages_in_apposition_cosines_and_multiples_in_words(text, found):
    graded = [str(one) for one in wb.audit(wb.read_log(f"{text}\n")).findings if one.grade in ("error", "slip", "weak")]
    assert bool(graded) == bool(found), graded
    assert all(found in one for one in graded)


def test_data_may_hold_arrays_and_what_is_missing_or_infinite(tmp_path):
    frame = pd.DataFrame(
        {
            "arm": ["base", "steered"],
            "refused": ["12/20", "21/20"],
            "activations": [np.zeros(3), np.ones(3)],
            "when": pd.to_datetime(["2026-01-01", None]),
            "count": pd.array([None, 3], dtype="Int64"),
            "loss": [float("inf"), float("nan")],
        }
    )
    frame.to_parquet(tmp_path / "rows.parquet")
    (tmp_path / "rows.json").write_text('[{"arm": "base", "refused": "21/20", "loss": Infinity}]')
    assert [f.rule for f in wb.audit(tmp_path)] == ["count", "count"]
