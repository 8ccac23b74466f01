"""A conversation with and without directions: what an explorer shows, computed once per setting. No widget is in here.

Text is withheld as elsewhere. A prompt that is typed cannot be known to be harmful, so that a steered answer is not displayed
when a turn is one of the bundled harmful requests, or when the model refuses it unsteered and steered it does not. An answer
that was begun for the model counts as steered. What is withheld is not continued, forked or read by a lens.
"""

from collections import OrderedDict
from collections.abc import Mapping
from dataclasses import dataclass, field, fields, replace
from functools import cache
from typing import TYPE_CHECKING, Any

from workbench._errors import WorkbenchError, check_flag
from workbench.generation.completions import Completions
from workbench.generation.engine import first_logits
from workbench.generation.recorder import token_labels, trace_generation
from workbench.generation.steer_hooks import check_direction
from workbench.generation.traces import Trace
from workbench.models.model import Encoded, Model
from workbench.models.prompt_files import prompts
from workbench.models.prompts import Prompt
from workbench.scoring.labels import refusal
from workbench.steering.directions import Direction, Directions
from workbench.steering.positions import as_positions
from workbench.steering.sites import EveryLayer, Site
from workbench.steering.steer import Steer
from workbench.steering.verbs import add

if TYPE_CHECKING:
    import plotly.graph_objects as go

#: one direction or one per layer, or several of them by name
Explored = Direction | Directions | Mapping[str, Direction | Directions]

SIDES = ("base", "steered")
#: stands for text that is not shown
BLANK = "▮"

_KEPT = 100  # settings whose answers are remembered
_BUNDLED = ("harmful", "harmless", "borderline")
_KNOWN_HARMFUL = "one of the bundled harmful requests, under steering"
_BEGUN = "one of the bundled harmful requests, with an answer that was begun for the model"
_BYPASSED = "refused without steering, and not refused with it"
_BYPASSED_BEGUN = "refused by itself, and not refused with an answer that was begun for the model"
_BYPASSED_BEFORE = "an earlier turn was refused without steering, and not refused with it"


@dataclass(frozen=True)
class Setting:
    """What an explorer is set to.

    Attributes:
        prompt: the user's turn that is answered.
        layer: where directions are added.
        ratio: the dose of each, in units of the mean activation norm.
        on: which tokens, as text. Tokens of ``prefill`` count as tokens of the response.
        signs: names of directions, each with 1 (added), -1 (subtracted) or 0; if empty, the first one is added.
        turns: the conversation so far, as (role, content); the last of them the assistant's.
        prefill: how the answer begins.
    """

    prompt: str
    layer: int
    ratio: float
    on: str
    signs: tuple[tuple[str, int], ...] = ()
    turns: tuple[tuple[str, str], ...] = ()
    prefill: str = ""

    @property
    def asked(self) -> tuple:
        """What the model is asked, whatever the Steer."""
        return self.turns, self.prompt, self.prefill


@dataclass(frozen=True)
class Answer:
    """What the model wrote: text, its label, tokens, how it ended, and a trace of one row.

    Attributes:
        text: what was written, without the prefill.
        whole: the prefill and what was written.
        label: of the whole.
        completion: the same as Completions of one row.
    """

    text: str
    label: str
    tokens: int
    finish: str
    trace: Trace
    whole: str
    completion: Completions

    @property
    def token_ids(self) -> tuple[int, ...]:
        """The tokens that were written, the stop token included where there is one."""
        return self.completion.token_ids[0]


@dataclass(frozen=True)
class Alternative:
    """A token that could stand at a place of an answer.

    Attributes:
        probability: that the model writes it there.
        problem: why the answer cannot go on from it; empty where it can.
    """

    token_id: int
    text: str
    probability: float
    problem: str = ""


