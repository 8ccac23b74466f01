"""Attention patterns through circuitsvis' own bundle, with no network and no script in the tokens."""

import html
import json
from collections.abc import Sequence
from functools import cache
from importlib.util import find_spec
from pathlib import Path
from typing import TYPE_CHECKING
from uuid import uuid4

import numpy as np

from workbench._errors import WorkbenchError
from workbench.figures.pages import Markup
from workbench.figures.theme import COLOURS
from workbench.figures.words import visible

if TYPE_CHECKING:
    from numpy.typing import ArrayLike


def attention(
    patterns: "ArrayLike", tokens: Sequence[str], heads: Sequence[str] | None = None, title: str | None = None
) -> Markup:
    """Attention of each head as circuitsvis' ``attention_heads``: small heatmaps, and the one under the mouse in full.

    The script comes from the installed package and stands in the HTML, as it does when circuitsvis is used offline. Its own
    ``_repr_html_`` asks the network first, and lets ``</script>`` in a token end the script; this does neither.

    Args:
        patterns: ``[head, pos, pos]`` (from destination to source) or ``[pos, pos]`` for one head; not negative.
        tokens: the text of each position.
        heads: a name for each head; "Head 0", "Head 1", … by default.
        title: what is seen, as a sentence; by default how many heads and tokens.

    Returns:
        HTML, which a notebook shows and ``save`` writes; ``str()`` gives its source.

    Raises:
        WorkbenchError: shapes that do not fit each other, or values that are no attention.

    >>> page = attention([[1.0, 0.0], [0.4, 0.6]], ["Hello", " world"])
    >>> page.title
    'Attention of 1 head over 2 tokens'
    """
    weights = np.asarray(patterns, dtype=float)
    weights = weights[np.newaxis] if weights.ndim == 2 else weights
    _check(weights, tokens, heads)
    names = [f"Head {i}" for i in range(len(weights))] if heads is None else list(heads)
    heading = title or f"Attention of {len(weights)} head{'s'[: len(weights) > 1]} over {len(tokens)} tokens"
    properties = {
        "attention": np.round(weights, 4).tolist(),
        "attentionHeadNames": names,
        "positiveColor": COLOURS[0],
        "tokens": [visible(token) for token in tokens],
    }
    place = f"wb-attention-{uuid4().hex[:12]}"
    # "<" as an escape: JSON inside a script must not be able to end it
    data = json.dumps(properties).replace("<", "\\u003c")
    card = "background:#fff;color:#222;color-scheme:light;padding:8px;overflow-x:auto;font-family:system-ui,sans-serif"
    return Markup(
        heading,
        f'<div style="{card}"><h4 style="margin:4px 8px">{html.escape(heading)}</h4><div id="{place}"></div></div>\n'
        f'<script type="module">\n{_bundle()}\nCircuitsVis.render("{place}", CircuitsVis.AttentionHeads, {data});\n</script>',
    )


def _check(weights: np.ndarray, tokens: Sequence[str], heads: Sequence[str] | None) -> None:
    expected = f"[head, {len(tokens)}, {len(tokens)}]"
    if weights.ndim != 3 or weights.shape[1:] != (len(tokens), len(tokens)) or not weights.size:
        raise WorkbenchError(f"patterns of shape {weights.shape} for {len(tokens)} tokens; expected {expected}")
    if not np.isfinite(weights).all() or weights.min() < 0 or weights.max() > 1 + 1e-3:
        raise WorkbenchError("patterns must be attention after the softmax: finite and from 0 to 1")
    if heads is not None and len(heads) != len(weights):
        raise WorkbenchError(f"{len(heads)} names for {len(weights)} heads; give one for each, or none")


@cache
def _bundle() -> str:
    """The script that circuitsvis ships; found without importing the package, which would load torch."""
    found = find_spec("circuitsvis")
    path = Path(found.origin).parent / "dist" / "cdn" / "iife.js" if found and found.origin else None
    if path is None or not path.exists():
        raise WorkbenchError("circuitsvis, which draws attention, is not installed; type: pip install circuitsvis")
    return path.read_text(encoding="utf-8").replace("</script>", "<\\/script>")
