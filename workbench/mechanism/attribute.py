"""Which components write a direction, or the opening of a refusal: an exact decomposition of the residual stream.

What stands in the stream is the sum of what the embedding, every attention and every MLP added to it, and of what a Steer added.
So its projection on a direction is the sum of theirs. TransformerLens decomposes the cache of one bridge run in the same way
(``ActivationCache.decompose_resid``, ``stack_head_results``; ``direct_logit_attribution`` for logits). Here it is done while the plain
module runs, since that takes chats of any lengths, tokens by what they are, grouped queries, a Steer, and a final norm that is
not folded into the unembedding; where both can do it, a test holds the two to the same numbers.
"""

from collections.abc import Sequence
from contextlib import ExitStack
from dataclasses import dataclass, field
from functools import partial
from typing import TYPE_CHECKING

import numpy as np
import torch
from torch import Tensor

from workbench._errors import WorkbenchError, check_flag
from workbench._errors.progress import Bar
from workbench.generation.completions import Completions, Texts, refuse_nan
from workbench.generation.recorder import Chats
from workbench.generation.steer_hooks import Applied, alone, check_all, check_direction, check_model, check_sizes
from workbench.mechanism.readout import OPENINGS, Answers, Readout, norm_scale, opening_vector
from workbench.models.hooks import blocks, reading
from workbench.models.model import Encoded, Model
from workbench.steering.directions import Direction
from workbench.steering.positions import PROMPT, Positions, as_positions
from workbench.steering.sites import Site
from workbench.steering.steer import Steer

if TYPE_CHECKING:
    import pandas as pd

#: kinds of sites that are the residual stream itself
STREAM = ("resid_pre", "resid_mid", "resid_post")

#: kinds of sites at which a Steer adds to the stream, or to what is added to it
_ADDED = (*STREAM, "attn_out", "mlp_out")

COLUMNS = ("prompt", "run", "component", "kind", "layer", "head", "value", "random_mean", "random_sd", "beyond")


@dataclass(frozen=True)
class Component:
    """What adds to the stream: its name as TransformerLens has it, its kind, layer and head (-1 for none)."""

    name: str
    kind: str
    layer: int = -1
    head: int = -1


@dataclass
class _Parts:
    """The projections of one batch: of each component, [token, direction], float64."""

    basis: Tensor  # [direction, d_model], float64
    rows: Tensor
    columns: Tensor
    heads: int
    found: dict[Component, Tensor] = field(default_factory=dict)
    edits: dict[Site, Tensor] = field(default_factory=dict)  # what a Steer added, [token, d_model], float64
    z: dict[int, Tensor] = field(default_factory=dict)
    raw: dict[int, Tensor] = field(default_factory=dict)
    end: Tensor | None = None  # the stream where the direction is, [token, d_model]

    def along(self, x: Tensor) -> Tensor:
        return (x @ self.basis.T.to(x.device)).cpu()  # layers may lie on several devices

    def chosen(self, x: Tensor) -> Tensor:
        return x[self.rows.to(x.device), self.columns.to(x.device)]

    def unedited(self, x: Tensor, *sites: Site) -> Tensor:
        value = self.chosen(x).double()
        for site in sites:
            value = value - self.edits[site] if site in self.edits else value
        return value


class _Watched(Applied):
    """Steers of a batch that show what they add."""

    parts: _Parts | None = None

    def delta(self, site: Site, x: Tensor) -> Tensor | None:
        change = super().delta(site, x)
        if change is not None and self.parts is not None and site.kind in _ADDED:
            self.parts.edits[site] = self.parts.chosen(change).double()
        return change


