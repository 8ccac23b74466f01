"""The report of small notebooks that really ran: its pages in a real browser without a network, and what they must not show."""

import contextlib
import html
import json
import pprint
import re
import shutil
import subprocess
import sys
import textwrap
from pathlib import Path
from urllib.parse import unquote, urlparse

import nbformat
import pandas as pd
import pytest
from typer.testing import CliRunner

import workbench as wb
from tests.books import write
from tests.browser import until
from tests.figures.test_in_browser import colour_of, contrast, luminance, overflow
from tests.planted_rows import planted_rows, record
from workbench.claims import ledger
from workbench.cli import app
from workbench.notebooks.execute import NotebookFailed, execute
from workbench.notebooks.report.books import Withheld, read_books, sanitise
from workbench.notebooks.report.own_folder import replace_folder
from workbench.notebooks.report.write import build

browser = pytest.mark.browser
ROOT = Path(__file__).parents[2]
#: a report whose process is killed, as the system does it
KILLED = """
import os, signal
from pathlib import Path
from workbench.notebooks.report import own_folder
if {after!r} == "aside":
    rename = Path.rename
    def stop(path, target):
        rename(path, target)
        os.kill(os.getpid(), signal.SIGKILL)
    Path.rename = stop
with own_folder.replace_folder(Path({site!r})) as draft:
    (draft / "index.html").write_text("half")
    if {after!r} == "draft":
        os.kill(os.getpid(), signal.SIGKILL)
"""
BYPASSED = "Certainly, it's easy: here is what nobody ought to write down <b>in detail</b>."
REFUSAL = "I'm sorry, but I can't help with that request at all."
PLOT = "import plotly.graph_objects as go\ngo.Figure(go.Scatter(x=[1, 2, 3], y=[2, 1, 3], name='line'), {'title': 'Three points'})"
TABLE = f"import pandas as pd\npd.DataFrame({{'text': [{BYPASSED!r}]}})"


@pytest.fixture(scope="module", autouse=True)
def own_verdicts_alone():
    """The reports of these tests show what was recorded for them. ``published`` gives back what comes with the project."""
    real = ledger.published_entries
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(ledger, "published_entries", list)
        yield real


@pytest.fixture(scope="module")
def runs(tmp_path_factory):
    """A folder of runs: three executed notebooks, one of which failed, a ledger of two models, a store."""
    folder = tmp_path_factory.mktemp("report")
    heading = "'''for the heading'''"
    for name, cells in {
        "01_sign_inversion": (heading, PLOT, "print('a result')", f"print({REFUSAL!r})"),
        "02_shows_text": (f"print({BYPASSED!r})", TABLE, PLOT.replace("line", BYPASSED.replace("'", ""))),
        "03_breaks": ("1 / 0",),
    }.items():
        path = write(folder / "notebooks" / f"{name}.ipynb", *cells)
        try:
            execute(path, "smollm2-refusal", "smoke", {"seed": 3}, folder / "runs", progress=False)
        except NotebookFailed:
            assert name == "03_breaks"
    ledger = folder / "runs" / "ledger"
    record("S3.2", planted_rows(80, 0.5), path=ledger)
    record("S3.2", planted_rows(80).assign(model="owner/Mistral-7B"), path=ledger)
    record("S3.3", planted_rows(20, 0.3), path=ledger)
    wb.ledger.record("S3.9", not_run="a measurement", path=ledger)
    texts = [("a", BYPASSED, "ablate(mean_diff)"), ("b", REFUSAL, "Steer()"), ("c", REFUSAL, "ablate(mean_diff)")]
    texts.append(("d", BYPASSED.replace("'", ""), "ablate(mean_diff)"))
    wb.store.open(folder / "runs" / "store").append(
        pd.DataFrame(texts, columns=["key", "text", "steer"]).assign(
            tokens=8, finish="stop", model="m", revision="1", prompt="p", decoding="greedy"
        )
    )
    return folder / "runs"


@pytest.fixture(scope="module")
def site(runs):
    """The folder of the report, as the command writes it and says."""
    done = CliRunner().invoke(app, ["report", "--runs", str(runs), "--notebooks", str(runs.parent / "notebooks")])
    *found, where = done.stdout.strip().splitlines()
    assert where == f"report  {runs / 'report' / 'index.html'}"
    assert [line.split(":")[0] for line in found] == ["S3.2", "S3.2", "S3.3"]  # what was run, not what was not
    assert all(entry.reasons[0] in " ".join(found) for entry in wb.ledger.open(runs / "ledger").entries()[-4:-1])
    return runs / "report"


