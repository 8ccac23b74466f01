"""A figure as a page of its own: no network, light and dark, wide and narrow, on paper."""

import html
import importlib.util
import os
import re
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from workbench._errors import WorkbenchError
from workbench._files import content_key, whole

if TYPE_CHECKING:
    import plotly.graph_objects as go


#: plotly's name for the script that pages of a folder share
_SCRIPT = "plotly.min.js"
#: endings of pictures
_PICTURES = (".svg", ".png", ".pdf")
_CONFIG = {"responsive": True, "displaylogo": False, "showSendToCloud": False, "plotlyServerURL": ""}

#: what a browser may do for a page: run its own scripts, and load nothing
_POLICY = (
    "default-src 'none'; script-src 'nonce-{}'; style-src 'unsafe-inline'; img-src data: blob:; font-src data:; "
    "base-uri 'none'; form-action 'none'"
)

#: bytes of a name, beside which a draft has to have one of its own
_LONGEST = 200

#: hover cards keep their own white text, which plotly puts in elements of the classes "nums" and "name"; cells keep their dark text
_STYLE = """
:root { color-scheme: light dark; --ink: #2b2f33; --ground: #ffffff; }
@media (prefers-color-scheme: dark) { :root { --ink: #d6d9dc; --ground: #111111; } }
@media print { :root { color-scheme: light; --ink: #000000; --ground: #ffffff; } }
body { margin: 0; padding: 8px; background: var(--ground); color: var(--ink);
       font: 15px/1.5 system-ui, -apple-system, "Segoe UI", "DejaVu Sans", sans-serif; }
main { max-width: 1400px; margin: 0 auto; }
.js-plotly-plot .main-svg text:not(.nums):not(.name):not(.heatmap-label text) { fill: var(--ink) !important; }
"""


#: plotly follows the window by itself, but not the paper: 700 pixels fit A4 and Letter, upright
_PRINT = """<script>
for (const [event, size] of [["beforeprint", {width: 700}], ["afterprint", {width: null, autosize: true}]])
  addEventListener(event, () => document.querySelectorAll(".js-plotly-plot").forEach(plot => Plotly.relayout(plot, size)));
</script>"""


@dataclass(frozen=True)
class Markup:
    """HTML that a notebook shows and ``save`` writes as a page. Whoever makes it escapes every text in it."""

    title: str
    body: str

    def _repr_html_(self) -> str:
        return self.body

    def __str__(self) -> str:
        return self.body


def save(figure: "go.Figure | Markup", path: str | Path, size: tuple[int, int] | None = None) -> Path:
    """Write a figure as an HTML page that needs no network. The pages of a folder share one plotly script.

    Args:
        figure: whatever a function of ``wb.figures`` returns, or any plotly figure.
        path: the file to write; ``.html`` is added to a name that does not end in it, so "ratio_0.3" and "ratio_0.5"
            are two pages. A name that ends in ``.svg``, ``.png`` or ``.pdf`` gives a picture instead; this needs
            kaleido and a Chromium or Chrome.
        size: width and height of a picture, in pixels. By default those that the figure asks for, as a forest of many
            lines does; else 1000 and 600.

    Returns:
        The path of the page or picture.

    Raises:
        WorkbenchError: a picture of text or attention, which can only be pages; or a missing kaleido or browser (the
            message says how to get them).

    >>> page = wb.figures.save(wb.figures.attention([[1.0, 0.0], [0.4, 0.6]], ["Hello", " world"]), folder / "heads")
    >>> page.name, "<title>Attention of 1 head over 2 tokens</title>" in page.read_text()
    ('heads.html', True)
    """
    target = Path(path)
    if not target.name or "\0" in target.name or len(os.fsencode(target.name)) > _LONGEST:
        raise WorkbenchError(f"path={str(path)!r:.60}: expected the name of a page, e.g. 'dose.html'")
    if target.suffix.lower() in _PICTURES:
        return _picture(figure, target, size)
    if target.suffix.lower() not in (".html", ".htm"):
        target = target.with_name(f"{target.name}.html")
    if isinstance(figure, Markup):
        title, body = figure.title, figure.body
    else:
        title, body = _title(figure), _plotly(figure, target.parent)
    # no text in a page can name the number that its scripts carry, which is a hash of all of it. Plotly writes "<" in data as
    # an escape, so that its tags are the only ones; what stands before the one script of a Markup is escaped
    nonce = content_key(body)
    body = body.replace("<script", f'<script nonce="{nonce}"', 1 if isinstance(figure, Markup) else -1)
    page = (
        '<!doctype html>\n<html lang="en">\n<head>\n<meta charset="utf-8">\n'
        '<meta name="viewport" content="width=device-width, initial-scale=1">\n'
        f'<meta http-equiv="Content-Security-Policy" content="{_POLICY.format(nonce)}">\n'
        f"<title>{html.escape(title)}</title>\n<style>{_STYLE}</style>\n</head>\n<body>\n<main>\n{body}\n</main>\n</body>\n</html>\n"
    )
    with whole(target) as draft:
        draft.write_text(page, encoding="utf-8")
    return target


def _picture(figure: "go.Figure | Markup", target: Path, size: tuple[int, int] | None) -> Path:
    """The figure drawn by a browser that is installed; nothing is downloaded."""
    if isinstance(figure, Markup):
        raise WorkbenchError(
            f"{target}: {figure.title!r} is a page of text; save it as {target.with_suffix('.html').name}"
        )
    width, height = size or (figure.layout.width or 1000, figure.layout.height or 600)
    try:
        drawn = figure.to_image(format=target.suffix.lower().lstrip("."), width=width, height=height, scale=2)
    except (ImportError, ValueError, RuntimeError) as error:
        raise WorkbenchError(f"{target}: {_lacking(error)}") from error
    with whole(target) as draft:
        draft.write_bytes(drawn)
    return target


def _lacking(error: Exception) -> str:
    """What to install, of what kaleido and plotly say in many lines."""
    if importlib.util.find_spec("kaleido") is None:
        return "a picture needs kaleido: pip install '.[pictures]' in the checkout; or save it as .html"
    if "chrom" in str(error).lower():
        return "a picture needs Chromium or Chrome: apt-get install chromium; or save it as .html"
    return f"it could not be drawn: {str(error).splitlines()[0][:200]}"


def _plotly(figure: "go.Figure", folder: Path) -> str:
    from plotly.offline import get_plotlyjs

    script = get_plotlyjs()
    shared = folder / _SCRIPT
    if not shared.exists() or shared.stat().st_size != len(script.encode()):
        with whole(shared) as draft:
            draft.write_text(script, encoding="utf-8")
    return figure.to_html(full_html=False, include_plotlyjs="directory", config=_CONFIG) + _PRINT


def _title(figure: "go.Figure") -> str:
    """The title without the small print under it and without plotly's markup."""
    text = re.sub(r"<[^>]*>", " ", (figure.layout.title.text or "").split("<span")[0])
    return " ".join(html.unescape(text).split()) or "figure"
