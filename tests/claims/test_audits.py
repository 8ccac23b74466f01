"""The checks: what they recompute from the logs, laws they obey, invented claims with and without a fault."""

import dataclasses
import math
from decimal import ROUND_HALF_EVEN, ROUND_HALF_UP, Decimal
from fractions import Fraction

import pytest
from hypothesis import given
from hypothesis import strategies as st

import workbench as wb
from tests.invented import CASES
from workbench.claims.audits import bind
from workbench.claims.audits.arithmetic import grim, mean_of, sum_of
from workbench.claims.audits.check_results import VERDICTS, Finding, combine
from workbench.claims.audits.kinds import CHECKS, table_of_checks
from workbench.claims.audits.noise import williams_t
from workbench.claims.printed_numbers import Cell, Fact, Record
from workbench.claims.toml_schema import Lines


def percent(value, n):
    return Cell("x", Decimal(value), "percent", n)


def number(value, kind="number"):
    return Cell("x", Decimal(value), kind)


def counted(k, n):
    return Cell("x", Decimal(int(k)), "count", int(n))


def run(check, *arguments, **named):
    return CHECKS[check].run(*arguments, **named)


@pytest.mark.parametrize("name", CASES)
def test_an_invented_fault_is_found_and_its_clean_twin_raises_no_alarm(tmp_path, name):
    check, verdict, faulty, clean = CASES[name]
    for text, expected in ((faulty, verdict), (clean, "supported")):
        path = tmp_path / "log.toml"
        path.write_text(text)
        (claim,) = wb.read_claims(path)
        audit = claim.audit()
        assert audit.verdict == expected, str(audit.findings)
        assert [f.check for f in audit if f.outcome == "fails"] == ([check] if expected == verdict else [])
        assert not [f for f in audit if f.outcome == "slip"]


def test_the_invented_faults_reach_every_verdict():
    assert len(CASES) >= 20
    assert {verdict for _, verdict, _, _ in CASES.values()} == set(VERDICTS) - {"supported"}


@given(st.data())
def test_grim_lets_every_rounded_count_pass(data):
    n = data.draw(st.integers(1, 3000))
    k = data.draw(st.integers(0, n))
    places = data.draw(st.integers(0, 3))
    rounding = data.draw(st.sampled_from([ROUND_HALF_UP, ROUND_HALF_EVEN]))
    value = (Decimal(100 * k) / n).quantize(Decimal(1).scaleb(-places), rounding=rounding)
    cell = percent(value, n)
    assert grim((cell,)).outcome == "holds"
    assert abs(cell.successes - k) <= n / 100  # the count it stands for, as well as so few decimals tell


@given(st.integers(1, 60), st.integers(0, 1000))
def test_grim_finds_every_impossible_percentage(n, tenths):
    value = Decimal(tenths).scaleb(-1)
    nearest = min(abs(Fraction(100 * k, n) - Fraction(value)) for k in range(n + 1))
    result = grim((percent(value, n),))
    assert (result.outcome == "holds") == (nearest <= Fraction(1, 20))
    assert (result.outcome == "fails") >= (nearest >= Fraction(1, 10))


def test_grim_uses_the_printed_decimals_and_one_n_for_all_cells():
    assert grim((percent("90.0", 201), percent("91.0", 201))).outcome == "holds"
    assert grim((percent("90.4", 202),)).outcome == "fails"
    assert grim((percent("90.0", 202),)).outcome == "slip"  # 182 of 202, cut off
    assert grim((percent("90", 202),)).outcome == "holds"  # to the full percent, 182 of 202 is 90
    assert grim((percent("98.7", 222), percent("99.6", 222), percent("99.1", 222)), n_slack=1).values == (223,)
    assert grim((percent("98.8", 222), percent("50.0", 222)), n_slack=1).outcome == "fails"  # no one n suits both


@given(st.lists(st.integers(0, 10_000), min_size=1, max_size=12), st.integers(-3, 3))
def test_a_sum_of_counts_is_exact(counts, off):
    cells = tuple(number(k, "count") for k in counts)
    outcome = sum_of(cells, number(sum(counts) + off, "count")).outcome
    assert outcome == ("holds" if off == 0 else "fails")


