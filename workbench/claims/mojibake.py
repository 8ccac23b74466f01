"""Text that was decoded as what it is not, and how it was meant."""

import re

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
