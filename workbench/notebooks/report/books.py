"""Executed notebooks as HTML: nbconvert's, with plots that share one script, and without text that is withheld."""

import html
import re
from collections.abc import Collection, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import nbformat

from workbench.notebooks.batch.plan import OWN

_PLOTLY = "application/vnd.plotly.v1+json"
_CONFIG = {"responsive": True, "displaylogo": False, "showSendToCloud": False, "plotlyServerURL": ""}
_MARK = 30  # characters of a text by which it is known again
_WITHHELD = "withheld: this output held text that a model wrote under an intervention"


@dataclass(frozen=True)
class Book:
    """An executed notebook of a folder of runs.

    Attributes:
        file: where it lies. notebook: its name in ``notebooks/``. title: its heading.
        model, profile, parameters: what it was executed with. started, duration: when, and how long.
        state: "done", or what went wrong.
    """

    file: Path
    notebook: str
    title: str
    model: str
    profile: str
    parameters: str
    started: str
    duration: str
    state: str

    @property
    def page(self) -> str:
        """The name of its page."""
        return f"{self.file.stem}.{self.model_page}.{self.profile}.html"

    @property
    def model_page(self) -> str:
        """The name of its model's page, without suffix."""
        return self.model.replace("/", "--")


def read_books(runs: Path) -> list[Book]:
    """The executed notebooks of a folder of runs, in order of their names; files that papermill did not write are left out."""
    books = [book for path in sorted(runs.glob("*/*/*.ipynb")) if (book := _read(path)) is not None]
    return sorted(books, key=lambda book: (book.file.stem, book.model, book.profile))


def _read(path: Path) -> Book | None:
    try:
        book = nbformat.reads(path.read_text(encoding="utf-8"), as_version=4)
        ran = book.metadata["papermill"]
        given = ran["parameters"]
    except (KeyError, ValueError, nbformat.ValidationError):
        return None
    more = ", ".join(f"{k} = {v}" for k, v in given.items() if k not in OWN)
    heading = next((m[1] for cell in book.cells if (m := re.match(r"# (.*)", cell.source))), path.stem)
    seconds = ran.get("duration")
    return Book(
        path,
        path.stem.split("--")[0],
        heading,
        path.parts[-3] if Path(given.get("model", "/")).is_absolute() else str(given["model"]),
        str(given.get("profile", path.parts[-2])),
        more,
        str(ran.get("start_time") or "")[:16].replace("T", " "),
        "not finished" if seconds is None else f"{seconds:.0f} s",
        _state(ran, book.cells),
    )


def _state(ran: Mapping, cells: Collection) -> str:
    """Papermill points at a failing cell with cells of its own, which do not count."""
    own = [cell for cell in cells if "papermill-error-cell-tag" not in cell.metadata.get("tags", [])]
    for index, cell in enumerate(own):
        for output in cell.get("outputs", ()):
            if output.output_type == "error" and ran.get("exception"):
                return f"cell {index}, {output.ename}: {output.evalue}"
    return "done" if ran.get("end_time") and not ran.get("exception") else "interrupted"


def body(book: Book, withheld: "Withheld") -> str:
    """The cells of an executed notebook as HTML, for a page that loads plotly itself.

    Args:
        book: of ``read_books``. withheld: an output that holds one of its texts is replaced by a word about that.
    """
    from nbconvert import HTMLExporter

    read = nbformat.read(book.file, as_version=4)
    for index, cell in enumerate(read.cells):
        if cell.cell_type == "code":
            name = f"plot-{book.file.stem}-{index}"
            cell.outputs = [_shown(o, name, withheld) for o in cell.outputs if _is_result(o)]
    exporter = HTMLExporter(
        template_name="basic", exclude_input_prompt=True, exclude_output_prompt=True, exclude_anchor_links=True
    )
    return exporter.from_notebook_node(read)[0]


def _is_result(output: Any) -> bool:
    """Progress bars and warnings of an execution are no results."""
    if output.output_type == "stream":
        return output.name == "stdout"
    return "application/vnd.jupyter.widget-view+json" not in output.get("data", {})


def _shown(output: Any, name: str, withheld: "Withheld") -> Any:
    if withheld.occurs_in(output):
        return nbformat.v4.new_output("display_data", {"text/html": f'<p class="withheld">{_WITHHELD}</p>'})
    figure = output.get("data", {}).get(_PLOTLY)
    return output if figure is None else nbformat.v4.new_output("display_data", {"text/html": plot(figure, name)})


def plot(figure: Any, name: str) -> str:
    """A plotly figure as a div with this id, for a page that loads plotly itself."""
    import plotly.io

    return plotly.io.to_html(
        figure, config=_CONFIG, include_plotlyjs=False, full_html=False, div_id=name, validate=False
    )


@dataclass(frozen=True)
class Withheld:
    """Texts that a report does not show, known again by their first characters."""

    beginnings: frozenset[str] = frozenset()

    @classmethod
    def of(cls, runs: Path) -> "Withheld":
        """What models wrote only while they were steered, as the store of a folder of runs has it.

        How an unsteered model begins too, e.g. a refusal in set words, is nothing that an intervention brought out.
        """
        from workbench.generation.store import open as open_store
        from workbench.steering.steer import Steer

        rows = open_store(runs / "store").frame()
        rows = rows[rows["text"].str.len() > _MARK]
        beginnings, plain = rows["text"].str[:_MARK], rows["steer"] == str(Steer())
        return cls(frozenset(beginnings[~plain]) - frozenset(beginnings[plain]))

    def occurs_in(self, output: Any) -> bool:
        """Whether one of them is in some text of an output: a stream, a table, the labels of a plot."""
        texts = html.unescape(" \n ".join(_texts(output)))
        windows = {texts[i : i + _MARK] for i in range(max(0, len(texts) - _MARK + 1))} if self.beginnings else set()
        return not self.beginnings.isdisjoint(windows)


def _texts(value: Any) -> Iterator[str]:
    """Every text in nested data."""
    if isinstance(value, str):
        yield value
    elif isinstance(value, Mapping):
        for inner in value.values():
            yield from _texts(inner)
    elif isinstance(value, list | tuple):
        for inner in value:
            yield from _texts(inner)
