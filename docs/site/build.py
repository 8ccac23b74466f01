"""What mkdocs does not find in docs/: the reference of every public name, the gallery of figures, the changelog.

The reference follows ``workbench/__init__.pyi``, so that a name that is public has an entry and no other has.
"""

import ast
import re
import sys
from pathlib import Path

from mkdocs.structure.files import File, Files

ROOT = Path(__file__).resolve().parents[2]
ROOMS = (
    "steering",
    "models",
    "activations",
    "generation",
    "scoring",
    "mechanism",
    "sweeps",
    "statistics",
    "claims",
    "notebooks",
    "figures",
)

#: A figure has the whole width of a phone, without the margins of the text; its titles are made for that. It is a page of its
#: own and follows the system's colours. Where the reader has switched this site to the others, the figure is turned into them.
_FRAMES = """<style>
@media (max-width: 480px) { article iframe { width: 100vw !important; max-width: none !important; margin-left: -16px; } }
@media (prefers-color-scheme: light) { [data-md-color-scheme=slate] article iframe { filter: invert(.9) hue-rotate(180deg); } }
@media (prefers-color-scheme: dark) { [data-md-color-scheme=default] article iframe { filter: invert(.9) hue-rotate(180deg); } }
</style>"""


def public_names() -> dict[str, list[tuple[str, str]]]:
    """Room -> its public names, each with the object's full path, in the order of the stubs."""
    rooms: dict[str, list[tuple[str, str]]] = {room: [] for room in ROOMS}
    for stub, package in (
        ("__init__.pyi", "workbench"),
        ("statistics/__init__.pyi", "workbench.statistics"),
        ("figures/__init__.pyi", "workbench.figures"),
    ):
        tree = ast.parse((ROOT / "workbench" / stub).read_text(encoding="utf-8"))
        for statement in tree.body:
            if isinstance(statement, ast.ImportFrom):
                _add(rooms, statement, package)
    return rooms


def _add(rooms: dict[str, list[tuple[str, str]]], statement: ast.ImportFrom, package: str) -> None:
    module = ".".join(filter(None, (package, statement.module)))
    room = module.split(".")[1] if "." in module else ""
    prefix = "wb." + package.partition(".")[2]
    for alias in statement.names:
        name = f"{prefix}.{alias.name}".replace("..", ".")
        path = f"{module}.{alias.name}"
        whole_room = alias.name in ROOMS and module == "workbench"
        if not whole_room and (room or module == "workbench._errors"):
            known = rooms.get(room, rooms["models"])
            if path not in [p for _, p in known]:
                known.append((name, path))


def on_files(files: Files, config) -> Files:
    """Add the pages that are made."""
    table = {room: _table_of(room) for room in ROOMS}
    for room, names in public_names().items():
        entries = "\n\n".join(_entry(name, path) for name, path in names)
        files.append(
            File.generated(config, f"reference/{room}.md", content=f"# {room}\n\n{table[room]}\n\n{entries}\n")
        )
    files.append(File.generated(config, "changes.md", content=(ROOT / "CHANGELOG.md").read_text(encoding="utf-8")))
    files.append(
        File.generated(config, "gallery.md", content=f"# Gallery of figures\n\n{_FRAMES}\n\n{_gallery(config)}")
    )
    for picture in sorted((ROOT / "figures").glob("*.png")):
        files.append(File.generated(config, f"figures/{picture.name}", abs_src_path=str(picture)))
    return files


def _gallery(config) -> str:
    """Every figure as a page of its own in a frame. They share one plotly script and ask no network."""
    sys.path[:0] = [str(ROOT), str(ROOT / "docs" / "site")]
    import gallery

    import workbench as wb

    folder = Path(config["site_dir"]) / "plots"
    parts = []
    for name, (shown, draw) in gallery.PLOTS.items():
        wb.figures.save(draw(), folder / name)
        frame = f'<iframe src="plots/{name}.html" title="{name}" loading="lazy" style="width:100%;height:640px;border:0"></iframe>'
        alone = f"<a href='plots/{name}.html' target='_blank'>On a page of its own</a>."
        parts.append(f"## wb.figures.{name}\n\n{shown} {alone}\n\n{frame}\n")
    return "\n".join(parts)


def _entry(name: str, path: str) -> str:
    return f"::: {path}\n    options:\n      heading: {name}\n      toc_label: {name}"


def _table_of(room: str) -> str:
    """What a room is, as its package says."""
    said = ast.get_docstring(ast.parse((ROOT / "workbench" / room / "__init__.py").read_text(encoding="utf-8"))) or ""
    return said.partition("Questions, and the files")[0].strip()


def on_config(config):
    """The reference has a page for each room."""
    for item in config["nav"]:
        if "Reference" in item:
            item["Reference"] = [{room: f"reference/{room}.md"} for room in ROOMS]
    return config


def on_post_build(config) -> None:
    """The index of the search as a script: pages that are opened from the disk may not read a JSON file."""
    index = Path(config["site_dir"]) / "search" / "search_index.json"
    index.with_suffix(".js").write_text(f"var __index = {index.read_text(encoding='utf-8')}", encoding="utf-8")


def on_post_page(output: str, page, config) -> str:
    """The search also works in pages that are opened from the disk."""
    script = (ROOT / "docs" / "site" / "worker.js").read_text(encoding="utf-8")
    return output.replace("</head>", f"<script>{script}</script></head>", 1)


def on_page_markdown(markdown: str, page, config, files) -> str:
    """Links out of docs/ become the names of files: a site has no checkout beside it."""
    markdown = re.sub(r"\]\(\.\./figures/", "](figures/", markdown)
    return re.sub(r"\[([^\]]*)\]\(\.\./([^)]*)\)", r"\1 (`\2`)", markdown)
