"""The command line: ``workbench --help``. Each command imports what it needs when it is called."""

import errno
import os
import re
import shlex
import sys
from contextlib import redirect_stdout
from dataclasses import asdict
from pathlib import Path
from typing import Annotated, Any, NoReturn, Optional, TextIO

import typer

from workbench._errors import WorkbenchError, unknown
from workbench._errors.redaction import redact, show_controls

app = typer.Typer(
    help="A replication bench for activation steering and refusal research.",
    epilog="workbench COMMAND --help ends with an example.",
    no_args_is_help=True,
    pretty_exceptions_enable=False,
)

#: the groups of ``workbench --help``: what one wants to do
START, LOGS, EXPERIMENTS, RESULTS = "Start here", "Audit a log", "Run experiments", "Look at results"


def _place(text: str | Path) -> Path:
    """A path of the command line. Nothing is no path: an unset variable of a shell would mean the working folder."""
    if not str(text).strip():
        raise typer.BadParameter("it is empty; expected the name of a file or folder, or . for the working folder")
    try:
        Path(text).stat()
    except OSError as error:
        if error.errno == errno.ELOOP:
            raise typer.BadParameter(f"{text} is a link to itself; give the name of a file or folder") from error
    return Path(text)


#: of every command that prints a table
AsJson = Annotated[bool, typer.Option("--json", help="Print JSON instead of a table.")]


def _say(as_json: bool, data: Any, table: str) -> None:
    """Print one thing, as JSON or as a table."""
    import json

    typer.echo(json.dumps(data, indent=1, allow_nan=False, default=str) if as_json else table)


class _Shown:
    """Standard output to which all commands write: what a file says is shown and not obeyed, and secrets are not told."""

    def __init__(self, stream: TextIO):
        self._stream = stream

    def write(self, text: str) -> int:
        return self._stream.write(show_controls(redact(text)))

    def __getattr__(self, name: str) -> Any:
        return getattr(self._stream, name)


@app.callback()
def show_safely(context: typer.Context) -> None:
    """A replication bench for activation steering and refusal research."""
    stream, sys.stdout = sys.stdout, _Shown(sys.stdout)
    context.call_on_close(lambda: setattr(sys, "stdout", stream))


new_app = typer.Typer(no_args_is_help=True)
app.add_typer(
    new_app, name="new", help="Start a claim of your own: workbench new claim P1.", rich_help_panel=EXPERIMENTS
)


@app.command(rich_help_panel=START, epilog="Example: workbench fetch smollm2-refusal")
def fetch(
    names: Annotated[
        list[str] | None, typer.Argument(help="Names of models; by default the ones that `make run` needs.")
    ] = None,
) -> None:
    """Download embedded models and convert them. Needs no account and no model hub."""
    from workbench.models.fetch import fetch as fetch_one
    from workbench.models.registry import Embedded, base_of, is_fetched, resolve
    from workbench.models.sentences import NAME, fetch_sentences

    asked = names or ["smollm2-refusal", NAME]
    bases = {name: base_of(resolve(name)) for name in asked if name != NAME}  # before anything is downloaded
    for name in asked:
        if name == NAME:
            typer.echo(f"{name}: {fetch_sentences()}")
            continue
        base = bases[name]
        if isinstance(base, Embedded) and base.megabytes and not is_fetched(base):
            typer.echo(f"{base.name}: {base.megabytes} MB to download", err=True)
        typer.echo(f"{name}: {fetch_one(name)}")


@app.command(rich_help_panel=START, epilog="Example: workbench models")
def models(as_json: AsJson = False) -> None:
    """List the registered models, where they come from, and which are fetched."""
    from workbench.claims.tables import in_columns
    from workbench.models.registry import SOURCES, Embedded, Hub, base_of, is_fetched

    rows = []
    for name, source in SOURCES.items():
        if isinstance(source, Hub):
            kind, about = "hub", f"{source.id} @ {source.revision[:12]} ({source.about})"
        else:
            base = base_of(source)
            fetched = isinstance(base, Embedded) and is_fetched(base)
            kind, about = ("fetched" if fetched else "not fetched"), source.about
        rows.append({"name": name, "state": kind, "about": about})
    _say(as_json, rows, in_columns([tuple(row.values()) for row in rows]))


