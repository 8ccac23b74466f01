"""The explorer in a real JupyterLab in a real Chromium: type, drag, click, and see text, figure and code follow."""

import os
import socket
import subprocess
import sys
import time
import urllib.request
from pathlib import Path

import nbformat
import pytest

ROOT = Path(__file__).parents[2]
CELL = """
import workbench as wb
from tests.families import PROMPTS, tiny_model

lm = tiny_model("llama")
ds = wb.extract(lm, wb.Pairs(PROMPTS[:3], PROMPTS[3:]), at=wb.resid_post.all)
other = wb.extract(lm, wb.Pairs(PROMPTS[1:4], PROMPTS[4:7]), at=wb.resid_post(1))
seen = wb.explore(lm, {"mood": ds, "topic": other}, prompt=PROMPTS[0], ratio=0.5, max_new_tokens=8)
seen
"""
#: nothing of this machine's own settings, nothing that asks the network
OPTIONS = (
    *("--no-browser", "--ServerApp.token=", "--ServerApp.password=", "--ServerApp.open_browser=False", "--allow-root"),
    *("--LabApp.check_for_updates_class=jupyterlab.NeverCheckForUpdate", "--LabApp.extension_manager=readonly"),
    *("--ServerApp.terminals_enabled=False", "--LabApp.expose_app_in_browser=True"),
)
#: what the page itself knows of its kernel; its toolbar also says idle before there is one
KERNEL = "window.jupyterapp?.shell.currentWidget?.sessionContext?.session?.kernel?.status"
#: seconds for any one thing to happen: far above what a busy machine needs, so that only what stands still reaches it
PATIENCE = 300


@pytest.fixture(scope="module")
def lab(tmp_path_factory):
    """The address of a JupyterLab that holds one notebook."""
    folder = tmp_path_factory.mktemp("lab")
    book = nbformat.v4.new_notebook(cells=[nbformat.v4.new_code_cell(CELL.strip())])
    book.metadata["kernelspec"] = {"name": "python3", "display_name": "Python 3", "language": "python"}
    nbformat.write(book, folder / "explore.ipynb")
    settings = folder / "settings" / "@jupyterlab" / "apputils-extension" / "notification.jupyterlab-settings"
    settings.parent.mkdir(parents=True)
    settings.write_text('{"fetchNews": "false", "checkForUpdates": false}')
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    homes = {f"JUPYTER_{name}_DIR": str(folder / name.lower()) for name in ("CONFIG", "DATA", "RUNTIME")}
    homes |= {
        "HOME": str(folder),
        "IPYTHONDIR": str(folder / "ipython"),
        "JUPYTERLAB_SETTINGS_DIR": str(folder / "settings"),
    }
    environment = {**os.environ, **homes, "PYTHONPATH": str(ROOT)}
    command = [
        sys.executable,
        "-m",
        "jupyterlab",
        *OPTIONS,
        f"--ServerApp.port={port}",
        f"--ServerApp.root_dir={folder}",
    ]
    with (folder / "lab.log").open("w") as log:
        server = subprocess.Popen(command, env=environment, cwd=folder, stdout=log, stderr=log)
        try:
            yield _ready(f"http://127.0.0.1:{port}", server, folder / "lab.log")
        finally:
            server.terminate()  # the server ends its kernel, then itself
            try:
                server.wait(PATIENCE)
            finally:
                server.kill()  # does nothing to a server that has ended


def _ready(address, server, log, seconds=PATIENCE):
    for _ in range(seconds * 5):
        assert server.poll() is None, log.read_text()
        try:
            urllib.request.urlopen(f"{address}/api", timeout=2).close()
            return address
        except OSError:
            time.sleep(0.2)
    raise AssertionError(f"no JupyterLab after {seconds} s:\n{log.read_text()}")


