"""What the README promises: its example runs as written, its commands exist, its pictures are there."""

import re
from pathlib import Path

import pytest

from tests.pages import run

ROOT = Path(__file__).parent.parent
README = (ROOT / "README.md").read_text()


def blocks(language):
    return re.findall(rf"```{language}\n(.*?)```", README, flags=re.DOTALL)


@pytest.mark.model
def test_the_examples_run_as_written(tmp_path, monkeypatch, smollm2_quick, extractions):
    assert len([line for line in blocks("python")[0].splitlines() if line.strip()]) <= 14
    run(ROOT / "README.md", tmp_path, monkeypatch, smollm2_quick, extractions)
    assert {page.name for page in tmp_path.rglob("*.html")} == {"dose.html", "trajectory.html", "forest.html"}


def test_policy_and_purpose_are_stated():
    assert "defensive" in README
    assert "not displayed" in README
    assert "TransformerBridge" in README
    assert "HookedTransformer" in README


def test_changelog_names_the_version():
    import workbench

    assert f"## {workbench.__version__}" in (ROOT / "CHANGELOG.md").read_text()
