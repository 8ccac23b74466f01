"""Text of a model made fit to be shown: whitespace visible, long pieces cut, nothing in it ever markup."""

import html

#: stands for a token whose text is not shown
HIDDEN = "▮"
_SIGNS = {" ": "␣", "\n": "⏎", "\t": "⇥", "\r": "␍"}


def visible(token: str) -> str:
    """A token with its whitespace, controls and direction marks made visible.

    >>> visible(" the\\n")
    '␣the⏎'
    >>> visible("a\\u202eb"), visible("")
    ('a\\\\u202eb', '∅')
    """
    shown = (_SIGNS.get(c) or (c if c.isprintable() else c.encode("unicode_escape").decode()) for c in token)
    return "".join(shown) or "∅"


def shorten(text: str, width: int = 14) -> str:
    """Text cut to a number of characters.

    >>> shorten("internationalisation")
    'internationali…'
    """
    return text if len(text) <= width + 1 else text[:width] + "…"


def escape(text: str) -> str:
    """Text that plotly shows as it is.

    It reads a part of HTML in labels, ``%{…}`` in templates, and TeX between dollars where MathJax is loaded.

    >>> escape("<b>$x$</b> %{y}")
    '&lt;b&gt;&#36;x&#36;&lt;/b&gt; &#37;{y}'
    """
    return html.escape(text, quote=False).replace("$", "&#36;").replace("%{", "&#37;{")


def number(value: float) -> str:
    """A number with three digits and a real minus sign.

    >>> number(-0.41999), number(12345.0)
    ('−0.42', '12345')
    """
    shown = f"{value:.0f}" if abs(value) >= 100 else f"{value:.3g}"
    return ("0" if float(shown) == 0 else shown).replace("-", "−")
