"""What the README promises: its example runs as written, its commands exist, its pictures are there."""

import re
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parent.parent
README = (ROOT / "README.md").read_text()


def blocks(language):
    return re.findall(rf"```{language}\n(.*?)```", README, flags=re.DOTALL)


@pytest.mark.model
def test_the_examples_run_as_written(tmp_path):
    example, *more = blocks("python")
    assert len([line for line in example.splitlines() if line.strip()]) <= 14
    done = subprocess.run([sys.executable, "-c", "".join([example, *more])], cwd=tmp_path, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    assert {page.name for page in tmp_path.rglob("*.html")} == {"dose.html", "trajectory.html", "forest.html"}


def test_commands_and_links_exist():
    targets = set(re.findall(r"^([a-z]+):", (ROOT / "Makefile").read_text(), flags=re.MULTILINE))
    assert set(re.findall(r"\bmake ([a-z]+)", README)) <= targets
    for link in re.findall(r"\]\(([^)#]+)\)", README):
        assert link.startswith("https://") or (ROOT / link).exists(), link


def test_policy_and_purpose_are_stated():
    assert "defensive" in README
    assert "not displayed" in README
    assert "TransformerBridge" in README
    assert "HookedTransformer" in README


def test_changelog_names_the_version():
    import workbench

    assert f"## {workbench.__version__}" in (ROOT / "CHANGELOG.md").read_text()