@given(st.lists(st.decimals(-1000, 1000, places=2), min_size=1, max_size=12), st.decimals(-5, 5, places=2))
def test_a_sum_of_rounded_numbers_is_told_from_slips_and_faults(values, off):
    result = sum_of(tuple(number(v) for v in values), number(sum(values) + off))
    reach = Decimal("0.005") * len(values) + Decimal("0.01")
    if abs(off) == 0:
        assert result.outcome == "holds"
    elif abs(off) < reach:
        assert result.outcome == "slip"
    elif abs(off) > reach:
        assert result.outcome == "fails"
    assert math.isclose(result.values[0], float(sum(values)), abs_tol=1e-9)


@given(st.lists(st.decimals(0, 100, places=1), min_size=1, max_size=9), st.integers(0, 2))
def test_a_mean_passes_when_it_is_rounded_and_fails_far_off(values, places):
    exact = sum(values) / len(values)
    printed = exact.quantize(Decimal(1).scaleb(-places))
    cells = tuple(number(v) for v in values)
    assert mean_of(cells, number(printed)).outcome == "holds"
    assert mean_of(cells, number(printed + 3)).outcome == "fails"


def test_williams_t_of_a_published_example():
    assert williams_t(0.870701, 0.5755996, 0.7345251, 24) == pytest.approx(3.7672, abs=1e-3)


def cells_of(value):
    if isinstance(value, Cell | Fact):
        yield value
    elif isinstance(value, tuple):
        for inner in value:
            yield from cells_of(inner)


def replaced(value, old, new):
    if value == old:
        return new
    return tuple(replaced(inner, old, new) for inner in value) if isinstance(value, tuple) else value


def mutants(cell):
    """The same cell with another value, or other n, of the same type."""
    if isinstance(cell, Fact):
        yield dataclasses.replace(cell, holds=not cell.holds)
    elif isinstance(cell.value, bool):
        yield dataclasses.replace(cell, value=not cell.value)
    elif isinstance(cell.value, str):
        yield dataclasses.replace(cell, value=cell.value + " 2")
    elif cell.value is not None:
        top = cell.n if cell.type == "count" else 100
        for value in (
            cell.value * 2,
            cell.value * 10,
            cell.value / 2,
            -cell.value,
            cell.value + 1,
            Decimal(0),
            Decimal(100),
        ):
            whole = Decimal(int(value)) if cell.type == "count" else value
            if cell.type == "number" or (whole >= 0 and (top is None or whole <= top)):
                yield dataclasses.replace(cell, value=whole)


def outcomes(check):
    try:
        return [f.outcome for f in check.run()]
    except wb.WorkbenchError:
        return None


def can_fail(check):
    for cell in cells_of(tuple(check.arguments.values())):
        for other in mutants(cell):
            changed = {k: replaced(v, cell, other) for k, v in check.arguments.items()}
            if outcomes(dataclasses.replace(check, arguments=changed)) not in (None, ["holds"], ["note"]):
                return True
    return False


def test_no_check_of_the_logs_holds_whatever_the_numbers():
    checks = [(claim.id, check) for claim in wb.logged_claims() for check in claim.checks]
    holding = [(identity, check) for identity, check in checks if outcomes(check) == ["holds"]]
    assert len(holding) > 100
    assert [f"{identity} {check.test}" for identity, check in holding if not can_fail(check)] == []


def test_the_gravest_failure_decides():
    findings = [Finding("c", "s", outcome="fails", verdict=v) for v in VERDICTS[:-1]]
    for i in range(len(findings)):
        assert combine(findings[i:]) == VERDICTS[i]
    assert combine([Finding("c", "s", outcome="slip")]) == "supported"
    assert combine([Finding("c", "s", outcome="note")]) == "untestable"


