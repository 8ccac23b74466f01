"""Attention patterns through circuitsvis' own bundle, with no network and no script in the tokens."""

import base64
import html
import json
import struct
import zlib
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
    """Attention of each head by circuitsvis' ``attention_heads``: small heatmaps, and a large one of the head under the mouse.

    If scripts are disabled, as in a report, a picture of the same heatmaps is shown instead.

    The script comes from the installed package and is embedded in the HTML. Unlike circuitsvis' own ``_repr_html_``,
    this needs no network, and a token ``</script>`` does not end the script.

    Args:
        patterns: ``[head, pos, pos]`` (from destination to source) or ``[pos, pos]`` for one head; not negative.
        tokens: the text of each position.
        heads: a name for each head; "Head 0", "Head 1", … by default.
        title: a sentence that says what the figure shows; by default the numbers of heads and tokens.

    Returns:
        HTML, which a notebook shows and ``save`` writes; ``str()`` gives its source.

    Raises:
        WorkbenchError: shapes that do not match, or values that are not attention weights.

    >>> page = attention([[1.0, 0.0], [0.4, 0.6]], ["Hello", " world"])
    >>> page.title
    'Attention of 1 head over 2 tokens'
    """
    try:
        weights = np.asarray(patterns, dtype=float)
    except (TypeError, ValueError) as error:
        raise WorkbenchError(f"patterns={patterns!r:.60}: expected an array of numbers, [head, query, key]") from error
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
        f'<div style="{card}"><h4 style="margin:4px 8px">{html.escape(heading)}</h4>'
        f'<div id="{place}">{_picture(weights, names)}</div></div>\n'
        f'<script type="module">\n{_bundle()}\nCircuitsVis.render("{place}", CircuitsVis.AttentionHeads, {data});\n</script>',
    )


def _picture(weights: np.ndarray, names: Sequence[str]) -> str:
    """The heatmaps as one picture, heads side by side: destination down, source across, the darker the more."""
    cell = max(1, 240 // weights.shape[1])
    scaled = weights.repeat(cell, axis=1).repeat(cell, axis=2)
    edge = np.zeros((len(weights), scaled.shape[1], 4))
    grey = np.concatenate([part for pair in zip(scaled, edge, strict=True) for part in pair], axis=1)
    ink = np.array([int(COLOURS[0][i : i + 2], 16) for i in (1, 3, 5)])
    pixels = (255 - grey.clip(0, 1)[..., None] * (255 - ink)).astype(np.uint8)
    shown = ", ".join(names[:12]) + ("" if len(names) <= 12 else f" and {len(names) - 12} more")
    data = base64.b64encode(_png(pixels)).decode()
    return f'<img alt="attention of {html.escape(shown)}" src="data:image/png;base64,{data}">'


def _png(pixels: np.ndarray) -> bytes:
    """An image [row, column, 3] of bytes as a PNG file."""

    def chunk(kind: bytes, content: bytes) -> bytes:
        return struct.pack(">I", len(content)) + kind + content + struct.pack(">I", zlib.crc32(kind + content))

    height, width, _ = pixels.shape
    lines = np.concatenate([np.zeros((height, 1), np.uint8), pixels.reshape(height, -1)], axis=1)
    header = struct.pack(">IIBBBBB", width, height, 8, 2, 0, 0, 0)
    parts = (b"IHDR", header), (b"IDAT", zlib.compress(lines.tobytes())), (b"IEND", b"")
    return b"\x89PNG\r\n\x1a\n" + b"".join(chunk(*part) for part in parts)


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
