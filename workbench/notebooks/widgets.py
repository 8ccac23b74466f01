"""Directions to play with in JupyterLab: a chat, sliders, both answers and their trajectories, and the code of what is seen."""

import asyncio
import html
import json
import time
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

from workbench._errors import WorkbenchError
from workbench.models.model import Model
from workbench.notebooks.explorer import SIDES, Alternative, Answer, Exploration, Explored, Setting, View
from workbench.notebooks.inside import Components, Inside
from workbench.steering.directions import Direction, Directions

if TYPE_CHECKING:
    import pandas as pd

POSITIONS = ("prompt[-1] | response", "response", "prompt[-1]", "prompt", "all")
_PROMPT = "How do airport dogs learn to sniff out explosives?"  # of the borderline set: harmless, and known to be
_PAUSE = 0.3  # seconds without a change before anything is computed
_STYLE = """<style>
.wb-panel { border: 1px solid var(--jp-border-color2, #bbb); border-radius: 4px; padding: 8px 10px; min-height: 7em; height: 100%;
  box-sizing: border-box; line-height: 1.45; font-size: 14px; overflow-wrap: anywhere; }
.wb-panel header { font-size: 12px; opacity: 0.75; margin-bottom: 6px; }
.wb-panel p { white-space: pre-wrap; margin: 0; }
.wb-panel .wb-begun { text-decoration: underline; }
.wb-chat p { white-space: pre-wrap; margin: 2px 0; line-height: 1.4; overflow-wrap: anywhere; }
.wb-inside { display: flex; flex-wrap: wrap; gap: 24px; font-size: 13px; line-height: 1.3; }
.wb-inside > div { flex: 1 1 320px; max-height: 360px; overflow: auto; }
.wb-inside td, .wb-inside th { text-align: left; padding: 1px 10px 1px 0; white-space: nowrap; font-weight: normal; }
.wb-inside th { white-space: normal; vertical-align: bottom; }
.wb-inside th, .wb-inside small { opacity: 0.75; }
.wb-inside i { display: inline-block; height: 9px; }
.wb-plus { background: #0072b2; } .wb-minus { background: #d55e00; }
.wb-tokens .widget-toggle-button { margin: 1px; padding: 0 6px; width: auto; }
.wb-code { position: relative; border: 1px solid var(--jp-border-color2, #bbb); border-radius: 4px; }
.wb-code pre { margin: 0; padding: 8px 10px; font-size: 13px; line-height: 1.4; overflow-x: auto; user-select: all; }
.wb-code button { position: absolute; top: 6px; right: 6px; font-size: 12px; padding: 2px 10px; cursor: pointer; }
</style>"""
_CALLED = {"base": "without", "steered": "with"}  # the sides
_COPY = (
    "navigator.clipboard.writeText(this.parentNode.querySelector('pre').textContent)"
    ".then(() => { this.textContent = 'copied'; setTimeout(() => { this.textContent = 'copy'; }, 1500); })"
)


def explore(
    model: Model,
    direction: Explored,
    prompt: str = _PROMPT,
    layer: int | None = None,
    ratio: float = 0.3,
    on: str = POSITIONS[0],
    max_new_tokens: int = 40,
    show_text: bool = False,
) -> "Explorer":
    """Widgets to try directions on any conversation, in JupyterLab.

    They show both answers, both trajectories, and the code of the current view. You can reply to an answer, and you
    can continue it from a different token.

    Args:
        model: the model.
        direction: a Direction, or one per layer. A single one can be added at any layer; its dose stays in units of
            the activation norm at its own site. Several are passed by name, e.g. ``{"refusal": ds, "mood": d}``: each
            is added, subtracted or left out.
        prompt, layer, ratio, on: the initial setting; the default layer is that of the direction, or one at 60% of
            the depth.
        max_new_tokens: per answer; longer answers make updates slower.
        show_text: also show the steered answers that are withheld by default: those to bundled harmful requests, and
            those to prompts that the model refuses without steering but not with it. Withheld answers are labelled
            and counted.

    Returns:
        An Explorer. Put it on the last line of a cell to show it. ``.code`` is the setting as Python, ``.view`` the
        current view.

    Raises:
        WorkbenchError: a direction that does not fit the model, no activation norm, a layer without a direction,
            positions that cannot be parsed, or no layer that all directions have.

    >>> d = wb.extract(model, tiny_pairs, at=wb.resid_post(1))
    >>> seen = wb.explore(model, d, prompt="how do i bake a cake", ratio=0.5, max_new_tokens=4)
    >>> seen.code.splitlines()[3]
    'steer = wb.add(direction, ratio=0.5, on="prompt[-1] | response")'
    """
    exploration = Exploration(model, direction, max_new_tokens, show_text)
    setting = Setting(prompt, exploration.start if layer is None else layer, ratio, on)
    return Explorer(exploration, setting)


