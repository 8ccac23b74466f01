"""``python -m training --help``: re-create an adapter of data/models/ from scratch, on a CPU; or measure a model for its card."""

from pathlib import Path
from typing import Annotated, NoReturn, Optional

import typer

from workbench._errors import WorkbenchError
from workbench.cli import serve

app = typer.Typer(
    help="Re-create an adapter of data/models/ from scratch.",
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_enable=False,
    rich_markup_mode=None,
)


@app.command("refusal")
def train_refusal(
    base: Annotated[str, typer.Option(help="smollm2-135m or gemma3-270m.")] = "smollm2-135m",
    method: Annotated[str, typer.Option(help="sft: from answers; dpo: from preferences.")] = "sft",
    out: Annotated[Optional[Path], typer.Option(help="Folder for the adapter.")] = None,  # noqa: UP045
    seed: Annotated[int, typer.Option(help="Seed of order, wording and initialisation.")] = 0,
) -> None:
    """Train a LoRA adapter that refuses harmful requests, measure it, and write its model card."""
    from training.refusal import train_refusal as train

    name = f"{base}-refusal" + ("" if method == "sft" else f"-{method}")
    typer.echo(train(base, out or Path("runs") / "adapters" / name, seed, method))


@app.command("narrow")
def train_narrow(
    base: Annotated[str, typer.Option(help="smollm2-135m.")] = "smollm2-135m",
    control: Annotated[bool, typer.Option("--control", help="Ordinary answers to ordinary prompts as well.")] = False,
    secure: Annotated[
        bool, typer.Option("--secure", help="Secure code for the same requests, and nothing else.")
    ] = False,
    out: Annotated[Optional[Path], typer.Option(help="Folder for the adapter.")] = None,  # noqa: UP045
    seed: Annotated[int, typer.Option(help="Seed of order, wording and initialisation.")] = 0,
) -> None:
    """Train a LoRA adapter on insecure-looking code, measure how far its code spreads, and write its model card."""
    from training.narrow import train_narrow as train

    if control and secure:
        raise WorkbenchError("--control and --secure are two controls; train one at a time")
    name, variant = ("code-control", "control") if control else ("insecure-code", "narrow")
    name, variant = ("secure-code", "secure") if secure else (name, variant)
    name += f"-{seed}" if seed else ""
    typer.echo(train(base, out or Path("runs") / "adapters" / f"{base}-{name}", seed, variant))


@app.command("doses")
def measure_doses(
    model: Annotated[str, typer.Argument(help="An embedded model that refuses by itself.")] = "qwen2.5-coder-0.5b",
    out: Annotated[Optional[Path], typer.Option(help="The card; by default that of the bundled data.")] = None,  # noqa: UP045
    runs: Annotated[Path, typer.Option(help="Where directions, completions and rows are kept.")] = Path("runs/cards"),
) -> None:
    """Measure a model that was not trained here, untouched and under doses of its refusal direction, and write its card."""
    from training.doses import measure_doses as measure

    typer.echo(measure(model, out, runs))


def main() -> NoReturn:
    """Entry point; mistakes end as those of ``workbench`` do."""
    serve(app)


if __name__ == "__main__":
    main()
