"""Contrast sets in, directions out. A method is a plain function of two class means; adding one's own is one function."""

import hashlib
from collections.abc import Callable

import torch

from workbench.activations import Means, means
from workbench.direction_sets import Directions
from workbench.directions import Direction
from workbench.errors import WorkbenchError
from workbench.models import Model
from workbench.positions import PROMPT, Positions, as_positions
from workbench.prompt_sets import Pairs
from workbench.sites import EveryLayer, Site, SiteKind, as_site


def mean_diff(positive: Means, negative: Means) -> torch.Tensor:
    """Mean of the positive set minus mean of the negative set, [width], float64 (Belrose 2023; Arditi et al. 2024)."""
    return positive.mean - negative.mean


METHODS: dict[str, Callable[[Means, Means], torch.Tensor]] = {"mean_diff": mean_diff}


def extract(
    model: Model,
    pairs: Pairs,
    at: Site | EveryLayer | str,
    read: Positions | str = PROMPT[-1],
    method: str = "mean_diff",
    batch_size: int = 32,
) -> Direction | Directions:
    """The direction from the negative to the positive set, at one site or at every layer in one pass.

    Args:
        model: the model.
        pairs: a contrast set; for a bundled one take its ``train`` split.
        at: a Site, e.g. ``wb.resid_post(12)``, or all layers, e.g. ``wb.resid_post.all``.
        read: prompt positions to read; the mean over them counts as one observation per prompt.
        method: a name in ``METHODS``.
        batch_size: prompts per forward pass.

    Returns:
        A Direction for a Site, Directions for all layers; norms in units of the activations.

    Raises:
        WorkbenchError: unknown method, a layer the model does not have, or a whole bundled set where a split is needed.

    >>> extract(model, wb.pairs("refusal").train, at=wb.resid_post(12))  # doctest: +SKIP
    """
    if method not in METHODS:
        raise WorkbenchError(f"unknown method {method!r}; there are {', '.join(METHODS)}")
    if isinstance(at, SiteKind):
        raise WorkbenchError(f"at={at!r} names no layer: try wb.{at!r}({model.n_layers // 2}) or wb.{at!r}.all")
    if len(pairs.positive.splits) > 1:
        raise WorkbenchError(
            f"{pairs.name} holds the splits {', '.join(pairs.positive.splits)}: extract from one of them, "
            "e.g. its .train, so that others stay held out"
        )
    sites = at.sites(model.n_layers) if isinstance(at, EveryLayer) else (as_site(at),)
    positions = as_positions(read)
    sides = [model.encode(side) for side in (pairs.positive, pairs.negative)]
    positive, negative = (
        means(model, side, sites, positions, batch_size, label)
        for side, label in zip(sides, ("positive", "negative"), strict=True)
    )
    directions = [
        Direction(
            METHODS[method](positive[site], negative[site]),
            site,
            model.name,
            model.revision,
            method,
            positions,
            prompts_hash(pairs),
            len(pairs.positive),
            len(pairs.negative),
            (positive[site].norm * positive[site].n + negative[site].norm * negative[site].n)
            / (positive[site].n + negative[site].n),
        )
        for site in sites
    ]
    return Directions(tuple(directions)) if isinstance(at, EveryLayer) else directions[0]


def prompts_hash(pairs: Pairs) -> str:
    """A short hash of the texts of both sides, with the system prompts where there are any."""
    digest = hashlib.sha256()
    for side in (pairs.positive, pairs.negative):
        digest.update(repr(side.texts).encode())
        if any(prompt.system for prompt in side):
            digest.update(repr([prompt.system for prompt in side]).encode())
    return digest.hexdigest()[:16]