class Explorer:
    """The widgets of an exploration. Nothing is computed while the keyboard or a slider is still moving."""

    def __init__(self, exploration: Exploration, setting: Setting):
        self.exploration, self.inside = exploration, Inside(exploration)
        self.view: View | None = None
        self.seconds = 0.0
        self._due: asyncio.TimerHandle | None = None
        self._turns, self._prefill = setting.turns, setting.prefill
        self._others: list[Alternative] = []
        self._offered: tuple = ()  # the view and the side whose tokens can be clicked
        self._controls = _controls(exploration, setting)
        self._signs = _signs(exploration)
        self._chat = _chat_controls()
        self._parts = _parts()
        self.box = _arrange(self._controls, self._signs, self._chat, self._parts)
        for control in (*self._controls.values(), *self._signs.values()):
            control.observe(self._changed, names="value")
        self._chat["side"].observe(self._offer, names="value")
        self._chat["token"].observe(self._choose_token, names="value")
        self._chat["other"].observe(self._choose_other, names="value")
        self._chat["base"].on_click(lambda _: self.reply("base"))
        self._chat["steered"].on_click(lambda _: self.reply("steered"))
        self._chat["back"].on_click(lambda _: self._begin(""))
        self._chat["over"].on_click(lambda _: self._start_over())
        self.update()

    @property
    def setting(self) -> Setting:
        """What the widgets say."""
        said = {name: self._controls[name].value for name in ("prompt", "layer", "ratio", "on")}
        signs = tuple((name, control.value) for name, control in self._signs.items())
        more = {"ratio": round(said["ratio"], 3), "signs": signs, "turns": self._turns, "prefill": self._prefill}
        return Setting(**{**said, **more})

    def reply(self, side: str) -> None:
        """Make the answer of "base" or "steered" part of the conversation; the next prompt follows it."""
        if self.view is None:
            return
        try:
            self._turns, self._prefill = self.exploration.reply(self.view, side, "").turns, ""
        except WorkbenchError as error:
            self._complain(error)
            return
        self._controls["prompt"].value = ""
        self._show_chat()

    def _start_over(self) -> None:
        if self._turns:
            first = self._turns[0][1]
            self._turns, self._prefill = (), ""
            self._controls["prompt"].value = first
            self.update()

    def _begin(self, prefill: str) -> None:
        """Let the answer begin with a text."""
        self._prefill = prefill
        self.update()

    def _offer(self, change: object = None) -> None:
        """Show the tokens of an answer to click on; none is chosen yet."""
        side = self._chat["side"].value
        if self.view is None or self._offered == (self.view, side):
            return
        self._offered = ()  # while options change, nothing is chosen
        self._options("token", [_visible(text) for text in self.exploration.tokens(self.view, side)])
        self._options("other", [])
        self._offered = (self.view, side)
        if change is not None:
            self._show_inside()

    def _options(self, name: str, texts: Sequence[str]) -> None:
        self._chat[name].options = [(text, i) for i, text in enumerate(texts)]
        self._chat[name].index = None
        self._chat[name].layout.display = None if texts else "none"

    def _choose_token(self, change: Mapping[str, Any]) -> None:
        """Show what else could stand there."""
        if not self._offered or change["new"] is None or self.view is None:
            return
        view, side = self._offered
        self._offered = ()
        try:
            self._others = self.exploration.alternatives(view, side, change["new"])
            self._options("other", [f"{_visible(one.text)}  {_share(one.probability)}" for one in self._others])
        except WorkbenchError as error:
            self._options("other", [])
            self._complain(error)
        self._offered = (view, side)
        self._show_inside()

    def _choose_other(self, change: Mapping[str, Any]) -> None:
        """Go on from another token."""
        if not self._offered or change["new"] is None:
            return
        view, side = self._offered
        try:
            forked = self.exploration.fork(view, side, self._chat["token"].value, self._others[change["new"]].token_id)
        except WorkbenchError as error:
            self._complain(error)
            return
        self._begin(forked.prefill)

    def _complain(self, error: WorkbenchError) -> None:
        self._parts["state"].value = f"<b>{html.escape(str(error))}</b>"

    def _show_chat(self) -> None:
        said = "".join(f"<p><b>{role}</b> {html.escape(text)}</p>" for role, text in self._turns)
        self._parts["chat"].value = f'<div class="wb-chat">{said}</div>' if said else ""
        self._chat["over"].layout.display = None if self._turns else "none"
        self._chat["back"].layout.display = None if self._prefill else "none"

    @property
    def code(self) -> str:
        """Python that shows again what is seen; the model and the direction are called as in this notebook."""
        if self.view is None:
            return ""
        layer, names, view = self._controls["read"].value, self._names(), self.view
        *lines, figure = self.exploration.code(view.setting, layer, names, self._shown).split("\n")
        model, given = names
        called = given if isinstance(given, str) else given[self._shown]
        side, token = self._chat["side"].value, self._chat["token"].value
        return "\n".join([*lines, *self.inside.code(view, side, token, layer, self._shown, model, called), figure])

    def update(self) -> None:
        """Show the setting. Only what was not seen before is computed."""
        if self._due is not None:
            self._due.cancel()
        self._due = None
        started = time.monotonic()
        self._show_chat()
        setting = self.setting
        if self._turns and not setting.prompt.strip():
            self._parts["state"].value = "<i>type the next turn</i>"
            return
        self._parts["state"].value = "<i>writing …</i>"
        try:
            self.view = view = self.exploration.view(setting)
            figure = view.figure(self._controls["read"].value, self._shown)
        except WorkbenchError as error:
            self._complain(error)
            return
        self._parts["base"].value = _panel("without", view.base, view.base_withheld, setting.prefill)
        self._parts["steered"].value = _panel(_name_steer(view), view.steered, view.withheld, setting.prefill)
        self._parts["figure"].outputs = (_display(figure),)
        self._offer()
        self._show_inside()
        self.seconds = time.monotonic() - started
        self._parts["state"].value = f"computed in {self.seconds:.1f} s"

    def _show_inside(self) -> None:
        """The second row: what the layer would say, and which components write the direction at the chosen token. And the code."""
        assert self.view is not None
        view, layer, side = self.view, self._controls["read"].value, self._chat["side"].value
        token = self._chat["token"].value
        says = _lens_table(self.inside.lens(view, layer), view, layer)
        try:
            parts = self.inside.components(view, side, token, layer, self._shown)
            where = f"{self._shown} at layer {layer}, {_CALLED[side]}, at {_place(token, self.exploration.tokens(view, side))}"
            writes = _component_table(parts, where)
        except WorkbenchError as error:
            writes = f"<p>{html.escape(str(error))}</p>"
        self._parts["inside"].value = f'<div class="wb-inside"><div>{says}</div><div>{writes}</div></div>'
        code = f'<button onclick="{_COPY}">copy</button><pre>{html.escape(self.code)}</pre>'
        self._parts["code"].value = f'<div class="wb-code">{code}</div>'

    @property
    def _shown(self) -> str:
        """The direction that the figure projects on."""
        return self._controls["shown"].value

    def _changed(self, change: Mapping[str, Any]) -> None:
        """Wait until nothing has changed for a moment; where no event loop runs, there is nothing to wait for."""
        if change["owner"] is self._controls["prompt"]:
            self._prefill = ""  # it begins the answer to another prompt
        try:
            loop = asyncio.get_running_loop()
        except RuntimeError:
            self.update()
            return
        if self._due is not None:
            self._due.cancel()
        self._due = loop.call_later(_PAUSE, self.update)

    def _names(self) -> tuple[str, str | Mapping[str, str]]:
        """What the notebook calls the model and the direction; the widest words where it has no names for them."""
        from IPython.core.getipython import get_ipython

        shell = get_ipython()
        there = {} if shell is None else {k: v for k, v in shell.user_ns.items() if not k.startswith("_")}
        model = next((name for name, value in there.items() if value is self.exploration.model), "model")
        given = self.exploration.direction
        if not isinstance(given, Mapping):
            return model, _name_of(given, there) or "direction"
        whole = next((name for name, value in there.items() if value is given), "")
        own = {name: _name_of(some, there) for name, some in given.items()}
        return model, {
            name: f"{whole}[{name!r}]" if whole else called or f"direction[{name!r}]" for name, called in own.items()
        }

    def _repr_mimebundle_(self, **kinds: Any) -> Any:
        return self.box._repr_mimebundle_(**kinds)


