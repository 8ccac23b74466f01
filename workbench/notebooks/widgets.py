"""A direction to play with in JupyterLab: a prompt, sliders, both answers and their trajectories, and the code of what is seen."""

import asyncio
import html
import json
import time
from collections.abc import Mapping
from typing import Any

from workbench._errors import WorkbenchError
from workbench.models.model import Model
from workbench.notebooks.explorer import Answer, Exploration, Setting, View
from workbench.steering.directions import Direction, Directions

POSITIONS = ("prompt[-1] | response", "response", "prompt[-1]", "prompt", "all")
_PROMPT = "How do airport dogs learn to sniff out explosives?"  # of the borderline set: harmless, and known to be
_PAUSE = 0.3  # seconds without a change before anything is computed
_STYLE = """<style>
.wb-panel { border: 1px solid var(--jp-border-color2, #bbb); border-radius: 4px; padding: 8px 10px; min-height: 7em; height: 100%;
  box-sizing: border-box; line-height: 1.45; font-size: 14px; overflow-wrap: anywhere; }
.wb-panel header { font-size: 12px; opacity: 0.75; margin-bottom: 6px; }
.wb-panel p { white-space: pre-wrap; margin: 0; }
.wb-code { position: relative; border: 1px solid var(--jp-border-color2, #bbb); border-radius: 4px; }
.wb-code pre { margin: 0; padding: 8px 10px; font-size: 13px; line-height: 1.4; overflow-x: auto; user-select: all; }
.wb-code button { position: absolute; top: 6px; right: 6px; font-size: 12px; padding: 2px 10px; cursor: pointer; }
</style>"""
_COPY = (
    "navigator.clipboard.writeText(this.parentNode.querySelector('pre').textContent)"
    ".then(() => { this.textContent = 'copied'; setTimeout(() => { this.textContent = 'copy'; }, 1500); })"
)


