"""The documentation builds without a warning, has every public name, and opens without a network."""

import os
import re
import subprocess
import sys
from pathlib import Path

import pytest

import workbench as wb
from tests.browser import Visitor, launched, until

ROOT = Path(__file__).parent.parent
pytestmark = pytest.mark.xdist_group("site")  # it is built once

#: left, right and filter of the first figure of the gallery
_FRAME = """(() => {
    const frame = document.querySelector("article iframe"), box = frame.getBoundingClientRect();
    return [box.left, box.right, getComputedStyle(frame).filter];
})()"""


@pytest.fixture(scope="module")
def site(tmp_path_factory):
    folder = tmp_path_factory.mktemp("site")
    built = subprocess.run(
        [sys.executable, "-m", "mkdocs", "build", "--quiet", "--strict", "--site-dir", str(folder)],
        cwd=ROOT,
        capture_output=True,
        text=True,
        env={**os.environ, "NO_MKDOCS_2_WARNING": "1"},
    )
    assert built.returncode == 0, built.stderr
    return folder


@pytest.mark.slow
def test_every_public_name_has_an_entry(site):
    pages = "\n".join(page.read_text(encoding="utf-8") for page in (site / "reference").glob("*.html"))
    entries = set(re.findall(r"wb(?:\.\w+)+", pages))
    public = [
        *wb.__all__,
        *(f"figures.{x}" for x in wb.figures.__all__),
        *(f"statistics.{x}" for x in wb.statistics.__all__),
    ]
    rooms = {
        "batch",
        "figures",
        "ledger",
        "report",
        "statistics",
        "store",
    }  # they are modules: what is in them has entries
    elsewhere = {"figures.theme", "statistics.Estimate", "WorkbenchError", "__version__"}
    assert {name for name in public if f"wb.{name}" not in entries} <= rooms | elsewhere


@pytest.mark.slow
@pytest.mark.browser
def test_pages_open_from_the_disk_without_a_network(site):
    with launched() as chromium:
        visitor = Visitor(chromium)
        for name in ("index", "reference/steering", "verdicts", "gallery"):
            page = visitor.open(site / f"{name}.html", width=1280)
            assert page.locator("h1").count() == 1
            for width, scheme in ((1280, "light"), (390, "light" if name == "gallery" else "dark")):
                page.set_viewport_size({"width": width, "height": 900})  # as a window that is made narrow
                page.emulate_media(color_scheme=scheme)
                until(page, f"innerWidth === {width} && document.documentElement.scrollWidth <= {width + 1}")
        phone = page  # the gallery, whose figures are the last to be drawn
        until(phone, f"JSON.stringify({_FRAME}) === '[0,390,\"none\"]'")  # the width that titles are made for
        phone.locator("label[title=Dark]").click()
        assert phone.evaluate(_FRAME)[2].startswith("invert")  # the figure follows the switch
        page = visitor.open(site / "index.html")
        page.locator(".md-search__input").click()
        page.keyboard.type("clamp")
        page.locator(".md-search-result__link", has_text="wb.clamp").first.wait_for()
        assert not [c for c in visitor.complaints if c.startswith("error")], visitor.complaints
        assert not visitor.abroad


@pytest.mark.slow
def test_the_gallery_has_every_figure_function(site):
    text = (site / "gallery.html").read_text(encoding="utf-8")
    for name in set(wb.figures.__all__) - {"theme", "save", "forest_note"}:
        assert f"wb.figures.{name}" in text
        assert (site / "plots" / f"{name}.html").is_file()
