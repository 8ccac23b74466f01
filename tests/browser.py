"""A real Chromium for the tests of pages: no network, and whatever a page complains about is kept."""

import shutil
import time
from contextlib import contextmanager
from pathlib import Path

import pytest

#: two frames are drawn, and the page has nothing left to do
SETTLED = """async () => {
    for (let i = 0; i < 2; i++) await new Promise(done => requestAnimationFrame(done));
    await new Promise(done => requestIdleCallback(done));
}"""
NAMES = ("chromium", "chromium-browser", "google-chrome", "google-chrome-stable")


def executable():
    """The system's Chromium; without one these tests fail, since a skipped test proves nothing about a page."""
    found = next(filter(None, map(shutil.which, NAMES)), None)
    if found is None:
        pytest.fail(f"no browser: none of {', '.join(NAMES)} is on the PATH. Type: apt-get install chromium")
    return found


@contextmanager
def launched():
    """A headless Chromium, closed at the end together with Playwright's event loop."""
    from playwright.sync_api import sync_playwright

    path = executable()
    with sync_playwright() as playwright:
        chromium = playwright.chromium.launch(executable_path=path, timeout=300_000)
        try:
            yield chromium
        finally:
            chromium.close()


def until(page, condition, seconds=120):
    """Wait until a condition holds, asked from outside.

    A page with a policy may not evaluate text, so Playwright's `wait_for_function` fails there unless the condition
    holds at once.
    """
    end = time.monotonic() + seconds
    while not page.evaluate(condition):
        assert time.monotonic() < end, condition
        time.sleep(0.05)


class Visitor:
    """Opens pages from disk with the network cut, and remembers every complaint and every request beyond the disk."""

    def __init__(self, chromium):
        self.chromium = chromium
        self.complaints = []
        self.requests = []
        self._contexts = []

    def open(self, path: Path, width: int = 1280, scheme: str = "light"):
        context = self.chromium.new_context(
            viewport={"width": width, "height": 900}, color_scheme=scheme, offline=True, service_workers="block"
        )
        self._contexts.append(context)
        page = context.new_page()
        page.set_default_timeout(120_000)
        page.on("console", lambda message: self.complaints.append(f"{message.type}: {message.text}"))
        page.on("pageerror", lambda error: self.complaints.append(str(error)))
        page.on("requestfailed", lambda request: self.complaints.append(f"failed: {request.url[:200]}"))
        page.on("dialog", lambda dialog: (self.complaints.append(f"dialog: {dialog.message}"), dialog.dismiss()))
        page.on("request", lambda request: self.requests.append(request.url))
        page.goto(path.resolve().as_uri())
        page.wait_for_load_state("load")
        page.evaluate(SETTLED)  # a page with a policy never counts as idle by the network
        return page

    @property
    def abroad(self):
        """Requests that were not for a file or for data within the page."""
        return [url for url in self.requests if not url.startswith(("file:", "data:", "blob:"))]

    def close(self):
        for context in self._contexts:
            for page in context.pages:
                page.evaluate(SETTLED)  # what it still has to complain about is said
            context.close()