def test_a_check_that_does_not_suit_its_numbers_is_one_line_and_the_others_count():
    record = Record(
        {}, {}, {"a": number(1), "b": number(0), "r": percent(50, 4), "s": percent(25, 4), "one": number("1.0")}
    )
    lines = Lines("f.toml", "x = 1\n[[claim]]\n[[claim.check]]\n")
    place = ("claim", 0, "check", 0)
    for table, message in (
        (
            {"test": "ratio", "of": "a", "to": "b"},
            "check 'ratio' cannot be computed: a number is divided by zero",
        ),
        ({"test": "differs", "higher": "a", "lower": "r"}, "x (number) has no n, and a rate with its n is needed"),
        ({"test": "repeats", "a": ["r", "r"], "b": "r"}, "columns of 2 and 1 values do not fit row by row"),
        ({"test": "correlation", "x": ["a", "b"], "y": ["b", "a"]}, "at least 3"),
        ({"test": "correlation", "x": ["a", "a", "a"], "y": ["b", "a", "b"]}, "columns that vary"),
        ({"test": "means_differ", "a": ["a", "a"], "b": ["b", "b"]}, "Welch's t test needs at least two numbers"),
        ({"test": "nonzero", "of": ["a"]}, "a t test needs at least two numbers, and spread"),
        (
            {"test": "correlations_differ", "stronger": "one", "weaker": "b", "n": 3},
            "Fisher's z needs correlations between",
        ),
        ({"test": "governs", "outcome": ["a", "b"], "by": ["b", "a"], "rather_than": ["a", "a"]}, "at least 4 rows"),
        ({"test": "p_value", "a": "r", "b": "s", "claimed": "r"}, "a p-value from 0 to 1 is needed"),
        ({"test": "p_value", "a": "r", "b": "s", "claimed": "a", "by": "Fishers"}, "did you mean 'Fisher'?"),
    ):
        (finding,) = bind(table, {}, record, place, lines).run()
        assert finding.outcome == "not computed"
        assert finding.sentence.startswith("f.toml, line 3: check ")
        assert message in finding.sentence
        assert "nan" not in finding.sentence
        assert "domain" not in finding.sentence
        assert combine([finding]) == "untestable"
        assert combine([finding, Finding("grim", "s", outcome="fails", verdict="inconsistent")]) == "inconsistent"


def test_what_cannot_be_told_from_a_scorers_mistakes_is_no_artefact_without_mistakes():
    clean, low = Cell("clean", Decimal(0), "count", 20), Cell("low", Decimal(2), "count", 20)
    assert CHECKS["known_answers"].run((clean,), (low,)).outcome == "holds"
    assert CHECKS["known_answers"].run((Cell("often", Decimal(9), "count", 20),), (low,)).outcome == "holds"
    assert (
        CHECKS["known_answers"].run((Cell("often", Decimal(9), "count", 20),), (percent("50", 20),)).outcome == "fails"
    )


def test_every_check_is_documented_and_used():
    from workbench._files import data_folder

    readme = (data_folder() / "claims" / "README.md").read_text()
    assert table_of_checks() in readme
    used = {check.test for claim in wb.logged_claims() for check in claim.checks}
    invented = {check for check, *_ in CASES.values()}
    assert set(CHECKS) == used | invented


def test_the_best_of_several_equal_arms_is_rarely_called_better():
    import numpy as np

    rng = np.random.default_rng(0)
    called = []
    for _ in range(400):
        base, *arms = rng.binomial(30, 0.4, 13)
        called.append(run("best_of", counted(max(arms), 30), counted(base, 30), 12).outcome == "holds")
    assert np.mean(called) <= 0.05
    assert run("best_of", counted(20, 40), counted(10, 40), 24).p == pytest.approx(1 - (1 - 0.0184) ** 24, abs=0.01)
    assert run("best_of", counted(1, 4), counted(0, 4), 16).p > 0.99
    assert run("best_of", counted(32, 40), counted(10, 40), 24).outcome == "holds"


def test_a_difference_at_the_distinct_n_has_a_direction():
    low, high = counted(5, 100), counted(95, 100)
    assert run("at_distinct", high, low, 20).outcome == "holds"
    wrong = run("at_distinct", low, high, 20)
    assert (wrong.outcome, wrong.verdict) == ("fails", "inconsistent")


def test_rows_without_successes_do_not_dilute_repeats_and_equal_columns_rarely_differ():
    import numpy as np

    a, b = [counted(3, 20), counted(10, 20)], [counted(12, 20), counted(15, 20)]
    empty = [counted(0, 20)] * 8
    alone = run("repeats", tuple(a), tuple(b))
    assert run("repeats", tuple(a + empty), tuple(b + empty)).p == pytest.approx(alone.p)
    assert alone.p == pytest.approx(0.0032, abs=1e-3)
    rng = np.random.default_rng(0)
    columns = rng.binomial(30, np.array([0.0, 0.0, 0.2, 0.5, 0.8]), (400, 2, 5))
    differ = [
        run("repeats", *(tuple(counted(k, 30) for k in column) for column in pair)).outcome == "fails"
        for pair in columns
    ]
    assert 0.02 <= np.mean(differ) <= 0.08


