"""Texts that write 72,5 for 72.5, and 1.200 for 1,200."""

import re

_COMMA = re.compile(r"(?<![\d.,])(\d{1,3}(?:\.\d{3})+|\d+),(\d+)(?![\d,]|\.\d)")
_DOTTED = re.compile(r"(?<![\d.,])[1-9]\d{0,2}(?:\.\d{3})+(?![\d.,]*\d)")
_SURE = re.compile(r"(?<![\d.,])(?:\d+,\d{1,2}\s?%|0,\d+(?![\d,]))")
_POINT = re.compile(r"(?<![\w.,])\d+\.\d{1,2}(?![\d.,]*\d|\w)")


def has_decimal_commas(text: str) -> bool:
    """Whether a text surely writes decimals with commas, and more often than with points.

    >>> has_decimal_commas("87 von 120 (72,5 %)"), has_decimal_commas("layers 3,5 and 12,14 reach 72.5%")
    (True, False)
    """
    sure = len(_SURE.findall(text))
    return sure > 0 and sure >= len(_POINT.findall(text))


def with_points(text: str) -> str:
    """A text that writes decimals with commas, with points instead.

    >>> with_points("1.200 Texte, M = 3,42")
    '1200 Texte, M = 3.42'
    """
    text = _COMMA.sub(lambda m: f"{m[1].replace('.', '')}.{m[2]}", text)
    return _DOTTED.sub(lambda m: m[0].replace(".", ""), text)