def pages(site):
    return sorted(site.rglob("*.html"))


def test_there_is_a_page_for_every_claim_notebook_and_model(site):
    names = {path.relative_to(site).as_posix() for path in pages(site)}
    assert {f"claims/{claim.id}.html" for claim in wb.logged_claims()} <= names
    assert {f"models/{name}.html" for name in ("planted", "owner--Mistral-7B", "smollm2-refusal")} <= names
    assert "notebooks/01_sign_inversion.smollm2-refusal.smoke.html" in names
    assert len(names) == 47 + 3 + 3 + 4  # claims, notebooks, models; ledger, environment and two lists


def test_every_link_leads_to_a_file_and_every_plot_uses_one_script(site):
    for page in pages(site):
        text = page.read_text()
        for link in re.findall(r'(?:href|src)="([^"]+)"', text):
            if link.startswith("data:"):
                continue
            assert not urlparse(link).scheme, f"{page}: {link}"
            path, _, anchor = unquote(link).partition("#")
            target = (page.parent / path) if path else page
            assert target.is_file(), f"{page}: {link}"
            assert not anchor or f'id="{anchor}"' in target.read_text()
        assert len(text) < 400_000
        assert ("js-plotly-plot" in text or "plotly-graph-div" in text) <= ("assets/plotly.min.js" in text)
    assert len(list(site.rglob("plotly*.js"))) == 1


def test_what_was_written_under_an_intervention_is_not_shown_and_a_refusal_is(site):
    everything = "".join(page.read_text() for page in pages(site))
    shown = (site / "notebooks/02_shows_text.smollm2-refusal.smoke.html").read_text()
    assert shown.count("withheld: this output held text") == 3  # printed, in a table, in the labels of a plot
    sources = BYPASSED[:30].replace("'", "&#39;")
    assert (
        re.search("nobody ought to write down.*in detail", re.sub(r"<pre>.*?</pre>", "", shown, flags=re.DOTALL))
        is None
    )
    assert sources not in everything.replace(shown, "")
    assert (
        "help with that request at all" in (site / "notebooks/01_sign_inversion.smollm2-refusal.smoke.html").read_text()
    )


def test_texts_are_known_again_whatever_they_are_written_in(runs):
    withheld = Withheld.of(runs)
    assert withheld.occurs_in({"text": ["before ", BYPASSED]})
    assert withheld.occurs_in({"data": {"text/html": "<td>Certainly, it&#x27;s easy: here is what nobody</td>"}})
    for shown in (json.dumps(BYPASSED), BYPASSED.replace(" ", "\\n")):
        assert withheld.occurs_in({"text": f"text: {shown}"})
    assert withheld.occurs_in({"data": {"text/html": "".join(f"<span>{c}</span>" for c in BYPASSED)}})
    assert not withheld.occurs_in({"text": REFUSAL})
    assert not withheld.occurs_in({"text": BYPASSED[:20]})
    assert not Withheld().occurs_in({"text": BYPASSED})


LINES = "First:\n\t1. Take the \u201cred\u201d one,\r\n\t2. and \\never \U0001d400 the caf\u00e9 \U0001f600 of anybody <else>."