def attribute(
    model: Model,
    prompts: Texts,
    d: Direction | None = None,
    on: Positions | str = PROMPT[-1],
    *,
    steer: Steer | None = None,
    heads: bool = False,
    random: int = 20,
    answers: Answers = OPENINGS,
    batch_size: int = 32,
) -> "pd.DataFrame":
    """Decompose the projection on a direction, at the chosen tokens, into the contribution of each component. The sum is exact.

    Args:
        model: its plain module runs.
        prompts: prompts, ``(prompt, response)`` pairs, or Completions, which run under their own Steers.
        d: a direction in the residual stream: at ``resid_pre``, ``resid_mid`` or ``resid_post``. Only components
            before its site add to it. Without one, this is direct logit attribution: contributions to the logits of
            words that open refusals minus words that open answers, with the scale of the final norm frozen.
        on: which tokens; the mean over them is one number per text.
        steer: also run the same tokens under a Steer; its edit is then a separate component ("edit"). An edit inside
            a component, e.g. at ``z``, is part of that component.
        heads: one row per attention head. With a sandwich norm (Gemma 2 and 3), the contribution of a head includes
            the factor by which the norm multiplied each dimension of that token. This factor depends on all heads.
        random: how many directions of equal norm to compare each component with.
        answers: words that open refusals, and words that open answers, for ``d=None``.
        batch_size: texts per forward pass.

    Returns:
        A DataFrame, one row per text, run ("base"; with a Steer also "steered" and "difference") and component:
        prompt, run, component (as TransformerLens has it: "embed", "3_attn_out", "L3H2", "3_mlp_out"; and "edit …",
        "rounding", "total"), kind, layer, head (-1 for none), value, random_mean, random_sd (of the random
        directions), beyond (the share of random directions along which the component adds less, in absolute value).
        The value is along the unit direction, in units of activations, or in logits. All components of a text and run
        add up to its total; "rounding" is the error of adding them in low precision.

    Raises:
        WorkbenchError: a direction that is not in the residual stream or not of this model, a Steer that does not fit, heads under an
            edit between them and the stream; before any compute. Also a text for which the model returns NaN.

    >>> d = wb.extract(model, tiny_pairs, at=wb.resid_post(1))
    >>> parts = attribute(model, tiny_pairs.positive, d, heads=True, random=3)
    >>> one = parts[parts["prompt"] == "custom.positive-1"].set_index("component")["value"]
    >>> list(one.index[:2]), bool(abs(one.drop("total").sum() - one["total"]) < 1e-9)
    (['embed', 'L0H0'], True)
    """
    import pandas as pd

    check_model(model)
    check_sizes(batch_size=batch_size)
    if not isinstance(random, int) or isinstance(random, bool) or not 0 <= random <= 10_000:
        raise WorkbenchError(f"random={random!r:.60}: expected a whole number from 0 to 10,000")
    check_flag(heads, "heads")
    positions = as_positions(on)
    chats = Chats.of(model, prompts, steer)
    encoded, site = chats.encoded, Site(model.n_layers - 1, "resid_post")
    if d is None:
        bare = not isinstance(prompts, Completions) and all(
            a == b for a, b in zip(encoded.prompt_lengths, encoded.lengths, strict=True)
        )
        encoded = model.at_answer(encoded) if bare else encoded
        vector = opening_vector(model, answers).cpu()
        shown = Direction(vector.float(), site, model.name)
        basis = torch.stack([vector, *(_noise(shown, seed) * vector.norm() for seed in range(random))])
    else:
        site = _stream_site(d, model)
        basis = torch.stack([d.vector.double() / d.norm, *(_noise(d, seed) for seed in range(random))])
    check_all(chats.steers, model)
    for length, whole in set(zip(encoded.prompt_lengths, encoded.lengths, strict=True)):
        positions.check_prompt_length(length)
        if not positions.mask(length, whole).any():
            raise WorkbenchError(
                f"on={on} means no token of a prompt of {length} tokens and a response of {whole - length}; try wb.PROMPT[-1]"
            )
    steered = any(steer.effective for steer in chats.steers)
    _check_heads(chats.steers, heads, site)
    runs = {"base": [Steer()] * len(chats), **({"steered": list(chats.steers)} if steered else {})}
    values = {
        name: _decomposed(model, encoded, steers, basis, site, positions, heads, d is None, batch_size, name)
        for name, steers in runs.items()
    }
    for name, parts in values.items():
        refuse_nan(model, parts[_TOTAL][:, 0].tolist(), runs[name], chats.ids)
    if steered:
        order = list(dict.fromkeys([*values["base"], *values["steered"]]))
        nothing = torch.zeros(len(chats), len(basis), dtype=torch.float64)
        values["difference"] = {c: values["steered"].get(c, nothing) - values["base"].get(c, nothing) for c in order}
    return pd.DataFrame(
        [line for name, parts in values.items() for line in _lines(chats.ids, name, parts)], columns=list(COLUMNS)
    )


