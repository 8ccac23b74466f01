"""Pages of documentation: their blocks of code, run or parsed as they stand."""

import re
import shlex

import typer

import workbench as wb
from workbench.cli import app

_FENCE = re.compile(r"```(\w*)\s*")


def code(page, *languages):
    """The lines of all blocks in some languages, each on the line where the page has it; all others are empty."""
    lines, inside = [], None
    for line in page.read_text(encoding="utf-8").splitlines():
        fence = _FENCE.fullmatch(line)
        lines.append(line if inside in languages and not fence else "")
        if fence:
            inside = fence[1] if inside is None else None
    return lines


def run(page, folder, monkeypatch, model, extractions):
    """Execute the Python of a page, top to bottom, in a folder.

    ``wb.load`` of the model that all pages use gives that one, in whichever dtype it is, and ``wb.extract`` keeps in a store
    what several of them read.
    """
    real, extract = wb.load, wb.extract

    def load(name, *args, **more):
        return model if name == model.name and not args and not more else real(name, *args, **more)

    monkeypatch.setattr(wb, "load", load)
    monkeypatch.setattr(wb, "extract", lambda *args, **more: extract(*args, **{"store": extractions, **more}))
    monkeypatch.chdir(folder)
    exec(compile("\n".join(code(page, "python")), page.name, "exec"), {"__name__": "__main__"})


def commands(page):
    """The words of every line that calls ``workbench`` or ``make``, environment and comments left out."""
    joined = "\n".join(code(page, "sh", "bash", "")).replace("\\\n", " ")
    for line in joined.splitlines():
        words = shlex.split(line, comments=True) if re.match(r"\s*(?:\w+=\S* )*(?:workbench|make) ", line) else []
        while words and "=" in words[0]:
            words = words[1:]
        if words:
            yield words


def parse(words):
    """Parse a command line of ``workbench``, without running it. Raises what the command line would complain about."""
    command, context = typer.main.get_command(app), None
    name, *rest = words
    while hasattr(command, "get_command"):
        context = command.context_class(command, parent=context, info_name=name)
        name, *rest = rest
        command = command.get_command(context, name)
        assert command is not None, f"no command {name}: {' '.join(words)}"
    command.make_context(name, rest, parent=context)
