"""Can the design carry what is said? Best of many, many tests, no control, figures from elsewhere, conventions that change."""

import re
from collections.abc import Iterator
from itertools import pairwise

from workbench.claims.log_numbers import Number
from workbench.claims.log_text import LogText, Statement
from workbench.claims.rounding import Grade
from workbench.claims.rules.finding import Family, LogFinding, Place, in_sentence
from workbench.claims.rules.row_names import P_COLUMN, columns_called, phrase, stems
from workbench.claims.rules.units import n_of_number

Findings = Iterator[LogFinding]

# ---- the best of many, and many tests

_TRIED = (
    r"(?:layers?|configs?|configurations?|settings?|runs|seeds|trials|checkpoints|prompts|methods|variants|combinations|doses"
    r"|models|hyperparameters?|candidates|attempts|strengths|coefficients|directions|positions|heads|templates)"
)
_CHOSEN = r"(?:layer|config(?:uration)?|checkpoint|setting|hyperparameters?|seed|epoch|dose|strength)s?"
_TOP = r"(?:best|top|optimal|strongest|highest|maximum|max)\s(?:\w+\s){0,3}?(?:of|among|from|across|over|out of)"
_BEST = phrase(
    r"best[- ]of[- ]?(?P<k>\d+)",
    rf"{_TOP}\s(?:all\s|the\s)?(?P<k2>\d+)\s(?:\w+\s)?{_TRIED}",
    rf"best {_CHOSEN} (?:was |is |were )?(?:selected|chosen|picked|found)",
    rf"(?:tried|swept|tested|evaluated|searched|out of|among)\b.{{0,60}}?(?P<k4>\d+)\s(?:\w+\s)?{_TRIED}.{{0,60}}\bbest\b",
    r"(?:selected|chose|chosen|picked) (?:as )?the best|tuned on (?:the )?test|max(?:imum)? over (?:all )?(?P<k3>\d+)?",
)
#: "We swept 32 layers. The best one refused 17 of 20 prompts."
_SWEPT = phrase(rf"\b(?:tried|swept|tested|searched|scanned|grid of)\b.{{0,30}}?(?P<k>\d+)\s(?:\w+\s)?{_TRIED}")
_THE_BEST = phrase(
    r"^\W*(?:the|our) best (?:\w+ )?(?:\([^)]*\) )?(?:cell|one|layer|setting|config\w*|combination|of them|arm|dose)?\b.*\d"
)
_CORRECTED = phrase(
    r"held[- ]?out|validation (?:set|split)|dev(?:elopment)? set|\bdev\b split|cross-?valid|nested|bonferroni|\bholm\b|\bFDR\b",
    r"benjamini|šid|sidak|pre-?regist|correct(?:ed|ion) for|multiple (?:comparison|testing)|separate test|on (?:the )?dev|unseen",
    r"chosen before|fixed in advance",
)
_CORRECTED_P = phrase(r"bonferroni|holm|\bFDR\b|benjamini|correct(?:ed|ion)|adjusted|pre-?regist")
_TESTS = phrase(r"\b(?P<k>\d{2,})\s(?:\w+\s)?(?:tests|hypotheses|metrics|outcomes|contrasts)\b")


def _best_of_many(log: LogText) -> Findings:
    for file in log.files():
        best = [(s, m) for s in file.statements if (m := _BEST.search(s.text)) and not s.text.rstrip().endswith("?")]
        best = best or [
            (second, m)
            for block in file.blocks()
            for first, second in pairwise(block)
            if _THE_BEST.match(second.text) and (m := _SWEPT.search(first.text))
        ]
        corrected = bool(best) and any(_CORRECTED.search(s.text) for s in file.statements)
        for s, m in best[:3]:
            k = int(next((g for g in m.groups() if g), 0))
            many = "the number of tries makes some pass by chance"
            if k:
                many = f"of {k} tries, one passes at .05 by chance with probability {1 - 0.95**k:.2f}"
            said = f"the best is chosen on what it is reported on, with no held-out set or correction named; {many}"
            if k != 1:
                yield in_sentence(s).finds("holds" if corrected else "weak", "best of many", said)


def _many_tests(log: LogText) -> Findings:
    for file in log.files():
        corrected = any(_CORRECTED.search(s.text) for s in file.statements)
        for s in file.statements if not corrected else ():
            m, reached = _TESTS.search(s.text), [x.value for x in s.numbers if x.kind == "p" and x.value <= 0.05]
            if m and reached and int(m["k"]) * min(reached) > 0.05:
                by_chance = 0.05 * int(m["k"])
                said = f"of {m['k']} tests, about {by_chance:.1f} pass at .05 by chance"
                yield in_sentence(s).finds("weak", "many tests", said, by_chance)
        yield from _all_p_values(file)


def _all_p_values(file: LogText) -> Findings:
    """All p-values of a file together."""
    from workbench.statistics.paired_tests import holm

    ps = [(x, x.line) for s in file.statements for x in s.numbers if x.kind == "p"]
    for t in file.tables:
        ps += [(x, t.row_lines[i]) for j in columns_called(t, P_COLUMN) for i, x in enumerate(t.column(j)) if x]
    values = [(x.value, line) for x, line in ps if 0 <= x.value <= 1 and x.bound != ">"]
    below = [line for p, line in values if p < 0.05]
    if len(values) < 5 or not below:
        return
    kept = sum(p < 0.05 for p in holm([max(p, 1e-300) for p, _ in values]))
    text = " ".join([s.text for s in file.statements] + [f"{t.title} {' '.join(t.columns)}" for t in file.tables])
    grade: Grade = "weak" if len(values) >= 10 and kept == 0 else "note"
    if kept == len(below) or _CORRECTED_P.search(text):
        grade = "holds"
    said = f"{len(below)} of {len(values)} p-values are below .05; after Holm's correction {kept} are"
    source = (file.statements or file.tables)[0].source
    yield Place("", below[0], source).finds(grade, "many tests", said, kept)