def test_noise_of_few_scores_is_students(monkeypatch):
    import numpy as np
    from scipy.stats import ttest_ind_from_stats

    result = run("beyond_noise", number("6"), number("3"), number("1.2"), 3)
    assert result.p == pytest.approx(ttest_ind_from_stats(6, 1.2, 3, 3, 1.2, 3).pvalue)
    rng = np.random.default_rng(0)
    monkeypatch.setattr("workbench.claims.audits.noise.needed_n_mean", lambda *_, **__: 1)  # slow, and not asked here
    scores = rng.normal(size=(600, 2, 3))
    sds = np.sqrt(scores.var(axis=2, ddof=1).mean(axis=1))
    called = [
        run("beyond_noise", *(number(f"{m:.9f}") for m in means), number(f"{sd:.9f}"), 3).p < 0.05
        for means, sd in zip(scores.mean(axis=2), sds, strict=True)
    ]
    assert 0.03 <= np.mean(called) <= 0.07


def test_few_counts_get_the_exact_test_also_where_tables_are_many():
    import numpy as np
    from scipy.stats import chi2_contingency

    arms = [(3, 40), (0, 40), (0, 40), (0, 40)]
    cells = tuple(counted(*arm) for arm in arms)
    p = chi2_contingency([[k for k, _ in arms], [n - k for k, n in arms]], correction=False)[1]
    assert p < 0.05  # though three successes fall into one arm of four with a chance of about one in sixteen
    assert run("vary", cells).p == pytest.approx(4 * math.comb(40, 3) / math.comb(160, 3))
    rng = np.random.default_rng(0)
    called = [run("vary", tuple(counted(k, 40) for k in draw)).p < 0.05 for draw in rng.binomial(40, 0.03, (300, 4))]
    assert np.mean(called) <= 0.05


def test_grim_knows_what_was_cut_off_or_rounded_twice():
    for value, n, how in (("78.6", 164, "129/164 = 78.66% cut off"), ("9.0", 190, "17/190 = 8.947% rounded twice")):
        result = grim((percent(value, n),))
        assert result.outcome == "slip"
        assert how in result.sentence
    assert grim((percent("78.8", 164),)).outcome == "fails"
    assert grim((percent("78.6", 164), percent("50.3", 164))).outcome == "fails"


@pytest.mark.parametrize(
    ("a", "b", "printed", "outcome"),
    [
        (counted(9, 10), counted(4, 10), "0.061", "holds"),  # Yates
        (counted(24, 40), counted(18, 40), "0.131", "holds"),  # Fisher, one-sided
        (counted(24, 40), counted(18, 40), "0.090", "holds"),  # z, one-sided
        (counted(33, 50), counted(25, 50), "0.008", "holds"),  # McNemar, none lost
        (counted(39, 40), counted(2, 40), "< 0.001", "holds"),
        (counted(39, 40), counted(2, 40), "p<.001", "holds"),
        (counted(39, 40), counted(30, 40), "< 0.001", "fails"),
        (counted(24, 40), counted(18, 40), "0.01", "fails"),
        (counted(24, 40), counted(18, 40), "> 0.05", "holds"),
    ],
)
def test_a_p_value_may_be_that_of_any_test_that_could_be_meant(a, b, printed, outcome):
    text = Cell("p", printed, "text") if not printed[0].isdigit() else number(printed)
    result = run("p_value", a, b, text)
    assert result.outcome == outcome, result.sentence
    if outcome == "holds" and printed == "0.061":
        assert run("p_value", a, b, text, by="χ² with Yates").outcome == "holds"
        assert run("p_value", a, b, text, by="Fisher").outcome == "fails"


def test_alike_needs_a_margin_and_is_an_equivalence_test():
    import numpy as np

    assert run("alike", (counted(3, 4), counted(1, 4))).outcome == "note"
    unclear = run("alike", (counted(3, 4), counted(1, 4)), Decimal(20))
    assert (unclear.outcome, unclear.verdict) == ("fails", "underpowered")
    assert run("alike", (counted(960, 1000), counted(955, 1000)), Decimal(5)).outcome == "holds"
    apart = run("alike", (counted(90, 100), counted(40, 100)), Decimal(5))
    assert (apart.outcome, apart.verdict) == ("fails", "")
    assert run("alike", (counted(90, 100), counted(40, 100))).outcome == "fails"
    rng = np.random.default_rng(0)
    on_the_margin = rng.binomial(200, [0.5, 0.6], (200, 2))
    held = [
        run("alike", tuple(counted(k, 200) for k in pair), Decimal(10)).outcome == "holds" for pair in on_the_margin
    ]
    assert np.mean(held) <= 0.05 + 2 * 0.016
    equal = rng.binomial(800, [0.5, 0.5], (100, 2))
    assert (
        np.mean([run("alike", tuple(counted(k, 800) for k in p), Decimal(10)).outcome == "holds" for p in equal]) > 0.9
    )


