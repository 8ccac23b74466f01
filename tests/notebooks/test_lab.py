"""``workbench explore`` writes a notebook that runs as it stands, and opens JupyterLab at it."""

import subprocess
import sys

import nbformat
import pytest

import workbench as wb
from tests.families import PROMPTS
from workbench.notebooks import lab


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
    nbclient.NotebookClient(book, timeout=600, kernel_name="python3").execute()
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


def test_jupyterlab_is_opened_with_this_python(tmp_path, monkeypatch):
    calls = []
    monkeypatch.delenv("JPY_PARENT_PID", raising=False)
    monkeypatch.setattr(
        subprocess, "run", lambda command, **_: calls.append(command) or subprocess.CompletedProcess(command, 0)
    )
    assert lab.open_lab(tmp_path / "a.ipynb", browser=False) == 0
    assert calls[0][:4] == [sys.executable, "-m", "jupyterlab", str(tmp_path / "a.ipynb")]
    assert "--no-browser" in calls[0]
    assert "--LabApp.default_url=/lab/tree/a.ipynb" in calls[0]  # the printed address leads to the notebook
