"""One prompt with and without a direction: what an explorer shows, computed once per setting. No widget is in here.

Text is withheld as elsewhere. A prompt that is typed cannot be known to be harmful, so that a steered answer is not displayed
when the prompt is one of the bundled harmful requests, or when the model refuses it unsteered and steered it does not.
"""

from collections import OrderedDict
from dataclasses import dataclass, replace
from functools import cache
from typing import TYPE_CHECKING

from workbench._errors import WorkbenchError, check_flag
from workbench.generation.applied import check
from workbench.generation.recorder import trace_generation
from workbench.generation.traces import Trace
from workbench.models.model import Model
from workbench.models.prompt_files import prompts
from workbench.models.prompts import Prompt
from workbench.scoring.labels import refusal
from workbench.steering.directions import Direction, Directions
from workbench.steering.sites import EveryLayer, Site
from workbench.steering.steer import Steer
from workbench.steering.verbs import add

if TYPE_CHECKING:
    import plotly.graph_objects as go


_KEPT = 100  # settings whose answers are remembered
_BUNDLED = ("harmful", "harmless", "borderline")
_KNOWN_HARMFUL = "one of the bundled harmful requests, under steering"
_BYPASSED = "refused without steering, and not refused with it"


@dataclass(frozen=True)
class Setting:
    """What an explorer is set to.

    Attributes:
        layer: where the direction is added.
        ratio: the dose, in units of the mean activation norm.
        on: which tokens, as text.
    """

    prompt: str
    layer: int
    ratio: float
    on: str


@dataclass(frozen=True)
class Answer:
    """What the model wrote: text, its label, tokens, how it ended, and a trace of one row."""

    text: str
    label: str
    tokens: int
    finish: str
    trace: Trace


@dataclass(frozen=True)
class View:
    """A setting, what the model says without and with it, and why the second is withheld, if it is."""

    setting: Setting
    base: Answer
    steered: Answer
    withheld: str = ""

    def figure(self, layer: int) -> "go.Figure":
        """Both answers projected on the direction at a layer, token by token."""
        import pandas as pd

        from workbench.figures.trajectories import trajectory

        hidden = replace(self.steered.trace, hidden=(bool(self.withheld),))
        frames = [self.base.trace.frame()]
        if self.setting.ratio:
            frames.append(hidden.frame().assign(row=1))
        frame = pd.concat(frames, ignore_index=True)
        return trajectory(frame[frame["layer"] == layer])


