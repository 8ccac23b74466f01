"""What goes wrong on the command line: what was given, what must be said, the exit code, and never a traceback.

Code 2 is for what the user can mend, and is one line. Code 1 is for what nobody foresaw: a line with the place of a log.
"""

import json
import os
import subprocess
import sys
from pathlib import Path

import nbformat
import pytest

from tests.books import write
from workbench.cli import main

PARAMETERS = (
    "model = ''\nprofile = ''\nout = ''\nledger = ''\nseed = 0\nrate = 0.5\nuse_controls = True\nname = 'a'\n"
    "doses = [0.1, 0.2]\nwords = ('a', 'b')\nanything = None\nwhole: int = None"
)
CONFIG = {
    "model_type": "llama",
    "architectures": ["LlamaForCausalLM"],
    "hidden_size": 16,
    "intermediate_size": 16,
    "num_hidden_layers": 1,
    "num_attention_heads": 1,
    "vocab_size": 8,
}
PLAN = 'about = "small"\nfolder = "books"\n[[matrix]]\nmodels = ["smollm2-refusal"]\nprofile = "smoke"\n'


def lay_out(root: Path) -> None:
    """A folder in which much is broken."""
    file = root / "file"
    file.write_text("a file")
    (root / "empty").mkdir()
    (root / "loop").symlink_to("loop")
    os.mkfifo(root / "pipe")
    write(root / "books" / "01_fine.ipynb", "1", parameters=PARAMETERS)
    write(root / "books" / "02_more.ipynb", "1", parameters="model = ''\nprofile = ''\nout = ''")
    broken = root / "broken"
    broken.mkdir()
    whole = (root / "books" / "01_fine.ipynb").read_text()
    texts = {
        "torn": whole[: len(whole) // 2],
        "nothing": "",
        "list": "[]",
        "null": "null",
        "object": "{}",
        "number": "3",
        "html": "<html>not found</html>",
        "nested": "[" * 5000,
        "cells": '{"cells": 3, "metadata": {}, "nbformat": 4, "nbformat_minor": 5}',
        "version": '{"cells": [], "metadata": {}, "nbformat": 99, "nbformat_minor": 5}',
    }
    for name, text in texts.items():
        (broken / f"{name}.ipynb").write_text(text)
    (broken / "binary.ipynb").write_bytes(bytes(range(256)))
    (broken / "folder.ipynb").mkdir()
    write(broken / "python.ipynb", parameters="model = = ''")
    write(broken / "lacks.ipynb", parameters="seed = 0")
    book = nbformat.read(root / "books" / "01_fine.ipynb", 4)
    book.cells[0].metadata = {}
    nbformat.write(book, broken / "untagged.ipynb")
    book = nbformat.read(root / "books" / "01_fine.ipynb", 4)
    book.metadata = {"kernelspec": {"name": "ir", "display_name": "R", "language": "R"}}
    nbformat.write(book, broken / "other_language.ipynb")
    lay_out_models(root / "models")
    plans = {
        "torn": PLAN[:-5],
        "nothing": "",
        "list": "matrix = 3",
        "key": PLAN + "sead = 1",
        "notebook": PLAN + 'notebooks = ["99"]',
        "parameter": PLAN + "parameters = { sead = 1 }",
        "type": PLAN + 'notebooks = ["01"]\nparameters = { seed = "abc" }',
        "over": PLAN + 'notebooks = ["01"]\nover = { use_controls = [1] }',
        "own": PLAN + "parameters = { out = '/tmp' }",
        "model": PLAN.replace("smollm2-refusal", "nope"),
        "models": PLAN.replace('["smollm2-refusal"]', "3"),
        "profile": PLAN.replace("smoke", "../../up"),
        "folder": PLAN.replace("books", "nowhere"),
        "torn_books": PLAN.replace('"books"', '"torn_books"'),
        "about": PLAN.replace('"small"', "3"),
        "fine": PLAN,
    }
    (root / "plans").mkdir()
    for name, text in plans.items():
        (root / "plans" / f"{name}.toml").write_text(text.replace('folder = "', 'folder = "../'))
    (root / "plans" / "binary.toml").write_bytes(bytes(range(256)))
    (root / "plans" / "dir.toml").mkdir()
    (root / "torn_books").mkdir()
    (root / "torn_books" / "01_torn.ipynb").write_text(texts["torn"])
    (root / "journal").mkdir()
    (root / "journal" / "batch.jsonl").write_text('{"name": "b"}\n')
    (root / "kinds").mkdir()
    record = {**dict.fromkeys(("name", "key", "started", "error", "notebook", "log"), "x"), "seconds": "long", "at": 0}
    (root / "kinds" / "batch.jsonl").write_bytes(json.dumps(record).encode() + b"\n\xff\xfe\n")
    (root / "deep.jsonl").write_text('{"text": ' + "[" * 100_000)
    (root / "digits.jsonl").write_text('{"text": "a", "id": ' + "9" * 5000 + "}")
    (root / "keys.jsonl").write_text('{"prompt": "a", "answer": "b"}')
    (root / "harm.csv").write_text("text,harm\na,True\n")
    (root / "mine").mkdir()
    (root / "mine" / "manifest.json").write_text("{}")
    (root / "mine" / "thesis.tex").write_text("years of work")


def lay_out_models(models: Path) -> None:
    """Folders of models, each with one fault."""
    configs = {
        "torn": '{"model_type": "lla',
        "nothing": "",
        "list": "[]",
        "null": "null",
        "object": "{}",
        "unknown": '{"model_type": "nonesuch"}',
        "weightless": json.dumps(CONFIG),
        "quantised": json.dumps({**CONFIG, "quantization_config": {"quant_method": "gptq", "bits": 4}}),
        "vision": json.dumps({**CONFIG, "model_type": "clip", "architectures": ["CLIPModel"]}),
        "zero": json.dumps(CONFIG),
        "cut": json.dumps(CONFIG),
        "no_tokenizer": json.dumps(CONFIG),
        "negative": json.dumps({**CONFIG, "hidden_size": -1}),
        "words": json.dumps({**CONFIG, "hidden_size": "many"}),
    }
    for name, text in configs.items():
        (models / name).mkdir(parents=True)
        (models / name / "config.json").write_text(text)
    (models / "zero" / "model.safetensors").write_bytes(b"")
    (models / "cut" / "model.safetensors").write_bytes(b"\x40\x00\x00\x00\x00\x00\x00\x00{")
    (models / "no_tokenizer" / "pytorch_model.bin").write_bytes(b"PK")
    (models / "binary").mkdir()
    (models / "binary" / "config.json").write_bytes(bytes(range(256)))
    (models / "dir" / "config.json").mkdir(parents=True)
    (models / "adapter").mkdir()
    (models / "adapter" / "adapter_config.json").write_text("{}")
    (models / "model.gguf").write_bytes(b"GGUF")


COMMANDS = ("fetch", "models", "check", "plan", "run", "batch", "report", "audit", "ledger", "new claim")
BOOK = "books/01_fine.ipynb"
H100 = ("--hardware", "h100", "--arms")

NO_WHOLE = ("abc", "1.5", "true", "nan", "''", "1e3", "[1]", "None", "1_", "0x")
NO_NUMBER = ("abc", "nan", "NaN", "inf", "-Infinity", "1e999", "true", "''", "[0.5]")
NO_FLAG = ("1", "0", "yes", "no", "maybe", "''", "None", "FALSCH")
NO_LIST = ("0.1", "abc", "'[\"a\"]'", "'[0.1, true]'", "[nan]", "[NaN]", "'[0.1'", "{}")
NO_PLAN = (
    *("torn", "nothing", "list", "key", "notebook", "parameter", "type", "over", "own"),
    *("model", "models", "profile", "about", "binary", "dir"),
)

#: what was given, and a part of what must be said (in lower case); all of these end with exit code 2
MENDABLE = [
    # the line itself
    ("nonsense", "no such command 'nonsense'"),
    ("--nope", "no such option"),
    ("new nonsense", "no such command"),
    *((f"{command} --nope", "no such option") for command in COMMANDS),
    *((command, "missing argument") for command in ("check", "plan", "run", "batch", "new claim")),
    *(
        (f"{command} a b c", "unexpected extra argument")
        for command in ("check", "plan --hardware h100 --arms 1", "run", "batch")
    ),
    *((f"{command} extra", "unexpected extra argument") for command in ("models", "report", "new claim P1")),
    ("ledger extra", "extra is no exported ledger"),
    *((f"{command} --runs", "requires an argument") for command in ("run x", "batch x", "report")),
    ("plan smollm2-refusal --hardware h100", "missing option '--arms'"),
    ("plan smollm2-refusal --arms 1", "missing option '--hardware'"),
    *((f"plan smollm2-refusal --hardware h100 --arms {number}", "arms") for number in ("x", "1.5", "''", "1e3")),
    *((f"plan smollm2-refusal --hardware h100 --arms 1 --{o} x", o) for o in ("new", "batch", "gpus")),
    *((f"batch quick --jobs {number}", "jobs") for number in ("two", "1.5", "''", "0", "-1")),
    # fetch and check
    *((f"fetch {name}", "unknown") for name in ("smolm2-refusal", "../x", "SMOLLM2", "💥", "'a b'", "~/x", "a/b/c")),
    ("fetch ''", "unknown model ''"),
    ("fetch " + "x" * 3000, "its name is too long"),
    ("fetch smolm2-refusal", "did you mean 'smollm2-refusal'"),
    ("fetch smollm2-refusal nope", "unknown"),
    ("check nope", "unknown model 'nope'"),
    ("check ''", "unknown model ''"),
    ("check .", "without config.json"),
    ("check empty", "without config.json"),
    ("check file", "is a file; expected a model's folder"),
    ("check ./missing", "unknown model"),
    ("check /missing/x", "unknown model"),
    ("check a/b/c/d", "unknown model"),
    ("check models/adapter", "config.json"),
    ("check models/model.gguf", ""),
    ("check smollm2-refusl", "did you mean 'smollm2-refusal'"),
    ("check x" + "y" * 3000, "its name is too long"),
    # plan
    ("plan nope --hardware h100 --arms 1", "unknown sizes of 'nope'"),
    ("plan smollm2-refusal --hardware h1000 --arms 1", "h1000"),
    ("plan smollm2-refusal --hardware h100 --arms 0", "arms"),
    ("plan smollm2-refusal --hardware h100 --arms -1", "arms"),
    ("plan smollm2-refusal --hardware h100 --arms 1 --new 0", ""),
    ("plan smollm2-refusal --hardware h100 --arms 1 --batch 0", ""),
    ("plan smollm2-refusal --hardware h100 --arms 1 --gpus 0", ""),
    ("plan smollm2-refusal --hardware h100 --arms 1 --dtype int3", "int3"),
    ("plan smollm2-refusal --hardware h100 --arms 1 --split trial", "trial"),
    ("plan smollm2-refusal --hardware h100 --arms 1 --prompts none.csv", "none.csv"),
    ("plan smollm2-refusal --hardware h100 --arms 1 --prompts refusl", "refusl"),
    ("plan smollm2-refusal --hardware h100 --arms 1 --prompts empty", "empty"),
    ("plan smollm2-refusal --hardware h100 --arms 1 --on 'prompt['", "prompt["),
    # run: notebooks
    ("run missing.ipynb", "no notebook missing.ipynb; . has "),
    ("run ''", ""),
    ("run empty", "holds no numbered notebooks"),
    ("run file", "expected a file that ends in .ipynb"),
    ("run " + "x" * 300 + ".ipynb", "file name too long"),
    *(
        (f"run broken/{name}.ipynb", "is no notebook that can be read")
        for name in (
            "torn",
            "nothing",
            "list",
            "null",
            "object",
            "number",
            "html",
            "nested",
            "cells",
            "version",
            "binary",
        )
    ),
    ("run broken/folder.ipynb", "holds no numbered notebooks"),
    ("run broken/python.ipynb", "its parameters cell is no python"),
    ("run broken/untagged.ipynb", "has no code cell with the tag 'parameters'"),
    ("run broken/other_language.ipynb", "written in r; only notebooks in python"),
    ("run broken/lacks.ipynb", "unknown parameter 'model'"),
    ("run torn_books", "is no notebook that can be read"),
    # run: parameters
    *((f"run {BOOK} -p {text}", "expected key=value") for text in ("seed", "=1", "''", "=")),
    *((f"run {BOOK} -p seed={text}", "parameter seed: expected a whole number") for text in NO_WHOLE),
    *((f"run {BOOK} -p rate={text}", "parameter rate: expected a finite number") for text in NO_NUMBER),
    *((f"run {BOOK} -p use_controls={text}", "parameter use_controls: expected true or false") for text in NO_FLAG),
    *((f"run {BOOK} -p doses={text}", "parameter doses: expected a list") for text in NO_LIST),
    *((f"run {BOOK} -p words={text}", "parameter words: expected a list") for text in ("a", "'[1]'", "3")),
    *((f"run {BOOK} -p whole={text}", "parameter whole: expected a whole number") for text in ("abc", "1.5")),
    (f"run {BOOK} -p anything=NaN", "parameter anything: expected a finite value"),
    (f"run {BOOK} -p sead=1", "unknown parameter 'sead'; did you mean 'seed'?"),
    (f"run {BOOK} -p seed=1 -p seed=2", "parameter 'seed' is given twice"),
    (f"run {BOOK} --model smollm2-refusal -p model=B", "give it with --model"),
    (f"run {BOOK} -p profile=x/../../../ESCAPED", "give it with --profile"),
    (f"run {BOOK} -p out=/tmp", "give it with --runs"),
    ("run books -p seed=1", "unknown parameter 'seed'"),  # the second notebook has none: nothing is executed
    # run: the rest
    *((f"run {BOOK} --profile {name}", "unknown profile") for name in ("fast", "''", "../..", "QUICK")),
    (f"run {BOOK} --model nope", "unknown model"),
    (f"run {BOOK} --model ''", "unknown model ''"),
    (f"run {BOOK} --runs file", "file is a file; expected a folder"),
    (f"run {BOOK} --runs file/below/it", "file is a file; expected a folder"),
    # batch
    ("batch quik", "unknown plan 'quik'; did you mean 'quick'?"),
    ("batch ''", "unknown plan"),
    ("batch missing.toml", "missing.toml"),
    ("batch empty", "unknown plan"),
    *((f"batch plans/{name}.toml", f"{name}.toml") for name in NO_PLAN),
    ("batch plans/type.toml", "parameter seed: expected a whole number"),
    ("batch plans/folder.toml", "no folder of notebooks"),
    ("batch plans/torn_books.toml", "is no notebook that can be read"),
    ("batch plans/fine.toml --only nope", "unknown notebook or model"),
    ("batch plans/fine.toml --on slurm", "--on slurm: expected local or ray"),
    ("batch plans/fine.toml --runs file", "file is a file; expected a folder"),
    ("batch plans/fine.toml --runs file/below", "file is a file; expected a folder"),
    ("batch plans/fine.toml --runs journal --dry-run", "no record of a batch"),
    ("batch plans/fine.toml --runs journal --resume", "no record of a batch"),
    ("batch quick --notebooks missing", "no folder of notebooks"),
    ("batch quick --notebooks file", "no folder of notebooks"),
    ("batch quick --notebooks empty", "holds no numbered notebooks"),
    # report
    ("report --runs file", "file is a file; expected a folder"),
    ("report --runs file/below", "file is a file; expected a folder"),
    ("report --out file", "is a file; expected a folder"),
    ("report --out mine", "which no report wrote"),
    ("report --out file/below", "is a file; expected a folder"),
    # audit and ledger
    ("audit S3.99", "unknown claim 's3.99'; did you mean 's3.9'?"),
    ("audit missing.toml", "missing.toml"),
    *((f"audit plans/{name}.toml", f"{name}.toml") for name in ("torn", "nothing", "list", "binary", "dir", "fine")),
    ("audit S3.2 --format xml", "unknown format 'xml'"),
    ("ledger --format xml", "unknown format 'xml'"),
    ("ledger --path file", "file is a file; a ledger is a folder"),
    ("ledger --path file/below/it", "file is a file; a ledger is a folder"),
    ("report --out /", "which no report wrote"),
    ("report --runs kinds --out kinds_report", "line 1: no record of a batch"),
    ("batch plans/fine.toml --runs kinds --dry-run", "line 1: no record of a batch"),
    ("plan smollm2-refusal --hardware h100 --arms 1 --prompts deep.jsonl", "deep.jsonl, line 1: not json"),
    ("plan smollm2-refusal --hardware h100 --arms 1 --prompts digits.jsonl", "digits.jsonl, line 1: not json"),
    ("plan smollm2-refusal --hardware h100 --arms 1 --prompts keys.jsonl", "there is 'prompt', 'answer'"),
    (
        "plan smollm2-refusal --hardware h100 --arms 1 --prompts harm.csv",
        "unknown field 'harm'; did you mean 'harmful'",
    ),
    *((f"plan models/{name} {' '.join(H100)} 1", "models/") for name in ("torn", "nothing", "list", "null", "object")),
    *((f"plan models/{name} {' '.join(H100)} 1", "hidden_size is") for name in ("negative", "words")),
    ("batch plans/fine.toml --dry-run --only ''", "unknown notebook or model"),
    *(
        (line + " loop", "loop is a link to itself")
        for line in (
            f"run {BOOK} --runs",
            "report --runs",
            "report --out",
            "ledger",
            "ledger --path",
            "register S3.2 --path",
            "new claim P1 --folder",
        )
    ),
    ("run loop", "loop"),
    ("check loop", "loop"),
    ("batch loop", "loop"),
    ("audit loop", "loop"),
    # a path of nothing, e.g. of a variable that is not set, is not the working folder
    *(
        (line + " ''", "it is empty; expected the name of a file or folder")
        for line in (
            f"run {BOOK} --runs",
            "run",
            "batch plans/fine.toml --dry-run --runs",
            "batch quick --notebooks",
            "report --runs",
            "report --out",
            "report --notebooks",
            "ledger",
            "ledger --path",
            "ledger --export",
            "register S3.2 --path",
            "audit file --html",
            "audit file --draft",
            "new claim P1 --folder",
            "explore smollm2-refusal --no-browser --folder",
        )
    ),
    ("explore smollm2-refusal --no-browser --folder file", "file is a file; expected a folder"),
    *((f"explore models/{name} --no-browser --folder ex", f"models/{name}") for name in ("torn", "weightless", "cut")),
    ("explore smollm2-refusal --pairs nope --no-browser --folder ex", "unknown contrast set 'nope'"),
    ("audit file --html both --draft both", "--html and --draft both name both"),
    ("audit file --html page --draft harm.csv", "harm.csv is there already"),
    ("audit pipe", "pipe is a pipe and no file; type workbench audit - < pipe"),
    ("check file", "file is a file; expected a model's folder or a gguf file"),
    # new claim
    *((f"new claim {name}", "must be") for name in ("''", "..", "../x", "'a b'", "a/b", ".x", "é", "'a\nb'")),
    ("new claim S3.2", "is a logged claim"),
    ("new claim " + "x" * 300, "must be"),
    ("new claim P1 --folder file", ""),
    ("new claim P1 --folder file/below", ""),
]

#: models that cannot be loaded: a line, whoever can mend it
MODELS = [
    f"check models/{name}"
    for name in (
        "torn",
        "nothing",
        "list",
        "null",
        "object",
        "unknown",
        "weightless",
        "quantised",
        "vision",
        "zero",
        "cut",
    )
] + [f"check models/{name}" for name in ("no_tokenizer", "negative", "words", "binary", "dir")]


def words_of(line: str) -> list[str]:
    """The words of a command line; quotes hold one together."""
    import shlex

    return shlex.split(line)


@pytest.fixture(scope="module")
def place(tmp_path_factory):
    """Where all lines are typed."""
    root = tmp_path_factory.mktemp("mishaps")
    lay_out(root)
    return root


@pytest.fixture
def run(place, capsys, monkeypatch):
    """Type a line in this process: exit code, stdout, stderr."""
    monkeypatch.chdir(place)

    def call(line):
        monkeypatch.setattr(sys, "argv", ["workbench", *words_of(line)])
        with pytest.raises(SystemExit) as ended:
            main()
        printed = capsys.readouterr()
        return ended.value.code or 0, printed.out, printed.err

    return call


def check_line(code, out, error):
    """What holds of every mishap."""
    assert "Traceback" not in out + error
    assert any(one.startswith("error: ") for one in error.splitlines()), error
    assert all(c.isprintable() or c == "\n" for c in error)
    assert str(Path.cwd()) not in out + error  # paths are shown as they were typed, which is from the working folder


def test_there_are_enough():
    assert len(MENDABLE) + len(MODELS) >= 200


@pytest.mark.parametrize("kind", ["torn", "weightless", "cut"])
def test_fetching_a_broken_folder_of_ones_own_says_so_as_it_was_typed(run, kind):
    code, out, error = run(f"fetch models/{kind}")
    check_line(code, out, error)
    assert (code, out) == (2, "")
    assert f"error: models/{kind}" in error


@pytest.mark.parametrize(("line", "said"), MENDABLE, ids=lambda text: text[:60])
def test_what_the_user_can_mend_is_one_line_and_2(run, line, said):
    code, out, error = run(line)
    check_line(code, out, error)
    assert code == 2, error
    assert said in error.lower()
    assert error.count("\n") == (3 if "prompt[" in line else 1), error  # a mark under the place that is meant


@pytest.mark.parametrize("line", MODELS)
def test_a_model_that_cannot_be_loaded_is_a_line(run, line):
    code, out, error = run(line)
    check_line(code, out, error)
    assert (code, error.count("\n")) == (2, 1)


@pytest.mark.parametrize(
    "name", ["torn", "list", "null", "object", "number", "nested", "cells", "version", "binary", "python"]
)
def test_a_broken_notebook_among_logs_is_a_place_that_could_not_be_read(run, name):
    code, out, error = run(f"audit broken/{name}.ipynb")
    assert (code, error) == (0, "")
    assert "no fault found" in out


def test_nothing_was_made_by_any_of_them(place, run):
    """No folder of results, no claim, no report; the thesis is there."""
    assert (place / "mine" / "thesis.tex").read_text() == "years of work"
    assert not [p for p in place.rglob("*") if "ESCAPED" in p.name]
    assert not (place / "claims").exists()


@pytest.mark.parametrize(
    ("error", "code", "said"),
    [
        (PermissionError(13, "Permission denied", "/locked"), 2, "error: /locked: permission denied\n"),
        (
            OSError(28, "No space left on device"),
            2,
            "error: no space left on device; make room, or choose another folder\n",
        ),
        (OSError(30, "Read-only file system", "/mnt/x"), 2, "error: /mnt/x: read-only file system\n"),
        (OSError("a library's own"), 1, "error: OSError: a library's own (the traceback is in "),
        (ZeroDivisionError("division by zero"), 1, "error: ZeroDivisionError: division by zero (the traceback is in "),
        (RuntimeError("first\nsecond\nthird"), 1, "error: RuntimeError: first (the traceback is in "),
        (RuntimeError("\x1b[31mred\u202e"), 1, "error: RuntimeError: \\x1b[31mred\\u202e (the traceback is in "),
        (RuntimeError(), 1, "error: RuntimeError (the traceback is in "),
        (RuntimeError("key sk-123456789 refused"), 1, "error: RuntimeError: key [redacted] refused (the traceback"),
        (RecursionError("too deep"), 1, "error: RecursionError: too deep"),
        (MemoryError(), 1, "error: MemoryError"),
        (UnicodeDecodeError("utf-8", b"\xff", 0, 1, "invalid"), 1, "error: UnicodeDecodeError"),
        (KeyboardInterrupt(), 130, "error: interrupted"),
    ],
    ids=repr,
)
def test_what_nobody_foresaw_is_a_line_and_a_log(run, monkeypatch, tmp_path, error, code, said):
    def fail(*args, **more):
        raise error

    monkeypatch.setenv("WORKBENCH_CACHE", str(tmp_path))
    monkeypatch.setenv("MY_API_KEY", "sk-123456789\n")
    monkeypatch.setattr("workbench.models.registry.base_of", fail)
    ended, _, printed = run("models")
    assert ended == code
    assert printed.startswith(said)
    assert printed.count("\n") == 1
    logs = list((tmp_path / "logs").glob("*.log"))
    assert len(logs) == (code == 1)
    if logs:
        text = logs[0].read_text()
        assert "Traceback" in text
        assert "sk-123456789" not in text
        assert str(logs[0]) in printed


def test_without_a_place_for_a_log_there_is_still_a_line(run, monkeypatch, tmp_path):
    (tmp_path / "file").touch()
    monkeypatch.setenv("WORKBENCH_CACHE", str(tmp_path / "file"))
    monkeypatch.setattr("tempfile.gettempdir", lambda: str(tmp_path / "file"))
    monkeypatch.setattr("workbench.models.registry.base_of", lambda source: 1 / 0)
    assert run("models")[::2] == (1, "error: ZeroDivisionError: division by zero (the traceback could not be saved)\n")


@pytest.mark.parametrize(
    ("words", "code", "said"),
    [
        (["nonsense"], 2, "No such command"),
        (["fetch", "smolm2-refusal"], 2, "did you mean"),
        (["run", "broken/torn.ipynb"], 2, "is no notebook that can be read"),
        (["run", BOOK, "-p", "seed=abc"], 2, "expected a whole number"),
        (["run", BOOK, "--runs", "file"], 2, "file is a file"),
        (["batch", "plans/binary.toml"], 2, "binary.toml"),
        (["report", "--out", "mine"], 2, "which no report wrote"),
        (["audit", "missing.toml"], 2, "missing.toml"),
        (["new", "claim", "../x"], 2, "must be"),
        (["check", "empty"], 2, "without config.json"),
        (["check", b"latin-\xe9"], 2, "unknown model"),
        (["fetch", "‖💥\x1b[31m"], 2, "\\x1b[31m"),
    ],
    ids=repr,
)
def test_a_dozen_as_real_processes(place, words, code, said):
    environment = {**os.environ, "PYTHONIOENCODING": "ascii", "PYTHONPATH": str(Path(__file__).parents[1])}
    done = subprocess.run(
        [sys.executable, "-m", "workbench.cli", *words], cwd=place, env=environment, capture_output=True
    )
    error = done.stderr.decode("ascii")
    assert done.returncode == code, error
    assert "Traceback" not in error
    assert said in error
    assert error.count("\n") == 1


def test_training_ends_like_the_rest(place, monkeypatch, capsys):
    from training.__main__ import main as train

    for words, said in {
        ("nope",): "no such command",
        ("refusal", "--base", "nope"): "nope",
        ("narrow", "--seed", "x"): "seed",
    }.items():
        monkeypatch.setattr(sys, "argv", ["training", *words])
        with pytest.raises(SystemExit) as ended:
            train()
        error = capsys.readouterr().err
        assert (ended.value.code, error.count("\n"), said in error.lower()) == (2, 1, True), error
