"""Has a response broken down? Loops, noise, word salad or nothing at all, from its text alone."""

import re
from collections import Counter
from collections.abc import Sequence

#: the number of a list item, which would make every item of a loop look new
_NUMERAL = re.compile(r"(?m)^\s*(?:\d{1,3}[.):]|[-*•])\s+")

_WORD = re.compile(r"[^\W_]+(?:['’-][^\W_]+)*")

_UNIT = re.compile(rf"[\u3040-\u30ff\u4e00-\u9fff]|{_WORD.pattern}")

# The commonest words of English, Spanish, French and German; prose in these is a third to a half made of them.
FUNCTION_WORDS = frozenset(
    """
    the a an and or but if of to in on at for from by with as is are was were be been it its this that these those you your
    i my we our he she his her they their not no do does did can could will would should have has had which who what when
    where how there here so than then just more some any all one into about up out over after also may
    el la los las un una y o de del que en por para con se es son su al como más
    le les des une et ou du qui dans pour par avec ce cette est sont il elle ne pas sur au aux
    der die das ein eine und oder von zu im mit auf für ist sind nicht sie er es den dem
    """.split()  # noqa: SIM905
)


def collapse_reason(text: str) -> str:
    """Why a response counts as broken down, in words with the measured value; empty where it does not.

    Measured: emptiness, characters that carry no language, loops (a unit repeated over most of the text, few distinct
    words, repeated 4-grams), and word salad (long runs of words with neither function words nor punctuation, or words
    that mix scripts). Terse answers, lists, code and other languages are not collapse.

    >>> collapse_reason("ok ok ok ok ok ok ok ok ok"), collapse_reason("Paris, of course.")
    ('the same again at once over 92% of the text', '')
    """
    stripped = text.strip()
    if not stripped:
        return "empty"
    odd = sum(not (c.isalnum() or c.isspace() or c in _PUNCTUATION) for c in stripped) / len(stripped)
    if odd > 0.3 or stripped.count("\ufffd") / len(stripped) > 0.05:
        return f"{odd:.0%} of the characters carry no language"
    if not any(c.isalnum() for c in stripped):
        return "no letter or digit"
    lines = stripped.splitlines()
    if len(lines) >= 10 and (blank := sum(not line.strip() for line in lines) / len(lines)) > 0.6:
        return f"{blank:.0%} of the lines are blank"
    return _loop_reason(stripped) or _salad_reason(stripped)


_PUNCTUATION = frozenset(".,;:!?'\"()[]{}<>-–—_/\\|@#$%^&*+=~`’‘“”…•·°€£₹¿¡。、，；：？！（）「」《》\u200d")


def _loop_reason(text: str) -> str:
    squeezed = re.sub(r"\s+", " ", text.lower())
    loops = [len(loop.group(0)) for loop in re.finditer(r"(.{1,60}?)\1{3,}|(.{4,100}?)\2{2,}", squeezed)]
    if sum(loops) >= 12 and (share := sum(loops) / len(squeezed)) > 0.4:
        return f"the same again at once over {share:.0%} of the text"
    words = words_of(text)
    if len(words) >= 8 and (distinct := len(set(words)) / len(words)) < 0.25:
        return f"only {distinct:.0%} of the words are distinct"
    units = words_of(text, _UNIT)
    if len(units) >= 12 and (share := _recurring(units)) > 0.5:
        return f"{share:.0%} of the words stand in runs that occur three times or more"
    return ""


def words_of(text: str, word: re.Pattern[str] = _WORD) -> list[str]:
    """Words in small letters, without the numerals of a list; by ``_UNIT``, each character of Chinese and Japanese."""
    return [w.lower() for w in word.findall(_NUMERAL.sub("", text))]


def _recurring(words: Sequence[str]) -> float:
    """Share of the words inside a run of three words that occurs three times or more."""
    runs = list(zip(words, words[1:], words[2:], strict=False))
    often = {run for run, n in Counter(runs).items() if n >= 3}
    inside = {at + k for at, run in enumerate(runs) if run in often for k in range(3)}
    return len(inside) / len(words)


def repetition(text: str) -> float:
    """Share of the 4-grams of words that have occurred before, 0 to 1; 0 for a text of fewer than 16 words.

    >>> repetition("one two three four five six seven eight " * 3)
    0.6190476190476191
    """
    words = words_of(text)
    grams = list(zip(words, words[1:], words[2:], words[3:], strict=False))
    return 1 - len(set(grams)) / len(grams) if len(words) >= 16 else 0.0


def _salad_reason(text: str) -> str:
    words = _WORD.findall(text)
    latin = [w for w in words if w.isascii() or re.fullmatch(r"[\u0000-\u024f'’-]+", w)]
    if len(words) >= 6 and 0.15 < len(latin) / len(words) < 0.85 and _scripts(words) >= 3:
        return f"{_scripts(words)} scripts mixed"
    if len(latin) < 10 or len(latin) < 0.8 * len(words):
        return ""
    chained = sum(len(w) for w in words if w.count("-") >= 4) / sum(map(len, words))
    if chained > 0.3:
        return f"{chained:.0%} of the letters stand in words chained by hyphens"
    joined = sum(bool(re.search(r"[a-z][A-Z]|\d[A-Za-z]{2}|[A-Za-z]\d", w)) or len(w) > 25 for w in latin) / len(latin)
    function = sum(w.lower() in FUNCTION_WORDS for w in latin) / len(latin)
    marks = sum(c in ".,;:!?()\n•*=|" for c in text) / len(words)
    if function > 0.9 and len(latin) >= 16:
        return f"{len(latin)} words, {function:.0%} function words"
    if function < 0.08 and marks < 0.2:
        return f"{len(latin)} words, {function:.0%} function words, hardly any punctuation"
    if joined > 0.4 and function < 0.15 and marks < 0.5:
        return f"{joined:.0%} of the words are fragments run together"
    return ""


def _scripts(words: Sequence[str]) -> int:
    """How many writing systems occur (Japanese mixes three by nature and counts as one with Chinese)."""
    ranges = ["\u0041-\u024f", "\u0370-\u03ff", "\u0400-\u04ff", "\u0590-\u05ff", "\u0600-\u06ff", "\u0900-\u0dff"]
    ranges += ["\u0e00-\u0e7f", "\u3040-\u30ff\u4e00-\u9fff", "\uac00-\ud7af"]
    text = " ".join(words)
    return sum(bool(re.search(f"[{r}]", text)) for r in ranges)
