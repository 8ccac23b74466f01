"""Attention through circuitsvis' own bundle; that it draws is tested in the browser."""

import doctest
import json
import re

import numpy as np
import pytest

import workbench as wb
from workbench import figures
from workbench.figures import attentions

TOKENS = ["Hello", " <b>", "</script>"]


def weights(heads=2, n=3):
    found = np.tril(np.random.default_rng(0).exponential(size=(heads, n, n)))
    return found / found.sum(-1, keepdims=True)


def test_the_example_runs():
    assert doctest.testmod(attentions, extraglobs={"attention": figures.attention}).failed == 0


def test_the_page_holds_pattern_and_tokens_and_ends_its_script_once():
    source = str(figures.attention(weights(), TOKENS, heads=["a", "b"]))
    assert source.count("</script>") == 1
    data = json.loads(re.search(r"CircuitsVis\.AttentionHeads, (\{.*\})\);", source).group(1))
    assert data["tokens"] == ["Hello", "␣<b>", "</script>"]
    assert np.allclose(data["attention"], weights(), atol=1e-4)
    assert data["attentionHeadNames"] == ["a", "b"]
    assert "unpkg" not in source


def test_without_its_script_a_picture_stands_there_and_a_report_keeps_it():
    import base64
    import struct
    import zlib

    from workbench.notebooks.report.books import sanitise

    page = sanitise(str(figures.attention(weights(), TOKENS, heads=["a", "<b>"])))
    assert "<script" not in page
    assert 'alt="attention of a, &lt;b&gt;"' in page
    png = base64.b64decode(re.search(r"data:image/png;base64,([^\"]+)", page)[1])
    width, height = struct.unpack(">II", png[16:24])
    start = png.index(b"IDAT") + 4
    size = struct.unpack(">I", png[start - 8 : start - 4])[0]
    pixels = np.frombuffer(zlib.decompress(png[start : start + size]), np.uint8).reshape(height, -1)[:, 1:]
    red = pixels.reshape(height, width, 3)[..., 0]  # of the colour #0072B2: 0 where attention is 1, 255 where it is 0
    cell = height // 3
    shown = [255 - red[cell // 2 :: cell, start + cell // 2 : start + 3 * cell : cell] for start in (0, 3 * cell + 4)]
    assert np.allclose(np.array(shown) / 255, weights(), atol=0.01)


def test_two_views_do_not_share_a_place():
    one, two = (str(figures.attention(weights(), TOKENS)) for _ in range(2))
    assert re.search(r'id="(.*?)"', one).group(1) != re.search(r'id="(.*?)"', two).group(1)


def test_the_bundle_is_found_without_loading_torch():
    import subprocess
    import sys

    code = "import sys; from workbench import figures; figures.attention([[1.0]], ['a']); print('torch' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", code], capture_output=True, text=True).stdout.strip() == "False"


@pytest.mark.parametrize(
    ("patterns", "tokens", "message"),
    [
        (weights(), TOKENS[:2], "expected \\[head, 2, 2\\]"),
        (np.ones(3), TOKENS, "shape \\(3,\\)"),
        (np.full((1, 3, 3), np.nan), TOKENS, "after the softmax"),
        (np.full((1, 3, 3), -1.0), TOKENS, "after the softmax"),
    ],
)
def test_wrong_patterns_are_named(patterns, tokens, message):
    with pytest.raises(wb.WorkbenchError, match=message):
        figures.attention(patterns, tokens)


def test_wrong_names_are_counted():
    with pytest.raises(wb.WorkbenchError, match="1 names for 2 heads"):
        figures.attention(weights(), TOKENS, heads=["a"])
