"""Every notebook runs top to bottom; parameters are checked; a failing cell loses nothing. Notebooks in git are bare."""

import inspect
import json
import re
import shutil
from pathlib import Path

import nbformat
import pytest

import workbench as wb
from tests.books import write
from tests.families import tiny_model
from workbench.claims.claim import OUTCOMES
from workbench.claims.files import own_claims
from workbench.models.registry import label
from workbench.notebooks.execute import execute, find, read_parameters, read_texts

NOTEBOOKS = sorted((Path(__file__).parents[2] / "notebooks").glob("[0-9][0-9]_*.ipynb"))
SIGN_INVERSION = next(path for path in NOTEBOOKS if path.stem == "01_sign_inversion")


#: what every notebook says, in this order
PARTS = (r"^\*\*Question\.\*\*", r"^\*\*Logged finding", r"^## .*[Vv]erdict", r"^\*\*Limits\.\*\*")


def faults(path):
    """What keeps a notebook from reading like a short paper, bare of outputs."""
    cells = nbformat.read(path, as_version=4).cells
    text = "\n".join(cell.source for cell in cells if cell.cell_type == "markdown")
    code = [cell for cell in cells if cell.cell_type == "code"]
    places = [found.start() if (found := re.search(part, text, re.MULTILINE)) else -1 for part in PARTS]
    said = {claim for span in re.findall(r"S\d\.\d+(?: to S\d\.\d+)?", text) for claim in spanned(span)}
    said |= set(re.findall(r"W\.\d+", text))
    wrong = {
        "title": not re.match(rf"# {path.stem[:2]} · \S", cells[0].source),
        "parts": -1 in places or places != sorted(places),
        "claims": not claims_of(path) <= said,
        "outputs": any(cell.get("outputs") or cell.get("execution_count") for cell in cells),
        "leftovers": any(set(cell.metadata) - {"tags"} for cell in cells)
        or "papermill" in nbformat.read(path, 4).metadata,
        "parameters": sum("parameters" in cell.metadata.get("tags", []) for cell in code) != 1
        or not {"model", "profile", "seed", "out"} <= set(read_parameters(path)),
        "length": len(code) > 16 or max(len(cell.source.splitlines()) for cell in code) > 22,
    }
    return [name for name, found in wrong.items() if found]


def claims_of(path):
    """The claims that a notebook is about: logged ones, and those of this project."""
    return {claim.id for claim in (*wb.logged_claims(), *own_claims()) if claim.notebook == path.stem}


def spanned(span):
    """The claims that "S0.1 to S0.8" or "S3.2" names."""
    ends = re.findall(r"(S\d)\.(\d+)", span)
    return {f"{ends[0][0]}.{i}" for i in range(int(ends[0][1]), int(ends[-1][1]) + 1)}


@pytest.mark.parametrize("path", NOTEBOOKS, ids=lambda p: p.stem)
def test_a_notebook_in_git_reads_like_a_short_paper(path):
    assert faults(path) == []


@pytest.mark.parametrize(
    ("fault", "change"),
    [
        ("title", lambda book: book.cells[0].update(source="# Sign inversion\n" + book.cells[0].source)),
        ("parts", lambda book: book.cells.pop(0)),
        ("parts", lambda book: book.cells.pop(-1)),
        ("parts", lambda book: book.cells.insert(0, book.cells.pop(-1))),
        ("claims", lambda book: [c.update(source=c.source.replace("S3.2", "S3.3")) for c in book.cells]),
        ("outputs", lambda book: book.cells[2].update(outputs=[nbformat.v4.new_output("stream", text="x")])),
        ("outputs", lambda book: book.cells[2].update(execution_count=1)),
        ("leftovers", lambda book: book.cells[2].metadata.update(papermill={})),
        ("leftovers", lambda book: book.metadata.update(papermill={})),
        ("parameters", lambda book: book.cells[2].metadata.update(tags=[])),
        ("parameters", lambda book: book.cells[2].update(source="model = ''")),
        ("length", lambda book: book.cells[2].update(source=book.cells[2].source + "\nx = 1" * 20)),
    ],
)
def test_what_is_wrong_with_a_notebook_is_noticed(tmp_path, fault, change):
    book = nbformat.read(SIGN_INVERSION, as_version=4)
    change(book)
    nbformat.write(book, tmp_path / SIGN_INVERSION.name)
    assert fault in faults(tmp_path / SIGN_INVERSION.name)