def test_alike_means_is_welchs_equivalence_test():
    means, sds = (number("5.0"), number("5.1")), (number("1.0"), number("1.0"))
    assert run("alike_means", means, sds, 4).outcome == "note"
    assert run("alike_means", means, sds, 4, Decimal("0.5")).verdict == "underpowered"
    assert run("alike_means", means, sds, 200, Decimal("0.5")).outcome == "holds"
    import numpy as np

    rng = np.random.default_rng(0)
    x = rng.normal([[0.0], [1.0]], 1.0, (400, 2, 20))
    held = [
        run("alike_means", *(tuple(number(f"{v:.6f}") for v in row) for row in (m, s)), 20, Decimal(1)).outcome
        == "holds"
        for m, s in zip(x.mean(axis=2), x.std(axis=2, ddof=1), strict=True)
    ]
    assert 0.02 <= np.mean(held) <= 0.08


def test_a_correlation_allows_for_rounded_columns_and_has_a_p_of_its_own():
    x = tuple(number(v) for v in (1, 2, 3, 4))
    y = tuple(number(v) for v in (2, 1, 4, 3))
    of_four = run("correlation", x, y, number("0.60"))
    assert [(r.outcome, r.verdict) for r in of_four] == [("holds", ""), ("fails", "underpowered")]
    assert "p = 0.4" in of_four[1].sentence
    assert [r.outcome for r in run("correlation", x, y, number("0.60"), none=True)] == ["holds", "note"]
    assert run("correlation", x, y, number("0.6"), p=number("0.40"))[1].outcome == "holds"
    assert run("correlation", x, y, number("0.6"), p=number("0.04"))[1].outcome == "fails"
    import numpy as np

    rng = np.random.default_rng(0)
    off, called = [], []
    for _ in range(200):
        a, b = rng.normal(size=(2, 10))
        r = np.corrcoef(a, b)[0, 1]
        columns = [tuple(number(f"{v:.1f}") for v in column) for column in (a, b)]
        results = run("correlation", *columns, number(f"{r:.2f}"))
        off.append(results[0].outcome == "fails")
        called.append(len(results) == 1)
    assert not any(off)
    assert np.mean(called) <= 0.05 + 2 * 0.016


def test_percentages_of_subgroups_stand_for_whole_counts():
    groups = ((percent("88.6", 35), percent("50", 20)),)
    assert run("subgroups", groups, (number(41, "count"),)).outcome == "holds"
    assert run("subgroups", groups, (number(42, "count"),)).outcome == "fails"
    coarse = ((percent("50", 1000),),)
    assert run("subgroups", coarse, (number(504, "count"),)).outcome == "holds"
    assert run("subgroups", coarse, (number(506, "count"),)).outcome == "fails"


def test_the_same_prompts_are_compared_by_mcnemar():
    before, after = counted(25, 50), counted(33, 50)
    assert run("differs", after, before).outcome == "fails"
    paired = run("differs", after, before, lost=number(0))
    assert (paired.outcome, round(paired.p, 4)) == ("holds", 0.0078)
    assert run("differs", after, before, lost=number(10)).outcome == "fails"
    with pytest.raises(wb.WorkbenchError, match="cannot become"):
        run("differs", after, before, lost=number(30))


def test_a_percentage_that_is_no_count_is_said_to_be_rounded():
    record = Record({}, {}, {"a": percent("18.9", 35), "b": percent("80.0", 35)})
    check = bind({"test": "differs", "higher": "b", "lower": "a"}, {}, record, (), Lines("f.toml", ""))
    assert "18.9% of 35 is no count and is taken for 7" in check.run()[0].sentence


def test_means_of_rows():
    a, b = (number("1.0"), number("4.0")), (number("2.0"), number("6.0"))
    assert run("row_means", (a, b), (number("1.5"), number("5.0"))).outcome == "holds"
    assert run("row_means", (a, b), (number("1.5"), number("6.0"))).outcome == "fails"
    assert run("row_sums", (a, b), (number("3.0"), number("10.0"))).outcome == "holds"