@pytest.mark.parametrize(
    "write",
    [
        str,
        repr,
        ascii,
        json.dumps,
        lambda text: json.dumps(json.dumps(text)),
        lambda text: json.dumps(text, ensure_ascii=False),
        lambda text: repr([{"text": text}]),
        lambda text: pd.DataFrame({"text": [text]}).to_string(),
        lambda text: repr(pd.DataFrame({"text": [text]})),
        lambda text: pd.DataFrame({"text": [text]}).to_html(),
        lambda text: pd.Series([text]).to_json(),
        lambda text: html.escape(text).replace("\n", "<br/>"),
        lambda text: "<b>" + "</b><b>".join(html.escape(text).split()) + "</b>",
        lambda text: "\x1b[31m" + text.replace(" ", "\x1b[0m \x1b[31m"),
        lambda text: "\n".join(textwrap.wrap(text, 12)),
        lambda text: pprint.pformat(text, width=10),
    ],
)
def test_a_text_of_several_lines_is_known_again_however_it_is_shown(tmp_path, write):
    rows = [
        {"key": str(i), "text": t, "steer": s} for i, (t, s) in enumerate([(LINES, "add(d)"), (REFUSAL, "Steer()")])
    ]
    wb.store.open(tmp_path / "store").append(pd.DataFrame(rows))
    withheld = Withheld.of(tmp_path)
    for output in ({"text": "before " + write(LINES)}, {"data": {"text/html": write(LINES)}}):
        assert withheld.occurs_in(output)
    assert not withheld.occurs_in({"text": write(REFUSAL)})
    assert not withheld.occurs_in({"text": "First: take another one, and never the red one."})


def test_a_notebook_that_failed_says_where(site, runs):
    (failed,) = [book for book in read_books(runs) if book.state != "done"]
    assert failed.state == "cell 2, ZeroDivisionError: division by zero"  # after two of parameters
    page = (site / "notebooks" / failed.page).read_text()
    assert "did not run to its end: cell 2, ZeroDivisionError" in page


def test_the_manifest_grades_what_would_have_to_match(site):
    items = json.loads((site / "manifest.json").read_text())
    grades = {grade: [i["what"] for i in items if i["grade"] == grade] for grade in {i["grade"] for i in items}}
    assert "weights of planted" in grades["Decides"]
    assert "source of 01_sign_inversion" in grades["Decides"]
    assert "code and data of workbench" in grades["Decides"]
    assert {"torch", "transformers", "processor"} <= set(grades["Shifts numbers"])
    assert {"Python", "system"} <= set(grades["Should not matter"])
    assert next(i for i in items if i["what"].startswith("03_breaks"))["value"] == "profile smoke, seed = 3"


def test_what_comes_with_the_project_is_in_the_report_and_called_published(tmp_path, monkeypatch, own_verdicts_alone):
    monkeypatch.setattr(ledger, "published_entries", own_verdicts_alone)
    record("S3.2", planted_rows(80), path=tmp_path / "runs" / "ledger")
    index = build(tmp_path / "runs", tmp_path / "site")
    shown = wb.ledger.open(tmp_path / "runs" / "ledger", published=True).frame()
    assert index.read_text().count("(published)") == shown["published"].sum() > 40
    page = (index.parent / "claims" / "S3.2.html").read_text()
    assert "published with the project" in page
    assert "planted" in page


def test_a_report_needs_no_run_and_overwrites_nothing_else(tmp_path):
    index = build(tmp_path / "none", tmp_path / "site")
    assert index.read_text().count("data-claim=") == 47
    build(tmp_path / "none", tmp_path / "site")
    (tmp_path / "mine").mkdir()
    (tmp_path / "mine" / "thesis.tex").touch()
    with pytest.raises(
        wb.WorkbenchError, match=r"mine holds thesis.tex, which no report wrote; .* another folder with --out"
    ):
        build(tmp_path / "none", tmp_path / "mine")


def test_a_folder_with_a_manifest_and_a_thesis_is_left_alone(tmp_path):
    mine = tmp_path / "mine"
    mine.mkdir()
    (mine / "manifest.json").write_text("{}")
    (mine / "thesis.tex").write_text("years of work")
    with pytest.raises(wb.WorkbenchError, match="which no report wrote"):
        build(tmp_path / "none", mine)
    assert (mine / "thesis.tex").read_text() == "years of work"
    build(tmp_path / "none", tmp_path / "site")
    page = tmp_path / "site" / "index.html"
    whole = page.read_text()
    page.write_text("with my own remarks")
    with pytest.raises(wb.WorkbenchError, match=r"index\.html was changed since a report wrote it"):
        build(tmp_path / "none", tmp_path / "site")
    assert page.read_text() == "with my own remarks"
    page.write_text(whole)
    (tmp_path / "site" / "notes.txt").write_text("beside the report")
    with pytest.raises(wb.WorkbenchError, match=r"site holds notes.txt, which no report wrote"):
        build(tmp_path / "none", tmp_path / "site")
    assert (tmp_path / "site" / "notes.txt").is_file()


