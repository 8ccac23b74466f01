"""Directions from permuted labels: what extraction finds in the same prompts when the two sides mean nothing.

One pass over the prompts serves every permutation: only the sum of each permuted positive side is kept.
"""

from collections.abc import Sequence
from contextlib import ExitStack
from functools import partial

import numpy as np
import torch

from workbench.activations import means
from workbench.direction_sets import Directions
from workbench.directions import Direction
from workbench.errors import WorkbenchError
from workbench.extraction import prompts_hash
from workbench.layout import reading
from workbench.models import Encoded, Model
from workbench.positions import PROMPT, Positions, as_positions
from workbench.prompt_sets import Pairs, Prompts
from workbench.sites import EveryLayer, Site, as_site


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
    sites = at.sites(model.n_layers) if isinstance(at, EveryLayer) else (as_site(at),)
    positions = as_positions(read)
    n, rest = len(pairs.positive), len(pairs.negative)
    encoded = model.encode(Prompts(pairs.name, (*pairs.positive.items, *pairs.negative.items)))
    overall = means(model, encoded, sites, positions, batch_size, "shuffled labels")
    labels = np.stack([np.random.default_rng(seed).permutation(n + rest) < n for seed in seeds])
    sums = _sums(model, encoded, sites, positions, torch.from_numpy(labels), batch_size)

    def direction(index: int, site: Site) -> Direction:
        positive = sums[site][index] / n
        negative = (overall[site].mean * (n + rest) - sums[site][index]) / rest
        method, norm = f"shuffled(seed={seeds[index]})", overall[site].norm
        return Direction(
            positive - negative, site, model.name, model.revision, method, positions, prompts_hash(pairs), n, rest, norm
        )

    return tuple(Directions(tuple(direction(i, site) for site in sites)) for i in range(len(seeds)))


def _sums(
    model: Model, encoded: Encoded, sites: Sequence[Site], read: Positions, labels: torch.Tensor, batch_size: int
) -> dict[Site, torch.Tensor]:
    """Per site the sum of the positive side under each labelling, [labelling, width], float64."""
    totals: dict[Site, torch.Tensor] = {}
    order = np.argsort(encoded.lengths, kind="stable")
    for start in range(0, len(order), batch_size):
        rows = order[start : start + batch_size].tolist()
        ids, mask = encoded.tensors(rows, model.device)
        weights = torch.zeros(ids.shape, dtype=torch.float64)
        for i, row in enumerate(rows):
            chosen = torch.from_numpy(read.mask(encoded.lengths[row], encoded.lengths[row]))
            weights[i, ids.shape[1] - len(chosen) :] = chosen / chosen.sum()
        chosen = labels[:, rows].double()

        def see(site: Site, x: torch.Tensor, weights: torch.Tensor = weights, chosen: torch.Tensor = chosen) -> None:
            observed = torch.einsum("bp,bpw->bw", weights.to(x.device), x.double())
            total = (chosen.to(x.device) @ observed).cpu()
            totals[site] = totals[site] + total if site in totals else total

        with ExitStack() as hooks, torch.no_grad():
            for site in sites:
                hooks.enter_context(reading(model.hf, site, partial(see, site)))
            places = (mask.cumsum(-1) - 1).clamp(min=0)
            model.hf(input_ids=ids, attention_mask=mask, position_ids=places, use_cache=False, logits_to_keep=1)
    return totals