def test_of_many_honest_repeats_none_is_called_inconsistent():
    import numpy as np

    rng = np.random.default_rng(0)
    alone, together = [], []
    for _ in range(100):
        names = {f"r{i}": counted(k, 50) for i, k in enumerate(rng.binomial(50, 0.4, 20))}
        names = {name: dataclasses.replace(cell, name=name) for name, cell in names.items()}
        record = Record({}, {}, names)
        for family, seen in ((1, alone), (10, together)):
            checks = [
                bind({"test": "compatible", "a": f"r{i}", "b": f"r{i + 10}"}, {}, record, (), Lines("f", ""), family)
                for i in range(10)
            ]
            seen.append(combine(f for check in checks for f in check.run()) == "inconsistent")
    assert np.mean(alone) > 0.15
    assert np.mean(together) <= 0.05 + 2 * 0.022


def test_tests_of_a_hypothesis_find_what_is_there(monkeypatch):
    """Power at a stated alternative, beside the sizes above: of 50 draws each, at least 40 are found."""
    import numpy as np

    monkeypatch.setattr("workbench.claims.audits.noise.needed_n_mean", lambda *_, **__: 1)
    rng = np.random.default_rng(1)

    def column(rates, n):
        return tuple(counted(k, n) for k in rng.binomial(n, rates))

    def best_of():  # the best of 12 arms, one of them at 80% where the base is at 30%, n = 40
        base, *arms = rng.binomial(40, [0.3, *[0.3] * 11, 0.8])
        return run("best_of", counted(max(arms), 40), counted(base, 40), 12).outcome == "holds"

    def repeats():  # five conditions, 30 each, repeated 30 points higher
        return run("repeats", column([0.3] * 5, 30), column([0.6] * 5, 30)).outcome == "fails"

    def beyond_noise():  # means of 10, two SDs apart
        x = rng.normal([[0.0], [2.0]], 1.0, (2, 10))
        sd = np.sqrt(x.var(axis=1, ddof=1).mean())
        means = [number(f"{m:.6f}") for m in x.mean(axis=1)]
        return run("beyond_noise", *means, number(f"{sd:.6f}"), 10).outcome == "holds"

    def vary():  # one arm of four at 50% where the others are at 15%, n = 40
        return run("vary", column([0.15, 0.15, 0.15, 0.5], 40)).outcome == "holds"

    def correlation():  # rho = .9 over 12 rows
        x = rng.normal(size=12)
        y = 0.9 * x + np.sqrt(1 - 0.81) * rng.normal(size=12)
        columns = [tuple(number(f"{v:.2f}") for v in values) for values in (x, y)]
        return len(run("correlation", *columns, number(f"{np.corrcoef(x, y)[0, 1]:.2f}"))) == 1

    def of_a_family():  # one pair of ten, 20% against 60% of 50
        check = bind(
            {"test": "compatible", "a": "a", "b": "b"},
            {},
            Record({}, {}, dict(zip("ab", column([0.2, 0.6], 50), strict=True))),
            (),
            Lines("f", ""),
            10,
        )
        return check.run()[0].outcome == "fails"

    for simulate in (best_of, repeats, beyond_noise, vary, correlation, of_a_family):
        found = sum(simulate() for _ in range(50))
        assert found >= 40, (simulate.__name__, found)


def test_summaries_have_their_right_value():
    assert run("interval", percent("80", 50), number(67), number(89)).values == pytest.approx((66.96, 88.76), abs=0.01)
    assert run("interval", percent("80", 50), number("66.3"), number("90.0")).outcome == "holds"  # Clopper-Pearson
    assert run("sd_limit", number("3.00"), number("1.50"), number(1), number(5), 10).values[0] == pytest.approx(
        2.108, abs=1e-3
    )
    assert run("binary_sd", number("0.80"), number("0.40")).values[0] == pytest.approx(0.4)
    d = run("cohens_d", (number("6.0"), number("5.0")), (number("2.0"), number("2.0")), number("0.50"), 40)
    assert (d.outcome, d.values[0]) == ("holds", pytest.approx(0.5))
    columns = tuple(tuple(number(v) for v in column) for column in ((40, 10), (5, 45)))
    assert run("kappa", columns, number("0.70")).values[0] == pytest.approx(0.7)
    assert run("whole_numbers", number("2.50"), 4, number("1.29")).outcome == "holds"
    assert run("whole_numbers", number("3.44"), 20).outcome == "fails"