@pytest.mark.model
@pytest.mark.parametrize("model", ["smollm2-refusal"])
def test_sign_inversion_runs(tmp_path, model, extractions):
    shutil.copytree(extractions, tmp_path / "store")  # what other tests had the model read, it need not read again
    done = execute(SIGN_INVERSION, model, "smoke", {"seed": 3, "dtype": "auto"}, tmp_path, progress=False)
    shutil.copytree(tmp_path / "store" / "activations", extractions / "activations", dirs_exist_ok=True)
    entries = wb.ledger.open(tmp_path / "ledger").entries()
    assert {entry.claim for entry in entries} == {line.id for line in wb.claim("S3.2").lines() if line.criterion}
    assert {entry.model for entry in entries} == {model}
    assert {entry.outcome for entry in entries} <= set(OUTCOMES)
    assert wb.ledger.open(tmp_path / "ledger").recheck()["agrees"].all()
    rows = wb.store.open(tmp_path / "store").frame(show_text=True)
    assert len(rows) > 30
    html = (done.results / "dose_response.html").read_text()
    assert "https://" not in re.sub(r"<script[^>]*>.*?</script>", "", html, flags=re.DOTALL)
    notebook = done.notebook.read_text()
    shown = [text for text in rows["text"] if len(text) > 30 and text[:30] in notebook]
    assert shown == []  # what the model wrote is counted, not shown


@pytest.fixture(scope="module")
def stranger(tmp_path_factory):
    """The folder of a model as a user brings it; it has random weights, so it refuses nothing and means nothing."""
    folder = tmp_path_factory.mktemp("models") / "stranger"
    model = tiny_model("llama", layers=8)
    model.hf.save_pretrained(folder)
    model.tokenizer.save_pretrained(folder)
    return str(folder)


@pytest.mark.parametrize("path", NOTEBOOKS, ids=lambda p: p.stem)
def test_every_name_of_the_package_that_a_notebook_uses_exists(path):
    """Also in the branches that smoke does not reach."""
    cells = [cell["source"] for cell in json.loads(path.read_text(encoding="utf-8"))["cells"]]
    text = "\n".join("".join(source) for source in cells)
    used = set(re.findall(r"\b(wb(?:\.\w+)+|statistics\.\w+)", text))
    assert used
    for name in used:
        root, *parts = name.split(".")
        there = wb if root == "wb" else wb.statistics
        for part in parts:
            assert hasattr(there, part), name
            there = getattr(there, part)
            if not inspect.ismodule(there):
                break


@pytest.mark.slow
@pytest.mark.parametrize("path", NOTEBOOKS, ids=lambda p: p.stem)
def test_every_notebook_runs_on_any_model_records_its_claims_and_shows_no_text(tmp_path, path, stranger):
    done = execute(path, stranger, "smoke", {"seed": 3}, tmp_path, progress=False)
    ledger = wb.ledger.open(tmp_path / "ledger")
    shared = {one for one in claims_of(path) if (rule := wb.claim(one).criterion) and rule.shares_rows}
    assert {re.sub("[a-z]$", "", e.claim) for e in ledger.entries()} >= claims_of(path) - shared
    assert {re.sub("[a-z]$", "", e.claim) for e in ledger.entries()} <= claims_of(path)
    assert {e.outcome for e in ledger.entries()} <= set(OUTCOMES)
    assert ledger.recheck()["agrees"].all()
    assert len(list(done.results.glob("*.html"))) in (1, 2)  # the one figure, and at most one of what is lost beside it
    for page in done.results.glob("*.html"):
        assert "https://" not in re.sub(r"<script[^>]*>.*?</script>", "", page.read_text(), flags=re.DOTALL)
    shown = done.notebook.read_text()
    texts = wb.store.open(tmp_path / "store").frame(show_text=True)["text"] if "store" in read_parameters(path) else []
    assert [text for text in texts if len(text) > 30 and text[:30] in shown] == []


@pytest.mark.slow
@pytest.mark.parametrize(
    ("stem", "lacking"),
    [("03_layer_polarity", {"S1.3", "S1.3a"}), ("04_vulnerability_map", {"S3.4"}), ("10_components", set())],
)
def test_one_layer_is_enough_and_what_compares_layers_is_then_not_run(tmp_path, stem, lacking, stranger):
    path = next(path for path in NOTEBOOKS if path.stem == stem)
    execute(path, stranger, "smoke", {"seed": 3, "layers": [5]}, tmp_path, progress=False)
    entries = {entry.claim: entry for entry in wb.ledger.open(tmp_path / "ledger").entries()}
    assert {re.sub("[a-z]$", "", name) for name in entries} >= claims_of(path) - {"S1.5"}  # it has the rows of S1.2
    told = [entries[name].summary() for name in lacking]
    assert all(one["outcome"] == "not run" and "two layers to compare" in str(one["reasons"]) for one in told)


def test_an_unknown_parameter_is_an_error_that_lists_the_known(tmp_path):
    path = write(tmp_path / "01_a.ipynb", parameters="model = ''\nprofile = ''\nout = ''\nseed = 0")
    with pytest.raises(
        wb.WorkbenchError, match=r"unknown parameter 'sead'; did you mean 'seed'\? There are .*, seed in 01_a"
    ):
        execute(path, "m", "smoke", {"sead": 1}, tmp_path)
    with pytest.raises(wb.WorkbenchError, match="unknown profile 'fast'; there are smoke, quick, full"):
        execute(path, "m", "fast", {}, tmp_path)
    assert not (tmp_path / "m").exists()


