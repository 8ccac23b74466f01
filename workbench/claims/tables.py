"""How are ledger and audits printed? As a table for a terminal, as Markdown for a README, as JSON for programs."""

import json
from collections import Counter
from collections.abc import Callable, Iterator, Mapping, Sequence

from workbench._errors.redaction import show_controls
from workbench.claims.audits.check_results import VERDICTS, Audit, verdict_name
from workbench.claims.standing import standing_text
from workbench.claims.verdict import RULE

_HEAD = ("id", "claim", "audit", "replication", "effect", "on")
_TITLE = 46


def outcome_text(verdict: Mapping) -> str:
    """The outcome, whether it was reached on another model than the logged one, and whether by an earlier rule or criterion."""
    earlier = " (first rule)" if verdict.get("rule", RULE) != RULE else ""
    earlier += " (earlier criterion)" if verdict.get("earlier") else ""
    return verdict["outcome"] + standing_text(verdict.get("standing", ""), verdict["on_analogue"]) + earlier


def effect_text(verdict: Mapping) -> str:
    """The effect of a verdict with its interval and n, or nothing where there is none."""
    if verdict["effect"] is None:
        return ""
    numbers = (verdict[name] for name in ("effect", "low", "high"))
    value, low, high = ("?" if number is None else f"{round(number, 2) + 0.0:.2f}" for number in numbers)  # no -0.00
    return f"{value} [{low}, {high}] n={verdict['n']}"


def model_text(verdict: Mapping) -> str:
    """The model, whether its adapter was replaced since, and whether the verdict comes with the project."""
    earlier = " (earlier adapter)" if verdict.get("adapter") else ""
    return verdict["model"] + earlier + ", published" * verdict.get("published", False)


def verdict_text(verdict: Mapping) -> str:
    """Outcome, effect and model in one line."""
    return "  ".join(filter(None, (outcome_text(verdict), effect_text(verdict), model_text(verdict))))


def _lines(records: Sequence[Mapping]) -> Iterator[tuple[str, ...]]:
    """One line per claim, or part, and model: id, title, audit, verdict, effect with interval, model."""
    for record, audit in ((line, one["audit"]) for one in records for line in (one, *one.get("parts", ()))):
        rests = f" ({record['part']})" if record.get("part") else ""  # the part that it rests on
        rests += f" (with {record['shares_rows']})" if record.get("shares_rows") else ""
        about = (record["id"] + rests, record["title"], verdict_name(audit) if "audit" in record else "")
        for verdict in record["verdicts"]:
            yield (*about, outcome_text(verdict), effect_text(verdict), model_text(verdict))
        if not record["verdicts"]:
            yield (*about, "not run", "", "")


def table(records: Sequence[Mapping]) -> str:
    """Columns for a terminal, and the totals."""
    lines = _lines(records)
    short = [(i, title if len(title) <= _TITLE else title[: _TITLE - 1] + "…", *rest) for i, title, *rest in lines]
    return f"{in_columns([_HEAD, *short])}\n\n{totals(records)}"


def markdown(records: Sequence[Mapping]) -> str:
    """A Markdown table, and the totals."""
    rows = [_HEAD, ("---",) * len(_HEAD), *_lines(records)]
    shown = ["| " + " | ".join(_on_one_line(cell).replace("|", "\\|") for cell in row) + " |" for row in rows]
    return "\n".join([*shown, "", totals(records)])


def as_json(records: Sequence[Mapping]) -> str:
    """A list of {id, title, source, model, audit, verdicts}."""
    return json.dumps(list(records), indent=1, allow_nan=False)


def totals(records: Sequence[Mapping]) -> str:
    """How many claims got each verdict; a claim run on several models counts once for each."""
    counted = [record for record in records if not record.get("shares_rows")]
    counts = Counter(outcome.partition(" (")[0] for _, _, _, outcome, *_ in _lines(counted))
    parts = sum(len(record.get("parts", ())) for record in records)
    shared = len(records) - len(counted)
    uses = f" ({shared} {'uses' if shared == 1 else 'use'} the rows of another claim)" if shared else ""
    also = (f" and {parts} separate parts" if parts else "") + uses
    check = " A check is arithmetic on the rows of its own run, not a verdict." if counts["check"] else ""
    return f"{len(records)} claims{also}: {', '.join(f'{n} {name}' for name, n in counts.most_common())}.{check}"


FORMATS: dict[str, Callable[[Sequence[Mapping]], str]] = {"table": table, "md": markdown, "json": as_json}


def details(audit: Audit) -> str:
    """The verdict of an audit, what was checked, and its findings, one a line: the assertion, the check, its outcome, the sentence."""
    rows = [
        (f.part, f.check, f"{f.outcome}: {f.verdict}" if f.verdict else f.outcome, f.sentence) for f in audit.findings
    ]
    head = f"{audit}\nchecked: {audit.checked}"
    return f"{head}\n{in_columns(rows)}" if rows else head


def summary(audits: Sequence[tuple[str, str, Audit]]) -> str:
    """One line per claim, from id, title and audit, and how many there are of each verdict."""
    rows = [("claim", "title", "audit", "failed checks", "assertions")]
    for identity, title, audit in audits:
        parts = ", ".join(f"{letter} {verdict_name(verdict)}" for letter, verdict in audit.parts.items())
        failed = ", ".join(dict.fromkeys(f.check for f in audit.findings if f.outcome == "fails"))
        rows.append((identity, title, verdict_name(audit.verdict), failed, parts))
    counts = Counter(audit.verdict for *_, audit in audits)
    total = ", ".join(f"{counts[verdict]} {verdict_name(verdict)}" for verdict in reversed(VERDICTS) if counts[verdict])
    return f"{in_columns(rows)}\n{len(audits)} claims: {total}"


def in_columns(rows: Sequence[tuple[str, ...]]) -> str:
    """Rows of text, each cell as wide as its column."""
    cells = [[_on_one_line(cell) for cell in row] for row in rows]
    widths = [max(map(len, column)) for column in zip(*cells, strict=True)]
    return "\n".join("  ".join(c.ljust(w) for c, w in zip(row, widths, strict=True)).rstrip() for row in cells)


def _on_one_line(cell: str) -> str:
    """A cell without what would begin a row of its own, or change how the terminal shows the others."""
    return show_controls(cell).replace("\n", r"\n").replace("\t", r"\t")
