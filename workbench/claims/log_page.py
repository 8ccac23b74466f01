"""The log as a page, with the findings in the margin as a reviewer would write them: one file, no network, no script."""

import html
from pathlib import Path

from workbench._errors import WorkbenchError
from workbench._errors.redaction import show_controls
from workbench._files import whole
from workbench.claims.log_audit import RULES, LogAudit
from workbench.claims.log_text import LogText
from workbench.claims.rules.finding import LogFinding

#: what says that an audit wrote a page
_MARK = '<meta name="generator" content="workbench audit">'

#: the page loads nothing and runs nothing
_POLICY = """<meta http-equiv="Content-Security-Policy" content="default-src 'none'; style-src 'unsafe-inline'">"""

_STYLE = """
:root { color-scheme: light dark; --ink: #24292f; --ground: #ffffff; --soft: #f6f7f9; --rule: #d8dce1; --error: #b3261e; --slip: #8a5a00; --weak: #5b4bb5; --note: #4a6374; }
@media (prefers-color-scheme: dark) { :root { --ink: #d9dde1; --ground: #121416; --soft: #1b1f23; --rule: #343a40; --error: #ff8a80; --slip: #f0b95b; --weak: #b3a7ff; --note: #9fb6c6; } }
@media print { :root { color-scheme: light; --ink: #000; --ground: #fff; --soft: #fff; } }
* { box-sizing: border-box; }
body { margin: 0; background: var(--ground); color: var(--ink); font: 15px/1.5 system-ui, -apple-system, "Segoe UI", "DejaVu Sans", sans-serif; }
header, main, footer { max-width: 1320px; margin: 0 auto; padding: 12px 20px; }
h1 { font-size: 20px; margin: 8px 0; overflow-wrap: anywhere; }
.counts span { margin-right: 14px; }
.row { display: grid; grid-template-columns: 52px minmax(0, 1fr) minmax(240px, 38%); column-gap: 12px; }
.row > .number { text-align: right; opacity: .55; font: 12px/21px ui-monospace, "DejaVu Sans Mono", monospace; user-select: none; }
.row > pre { margin: 0; font: 13px/21px ui-monospace, "DejaVu Sans Mono", monospace; white-space: pre-wrap; overflow-wrap: anywhere; }
.row.marked > pre { background: var(--soft); }
.row.error > pre { box-shadow: inset 3px 0 var(--error); padding-left: 8px; }
.row.slip > pre { box-shadow: inset 3px 0 var(--slip); padding-left: 8px; }
.row.weak > pre { box-shadow: inset 3px 0 var(--weak); padding-left: 8px; }
.row.note > pre { box-shadow: inset 3px 0 var(--note); padding-left: 8px; }
aside p { margin: 0 0 8px; padding: 2px 0 2px 10px; border-left: 3px solid var(--note); font-size: 13px; overflow-wrap: anywhere; }
aside p.error { border-color: var(--error); } aside p.slip { border-color: var(--slip); } aside p.weak { border-color: var(--weak); }
b.error { color: var(--error); } b.slip { color: var(--slip); } b.weak { color: var(--weak); } b.note { color: var(--note); }
small { display: block; opacity: .75; }
footer { border-top: 1px solid var(--rule); font-size: 13px; }
@media (max-width: 760px) { .row { grid-template-columns: 36px minmax(0, 1fr); } .row > aside { grid-column: 2; } }
"""  # noqa: E501


def page(log: LogText, audit: LogAudit) -> str:
    """The page as HTML: every line of the log as it stands, escaped, with what the rules say of it beside it.

    Control characters are shown and not obeyed.
    """
    by_line: dict[tuple[str, int], list[LogFinding]] = {}
    for finding in audit.findings:
        by_line.setdefault((finding.source, finding.line), []).append(finding)
    rows, shown = [], set()
    sources = log.sources or (log.source,) * len(log.lines)
    last = ""
    for text, number, source in zip(log.lines, log.line_numbers or range(1, len(log.lines) + 1), sources, strict=False):
        if log.sources and source != last:
            rows.append(f"<h2>{html.escape(source)}</h2>")
        last = source
        key = (source, number)
        findings = [] if key in shown else by_line.get(key, [])
        shown.add(key)
        rows.append(_row(text, number, findings))
    counts = {g: sum(f.grade == g for f in audit.findings) for g in ("error", "slip", "weak", "note")}
    said = "".join(f'<span><b class="{g}">{g}</b> {n}</span>' for g, n in counts.items() if n) or "no fault found"
    rest = [f for f in audit.findings if (f.source, f.line) not in shown]
    rows += [_row("", f.line, [f]) for f in rest]
    checked = ", ".join(f"{html.escape(rule)} {n}×" for rule, n in sorted(audit.checked.items(), key=lambda kv: -kv[1]))
    unread = "".join(f"<li>{html.escape(f'{file}:{line}: {why}')}</li>" for file, line, why in audit.unread)
    title = html.escape(f"Audit of {audit.source}")
    return show_controls(
        f'<!doctype html>\n<html lang="en">\n<head>\n<meta charset="utf-8">\n<meta name="viewport" content="width=device-width, initial-scale=1">\n{_MARK}\n{_POLICY}\n'  # noqa: E501
        f'<title>{title}</title>\n<style>{_STYLE}</style>\n</head>\n<body>\n<header><h1>{title}</h1><p class="counts">{said}</p></header>\n'
        f"<main>\n{chr(10).join(rows)}\n</main>\n<footer><p>Checked: {checked or 'nothing'}. No fault found is not the same as right.</p>"
        f"{f'<p>Not read:</p><ul>{unread}</ul>' if unread else ''}</footer>\n</body>\n</html>\n"
    )


def _row(text: str, number: int, findings: list[LogFinding]) -> str:
    grade = f" marked {findings[0].grade}" if findings else ""
    notes = "".join(
        f'<p class="{f.grade}"><b class="{f.grade}">{f.grade}</b> {html.escape(f.sentence)}<small>{html.escape(f.rule)}: {html.escape(RULES[f.rule].asks)} {html.escape(RULES[f.rule].follows)}</small></p>'  # noqa: E501
        for f in findings
    )
    return f'<div class="row{grade}" id="L{number}"><span class="number">{number}</span><pre>{html.escape(text)}</pre><aside>{notes}</aside></div>'  # noqa: E501


def write_page(log: LogText, audit: LogAudit, path: str | Path) -> Path:
    """Write the page of an audit. Returns its path.

    Raises:
        WorkbenchError: another file has that name; only a page that an audit wrote is replaced.
    """
    target = Path(path)
    if target.is_file() and _MARK.encode() not in target.read_bytes()[:2000]:
        raise WorkbenchError(f"{target} is there, and no audit wrote it; move it away, or give another name to --html")
    with whole(target) as draft:
        draft.write_text(page(log, audit), encoding="utf-8")
    return target
