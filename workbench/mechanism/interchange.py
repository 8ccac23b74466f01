"""Is it this one coordinate? One prompt's coordinate along a direction is set to that of the prompt it belongs with.

The arithmetic of an interchange, its norm-matched placebo, random and mean-difference bases are those of
``transformer_lens.tools.analysis.interchange`` (Geiger et al. 2021; Wu et al. 2023; Makelov et al. 2023 on why a placebo is needed).
What runs is ours: chats of unequal length, tokens by what they are, all layers and bases as rows of the same batches.
"""

from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING

import numpy as np
import torch
from torch import Tensor

from workbench._errors import WorkbenchError, unknown
from workbench.generation.steer_hooks import check_direction, check_model, check_sizes
from workbench.mechanism.passes import Metric, Row, Seen, Write, run, see
from workbench.mechanism.patch import WAYS, Side, two_runs, two_sides
from workbench.mechanism.token_alignment import Aligned
from workbench.models.model import Model
from workbench.models.prompts import Pairs, Prompt, Prompts
from workbench.statistics import inputs
from workbench.steering.directions import Direction, Directions
from workbench.steering.positions import PROMPT, Positions, as_positions
from workbench.steering.sites import Site
from workbench.steering.steer import Steer

if TYPE_CHECKING:
    import pandas as pd

COLUMNS = ("set", "pair", "way", "layer", "basis", "seed", "token", "base", "source", "value", "effect", "moved")

Swap = Callable[[Tensor, Tensor], Tensor]


def interchange(
    model: Model,
    pairs: Pairs | Prompts | Sequence[str | Prompt],
    d: Direction | Directions | Sequence[Direction],
    metric: Direction | str | Callable = "refusal",
    on: Positions | str = PROMPT[-1],
    *,
    random: int = 10,
    source: Steer | Model | None = None,
    control: Pairs | None = None,
    ways: Sequence[str] = WAYS,
    batch_size: int = 128,
) -> "pd.DataFrame":
    """Set one prompt's coordinate along a direction to that of another prompt, and compare with controls.

    Args:
        model: its plain module runs.
        pairs: a contrast set whose prompts belong together, by ``base`` or by order; with ``source=``, prompts. Do
            not use the prompts that the direction was made from.
        d: a Direction; Directions, each at its layer; or a list of Directions at one site, whose span is interchanged.
        metric, on, source, control, ways, batch_size: as for ``patch``.
        random: seeds of each control basis; 0 leaves them out.

    Returns:
        A DataFrame, one row per set, pair, way, layer, basis and seed. Bases: "direction"; "rest" (everything but the
        direction); "whole" (the whole activation, which is an upper bound); "placebo" (an equally long displacement
        within a random subspace); "random" (a random subspace of the same rank); "shuffled" (the mean differences of
        these activations under shuffled labels, of the same rank). base, source, value, effect as in ``patch``;
        moved: how far the activation was moved, L2, mean over tokens. ``patch_effects`` averages the rows.

    Raises:
        WorkbenchError: directions of several sites in a list, or as ``patch``; before any compute.

    >>> d = wb.extract(model, tiny_pairs, at=wb.resid_post(1))
    >>> rows = interchange(model, tiny_pairs, d, metric=d, random=2)
    >>> means = wb.patch_effects(rows).set_index(["way", "basis"])["share"]
    >>> round(float(means["denoise", "direction"]), 5), round(float(means["denoise", "rest"]), 5)
    (1.0, 0.0)
    """
    import pandas as pd

    check_model(model)
    check_sizes(batch_size=batch_size)
    inputs.whole(random, 0, "random")
    for way in ways:
        if way not in WAYS:
            raise unknown("way", way, WAYS)
    bases = _bases(model, d)
    number, positions = Metric.given(model, metric), as_positions(on)
    if late := [site for site in bases if number.site is not None and site.order > number.site.order]:
        raise WorkbenchError(
            f"{late[0]!r} comes after {number.site!r}, where the metric is read; nothing could change there"
        )
    matches = {"pairs": two_runs(model, pairs, source, positions, number.site is None)}
    if control is not None:
        matches["control"] = two_runs(model, control, source, positions, number.site is None)
    lines: list[tuple] = []
    for name, match in matches.items():
        sides = two_sides(model, match, source)
        lines += _interchanged(name, match, sides, bases, number, random, ways, batch_size)
    return pd.DataFrame(lines, columns=list(COLUMNS))