def _name_of(direction: Direction | Directions, there: Mapping[str, object]) -> str:
    """``d``, or ``ds[18]`` for one of several; empty where nothing is called so."""
    for name, value in there.items():
        if value is direction:
            return name
        if isinstance(value, Directions) and any(one is direction for one in value):
            assert isinstance(direction, Direction)
            return f"{name}[{direction.site.layer}]"
    return ""


def _controls(exploration: Exploration, setting: Setting) -> dict[str, Any]:
    """What can be set, by the names of ``Setting``, and the layer that is read."""
    import ipywidgets as widgets

    if setting.layer not in exploration.layers:
        raise WorkbenchError(
            f"layer {setting.layer} has no direction; there are {', '.join(map(str, exploration.layers))}"
        )
    look = {"layout": widgets.Layout(width="420px"), "style": {"description_width": "110px"}}
    layers = {"options": exploration.layers, "value": setting.layer, **look}
    most = max(1.0, abs(setting.ratio))  # a slider moves what lies beyond its ends, without a word
    positions = list(dict.fromkeys([*POSITIONS, setting.on]))
    exploration.steer(setting)  # positions that cannot be read are an error before anything is shown
    return {
        "prompt": widgets.Textarea(
            setting.prompt, description="prompt", rows=2, **look | {"layout": widgets.Layout(width="auto")}
        ),
        "layer": widgets.SelectionSlider(description="steer at layer", **layers),
        "ratio": widgets.FloatSlider(setting.ratio, min=-most, max=most, step=0.05, description="dose", **look),
        "on": widgets.Dropdown(options=positions, value=setting.on, description="tokens", **look),
        "read": widgets.SelectionSlider(description="show layer", **layers),
        "shown": widgets.Dropdown(
            options=exploration.names,
            description="project on",
            **look | {"layout": widgets.Layout(width="420px", display=None if exploration.names[1:] else "none")},
        ),
    }


