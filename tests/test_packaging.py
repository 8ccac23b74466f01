"""Imports are quick, public names resolve, and a built wheel carries its data outside the checkout."""

import os
import re
import shutil
import subprocess
import sys
import tomllib
import venv
import zipfile
from pathlib import Path

import pytest
from packaging.requirements import Requirement

import workbench as wb

ROOT = Path(__file__).parent.parent


def test_every_public_name_resolves():
    for name in wb.__all__:
        assert getattr(wb, name) is not None
    with pytest.raises(AttributeError, match="nonsense"):
        wb.nonsense  # noqa: B018


def test_no_module_hides_a_public_name():
    """Once ``workbench.x`` is imported, ``wb.x`` is that module and no longer what is lazily looked up."""
    modules = {path.stem for path in (ROOT / "workbench").iterdir()} - {"figures", "statistics"}  # public as they are
    assert not modules & set(wb.__all__)


def test_import_is_light():
    code = "import sys, workbench; print(sorted({m.split('.')[0] for m in sys.modules} & {'torch', 'transformers', 'pandas', 'scipy'}))"
    assert subprocess.run([sys.executable, "-c", code], capture_output=True, text=True).stdout.strip() == "[]"


def test_every_declared_dependency_is_used_and_pinned():
    project = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
    declared = [d.split(">")[0].split("[")[0] for d in project["dependencies"]]
    pinned = {
        line.split("==")[0].lower() for line in (ROOT / "constraints.txt").read_text().splitlines() if "==" in line
    }
    assert {d.lower() for d in declared} <= pinned
    code = "\n".join(
        p.read_text() for p in [*ROOT.glob("workbench/**/*.py"), *ROOT.glob("tests/**/*.py"), ROOT / "Makefile"]
    )
    modules = {
        "transformer-lens": "transformer_lens",
        "scikit-learn": "sklearn",
        "pyarrow": "parquet",
        "ipykernel": "kernel_name",
        "ipywidgets": "tqdm.auto",  # its bars in notebooks
        "jupyterlab": "jupyter lab",
        "lazy-loader": "lazy_loader",
        "beautifulsoup4": "bs4",
    }
    for name in declared:
        assert modules.get(name, name) in code, name


@pytest.mark.xdist_group("of one")
def test_workers_take_a_group_of_tests_as_one(request):
    """pytest 9.2 with pytest-xdist 3.8 spreads groups over the workers and says nothing: models and Ray are then up twice."""
    if not request.config.getoption("loadgroup", False):
        pytest.skip("one process runs all tests")
    assert request.node.nodeid.endswith("@of one"), "install the releases of constraints.txt: make test does"


@pytest.mark.slow
def test_a_wheel_carries_the_data_and_works_outside_the_checkout(tmp_path):
    build = [sys.executable, "-m", "pip", "wheel", "--quiet", "--no-deps", "--wheel-dir", str(tmp_path), str(ROOT)]
    subprocess.run(build, check=True, capture_output=True)
    (wheel,) = tmp_path.glob("steering_workbench-*.whl")
    names = zipfile.ZipFile(wheel).namelist()
    for part in ("prompts/refusal/harmful.jsonl", "claims/S3.toml", "models/smollm2-refusal/adapter_model.safetensors"):
        assert f"workbench/data/{part}" in names
    for part in (
        "data/plans/quick.toml",
        "notebooks/report/templates/base.html.j2",
        "notebooks/report/assets/style.css",
        "claims/templates/claim.toml",
    ):
        assert f"workbench/{part}" in names
    venv.create(tmp_path / "venv", with_pip=False, system_site_packages=False)
    site = next((tmp_path / "venv" / "lib").glob("python*/site-packages"))
    zipfile.ZipFile(wheel).extractall(site)
    here = next(p for p in sys.path if p.endswith("site-packages"))
    code = (
        "import workbench as wb; from workbench._files import data_folder; print(wb.__file__);"
        "print(len(wb.prompts('refusal/harmful')), wb.claim('S3.2').title, data_folder().parent.name)"
    )
    environment = {**os.environ, "PYTHONPATH": os.pathsep.join([str(site), here])}
    python = str(tmp_path / "venv" / "bin" / "python")
    done = subprocess.run([python, "-c", code], cwd=tmp_path, env=environment, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    assert str(site) in done.stdout.splitlines()[0]
    assert done.stdout.splitlines()[1] == "580 Sign inversion workbench"


@pytest.mark.index
@pytest.mark.slow
def test_the_dependencies_resolve_without_constraints(tmp_path, record_property):
    """What ``pip install .`` would take today, from the index's metadata: nothing is downloaded but that."""
    uv = shutil.which("uv", path=os.pathsep.join([str(Path(sys.executable).parent), os.environ["PATH"]]))
    assert uv, "no uv: pip install --constraint constraints.txt -e '.[dev]'"
    command = [uv, "pip", "compile", "--quiet", "--no-header", "--cache-dir", str(tmp_path / "cache")]
    command += ["--python", sys.executable, str(ROOT / "pyproject.toml")]
    done = subprocess.run(command, capture_output=True, text=True, cwd=tmp_path)
    assert done.returncode == 0, done.stderr
    resolved = dict(re.findall(r"^([\w.-]+)==(\S+)", done.stdout, flags=re.MULTILINE))
    for declared in tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]["dependencies"]:
        asked = Requirement(declared)
        assert resolved[asked.name] in asked.specifier, declared
    for name in ("torch", "transformers", "transformer-lens"):
        record_property(name, resolved[name])


def test_no_page_tells_to_install_the_workbench_of_another_project():
    """Another project owns the name ``workbench`` on the package index: this one is installed from its checkout."""
    pages = [ROOT / "README.md", ROOT / "CONTRIBUTING.md", *ROOT.glob("docs/**/*.md"), *ROOT.glob("data/**/*.md")]
    texts = {page: page.read_text(encoding="utf-8") for page in [*pages, *ROOT.glob("notebooks/*.ipynb")]}
    install = re.compile(
        r"(?:pip3?|uv|pipx|conda)\s+(?:\w+\s+)?(?:install|add)[^\n`#]*?\s(?:steering-)?workbench\b(?![/.])"
    )
    assert install.search("pip install -U workbench")
    assert not install.search('pip install -e ".[ray]"')
    assert not {page.name: found[0] for page, text in texts.items() if (found := install.search(text))}