@app.command(rich_help_panel=START, epilog="Example: workbench doctor")
def doctor(as_json: AsJson = False) -> None:
    """Show the versions, devices and models of this machine, what is missing, and how to install it. Loads no model.

    Exit code 1: a requirement of every command is missing.
    """
    from workbench.claims.tables import in_columns
    from workbench.models.environment import examine

    parts = examine()
    rows = [(p.group, p.name, p.state, p.seen + (f"   → {p.remedy}" if p.remedy else "")) for p in parts]
    _say(as_json, [asdict(part) for part in parts], in_columns(rows))
    if any(part.state == "wrong" for part in parts):
        raise typer.Exit(1)


@app.command(rich_help_panel=START, epilog="Example: workbench check smollm2-refusal")
def check(
    model: Annotated[str, typer.Argument(help="A registry name, hub id or local folder.")],
    as_json: AsJson = False,
) -> None:
    """Check that a model computes the same as plain transformers, and that chats, padding and hooks are right."""
    from workbench.models.checks import preflight, report
    from workbench.models.load import load

    loaded = load(model, check=False)
    results = preflight(loaded)
    facts = {name: getattr(loaded, name) for name in ("name", "revision", "n_layers", "d_model")}
    head = f"{loaded.name} (revision {loaded.revision}, {loaded.n_layers} layers, d_model {loaded.d_model})"
    checks = [{**asdict(result), "passed": result.passed} for result in results]
    _say(as_json, {**facts, "checks": checks}, f"{head}\n{report(results)}")
    if not all(result.passed for result in results):
        raise typer.Exit(1)


@app.command(rich_help_panel=START, epilog="Example: workbench explore smollm2-refusal")
def explore(
    model: Annotated[str, typer.Argument(help="A registry name, hub id or local folder.")] = "smollm2-refusal",
    pairs: Annotated[
        str, typer.Option(help="A contrast set, or a .csv file with columns positive and negative.")
    ] = "refusal",
    folder: Annotated[Path, typer.Option(parser=_place, help="Folder for the notebook.")] = Path("runs/explore"),
    browser: Annotated[bool, typer.Option(help="Open a browser.")] = True,
) -> None:
    """Open JupyterLab with a notebook that is ready to run, to try a direction interactively."""
    from workbench.notebooks.execute import check_folder
    from workbench.notebooks.lab import open_lab, ready_notebook

    check_folder(folder, "--folder")
    notebook = ready_notebook(model, pairs, folder)
    typer.echo(f"notebook  {notebook}")
    open_lab(notebook, browser)


@app.command(rich_help_panel=EXPERIMENTS, epilog="Example: workbench plan smollm2-refusal --hardware here --arms 40")
def plan(
    model: Annotated[str, typer.Argument(help="A registry name, hub id or local folder.")],
    hardware: Annotated[
        str, typer.Option(help="A GPU (h100, rtx-4090, …), or `here` to time a few batches on this machine.")
    ],
    arms: Annotated[int, typer.Option(help="Conditions per prompt: layers × ratios × (1 + 2 × controls).")],
    prompts: Annotated[str, typer.Option(help="A contrast set (refusal), a prompt set, or a file.")] = "refusal",
    split: Annotated[str, typer.Option(help="Split of a contrast set: train, dev, test.")] = "test",
    new: Annotated[int, typer.Option(help="The most new tokens per response.")] = 48,
    batch: Annotated[int, typer.Option(help="Rows per batch.")] = 256,
    gpus: Annotated[int, typer.Option(help="Number of devices.")] = 1,
    dtype: Annotated[
        str | None, typer.Option(help="bfloat16, float32, …; by default the dtype that the model would be loaded in.")
    ] = None,
    on: Annotated[str, typer.Option(help="Steered tokens, e.g. all or 'prompt[-1] | response'.")] = "all",
    as_json: AsJson = False,
) -> None:
    """Estimate the rows, tokens, time and memory of a sweep before you run it (docs/planning.md)."""
    from workbench.models.prompt_files import CONTRASTS, pairs
    from workbench.models.prompt_files import prompts as prompt_set

    asked = pairs(prompts).split(split) if prompts in CONTRASTS else prompt_set(prompts)
    from workbench.sweeps.cost import plan as estimate

    if hardware != "here":
        cost = estimate(model, asked, arms, new, batch, hardware, gpus, dtype, on)
    else:
        from workbench.models.load import load

        cost = estimate(load(model, dtype or "float32"), asked, arms, new, batch, gpus=gpus, on=on)
    _say(as_json, {**asdict(cost), "seconds": cost.seconds}, str(cost))