def explore(
    model: Model,
    direction: Direction | Directions,
    prompt: str = _PROMPT,
    layer: int | None = None,
    ratio: float = 0.3,
    on: str = POSITIONS[0],
    max_new_tokens: int = 40,
    show_text: bool = False,
) -> "Explorer":
    """Widgets to try a direction on any prompt, in JupyterLab: both answers, both trajectories, and the code of what is seen.

    Args:
        model: the model.
        direction: a Direction, or one per layer. A single one may be added at any layer; its dose is then still in units of
            the activation norm where it was read.
        prompt, layer, ratio, on: the first setting; by default the layer of the direction, or one at 60% of the
            depth.
        max_new_tokens: per answer; what an update costs grows with it.
        show_text: also show steered answers that are withheld otherwise: those to bundled harmful requests, and those to
            prompts that the model refuses without steering and not with it. They are labelled and counted.

    Returns:
        An Explorer: the last line of a cell shows it; ``.code`` is the setting as Python, ``.view`` what is seen.

    Raises:
        WorkbenchError: a direction that does not fit the model, no activation norm, a layer without a direction, or positions
            that cannot be read.

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
        self.exploration = exploration
        self.view: View | None = None
        self.seconds = 0.0
        self._due: asyncio.TimerHandle | None = None
        self._controls = _controls(exploration, setting)
        self._parts = _parts()
        self.box = _arrange(self._controls, self._parts)
        for control in self._controls.values():
            control.observe(self._changed, names="value")
        self.update()

    @property
    def setting(self) -> Setting:
        """What the widgets say."""
        said = {name: self._controls[name].value for name in ("prompt", "layer", "ratio", "on")}
        return Setting(**{**said, "ratio": round(said["ratio"], 3)})

    @property
    def code(self) -> str:
        """Python that shows again what is seen; the model and the direction are called as in this notebook."""
        seen = self.setting if self.view is None else self.view.setting
        return self.exploration.code(seen, self._controls["read"].value, self._names())

    def update(self) -> None:
        """Show the setting. Only what was not seen before is computed."""
        self._due = None
        started = time.monotonic()
        self._parts["state"].value = "<i>writing …</i>"
        try:
            self.view = view = self.exploration.view(self.setting)
            figure = view.figure(self._controls["read"].value)
        except WorkbenchError as error:
            self._parts["state"].value = f"<b>{html.escape(str(error))}</b>"
            return
        self._parts["base"].value = _panel("without", view.base, "")
        self._parts["steered"].value = _panel(_name_steer(view.setting), view.steered, view.withheld)
        self._parts["figure"].outputs = (_display(figure),)
        code = f'<button onclick="{_COPY}">copy</button><pre>{html.escape(self.code)}</pre>'
        self._parts["code"].value = f'<div class="wb-code">{code}</div>'
        self.seconds = time.monotonic() - started
        self._parts["state"].value = f"{self.seconds:.1f} s"

    def _changed(self, change: object) -> None:
        """Wait until nothing has changed for a moment; where no event loop runs, there is nothing to wait for."""
        try:
            loop = asyncio.get_running_loop()
        except RuntimeError:
            self.update()
            return
        if self._due is not None:
            self._due.cancel()
        self._due = loop.call_later(_PAUSE, self.update)

    def _names(self) -> tuple[str, str]:
        """What the notebook calls the model and the direction; the widest words where it has no names for them."""
        from IPython.core.getipython import get_ipython

        shell = get_ipython()
        there = {} if shell is None else {k: v for k, v in shell.user_ns.items() if not k.startswith("_")}
        model = next((name for name, value in there.items() if value is self.exploration.model), "model")
        return model, _name_of(self.exploration.direction, there) or "direction"

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
    positions = list(dict.fromkeys([*POSITIONS, setting.on]))
    exploration.steer(setting)  # positions that cannot be read are an error before anything is shown
    return {
        "prompt": widgets.Textarea(
            setting.prompt, description="prompt", rows=2, **look | {"layout": widgets.Layout(width="auto")}
        ),
        "layer": widgets.SelectionSlider(description="steer at layer", **layers),
        "ratio": widgets.FloatSlider(setting.ratio, min=-1, max=1, step=0.05, description="dose", **look),
        "on": widgets.Dropdown(options=positions, value=setting.on, description="tokens", **look),
        "read": widgets.SelectionSlider(description="show layer", **layers),
    }


def _parts() -> dict[str, Any]:
    """What is shown."""
    import ipywidgets as widgets

    half = widgets.Layout(flex="1 1 320px", min_width="260px")
    return {
        "base": widgets.HTML(layout=half),
        "steered": widgets.HTML(layout=half),
        "figure": widgets.Output(layout=widgets.Layout(width="100%")),
        "code": widgets.HTML(layout=widgets.Layout(width="100%")),
        "state": widgets.HTML(layout=widgets.Layout(margin="0 0 0 12px")),
    }


def _arrange(controls: Mapping[str, Any], parts: Mapping[str, Any]) -> Any:
    import ipywidgets as widgets

    rows = widgets.Layout(flex_flow="row wrap", width="100%")
    return widgets.VBox(
        [
            widgets.HTML(_STYLE, layout=widgets.Layout(display="none")),
            controls["prompt"],
            widgets.HBox([controls[name] for name in ("layer", "ratio", "on", "read")] + [parts["state"]], layout=rows),
            widgets.HBox([parts["base"], parts["steered"]], layout=rows),
            parts["figure"],
            parts["code"],
        ],
        layout=widgets.Layout(width="100%", max_width="1200px"),
    )


def _name_steer(setting: Setting) -> str:
    return f"{setting.ratio:+g} at layer {setting.layer}, on {setting.on}" if setting.ratio else "dose 0"


def _panel(name: str, answer: Answer, withheld: str) -> str:
    ended = "" if answer.finish == "stop" else ", cut"
    head = f"<b>{html.escape(name)}</b> · {answer.label} · {answer.tokens} tokens{ended}"
    text = f"<i>withheld: {withheld}</i>" if withheld else html.escape(answer.text.strip()) or "<i>nothing</i>"
    return f'<div class="wb-panel"><header>{head}</header><p>{text}</p></div>'


def _display(figure: Any) -> dict[str, Any]:
    """A plotly figure as an output of a cell, which JupyterLab draws without a network."""
    data = {"application/vnd.plotly.v1+json": {**json.loads(figure.to_json()), "config": {"displaylogo": False}}}
    return {"output_type": "display_data", "data": data, "metadata": {}}
