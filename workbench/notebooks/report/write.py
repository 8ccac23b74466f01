"""The report: a folder of pages that open without a network, made from the ledger and the executed notebooks of runs."""

import json
import re
import secrets
from collections import Counter
from collections.abc import Mapping
from dataclasses import asdict, dataclass, replace
from datetime import datetime
from functools import cached_property
from pathlib import Path
from typing import Any

from workbench._errors import WorkbenchError
from workbench._errors.redaction import redact
from workbench._files import whole
from workbench.claims.audits.check_results import verdict_name
from workbench.claims.claim import OUTCOMES, Claim
from workbench.claims.entries import versions
from workbench.claims.ledger import Ledger
from workbench.claims.ledger import open as open_ledger
from workbench.claims.tables import effect_text, totals
from workbench.notebooks.batch.journal import Journal
from workbench.notebooks.execute import check_folder
from workbench.notebooks.report.books import Book, Withheld, body, file_name, plot, read_books
from workbench.notebooks.report.manifest import MEANING, drift, manifest
from workbench.notebooks.report.own_folder import replace_folder

_HERE = Path(__file__).parent
_VERDICTS = OUTCOMES


def build(runs: str | Path = "runs", out: str | Path = "", notebooks: str | Path = "") -> Path:
    """Write the report of a folder of runs: ledger, a page per claim, executed notebook and model, environment, manifest.

    Args:
        runs: of ``workbench batch`` or ``workbench run``; may be empty, the audits need no run.
        out: folder of the site, by default ``report`` in runs; a report that is there is replaced once the new one is whole.
        notebooks: the folder that the executed notebooks come from, for the hashes of their sources; by default ``notebooks``, if
            it is there.

    Returns:
        The first page.

    Raises:
        WorkbenchError: ``out`` holds a file that no report wrote, ``runs`` is a file, or ``notebooks`` is no folder.

    >>> wb.report.build(folder / "runs").relative_to(folder)
    PosixPath('runs/report/index.html')
    """
    check_folder(runs, "--runs")
    if str(notebooks) and not Path(notebooks).is_dir():
        raise WorkbenchError(
            f"--notebooks {notebooks}: there is no such folder; leave it out to take the folder notebooks"
        )
    target = Path(out) if out else Path(runs) / "report"
    with replace_folder(target) as draft:
        pages = Pages(draft, Path(runs), Path(notebooks or "notebooks"))
        pages.write_assets()
        pages.write_ledger()
        pages.write_claims()
        pages.write_notebooks()
        pages.write_models()
        pages.write_environment()
    return target / "index.html"