@app.command(
    rich_help_panel=EXPERIMENTS,
    epilog="Example: workbench run notebooks/01_sign_inversion.ipynb --model smollm2-refusal",
)
def run(
    notebook: Annotated[Path, typer.Argument(parser=_place, help="A notebook, or a folder of numbered ones.")],
    model: Annotated[str, typer.Option(help="The model to run it on.")] = "smollm2-refusal",
    profile: Annotated[
        str, typer.Option(help="smoke (does it run?), quick (minutes) or full (enough prompts for a verdict).")
    ] = "quick",
    parameter: Annotated[
        Optional[list[str]],  # noqa: UP045
        typer.Option("-p", "--parameter", help="KEY=VALUE; may be repeated."),
    ] = None,
    runs: Annotated[Path, typer.Option(parser=_place, help="Folder for the results.")] = Path("runs"),
    as_json: AsJson = False,
) -> None:
    """Execute notebooks. Then show where the results are, and the recorded verdicts."""
    from workbench.claims.ledger import open as open_ledger
    from workbench.claims.tables import verdict_text
    from workbench.models.registry import resolve
    from workbench.notebooks.execute import check_folder, execute, find, read_texts

    resolve(model)
    check_folder(runs, "--runs")
    given = _texts(parameter or [])
    chosen = [(path, read_texts(path, given, profile)) for path in find(notebook)]
    recorded = open_ledger(given.get("ledger", str(runs / "ledger")))
    before = {entry.id for entry in recorded.entries()}
    executed = []
    for path, parameters in chosen:
        with redirect_stdout(sys.stderr if as_json else sys.stdout):
            done = execute(path, model, profile, parameters, runs)
        files = [file for file in sorted(done.results.iterdir()) if file.name != "plotly.min.js"]
        executed.append({"notebook": done.notebook, "seconds": done.seconds, "files": files})
        if not as_json:
            typer.echo(f"executed notebook  {done.notebook}  ({done.seconds:.0f} s)")
            for file in files:
                typer.echo(f"  {_kind(file):<16} {file}")
    verdicts = [{"claim": entry.claim, **entry.summary()} for entry in recorded.entries() if entry.id not in before]
    lines = [
        f"  {'all rows':<16} {runs / 'store'}",
        *(f"  {'verdict':<16} {verdict['claim']}: {verdict_text(verdict)}" for verdict in verdicts),
    ]
    _say(as_json, {"executed": executed, "rows": runs / "store", "verdicts": verdicts}, "\n".join(lines))


def _kind(file: Path) -> str:
    return {".html": "figure", ".parquet": "rows", ".safetensors": "directions"}.get(file.suffix, "result")


def _texts(given: list[str]) -> dict[str, str]:
    """Parameters of the command line, as text: which type each has is the notebook's to say."""
    texts: dict[str, str] = {}
    for text in given:
        key, equals, value = text.partition("=")
        if not equals or not key:
            raise WorkbenchError(f"parameter {text!r}: expected KEY=VALUE, e.g. -p seed=1")
        if key in texts:
            raise WorkbenchError(f"parameter {key!r} is given twice; give each once")
        if option := _OPTION_OF.get(key):
            raise WorkbenchError(f"parameter {text!r}: the results folder depends on it; give it with {option}")
        texts[key] = value
    return texts


#: parameters of every notebook that the command line has an option for
_OPTION_OF = {"model": "--model", "profile": "--profile", "out": "--runs"}


