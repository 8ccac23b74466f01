"""``workbench explore`` writes a notebook that runs as it stands, and opens JupyterLab at it."""

import re
import signal
import subprocess
import sys

import nbformat
import psutil
import pytest

import workbench as wb
from tests.families import PROMPTS
from workbench.notebooks import lab
from workbench.notebooks.kernel_sockets import kernel_settings


@pytest.fixture
def contrast(tmp_path):
    path = tmp_path / "mood.csv"
    path.write_text(
        "positive,negative,split\n"
        + "".join(f"{a},{b},train\n" for a, b in zip(PROMPTS[:3], PROMPTS[3:6], strict=True))
    )
    return path


@pytest.mark.slow
def test_the_notebook_runs_as_it_stands(tiny_folder, contrast, tmp_path):
    import nbclient

    path = lab.ready_notebook(str(tiny_folder), str(contrast), tmp_path / "explore")
    book = nbformat.read(path, as_version=4)
    with kernel_settings() as settings:
        nbclient.NotebookClient(book, timeout=600, kernel_name="python3", config=settings).execute()
    assert any("application/vnd.jupyter.widget-view+json" in out.get("data", {}) for out in book.cells[-1].outputs)


def test_a_notebook_that_is_there_is_kept(tmp_path):
    path = lab.ready_notebook("smollm2-refusal", folder=tmp_path)
    path.write_text("mine")
    assert lab.ready_notebook("smollm2-refusal", folder=tmp_path) == path
    assert path.read_text() == "mine"


@pytest.mark.parametrize(
    ("model", "pairs", "said"), [("smolm2", "refusal", "smollm2"), ("smollm2-refusal", "refsal", "refusal")]
)
def test_a_mistake_writes_nothing(model, pairs, said, tmp_path):
    with pytest.raises(wb.WorkbenchError, match=said):
        lab.ready_notebook(model, pairs, tmp_path / "new")
    assert not (tmp_path / "new").exists()


@pytest.fixture
def server(tiny_folder, contrast, tmp_path):
    """``workbench explore`` as a process, the address that it prints, and its notebook."""
    folder = tmp_path / "here"
    words = ["explore", str(tiny_folder), "--pairs", str(contrast), "--folder", str(folder), "--no-browser"]
    process = subprocess.Popen(
        [sys.executable, "-m", "workbench.cli", *words], stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True
    )
    said = []
    for line in process.stdout:
        said.append(line)
        if "/lab/tree/" in line:
            break
    address = re.search(r"http://\S+", said[-1])
    assert address, said
    yield process, address[0], next(folder.glob("*.ipynb"))
    for left in [*psutil.Process(process.pid).children(recursive=True), process] if process.poll() is None else []:
        left.kill()


@pytest.mark.slow
def test_what_stops_the_command_stops_jupyterlab(server):
    process, address, notebook = server
    assert f"/lab/tree/{notebook.name}" in address  # the printed address leads to the notebook
    assert psutil.Process(process.pid).cmdline()[:3] == [sys.executable, "-m", "jupyterlab"]
    process.terminate()
    assert process.wait(60) in (0, -signal.SIGTERM)


@pytest.mark.browser
def test_the_notebook_has_the_whole_page_on_a_phone_too(server, chromium):
    _, address, _ = server
    page = chromium.new_page(viewport={"width": 390, "height": 844})
    page.goto(address, timeout=120_000)
    page.wait_for_selector(".jp-Notebook", timeout=120_000)
    width = "name => document.querySelector(name).getBoundingClientRect().width"
    files, notebook = (page.evaluate(width, name) for name in ("#jp-left-stack", ".jp-Notebook"))
    page.close()
    assert files == 0
    assert notebook > 290
