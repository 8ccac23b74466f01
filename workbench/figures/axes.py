"""The token axis: text under the ticks, thinned to what fits, and the line between prompt and response.

Its ticks are plotly categories, because plotly thins those by the room there is, at every width and zoom; their names are
offsets and their labels (plotly's ``labelalias``) are tokens, since a token may occur twice.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from workbench.figures import theme
from workbench.figures.trace_lines import Line
from workbench.figures.words import escape, shorten

if TYPE_CHECKING:
    import plotly.graph_objects as go


STEERED = "◆"
_FONT = 11

#: of a monospaced character of that size, in pixels
_CHARACTER = 6.7


@dataclass(frozen=True)
class Axis:
    """Offsets from the first response token, in order, and what is written under each.

    ``borrowed`` is the arm whose tokens stand where the lines differ, "" if they do not, None if offsets stand there.
    """

    offsets: tuple[int, ...]
    words: tuple[str, ...]
    borrowed: str | None

    def names(self, offsets: np.ndarray) -> list[str]:
        """The categories of some offsets."""
        return [f"{offset:+d}" for offset in offsets.tolist()]

    @property
    def ticks(self) -> dict[str, str]:
        """Category to label."""
        names = self.names(np.array(self.offsets))
        return {name: escape(shorten(word)) for name, word in zip(names, self.words, strict=True)}

    @property
    def boundary(self) -> float | None:
        """Between the last prompt token and the first response token, counted from the first tick; None without both."""
        before = sum(offset < 0 for offset in self.offsets)
        return before - 0.5 if 0 < before < len(self.offsets) else None

    @property
    def height(self) -> int:
        """Pixels that the labels take when they stand upright."""
        return round(_CHARACTER * max(len(shorten(word)) for word in self.words)) + 12

    def layout(self) -> dict[str, object]:
        """Of a plotly axis."""
        names = self.names(np.array(self.offsets))
        return {
            "type": "category",
            "categoryorder": "array",
            "categoryarray": names,
            "labelalias": self.ticks,
            "range": [-0.5, len(names) - 0.5],
            "autotickangles": [0, -90],
            "tickfont": {"family": theme.MONO, "size": _FONT},
            "ticks": "outside",
            "ticklen": 4,
            "showgrid": False,
            "zeroline": False,
            "automargin": False,
        }


def axis_over(lines: Sequence[Line]) -> Axis:
    """The axis that lines share, aligned at their first response token.

    Under an offset stands the token where all lines have the same. Where they differ: the first line's, when all answer
    one prompt, so that an answer can be read; the offset when prompts differ, since no token stands for the others.
    """
    words: dict[int, list[str]] = {}
    for line in lines:
        for offset, word in zip(line.offsets.tolist(), line.words, strict=True):
            words.setdefault(offset, []).append(word)
    first = dict(zip(lines[0].offsets.tolist(), lines[0].words, strict=True))
    one_prompt = len({line.prompt_id for line in lines}) == 1
    differing = [offset for offset in words if len(set(words[offset])) > 1]
    labels = {offset: shared[0] for offset, shared in words.items()}
    for offset in differing:
        labels[offset] = first.get(offset, f"{offset:+d}") if one_prompt else f"{offset:+d}"
    borrowed = "" if not differing else lines[0].arm if one_prompt else None
    offsets = tuple(sorted(words))
    return Axis(offsets, tuple(labels[offset] for offset in offsets), borrowed)


def axis_of(line: Line, offsets: Sequence[int]) -> Axis:
    """The axis of one line over these offsets, with a diamond before each steered token."""
    marked = [STEERED * steered + word for word, steered in zip(line.words, line.steered.tolist(), strict=True)]
    words = dict(zip(line.offsets.tolist(), marked, strict=True))
    return Axis(tuple(offsets), tuple(words.get(offset, "") for offset in offsets), borrowed="")


def mark_boundary(figure: "go.Figure", axis: Axis, panels: int, colour: str = theme.INK) -> None:
    """Draw where the prompt ends and the response begins, through all panels, named above the first."""
    if axis.boundary is None:
        return
    line = {"color": colour, "width": 1.5, "dash": "dot"}
    for row in range(1, panels + 1):
        figure.add_vline(x=axis.boundary, line=line, row=row, col=1)
    for text, anchor, shift in (("prompt", "right", -6), ("response", "left", 6)):
        place = {"x": axis.boundary, "xref": "x", "xanchor": anchor, "xshift": shift}
        place |= {"y": 1, "yref": "paper", "yanchor": "bottom"}
        figure.add_annotation(text=text, showarrow=False, font={"size": 12}, **place)