# ---- controls

_INTERVENTION = phrase(
    r"\bsteer(?:ing|ed)|\bablat|\bintervention|\btreatment\b|\btreated\b|\bpatch(?:ing|ed)|fine-?tun|\bdrug\b|\bvaccin|\bjailbreak",
    r"\b(?:vector|direction)s? added|\badd(?:ing)? (?:the|a|this|our) (?:\w+ )?(?:vector|direction)",
)
_EFFECT = phrase(
    r"improv|increas|reduc|rais|effective|works?\b|achiev|boost|induces?|causes?|eliminat|success|reaches|\bmakes?\b|mediat"
)
_CONTROL = phrase(
    r"baseline|\bbase\b|\bcontrols?\b|unsteered|un-steered|without|\bbefore\b|random|placebo|original|untreated|→|->|\bvs\.?\b",
    r"versus|against|compared|\bfrom\b \d|strength 0|α\s?=\s?0\b|orthogonal|no steering|vanilla|zero-shot|default|sham|unmodified",
    r"\bprior\b|reference|\bthan\b|pre-?treatment|standard",
)


def _no_control(log: LogText) -> Findings:
    for file in log.files():
        said = next((s for s in file.statements if _is_effect(file, s)), None)
        if said is None:
            continue
        names = [h for t in file.tables for h in (*t.columns, *map(t.label, range(len(t.rows))))]
        text = " ".join([*(s.text for s in file.statements), *(t.title for t in file.tables), *names])
        controlled = _CONTROL.search(text) or any(re.search(r"(?<![\d.])0(?:\.0+)?(?![\d.])", h) for h in names)
        why = "no baseline, control or comparison stands anywhere in the log"
        yield in_sentence(said).finds("holds" if controlled else "weak", "no control", why)


def _is_effect(file: LogText, s: Statement) -> bool:
    """Whether a sentence gives the rate of an intervention that it, or the next one, calls an effect."""
    rate = any(x.kind in ("percent", "count") and not x.signed for x in s.numbers)
    if not rate or not _INTERVENTION.search(s.text):
        return False
    return bool(_EFFECT.search(s.text)) or _block_calls_effect(file, s.block)


_CALLED_CAUSE = phrase(r"caus|works|mediat")


def _block_calls_effect(file: LogText, block: int) -> bool:
    key = ("effect", block)
    if key not in file.known:
        told = (t.text for t in file.of_block(block) if _CALLED_CAUSE.search(t.text))
        file.known[key] = any(_EFFECT.search(text) for text in told)
    return bool(file.known[key])


# ---- figures from elsewhere, and conventions

_ELSEWHERE = phrase(
    r"\b(?:per|see|from|according to|as (?:reported|stated) in) [\w/.-]+\.(?:md|txt|pdf|json|csv|ipynb|log)\b",
    r"prior (?:finding|result|work)|previous(?:ly)? (?:finding|reported|result)|earlier (?:finding|log|report)|\bunpublished\b",
    r"personal communication",
)
_RATE = phrase(r"success|rate|accura|bypass|refus|jailbreak|flip|comply|complian|correct|detect")


def _quoted(log: LogText) -> Findings:
    for section in {s.section for s in log.statements if _ELSEWHERE.search(s.text)}:
        for s in log.of_section(section):
            rates = [x for x in s.numbers if x.kind == "percent" and not x.signed and x.successes is None]
            rates = [x for x in rates if n_of_number(log, s, x) is None]
            if rates and not s.is_heading and _RATE.search(s.text):
                listed = ", ".join(map(str, rates[:3]))
                said = f"{listed} is quoted from elsewhere, and this log holds neither its counts nor its n"
                yield in_sentence(s).finds("weak", "quoted", said)


_FROM_NOW_ON = phrase(
    r"going forward|from (?:now|here) on|henceforth|all (?:later|subsequent|further|future) |from this point"
)


def _convention(log: LogText) -> Findings:
    """ "All results from now on use X": a baseline measured with X, and another, far away, later."""
    for s in (s for s in log.statements if _FROM_NOW_ON.search(s.text)):
        for t in log.tables_of(s.section):
            for j in t.value_columns:
                named = [
                    x
                    for i, x in enumerate(t.column(j))
                    if x and stems(t.label(i)) and stems(" ".join(t.rows[i][:2])) & stems(s.text)
                ]
                if named and (words := stems(t.columns[j])):
                    yield from _against_convention(log, s, t.columns[j], words, named[-1])


def _against_convention(log: LogText, s: Statement, head: str, words: frozenset[str], value: Number) -> Findings:
    for other in log.statements:
        numbers = [x for x in other.numbers if x.kind in ("number", "percent")]
        elsewhere = other.source == s.source and other.section != s.section and len(other.text) <= 60
        if not elsewhere or len(numbers) != 1 or not words <= stems(other.text):
            continue
        ratio = max(abs(numbers[0].value), 1e-9) / max(abs(value.value), 1e-9)
        if not 0.5 <= ratio <= 2:
            said = f"line {s.line} says that all results use one measure from now on, whose {head} is {value} (line {value.line});"
            said += f" this one is {ratio:.1f} times that"
            yield in_sentence(other).finds(
                "weak", "convention", said, numbers[0].value, value.value, others=(s.line, value.line)
            )


FAMILY = Family(
    of_logs=(_best_of_many, _many_tests, _no_control, _quoted, _convention),
)
