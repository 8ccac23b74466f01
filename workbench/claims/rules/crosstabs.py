"""Do κ, accuracy, precision, recall, F1, χ², Fisher's and McNemar's p come out of the table of counts beside them?"""

import math
from collections.abc import Iterator
from dataclasses import dataclass

from workbench.claims.log_numbers import Number
from workbench.claims.log_text import LogTable, LogText, Statement
from workbench.claims.recomputations import statistics_of_two_rates
from workbench.claims.rounding import grade_of, shown
from workbench.claims.rules.finding import RANK, Family, LogFinding, in_row, in_sentence
from workbench.claims.rules.named_numbers import against_mcnemar, metrics_said
from workbench.claims.rules.p_values import NAMED, OTHER, of_two_rates
from workbench.claims.rules.row_names import is_total, one_column, phrase
from workbench.claims.rules.units import Count

Findings = Iterator[LogFinding]

_RATER = phrase(r"\b(?:predicted|pred|actual|true|rater|judge|human|annotator|scorer|says|a|b|1|2)\b|[^a-z]")
_AGREEMENT = phrase(r"\bagreement\b|\bagree\b")
_OTHER_KAPPA = phrase(r"weighted|fleiss")


@dataclass(frozen=True)
class _Crosstab:
    """A table of counts: two ways of sorting the same units.

    Attributes:
        counts: shape [row][column].
        alike: its rows and columns have the same names, so that the diagonal is agreement.
    """

    counts: tuple[tuple[int, ...], ...]
    alike: bool

    @property
    def total(self) -> int:
        return sum(map(sum, self.counts))

    @property
    def agreement(self) -> float:
        return sum(row[i] for i, row in enumerate(self.counts)) / self.total

    @property
    def kappa(self) -> float:
        """Cohen's κ; NaN where chance alone agrees on all."""
        rows, columns = [sum(row) for row in self.counts], [sum(column) for column in zip(*self.counts, strict=True)]
        by_chance = sum(a * b for a, b in zip(rows, columns, strict=True)) / self.total**2
        return (self.agreement - by_chance) / (1 - by_chance) if by_chance < 1 else math.nan

    def classes(self) -> Iterator[tuple[float, float, float, float]]:
        """TP, FP, FN and TN of each class, with rows and then with columns as the truth."""
        for table in (self.counts, tuple(zip(*self.counts, strict=True))):
            for k, row in enumerate(table):
                hit, missed, called = row[k], sum(row) - row[k], sum(other[k] for other in table) - row[k]
                yield hit, called, missed, self.total - hit - missed - called


def _as_crosstab(table: LogTable) -> _Crosstab | None:
    def named(label: str) -> str:
        return " ".join(_RATER.sub(" ", label.lower()).split())

    columns = [j for j in table.value_columns if not is_total(table.columns[j])]
    rows = [i for i in range(len(table.rows)) if not is_total(table.label(i))]
    if table.label_column is None or not 2 <= len(columns) == len(rows) <= 8:
        return None
    cells = [[table.numbers[i][j] for j in columns] for i in rows]
    if not all(
        x and x.step >= 1 and x.value >= 0 and not x.signed and x.kind in ("number", "n") for r in cells for x in r
    ):
        return None
    counts = tuple(tuple(int(x.value) for x in row if x) for row in cells)
    alike = [named(table.columns[j]) for j in columns] == [named(table.label(i)) for i in rows]
    one_of_n = not alike and any(j in table.n_columns for j in columns)  # "refused | n"
    return None if one_of_n or not any(map(sum, counts)) else _Crosstab(counts, alike)


def _crosstab(log: LogText, table: LogTable) -> Findings:
    """A table of counts against what the sentences of its section say of it, where it is the only such table there."""
    said = [s for s in log.of_section(table.section) if s.numbers]
    cross = _as_crosstab(table) if said else None
    others = [t for t in log.tables_of(table.section) if t is not table and _as_crosstab(t)] if cross else []
    if cross is None or others:
        return
    for s in said:
        if cross.alike:
            yield from _of_agreement(cross, s)
            yield from _of_classes(cross, s)
        if len(cross.counts) == 2:
            yield from _of_two_by_two(cross, s)


_BOTH, _ONLY, _NEITHER = (
    phrase(rf"\b(?:{words})\b[^.;,\d]{{0,40}}?(?P<k>\d+)(?![\d.]*%)") for words in ("both", "only", "neither|none")
)


def _told_agreement(log: LogText) -> Findings:
    """ "Both said yes 30 times, only A 12, only B 8, neither 50": what is said of their agreement in the same paragraph."""
    for block in log.blocks():
        for s in block if len(block) <= 12 else ():
            both, only, neither = [[int(m["k"]) for m in words.finditer(s.text)] for words in (_BOTH, _ONLY, _NEITHER)]
            agreed = [*both, *neither]
            if len(both) >= 1 and len(only) == len(agreed) == 2 and any(agreed):
                cross = _Crosstab(((agreed[0], only[0]), (only[1], agreed[1])), alike=True)
                for told in block:
                    yield from _of_agreement(cross, told)