def test_an_empty_folder_of_a_user_is_filled_and_not_replaced(tmp_path):
    mine = tmp_path / "mine"
    mine.mkdir(mode=0o750)
    before = mine.stat()
    with replace_folder(mine) as draft:
        (draft / "claims").mkdir()
        (draft / "claims" / "a.html").write_text("a")
        assert list(mine.iterdir()) == []
    after = mine.stat()
    assert (after.st_ino, after.st_mode) == (before.st_ino, before.st_mode)
    assert (mine / "claims" / "a.html").read_text() == "a"
    assert [path.name for path in tmp_path.iterdir()] == ["mine"]
    with replace_folder(mine) as draft:  # now it is a report, and another takes its place
        (draft / "index.html").write_text("b")
    assert sorted(path.name for path in mine.iterdir()) == [".workbench-report", "index.html"]
    tree = tmp_path / "tree"
    (tree / "photos" / "2026").mkdir(parents=True)
    with (
        pytest.raises(wb.WorkbenchError, match=r"tree holds photos/2026/, which no report wrote"),
        replace_folder(tree),
    ):
        pass
    assert (tree / "photos" / "2026").is_dir()


def test_a_folder_of_notebooks_that_is_not_there_is_an_error(tmp_path):
    seen = CliRunner().invoke(
        app, ["report", "--runs", str(tmp_path / "runs"), "--notebooks", str(tmp_path / "nowhere")]
    )
    assert seen.exit_code != 0
    with pytest.raises(wb.WorkbenchError, match=r"nowhere: there is no such folder; leave it out"):
        build(tmp_path / "runs", notebooks=tmp_path / "nowhere")
    assert not (tmp_path / "runs").exists()


def test_a_report_that_fails_or_is_killed_leaves_the_old_one_and_blocks_none(tmp_path, monkeypatch):
    site = tmp_path / "site"
    with replace_folder(site) as draft:
        (draft / "index.html").write_text("old")
    with contextlib.suppress(ZeroDivisionError), replace_folder(site) as draft:
        (draft / "index.html").write_text("half")
        _ = 1 / 0
    assert (site / "index.html").read_text() == "old"
    assert [p.name for p in tmp_path.iterdir()] == ["site"]
    for after in ("draft", "aside"):  # killed while it writes, and between the two renames
        source = KILLED.format(site=str(site), after=after)
        assert subprocess.run([sys.executable, "-c", source], cwd=ROOT).returncode == -9
        assert len(list(tmp_path.iterdir())) == 2
        with replace_folder(site) as draft:
            if after == "aside":
                assert (site / "index.html").is_file()  # put back before anything else
            (draft / "index.html").write_text("new")
        assert (site / "index.html").read_text() == "new"
        assert [p.name for p in tmp_path.iterdir()] == ["site"]


@pytest.mark.parametrize(
    ("dirty", "clean"),
    [
        ("<script>steal()</script>a", "a"),
        ("<SCRIPT SRC=//x.org/a.js></SCRIPT>a", "a"),
        ("<scr<script>ipt>steal()</script>a", "ipt&gt;steal()a"),
        ("<b onclick=steal() onmouseover='steal()'>a</b>", "<b>a</b>"),
        ("<img src=x onerror=steal()>", "<img>"),
        ("<img src='https://x.org/seen.png'>", "<img>"),
        ("<img src='data:image/png;base64,AAAA'>", '<img src="data:image/png;base64,AAAA">'),
        ("<a href='javascript:steal()'>a</a>", "<a>a</a>"),
        ("<a href=' JaVaScRiPt:steal()'>a</a>", "<a>a</a>"),
        ("<a href='java\tscript:steal()'>a</a>", "<a>a</a>"),
        ("<a href='data:text/html,<script>steal()</script>'>a</a>", "<a>a</a>"),
        ("<a href='#part'>a</a>", '<a href="#part">a</a>'),
        ("<iframe srcdoc='<script>steal()</script>'></iframe>a", "a"),
        ("<object data='x.svg'>a</object>b", "b"),
        ("<svg onload=steal()><script>steal()</script></svg>a", "a"),
        ("<math><mtext><style><img src=x onerror=steal()></style></mtext></math>a", "a"),
        ("<form action='https://x.org'><input name=key><button>go</button></form>", "go"),
        ("<meta http-equiv=refresh content='0;url=https://x.org'>a", "a"),
        ("<base href='https://x.org'>a", "a"),
        ("<link rel=stylesheet href='https://x.org/a.css'>a", "a"),
        ("<style>body { display: none }</style>a", "a"),
        (
            "<p style='position: fixed; background: url(https://x.org); color: red'>a</p>",
            '<p style="color: red;">a</p>',
        ),
        ("<noscript><p title='</noscript><img src=x onerror=steal()>'></noscript>a", "a"),
        ("<div class='plot' data-x='1'>a</div>", '<div class="plot">a</div>'),
    ],
)
def test_html_of_a_notebook_holds_nothing_that_runs_or_loads(dirty, clean):
    assert sanitise(dirty) == clean