@app.command(rich_help_panel=EXPERIMENTS, epilog="Example: workbench batch quick --resume")
def batch(
    plan: Annotated[
        str, typer.Argument(help="A plan: tour, quick, full, logged-models, or a file of your own (.toml).")
    ],
    jobs: Annotated[Optional[int], typer.Option(help="Number of notebooks to run at a time.")] = None,  # noqa: UP045
    on: Annotated[str, typer.Option(help="local for this machine, or ray for a cluster.")] = "local",
    resume: Annotated[
        bool, typer.Option("--resume", help="Skip notebooks that succeeded before and have not changed.")
    ] = False,
    only: Annotated[Optional[list[str]], typer.Option(help="A notebook, model or pattern; repeatable.")] = None,  # noqa: UP045
    dry_run: Annotated[
        bool, typer.Option("--dry-run", help="Run nothing; show what would run, and for how long.")
    ] = False,
    notebooks: Annotated[Path, typer.Option(parser=_place, help="Folder of notebooks.")] = Path("notebooks"),
    runs: Annotated[Path, typer.Option(parser=_place, help="Folder for the results.")] = Path("runs"),
    as_json: AsJson = False,
) -> None:
    """Execute the notebooks of a plan, on its models and with its parameters. If one fails, the others still run.

    Keeps executed notebooks, logs, results and timings. Exit code 1: a notebook failed. Exit code 2: the plan is invalid.
    """
    from workbench.notebooks.batch.plan import read_plan
    from workbench.notebooks.batch.run import agenda, check_place, run, summary
    from workbench.notebooks.execute import check_folder

    check_folder(runs, "--runs")
    check_place(jobs, on)
    chosen = read_plan(plan, notebooks).only(only or [])
    todo = agenda(chosen, runs, resume)
    head = "\n".join([f"{chosen.name}: {chosen.about}", *chosen.notes])
    if dry_run:
        _say(as_json, {"plan": chosen.name, **todo.record(jobs or 1)}, f"{head}\n{todo.text(jobs or 1)}")
        return
    with redirect_stdout(sys.stderr if as_json else sys.stdout):
        typer.echo(head)
        ends = run(todo, jobs, on)
    skipped = [one.name for one in todo.done]
    ended = [{**asdict(end), "ok": end.ok} for end in ends]
    _say(as_json, {"plan": chosen.name, "ended": ended, "skipped": skipped}, summary(todo, ends))
    if not all(end.ok for end in ends):
        raise typer.Exit(1)


@app.command(rich_help_panel=RESULTS, epilog="Example: workbench report")
def report(
    runs: Annotated[Path, typer.Option(parser=_place, help="Folder of results.")] = Path("runs"),
    out: Annotated[
        Path | None,
        typer.Option(parser=_place, help="Folder for the report; by default RUNS/report."),
    ] = None,
    notebooks: Annotated[
        Optional[Path],  # noqa: UP045
        typer.Option(parser=_place, help="Folder of notebooks; by default `notebooks`, if it exists."),
    ] = None,
) -> None:
    """Write the report: pages for the ledger, claims, notebooks and models. They open without a network."""
    from workbench.claims.ledger import open as open_ledger
    from workbench.claims.tables import verdict_text
    from workbench.notebooks.report.write import build

    path = build(runs, out or "", notebooks or "")
    newest = [entry for entry in open_ledger(runs / "ledger").entries() if entry.outcome != "not run"][-3:]
    for entry in newest:
        typer.echo(f"{entry.claim}: {verdict_text(entry.summary())}  {' '.join(entry.reasons[:2])}".rstrip())
    typer.echo(f"report  {path}")


@app.command(rich_help_panel=LOGS, epilog="Example: workbench audit EXPERIMENT_LOG.md")
def audit(
    targets: Annotated[
        Optional[list[str]],  # noqa: UP045
        typer.Argument(
            help="Logs as they are (Markdown, text, HTML, notebooks, CSV, JSON, parquet, folders, - for standard input), the numbers"
            " themselves ('31/35 vs 6/35'), claims files (log.toml) or ids of logged claims (S3.2); by default all logged claims."
        ),
    ] = None,
    format: Annotated[str, typer.Option(help="table, json or md.")] = "table",
    as_json: AsJson = False,
    fail_on: Annotated[
        str,
        typer.Option(
            help="Exit with code 1 if a finding has this grade or a more severe one: error, slip, weak or note."
        ),
    ] = "",
    html: Annotated[
        Path | None,
        typer.Option(parser=_place, help="Write a page of the log with the findings in its margin."),
    ] = None,
    draft: Annotated[
        Path | None,
        typer.Option(parser=_place, help="Write a draft of a claims file from the log, for you to edit."),
    ] = None,
    unread: Annotated[bool, typer.Option("--unread", help="Show what could not be read.")] = False,
    checks: Annotated[bool, typer.Option("--checks", help="List the checks that a claims file may name.")] = False,
) -> None:
    """Audit a log as it is, or the logged numbers of claims. Runs no model and needs no network.

    docs/auditing.md lists the rules. data/claims/README.md describes the format of a claims file.

    Exit code 1: a finding is at least as severe as --fail-on. Exit code 2: a file is broken.
    """
    from workbench.claims.audits.kinds import described, table_of_checks
    from workbench.claims.rules.finding import GRADES

    format = "json" if as_json else format
    if checks:
        _say(format == "json", described(), table_of_checks())
        return
    if format not in ("table", "json", "md"):
        raise WorkbenchError(f"unknown format {format!r}; there are table, json and md")
    if fail_on and fail_on not in GRADES:
        raise WorkbenchError(f"unknown grade {fail_on!r}; there are {', '.join(GRADES)}")
    claims, logs = _claims_and_logs(targets or [])
    if (html or draft) and not logs:
        raise WorkbenchError("--html and --draft need a log, e.g. workbench audit LOG.md --html audit.html")
    if draft and html and draft.resolve() == html.resolve():
        raise WorkbenchError(f"--html and --draft both name {html}; give each a file of its own")
    if draft and draft.exists():  # before the page is written
        raise WorkbenchError(f"{draft} is there already; give another name to --draft")
    failed = False
    if claims or not logs:
        failed = _audit_claims(claims, format, fail_on)
    if logs:
        failed |= _audit_logs(logs, format, fail_on, html, draft, unread)
    if failed:
        raise typer.Exit(1)


