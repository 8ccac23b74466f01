"""Executed notebooks as HTML: nbconvert's, with plots that share one script, and without text that is withheld."""

import base64
import html
import json
import re
import secrets
from collections.abc import Collection, Iterator, Mapping
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path
from typing import Any

import nbformat

from workbench._errors import WorkbenchError
from workbench._errors.redaction import show_controls
from workbench._files import content_key
from workbench.notebooks.batch.plan import OWN
from workbench.notebooks.execute import read_notebook

_PLOTLY = "application/vnd.plotly.v1+json"
_CONFIG = {"responsive": True, "displaylogo": False, "showSendToCloud": False, "plotlyServerURL": ""}
_MARK = 20  # letters and digits by which a text is known again; an outcome of fewer than 30 characters is no secret
_SHORTEST = 30

#: what the output of a notebook may hold in a page: nothing that runs, loads or leads astray
_TAGS = frozenset(
    """
    a abbr b blockquote br caption code col colgroup dd del details div dl dt em h1 h2 h3 h4 h5 h6 hr i img
    kbd li mark ol p pre s samp section small span strong sub summary sup table tbody td tfoot th thead tr u
    ul
    """.split()  # noqa: SIM905
)
_ATTRIBUTES = frozenset(
    """
    align alt class colspan dir height href id rowspan scope src start style title width
    """.split()  # noqa: SIM905
)
_CSS = ("background-color", "color", "font-style", "font-weight", "max-width", "padding", "text-align", "width")

_WITHHELD = "withheld: this output held text that a model wrote under an intervention"


@dataclass(frozen=True)
class Book:
    """An executed notebook of a folder of runs.

    Attributes:
        file: where it lies.
        notebook: its name in ``notebooks/``.
        title: its heading.
        model, profile, parameters: what it was executed with.
        started, duration: when, and how long.
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
        return file_name(f"{self.file.stem}.{self.file.parts[-3]}.{self.file.parts[-2]}") + ".html"

    @property
    def model_page(self) -> str:
        """The name of its model's page, without suffix."""
        return file_name(self.model)


def read_books(runs: Path) -> list[Book]:
    """The executed notebooks of a folder of runs, in order of their names; files that papermill did not write are left out."""
    books = [book for path in sorted(runs.glob("*/*/*.ipynb")) if path.is_file() and (book := _read(path)) is not None]
    return sorted(books, key=lambda book: (book.file.stem, book.model, book.profile))


