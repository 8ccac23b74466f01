"""Do t, p and d come out of the means beside them, and r out of its n or its columns?"""

import math
import re
from collections.abc import Iterator, Sequence

from workbench.claims.log_numbers import Number, step_of
from workbench.claims.log_text import LogTable, LogText, Statement
from workbench.claims.recomputations import Group, Span, d_of_means, span_of_p, t_of_means
from workbench.claims.rounding import Grade, grade_of, grade_within, shown
from workbench.claims.rules.finding import Family, LogFinding, Place, in_row, in_sentence, mildest
from workbench.claims.rules.p_values import OTHER, p_of_row
from workbench.claims.rules.row_names import columns_called, one_column, phrase, roles, stems
from workbench.claims.rules.units import n_of_cell

Findings = Iterator[LogFinding]

_PAIRED = phrase(r"paired|within|repeated|dependent")
_NO_T_TEST = phrase(r"paired|within|repeated|dependent|anova|wilcoxon|mann|permut")

# ---- two means


def _means_of_sentence(log: LogText, s: Statement) -> Findings:
    means = [x for x in s.numbers if x.kind == "mean" and x.spread]
    kinds = {x.spread_kind for x in means}
    if len(means) != 2 or "CI" in kinds:
        return
    ns = [int(x.value) for x in s.numbers if x.kind == "n"]
    if len(ns) == 1 and re.search(r"total|overall|N\s?=", s.text):
        ns = [ns[0] // 2] * 2 if ns[0] % 2 == 0 else []
    sizes = ns * 2 if len(ns) == 1 else ns if len(ns) == 2 else (None, None)
    if "SE" in kinds and not all(sizes):
        return
    groups = [
        Group(x, (x.spread or 0) * (math.sqrt(n) if n and "SE" in kinds else 1.0), x.spread_step, n)
        for x, n in zip(means, sizes, strict=True)
    ]
    yield from _two_means(groups, s.numbers, s.text, in_sentence(s))


def _means_of_two_sentences(log: LogText) -> Findings:
    """ "Steered: M = 3.8, SD = 0.9, n = 40. Unsteered: M = 3.1, SD = 1.1, n = 40. Cohen's d = 0.70."."""
    for block in log.blocks():
        for first, second, third in zip(block, block[1:], block[2:], strict=False):
            means = [
                [x for x in s.numbers if x.kind == "mean" and x.spread_kind == "SD" and x.spread]
                for s in (first, second, third)
            ]
            said = [x for x in third.numbers if x.kind in ("d", "t")]
            if (
                [len(m) for m in means] != [1, 1, 0]
                or len(said) != len([x for x in third.numbers if x.kind != "p"])
                or not said
            ):
                continue
            ns = [[int(x.value) for x in s.numbers if x.kind == "n"] for s in (first, second)]
            if any(len(n) > 1 for n in ns):
                continue
            groups = [
                Group(m[0], m[0].spread or 0.0, m[0].spread_step, n[0] if n else None)
                for m, n in zip(means[:2], ns, strict=True)
            ]
            yield from _two_means(groups, third.numbers, third.text, in_sentence(third))


#: "M1 = 5.0, SD1 = 2.0, M2 = 4.0, SD2 = 2.0", in any order
_INDEXED = re.compile(
    r"(?<![\w.])(?P<role>M|[Mm]ean|μ|SD|sd|σ|s|n|N)_?\{?(?P<group>[12])\}?(?:\s?[=:]\s?|\s)(?P<v>-?\d*\.?\d+)(?![\w%])"
)
_ROLE = {"m": "mean", "mean": "mean", "μ": "mean", "sd": "sd", "σ": "sd", "s": "sd", "n": "n"}


def _indexed_means(log: LogText, s: Statement) -> Findings:
    """Means, SDs and n with the number of their group behind their sign, against the d, t or p of their sentence."""
    found = [(_ROLE[m["role"].lower()], m["group"], m["v"]) for m in _INDEXED.finditer(s.text)]
    given = {(role, group): v for role, group, v in found}
    needed = [(role, group) for group in "12" for role in ("mean", "sd")]
    if len(given) < len(found) or not all(key in given for key in needed):
        return
    ns: list[int | None] = [int(float(given[key])) if (key := ("n", group)) in given else None for group in "12"]
    if ns == [None, None]:
        said: list[int | None] = [int(x.value) for x in s.numbers if x.kind == "n"]
        ns = said * 2 if len(said) == 1 and re.search(r"\beach\b|\bper\b", s.text) else said if len(said) == 2 else ns
    groups = []
    for group, n in zip("12", ns, strict=True):
        mean, sd = given["mean", group], given["sd", group]
        groups.append(Group(Number("mean", float(mean), step_of(mean), mean), float(sd), step_of(sd), n))
    if all(g.sd > 0 for g in groups):
        yield from _two_means(groups, s.numbers, s.text, in_sentence(s))


def _means_of_rows(log: LogText, table: LogTable) -> Findings:
    """Two means and their SDs in one row, against the row's p or d."""
    d_column = one_column(table, r"cohen|^d$|hedges|effect size \(d\)")
    text = f"{table.title} {' '.join(table.columns)}"
    for i, row in enumerate(table.numbers):
        said = p_of_row(table, i)
        if said is None and d_column is not None and (d := row[d_column]):
            said = Number("d", d.value, d.step, f"d = {d.text}", line=table.row_lines[i])
        groups = _groups_of_row(log, table, i, text) if said else []
        if said and len(groups) == 2:
            yield from _two_means(groups, (said,), text, in_row(table, i))


def _groups_of_row(log: LogText, table: LogTable, i: int, text: str) -> list[Group]:
    def group(j: int, mean: Number | None, sd: float | None, step: float) -> Group | None:
        n = n_of_cell(log, table, i, j)
        return Group(mean, sd, step, n.value if n else None) if mean and sd is not None else None

    row = table.numbers[i]
    spread = [j for j in table.value_columns if (x := row[j]) and x.spread is not None]
    if len(spread) == 2:
        given = text + "".join(x.text for j in spread if (x := row[j]))
        if not re.search(r"\bSD\b|std|standard dev|±", given) or re.search(r"\bSEM?\b|standard error", text):
            return []
        groups = [group(j, x, x.spread, x.spread_step) for j in spread if (x := row[j])]
    else:
        means, sds = (
            columns_called(table, r"mean|\bM ?[12]?\b|avg|average"),
            columns_called(table, r"\bSD ?[12]?\b|std"),
        )
        if len(means) != 2 or len(sds) != 2:
            return []
        pairs = [(j, row[j], row[k]) for j, k in zip(means, sds, strict=True)]
        groups = [group(j, mean, sd.value, sd.step) for j, mean, sd in pairs if sd]
    return [g for g in groups if g]


def _means_of_table(log: LogText, table: LogTable) -> Findings:
    """Two groups in two rows, against the t, p and d of a sentence of the section."""
    role = roles(table)
    said = [s for s in log.of_section(table.section) if any(x.kind in ("t", "d") for x in s.numbers)]
    if len(table.rows) != 2 or not {"mean", "sd"} <= set(role) or len(said) != 1:
        return
    groups = []
    for i, row in enumerate(table.numbers):
        mean, sd, n = row[role["mean"]], row[role["sd"]], n_of_cell(log, table, i, role["mean"])
        if mean and sd and n:
            groups.append(Group(mean, sd.value, sd.step, n.value))
    if len(groups) == 2:
        yield from _two_means(groups, said[0].numbers, said[0].text, in_sentence(said[0]))


def _two_means(groups: Sequence[Group], others: Sequence[Number], text: str, place: Place) -> Findings:
    """t, p and d of two means against what is printed."""
    a, b = groups
    for d in (x for x in others if x.kind == "d"):
        spans = d_of_means(a, b)
        grade = mildest(*(_grade_of_size(span, d) for span in spans)) if spans else "holds"
        grade = "weak" if grade == "error" and _PAIRED.search(text) else grade
        said = f"the two means and SDs give d = {spans[0].value:.2f}, not {d}"
        yield place._replace(line=d.line).finds(grade, "t of two means", said, spans[0].value)
    if not a.n or not b.n or min(a.n, b.n) < 2 or _NO_T_TEST.search(text):
        return
    tests = t_of_means(a, b)
    for t in (x for x in others if x.kind == "t"):
        grade = mildest(*(_grade_of_size(span, t) for span, _ in tests.values()))
        said = f"means, SDs and n give t = {tests['Welch'][0].value:.2f} (Welch), not {t}"
        yield place._replace(line=t.line).finds(grade, "t of two means", said, tests["Welch"][0].value)
    has_statistic = any(x.kind in ("t", "F", "z", "chi2") for x in others)
    for p in (x for x in others if x.kind == "p" and not has_statistic):
        spans = [span.times(side) for _, span in tests.values() for side in (1.0, 0.5)]
        fits = any(grade_within(span.low, span.high, p) == "holds" for span in spans)
        named = not OTHER.search(text) or re.search(r"t[- ]test", text, re.IGNORECASE)
        grade = "holds" if fits else "error" if named else "weak"
        said = f"means, SDs and n give p = {tests['Welch'][1].value:.2g} (Welch), not {p}"
        yield place._replace(line=p.line).finds(grade, "t of two means", said, tests["Welch"][1].value)


def _grade_of_size(span: Span, said: Number) -> Grade:
    size = abs(said.value)
    return grade_of(max(span.low - size, size - span.high, 0.0), said.step)


# ---- correlations

_RANKED = phrase(r"spearman|kendall|ρ|τ|rho|permut")


def _correlation(log: LogText, s: Statement) -> Findings:
    for x in (x for x in s.numbers if x.kind == "r" and abs(x.value) <= 1):
        ns = {int(y.value) for y in s.numbers if y.kind == "n"}
        p = next((p for p in s.numbers if p.kind == "p" and 0 <= p.start - x.end < 60), None)
        if p and len(ns) == 1 and not x.degrees and min(ns) > 2:
            yield _p_of_r(x, p, ns.pop(), s)
        for table in log.tables_of(s.section):
            yield from _r_of_columns(x, table, s)


def _p_of_r(x: Number, p: Number, n: int, s: Statement) -> LogFinding:
    span = span_of_p("r", x.value, x.step, (n - 2,))
    grade = mildest(*(grade_within(half.low, half.high, p) for half in (span, span.times(0.5))))
    if grade != "holds" and _RANKED.search(s.text) and n < 30:
        low = p.bound != ">" and p.value < span.low / 3
        high = p.bound != "<" and p.value > 3 * span.high
        grade = "weak" if low or high else "holds"
    said = f"{x} over {n} has p = {span.value:.2g}, not {p}"
    return in_sentence(s)._replace(line=x.line).finds(grade, "r and p", said, span.low, span.high)


def _r_of_columns(x: Number, table: LogTable, s: Statement) -> Findings:
    """r against the two columns that its sentence names."""
    first = [] if table.label_column is None else [table.label_column]
    words = stems(s.text)
    heads = {j: stems(table.columns[j]) for j in (*first, *table.value_columns)}
    named = [j for j, head in heads.items() if head and head <= words and None not in table.column(j)]
    columns = [[c.value for c in table.column(j) if c] for j in named]
    if len(table.rows) < 3 or len(named) != 2 or any(len(set(values)) < 2 for values in columns):
        return
    from scipy import stats

    options = [float(test(*columns)[0]) for test in (stats.pearsonr, stats.spearmanr, stats.kendalltau)]
    off = min(abs(o - x.value) for o in options)
    grade: Grade = "holds" if off <= x.step / 2 + 0.02 else "slip" if off <= x.step + 0.02 else "error"
    heads_said = " and ".join(table.columns[j] for j in named)
    said = f"the columns {heads_said} have r = {options[0]:.2f}, ρ = {options[1]:.2f}, not {x}"
    yield in_sentence(s)._replace(line=x.line).finds(grade, "r and p", said, *options)


# ---- one mean, or one of differences, against zero

_AGAINST_ZERO = phrase(r"\bpaired\b|\bdifferences?\b|one-?sample|(?:against|from|vs\.?) (?:zero|0)\b|change scores?")


def _one_mean(log: LogText, s: Statement) -> Findings:
    """ "Differences (n = 24): M = 0.91, SD = 2.00, t(23) = 2.23, d = 0.46": t = M √n / SD, d = M / SD."""
    means = [x for x in s.numbers if x.kind == "mean" and x.spread]
    ts, ds = ([x for x in s.numbers if x.kind == kind] for kind in ("t", "d"))
    if len(means) != 1 or len(ts) > 1 or len(ds) > 1 or not _AGAINST_ZERO.search(s.text):
        return
    x, ns = means[0], {int(y.value) for y in s.numbers if y.kind == "n"}
    ns |= {round(t.degrees[0]) + 1 for t in ts if t.degrees}
    if len(ns) != 1 or x.spread_kind not in ("SD", "SE") or min(ns) < 2:
        return
    root = math.sqrt(ns.pop())
    sd, step = ((v or 0.0) * (root if x.spread_kind == "SE" else 1.0) for v in (x.spread, x.spread_step))
    low = max(abs(x.value) - x.step / 2, 0.0) / (sd + step / 2)
    high = (abs(x.value) + x.step / 2) / max(sd - step / 2, 1e-12)
    for said, factor in [(t, root) for t in ts] + [(d, 1.0) for d in ds]:
        span = Span(abs(x.value) / sd, low, high).times(factor)
        sentence = f"mean, SD and n give {said.kind} = {shown(span.value, said.step)}, not {said}"
        yield (
            in_sentence(s)
            ._replace(line=said.line)
            .finds(_grade_of_size(span, said), "t of two means", sentence, span.value)
        )


FAMILY = Family(
    of_sentences=(_means_of_sentence, _indexed_means, _one_mean, _correlation),
    of_tables=(_means_of_rows, _means_of_table),
    of_logs=(_means_of_two_sentences,),
)