def _claims_and_logs(targets: list[str]) -> tuple[list[str], list[str]]:
    """Which targets are claims (ids and .toml files), and which are logs or numbers."""
    from workbench.claims.log_formats import is_claims_file, is_short_claims_file

    claims: list[str] = []
    logs: list[str] = []
    for target in targets:
        path = Path(target) if "\n" not in target and len(target) < 1000 else None
        if path is not None and path.is_dir():
            files = sorted(f for f in path.glob("*.toml") if is_claims_file(f))
            claims += map(str, files)
            if not files or any(f.suffix != ".toml" for f in path.rglob("*") if f.is_file()):
                logs.append(target)  # of a folder that holds nothing, the reader of logs says so
        elif target.endswith(".toml") and is_short_claims_file(target):
            logs.append(target)
        elif target.endswith(".toml") or (
            re.fullmatch(r"[A-Za-z]\w*(?:\.\d+)?", target) and not (path is not None and path.exists())
        ):
            claims.append(target)
        else:
            logs.append(target)
    return claims, logs


def _audit_claims(targets: list[str], format: str, fail_on: str) -> bool:
    """Print the audits of claims; say whether one is as grave as ``fail_on``."""
    from workbench.claims.files import claim, logged_claims, read_claims
    from workbench.claims.rules.finding import RANK
    from workbench.claims.tables import details, summary

    chosen = [c for t in targets for c in (read_claims(t) if t.endswith(".toml") else [claim(t)])]
    audits = [(c, c.audit()) for c in (chosen if targets else logged_claims())]
    grades = {
        "inconsistent": "error",
        "refuted (analytic)": "error",
        "artefact": "weak",
        "underpowered": "weak",
        "untestable": "note",
    }
    order = ("error", "slip", "weak", "note")
    reached = bool(fail_on) and any(
        order.index(grades.get(a.verdict, "note")) <= order.index(fail_on) and a.verdict in grades for _, a in audits
    )
    unasked = {target: _unasked(target) for target in targets if target.endswith(".toml")}
    grave = {str(grade): rank for grade, rank in RANK.items()}
    reached |= bool(fail_on) and any(grave[f.grade] <= grave[fail_on] for found in unasked.values() for f in found)
    if format == "json":
        rows = [{"title": c.title, "log": c.log.id, **asdict(a)} for c, a in audits]
        for target, found in unasked.items():
            if found:
                told = {"claim": "", "verdict": found[0].grade, "parts": {}, "findings": [asdict(f) for f in found]}
                rows.append({"title": "Findings of the rules for logs", "log": target, **told})
        _say(True, rows, "")
        return reached
    for one, audited in audits if targets else []:
        typer.echo(f"{one.id} {one.title} (log {one.log.id}, {one.section})\n{one.statement}\n\n{details(audited)}\n")
    for target in targets:
        _say_what_is_open(target)
        if impossible := unasked.get(target):
            typer.echo("also found by the rules for logs:\n" + "\n".join(f"  {f}" for f in impossible) + "\n")
    if len(audits) != 1:
        typer.echo(summary([(c.id, c.title, a) for c, a in audits]))
    return reached


def _unasked(target: str) -> list[Any]:
    """What cannot be among the numbers of a claims file, by the rules for logs, whatever its checks ask for."""
    from workbench.claims.log_audit import audit as audit_log
    from workbench.claims.log_reader import read_log

    return [f for f in audit_log(read_log(Path(target))) if f.grade in ("error", "slip")]


