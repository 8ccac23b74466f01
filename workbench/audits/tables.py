"""Audits as plain text."""

from collections import Counter
from collections.abc import Sequence

from workbench.audits.findings import VERDICTS, Audit


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