@pytest.fixture
def page(chromium, lab):
    """The notebook, open; at the end nothing may have complained or asked for another host."""
    context = chromium.new_context(
        viewport={"width": 1280, "height": 1000}, permissions=["clipboard-read", "clipboard-write"]
    )
    page, complaints, hosts = context.new_page(), [], set()
    page.set_default_timeout(PATIENCE * 1000)
    page.on("console", lambda message: complaints.append(message.text) if message.type == "error" else None)
    page.on("pageerror", lambda error: complaints.append(str(error)))
    page.on("request", lambda request: hosts.add(request.url.split("/")[2]) if request.url.startswith("http") else None)
    page.goto(f"{lab}/doc/tree/explore.ipynb?reset")
    yield page
    context.close()
    assert complaints == []
    assert hosts == {lab.split("/")[2]}


@pytest.mark.browser
@pytest.mark.slow
def test_typing_and_dragging_change_text_figure_and_code(page):
    # JupyterLab forgets a cell that is run before its page has a kernel, and says nothing (its issue 8490)
    _until(page, lambda: page.evaluate(KERNEL) == "idle")
    page.locator(".jp-Notebook .cm-content").first.click()
    page.keyboard.press("Shift+Enter")
    steered, base = (page.locator(".wb-panel").nth(i) for i in (1, 0))
    code, figure = page.locator(".wb-code pre"), page.locator(".js-plotly-plot")
    steered.wait_for()
    figure.locator(".gtitle").wait_for()
    assert "+0.50 mood at layer 1" in steered.inner_text()
    assert 'wb.add(ds[1], ratio=0.5, on="prompt[-1] | response")' in code.inner_text()
    assert "wb.generate(lm, " in code.inner_text()
    first = steered.locator("p").inner_text()

    before = base.locator("p").inner_text()
    page.locator(".widget-textarea textarea").fill("list ten red birds")
    _until(page, lambda: "list ten red birds" in code.inner_text())
    assert base.locator("p").inner_text() != before
    typed = steered.locator("p").inner_text()
    assert typed != first

    page.locator(".widget-slider [role=slider], .widget-slider .noUi-handle").nth(1).focus()
    for _ in range(20):  # a drag of many steps
        page.keyboard.press("ArrowLeft")
    _until(page, lambda: "ratio=-0.5" in code.inner_text())
    assert "-0.50 mood at layer 1" in steered.locator("header").inner_text()
    assert steered.locator("p").inner_text() != typed
    _until(page, lambda: "-0.50" in figure.inner_text())

    buttons = page.locator(".widget-toggle-buttons")
    buttons.nth(1).get_by_role("button", name="−").click()  # the second direction is subtracted
    _until(page, lambda: "wb.add(other, ratio=0.5, " in code.inner_text())

    tokens, others = page.locator(".wb-tokens").nth(0), page.locator(".wb-tokens").nth(1)
    unforked = steered.locator("p").inner_text()
    tokens.get_by_role("button").nth(1).click()
    others.get_by_role("button").nth(1).wait_for()
    _until(page, lambda: "token 1," in page.locator(".wb-inside").inner_text())
    assert 'on="response[1]"' in code.inner_text()  # of the components at that token
    assert "%" in others.get_by_role("button").nth(1).inner_text()
    others.get_by_role("button").nth(1).click()
    _until(page, lambda: "prefill=" in code.inner_text())
    assert steered.locator(".wb-begun").inner_text().split()[0] == unforked.split()[0]
    assert steered.locator("p").inner_text() != unforked

    page.get_by_role("button", name="reply to the right answer").click()
    _until(page, lambda: "list ten red birds" in page.locator(".wb-chat").inner_text())
    page.locator(".widget-textarea textarea").fill("write a song")
    _until(page, lambda: "messages=" in code.inner_text() and "write a song" in code.inner_text())
    page.locator(".wb-code button").click()
    # the browser writes the clipboard some time after the click
    _until(page, lambda: page.evaluate("navigator.clipboard.readText()") == code.inner_text())


def _until(page, holds, seconds=PATIENCE):
    for _ in range(seconds * 10):
        if holds():
            return
        page.wait_for_timeout(100)
    assert holds()
