"""The command line as a new user meets it: quick, and one clear message per mistake."""

import json
import shlex
import subprocess
import sys

import pytest

from workbench._files import data_folder
from workbench.cli import main


@pytest.fixture
def run(capsys, monkeypatch):
    """Call the command line in this process, and hand over all that it prints, or what goes to a pipe alone."""

    def call(*arguments, code=0, piped=False):
        monkeypatch.setattr(sys, "argv", ["workbench", *arguments])
        with pytest.raises(SystemExit) as ended:
            main()
        printed = capsys.readouterr()
        assert (ended.value.code or 0) == code, printed.err
        return printed.out if piped else printed.out + printed.err

    return call


def apart(*arguments):
    """Call it in a process of its own, as a user does: exit code, and what it prints."""
    done = subprocess.run([sys.executable, "-m", "workbench.cli", *arguments], capture_output=True, text=True)
    return done.returncode, done.stdout, done.stderr


def test_help_names_the_commands():
    code, text, _ = apart("--help")
    assert code == 0
    for command in ("fetch", "models", "check", "run", "batch", "report", "audit", "new"):
        assert command in text


def test_a_mistake_ends_the_process_with_2_and_one_line():
    code, out, error = apart("models", "--nope")
    assert (code, out, "No such option" in error) == (2, "", True)
    code, out, error = apart("fetch", "smolm2-refusal")
    assert (code, out, error.count("\n")) == (2, "", 1)


def test_importing_and_help_do_not_import_what_is_heavy():
    code = "import sys, workbench.cli; print([m for m in ('torch', 'transformers', 'pandas', 'numpy') if m in sys.modules])"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True)
    assert "torch" not in done.stdout
    assert "pandas" not in done.stdout


def test_models_and_audit(run):
    listed = run("models")
    assert "smollm2-refusal" in listed
    assert "Qwen/Qwen3-8B" in listed
    audited = run("audit", "S3.2")
    assert (
        "S3.2: no fault found (a: underpowered, b: no fault found, c: refuted (analytic), d: inconsistent)" in audited
    )
    assert "Fisher p = 0.37" in audited
    assert "10 distinct prompts" in audited


def test_audit_of_all_of_several_and_of_a_file_of_ones_own(tmp_path, run):
    everything = run("audit")
    assert everything.count("\n") == 49
    assert (
        "47 claims: 7 no fault found, 14 underpowered, 13 inconsistent, 5 untestable, 7 artefact, 1 refuted"
        in everything
    )
    several = json.loads(run("audit", "S0.3", "S2.6", "--format", "json"))
    assert [(a["claim"], a["verdict"]) for a in several] == [("S0.3", "refuted (analytic)"), ("S2.6", "supported")]
    assert several[1]["findings"][0]["outcome"] == "holds"
    readme = (data_folder() / "claims" / "README.md").read_text()
    mine = tmp_path / "log.toml"
    mine.write_text(readme.split("```toml\n")[2].split("```")[0])
    own = run("audit", str(mine))
    assert "M.1: inconsistent" in own
    assert "83.3% of n = 40" in own
    mine.write_text(mine.read_text().replace("n = 40  ", "m = 40  ", 1))
    assert "log.toml, line 10: unknown table key 'm'" in run("audit", str(mine), code=2)
    assert "| `grim` |" in run("audit", "--checks")


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (("fetch", "smolm2-refusal"), "did you mean 'smollm2-refusal'"),
        (("check", "nope"), "unknown model 'nope'"),
        (("run", "notebooks/99_none.ipynb"), "no notebook"),
        (("run", "notebooks", "--model", "nope"), "unknown model"),
        (("run", "notebooks/01_sign_inversion.ipynb", "-p", "seed"), "expected KEY=VALUE"),
        (("batch", "quik"), "unknown plan 'quik'; did you mean 'quick'?"),
        (("batch", "quick", "--only", "01_sing"), "unknown notebook or model of plan quick: '01_sing'"),
        (("batch", "quick", "--on", "slurm"), "--on slurm: expected local or ray"),
        (("audit", "S3.99"), "unknown claim 'S3.99'; did you mean 'S3.9'?"),
        (("audit", "nothing.toml"), "nothing.toml: cannot be read"),
        (("audit", "S3.2", "--format", "xml"), "unknown format 'xml'"),
    ],
)
def test_mistakes_give_one_clear_message_and_no_traceback(arguments, message, run):
    text = run(*arguments, code=2)
    assert message in text
    assert "Traceback" not in text
    assert text.startswith("error: ")