def _lines(ids: Sequence[str], name: str, parts: dict[Component, Tensor]) -> list[tuple]:
    lines = []
    columns = {}
    for component, value in parts.items():
        own, others = value[:, 0].numpy(), value[:, 1:].numpy()
        several = others.shape[1] > 1
        columns[component] = (
            own,
            others.mean(1) if others.size else np.full(len(own), np.nan),
            others.std(1, ddof=1) if several else np.full(len(own), np.nan),
            (np.abs(others) < np.abs(own)[:, None]).mean(1) if others.size else np.full(len(own), np.nan),
        )
    for row, prompt in enumerate(ids):
        for c, numbers in columns.items():
            lines.append((prompt, name, c.name, c.kind, c.layer, c.head, *(float(n[row]) for n in numbers)))
    return lines


def _noise(d: Direction, seed: int) -> Tensor:
    control = d.random(seed)
    return control.vector.double() / control.norm


def _stream_site(d: object, model: Model) -> Site:
    if not isinstance(d, Direction):
        raise WorkbenchError(f"attribute() expected a Direction, or None for the openings of refusals, not {d!r:.60}")
    check_direction(d, d.site, model)
    if d.site.kind not in STREAM:
        raise WorkbenchError(
            f"the direction is at {d.site!r}, to which no other component adds; take one in the residual stream, e.g. "
            f"wb.resid_post({d.site.layer})"
        )
    return d.site


def _check_heads(steers: Sequence[Steer], heads: bool, site: Site) -> None:
    between = [e.site for s in steers for e in s.effective if e.site.kind == "attn_raw" and e.site.order <= site.order]
    if heads and between:
        raise WorkbenchError(
            f"a Steer edits {between[0]!r}, which lies between the heads and the stream; attribute without heads=True"
        )


def _decomposed(
    model: Model,
    chats: Encoded,
    steers: Sequence[Steer],
    basis: Tensor,
    site: Site,
    on: Positions,
    heads: bool,
    logits: bool,
    batch_size: int,
    label: str,
) -> dict[Component, Tensor]:
    """Of each component the projections of every chat, [chat, direction], float64; their sum is that of "total"."""
    whole: dict[Component, Tensor] = {}
    order = np.argsort(chats.lengths, kind="stable").tolist()
    batches = [order[i : i + batch_size] for i in range(0, len(order), batch_size)]
    norm = Readout.of(model).norm if logits else None
    for batch in Bar(batches, desc=label, unit="batch", leave=False, disable=len(batches) < 4):
        taken = chats.take(batch)
        mask, parts = _batch(model, taken, [steers[i] for i in batch], basis, site, on, heads)
        scale = None
        if norm is not None:
            assert parts.end is not None
            scale = norm_scale(norm, parts.end).cpu()[:, None]
        weight = torch.from_numpy(mask / mask.sum(1, keepdims=True))[parts.rows, parts.columns][:, None]
        for component, value in parts.found.items():
            scaled = value * weight if scale is None else value * scale * weight
            mean = torch.zeros(len(batch), len(basis), dtype=torch.float64).index_add_(0, parts.rows, scaled)
            whole.setdefault(component, torch.zeros(len(chats), len(basis), dtype=torch.float64))[batch] = mean
    return whole