def _of_agreement(cross: _Crosstab, s: Statement) -> Findings:
    for x in s.numbers:
        made = _agreement_of(cross, x, s.text)
        if made and sum(y.kind == x.kind for y in s.numbers) == 1:
            rule, value = made
            sentence = f"the table gives {shown(value, x.step)}, not {x}"
            yield (
                in_sentence(s)
                ._replace(line=x.line)
                .finds(grade_of(abs(value - x.value), x.step), rule, sentence, value)
            )


def _agreement_of(cross: _Crosstab, x: Number, text: str) -> tuple[str, float] | None:
    if x.kind == "kappa" and not _OTHER_KAPPA.search(text) and math.isfinite(cross.kappa):
        return "kappa", cross.kappa
    share = x.kind == "percent" or (x.kind == "number" and 0 < x.value < 1)
    if share and x.successes is None and not x.bound and _AGREEMENT.search(text):
        return "confusion", cross.agreement * (100 if x.kind == "percent" else 1)
    return None


def _of_classes(cross: _Crosstab, s: Statement) -> Findings:
    """Accuracy, precision, recall, F1 of any class, or their mean over classes, whichever is nearest."""
    for called, said, formula in metrics_said(s):
        values = [v for cells in cross.classes() if math.isfinite(v := formula(*cells))]
        if called == "accuracy":
            values = [cross.agreement]
        half = len(values) // 2
        values += [sum(side) / len(side) for side in (values[:half], values[half:]) if side]
        if values:
            scale = 100.0 if said.unit or said.value > 1 else 1.0
            true = scale * min(values, key=lambda v: abs(scale * v - said.value))
            sentence = f"the table gives {called} = {shown(true, said.step)}, not {said.text}"
            yield in_sentence(s).finds(grade_of(abs(true - said.value), said.step), "confusion", sentence, true)


def _of_two_by_two(cross: _Crosstab, s: Statement) -> Findings:
    """χ² and the p of a named test against the four counts."""
    if any(x.kind in ("count", "percent") for x in s.numbers):
        return
    ((a, b), (c, d)), place = cross.counts, in_sentence(s)
    ps = [x for x in s.numbers if x.kind == "p"]
    for x in (x for x in s.numbers if x.kind == "chi2" and x.degrees == (1.0,)):
        values = [
            *statistics_of_two_rates("chi2", a, a + b, c, c + d),
            *_mcnemar_statistics(b, c),
            *_mcnemar_statistics(a, d),
        ]
        off = min(abs(v - x.value) for v in values)
        sentence = f"the table gives χ² = {shown(values[0], x.step)}, {shown(values[1], x.step)} with Yates, not {x}"
        yield place._replace(line=x.line).finds(grade_of(off, x.step), "p of two rates", sentence, *values[:2])
    if len(ps) != 1 or any(x.kind in ("chi2", "t", "F", "z") for x in s.numbers) or not NAMED.search(s.text):
        return
    if "mcnemar" in s.text.lower():
        both = [against_mcnemar(*changed, ps[0], s) for changed in ((b, c), (a, d))]
        yield min(both, key=_how_grave)
    elif not OTHER.search(s.text) and a + b and c + d:
        counts = [Count(ps[0], k, n, "cell") for k, n in ((a, a + b), (c, c + d))]
        yield from of_two_rates(counts, ps[0], s.text, place, sure=True)


def _how_grave(finding: LogFinding) -> int:
    return -RANK[finding.grade]


def _mcnemar_statistics(b: int, c: int) -> list[float]:
    return [max(abs(b - c) - cut, 0) ** 2 / (b + c) for cut in (0, 1)] if b + c else []


def _report(log: LogText, table: LogTable) -> Findings:
    """A report of classes, as scikit-learn prints it: the accuracy is the mean recall, weighted by support."""
    recall, support = (one_column(table, words) for words in (r"^recall\b", r"^support\b"))
    rows = [i for i in range(len(table.rows)) if table.label(i).strip().lower() == "accuracy"]
    if recall is None or support is None or len(rows) != 1:
        return
    i = rows[0]
    said = [x for j, x in enumerate(table.numbers[i]) if x and j != support]
    classes = [(table.numbers[k][recall], table.numbers[k][support]) for k in range(i)]
    if len(said) != 1 or not classes or any(x is None or n is None or not n.value for x, n in classes):
        return
    total = sum(n.value for _, n in classes if n)
    true = sum(x.value * n.value for x, n in classes if x and n) / total
    reach = max(x.step for x, _ in classes if x) / 2
    sentence = f"recall and support give {shown(true, said[0].step)}, not {said[0]}"
    yield in_row(table, i).finds(grade_of(abs(true - said[0].value), said[0].step, reach), "confusion", sentence, true)


FAMILY = Family(
    of_tables=(_crosstab, _report),
    of_logs=(_told_agreement,),
)
