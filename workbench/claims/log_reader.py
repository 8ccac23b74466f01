"""What does a log hold? Reads files, folders of them and texts, each in its format, into tables and sentences with numbers."""

import re
import sys
from collections.abc import Callable, Iterable
from dataclasses import replace
from pathlib import Path

from workbench._errors import WorkbenchError
from workbench.claims.log_builder import LogBuilder, unreadable
from workbench.claims.log_formats import read_claims_file, read_csv, read_html, read_json, read_notebook, read_parquet
from workbench.claims.log_latex import as_markdown, is_latex
from workbench.claims.log_markdown import read_markdown
from workbench.claims.log_repairs import decoded, has_decimal_commas, repaired, with_points
from workbench.claims.log_text import LogText

#: what files of a folder are read
SUFFIXES = tuple(".md .markdown .txt .rst .log .tex .html .htm .ipynb .csv .tsv .json .jsonl .parquet".split())  # noqa: SIM905
_READERS: dict[str, Callable[[str, str], LogText]] = {
    ".csv": read_csv,
    ".tsv": lambda text, source: read_csv(text, source, "\t"),
    ".json": read_json,
    ".jsonl": lambda text, source: read_json(text, source, by_line=True),
    ".toml": read_claims_file,
    ".ipynb": read_notebook,
    ".html": read_html,
    ".htm": read_html,
}
_FILE = re.compile(r"\S+\.[A-Za-z]{1,8}|(?:\.{0,2}/)?(?:[\w.-]+/)+[\w.-]*[A-Za-z_][\w.-]*")


def read_log(log: str | Path | Iterable[str | Path]) -> LogText:
    """Read a log: its tables and its sentences with numbers.

    Args:
        log: a file, a folder, several of them, or the text itself (anything with a line break, or that is not a file
            name). "-" is standard input.

    Returns:
        Tables and statements with their lines. ``unread`` lists what could not be read.

    Raises:
        WorkbenchError: a file that is not there, or nothing to read.

    >>> log = wb.read_log("Layer 12 refuses 31/35, layer 20 refuses 6/35.")
    >>> [(x.successes, x.n) for x in log.statements[0].numbers]
    [(31, 35), (6, 35)]
    """
    if isinstance(log, str | Path):
        return _read_one(log)
    if not isinstance(log, list | tuple | set) or not log or not all(isinstance(one, str | Path) for one in log):
        raise WorkbenchError(
            f"a log is a file, a folder, a list of them, or a text; got {type(log).__name__} {str(log)[:40]!r}"
        )
    parts = [_read_one(one) for one in dict.fromkeys(log)]
    return _joined(parts, ", ".join(p.source for p in parts))


def _read_one(log: str | Path) -> LogText:
    if log == "-":
        return read_text(sys.stdin.read(), "standard input")
    if not str(log).strip():
        raise WorkbenchError("nothing to audit: the text is empty")
    path = Path(log)
    try:
        there = not (isinstance(log, str) and "\n" in log) and path.exists()
    except OSError:  # a text too long for a file's name
        there = False
    if there and path.is_dir():
        return _joined([_read_found(f) for f in _files_of(path)], str(path))
    if there:
        if path.is_fifo() and path.parts[:2] != ("/", "dev"):  # a shell's own pipes, <(…), are in /dev
            raise WorkbenchError(f"{log} is a pipe and no file; type workbench audit - < {log}")
        return _read_file(path)
    text = str(log)
    if isinstance(log, Path) or ("\n" not in text and _FILE.fullmatch(text.strip())):
        raise WorkbenchError(
            f"{log}: no such file; give a file, a folder, or the numbers themselves, e.g. '31/35 vs 6/35'"
        )
    return read_text(text)


def _files_of(folder: Path) -> list[Path]:
    files = [f for f in folder.rglob("*") if f.suffix.lower() in SUFFIXES]
    files = sorted(
        f for f in files if not any(p.startswith(".") or p == "node_modules" for p in f.relative_to(folder).parts)
    )
    if not files:
        raise WorkbenchError(f"{folder} holds no file to audit; read are {', '.join(SUFFIXES)}")
    return files


def _read_found(path: Path) -> LogText:
    """A file of a folder; a link to nothing, a pipe or a file that may not be read is a place that could not be read."""
    if not path.is_file():
        return unreadable(str(path), "a link to nothing" if path.is_symlink() else "no file")
    try:
        return _read_file(path)
    except (OSError, WorkbenchError) as error:
        return unreadable(str(path), getattr(error, "strerror", None) or str(error))


#: no log is longer; a device has no end
_MOST_BYTES = 100_000_000


def _read_file(path: Path) -> LogText:
    kind = path.suffix.lower()
    if kind == ".parquet":
        return read_parquet(path)
    with path.open("rb") as file:
        raw = file.read(_MOST_BYTES + 1)
    if len(raw) > _MOST_BYTES:
        raise WorkbenchError(
            f"{path} holds more than {_MOST_BYTES // 1_000_000} MB; give the part of it that is the log"
        )
    if b"\0" in raw[:4096] and not raw.startswith((b"\xff\xfe", b"\xfe\xff")):
        return unreadable(str(path), "not a text")
    return read_text(decoded(raw), str(path), kind)


def read_text(text: str, source: str = "text", kind: str = ".md") -> LogText:
    """Read a text of a kind that a file's suffix names; Markdown and plain text are read alike.

    >>> read_text("a,refusals,n\\nbase,6,35\\n", "rates.csv", ".csv").tables[0].columns
    ('a', 'refusals', 'n')
    """
    begins = text.lstrip()[:200].lower()
    if kind not in _READERS and begins.startswith(("<!doctype html", "<html", "<table")):
        kind = ".html"
    if kind in _READERS:
        try:
            return _READERS[kind](text, source)
        except (
            RecursionError
        ):  # brackets or tags in one another, thousands deep: no log, and no reason to lose the others
            return unreadable(source, "nested too deeply")
    lines = [repaired(line) for line in text.splitlines()]
    log = LogBuilder(source)
    told = [with_points(line) for line in lines] if has_decimal_commas(text) else lines
    told = as_markdown(told) if is_latex(text) else told
    read_markdown(log, list(enumerate(told, 1)))
    return log.log(lines)


def _joined(parts: list[LogText], source: str) -> LogText:
    """Several logs as one; their sections and blocks get numbers of their own."""
    apart = [(part, k * 100_000) for k, part in enumerate(parts)]
    return LogText(
        source,
        tuple(line for p in parts for line in p.lines),
        tuple(replace(t, section=t.section + shift) for p, shift in apart for t in p.tables),
        tuple(replace(s, section=s.section + shift, block=s.block + shift) for p, shift in apart for s in p.statements),
        tuple(u for p in parts for u in p.unread),
        tuple(n for p in parts for n in p.line_numbers),
        tuple(p.source for p in parts for _ in p.lines),
    )
