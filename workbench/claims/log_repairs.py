"""How a text was meant: one that was decoded as what it is not, and one that writes 72,5 for 72.5 and 1.200 for 1,200."""

import re

# ---- encodings

_MAC_ROMAN = re.compile(r"Œ|‚Ä|‚Ü|‚â|ü[îüçì]|√|¬±")
_WINDOWS = re.compile(r"[ÎÏÃÂ][\u0080-\u00bf€‚ƒ„…†‡ˆ‰Š‹Œ‘’“”•–—˜™š›œ]|â[\u0080-\u00bf€‚„†‰ˆ]|ðŸ")


def decoded(raw: bytes) -> str:
    """The text of a file: UTF-8, or UTF-16 with its mark, or else Windows-1252."""
    marked = raw.startswith((b"\xff\xfe", b"\xfe\xff"))
    try:
        return raw.decode("utf-16" if marked else "utf-8-sig")
    except UnicodeDecodeError:
        return raw.decode("cp1252", errors="replace")


def repaired(text: str) -> str:
    """A text whose UTF-8 was read as Mac Roman, Windows-1252 or Latin-1, as it was; any other text as it is.

    >>> repaired("Œ±=-15 ‚Üí 100%"), repaired("Î± â‰¥ 3"), repaired("α → 3")
    ('α=-15 → 100%', 'α ≥ 3', 'α → 3')
    """
    if text.isascii():
        return text
    signs = [(_MAC_ROMAN, "mac_roman"), (_WINDOWS, "cp1252"), (_WINDOWS, "latin-1")]
    for sign, encoding in signs:
        if sign.search(text):
            try:
                return text.encode(encoding).decode("utf-8")
            except UnicodeError:
                continue
    return text


# ---- decimals with commas

_COMMA = re.compile(r"(?<![\d.,])(\d{1,3}(?:\.\d{3})+|\d+),(\d+)(?![\d,]|\.\d)")
_DOTTED = re.compile(r"(?<![\d.,])[1-9]\d{0,2}(?:\.\d{3})+(?![\d.,]*\d)")
_PERCENT = re.compile(r"(?<![\d.,])\d+,\d\s?%|(?<![\d.,\[({])\d+,\d{2}\s?%")  # (50,60%) is a range
_BELOW_ONE = re.compile(r"(?<![\d.,\[({])0,\d{2,}(?![\d,\])}])")
_POINT = re.compile(r"(?<![\w.,])\d+\.\d{1,2}(?![\d.,]*\d|\w)")


def has_decimal_commas(text: str) -> bool:
    """Whether a text surely writes decimals with commas, and more often than with points.

    >>> has_decimal_commas("87 von 120 (72,5 %)"), has_decimal_commas("layers 0,1 of 12,480 texts, in [0,15]")
    (True, False)
    """
    percents, below_one = len(_PERCENT.findall(text)), len(_BELOW_ONE.findall(text))
    return (percents > 0 or below_one > 1) and percents + below_one >= len(_POINT.findall(text))


def with_points(text: str) -> str:
    """A text that writes decimals with commas, with points instead.

    >>> with_points("1.200 Texte, M = 3,42")
    '1200 Texte, M = 3.42'
    """
    text = _COMMA.sub(lambda m: f"{m[1].replace('.', '')}.{m[2]}", text)
    return _DOTTED.sub(lambda m: m[0].replace(".", ""), text)