@dataclass(frozen=True)
class View:
    """A setting, what the model says without and with it, and why either is withheld, if it is."""

    setting: Setting
    base: Answer
    steered: Answer
    withheld: str = ""
    base_withheld: str = ""
    arm: str = ""
    probes: Mapping[str, list[int]] = field(default_factory=dict, repr=False, compare=False)

    def answer(self, side: str) -> Answer:
        """The answer of "base" or "steered"."""
        return self.base if side == "base" else self.steered

    def why_withheld(self, side: str) -> str:
        """Why the text of "base" or "steered" is not shown; empty where it is."""
        return self.base_withheld if side == "base" else self.withheld

    def figure(self, layer: int, name: str = "") -> "go.Figure":
        """Both answers projected on a direction (the first by default) at a layer, token by token."""
        import pandas as pd

        from workbench.figures.trajectories import trajectory

        probes = self.probes[name or next(iter(self.probes))]
        frames = []
        for row, side in enumerate(SIDES if self.steered is not self.base else SIDES[:1]):
            trace = self.answer(side).trace.select(probes=probes)
            frame = replace(trace, hidden=(bool(self.why_withheld(side)),)).frame()
            frames.append(frame.assign(row=row, **({"arm": self.arm} if row and self.arm else {})))
        whole = pd.concat(frames, ignore_index=True)
        return trajectory(whole[whole["layer"] == layer])