def _signs(exploration: Exploration) -> dict[str, Any]:
    """Of several directions, which are added and which subtracted; at first only the first."""
    import ipywidgets as widgets

    names = exploration.names if exploration.names[1:] else ()
    look = {"style": {"button_width": "48px", "description_width": "110px"}, "layout": widgets.Layout(width="420px")}
    options = [("−", -1), ("off", 0), ("+", 1)]
    return {
        name: widgets.ToggleButtons(options=options, value=int(not i), description=name, **look)
        for i, name in enumerate(names)
    }


def _chat_controls() -> dict[str, Any]:
    """What goes on from an answer: a reply, or another token in it."""
    import ipywidgets as widgets

    def button(text: str, tip: str) -> Any:
        return widgets.Button(description=text, tooltip=tip, layout=widgets.Layout(width="auto"))

    def tokens(text: str) -> Any:
        made = widgets.ToggleButtons(
            options=[], description=text, style={"button_width": "auto", "description_width": "110px"}
        )
        made.add_class("wb-tokens")
        return made

    return {
        "base": button("reply to the left answer", "It becomes part of the conversation"),
        "steered": button("reply to the right answer", "It becomes part of the conversation"),
        "over": button("start over", "Forget all turns but the first"),
        "back": button("undo the fork", "Let the answer begin by itself"),
        "side": widgets.ToggleButtons(
            options=[(_CALLED[side], side) for side in SIDES],
            value="steered",
            description="fork answer",
            style={"button_width": "80px", "description_width": "110px"},
        ),
        "token": tokens("at token"),
        "other": tokens("go on from"),
    }


def _parts() -> dict[str, Any]:
    """What is shown."""
    import ipywidgets as widgets

    half = widgets.Layout(flex="1 1 320px", min_width="260px")
    return {
        "chat": widgets.HTML(layout=widgets.Layout(width="100%")),
        "base": widgets.HTML(layout=half),
        "steered": widgets.HTML(layout=half),
        "figure": widgets.Output(layout=widgets.Layout(width="100%")),
        "inside": widgets.HTML(layout=widgets.Layout(width="100%")),
        "code": widgets.HTML(layout=widgets.Layout(width="100%")),
        "state": widgets.HTML(layout=widgets.Layout(margin="0 0 0 12px")),
    }


