"""The ledger as text: a table for a terminal, Markdown for a README, JSON for programs.

Audits as plain text.
"""

import json
from collections import Counter
from collections.abc import Callable, Iterator, Mapping, Sequence

from workbench.claims.audits.findings import VERDICTS, Audit

Record = Mapping[str, object]


_HEAD = ("id", "claim", "audit", "replication", "effect", "on")


_TITLE = 46


def _lines(records: Sequence[Record]) -> Iterator[tuple[str, ...]]:
    """One line per claim and model: id, title, audit, verdict, effect with interval, model."""
    for record in records:
        about = (str(record["id"]), str(record["title"]), str(record["audit"]))
        verdicts = record["verdicts"]
        assert isinstance(verdicts, list)
        for verdict in verdicts:
            yield (*about, outcome_text(verdict), effect_text(verdict), verdict["model"])
        if not verdicts:
            yield (*about, "not run", "", "")


def outcome_text(verdict: Mapping) -> str:
    """The outcome, and whether it was reached on another model than the logged one."""
    return verdict["outcome"] + (" (on analogue)" if verdict["on_analogue"] else "")


def verdict_text(verdict: Mapping) -> str:
    """Outcome, effect and model in one line."""
    return "  ".join(filter(None, (outcome_text(verdict), effect_text(verdict), verdict["model"])))


def effect_text(verdict: Mapping) -> str:
    """The effect of a verdict with its interval and n, or nothing where there is none."""
    if verdict["effect"] is None:
        return ""
    value, low, high = (f"{round(verdict[name], 2) + 0.0:.2f}" for name in ("effect", "low", "high"))  # no -0.00
    return f"{value} [{low}, {high}] n={verdict['n']}"


def table(records: Sequence[Record]) -> str:
    """Columns for a terminal, and the totals."""
    lines = [
        _HEAD,
        *(
            (i, title if len(title) <= _TITLE else title[: _TITLE - 1] + "…", *rest)
            for i, title, *rest in _lines(records)
        ),
    ]
    widths = [max(len(line[i]) for line in lines) for i in range(len(_HEAD))]
    shown = ["  ".join(cell.ljust(width) for cell, width in zip(line, widths, strict=True)).rstrip() for line in lines]
    return "\n".join([*shown, "", totals(records)])


def markdown(records: Sequence[Record]) -> str:
    """A Markdown table, and the totals."""
    rows = [_HEAD, ("---",) * len(_HEAD), *_lines(records)]
    shown = ["| " + " | ".join(cell.replace("|", "\\|") for cell in row) + " |" for row in rows]
    return "\n".join([*shown, "", totals(records)])


def as_json(records: Sequence[Record]) -> str:
    """A list of {id, title, source, model, audit, verdicts}."""
    return json.dumps(list(records), indent=1, allow_nan=False)


def totals(records: Sequence[Record]) -> str:
    """How many claims got each verdict; a claim run on several models counts once for each."""
    found: dict[str, int] = {}
    for _, _, _, outcome, _, _ in _lines(records):
        name = outcome.removesuffix(" (on analogue)")
        found[name] = found.get(name, 0) + 1
    counts = ", ".join(f"{n} {name}" for name, n in sorted(found.items(), key=lambda item: -item[1]))
    return f"{len(records)} claims: {counts}."


FORMATS: dict[str, Callable[[Sequence[Record]], str]] = {"table": table, "md": markdown, "json": as_json}


def details(audit: Audit) -> str:
    """The verdict of an audit and its findings, one a line: the assertion, the check, its outcome, the sentence."""
    rows = [
        (f.part, f.check, f"{f.outcome}: {f.verdict}" if f.verdict else f.outcome, f.sentence) for f in audit.findings
    ]
    return f"{audit}\n{aligned(rows)}" if rows else str(audit)


def summary(audits: Sequence[tuple[str, str, Audit]]) -> str:
    """One line per claim, from id, title and audit, and how many there are of each verdict."""
    rows = []
    for identity, title, audit in audits:
        parts = ", ".join(f"{letter} {verdict}" for letter, verdict in audit.parts.items())
        failed = ", ".join(dict.fromkeys(f.check for f in audit.findings if f.outcome == "fails"))
        rows.append((identity, title, audit.verdict, failed, parts))
    counts = Counter(audit.verdict for *_, audit in audits)
    total = ", ".join(f"{counts[verdict]} {verdict}" for verdict in reversed(VERDICTS) if counts[verdict])
    return (
        f"{aligned([('claim', 'title', 'audit', 'failed checks', 'assertions'), *rows])}\n{len(audits)} claims: {total}"
    )


def aligned(rows: Sequence[tuple[str, ...]]) -> str:
    """Rows of text in columns."""
    widths = [max(len(row[i]) for row in rows) for i in range(len(rows[0]))]
    return "\n".join("  ".join(c.ljust(w) for c, w in zip(row, widths, strict=True)).rstrip() for row in rows)
