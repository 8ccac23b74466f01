"""Activation patching between matched runs: which activations carry an effect from one prompt to another?

One run gives activations (the source), another gets them in place of its own (the target), one place at a time; the metric says how
far the target moves toward the source. A positive activation in a negative run asks whether the place suffices ("denoise"), the
reverse whether it is needed ("noise") (Meng et al. 2022; Heimersheim and Nanda 2024). ``transformer_lens.patching`` does it with one
pass per place and prompts of one length; here places are rows of large batches, and chats may differ in length where the tokens
are the same by what they are. On prompts of one length a test holds the two to the same numbers.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from functools import partial
from typing import TYPE_CHECKING, Any

import numpy as np
import torch
from torch import Tensor

from workbench._errors import WorkbenchError, unknown
from workbench.generation.steer_hooks import check, check_model, check_sizes
from workbench.mechanism.attribute import STREAM
from workbench.mechanism.passes import Metric, Row, Seen, Write, run, see
from workbench.mechanism.token_alignment import Aligned, aligned, same_chats
from workbench.models.hooks import blocks
from workbench.models.model import Encoded, Model
from workbench.models.prompts import Pairs, Prompt, Prompts
from workbench.steering.directions import Direction
from workbench.steering.positions import PROMPT, Positions, as_positions
from workbench.steering.sites import Site
from workbench.steering.steer import Steer

if TYPE_CHECKING:
    import pandas as pd

#: what may be patched -> the kind of site
WHAT = {"resid": "resid_post", "attn": "attn_out", "mlp": "mlp_out", "head": "z", "path": "z"}
WAYS = ("denoise", "noise")

COLUMNS = ("set", "pair", "way", "component", "layer", "head", "token", "base", "source", "value", "effect", "estimate")

Cells = str | Sequence[str | Sequence[str]]


@dataclass(frozen=True)
class Place:
    """A component that is patched: its site, and the head if it is one."""

    site: Site
    head: int = -1

    @property
    def name(self) -> str:
        """As TransformerLens has it: "L3H2", "3_attn_out", "3_mlp_out", "3_resid_post"."""
        return f"L{self.site.layer}H{self.head}" if self.head >= 0 else f"{self.site.layer}_{self.site.kind}"

    def part(self, width: int) -> slice:
        """Its dimensions at the site, where a head has ``width`` of them."""
        return slice(self.head * width, (self.head + 1) * width) if self.head >= 0 else slice(None)


@dataclass(frozen=True)
class Spot:
    """What is patched at once: one component or several, at all chosen tokens or at one group of them."""

    cell: tuple[Place, ...]
    group: tuple[int, ...] | None

    def named(self, labels: Sequence[str]) -> tuple[str, int, int, str]:
        """Its columns component, layer, head and token; -1 for a layer and a head that are several."""
        layer, head = (self.cell[0].site.layer, self.cell[0].head) if len(self.cell) == 1 else (-1, -1)
        token = labels[0 if self.group is None else self.group[0]]
        return " + ".join(place.name for place in self.cell), layer, head, token


@dataclass(frozen=True)
class Side:
    """One of the two runs: chats, what is done to them, and the model that reads them."""

    model: Model
    chats: Encoded
    steer: Steer
    tokens: tuple[tuple[int, ...], ...]


def patch(
    model: Model,
    pairs: Pairs | Prompts | Sequence[str | Prompt],
    what: Cells = "resid",
    metric: Direction | str | Callable = "refusal",
    on: Positions | str = PROMPT[-1],
    *,
    each: bool = False,
    layers: Sequence[int] | None = None,
    source: Steer | Model | None = None,
    control: Pairs | None = None,
    screen: int | None = None,
    ways: Sequence[str] = WAYS,
    batch_size: int = 128,
) -> "pd.DataFrame":
    """Activation patching: put activations of one run into another, place by place, and measure the change of a metric.

    Args:
        model: its plain module runs.
        pairs: a contrast set whose prompts belong together, by ``base`` or by order; with ``source=``, prompts.
        what: "resid" (``resid_post``), "attn", "mlp" (what is added to the stream), "head" (each head's ``z``), or
            "path" (the output of each head and MLP, only on its direct path to the metric: all components in between
            are frozen). Or a list of components by name, e.g. ``["L3H2", "9_mlp_out"]``; a list among them is patched
            together, as one place.
        metric: a Direction (its projection at its site), "refusal" (``wb.refusal_margin``), or a function of logits
            [batch, vocab], float64, to [batch]; read at the last token of the prompt.
        on: which tokens are patched. They are matched by role (see ``token_alignment.counterparts``); a token without
            a counterpart is an error.
        each: patch these tokens one by one; otherwise together.
        layers: by default all layers that can affect the metric.
        source: with prompts: the source run is the same prompts under this Steer, or through this model (base and tuned).
        control: a second contrast set that is patched in the same way, e.g. ``within_side(pairs)``; its rows are
            marked "control".
        screen: first estimate every place by its gradient (attribution patching, Nanda 2023; two passes per prompt),
            and patch only this many places with the largest absolute mean estimate.
        ways: "denoise" puts the source (the positive prompt) into the target, "noise" the reverse.
        batch_size: rows per forward pass.

    Returns:
        A DataFrame, one row per set, pair, way and place: set, pair, way, component, layer, head (-1 for none),
        token, base (the metric of the run that is patched), source (of the run that is the source), value (of the
        patched run; NaN where it was only estimated), effect (value - base), estimate (of the effect; NaN without
        ``screen``). ``patch_effects`` averages the rows.

    Raises:
        WorkbenchError: prompts that do not match, tokens without a counterpart, a component that does not exist, a model with
            another vocabulary or shape; before any compute.

    >>> rows = patch(model, tiny_pairs, "attn", wb.extract(model, tiny_pairs, at=wb.resid_post(2)))
    >>> len(rows) == len(tiny_pairs.positive) * model.n_layers * 2
    True
    """
    import pandas as pd

    check_model(model)
    check_sizes(batch_size=batch_size, **({} if screen is None else {"screen": screen}))
    for way in ways:
        if way not in WAYS:
            raise unknown("way", way, WAYS)
    if not ways:
        raise WorkbenchError(f"ways={list(ways)}: expected {' or '.join(WAYS)}, or both")
    number = Metric.given(model, metric)
    positions = as_positions(on)
    cells = _cells(model, what, layers, number)
    if what == "path" and screen is not None:
        raise WorkbenchError("what='path' is exact after one pass per prompt and layer; leave screen= out")
    if what == "path" and positions != PROMPT[-1]:
        raise WorkbenchError(
            "what='path' is the direct way to the last token of the prompt; leave on= at wb.PROMPT[-1]"
        )
    if what == "path" and number.site is not None and number.site.kind not in STREAM:
        raise WorkbenchError(f"what='path' ends in the residual stream; the metric is read at {number.site!r}")
    answer = number.site is None
    matches = {"pairs": two_runs(model, pairs, source, positions, answer, each)}
    if control is not None:
        matches["control"] = two_runs(model, control, source, positions, answer, each)
    lines: list[tuple] = []
    chosen: dict[str, set[int]] = {}
    for name, match in matches.items():
        sides = two_sides(model, match, source)
        lines += _patched(name, match, sides, cells, what == "path", number, each, screen, ways, batch_size, chosen)
    return pd.DataFrame(lines, columns=list(COLUMNS))


def two_runs(
    model: Model, pairs: Any, source: Steer | Model | None, on: Positions, answer: bool, each: bool = False
) -> Aligned:
    """The chats of both runs: of a contrast set, or with ``source=`` those of the same prompts twice.

    Raises WorkbenchError for one where the other is needed, and as ``aligned`` does.
    """
    if source is None:
        if not isinstance(pairs, Pairs):
            raise WorkbenchError(
                "expected two runs: a contrast set, e.g. wb.pairs('refusal').dev, or prompts with source=, a Steer or a Model"
            )
        return aligned(model, pairs, on, answer, each)
    if isinstance(pairs, Pairs):
        raise WorkbenchError("source= makes the second run of the same prompts; give one side, e.g. pairs.positive")
    return same_chats(model, pairs, on, answer, each)


def two_sides(model: Model, match: Aligned, source: Steer | Model | None) -> tuple[Side, Side]:
    """The run whose activations are the source of "denoise" (positive, steered, or another model's), and the other one."""
    ours, theirs = (tuple(pair[i] for pair in match.tokens) for i in (0, 1))
    other, steer = model, Steer()
    if isinstance(source, Steer):
        check(source, model)
        if not source.effective:
            raise WorkbenchError("source= is a Steer that changes nothing; both runs would be the same")
        steer = source
    elif source is not None:
        check_model(source)
        same = (source.n_layers, source.d_model, source.vocabulary) == (model.n_layers, model.d_model, model.vocabulary)
        if not same:
            raise WorkbenchError(
                f"{source.name} has {source.n_layers} layers of width {source.d_model} and {model.name} {model.n_layers} of "
                f"{model.d_model}, or other tokens; patching between models wants base and tuned of one kind"
            )
        other = source
    return Side(other, match.first, steer, ours), Side(model, match.second, Steer(), theirs)


def _cells(model: Model, what: Cells, layers: Sequence[int] | None, metric: Metric) -> list[tuple[Place, ...]]:
    """The places, each of one component or of several that are patched together."""
    heads = model.hf.config.get_text_config().num_attention_heads
    if not isinstance(what, str):
        if layers is not None:
            raise WorkbenchError("layers= goes with what='attn' and the like; components by name have their layer")
        groups = [(group,) if isinstance(group, str) else tuple(group) for group in what]
        if not groups or not all(groups):
            raise WorkbenchError("what=[] names no component; expected names such as 'L3H2', '9_mlp_out'")
        known = {place.name: place for kind in WHAT for place in _places(kind, range(model.n_layers), heads)}
        for name in (name for group in groups for name in group):
            if name not in known:
                raise unknown("component", name, list(known)[:: max(1, len(known) // 6)], ", and the like")
        return [tuple(known[name] for name in group) for group in groups]
    if what not in WHAT:
        raise unknown("what", what, WHAT)
    seen = range(model.n_layers) if metric.site is None else range(metric.site.layer + 1)
    asked = list(seen if layers is None else layers)
    if wrong := [layer for layer in asked if layer not in range(model.n_layers)]:
        raise WorkbenchError(f"layers={wrong}: {model.name} has layers 0 to {model.n_layers - 1}")
    found = _places(what, asked, heads)
    if what == "path":
        found += _places("mlp", asked, heads)
    before = [place for place in found if metric.site is None or place.site.order <= metric.site.order]
    if not before:
        raise WorkbenchError(f"no place in layers {asked} comes before {metric.site!r}, where the metric is read")
    return [(place,) for place in before]


def _places(what: str, layers: Sequence[int] | range, heads: int) -> list[Place]:
    sites = [Site(layer, WHAT[what]) for layer in layers]
    if WHAT[what] == "z":
        return [Place(site, head) for site in sites for head in range(heads)]
    return [Place(site) for site in sites]


def _patched(
    name: str,
    match: Aligned,
    sides: tuple[Side, Side],
    cells: Sequence[tuple[Place, ...]],
    path: bool,
    metric: Metric,
    each: bool,
    screen: int | None,
    ways: Sequence[str],
    batch_size: int,
    chosen: dict[str, set[int]],
) -> list[tuple]:
    """The lines of one set of pairs; ``chosen`` is what the screen chose of the set before, and so of the control too."""
    end = metric.site or Site(sides[1].model.n_layers - 1, "resid_post")
    sites = tuple(dict.fromkeys([*(place.site for cell in cells for place in cell), *([end] if path else [])]))
    if path:
        sides = (replace(sides[0], tokens=_last(sides[0])), replace(sides[1], tokens=_last(sides[1])))
    screened = screen is not None
    shown = [
        see(one.model, one.chats, one.steer, sites, one.tokens, metric, screened, label=f"{name}: activations")
        for one in sides
    ]
    groups = [(i,) for i in range(len(match.labels))] if each else [None]
    spots = [Spot(cell, group) for cell in cells for group in groups]
    lines: list[tuple] = []
    for way in ways:
        a, b = (0, 1) if way == "denoise" else (1, 0)
        source, target, side = shown[a], shown[b], sides[b]
        estimates = np.full((len(spots), len(match)), np.nan)
        run_these = list(range(len(spots)))
        if screened:
            estimates = _estimates(spots, source, target, side)
            if way not in chosen:
                chosen[way] = set(np.argsort(-np.abs(estimates.mean(1)), kind="stable")[:screen].tolist())
            run_these = sorted(chosen[way])
        writes = partial(_path if path else _writes, source=source, target=target, side=side, end=end)
        where = [(number, pair) for number in run_these for pair in range(len(match))]
        rows = [Row(pair, side.steer, writes(spots[number], pair)) for number, pair in where]
        values = np.full(estimates.shape, np.nan)
        if where:
            values[tuple(zip(*where, strict=True))] = run(
                side.model, side.chats, rows, metric, batch_size, f"{name}: {way}"
            )
        for number, spot in enumerate(spots):
            for pair, pair_name in enumerate(match.names):
                base, value = target.metric[pair], values[number, pair]
                measured = base, source.metric[pair], value, value - base, estimates[number, pair]
                lines.append((name, pair_name, way, *spot.named(match.labels), *measured))
    return lines


def _last(side: Side) -> tuple[tuple[int, ...], ...]:
    return tuple((length - 1,) for length in side.chats.lengths)


def _head_width(model: Model, head: int, values: Tensor) -> int:
    return values.shape[1] // model.hf.config.get_text_config().num_attention_heads if head >= 0 else 0


def _writes(spot: Spot, pair: int, source: Seen, target: Seen, side: Side, end: Site) -> tuple[Write, ...]:
    writes = []
    for one in spot.cell:
        values = source.activations[one.site][pair]
        part = one.part(_head_width(side.model, one.head, values))
        tokens, values = side.tokens[pair], values[:, part]
        if spot.group is not None:
            tokens, values = (tokens[spot.group[0]],), values[list(spot.group)]
        writes.append(Write(one.site, tokens, values, part))
    return tuple(writes)


def _path(spot: Spot, pair: int, source: Seen, target: Seen, side: Side, end: Site) -> tuple[Write, ...]:
    """What is read at the end, with what the component adds to the stream as it is in the source, all else as it is."""
    (one,) = spot.cell
    ours, theirs = (seen.activations[one.site][pair] for seen in (target, source))
    if one.head >= 0:
        part = one.part(_head_width(side.model, one.head, ours))
        mixed = ours.clone()
        mixed[:, part] = theirs[:, part]
        ours, theirs = _added(side.model, one.site.layer, ours), _added(side.model, one.site.layer, mixed)
    return (Write(end, side.tokens[pair], target.activations[end][pair] + theirs - ours),)


@torch.no_grad()
def _added(model: Model, layer: int, z: Tensor) -> Tensor:
    """What an attention adds to the stream, given the z of all its heads, [token, width]; its norm included where it has one."""
    block = blocks(model.hf)[layer]
    out = block.self_attn.o_proj(z)
    return block.post_attention_layernorm(out) if hasattr(block, "pre_feedforward_layernorm") else out


def _estimates(spots: Sequence[Spot], source: Seen, target: Seen, side: Side) -> np.ndarray:
    """The first-order effect of each spot, (source - target) · gradient, [spot, pair]."""
    effects = np.empty((len(spots), len(target.metric)))
    for number, spot in enumerate(spots):
        for pair in range(effects.shape[1]):
            total = 0.0
            for one in spot.cell:
                ours, theirs = (seen.activations[one.site][pair].double() for seen in (target, source))
                part = one.part(_head_width(side.model, one.head, ours))
                product = ((theirs - ours) * target.gradients[one.site][pair].double())[:, part]
                total += float((product if spot.group is None else product[list(spot.group)]).sum())
            effects[number, pair] = total
    return effects
