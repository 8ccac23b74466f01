"""``workbench explore`` writes a notebook that runs as it stands, and opens JupyterLab at it."""

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


@pytest.mark.slow
def test_what_stops_the_command_stops_jupyterlab(tiny_folder, contrast, tmp_path):
    words = ["explore", str(tiny_folder), "--pairs", str(contrast), "--folder", str(tmp_path / "here"), "--no-browser"]
    process = subprocess.Popen(
        [sys.executable, "-m", "workbench.cli", *words], stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True
    )
    said = []
    for line in process.stdout:
        said.append(line)
        if "/lab/tree/" in line:
            break
    name = (tmp_path / "here").glob("*.ipynb").__next__().name
    assert f"/lab/tree/{name}" in said[-1], said  # the printed address leads to the notebook
    assert psutil.Process(process.pid).cmdline()[:3] == [sys.executable, "-m", "jupyterlab"]
    process.terminate()
    assert process.wait(60) in (0, -signal.SIGTERM)
