"""Directions from permuted labels: what extraction finds in the same prompts when the two sides mean nothing.

One pass over the prompts serves every permutation: only the sum of each permuted positive side is kept.
"""

from collections.abc import Sequence

import numpy as np
import torch

from workbench.activations import Texts, Window, means, stream
from workbench.direction_sets import Directions
from workbench.directions import Direction
from workbench.errors import WorkbenchError
from workbench.gathering import prompts_hash, reads_response, sites_of, texts_of
from workbench.models import Model
from workbench.positions import PROMPT, Positions, as_positions
from workbench.prompt_sets import Pairs, Prompts
from workbench.sites import EveryLayer, Site


def shuffled(
    model: Model,
    pairs: Pairs,
    at: Site | EveryLayer | str,
    read: Positions | str = PROMPT[-1],
    seeds: Sequence[int] = (0,),
    batch_size: int = 32,
) -> tuple[Directions, ...]:
    """Mean differences between two sides of the same sizes, drawn at random from all prompts: a control for ``grid``.

    Args:
        model, pairs, at, read, batch_size: as for ``extract``.
        seeds: one permutation of the labels each; two passes over the prompts however many there are.

    Returns:
        Directions per seed, in order; their method says ``shuffled(seed=…)``. Norms are those of the differences found:
        ``grid`` scales them to the norm of the direction they stand beside.

    Raises:
        WorkbenchError: no seeds, a layer the model does not have, or positions a prompt does not have.

    >>> grid(ds, ratios=[0.3], shuffled=shuffled(model, train, at=wb.resid_post.all, seeds=range(5)))  # doctest: +SKIP
    """
    if not seeds:
        raise WorkbenchError("shuffled() needs at least one seed, e.g. seeds=range(5)")
    sites, positions = sites_of(model, at), as_positions(read)
    n, rest = len(pairs.positive), len(pairs.negative)
    texts = texts_of(model, Prompts(pairs.name, (*pairs.positive.items, *pairs.negative.items)), positions)
    overall = means(model, texts, sites, positions, batch_size, "shuffled labels")
    labels = np.stack([np.random.default_rng(seed).permutation(n + rest) < n for seed in seeds])
    sums = _sums(model, texts, sites, positions, torch.from_numpy(labels), batch_size)

    content = prompts_hash(pairs, reads_response(positions))

    def direction(index: int, site: Site) -> Direction:
        positive = sums[site][index] / n
        negative = (overall[site].mean * (n + rest) - sums[site][index]) / rest
        method, norm = f"shuffled(seed={seeds[index]})", overall[site].norm
        return Direction(
            positive - negative, site, model.name, model.revision, method, positions, content, n, rest, norm
        )

    return tuple(Directions(tuple(direction(i, site) for site in sites)) for i in range(len(seeds)))


def _sums(
    model: Model, texts: Texts, sites: Sequence[Site], read: Positions, labels: torch.Tensor, batch_size: int
) -> dict[Site, torch.Tensor]:
    """Per site the sum of the positive side under each labelling, [labelling, width], float64."""
    totals: dict[Site, torch.Tensor] = {}

    def see(site: Site, x: torch.Tensor, window: Window) -> None:
        total = (labels[:, list(window.rows)].double().to(x.device) @ window.observed(x)).cpu()
        totals[site] = totals[site] + total if site in totals else total

    stream(model, texts, sites, read, see, batch_size, "permutations")
    return totals
