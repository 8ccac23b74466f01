"""Which n of a sentence belongs to a percentage of it? The nearest by grammar: "97.5% accurate on 20 prompts", "on 20 prompts, 97.5%"."""

import re
from collections.abc import Sequence
from dataclasses import replace

from workbench.claims.log_numbers import Number, plain, read_numbers
from workbench.claims.rules.row_names import phrase

#: what is repeated, or said to be long, and is not what a rate is a share of
_NO_SAMPLE = frozenset(
    "tokens seeds runs raters rounds replicates attempts measurements rows cells games generations".split()  # noqa: SIM905
)
_ARTICLES = r"(?:\s(?:the|all|our|its|these|those|other|remaining|only|just|another))*"
_PREPOSITION = re.compile(rf"\b(?P<word>on|of|over|across|among|for|from|in|with|at){_ARTICLES}\s$", re.IGNORECASE)
_STRONG = ("on", "of", "over", "across", "among")
_ARTICLE = re.compile(r"(?:^|[\s(])(?:the|all|our|these|those)\s$", re.IGNORECASE)
#: what begins a new clause, or another comparison
_BREAK = phrase(
    r"[;:]|\.\s|,\s(?:and|but|while|whereas|where|which)\b|\b(?:while|whereas|but|than|vs|versus|against|after|before)\b"
)
_LIST = re.compile(r"(?:\s\w+){0,2}\s?(?:,|,? and|,? or|/|→|->|\bto\b|\bvs\.?)\s?(?:\w+\s){0,2}")
_GOES_ON = re.compile(r"\s?(?:,|,? and|/|\bor\b|\bvs\.?)\s?(?:n\s?=\s?)?\d+\b(?!\s?%|\.\d)")
_LISTED = re.compile(
    r"(?<![.\d%])(?P<sizes>\d+(?:,\s\d+)*),?\s(?:and|or|vs\.?|×|x)\s$"
)  # "20 and 60 prompts": ahead of the 60
#: what may stand between a percentage and the n in the bracket behind it
_OPENS_WITH_N = re.compile(
    r"(?:\s(?:on|of|for|in)(?:\s[a-z-]+){1,3})?\s*[(\[]\s?"
    r"(?:(?:\d{2}(?:\.\d+)?\s?%[\s-])?(?:CI|interval|Wilson|range)\b[^()\[\];a-z]{0,10}\d[\d.%\s]*(?:to|-|–|,)\s?[\d.%]+[,;]\s)?"
    r"(?:[a-z-]+,\s)?(?:(?:(?:out\s)?of|on|over|across|among|for|from)\s)?(?:(?:the|all|our|its|these|those|other|only|just)\s)*",
    re.IGNORECASE,
)
_OF_EACH = re.compile(r"[^.,;]{0,25}\b(?:per|each|every)\b", re.IGNORECASE)

#: "trained on 60 prompts", "a direction from 60 prompts", "60 prompts for training"
_FITTED_ON = re.compile(
    r"(?:\b(?:train|fit|fine-?tun|tun|extract|calibrat|learn)(?:s|t?ed|t?ing|ned|nt)?\b(?:\s[a-z'-]+){0,4}?\s(?:on|from|with|over|using|by)"
    rf"|\b(?:directions?|vectors?|probes?|classifiers?|adapters?)(?:\s[a-z]+)?\sfrom){_ARTICLES}\s$",
    re.IGNORECASE,
)
_FOR_FITTING = re.compile(
    r"\s?(?:(?:was|were|are|is)\s(?:\w+\s)?)?(?:used\s)?(?:for|to)\s(?:the\s)?(?:train|fit|fine-?tun|tun|extract|calibrat|learn)"
    r"|\sin(?:\s(?:the|its|our|each))?\s(?:context|prompt)\b",
    re.IGNORECASE,
)
_FITTING_SET = phrase(r"\b(?:train|training|tuning|fitting|extraction|calibration|few-shot)\s(?:[a-z]+)$")


def is_fitted_on(x: Number, text: str) -> bool:
    """Whether a number of units is that of what a probe or model was made from, so that no rate is a share of it.

    >>> is_fitted_on(wb.read_log("Trained on 60 prompts, it is 97.5% accurate.").statements[0].numbers[0], "Trained on 60 prompts, it …")
    True
    """
    return bool(_FITTED_ON.search(text[: x.start]) or _FOR_FITTING.match(text[x.end :]))


def is_fitting_set(x: Number) -> bool:
    """Whether units are called those of a training set, "60 training prompts"."""
    return bool(_FITTING_SET.search(x.text))


def is_of_list(x: Number, text: str) -> bool:
    """Whether a number of units is the last of several, "20 and 60 prompts"."""
    return bool(_LISTED.search(text[: x.start]))


def paired_n(number: Number, numbers: Sequence[Number], text: str) -> Number | None:
    """The number of units that stands in one phrase with a percentage; None where none does, or two do.

    Args:
        number: the percentage.
        numbers: all of its sentence.
        text: the sentence.
    """
    sizes = [x for x in numbers if x.kind == "n" and not is_fitted_on(x, text)]
    rates = [x for x in numbers if x.kind in ("percent", "count") or (x.kind == "number" and 0 < x.value < 1)]
    for x in sizes:  # "97.5% and 88.3% on 20 and 60 prompts"
        listed = [*_listed_before(x, text), int(x.value)]
        before = [r for r in rates if r.end <= x.start]
        if number in before and len(before) == len(listed) > 1:
            return replace(x, value=float(listed[before.index(number)]))
    if own := n_in_bracket(number, numbers, text):
        return own
    behind, ahead = _behind(number, sizes, rates, text), _ahead(number, sizes, rates, text)
    if behind and ahead and behind.value != ahead.value:
        alone = not [x for x in rates if number.end <= x.start < behind.start]
        return behind if alone and _preposition(behind, text) in _STRONG else None
    return behind or ahead