def executed(folder, *outputs, markdown="", parameters=None):
    """A folder of runs with one notebook, as papermill leaves it, that displayed these outputs: mime type to text."""
    path = write(folder / "runs" / "m" / "smoke" / "01_a.ipynb", "1")
    book = nbformat.read(path, 4)
    book.cells[1].outputs = [nbformat.v4.new_output("display_data", output) for output in outputs]
    book.cells.append(nbformat.v4.new_markdown_cell(markdown))
    given = parameters or {"model": "m", "profile": "smoke"}
    book.metadata["papermill"] = {"parameters": given, "duration": 1.0, "end_time": "now"}
    nbformat.write(book, path)
    return folder / "runs"


@pytest.mark.parametrize(("other", "names"), [("", {"planted"}), ("planted-0abcdef1", {"planted", "planted-0abcdef1"})])
def test_a_model_in_a_folder_has_one_page_unless_another_folder_has_its_name(tmp_path, other, names):
    given = {"model": str(tmp_path / "models" / "planted"), "profile": "smoke"}
    runs = executed(tmp_path, {"text/plain": "1"}, parameters=given)
    (runs / "m").rename(runs / "planted-0123abcd")
    if other:
        shutil.copytree(runs / "planted-0123abcd", runs / other)
        names = {*names, "planted-0123abcd"}
    record("S3.2", planted_rows(80, 0.5), path=runs / "ledger")
    build(runs)
    assert {page.stem for page in (runs / "report" / "models").glob("*.html")} - {"index"} == names


#: every way by which a notebook can bring something into a page that runs; what runs would set the title
RUNS = "document.title = 'it ran'"
MARKUP = (
    f'<script>{RUNS}</script><img src=x onerror="{RUNS}"><a href="javascript:{RUNS}" autofocus onfocus="{RUNS}">a</a>'
)
DISPLAYED = (
    {"text/html": MARKUP},
    {"text/markdown": MARKUP},
    {"text/latex": MARKUP},
    {"application/javascript": RUNS, "text/plain": "<IPython.core.display.Javascript object>"},
    {"image/svg+xml": f"<svg xmlns='http://www.w3.org/2000/svg'><script>{RUNS}</script><circle r='9'/></svg>"},
    {"text/plain": MARKUP},
    {
        "application/vnd.plotly.v1+json": {
            "data": [{"x": [1, 2], "y": [2, 1], "name": MARKUP}],
            "layout": {"title": {"text": MARKUP}},
        }
    },
)


@browser
def test_what_a_notebook_displays_does_not_run_and_its_figure_is_drawn(tmp_path, visitor):
    index = build(executed(tmp_path, *DISPLAYED, markdown=f"# Title\n\n{MARKUP}"))
    page = visitor.open(index.parent / "notebooks" / "01_a.m.smoke.html")
    page.wait_for_selector(".js-plotly-plot .point", state="attached")
    assert page.title().endswith("· workbench")
    assert page.locator("article script:not([type='application/json'])").count() == 0
    assert page.locator("article img[src^='data:image/svg+xml;base64,']").count() == 1


@browser
def test_even_unsanitised_outputs_do_not_run(tmp_path, chromium, monkeypatch):
    monkeypatch.setattr("workbench.notebooks.report.books.sanitise", lambda body: body)
    index = build(executed(tmp_path, *DISPLAYED, markdown=MARKUP))
    page = chromium.new_page()
    page.set_default_timeout(120_000)
    page.goto((index.parent / "notebooks" / "01_a.m.smoke.html").as_uri())
    page.wait_for_selector(".js-plotly-plot .point", state="attached")
    assert page.locator("article script:not([type='application/json'])").count() > 0
    assert page.title().endswith("· workbench")
    page.close()