def _audit_logs(
    targets: list[str], format: str, fail_on: str, html: Path | None, draft: Path | None, unread: bool
) -> bool:
    """Print what the rules say of logs; say whether a finding is as grave as ``fail_on``."""
    from workbench.claims.log_audit import audit as audit_log
    from workbench.claims.log_reader import read_log

    log = read_log(targets[0] if len(targets) == 1 else targets)
    audited = audit_log(log)
    typer.echo(audited.to_json() if format == "json" else audited.markdown() if format == "md" else str(audited))
    if unread:
        for file, line, why in audited.unread:
            typer.echo(f"not read: {file}:{line}: {why}")
    said = typer.echo if format == "table" else (lambda text: typer.echo(text, err=True))
    if html:
        from workbench.claims.log_page import write_page

        said(f"page  {write_page(log, audited, html)}")
    if draft:
        from workbench.claims.log_draft import write_draft

        said(f"claims file  {write_draft(log, draft)}, a draft for you to edit; then run: workbench audit {draft}")
    return bool(fail_on) and audited.reaches(fail_on)


def _say_what_is_open(target: str) -> None:
    from workbench.claims.new_claim import open_places

    if target.endswith(".toml") and (places := open_places(target)):
        typer.echo(
            f"{target} still says FILL IN in {'lines' if len(places) > 1 else 'line'} {', '.join(map(str, places))}\n"
        )


@new_app.command("claim", epilog='Example: workbench new claim P1 --title "Adding the direction doubles refusals"')
def new_claim(
    identity: Annotated[str, typer.Argument(metavar="ID", help="Id of the claim, e.g. P1.")],
    folder: Annotated[Path, typer.Option(parser=_place, help="Folder for the files.")] = Path("claims"),
    title: Annotated[str, typer.Option(help="Title of the claim; by default its id.")] = "",
) -> None:
    """Write a claims file and a notebook for you to fill in. Existing files are not overwritten."""
    from workbench.claims.new_claim import new_claim as write
    from workbench.claims.new_claim import open_places

    made = write(identity, folder, title)
    typer.echo(f"claims file  {made.claims}, with {len(open_places(made.claims))} places to fill in")
    typer.echo(f"notebook     {made.notebook}\n")
    typer.echo("Fill in the claims file, then the notebook. Both run already:")
    typer.echo(f"workbench audit {shlex.quote(str(made.claims))}")
    typer.echo(
        f"workbench run {shlex.quote(str(made.notebook))} --profile smoke --model smollm2-refusal   # or a folder, or a hub id"
    )


@app.command(rich_help_panel=RESULTS, epilog="Example: workbench ledger --format md")
def ledger(
    file: Annotated[
        Path | None, typer.Argument(parser=_place, help="A file written by --export, instead of the folder.")
    ] = None,
    format: Annotated[str, typer.Option(help="table, md or json.")] = "table",
    as_json: AsJson = False,
    path: Annotated[Path, typer.Option(parser=_place, help="Folder of the ledger.")] = Path("runs/ledger"),
    recheck: Annotated[bool, typer.Option("--recheck", help="Recompute every verdict from its stored rows.")] = False,
    export: Annotated[
        Path | None,
        typer.Option(
            parser=_place,
            metavar="PATH",
            help="Write the ledger to one file that another machine can recheck. It has no generated text.",
        ),
    ] = None,
) -> None:
    """List all claims with their audits and the latest verdict per model, published or your own. Runs no model.

    Exit code 1: --recheck found a verdict that differs from the recorded one.
    """
    from workbench.claims.ledger import export as export_ledger
    from workbench.claims.ledger import open as open_ledger
    from workbench.claims.ledger import open_exported
    from workbench.claims.tables import FORMATS

    format = "json" if as_json else format
    if format not in FORMATS:
        raise unknown("format", format, FORMATS)
    opened = open_exported(file) if file else open_ledger(path, published=True)
    if export:
        typer.echo(f"{export_ledger(opened, export)}; to recheck it elsewhere: workbench ledger --recheck {export}")
        return
    if not recheck:
        typer.echo(FORMATS[format](opened.records()))
        return
    rechecked = opened.recheck()
    shown = rechecked.to_string(index=False) if len(rechecked) else f"no verdicts in {file or path}"
    _say(format == "json", rechecked.to_dict(orient="records"), shown)
    if not rechecked["agrees"].all():
        raise typer.Exit(1)


