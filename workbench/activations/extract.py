"""Contrast sets in, directions out. How is a method's business, a plain function of two arrays (see ``methods``).

Massive dimensions: a few coordinates of the residual stream that are far larger than all others, in every text.

They carry no meaning of a text (Sun et al. 2024, "Massive activations in large language models"), but they dominate norms,
dot products and cosines, and low-precision sums: log 002's mean differences at chance were owed to them.

Directions from permuted labels: what extraction finds in the same prompts when the two sides mean nothing.

One pass over the prompts serves every permutation: only the sum of each permuted positive side is kept.
"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
import torch

from workbench._errors import Bar, WorkbenchError
from workbench.activations.collect import (
    Means,
    Places,
    Rows,
    Window,
    averaged,
    gathered,
    means,
    prompts_hash,
    reads_response,
    sites_of,
    stream,
    texts_of,
)
from workbench.activations.methods import METHODS, Method, mean_diff
from workbench.models.model import Encoded, Model
from workbench.models.prompts import Pairs, Prompt, Prompts
from workbench.steering.directions import Direction, Directions
from workbench.steering.positions import PROMPT, Positions, as_positions
from workbench.steering.sites import EveryLayer, Site, SiteKind, as_site

if TYPE_CHECKING:
    import pandas as pd


Sides = tuple[Means | Rows, Means | Rows]


def extract(
    model: Model,
    pairs: Pairs,
    at: Site | EveryLayer | str,
    read: Positions | str = PROMPT[-1],
    method: str | Method = "mean_diff",
    batch_size: int = 32,
    *,
    clean: bool = False,
    store: str | Path | None = None,
) -> Direction | Directions:
    """The direction from the negative to the positive set, at one site or at every layer in one pass.

    Args:
        pairs: a contrast set; for a bundled one take its ``train`` split.
        at: a Site, e.g. ``wb.resid_post(12)``, or all layers, e.g. ``wb.resid_post.all``.
        read: positions; the mean over them is one observation per prompt. ``"response[:5]"`` reads the first five tokens of
            each prompt's answer (``prompts.answered(texts)``).
        method: a name in ``METHODS``, or a function of the activations of both sides, [n, width] and [m, width], float64,
            that returns a vector [width] along which the positive side projects higher.
        batch_size: prompts per forward pass. Memory grows with their number only for methods other than "mean_diff".
        clean: leave out massive dimensions, found in the mean of these prompts: 0 in what a method sees and in the vector.
            The Direction's method says which, e.g. ``probe cleaned(138)``.
        store: folder of a store that keeps activations, so that the next extraction reads no model; e.g. ``"runs/store"``.

    Returns:
        A Direction for a Site, Directions for all layers; norms in the units of the method.

    Raises:
        WorkbenchError: unknown method, no such layer or positions, a whole bundled set, or a method that returns no vector.

    >>> extract(model, wb.pairs("refusal").train, at=wb.resid_post(12), method="probe")  # doctest: +SKIP
    """
    name, function = _named(method)
    _check(pairs, at)
    sites, positions = sites_of(model, at), as_positions(read)
    sides = _observed(model, pairs, sites, positions, function, batch_size, store)
    quick = function is mean_diff or len(sites) < 4
    made = {site: _made(name, function, *sides[site], clean) for site in Bar(sites, name, leave=False, disable=quick)}
    directions = _directions(model, pairs, positions, sides, made)
    return Directions(directions) if isinstance(at, EveryLayer) else directions[0]


def _observed(
    model: Model,
    pairs: Pairs,
    sites: Sequence[Site],
    read: Positions,
    function: Method,
    batch_size: int,
    store: str | Path | None,
) -> dict[Site, Sides]:
    """What is known of both sides at each site: their means for a mean difference, else one row per text."""
    texts = [texts_of(model, side, read) for side in (pairs.positive, pairs.negative)]
    collect: Callable[..., Mapping[Site, Means | Rows]] = averaged if function is mean_diff else gathered
    positive, negative = (
        collect(model, side, sites, read, batch_size, store, label)
        for side, label in zip(texts, ("positive", "negative"), strict=True)
    )
    return {site: (positive[site], negative[site]) for site in sites}


def _made(
    name: str, function: Method, positive: Means | Rows, negative: Means | Rows, clean: bool
) -> tuple[torch.Tensor, str]:
    """The vector of a site, [width], and what the Direction says of its method."""
    if not clean:
        return _vector(name, function, positive, negative), name
    n, m = positive.n, negative.n
    dimensions = massive((positive.mean * n + negative.mean * m) / (n + m))
    kept = torch.ones(len(positive.mean), dtype=torch.float64)
    kept[list(dimensions)] = 0
    vector = _vector(name, function, _cleaned(positive, kept), _cleaned(negative, kept)) * kept
    return vector, f"{name} cleaned({', '.join(map(str, dimensions))})"


def _cleaned(side: Means | Rows, kept: torch.Tensor) -> Means | Rows:
    if isinstance(side, Means):
        return replace(side, mean=side.mean * kept)
    return replace(side, values=side.values * kept.to(side.values.dtype))


def _vector(name: str, function: Method, positive: Means | Rows, negative: Means | Rows) -> torch.Tensor:
    if isinstance(positive, Means) or isinstance(negative, Means):
        return positive.mean - negative.mean
    found = (
        torch.as_tensor(function(positive.values.double(), negative.values.double())).detach().to("cpu", torch.float64)
    )
    if found.shape != positive.mean.shape:
        raise WorkbenchError(
            f"method {name} returned shape {tuple(found.shape)}; expected a vector {tuple(positive.mean.shape)}"
        )
    return found


def _directions(
    model: Model,
    pairs: Pairs,
    read: Positions,
    sides: Mapping[Site, Sides],
    made: Mapping[Site, tuple[torch.Tensor, str]],
) -> tuple[Direction, ...]:
    """Vectors with their provenance."""
    content = prompts_hash(pairs, reads_response(read))
    found = []
    for site, (vector, how) in made.items():
        positive, negative = sides[site]
        n, m = positive.n, negative.n
        norm = (positive.norm * n + negative.norm * m) / (n + m)
        found.append(Direction(vector, site, model.name, model.revision, how, read, content, n, m, norm))
    return tuple(found)


def _named(method: str | Method) -> tuple[str, Method]:
    """A method and what a Direction calls it: its name, with the arguments a ``functools.partial`` fixes."""
    if isinstance(method, str):
        if method not in METHODS:
            raise WorkbenchError(f"unknown method {method!r}; there are {', '.join(METHODS)}, or give a function")
        return method, METHODS[method]
    if not callable(method):
        raise WorkbenchError(f"method={method!r}: expected one of {', '.join(METHODS)}, or a function of two arrays")
    if isinstance(method, partial):
        fixed = ", ".join([*map(repr, method.args), *(f"{key}={value!r}" for key, value in method.keywords.items())])
        return f"{_named(method.func)[0]}({fixed})", method
    return getattr(method, "__name__", type(method).__name__), method


def _check(pairs: Pairs, at: Site | EveryLayer | str) -> None:
    if not isinstance(at, EveryLayer | SiteKind):
        as_site(at)
    if len(pairs.positive.splits) > 1:
        raise WorkbenchError(
            f"{pairs.name} holds the splits {', '.join(pairs.positive.splits)}: extract from one of them, "
            "e.g. its .train, so that others stay held out"
        )


#: How many times the median |mean| of all dimensions a massive one reaches. Among a thousand Gaussian dimensions the
#: largest reaches 5. Sun et al. ask for 1000 times the median at a single token, where it is an attention sink; a mean over
#: texts at other tokens is smaller.
TIMES = 20.0


def massive(mean: torch.Tensor, times: float = TIMES) -> tuple[int, ...]:
    """The dimensions whose |mean activation| is at least ``times`` the median over all dimensions.

    Args:
        mean: [width], the mean activation over texts.

    >>> massive(torch.tensor([1.0, -1.0, 0.5, 300.0, -0.8]))
    (3,)
    """
    size = mean.double().abs()
    return tuple((size >= times * size.median().clamp(min=1e-300)).nonzero().flatten().tolist())


def massive_dimensions(
    model: Model,
    prompts: Sequence[str | Prompt] | Prompts,
    at: Places,
    read: Positions | str = PROMPT[-1],
    times: float = TIMES,
    batch_size: int = 32,
    store: str | Path | None = None,
) -> "pd.DataFrame":
    """The massive dimensions at each site: what ``extract(..., clean=True)`` would leave out.

    Args:
        model, at, read, batch_size, store: as for ``gather``.
        prompts: any texts, e.g. both sides of a contrast set; what is massive is so in all of them.
        times: how many times the median a dimension has to reach.

    Returns:
        A DataFrame, one row per site and dimension: site, layer, dimension, mean, times (the median).

    >>> massive_dimensions(model, wb.pairs("refusal").train.negative, at=wb.resid_post.all)  # doctest: +SKIP
    """
    import pandas as pd

    positions = as_positions(read)
    found = averaged(model, texts_of(model, prompts, positions), sites_of(model, at), positions, batch_size, store)
    lines = []
    for site, mean in found.items():
        median = float(mean.mean.abs().median())
        for dimension in massive(mean.mean, times):
            value = float(mean.mean[dimension])
            lines.append((str(site), site.layer, dimension, value, abs(value) / median if median else float("inf")))
    return pd.DataFrame(lines, columns=["site", "layer", "dimension", "mean", "times"])


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
    model: Model, texts: Encoded, sites: Sequence[Site], read: Positions, labels: torch.Tensor, batch_size: int
) -> dict[Site, torch.Tensor]:
    """Per site the sum of the positive side under each labelling, [labelling, width], float64."""
    totals: dict[Site, torch.Tensor] = {}

    def see(site: Site, x: torch.Tensor, window: Window) -> None:
        total = (labels[:, list(window.rows)].double().to(x.device) @ window.observed(x)).cpu()
        totals[site] = totals[site] + total if site in totals else total

    stream(model, texts, sites, read, see, batch_size, "permutations")
    return totals