@torch.no_grad()
def _batch(
    model: Model, chats: Encoded, steers: Sequence[Steer], basis: Tensor, site: Site, on: Positions, heads: bool
) -> tuple[np.ndarray, _Parts]:
    lengths, prompts = chats.lengths, chats.prompt_lengths
    ids, mask = chats.padded(device=model.device)
    width = max(prompts)
    chosen = np.zeros(tuple(ids.shape))
    for i, (prompt, length) in enumerate(zip(prompts, lengths, strict=True)):
        chosen[i, width - prompt : width - prompt + length] = on.mask(prompt, length)
    rows, columns = torch.from_numpy(chosen).nonzero(as_tuple=True)
    config = model.hf.config.get_text_config()
    parts = _Parts(basis, rows, columns, config.num_attention_heads if heads else 0)
    applied = _Watched(steers, prompts, width, ids.shape[1] - width, model)
    applied.parts = parts
    with alone(model), ExitStack() as hooks:
        hooks.enter_context(applied.hooked(model))
        for place in _places(site, heads):
            hooks.enter_context(reading(model.hf, place, partial(_see, model, parts, site, place)))
        model.hf(
            input_ids=ids,
            attention_mask=mask,
            position_ids=chats.positions(mask),
            use_cache=False,
            logits_to_keep=1,
        )
    for edited, value in parts.edits.items():
        if edited.order <= site.order:
            parts.found[Component(f"edit {edited}", "edit", edited.layer)] = parts.along(value)
    total = parts.found.pop(_TOTAL)
    parts.found[_ROUNDING] = total - sum(parts.found.values())
    parts.found[_TOTAL] = total
    return chosen, parts


_TOTAL, _ROUNDING = Component("total", "total"), Component("rounding", "rounding")


def _places(site: Site, heads: bool) -> list[Site]:
    """Where the stream is read for a direction at a site: the embedding, what each layer adds before it, and the site."""
    found = [Site(0, "resid_pre")]
    for layer in range(site.layer + 1):
        for kind in (*(("z", "attn_raw") if heads else ()), "attn_out", "mlp_out"):
            place = Site(layer, kind)
            if place.order < site.order:
                found.append(place)
    return [*found, *([site] if site not in found else [])]


def _see(model: Model, parts: _Parts, site: Site, place: Site, x: Tensor) -> None:
    if place == Site(0, "resid_pre"):
        parts.found[Component("embed", "embed")] = parts.along(parts.unedited(x, place))
    if place == site:
        parts.end = parts.chosen(x)
        parts.found[_TOTAL] = parts.along(parts.end.double())
        return
    layer, kind = place.layer, place.kind
    if kind == "z":
        parts.z[layer] = parts.chosen(x).double()
    elif kind == "attn_raw" and _sandwich(model, layer):
        parts.raw[layer] = parts.chosen(x).double()
    elif kind == "attn_out":
        out = parts.unedited(x, place, Site(layer, "resid_mid"))
        if parts.heads:
            _split(model, parts, layer, out)
        else:
            parts.found[Component(f"{layer}_attn_out", "attn", layer)] = parts.along(out)
    elif kind == "mlp_out":
        parts.found[Component(f"{layer}_mlp_out", "mlp", layer)] = parts.along(parts.unedited(x, place))


def _sandwich(model: Model, layer: int) -> bool:
    return hasattr(blocks(model.hf)[layer], "pre_feedforward_layernorm")


def _split(model: Model, parts: _Parts, layer: int, out: Tensor) -> None:
    """What each head of a layer adds: its share of the input of the output projection, through the projection."""
    projection = blocks(model.hf)[layer].self_attn.o_proj
    weight, z = projection.weight.double(), parts.z.pop(layer)
    width = z.shape[1] // parts.heads
    basis = parts.basis.to(z.device)
    bias = None if projection.bias is None else projection.bias.double()
    raw = parts.raw.pop(layer, None)
    if raw is None:
        through = (basis @ weight).reshape(len(basis), parts.heads, width)
        values = torch.einsum("thw,khw->htk", z.reshape(len(z), parts.heads, width), through)
        constant = None if bias is None else (basis @ bias).expand(len(z), -1)
    else:  # the norm behind the heads multiplied each dimension of this token by a factor of its own
        factor = torch.where(raw == 0, 0.0, out / raw)
        values = torch.stack(
            [
                (z[:, h * width : (h + 1) * width] @ weight[:, h * width : (h + 1) * width].T * factor) @ basis.T
                for h in range(parts.heads)
            ]
        )
        constant = None if bias is None else (factor * bias) @ basis.T
    for head, value in enumerate(values):
        parts.found[Component(f"L{layer}H{head}", "head", layer, head)] = value.cpu()
    if constant is not None:
        parts.found[Component(f"{layer}_attn_bias", "bias", layer)] = constant.cpu()