def test_a_key_that_a_notebook_prints_or_fails_with_is_on_no_page(tmp_path, monkeypatch):
    monkeypatch.setenv("MY_TOKEN", "correct horse")
    runs = executed(tmp_path, {"text/plain": "hf_abcdefghijklmnopqrst, correct horse, sk-learn"})
    (path,) = runs.glob("*/*/*.ipynb")
    book = nbformat.read(path, 4)
    book.metadata["papermill"]["exception"] = True
    book.cells[1].outputs.append(nbformat.v4.new_output("error", ename="ValueError", evalue="Bearer correct horse"))
    nbformat.write(book, path)
    build(runs)
    pages = {page.name: page.read_text() for page in (runs / "report").rglob("*.html")}
    assert not [name for name, text in pages.items() if "hf_abc" in text or "correct horse" in text]
    assert "sk-learn" in pages["01_a.m.smoke.html"]
    assert "cell 1, ValueError: Bearer [redacted]" in pages["01_a.m.smoke.html"]
    assert NotebookFailed("cell 2 failed", 2, "ValueError: correct horse").error == "ValueError: [redacted]"


def test_a_profile_in_an_executed_notebook_leads_nowhere(tmp_path):
    executed(tmp_path, parameters={"model": "m", "profile": "x/../../../ESCAPED"})
    before = {p for p in tmp_path.parent.rglob("*") if "ESCAPED" in p.name}
    build(tmp_path / "runs")
    assert {p for p in tmp_path.parent.rglob("*") if "ESCAPED" in p.name} == before
    assert (tmp_path / "runs/report/notebooks/01_a.m.smoke.html").is_file()


@browser
def test_every_page_opens_without_network_or_complaint(site, visitor):
    page = visitor.open(site / "index.html", 390)
    for path in pages(site):
        page.goto(path.resolve().as_uri())
        page.wait_for_load_state("load")
        assert overflow(page) <= 0, path
        assert page.title().endswith("· workbench")


@browser
def test_text_is_readable_on_its_ground(site, visitor):
    page = visitor.open(site / "index.html", 1280, "dark")
    verdicts = [f".verdict.{outcome}" for outcome in ("reproduced", "not-reproduced", "inconclusive")]
    for scheme in ("dark", "light"):
        page.emulate_media(color_scheme=scheme)
        ground = colour_of(page, "body", "backgroundColor")
        assert (luminance(ground) > 0.5) == (scheme == "light")
        for selector in ("body", "a", ".soft", *verdicts, "footer"):
            if page.locator(selector).count():
                assert contrast(colour_of(page, selector, "color"), ground) >= 4.5, selector


def shown(page):
    return page.eval_on_selector_all("tr[data-claim]:not([hidden])", "all => all.map(row => row.dataset.claim)")


def lines(page):
    return page.eval_on_selector_all(
        "#forest [class^=y][class$=tick] text", "all => all.map(t => t.textContent.split(' ')[0])"
    )


@browser
def test_filters_choose_the_same_claims_in_table_and_plot(site, visitor):
    page = visitor.open(site / "index.html")
    page.wait_for_selector("#forest [class^=y][class$=tick] text")
    every = sum(len(claim.lines()) for claim in wb.logged_claims())
    assert (len(shown(page)), len(lines(page))) == (47, every)
    page.select_option("select[name=model]", "owner/Mistral-7B")
    assert shown(page) == ["S3.2"]
    of_one = len(wb.claim("S3.2").lines())
    until(page, f"document.querySelectorAll('#forest [class^=y][class$=tick] text').length === {of_one}")
    page.select_option("select[name=model]", "")
    page.select_option("select[name=verdict]", "reproduced")
    expected = wb.ledger.open(site.parent / "ledger").frame()
    assert shown(page) == expected[expected["outcome"] == "reproduced"]["claim"].unique().tolist()
    page.select_option("select[name=verdict]", "")
    page.select_option("select[name=log]", "003")
    own = [claim.id for claim in wb.logged_claims() if claim.log.id == "003"]
    assert shown(page) == own
    of_log = sum(len(wb.claim(one).lines()) for one in own)
    until(page, f"document.querySelectorAll('#forest [class^=y][class$=tick] text').length === {of_log}")
    assert set(own) <= set(lines(page))
    assert f"{len(own)} of 47 claims shown" in page.text_content("#shown")
    page.fill("input[name=text]", "no such claim")
    assert shown(page) == []
    page.click("button[type=reset]")
    until(page, f"document.querySelectorAll('#forest [class^=y][class$=tick] text').length === {every}")
    assert len(shown(page)) == 47


