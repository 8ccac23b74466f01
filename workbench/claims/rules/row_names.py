"""What are rows, columns and conditions called, and which names mean the same?"""

import re
from functools import lru_cache

from workbench.claims.log_text import LogTable

_STOP = frozenset(
    """the a an of rate rates score scores model models value values result results with in for on at by only and or to is are
    was were vs per from all mean average avg percent percentage total number overall than as its it this that our we shows
    achieves reached reaches has have had about after before between across under over""".split()  # noqa: SIM905
)
_SAME = {
    "baseline": "base", "unsteered": "base", "steered": "steer", "steering": "steer", "refuse": "refus",
    "accuracies": "accur", "acc": "accur", "fp": "falsepos", "false": "falsepos", "positives": "falsepos",
    "positive": "falsepos", "std": "sd", "stdev": "sd", "avg": "mean", "ppl": "perpl",
}  # fmt: skip


def phrase(*alternatives: str) -> re.Pattern[str]:
    """A pattern that finds any of several phrases, in upper or lower case."""
    return re.compile("|".join(alternatives), re.IGNORECASE)


@lru_cache(maxsize=20_000)
def stems(text: str) -> frozenset[str]:
    """The words of a label, cut to their stem; names of settings and numbers stay.

    >>> sorted(stems("Harmful refusals (s=1.0)")) == sorted(stems("refusal rate, harmful, s=1.0"))
    True
    """
    text = re.sub(r"(?<=\w )A\b(?!\s[a-z])", "A_", text)  # "Probe A" names a thing, "a probe" does not
    words = re.findall(r"[^\W\d_]+-?\d[\w.\-]*|a_|[^\W\d_]+|\d+(?:\.\d+)?", text.lower().replace("non-", "non"))
    return frozenset(_SAME.get(w) or (_stem(w) if w.isalpha() else w) for w in words if w not in _STOP)


def _stem(word: str) -> str:
    word = word[:-1] if word.endswith("s") and not word.endswith("ss") and len(word) > 3 else word
    return "non" + word[3:8] if word.startswith("non") and len(word) > 6 else word[:5]


def bare(text: str) -> str:
    """A label without emphasis."""
    return re.sub(r"[*_`]", "", text).strip()


def name(text: str) -> str:
    """A label without emphasis, colon and what stands in parentheses."""
    return re.sub(r"[*_`:]|\(.*?\)", "", text).strip()


@lru_cache(maxsize=20_000)
def settings_key(label: str) -> str:
    """What a condition is called, whichever way its setting is written: "α=0.3", "alpha 0.3" and "0.3" are one.

    >>> settings_key("α=0.3"), settings_key("0.3"), settings_key("Layer 12"), settings_key("Base model")
    ('0.3', '0.3', '12', 'base')
    """
    text = re.sub(r"[*_`]|\(.*?\)", "", label.replace("−", "-")).strip()
    number = re.fullmatch(r"(?:[A-Za-zα-ω_ ]{0,20}?\s?[=: ]?\s?)?(?P<v>[+-]?\d+(?:\.\d+)?)", text)
    return f"{float(number['v']):g}" if number else " ".join(sorted(stems(text) - {"model"}))


def setting(label: str) -> float | None:
    """The number of a condition whose name is a setting, such as "α=0.3"."""
    key = settings_key(label)
    return float(key) if re.fullmatch(r"-?\d+(?:\.\d+)?", key) else None


# ---- rows that stand for all others

_TOTAL = phrase(
    r"^(?:grand )?(?:total|sum|overall|all|combined|altogether|totals|pooled)(?: (?:n|count|all|overall|samples|items|prompts))?$"
)
_MEAN = phrase(
    r"^(?:(?:macro|micro|weighted|row|column|overall|unweighted|simple|cross-\w+)[- ])?"
    r"(?:mean|average|avg\.?|macro)(?: score| overall| all)?$"
)


def is_total(label: str) -> bool:
    """Whether a row or column is called the total of the others."""
    return bool(_TOTAL.match(name(label)))


def is_mean(label: str) -> bool:
    """Whether a row or column is called the mean of the others."""
    return bool(_MEAN.match(name(label)))


# ---- what columns hold

#: a column of changes, or of other comparisons of two columns
CHANGE = phrase(
    r"delta|[δΔ]|\bdiff|chang|improv|\bgain|\bdrop|\bgap\b|\blift\b|increas|decreas|reduc|expan|growth|\bvs\.? base|from base",
    r"over base|uplift|advantage|trend|absolute|relative|speed-?up|\bloss vs|\+/-|separation",
)
P_COLUMN = phrase(r"^\W*p(?:[- _]?val(?:ue)?s?)?\W*$|^p[ _(]|fisher(?:'s)? (?:exact )?p\b|\bp[- _]?value")
CI_COLUMN = phrase(r"\bCI\b|interval|wilson")

_ROLES = {
    "min": phrase(r"\bmin(?:imum)?\b"),
    "max": phrase(r"\bmax(?:imum)?\b"),
    "mean": phrase(r"^(?:mean|average|avg)\b|\b(?:mean|average|avg)$"),
    "median": phrase(r"\bmedian\b|\bp50\b|\b50%|\bq2\b"),
    "q1": phrase(r"\bq1\b|\bp25\b|^25%|25th"),
    "q3": phrase(r"\bq3\b|\bp75\b|^75%|75th"),
    "sd": phrase(r"\bs\.?d\.?\b|\bstd\b|standard dev|std dev|stdev"),
    "se": phrase(r"\bs\.?e\.?m?\b|std\.? err|standard err"),
    "p90": phrase(r"\bp90\b|90th"),
    "p95": phrase(r"\bp95\b|95th"),
    "p99": phrase(r"\bp99\b|99th"),
    "low": phrase(
        r"(?:ci|95%?|interval)[ _]*(?:low(?:er)?|lb|min)|^(?:lower|low|ci_low|lcl|lo)\b|lower (?:bound|limit|ci)|(?:low|lower|lo)$"
    ),
    "high": phrase(
        r"(?:ci|95%?|interval)[ _]*(?:up(?:per)?|high|ub|max)|^(?:upper|high|ci_high|ucl|hi)\b|upper (?:bound|limit|ci)",
        r"(?:high|upper|hi)$",
    ),
}


def roles(table: LogTable) -> dict[str, int]:
    """Which column is the minimum, the mean, the SD and so on; only those that one column alone is."""
    found = {role: columns_called(table, pattern) for role, pattern in _ROLES.items()}
    if found["sd"] and not found["mean"]:  # "M | SD"
        found["mean"] = [j for j in table.value_columns if table.columns[j].strip() == "M"]
    return {role: columns[0] for role, columns in found.items() if len(columns) == 1}


def columns_called(table: LogTable, pattern: re.Pattern[str] | str) -> list[int]:
    """The columns of numbers whose head has one of these words."""
    pattern = phrase(pattern) if isinstance(pattern, str) else pattern
    return [j for j in table.value_columns if pattern.search(table.columns[j].replace("_", " "))]


def one_column(table: LogTable, pattern: re.Pattern[str] | str) -> int | None:
    """The column that is called so, where only one is."""
    columns = columns_called(table, pattern)
    return columns[0] if len(columns) == 1 else None


def is_sd(head: str) -> bool:
    """Whether a column is one of standard deviations."""
    return bool(_ROLES["sd"].search(head))


def without_role(head: str) -> str:
    """What a head says beside "mean", "min" and the like: of what."""
    for pattern in _ROLES.values():
        head = pattern.sub(" ", head)
    return head