class Exploration:
    """A model and directions to explore: answers are remembered, the unsteered one for each prompt.

    Raises:
        WorkbenchError: a direction that does not fit the model, or does not carry the activation norm that doses need; no
            layer that all directions have.

    >>> d = wb.extract(model, tiny_pairs, at=wb.resid_post(1))
    >>> exploration = Exploration(model, d, max_new_tokens=4)
    >>> view = exploration.view(Setting("how do i bake a cake", layer=1, ratio=0.5, on="response"))
    >>> view is exploration.view(view.setting)
    True
    """

    def __init__(self, model: Model, direction: Explored, max_new_tokens: int = 40, show_text: bool = False):
        self.model, self.direction = model, direction
        self.max_new_tokens, self.show_text = max_new_tokens, check_flag(show_text, "show_text")
        self.named = _by_name(direction)
        self.names = tuple(self.named)
        layers = set(range(model.n_layers))
        self._probed: list[Direction] = []
        self._probes: dict[str, list[int]] = {}
        for name, some in self.named.items():
            own = (some,) if isinstance(some, Direction) else tuple(some)
            for one in own:
                if one.activation_norm != one.activation_norm:
                    raise WorkbenchError(
                        f"the direction at {one.site!r} carries no activation norm, so there is no dose to choose; extract "
                        "it with wb.extract, or give it one: d.transfer(model.name, model.revision, activation_norm=…)"
                    )
                check_direction(one, one.site, model)
            if isinstance(some, Directions):
                layers &= set(some.layers)
            there = own if isinstance(some, Directions) else [self.at(name, i) for i in range(model.n_layers)]
            self._probes[name] = list(range(len(self._probed), len(self._probed) + len(there)))
            self._probed += there
        if not layers:
            raise WorkbenchError(
                f"no layer has all of the directions {', '.join(self.names)}; extract them at one layer"
            )
        self.layers = tuple(sorted(layers))
        first = self.named[self.names[0]]
        middle = self.layers[round(0.6 * (len(self.layers) - 1))]
        own_layer = first.site.layer if isinstance(first, Direction) else middle
        self.start = own_layer if own_layer in layers else middle
        self._bypassed: set[str] = set()
        self._bases: OrderedDict[tuple, Answer] = OrderedDict()
        self._views: OrderedDict[Setting, View] = OrderedDict()

    def at(self, name: str, layer: int) -> Direction:
        """The direction of a name at a layer; a single one is the same vector at every layer."""
        some = self.named[name]
        if isinstance(some, Directions):
            return some[layer]
        return replace(some, site=Site(layer, some.site.kind))

    def signs(self, setting: Setting) -> list[tuple[str, int]]:
        """The directions that are added or subtracted.

        Raises:
            WorkbenchError: a name that is not there, or a sign other than -1, 0 or 1.
        """
        for name, sign in setting.signs:
            if name not in self.named:
                raise WorkbenchError(f"there is no direction {name!r}; there are {', '.join(self.names)}")
            if sign not in (-1, 0, 1):
                raise WorkbenchError(f"the sign of {name!r} is {sign!r}; expected 1, -1 or 0")
        given = setting.signs or ((self.names[0], 1),)
        return [(name, sign) for name, sign in given if sign] if setting.ratio else []

    def steer(self, setting: Setting) -> Steer:
        """The Steer of a setting. A single direction keeps its dose, in units of the norm where it was read, at other layers."""
        return self._steer(setting, self._on(setting))

    def _steer(self, setting: Setting, on: str) -> Steer:
        whole = Steer()
        for name, sign in self.signs(setting):
            some, ratio = self.named[name], sign * setting.ratio
            if isinstance(some, Directions):
                whole += add(some[setting.layer], ratio=ratio, on=on)
            elif setting.layer == some.site.layer:
                whole += add(some, ratio=ratio, on=on)
            else:
                at = Site(setting.layer, some.site.kind)
                whole += add(some, coef=ratio / some.relative_norm, on=on, at=at)
        return whole

    def _on(self, setting: Setting, more: int = 0) -> str:
        """The positions of a setting, as they are called once its prefill and ``more`` tokens are part of the prompt."""
        n = len(self.model.tokenize(setting.prefill)) + more if setting.prefill or more else 0
        if not n:
            return setting.on
        bare = self.model.encode([_prompt_of(replace(setting, prefill=""))])
        return str(as_positions(setting.on).prefilled(bare.lengths[0], n))

    def view(self, setting: Setting) -> View:
        """What is to be seen; nothing is written twice, and an unsteered answer is written beside the first steered one.

        Raises:
            WorkbenchError: a blank prompt, a layer without a direction, positions that cannot be read.
        """
        if setting not in self._views:
            steer = self.steer(setting)
            base, steered = self._answers(setting, steer)
            _remember(self._bases, setting.asked, base)
            refused = self._refused(setting, base)
            why = self._why_withheld(setting, steered, refused, bool(steer.effective))
            base_why = self._why_withheld(setting, base, refused, False)
            view = View(setting, base, steered, why, base_why, self._arm(setting), self._probes)
            if why or base_why:
                self._bypassed.add(_fold(setting.prompt))
            _remember(self._views, setting, view)
        return self._views[setting]

    def _arm(self, setting: Setting) -> str:
        """What the steered line is called; empty where its dose is enough."""
        signs = self.signs(setting)
        return "" if len(self.names) == 1 else ", ".join(f"{sign * setting.ratio:+.2f} {name}" for name, sign in signs)

    def _answers(self, setting: Setting, steer: Steer) -> tuple[Answer, Answer]:
        known = self._bases.get(setting.asked)
        steers = [Steer()] * (known is None) + [steer] * bool(steer.effective)
        if not steers:
            assert known is not None
            return known, known
        prompt = _prompt_of(setting)
        done, path = trace_generation(
            self.model, [prompt] * len(steers), self._probed, None, steers, self.max_new_tokens
        )
        start = self.model.tokenize(setting.prefill) if setting.prefill else ()
        decode = self.model.tokenizer.decode
        whole = [
            decode([*start, *ids], skip_special_tokens=True) if start else done.text[i]
            for i, ids in enumerate(done.token_ids)
        ]
        said = refusal.values(self.model, [prompt] * len(steers), whole, steers)
        answers = [
            Answer(
                text,
                str(said[i]),
                len(done.token_ids[i]),
                done.finish[i],
                path.select(rows=[i]),
                whole[i],
                _row(done, i),
            )
            for i, text in enumerate(done.text)
        ]
        return known or answers[0], answers[-1]

    def _refused(self, setting: Setting, base: Answer) -> bool:
        """Whether the model, left to itself, refused this or an earlier turn."""
        if setting.prefill:
            base = self.view(replace(setting, prefill="", ratio=0.0)).base
        if base.label == "refusal":
            return True
        answered = list(zip(setting.turns[::2], setting.turns[1::2], strict=False))
        asked = [Prompt(user[1], "explored") for user, _ in answered]
        texts = [answer[1] for _, answer in answered]
        return bool(asked) and "refusal" in map(str, refusal.values(self.model, asked, texts, [Steer()] * len(asked)))

    def _why_withheld(self, setting: Setting, answer: Answer, refused: bool, steered: bool) -> str:
        if self.show_text or not (steered or setting.prefill):
            return ""
        said = [_fold(text) for text in _user_turns(setting)]
        known = [_harmful().get(text) for text in said]
        if any(known):
            return _KNOWN_HARMFUL if steered else _BEGUN
        if all(one is False for one in known) and not setting.prefill:
            return ""
        if self._bypassed & set(said if setting.prefill else said[:-1]):
            return _BYPASSED_BEFORE
        if refused and answer.label != "refusal":
            return _BYPASSED if steered else _BYPASSED_BEGUN
        return ""

    def reply(self, view: View, side: str, prompt: str) -> Setting:
        """The setting in which the user answers an answer: it has become part of the conversation.

        Raises:
            WorkbenchError: an answer that is withheld, or without text.
        """
        self._check_shown(view, side)
        said = view.answer(side).whole.strip()
        if not said:
            raise WorkbenchError("the answer is empty; there is nothing to reply to")
        turns = (*view.setting.turns, ("user", view.setting.prompt), ("assistant", said))
        return replace(view.setting, prompt=prompt, turns=turns, prefill="")

    def tokens(self, view: View, side: str) -> list[str]:
        """What each token of an answer says, without the prefill; blank where it is withheld."""
        ids = view.answer(side).token_ids
        if view.why_withheld(side):
            return [BLANK] * len(ids)
        return list(token_labels(self.model.tokenizer, ids))

    def alternatives(self, view: View, side: str, token: int, k: int = 8) -> list[Alternative]:
        """The likeliest tokens at a place of an answer, under the Steer that wrote it.

        Args:
            view: what is seen.
            side: "base" or "steered".
            token: which token of the answer, from 0.
            k: how many.

        Raises:
            WorkbenchError: an answer that is withheld, or a token that it does not have.
        """
        before = self._before(view, side, token)
        setting = view.setting
        ids = (*view.answer(side).completion.prompt_token_ids[0], *before)
        chats = Encoded((setting.prompt,), (ids,), self.model.tokenizer.pad_token_id)
        steer = Steer() if side == "base" else self._steer(setting, self._on(setting, len(before)))
        ((_, logits),) = first_logits(self.model, chats, steer)
        best = logits[0].softmax(-1).topk(k)
        found = []
        for one, probability in zip(best.indices.tolist(), best.values.tolist(), strict=True):
            problem = "" if self._prefill(setting, (*before, one)) else "it cannot be written as text"
            problem = "it ends the answer" if one in self.model.stop_ids else problem
            found.append(Alternative(one, token_labels(self.model.tokenizer, [one])[0], probability, problem))
        return found

    def fork(self, view: View, side: str, token: int, token_id: int) -> Setting:
        """The setting in which an answer is as it was up to a token, has another one there, and goes on from it.

        Args:
            view: what is seen.
            side: "base" or "steered": whose answer.
            token: which token is replaced, from 0.
            token_id: by what.

        Raises:
            WorkbenchError: an answer that is withheld, a token that it does not have, or one that ends the answer or cannot be
                written as text.
        """
        before = self._before(view, side, token)
        prefill = self._prefill(view.setting, (*before, token_id))
        if not prefill or token_id in self.model.stop_ids:
            raise WorkbenchError(
                f"token {token_id} ends the answer, or it and what stands before it are other tokens once they are written as "
                "text; choose another one"
            )
        return replace(view.setting, prefill=prefill)

    def _before(self, view: View, side: str, token: int) -> tuple[int, ...]:
        self._check_shown(view, side)
        ids = view.answer(side).token_ids
        if token not in range(len(ids)):
            raise WorkbenchError(f"token {token}: the answer has {len(ids)} tokens, from 0")
        return ids[:token]

    def _prefill(self, setting: Setting, ids: tuple[int, ...]) -> str:
        """The prefill of a setting and more tokens, as text; empty where the text is read as other tokens."""
        whole = (*(self.model.tokenize(setting.prefill) if setting.prefill else ()), *ids)
        text = self.model.tokenizer.decode(whole)
        return text if self.model.tokenize(text) == whole else ""

    def _check_shown(self, view: View, side: str) -> None:
        if side not in SIDES:
            raise WorkbenchError(f"side={side!r}: expected 'base' or 'steered'")
        if why := view.why_withheld(side):
            raise WorkbenchError(f"this answer is withheld ({why}); it is not continued")

    def code(
        self,
        setting: Setting,
        layer: int,
        names: tuple[str, str | Mapping[str, str]] = ("model", "direction"),
        shown: str = "",
    ) -> str:
        """Python that shows the same again: the Steer, both answers and the figure at a layer.

        Args:
            setting: what is seen.
            layer: of the figure.
            names: how the code calls the model and the direction that it needs; of several directions each by its name.
            shown: which direction the figure projects on; the first by default.
        """
        model, given = names
        several = isinstance(self.direction, Mapping)
        if isinstance(given, str):
            given = {name: f"{given}[{name!r}]" if several else given for name in self.names}
        view = self.view(setting)
        hidden = bool(view.withheld or view.base_withheld)
        shown = shown or self.names[0]
        some = self.named[shown]
        sites = f", sites=wb.{EveryLayer(some.site.kind)!r}" if isinstance(some, Direction) else ""
        arms = f", arms={['base', view.arm]!r}" if view.arm else ""
        text = 'print(out.frame()[["dose", "tokens"]])' if hidden else r'print(*out.text, sep="\n\n")'
        blanked = ["path = path.frame()", 'path["hidden"] = path["offset"] >= 0'] if view.base_withheld else []
        return "\n".join(
            [
                "import workbench as wb",
                "",
                f"prompt = {_prompt_code(setting, hidden)}",
                f"steer = {self._steer_code(setting, given)}",
                f"out = wb.generate({model}, [prompt, prompt], [wb.Steer(), steer], max_new_tokens={self.max_new_tokens})",
                text,
                f"path = wb.trace({model}, out, {given[shown]}{sites}{arms})",
                *blanked,
                f"wb.figures.trajectory(path, layer={layer})",
            ]
        )

    def _steer_code(self, setting: Setting, given: Mapping[str, str]) -> str:
        on = f'on="{self._on(setting)}"'
        signs = self.signs(setting) if setting.ratio else [(self.names[0], 1)]
        return " + ".join(self._add_code(setting, name, sign, given[name], on) for name, sign in signs) or "wb.Steer()"

    def _add_code(self, setting: Setting, name: str, sign: int, called: str, on: str) -> str:
        some, ratio = self.named[name], f"{sign * setting.ratio:g}"
        if isinstance(some, Directions):
            return f"wb.add({called}[{setting.layer}], ratio={ratio}, {on})"
        if setting.layer == some.site.layer:
            return f"wb.add({called}, ratio={ratio}, {on})"
        at = f"at=wb.{Site(setting.layer, some.site.kind)!r}"
        return f"wb.add({called}, coef={ratio} / {called}.relative_norm, {on}, {at})"