def test_a_new_claim_says_what_to_do_next_and_the_audit_what_is_left(tmp_path, run):
    folder = str(tmp_path / "claims")
    said = run("new", "claim", "P1", "--folder", folder, "--title", "Politeness")
    assert f"workbench audit {folder}/P1.toml" in said
    assert f"workbench run {folder}/01_p1.ipynb --profile smoke" in said
    audited = run("audit", f"{folder}/P1.toml")
    assert "P1 Politeness" in audited
    assert "P1.toml still says FILL IN in lines 6, 7, " in audited
    assert "nothing is overwritten" in run("new", "claim", "P1", "--folder", folder, code=2)


def test_usage_errors_are_typers(run):
    assert "No such command" in run("fech", code=2)


@pytest.mark.model
def test_check(smollm2_refusal, run):
    assert run("check", "smollm2-refusal").count("ok  ") == 4


def test_doctor_lists_what_is_here(run):
    parts = json.loads(run("doctor", "--json"))
    assert {part["group"] for part in parts} == {"system", "packages", "models", "extras"}
    assert "workbench fetch" in run("doctor") or all(p["state"] == "ok" for p in parts if p["group"] == "models")


@pytest.mark.parametrize(
    ("words", "keys"),
    [
        ("models", {"name", "state", "about"}),
        ("doctor", {"group", "name", "state", "seen", "remedy"}),
        ("check {model}", {"name", "revision", "n_layers", "d_model", "checks"}),
        ("plan smollm2-refusal --hardware h100 --arms 3", {"model", "rows", "seconds", "memory"}),
        ("batch quick --dry-run", {"plan", "to_run", "done", "estimated_seconds", "unknown"}),
        ("audit S3.2", {"title", "claim", "verdict", "findings"}),
        ("audit '31/35 vs 6/35'", {"verdict", "findings", "checked", "unread"}),
        ("audit --checks", {"test", "parameters", "optional", "holds_when", "failure"}),
        ("ledger --path {folder}", {"id", "title", "audit", "verdicts"}),
        ("register S3.2 --path {folder}", {"claim", "time", "hash", "criterion", "checks"}),
    ],
)
def test_tables_are_printed_as_json_too(words, keys, run, tmp_path, tiny_folder):
    spoken = shlex.split(words.format(model=tiny_folder, folder=tmp_path / "ledger"))
    printed = json.loads(run(*spoken, "--json", piped=True))
    assert keys <= set(printed[0] if isinstance(printed, list) else printed)


def test_every_command_that_prints_a_table_takes_json():
    import typer.main

    from workbench.cli import app

    commands = typer.main.get_command(app).commands
    without = {name for name, one in commands.items() if not any("--json" in p.opts for p in one.params)}
    assert without == {"fetch", "explore", "report", "new"}  # they make files, and say where


def test_called_without_a_word_it_shows_its_help_and_no_error():
    code, out, error = apart()
    assert (code, error) == (2, "")
    assert "Usage: " in out


def test_every_command_ends_its_help_with_an_example_that_parses():
    import typer.main

    from tests.pages import parse
    from workbench.cli import app

    commands = dict(typer.main.get_command(app).commands)
    commands |= {f"new {name}": command for name, command in commands.pop("new").commands.items()}
    for name, command in commands.items():
        assert command.epilog.startswith(f"Example: workbench {name}"), name
        parse(shlex.split(command.epilog.removeprefix("Example: ")))