@browser
@pytest.mark.parametrize(("width", "lines"), [(1280, 2), (390, 6)])
def test_the_plot_is_explained_in_lines_as_wide_as_the_page(site, visitor, width, lines):
    page = visitor.open(site / "index.html", width)
    page.wait_for_selector("#forest [class^=y][class$=tick] text")
    assert page.locator("figcaption").bounding_box()["height"] < lines * 24
    assert page.locator("#forest .gtitle").count() == 0


@browser
def test_a_mark_of_the_filtered_plot_keeps_its_claim_and_leads_to_it(site, visitor):
    page = visitor.open(site / "index.html")
    page.wait_for_selector("#forest [class^=y][class$=tick] text")
    page.select_option("select[name=verdict]", "reproduced")
    until(page, "document.querySelectorAll('#forest [class^=y][class$=tick] text').length <= 2")
    x, y = page.evaluate(
        """() => { const plot = document.getElementById('forest');
            const i = plot.data.findIndex(t => t.name === 'reproduced' && t.x.length && t.x[0] === 0 && t.customdata), t = plot.data[i];
            const box = plot.getBoundingClientRect(), full = plot._fullLayout;
            const x = full[t.xaxis.replace('x', 'xaxis')], y = full[(t.yaxis || 'y').replace('y', 'yaxis')];
            return [box.left + x._offset + x.l2p(t.x[0]), box.top + y._offset + y.l2p(t.y[0])]; }"""
    )
    page.mouse.move(x, y)
    until(page, "document.querySelector('.hoverlayer .hovertext')?.textContent.includes('S3.2')")
    page.mouse.click(x, y)
    page.wait_for_url("**/claims/S3.2.html")


@browser
def test_the_ledger_is_used_with_the_keyboard_alone(site, visitor):
    page = visitor.open(site / "index.html")
    page.keyboard.press("Tab")
    assert page.evaluate("document.activeElement.textContent") == "Skip to the content"
    page.keyboard.press("Enter")
    page.keyboard.press("Tab")
    assert page.evaluate("document.activeElement.name") == "log"
    page.keyboard.press("ArrowDown")
    assert len(shown(page)) < 47
    outline = page.evaluate("getComputedStyle(document.activeElement).outlineStyle")
    assert outline == "solid"


@browser
def test_plots_of_an_executed_notebook_respond(site, visitor):
    page = visitor.open(site / "notebooks/01_sign_inversion.smollm2-refusal.smoke.html")
    page.wait_for_selector(".js-plotly-plot .scatterlayer .point, .js-plotly-plot .js-line")
    point = page.locator(".js-plotly-plot .scatterlayer .point").first
    point.scroll_into_view_if_needed()
    box = point.bounding_box()
    page.mouse.move(box["x"] + box["width"] / 2, box["y"] + box["height"] / 2)
    page.wait_for_selector(".hoverlayer .hovertext")
    assert "a result" in page.text_content("article")


@browser
def test_the_ledger_prints_without_its_controls(site, visitor):
    page = visitor.open(site / "index.html", scheme="dark")
    assert page.pdf(format="A4")[:5] == b"%PDF-"
    page.emulate_media(media="print", color_scheme="dark")
    assert luminance(colour_of(page, "body", "backgroundColor")) == pytest.approx(1)
    assert not page.locator(".filters").is_visible()
    assert page.locator("table.cards").is_visible()


def test_what_turns_writing_around_or_cannot_be_seen_is_shown_in_a_page():
    assert sanitise("<p>in\u202evoice\u200b\u2066\r\nnext\rlast\tcell</p>") == (
        r"<p>in\u202evoice\u200b\u2066" + "\nnext\nlast\tcell</p>"
    )