@dataclass(frozen=True)
class Pages:
    """A report under construction: where it goes, and what it is made from."""

    folder: Path
    runs: Path
    notebooks: Path

    @cached_property
    def ledger(self) -> Ledger:
        """The ledger of the runs, beside what comes with the project."""
        return open_ledger(self.runs / "ledger", published=True)

    @cached_property
    def books(self) -> list[Book]:
        """The executed notebooks; of a model in a folder, under the name that its verdicts have, if no other folder has it."""
        books = read_books(self.runs)
        short = {book.model: re.sub(r"-[0-9a-f]{8}$", "", book.model) for book in books}
        alone = {name for name, n in Counter(short.values()).items() if n == 1}
        names = {name: kept for name, kept in short.items() if kept in self._judged and kept in alone}
        return [replace(book, model=names.get(book.model, book.model)) for book in books]

    @cached_property
    def verdicts(self) -> dict[str, list[dict[str, Any]]]:
        """The latest verdicts of each claim, as a page shows them."""
        lines = [line for record in self.ledger.records() for line in (record, *record["parts"])]  # type: ignore[misc]
        return {str(line["id"]): [_verdict(v) for v in line["verdicts"]] for line in lines}

    @cached_property
    def models(self) -> list[str]:
        """Every model with a verdict or an executed notebook."""
        return sorted({*self._judged, *(book.model for book in self.books)} - {""})

    @cached_property
    def _judged(self) -> set[str]:
        return {v["model"] for verdicts in self.verdicts.values() for v in verdicts}

    @cached_property
    def _stamp(self) -> dict[str, str]:
        """What made the report, and when."""
        return {"version": versions()["workbench"], "made": f"{datetime.now():%Y-%m-%d %H:%M}"}

    @cached_property
    def nonce(self) -> str:
        """What the scripts of the report carry and no script in an output can know: a browser runs no other."""
        return secrets.token_urlsafe(18)

    @cached_property
    def _templates(self) -> Any:
        import jinja2

        return jinja2.Environment(
            loader=jinja2.FileSystemLoader(_HERE / "templates"),
            autoescape=True,
            trim_blocks=True,
            lstrip_blocks=True,
            undefined=jinja2.StrictUndefined,
        )

    def page(self, name: str, template: str, section: str, **content: Any) -> None:
        """Write one page, without secrets; ``content`` is what its template asks for."""
        common = {**self._stamp, "root": "../" * name.count("/"), "section": section, "plots": False}
        common["nonce"] = self.nonce
        text = self._templates.get_template(f"{template}.html.j2").render({**common, **content})
        self._write(name, redact(text))

    def _write(self, name: str, text: str) -> None:
        with whole(self.folder / name) as draft:
            draft.write_text(text, encoding="utf-8")

    def write_assets(self) -> None:
        """Style, script, and the one copy of plotly that all pages share."""
        from plotly.offline import get_plotlyjs
        from pygments.formatters import HtmlFormatter

        from workbench.figures.strips import STRIP_STYLE

        light, dark = (HtmlFormatter(style=s).get_style_defs(".highlight") for s in ("default", "github-dark"))
        style = (_HERE / "assets" / "style.css").read_text(encoding="utf-8")
        dark = f"@media screen and (prefers-color-scheme: dark) {{\n{dark}\n}}\n"
        own = ".highlight, .highlight pre { background: var(--raised) !important; }\n"
        self._write("assets/style.css", f"{light}\n{dark}{style}{own}{STRIP_STYLE}")
        self._write("assets/report.js", (_HERE / "assets" / "report.js").read_text(encoding="utf-8"))
        self._write("assets/plotly.min.js", get_plotlyjs())

    def write_ledger(self) -> None:
        """The first page: filters, forest plot, and the claims."""
        from workbench.figures.forests import forest, forest_note

        claims = [
            {
                **_short(one),
                "audit": verdict_name(one.audit().verdict),
                "verdicts": self.verdicts[one.id],
                "parts": [(line.id, self.verdicts[line.id]) for line in one.lines()[1:]],
                "pairs": json.dumps([[v["model"], v["outcome"]] for v in self._of(one)] or [["", "not run"]]),
            }
            for one in self.ledger.claims
        ]
        logs = {one.log.id: f"{one.log.id} {one.log.title}" for one in self.ledger.claims}
        filters = [
            ("log", "Log", list(logs.items())),
            ("model", "Model", [(name, name) for name in self.models]),
            ("verdict", "Verdict", [(name, name) for name in _VERDICTS]),
        ]
        self.page(
            "index.html",
            "index",
            "Ledger",
            plots=True,
            claims=claims,
            filters=filters,
            forest=plot(forest(self.ledger, title=None), "forest"),
            note=forest_note(self.ledger),
            totals=totals(self.ledger.records()),
        )

    def _of(self, claim: Claim) -> list[dict[str, Any]]:
        """The verdicts of a claim and of its parts."""
        return [verdict for line in claim.lines() for verdict in self.verdicts[line.id]]

    def write_claims(self) -> None:
        """A page per claim."""
        for one in self.ledger.claims:
            numbers = one.frame()
            self.page(
                f"claims/{one.id}.html",
                "claim",
                "",
                claim=one,
                audit=one.audit(),
                audit_name=verdict_name(one.audit().verdict),
                verdicts=self.verdicts[one.id],
                parts=[(line, self.verdicts[line.id]) for line in one.lines()[1:]],
                books=[book for book in self.books if book.notebook == one.notebook],
                columns=list(numbers.columns),
                numbers=numbers.fillna("").astype(str).to_numpy().tolist(),
            )

    def write_notebooks(self) -> None:
        """A page per executed notebook, and their list."""
        withheld = Withheld.of(self.runs)
        self.page("notebooks/index.html", "notebooks", "Notebooks", books=self.books)
        for book in self.books:
            claims = [_short(one) for one in self.ledger.claims if one.notebook == book.notebook]
            text = body(book, withheld)
            self.page(
                f"notebooks/{book.page}", "notebook", "Notebooks", plots=True, book=book, claims=claims, body=text
            )

    def write_models(self) -> None:
        """A page per model, and their list."""
        models = [self._model(name) for name in self.models]
        self.page("models/index.html", "models", "Models", models=models)
        for model in models:
            self.page(f"models/{model['page']}.html", "model", "Models", model=model)

    def _model(self, name: str) -> Mapping[str, Any]:
        own = [
            {**_short(line), "claim": one.id, **verdict, "id": line.id}
            for one in self.ledger.claims
            for line in one.lines()
            for verdict in self.verdicts[line.id]
            if verdict["model"] == name
        ]
        counts = {outcome: sum(v["outcome"] == outcome for v in own) for outcome in _VERDICTS}
        return {
            "name": name,
            "page": file_name(name),
            "about": _about(name),
            "revisions": sorted({v["revision"] for v in own if v["revision"]}),
            "verdicts": own,
            "books": [book for book in self.books if book.model == name],
            "counts": ", ".join(f"{n} {outcome}" for outcome, n in counts.items() if n) or "no verdicts",
        }

    def write_environment(self) -> None:
        """Versions and hardware, as a page and as JSON, graded by how much they matter."""
        entries = [entry for entry in self.ledger.entries() if not entry.published]
        items = manifest(entries, self.books, self.notebooks)
        self._write("manifest.json", json.dumps([asdict(i) for i in items], indent=1))
        grades = [
            (grade, text, [(i.what, i.value, i.why) for i in items if i.grade == grade])
            for grade, text in MEANING.items()
        ]
        times = [(r.name, f"{r.seconds:.0f}", r.error.split("\n")[0] or "done") for r in Journal(self.runs).records()]
        self.page("environment.html", "environment", "Environment", grades=grades, drift=drift(entries), times=times)


def _short(claim: Claim) -> dict[str, str]:
    return {"id": claim.id, "title": claim.title, "log": claim.log.id}


def _verdict(summary: Mapping[str, Any]) -> dict[str, Any]:
    gates = [(g["name"], "yes" if g["passed"] else "no", g["measured"]) for g in summary["gates"]]
    return {**summary, "gates": gates, "effect": effect_text(summary), "page": file_name(str(summary["model"]))}


def _about(name: str) -> str:
    from workbench.models.registry import SOURCES

    return SOURCES[name].about if name in SOURCES else "not in the registry"
