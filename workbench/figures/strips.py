"""The text itself, each token coloured by its projection: HTML and CSS alone, no script."""

import html
from hashlib import sha256
from typing import TYPE_CHECKING

import numpy as np

from workbench.figures.pages import Markup
from workbench.figures.titles import tokens_title
from workbench.figures.trace_lines import VALUES, Framed, Line, Panels, check_panels, name_place, read
from workbench.figures.words import HIDDEN, number, visible

if TYPE_CHECKING:
    import pandas as pd


#: Okabe and Ito's blue and vermillion, as in the other figures; never so dense that the text on them is hard to read
_NEGATIVE, _POSITIVE, _DENSEST = "0,114,178", "213,94,0", 0.7

#: JupyterLab's own theme variables win over the system's scheme, since its theme is the reader's choice there
STRIP_STYLE = (
    """
.wb-strip { --wb-ink: var(--jp-content-font-color1, #2b2f33); --wb-line: rgba(127,127,127,.45); color: var(--wb-ink);
  font: 15px/1.5 var(--jp-content-font-family, system-ui, -apple-system, "Segoe UI", "DejaVu Sans", sans-serif);
  max-width: 100%; padding: 4px 6px; box-sizing: border-box; }
@media (prefers-color-scheme: dark) { .wb-strip { --wb-ink: var(--jp-content-font-color1, #d6d9dc); } }
@media print { .wb-strip { --wb-ink: #000; } }
.wb-strip * { box-sizing: border-box; }
.wb-strip h4 { font-size: 16px; font-weight: 500; margin: 0 0 6px; }
.wb-strip .wb-legend { display: flex; flex-wrap: wrap; gap: 4px 18px; align-items: center; font-size: 13px; margin: 0 0 10px; }
.wb-strip .wb-scale { display: inline-flex; gap: 6px; align-items: center; }
.wb-strip .wb-bar { display: inline-block; width: 130px; height: 12px; border: 1px solid var(--wb-line);
  background: linear-gradient(90deg, rgba(NEGATIVE,DENSEST), rgba(127,127,127,0), rgba(POSITIVE,DENSEST)); }
.wb-strip section { margin: 0 0 14px; }
.wb-strip h5 { font-size: 13px; font-weight: 600; margin: 0 0 2px; }
.wb-strip p.wb-text { margin: 0; white-space: pre-wrap; overflow-wrap: anywhere; line-height: 1.9;
  font-family: ui-monospace, "DejaVu Sans Mono", Menlo, Consolas, monospace; font-size: 13px; }
.wb-strip .wb-t { unicode-bidi: isolate; padding: 2px 0; border-radius: 2px; }
.wb-strip .wb-t, .wb-strip .wb-bar { print-color-adjust: exact; -webkit-print-color-adjust: exact; }
.wb-strip .wb-steered { border-bottom: 2px solid var(--wb-ink); }
.wb-strip .wb-part { font: 600 11px/1.5 system-ui, -apple-system, "Segoe UI", "DejaVu Sans", sans-serif; padding: 0 5px;
  border-left: 2px dotted var(--wb-ink); user-select: none; }
.wb-strip .wb-t:focus-visible { outline: 2px solid var(--wb-ink); outline-offset: 1px; }
.wb-strip .wb-t:focus-visible::after { content: attr(title); position: fixed; left: 8px; bottom: 8px; z-index: 9; white-space: pre;
  max-width: calc(100vw - 16px); overflow: hidden; padding: 8px 10px; border-radius: 3px; background: #22262b; color: #fff;
  font: 13px/1.4 system-ui, -apple-system, "Segoe UI", "DejaVu Sans", sans-serif; }
.wb-strip .wb-skip:not(:focus) { position: absolute; width: 1px; height: 1px; overflow: hidden; clip-path: inset(50%); }
""".replace("NEGATIVE", _NEGATIVE)
    .replace("POSITIVE", _POSITIVE)
    .replace("DENSEST", str(_DENSEST))
)


