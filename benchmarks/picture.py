"""The benchmark as a picture: how many times as many completions per second, one bar per contender."""

import shutil
import tempfile
from pathlib import Path

import plotly.graph_objects as go

import workbench as wb

NAMES = {
    "bridge_single": "TransformerBridge, one prompt at a time",
    "bridge_cell": "TransformerBridge, a batch of 40 per cell",
    "hf_cell": "transformers with a hook, a batch of 40 per cell",
    "nnsight_cell": "nnsight, a batch of 40 per cell",
    "steering_vectors_cell": "steering-vectors, a batch of 40 per cell",
    "repeng_cell": "repeng, a batch of 40 per cell",
}


def draw(found: dict, path: Path) -> None:
    """Write the picture of a benchmark's ratios as a PNG, by the system's Chromium."""
    from playwright.sync_api import sync_playwright

    ratios = {NAMES[name]: found["ratios"][name] for name in reversed(NAMES) if name in found["ratios"]}
    bars = go.Bar(
        x=list(ratios.values()),
        y=list(ratios),
        orientation="h",
        text=[f"{ratio:.1f}×" for ratio in ratios.values()],
        textposition="outside",
        cliponaxis=False,
        marker_color="#0072B2",
    )
    figure = go.Figure(bars)
    figure.update_layout(
        title="Completions per second of wb.sweep over theirs: one grid, one model, one machine",
        xaxis={"type": "log", "title": "times as fast (log scale)", "range": [0, 2.3]},
        yaxis={"automargin": True},
        height=420,
        margin={"l": 20, "r": 60, "t": 60, "b": 60},
    )
    browser = next(filter(None, map(shutil.which, ("chromium", "chromium-browser", "google-chrome"))), None)
    with tempfile.TemporaryDirectory() as folder, sync_playwright() as playwright:
        page = wb.figures.save(figure, Path(folder) / "bars.html")
        chromium = playwright.chromium.launch(executable_path=browser)
        tab = chromium.new_page(viewport={"width": 1000, "height": 460})
        tab.goto(page.as_uri())
        tab.wait_for_load_state("networkidle")
        tab.screenshot(path=path)
        chromium.close()