def _read(path: Path) -> Book | None:
    try:
        book = read_notebook(path)
        ran = book.metadata["papermill"]
        given = {str(name): value for name, value in ran["parameters"].items()}
    except (KeyError, TypeError, AttributeError, WorkbenchError):
        return None
    more = ", ".join(f"{k} = {v}" for k, v in given.items() if k not in OWN)
    heading = next((m[1] for cell in book.cells if (m := re.match(r"# (.*)", cell.source))), path.stem)
    seconds = ran.get("duration")
    return Book(
        path,
        path.stem.split("--")[0],
        heading,
        path.parts[-3] if Path(str(given.get("model", "/"))).is_absolute() else str(given["model"]),
        str(given.get("profile", path.parts[-2])),
        more,
        str(ran.get("start_time") or "")[:16].replace("T", " "),
        f"{seconds:.0f} s" if isinstance(seconds, int | float) else "not finished",
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
    """The cells of an executed notebook as HTML that runs nothing, for a page that loads plotly and draws the figures itself.

    Args:
        book: of ``read_books``.
        withheld: an output that holds one of its texts is replaced by a word about that.
    """
    from nbconvert import HTMLExporter

    read, shown = read_notebook(book.file), _Shown(withheld)
    for cell in read.cells:
        cell.pop("attachments", None)
        if cell.cell_type == "code":
            cell.outputs = [shown.output(o) for o in cell.outputs if _is_result(o)]
    exporter = HTMLExporter(
        template_name="basic", exclude_input_prompt=True, exclude_output_prompt=True, exclude_anchor_links=True
    )
    return shown.with_figures(sanitise(exporter.from_notebook_node(read)[0]))


def _is_result(output: Any) -> bool:
    """Progress bars and warnings of an execution are no results."""
    if output.output_type == "stream":
        return output.name == "stdout"
    return "application/vnd.jupyter.widget-view+json" not in output.get("data", {})


@dataclass
class _Shown:
    """The outputs of a notebook as they are shown: figures are set aside, since they are drawn by the page's own script."""

    withheld: "Withheld"
    figures: list[str] = field(default_factory=list)
    secret: str = field(default_factory=lambda: secrets.token_hex(16))  # no output can guess where a figure will stand

    def output(self, output: Any) -> Any:
        """What stands in the place of an output."""
        data = output.get("data", {})
        if self.withheld.occurs_in(output):
            return _html(f'<p class="withheld">{_WITHHELD}</p>')
        if _PLOTLY in data:
            self.figures.append(plot(data[_PLOTLY], f"plot-{self.secret}-{len(self.figures)}"))
            return _html(f"<p>{self.secret}-{len(self.figures) - 1}</p>")
        if "image/svg+xml" in data:  # as an image, a drawing runs nothing
            drawing = base64.b64encode("".join(data["image/svg+xml"]).encode()).decode()
            return _html(f'<img alt="drawing" src="data:image/svg+xml;base64,{drawing}">')
        return output

    def with_figures(self, body: str) -> str:
        """A page's body with every figure in its place."""
        return re.sub(rf"<p>{self.secret}-(\d+)</p>", lambda place: self.figures[int(place[1])], body)


def _html(text: str) -> Any:
    return nbformat.v4.new_output("display_data", {"text/html": text})


def sanitise(body: str) -> str:
    """HTML without scripts, styles, forms, frames, handlers or anything that would be loaded from elsewhere; control characters
    are shown and not obeyed.

    >>> sanitise("<b onclick='steal()'>bold</b><script>steal()</script><a href='javascript:steal()'>a link</a>")
    '<b>bold</b><a>a link</a>'
    """
    from bleach.css_sanitizer import CSSSanitizer
    from bleach.sanitizer import Cleaner
    from bs4 import BeautifulSoup

    soup = BeautifulSoup(body, "html.parser")
    for element in soup(
        ["script", "style", "template", "iframe", "object", "noscript", "textarea", "title", "svg", "math"]
    ):
        element.decompose()
    cleaner = Cleaner(
        tags=_TAGS,
        attributes=_allows,
        protocols=["http", "https", "mailto", "data"],
        strip=True,
        css_sanitizer=CSSSanitizer(allowed_css_properties=_CSS),
    )
    return show_controls(cleaner.clean(str(soup).replace("\r\n", "\n").replace("\r", "\n")))


def _allows(tag: str, name: str, value: str) -> bool:
    """Whether a tag may have an attribute: images are data, links are not."""
    if name == "src":
        return tag == "img" and value.startswith("data:image/")
    return name in _ATTRIBUTES and (name != "href" or not value.lower().strip().startswith("data:"))


def file_name(text: str) -> str:
    """A text as the name of one file: it can neither leave a folder nor be read as a part of an address.

    >>> file_name("owner/model"), file_name("../../x y")
    ('owner--model', '..--..--x_y-781bf82c')
    """
    named = text.replace("/", "--")
    safe = re.sub(r"[^\w.=,+-]", "_", named, flags=re.ASCII)[:120]
    return safe if safe == named and not safe.startswith(".") else f"{safe}-{content_key(text, length=8)}"


def plot(figure: Any, name: str) -> str:
    """A plotly figure as an empty div with this id and its data beside it, for a page whose script draws it.

    Args:
        figure: a plotly figure, or what a notebook keeps of one.
        name: the id.
    """
    import plotly.io

    kept = {**json.loads(plotly.io.to_json(figure, validate=False)), "config": _CONFIG}
    tall = kept.get("layout", {}).get("height")
    height = f"{tall:.0f}px" if isinstance(tall, int | float) else "100%"
    data = json.dumps(kept).replace("<", "\\u003c")
    return (
        f'<div id="{html.escape(name)}" class="plotly-graph-div" style="height:{height}; width:100%;"></div>'
        f'<script type="application/json" class="wb-figure">{data}</script>'
    )


@dataclass(frozen=True)
class Withheld:
    """Texts that a report does not show, known again by their first letters and digits.

    Blanks, marks and escapes are left aside: a frame, a repr, JSON or HTML write a newline, a quote or an emoji as they like.
    """

    beginnings: frozenset[str] = frozenset()

    @classmethod
    def of(cls, runs: Path) -> "Withheld":
        """What models wrote only while they were steered, as the store of a folder of runs has it.

        How an unsteered model begins too, e.g. a refusal in set words, is nothing that an intervention brought out.
        """
        from workbench.generation.store import open as open_store
        from workbench.steering.steer import Steer

        rows = open_store(runs / "store").frame(show_text=True)
        rows = rows[rows["text"].str.len() > _SHORTEST]
        beginnings, plain = rows["text"].map(_beginning), rows["steer"] == str(Steer())
        return cls((frozenset(beginnings[~plain]) - frozenset(beginnings[plain])) - {""})

    def occurs_in(self, output: Any) -> bool:
        """Whether one of them is in some text of an output: a stream, a table, the labels of a plot."""
        if not self.beginnings:
            return False
        texts = " \n ".join(_texts(output))
        shown = {_letters(texts), _letters(_TAG.sub("", html.unescape(texts))), _letters(_TAG.sub("", texts))}
        starts, n = self._by_start
        return any(
            text.startswith(beginning, i)
            for text in shown
            for i in range(len(text) - n + 1)
            for beginning in starts.get(text[i : i + n], ())
        )

    @cached_property
    def _by_start(self) -> tuple[dict[str, list[str]], int]:
        """The beginnings by their first letters, of which all have so many: one look-up at each place of a text."""
        n = min(map(len, self.beginnings))
        starts: dict[str, list[str]] = {}
        for beginning in self.beginnings:
            starts.setdefault(beginning[:n], []).append(beginning)
        return starts, n


_TAG = re.compile(r"<[^<>]{0,300}>")
_ESCAPE = re.compile(
    r"\\+(?:u\{?([0-9a-fA-F]{4,6})\}?|U([0-9a-fA-F]{8})|x([0-9a-fA-F]{2})|[abfnrtv0])|\x1b\[[0-9;]*[A-Za-z]"
)


def _letters(text: str) -> str:
    """The letters and digits of a text, whatever wrote it: plain, a repr, JSON (twice over too), HTML or a terminal."""

    def character(escape: re.Match) -> str:
        code = escape[1] or escape[2] or escape[3]
        return chr(int(code, 16)) if code and int(code, 16) < 0x110000 else " "

    plain = _ESCAPE.sub(character, html.unescape(text))
    plain = plain.encode("utf-16", "surrogatepass").decode(
        "utf-16", "replace"
    )  # JSON writes two halves of some letters
    return "".join(filter(str.isalnum, plain)).casefold()


def _beginning(text: str) -> str:
    """What a text is known by; nothing where it has hardly a letter in all."""
    letters = _letters(text)
    return letters[:_MARK] if len(letters) >= _MARK // 2 else ""


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