def n_in_bracket(number: Number, numbers: Sequence[Number], text: str) -> Number | None:
    """The number of units in the bracket right behind a percentage, "6.7% (30 prompts)", "6.7% on harmless ones (n = 30)".

    Nothing else can be meant by it, whatever stands ahead.
    """
    n = next((x for x in numbers if x.kind == "n" and x.start >= number.end), None)
    if n is None or is_fitted_on(n, text) or is_fitting_set(n) or not _is_of_one_group(n, text):
        return None
    return n if _OPENS_WITH_N.fullmatch(text[number.end : n.start]) else None


def is_counted(x: Number) -> bool:
    """Whether a rate is a share of such units: of prompts, items or people, but not of tokens or of examples (a prompt may hold those)."""
    return bool(_COUNTED.match(x.unit))


def unpaired_ns(numbers: Sequence[Number], text: str) -> tuple[int, ...]:
    """The different numbers of units of a text that a rate of it may be a share of."""
    found = [x for x in numbers if x.kind == "n" and not is_fitted_on(x, text) and not is_fitting_set(x)]
    found = [x for x in found if x.unit not in _NO_SAMPLE and not _OF_EACH.match(text[x.end :])]
    return tuple(sorted({n for x in found for n in (*_listed_before(x, text), int(x.value))}))


def _listed_before(x: Number, text: str) -> list[int]:
    """The 20 ahead of "and 60 prompts"."""
    m = _LISTED.search(text[: x.start])
    return [int(size) for size in m["sizes"].split(",")] if m else []


def _is_of_one_group(x: Number, text: str) -> bool:
    """Whether units are neither repeated, nor those of each of several groups, nor one item of a list."""
    alone = not _GOES_ON.match(text[x.end :]) and not is_of_list(x, text)
    return x.unit not in _NO_SAMPLE and alone and not _OF_EACH.match(text[x.end :])


def _preposition(x: Number, text: str) -> str:
    m = _PREPOSITION.search(text[: x.start])
    return m["word"].lower() if m else ""


def _behind(number: Number, sizes: Sequence[Number], rates: Sequence[Number], text: str) -> Number | None:
    """The n behind a percentage, "97.5% accurate on 20 prompts", "97.5% (held-out, 20 prompts)", "95% and 90% on 20 prompts"."""
    n = next((x for x in sizes if x.start >= number.end), None)
    if n is None or not _is_of_one_group(n, text):
        return None
    start = number.end
    for rate in rates:  # of a list of rates, the n behind the last is that of all
        if number.end <= rate.start < n.start:
            if not _LIST.fullmatch(text[start : rate.start]):
                return None
            start = rate.end
    gap = text[start : n.start]
    if re.fullmatch(r"\s?(?:[a-z-]+\s){0,3}\((?:[^()\d;]*)", gap):
        return n
    plain = len(gap) < 60 and not _BREAK.search(gap) and not re.search(r"[,()\d]", gap)
    return n if plain and _preposition(n, text) else None


def _ahead(number: Number, sizes: Sequence[Number], rates: Sequence[Number], text: str) -> Number | None:
    """The n ahead of a percentage, "on 20 prompts the probe is 97.5% accurate", "accuracy (20 prompts) is 97.5%"."""
    n = next((x for x in reversed(sizes) if x.end <= number.start), None)
    if n is None or not _is_of_one_group(n, text):
        return None
    gap = re.sub(r"\([^()]*\)", "", text[n.end : number.start])
    told = [x for x in rates if n.end <= x.start < number.start]
    if len(gap) > 90 or _BREAK.search(re.sub(r"^[^;:,]{0,30}[:,]\s", "", gap)) or len(told) > 2:
        return None
    before = text[: n.start]
    begun = _ARTICLE.search(before) or before.endswith("(") or not before.strip()
    return n if begun or _preposition(n, text) else None


_OF_A_NAME = re.compile(r"(?:\b(?:on|of|over|across|among)(?:\s(?:the|all|our))?\s|\()$", re.IGNORECASE)
_COUNTED = phrase(r"^(?:prompt|item|question|participant|subject|patient|problem|response|completion|people|student)")


def n_of_name(name: str) -> int | None:
    """The number of units that the name of a column or row gives, "accuracy on 20 held-out prompts", "held-out (20 prompts)".

    >>> n_of_name("accuracy on 20 held-out prompts"), n_of_name("trained on 60 prompts"), n_of_name("60 prompts")
    (20, None, None)
    """
    text = plain(name)
    found = [x for x in read_numbers(text) if x.kind == "n" and _COUNTED.match(x.unit) and not is_fitted_on(x, text)]
    alone = len(found) == 1 and _is_of_one_group(found[0], text) and _OF_A_NAME.search(text[: found[0].start])
    return int(found[0].value) if alone else None