class Exploration:
    """A model and a direction to explore: answers are remembered, the unsteered one for each prompt.

    Raises:
        WorkbenchError: a direction that does not fit the model, or does not carry the activation norm that doses need.

    >>> d = wb.extract(model, tiny_pairs, at=wb.resid_post(1))
    >>> exploration = Exploration(model, d, max_new_tokens=4)
    >>> view = exploration.view(Setting("how do i bake a cake", layer=1, ratio=0.5, on="response"))
    >>> view is exploration.view(view.setting)
    True
    """

    def __init__(
        self, model: Model, direction: Direction | Directions, max_new_tokens: int = 40, show_text: bool = False
    ):
        self.model, self.direction = model, direction
        self.max_new_tokens, self.show_text = max_new_tokens, check_flag(show_text, "show_text")
        own = (direction,) if isinstance(direction, Direction) else tuple(direction)
        for one in own:
            if one.activation_norm != one.activation_norm:
                raise WorkbenchError(
                    f"the direction at {one.site!r} carries no activation norm, so there is no dose to choose; extract it with "
                    "wb.extract, or give it one: d.transfer(model.name, model.revision, activation_norm=…)"
                )
            check(add(one, coef=1), model)
        kind = own[0].site.kind
        single = isinstance(direction, Direction)
        self.layers = tuple(range(model.n_layers)) if single else tuple(sorted(one.site.layer for one in own))
        self.start = own[0].site.layer if single else self.layers[round(0.6 * (len(self.layers) - 1))]
        self._sites = EveryLayer(kind) if single else None
        self._bases: OrderedDict[str, Answer] = OrderedDict()
        self._views: OrderedDict[Setting, View] = OrderedDict()

    def steer(self, setting: Setting) -> Steer:
        """The Steer of a setting. A single direction keeps its dose, in units of the norm where it was read, at other layers."""
        if not setting.ratio:
            return Steer()
        if isinstance(self.direction, Directions):
            return add(self.direction[setting.layer], ratio=setting.ratio, on=setting.on)
        d = self.direction
        if setting.layer == d.site.layer:
            return add(d, ratio=setting.ratio, on=setting.on)
        return add(d, coef=setting.ratio / d.relative_norm, on=setting.on, at=Site(setting.layer, d.site.kind))

    def view(self, setting: Setting) -> View:
        """What is to be seen; nothing is written twice, and an unsteered answer is written beside the first steered one.

        Raises:
            WorkbenchError: a blank prompt, a layer without a direction, positions that cannot be read.
        """
        if setting not in self._views:
            base, steered = self._answers(_prompt_of(setting.prompt), self.steer(setting))
            _remember(self._bases, setting.prompt, base)
            _remember(self._views, setting, View(setting, base, steered, self._why_withheld(setting, base, steered)))
        return self._views[setting]

    def _answers(self, prompt: Prompt, steer: Steer) -> tuple[Answer, Answer]:
        known = self._bases.get(prompt.text)
        steers = [Steer()] * (known is None) + [steer] * bool(steer.effective)
        if not steers:
            assert known is not None
            return known, known
        done, path = trace_generation(
            self.model, [prompt] * len(steers), self.direction, self._sites, steers, self.max_new_tokens
        )
        said = refusal.values(self.model, [prompt] * len(steers), done.text, steers)
        answers = [
            Answer(text, str(said[i]), len(done.token_ids[i]), done.finish[i], path.select(rows=[i]))
            for i, text in enumerate(done.text)
        ]
        return known or answers[0], answers[-1]

    def _why_withheld(self, setting: Setting, base: Answer, steered: Answer) -> str:
        known = _harmful().get(_fold(setting.prompt))
        if self.show_text or known is False or not setting.ratio:
            return ""
        if known:
            return _KNOWN_HARMFUL
        return _BYPASSED if base.label == "refusal" and steered.label != "refusal" else ""

    def code(self, setting: Setting, layer: int, names: tuple[str, str] = ("model", "direction")) -> str:
        """Python that shows the same again: the Steer, both answers and the figure at a layer.

        Args:
            setting: what is seen.
            layer: of the figure.
            names: how the code calls the model and the direction that it needs.
        """
        model, direction = names
        view = self._views.get(setting)
        asked = (
            f'wb.Prompt({setting.prompt!r}, "explored", harmful=True)'
            if view and view.withheld
            else repr(setting.prompt)
        )
        shown = 'print(out.frame()[["dose", "tokens"]])' if view and view.withheld else r'print(*out.text, sep="\n\n")'
        sites = "" if self._sites is None else f", sites=wb.{self._sites!r}"
        return "\n".join(
            [
                "import workbench as wb",
                "",
                f"prompt = {asked}",
                f"steer = {self._steer_code(setting, direction)}",
                f"out = wb.generate({model}, [prompt, prompt], [wb.Steer(), steer], max_new_tokens={self.max_new_tokens})",
                shown,
                f"path = wb.trace({model}, out, {direction}{sites})",
                f"wb.figures.trajectory(path, layer={layer})",
            ]
        )

    def _steer_code(self, setting: Setting, name: str) -> str:
        on = f'on="{setting.on}"'
        if isinstance(self.direction, Directions):
            return f"wb.add({name}[{setting.layer}], ratio={setting.ratio:g}, {on})"
        if setting.layer == self.direction.site.layer:
            return f"wb.add({name}, ratio={setting.ratio:g}, {on})"
        at = f"at=wb.{Site(setting.layer, self.direction.site.kind)!r}"
        return f"wb.add({name}, coef={setting.ratio:g} / {name}.relative_norm, {on}, {at})"


def _remember(kept: OrderedDict, key: object, value: object) -> None:
    kept[key] = value
    while len(kept) > _KEPT:
        kept.popitem(last=False)


def _prompt_of(text: str) -> Prompt:
    return Prompt(text, "explored", harmful=bool(_harmful().get(_fold(text))))


@cache
def _harmful() -> dict[str, bool]:
    """The bundled requests, and whether each is a harmful one."""
    sets = (prompts(f"{name}/{side}") for name in ("refusal", "refusal_breadth", "refusal_forms") for side in _BUNDLED)
    return {_fold(prompt.text): prompt.harmful for some in sets for prompt in some}


def _fold(text: str) -> str:
    return " ".join(text.casefold().split())
