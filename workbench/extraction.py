"""Contrast sets in, directions out. How is a method's business, a plain function of two arrays (see ``methods``)."""

from collections.abc import Callable
from functools import partial
from pathlib import Path

import torch
from tqdm.auto import tqdm

from workbench.activations import Means
from workbench.direction_sets import Directions
from workbench.directions import Direction
from workbench.errors import WorkbenchError
from workbench.gathering import Rows, averaged, gathered, prompts_hash, reads_response, sites_of, texts_of
from workbench.massive import massive
from workbench.methods import METHODS, Method, mean_diff
from workbench.models import Model
from workbench.positions import PROMPT, Positions, as_positions
from workbench.prompt_sets import Pairs
from workbench.sites import EveryLayer, Site, SiteKind, as_site

__all__ = ["METHODS", "extract"]


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
        model: the model.
        pairs: a contrast set; for a bundled one take its ``train`` split.
        at: a Site, e.g. ``wb.resid_post(12)``, or all layers, e.g. ``wb.resid_post.all``.
        read: positions to read; the mean over them counts as one observation per prompt. Of the response where each prompt
            has an answer (``prompts.answered(texts)``): ``"response[:5]"`` is the mean over its first five tokens.
        method: a name in ``METHODS``, or a function of the activations of both sides, [n, width] and [m, width], float64,
            that returns a vector [width] along which the positive side projects higher.
        batch_size: prompts per forward pass. Memory does not grow with their number for "mean_diff"; other methods keep
            one vector per prompt and site.
        clean: leave massive dimensions out, as ``massive_dimensions`` finds them in the mean of these prompts: they are 0 in
            the activations a method sees and in the vector. The Direction's method says which, e.g. ``probe cleaned(138)``.
        store: folder of a store that keeps the activations, so that the next extraction, with any method, reads no model;
            e.g. ``"runs/store"``. By default nothing is kept.

    Returns:
        A Direction for a Site, Directions for all layers; norms in the units of the method.

    Raises:
        WorkbenchError: unknown method, a layer the model does not have, a whole bundled set where a split is needed, or a
            method that returns anything but a vector of the right width.

    >>> extract(model, wb.pairs("refusal").train, at=wb.resid_post(12), method="probe")  # doctest: +SKIP
    """
    name, function = _named(method)
    _check(pairs, at)
    sites, positions = sites_of(model, at), as_positions(read)
    sides = [texts_of(model, side, positions) for side in (pairs.positive, pairs.negative)]
    collect: Callable[..., dict[Site, Means] | dict[Site, Rows]] = averaged if function is mean_diff else gathered
    found = [
        collect(model, side, sites, positions, batch_size, store, label)
        for side, label in zip(sides, ("positive", "negative"), strict=True)
    ]
    content = prompts_hash(pairs, reads_response(positions))
    directions = []
    for site in tqdm(sites, desc=name, unit="site", leave=False, disable=function is mean_diff or len(sites) < 4):
        positive, negative = found[0][site], found[1][site]
        dimensions = _massive(positive, negative) if clean else ()
        n, m = positive.n, negative.n
        how = f"{name} cleaned({', '.join(map(str, dimensions))})" if clean else name
        norm = (positive.norm * n + negative.norm * m) / (n + m)
        vector = _vector(name, function, positive, negative, dimensions)
        directions.append(Direction(vector, site, model.name, model.revision, how, positions, content, n, m, norm))
    return Directions(tuple(directions)) if isinstance(at, EveryLayer) else directions[0]


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


def _vector(
    name: str, function: Method, positive: Means | Rows, negative: Means | Rows, dimensions: tuple[int, ...]
) -> torch.Tensor:
    """What the method makes of both sides, with some dimensions left out."""
    kept = torch.ones(len(positive.mean), dtype=torch.float64)
    kept[list(dimensions)] = 0
    if isinstance(positive, Means) or isinstance(negative, Means):
        return (positive.mean - negative.mean) * kept
    made = torch.as_tensor(function(positive.values.double() * kept, negative.values.double() * kept)).detach().cpu()
    if made.shape != kept.shape:
        raise WorkbenchError(f"method {name} returned shape {tuple(made.shape)}; expected a vector {tuple(kept.shape)}")
    return made.double() * kept


def _massive(positive: Means | Rows, negative: Means | Rows) -> tuple[int, ...]:
    n, m = positive.n, negative.n
    return massive((positive.mean * n + negative.mean * m) / (n + m))
