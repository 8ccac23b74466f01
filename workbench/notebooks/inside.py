"""What goes on inside of the model in a view of the explorer: what a layer would say, and which components write a direction.

The text of a withheld answer is read by nobody: the lens leaves such an answer out. Components are numbers alone.
"""

from collections import OrderedDict
from collections.abc import Callable, Sequence
from dataclasses import dataclass, fields, replace
from typing import TYPE_CHECKING, Any

from workbench.generation.completions import Completions
from workbench.mechanism.attribute import STREAM, attribute
from workbench.mechanism.lens import lens
from workbench.notebooks.explorer import SIDES, Exploration, View
from workbench.steering.directions import Direction
from workbench.steering.positions import PROMPT, RESPONSE, Positions

if TYPE_CHECKING:
    import pandas as pd

_KEPT = 100  # results that are remembered
_TOP = 3  # tokens that the lens names


@dataclass(frozen=True)
class Components:
    """The components that write most of a direction at a token.

    Attributes:
        frame: component, value (along the unit direction, in units of activations), without (the same text without the Steer; NaN
            for the unsteered answer), beyond (the share of random directions along which it adds less). The largest first.
        total: what all components add up to.
    """

    frame: "pd.DataFrame"
    total: float


class Inside:
    """The insides of an exploration's views, computed once for each.

    >>> d = wb.extract(model, tiny_pairs, at=wb.resid_post(1))
    >>> from workbench.notebooks.explorer import Setting
    >>> exploration = Exploration(model, d, max_new_tokens=3)
    >>> view = exploration.view(Setting("how do i bake a cake", layer=1, ratio=0.5, on="response"))
    >>> inside = Inside(exploration)
    >>> inside.lens(view, layer=1)["side"].value_counts().to_dict()
    {'base': 4, 'steered': 4}
    >>> len(inside.components(view, "steered", None, layer=1, name="direction").frame)
    10
    """

    def __init__(self, exploration: Exploration):
        self.exploration = exploration
        self._kept: OrderedDict[tuple, Any] = OrderedDict()

    def lens(self, view: View, layer: int) -> "pd.DataFrame":
        """What a layer would say behind the last token of the prompt and each of the answer, without and with the Steer.

        Returns:
            One row per side and token: side, offset (-1 is the last token of the prompt), token, top (the likeliest next tokens),
            probability (of the likeliest). A withheld answer has no rows.
        """
        return self._once((view.setting, "lens", layer), lambda: self._lens(view, layer))

    def _lens(self, view: View, layer: int) -> "pd.DataFrame":
        import pandas as pd

        sides = [
            side for side in (SIDES if view.steered is not view.base else SIDES[:1]) if not view.why_withheld(side)
        ]
        columns = ["side", "offset", "token", "top", "probability"]
        if not sides:
            return pd.DataFrame(columns=columns)
        done = _beside([view.answer(side).completion for side in sides], sides)
        show = self.exploration.show_text
        read = lens(self.exploration.model, done, base=False, layers=[layer], k=_TOP, show_text=show)
        return read.rename(columns={"prompt": "side"})[columns]

    def components(self, view: View, side: str, token: int | None, layer: int, name: str, n: int = 10) -> Components:
        """The components that write most of a direction at a layer, at a token of an answer.

        Args:
            view: what is seen.
            side: "base" or "steered": whose answer, read under its own Steer.
            token: which token of the answer, from 0; None is the last token of the prompt.
            layer: where the direction is.
            name: of the direction.
            n: how many components.

        Raises:
            WorkbenchError: a direction that is not in the residual stream, or a token that the answer does not have.
        """
        key = (view.setting, side, token, layer, name, n)
        return self._once(key, lambda: self._components(view, side, token, layer, name, n))

    def _components(self, view: View, side: str, token: int | None, layer: int, name: str, n: int) -> Components:
        done, d = view.answer(side).completion, self.exploration.at(name, layer)
        read = attribute(self.exploration.model, done, d, _at(token), heads=True)
        runs = {run: part.set_index("component") for run, part in read.groupby("run", sort=False)}
        own = runs["steered" if "steered" in runs else "base"]
        parts = own[~own["kind"].isin(["total", "rounding"])]
        most = parts.reindex(parts["value"].abs().sort_values(ascending=False).index)[:n]
        frame = most[["value", "beyond"]].reset_index()
        plain = runs["base"]["value"].reindex(frame["component"]).to_numpy()
        frame["without"] = plain if "steered" in runs else float("nan")
        return Components(frame, float(own.loc["total", "value"]))

    def code(
        self, view: View, side: str, token: int | None, layer: int, name: str, model: str, called: str
    ) -> list[str]:
        """Lines that compute the same again, behind those of ``Exploration.code``, whose names they use.

        Args:
            view, side, token, layer, name: as above.
            model, called: how the code calls the model and the direction, or the directions, of that name.
        """
        lines = [] if view.base_withheld else [f"says = wb.lens({model}, out, layers=[{layer}], k={_TOP})"]
        some = self.exploration.named[name]
        one = some if isinstance(some, Direction) else some[layer]
        if one.site.kind not in STREAM:
            return lines
        if not isinstance(some, Direction):
            called = f"{called}[{layer}]"
        elif one.site.layer != layer:
            called = f"wb.Direction({called}.vector, wb.{one.site.kind}({layer}), {called}.model, {called}.revision)"
        row, steer = (1, ", steer=steer") if side == "steered" else (0, "")
        text = f"[(prompt, out.text[{row}])]"
        return [*lines, f'parts = wb.attribute({model}, {text}, {called}, on="{_at(token)}"{steer}, heads=True)']

    def _once(self, key: tuple, compute: Callable[[], Any]) -> Any:
        if key not in self._kept:
            self._kept[key] = compute()
            while len(self._kept) > _KEPT:
                self._kept.popitem(last=False)
        return self._kept[key]


def _beside(rows: Sequence[Completions], names: Sequence[str]) -> Completions:
    """Completions of one row each as one, by these names."""
    whole: dict[str, Any] = {
        one.name: tuple(part for row in rows for part in getattr(row, one.name))
        for one in fields(Completions)
        if isinstance(getattr(rows[0], one.name), tuple)
    }
    return replace(rows[0], **{**whole, "ids": tuple(names)})


def _at(token: int | None) -> Positions:
    return PROMPT[-1] if token is None else RESPONSE[token]