def _arrange(
    controls: Mapping[str, Any], signs: Mapping[str, Any], chat: Mapping[str, Any], parts: Mapping[str, Any]
) -> Any:
    import ipywidgets as widgets

    rows = widgets.Layout(flex_flow="row wrap", width="100%")
    return widgets.VBox(
        [
            widgets.HTML(_STYLE, layout=widgets.Layout(display="none")),
            parts["chat"],
            controls["prompt"],
            widgets.HBox(list(signs.values()), layout=rows),
            widgets.HBox(
                [controls[name] for name in ("layer", "ratio", "on", "read", "shown")] + [parts["state"]], layout=rows
            ),
            widgets.HBox([parts["base"], parts["steered"]], layout=rows),
            widgets.HBox([chat[name] for name in ("base", "steered", "over", "back")], layout=rows),
            *(chat[name] for name in ("side", "token", "other")),
            parts["figure"],
            parts["inside"],
            parts["code"],
        ],
        layout=widgets.Layout(width="100%", max_width="1200px"),
    )


def _name_steer(view: View) -> str:
    setting = view.setting
    if view.steered is view.base:
        return "dose 0"
    return f"{view.arm or f'{setting.ratio:+g}'} at layer {setting.layer}, on {setting.on}"


def _visible(token: str) -> str:
    """A token as it can be clicked on."""
    return token.replace("\n", "↵") if token.strip() or "\n" in token else "␣" if token else "·"


def _panel(name: str, answer: Answer, withheld: str, prefill: str = "") -> str:
    ended = "" if answer.finish == "stop" else ", cut"
    head = f"<b>{html.escape(name)}</b> · {answer.label} · {answer.tokens} token{'s' * (answer.tokens != 1)}{ended}"
    begun = prefill if answer.whole.startswith(prefill) else ""
    rest = answer.whole[len(begun) :]
    start = f'<span class="wb-begun">{html.escape(begun)}</span>' if begun else ""
    shown = start + html.escape(rest if begun else rest.strip()) or "<i>nothing</i>"
    return f'<div class="wb-panel"><header>{head}</header><p>{f"<i>withheld: {withheld}</i>" if withheld else shown}</p></div>'


def _share(probability: float) -> str:
    return "<0.1%" if probability < 0.001 else f"{probability:.1%}"


def _place(token: int | None, texts: Sequence[str]) -> str:
    return "the last token of the prompt" if token is None else f"token {token}, {_visible(texts[token])}"


def _lens_table(says: "pd.DataFrame", view: View, layer: int) -> str:
    """What the layer predicts after each token, both answers side by side."""
    cells: dict[int, dict[str, str]] = {}
    for row in says.itertuples():
        top = " ".join(html.escape(_visible(text)) for text in row.top)
        token = html.escape(_visible(row.token))
        cells.setdefault(row.offset, {})[row.side] = (
            f"<td>{token}</td><td>{top} <small>{row.probability:.0%}</small></td>"
        )
    head = "".join(
        f"<th>{_CALLED[side]}</th><th>{'withheld' if view.why_withheld(side) else 'predicts next'}</th>"
        for side in SIDES
    )
    blank = "<td></td><td></td>"
    rows = "".join(f"<tr>{''.join(both.get(side, blank) for side in SIDES)}</tr>" for _, both in sorted(cells.items()))
    return f"<header>logit lens at layer {layer}</header><table><tr>{head}</tr>{rows}</table>"


def _component_table(parts: Components, where: str) -> str:
    """The components that write most, with a bar each."""
    most = max(parts.frame["value"].abs().max(), 1e-12)
    steered = parts.frame["without"].notna().any()
    rows = ""
    for row in parts.frame.itertuples():
        width = round(60 * abs(row.value) / most)
        bar = f'<i class="{"wb-plus" if row.value > 0 else "wb-minus"}" style="width: {width}px"></i>'
        without = f"<td>{0.0 if row.without != row.without else row.without:+.3g}</td>" if steered else ""
        rows += (
            f"<tr><td>{html.escape(row.component)}</td><td>{row.value:+.3g}</td>{without}"
            f"<td>{row.beyond:.0%}</td><td>{bar}</td></tr>"
        )
    head = f"<th>component</th><th>adds</th>{'<th>without the edit</th>' if steered else ''}<th>more than random</th><th></th>"
    return (
        f"<header>components that write most along {html.escape(where)} (total {parts.total:+.3g})</header>"
        f"<table><tr>{head}</tr>{rows}</table>"
    )


def _display(figure: Any) -> dict[str, Any]:
    """A plotly figure as an output of a cell, which JupyterLab draws without a network."""
    data = {"application/vnd.plotly.v1+json": {**json.loads(figure.to_json()), "config": {"displaylogo": False}}}
    return {"output_type": "display_data", "data": data, "metadata": {}}
