"""Every block of docs/ works: Python runs as written, page by page on one loaded model; commands and plans are parsed."""

import re
import tomllib
from pathlib import Path

import pytest

import workbench as wb
from tests.pages import code, commands, parse, run
from workbench.claims.tables import markdown
from workbench.notebooks.batch.plan import Matrix

ROOT = Path(__file__).parent.parent
DOCS = sorted((ROOT / "docs").glob("*.md"))
PAGES = [ROOT / "README.md", *DOCS]


@pytest.mark.model
@pytest.mark.slow
@pytest.mark.parametrize("page", DOCS, ids=lambda page: page.stem)
def test_examples_run_as_written(page, tmp_path, monkeypatch, smollm2_quick, extractions, request):
    if page.stem == "cluster":
        request.getfixturevalue("no_ray")  # it starts Rays of its own
    run(page, tmp_path, monkeypatch, smollm2_quick, extractions)


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.stem)
def test_commands_are_understood_by_the_command_line(page):
    targets = set(re.findall(r"^([a-z-]+):", (ROOT / "Makefile").read_text(), flags=re.MULTILINE))
    for program, *words in commands(page):
        if program == "make":
            assert set(words) <= targets
        else:
            parse([program, *words])


@pytest.mark.parametrize(
    "words", [["batch"], ["batch", "quick", "--resum"], ["nww", "claim", "P1"], ["run", "a.ipynb", "b.ipynb"]]
)
def test_a_wrong_command_would_be_noticed(words):
    with pytest.raises(Exception, match=r"[Mm]issing|[Nn]o such|no command|unexpected"):
        parse(["workbench", *words])


def test_commands_are_found_wherever_they_stand(tmp_path):
    page = tmp_path / "page.md"
    page.write_text(
        "make no\n```sh\nmake run  # a comment\nRAY_ADDRESS=auto workbench batch \\\n  quick\n```\n```python\nworkbench = 1\n```\n"
    )
    assert list(commands(page)) == [["make", "run"], ["workbench", "batch", "quick"]]
    assert code(page, "python")[7] == "workbench = 1"


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.stem)
def test_plans_have_known_keys(page):
    plan = tomllib.loads("\n".join(code(page, "toml")))
    for matrix in plan.get("matrix", []):
        assert Matrix(**matrix).models


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.stem)
def test_links_lead_somewhere(page):
    for link in re.findall(r"\]\(([^)\s]+)\)", page.read_text()):
        target, _, anchor = link.partition("#")
        if not link.startswith("https://"):
            there = (page.parent / target) if target else page
            assert there.exists(), link
            headings = re.findall(r"^#+ (.*)", there.read_text(), flags=re.MULTILINE) if anchor else []
            assert not anchor or anchor in {re.sub(r"[^\w -]", "", h.lower()).replace(" ", "-") for h in headings}, link


def test_the_page_of_results_shows_the_published_verdicts(tmp_path):
    said = (ROOT / "docs" / "results.md").read_text(encoding="utf-8")
    (table,) = re.findall(r"<!-- workbench ledger --format md -->\n(.*?)\n<!-- end -->", said, flags=re.DOTALL)
    assert table == markdown(wb.ledger.open(tmp_path, published=True).records())