def test_a_failing_cell_is_shown_and_the_notebook_kept(tmp_path):
    path = write(
        tmp_path / "01_a.ipynb",
        "print('before')",
        "1 / 0",
        "print('after')",
        parameters="model = ''\nprofile = ''\nout = ''",
    )
    with pytest.raises(
        wb.WorkbenchError, match=r"ZeroDivisionError: division by zero\nThe cell:\n    1 / 0\nThe partly executed"
    ) as error:
        execute(path, "m", "smoke", {}, tmp_path, progress=False)
    kept = Path(str(error.value).rsplit(": ", 1)[1])
    outputs = [cell.get("outputs") for cell in nbformat.read(kept, as_version=4).cells if cell.cell_type == "code"]
    assert any("before" in json.dumps(o) for o in outputs)
    assert not any("after" in json.dumps(o) for o in outputs)


@pytest.mark.parametrize(
    ("text", "means"),
    [
        ("seed=7", 7),
        ("seed=-7", -7),
        ("use_controls=False", False),
        ("use_controls=true", True),
        ("rate=1", 1),
        ("rate=1e-3", 0.001),
        ("name=3", "3"),
        ("name=False", "False"),
        ("name=", ""),
        ("name=a=b", "a=b"),
        ("doses=[1, 0.5]", [1, 0.5]),
        ("doses=(1, 0.5)", (1, 0.5)),
        ("doses=[]", []),
        ('words=["x", "y"]', ["x", "y"]),
        ("anything=3", 3),
        ("anything=null", None),
        ("anything=text", "text"),
        ("made=[1]", [1]),
        ("whole=3", 3),
    ],
)
def test_a_parameter_takes_the_type_that_the_notebook_declares(tmp_path, text, means):
    declared = (
        "seed = 0\nuse_controls = True\nrate = 0.5  # a share\nname = 'a'\ndoses = [0.1]\nwords = ('a',)\nanything = None\n"
        "made = list(range(3))\nwhole: int = None\nmodel = profile = out = ''"
    )
    path = write(tmp_path / "01_a.ipynb", parameters=declared)
    name, _, value = text.partition("=")
    assert read_texts(path, {name: value}, "quick") == {name: means}
    assert type(read_texts(path, {name: value}, "quick")[name]) is type(means)


def test_results_are_filed_by_what_the_notebook_is_given(tmp_path):
    path = write(tmp_path / "01_a.ipynb")
    for name, value in {"model": "B", "profile": "x/../../../up", "out": "/tmp"}.items():
        with pytest.raises(wb.WorkbenchError, match=f"parameter '{name}': results are filed by it"):
            execute(path, "A", "smoke", {name: value}, tmp_path / "runs")
    with pytest.raises(wb.WorkbenchError, match="parameter seed: expected a whole number, as in seed=0; got 'abc'"):
        execute(path, "A", "smoke", {"seed": "abc"}, tmp_path / "runs")
    assert not (tmp_path / "runs").exists()


def test_a_notebook_without_a_kernel_of_its_own_is_executed(tmp_path):
    path = write(tmp_path / "01_a.ipynb", "print(1 + 1)")
    book = nbformat.read(path, 4)
    del book.metadata["kernelspec"]
    nbformat.write(book, path)
    assert execute(path, "m", "smoke", {}, tmp_path / "runs", progress=False).notebook.is_file()


def test_two_folders_of_one_name_are_filed_apart(tmp_path):
    for trained in ("a", "b"):
        (tmp_path / trained / "checkpoint-100").mkdir(parents=True)
    a, b = (label(str(tmp_path / name / "checkpoint-100")) for name in "ab")
    assert a != b
    assert a.startswith("checkpoint-100-")


def test_find(tmp_path):
    for name in ("02_b.ipynb", "01_a.ipynb", "scratch.ipynb"):
        write(tmp_path / name)
    assert [p.name for p in find(tmp_path)] == ["01_a.ipynb", "02_b.ipynb"]
    with pytest.raises(wb.WorkbenchError, match="no notebook"):
        find(tmp_path / "03_c.ipynb")
    (tmp_path / "empty").mkdir()
    with pytest.raises(wb.WorkbenchError, match="no numbered notebooks"):
        find(tmp_path / "empty")


def test_relative_paths_of_runs_and_prompts_mean_the_folder_where_the_command_was_typed(tmp_path, monkeypatch):
    for name in ("one", "two", "one"):  # of two folders with one layout, each keeps its own
        (tmp_path / name).mkdir(exist_ok=True)
        monkeypatch.chdir(tmp_path / name)
        declared = "model = ''\nprofile = ''\nout = ''\nprompts = ''"
        path = write(Path("books") / "01_a.ipynb", "print('done', open(prompts).read())", parameters=declared)
        Path("mine.csv").write_text(f"prompts of {name}")
        done = execute(path, "m", "smoke", {"prompts": "mine.csv"}, "runs", progress=False)
        assert f"done prompts of {name}" in (tmp_path / name / done.notebook).read_text()
    assert sorted(p.relative_to(tmp_path).as_posix() for p in tmp_path.rglob("runs/**/*.ipynb")) == [
        "one/runs/m/smoke/01_a.ipynb",
        "two/runs/m/smoke/01_a.ipynb",
    ]