def tokens(
    trace: "Framed | pd.DataFrame",
    value: str = "dot",
    layer: int | None = None,
    title: str | None = None,
    show_text: bool = False,
) -> Markup:
    """The text of prompt and response, each token coloured by its projection at one layer.

    Blue is negative, vermillion positive, and a stronger colour is farther from 0. Steered tokens are underlined.
    Hover over a token, or reach it with the Tab key, to see its numbers. Attention sinks (over ten times the median
    norm, Sun et al. 2024) do not set the scale.

    Args:
        trace: a ``Trace``, or its frame, or some rows of it; up to six texts, each one response along one direction.
        value: "dot", "cosine" or "z".
        layer: the layer; by default the middle one. The title names it.
        title: a sentence that says what the figure shows.
        show_text: show the text of tokens marked as hidden; they are ``▮`` otherwise.

    Returns:
        HTML, which a notebook shows and ``save`` writes; ``str()`` gives its source.

    Raises:
        WorkbenchError: see ``read``; more than six texts; a layer that was not traced.

    >>> d = wb.extract(model, tiny_pairs, at=wb.resid_post(1))
    >>> out = wb.generate(model, ["how do i bake a cake"], max_new_tokens=4)
    >>> wb.figures.tokens(wb.trace(model, out, [d]), layer=1).title
    'Projection on mean_diff at layer 1 in base, token by token'
    """
    panels = read(trace, value, show_text)
    check_panels(panels.lines)
    index = panels.index(layer)
    extent = panels.extent(index)
    heading = title or tokens_title(panels, index)
    texts = "\n".join(_text(panels, line, index, extent) for line in panels.lines)
    end = "wb-" + sha256(texts.encode()).hexdigest()[:12]
    return Markup(
        heading,
        f'<style>{STRIP_STYLE}</style><div class="wb-strip"><h4>{html.escape(heading)}</h4>{_legend(panels, extent)}'
        f'<a class="wb-skip" href="#{end}">skip the text</a>\n{texts}<span id="{end}"></span></div>',
    )


def _legend(panels: Panels, extent: float) -> str:
    parts = [
        f'<span class="wb-scale">{number(-extent)}<span class="wb-bar"></span>+{number(extent)}</span>'
        f"<span>{VALUES[panels.value].axis}</span>"
    ]
    if any(line.steered.any() for line in panels.lines):
        parts.append('<span><span class="wb-steered">underlined</span>: steered</span>')
    if any(HIDDEN in line.texts for line in panels.lines):
        parts.append(f"<span>{HIDDEN}: text not shown</span>")
    return f'<div class="wb-legend">{"".join(parts)}</div>'


def _text(panels: Panels, line: Line, index: int, extent: float) -> str:
    name = html.escape(" · ".join((line.arm, line.direction, f"prompt {line.prompt_id}")))
    pieces, part = [], ""
    for place in range(len(line.words)):
        here = "response" if line.offsets[place] >= 0 else "prompt"
        if here != part:
            pieces.append(f'<span class="wb-part">{here}</span>')
            part = here
        pieces.append(_token(panels, line, index, place, extent))
    return f'<section><h5>{name}</h5><p class="wb-text" dir="auto">{"".join(pieces)}</p></section>'


def _token(panels: Panels, line: Line, index: int, place: int, extent: float) -> str:
    value, norm = float(line.values[index][place]), float(line.norms[index][place])
    known = np.isfinite(value)
    share = min(abs(value) / extent, 1) * _DENSEST if known else 0
    notes = [
        line.words[place],
        f"position {line.positions[place]}, {name_place(int(line.offsets[place]))}"
        + (", steered" if line.steered[place] else ""),
        f"{panels.value} {number(value) if known else 'unknown'}, norm {number(norm)}, layer {panels.layers[index]}",
    ]
    kind = "wb-t wb-steered" if line.steered[place] else "wb-t"
    ground = f"rgba({_POSITIVE if value > 0 else _NEGATIVE},{share:.3f})"
    tip = html.escape("\n".join(notes))
    text = html.escape(_readable(line.texts[place]))
    return f'<span class="{kind}" tabindex="0" style="background-color:{ground}" title="{tip}">{text}</span>'


def _readable(token: str) -> str:
    """A token within running text: spaces as they are, line breaks shown and kept; alone, a space is shown too."""
    if not token.strip(" "):
        return visible(token)
    return "".join(c if c == " " else "⏎\n" if c == "\n" else visible(c) for c in token)