@app.command(rich_help_panel=EXPERIMENTS, epilog="Example: workbench register claims/P1.toml")
def register(
    targets: Annotated[list[str], typer.Argument(metavar="CLAIMS.toml", help="Claims files, or ids of logged claims.")],
    path: Annotated[Path, typer.Option(parser=_place, help="Folder of the ledger.")] = Path("runs/ledger"),
    as_json: AsJson = False,
) -> None:
    """Record the criterion and checks of claims, with hash and time, before the run. A registration never changes."""
    from workbench.claims.files import claim, read_claims
    from workbench.claims.ledger import open as open_ledger
    from workbench.claims.registrations import register as fix

    open_ledger(path)
    claims = [one for t in targets for one in (read_claims(t) if t.endswith(".toml") else (claim(t),))]
    fixed = fix(claims, path)
    lines = [f"{one.claim}  {one.time}  {one.hash}" for one in fixed]
    advice = "\nThe times are from this machine's clock. Publish the hashes where others can see when they appeared: a commit, a message."
    _say(as_json, [asdict(one) for one in fixed], "\n".join([*lines, advice]))


#: what the system says where nothing more can be written
_NO_ROOM = (errno.ENOSPC, errno.EDQUOT, errno.EFBIG)


def main() -> NoReturn:
    """Entry point; see ``serve``."""
    os.environ.setdefault("TOKENIZERS_PARALLELISM", "false")
    serve(app)


def serve(commands: typer.Typer) -> NoReturn:
    """Run a command line. No input ends in a traceback.

    What the user can mend is a line on stderr and exit code 2. What they cannot is a line with the place of a log that holds
    the traceback, and exit code 1.
    """
    for stream in (sys.stdout, sys.stderr):
        if hasattr(stream, "reconfigure"):  # a terminal that knows no "‖" gets its escape, not an error
            stream.reconfigure(errors="backslashreplace")
    try:
        code = commands(standalone_mode=False)
    except WorkbenchError as error:
        _end(str(error), 2)
    except OSError as error:
        if error.errno is None:  # a library's own, e.g. of a model that cannot be read
            _end(_unforeseen(error), 1)
        seen = str(error.filename or "")
        place = f"{seen[:200] + '…' * (len(seen) > 200)}: " if seen else ""
        more = "; make room, or choose another folder" if error.errno in _NO_ROOM else ""
        _end(f"{place}{(error.strerror or str(error)).lower()}{more}", 2)
    except (KeyboardInterrupt, typer.Abort):
        _end("interrupted", 130)
    except Exception as error:
        if hasattr(error, "format_message"):  # of the parser: an unknown option, a missing argument
            if not error.format_message():  # called without a word, it has shown its help
                sys.exit(2)
            context = getattr(error, "ctx", None)
            more = f" (see {context.command_path} --help)" if context else ""
            _end(" ".join(error.format_message().split()) + more, 2)
        _end(_unforeseen(error), 1)
    if code == 130:  # the parser's own end of an interrupt
        _end("interrupted", code)
    sys.exit(code if isinstance(code, int) else 0)


def _end(message: str, code: int) -> NoReturn:
    shown = "".join(c if c.isprintable() or c == "\n" else c.encode("unicode_escape").decode() for c in redact(message))
    sys.stderr.write(f"error: {shown}\n")
    sys.exit(code)


def _unforeseen(error: Exception) -> str:
    """One line on an error that nobody foresaw, with the place of its traceback."""
    import tempfile
    import traceback
    from datetime import datetime

    from workbench._files import cache_folder

    text = redact("".join(traceback.format_exception(error)))
    lines = str(error).strip().splitlines()
    said = f"{type(error).__name__}: {lines[0]}" if lines else type(error).__name__
    for folder in (cache_folder() / "logs", Path(tempfile.gettempdir()) / f"workbench-logs-{os.getuid()}"):
        path = folder / f"{datetime.now():%Y-%m-%d_%H%M%S}-{os.getpid()}.log"
        try:
            folder.mkdir(parents=True, exist_ok=True)
            path.write_text(text, encoding="utf-8", errors="backslashreplace")
        except OSError:
            continue
        return f"{said[:400]} (the traceback is in {path})"
    return f"{said[:400]} (the traceback could not be saved)"


if __name__ == "__main__":
    main()