def _bases(model: Model, d: object) -> dict[Site, Tensor]:
    """An orthonormal basis per site, [width, rank], float64."""
    if isinstance(d, Direction):
        groups = [(d,)]
    elif isinstance(d, Directions):
        groups = [(one,) for one in d]
    else:
        given = tuple(d) if isinstance(d, Sequence) else ()
        if not given or not all(isinstance(one, Direction) for one in given) or len({one.site for one in given}) > 1:
            raise WorkbenchError(
                f"d={d!r:.60}: expected a Direction, Directions (one per layer), or a list of Directions at one site"
            )
        groups = [given]
    found = {}
    for group in groups:
        for one in group:
            check_direction(one, one.site, model)
        stacked = torch.stack([one.vector.double() / one.norm for one in group], dim=1)
        basis, size = torch.linalg.qr(stacked)
        if float(size.diagonal().abs().min()) < 1e-6:
            raise WorkbenchError(
                f"the directions at {group[0].site!r} do not span {len(group)} dimensions; leave one out"
            )
        found[group[0].site] = basis
    return found


def _interchanged(
    name: str,
    match: Aligned,
    sides: tuple[Side, Side],
    bases: dict[Site, Tensor],
    metric: Metric,
    random: int,
    ways: Sequence[str],
    batch_size: int,
) -> list[tuple]:
    shown = [
        see(one.model, one.chats, one.steer, tuple(bases), one.tokens, metric, label=f"{name}: activations")
        for one in sides
    ]
    swaps = {site: _swaps(basis, site, shown, random) for site, basis in bases.items()}
    lines: list[tuple] = []
    for way in ways:
        a, b = (0, 1) if way == "denoise" else (1, 0)
        source, target, side = shown[a], shown[b], sides[b]
        rows, told = [], []
        for site, kinds in swaps.items():
            for basis, seed, swap in kinds:
                for pair in range(len(match)):
                    mine, other = (seen.activations[site][pair] for seen in (target, source))
                    values = swap(mine.double().cpu(), other.double().cpu())
                    moved = float((values - mine.double().cpu()).norm(dim=-1).mean())
                    rows.append(Row(pair, side.steer, (Write(site, side.tokens[pair], values.to(mine)),)))
                    told.append((site, basis, seed, pair, moved))
        done = run(side.model, side.chats, rows, metric, batch_size, f"{name}: {way}")
        for (site, basis, seed, pair, moved), value in zip(told, done, strict=True):
            base = target.metric[pair]
            ends = (base, source.metric[pair], value, value - base, moved)
            lines.append((name, match.names[pair], way, site.layer, basis, seed, match.labels[0], *ends))
    return lines


def _swaps(basis: Tensor, site: Site, shown: Sequence[Seen], random: int) -> list[tuple[str, int, Swap]]:
    """What is put into a target at one site: by basis, and seed (-1 where there is but one)."""
    from transformer_lens.tools.analysis import interchange as tl

    width, rank = basis.shape
    own = tl.SubspaceInterchange(basis)
    found: list[tuple[str, int, Swap]] = [
        ("direction", -1, own),
        ("rest", -1, lambda mine, other: other - own(mine, other) + mine),
        ("whole", -1, lambda mine, other: other),
    ]
    sides = [torch.stack([x.double().cpu().mean(0) for x in seen.activations[site]]) for seen in shown]
    both = torch.cat(sides).unique(dim=0)  # a prompt that is in both sides, as in a control, counts once
    for seed in range(random):
        free = tl.random_basis(width, rank, seed).double()
        found.append(("placebo", seed, tl.NormMatchedPlacebo(own, free)))
        found.append(("random", seed, tl.SubspaceInterchange(free)))
        labels = np.random.default_rng(seed).permutation(np.arange(len(both)) % (rank + 1))
        if len(both) > rank + 1:
            found.append(
                ("shuffled", seed, tl.SubspaceInterchange(tl.mean_difference_basis(both, labels.tolist()).double()))
            )
    return found