def _by_name(given: Explored) -> dict[str, Direction | Directions]:
    if not isinstance(given, Mapping):
        given = {"direction": given}
    if not given:
        raise WorkbenchError("no direction is given; expected one, or several by name, e.g. {'refusal': ds}")
    for name, some in given.items():
        if not isinstance(name, str) or not name.strip():
            raise WorkbenchError(f"a direction is called {name!r}; expected a name")
        if not isinstance(some, Direction | Directions):
            raise WorkbenchError(
                f"{name!r} is {some!r:.60}; expected a Direction, or Directions, as wb.extract gives them"
            )
    return dict(given)


def _prompt_code(setting: Setting, hidden: bool) -> str:
    more = [f"prefill={setting.prefill!r}"] * bool(setting.prefill) + ["harmful=True"] * hidden
    if setting.turns:
        said = [*setting.turns, ("user", setting.prompt)]
        return f"wb.Prompt({', '.join(['id=' + repr('explored'), f'messages={said!r}', *more])})"
    return (
        f"wb.Prompt({', '.join([repr(setting.prompt), chr(34) + 'explored' + chr(34), *more])})"
        if more
        else repr(setting.prompt)
    )


def _row(done: Completions, row: int) -> Completions:
    """One row of Completions."""
    own: dict[str, Any] = {
        one.name: (value[row],) for one in fields(done) if isinstance(value := getattr(done, one.name), tuple)
    }
    return replace(done, **own)


def _remember(kept: OrderedDict, key: object, value: object) -> None:
    kept[key] = value
    while len(kept) > _KEPT:
        kept.popitem(last=False)


def _user_turns(setting: Setting) -> list[str]:
    return [text for role, text in setting.turns if role == "user"] + [setting.prompt]


def _prompt_of(setting: Setting) -> Prompt:
    harmful = any(bool(_harmful().get(_fold(text))) for text in _user_turns(setting))
    if setting.turns:
        said = (*setting.turns, ("user", setting.prompt))
        return Prompt(id="explored", messages=said, prefill=setting.prefill, harmful=harmful)
    return Prompt(setting.prompt, "explored", prefill=setting.prefill, harmful=harmful)


@cache
def _harmful() -> dict[str, bool]:
    """The bundled requests, and whether each is a harmful one."""
    sets = (prompts(f"{name}/{side}") for name in ("refusal", "refusal_breadth", "refusal_forms") for side in _BUNDLED)
    return {_fold(prompt.text): prompt.harmful for some in sets for prompt in some}


def _fold(text: str) -> str:
    return " ".join(text.casefold().split())
