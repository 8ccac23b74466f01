"""How does a contrast set become a Direction? ``extract``, and controls: massive dimensions, shuffled labels, random ones.

How the vector is made is a method's business, a plain function of two arrays (see ``methods``). Massive dimensions are a few
coordinates of the residual stream that are far larger than all others, in every text. They carry no meaning of a text (Sun et
al. 2024, "Massive activations in large language models"), but they dominate norms, dot products and cosines, and
low-precision sums: log 002's mean differences at chance were owed to them. Shuffled labels show what extraction makes of the
same prompts when the two sides mean nothing.
"""

from collections.abc import Callable, Mapping, Sequence
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
import torch
from jaxtyping import Float

from workbench._errors import WorkbenchError, unknown
from workbench._errors.progress import Bar
from workbench._errors.redaction import logger
from workbench.activations.collect import (
    READ,
    Means,
    Places,
    Rows,
    check_pairs,
    encode_texts,
    gather_means,
    gather_rows,
    prompts_hash,
    reads_response,
    sites_of,
)
from workbench.activations.methods import METHODS, Method, mean_diff
from workbench.generation.steer_hooks import check_model, check_sizes
from workbench.models.identity import known_revision
from workbench.models.model import Model
from workbench.models.prompts import Pairs, Prompt, Prompts
from workbench.steering.directions import Direction, Directions
from workbench.steering.positions import Positions, as_positions
from workbench.steering.sites import Site, check_layer

if TYPE_CHECKING:
    import pandas as pd

Vector = Float[torch.Tensor, "d_model"]

#: How many times the median |mean| of all dimensions a massive one reaches. Among a thousand Gaussian dimensions the
#: largest reaches 5. Sun et al. ask for 1000 times the median at a single token, where it is an attention sink; a mean over
#: texts at other tokens is smaller.
TIMES = 20.0

#: Means of two sides that differ by no more than this share of their length differ by rounding.
_ROUNDING = 1e-6

log = logger(__name__)


def extract(
    model: Model,
    pairs: Pairs,
    at: Places,
    read: Positions | str = READ,
    method: str | Method = "mean_diff",
    batch_size: int = 32,
    *,
    clean: bool = False,
    store: str | Path | None = None,
) -> Direction | Directions:
    """Make the direction from the negative to the positive set, at one site or at every layer in one pass.

    Args:
        model: unsteered; its plain module runs.
        pairs: a contrast set; for a bundled one take its ``train`` split.
        at: a Site, e.g. ``wb.resid_post(12)``, a list of Sites of one kind, or all layers, e.g.
            ``wb.resid_post.all``. If the two sides are equal at one of several sites, it is left out with a warning.
            An example is ``wb.resid_pre(0)``, which holds only the embedding of the token, and q, k and v of layer 0.
        read: positions; the mean over them is one observation per prompt. ``"response[:5]"`` reads the first five tokens of
            each prompt's answer (``prompts.answered(texts)``).
        method: a name in ``METHODS``, or a function of the activations of both sides, [prompt, d_model] each, float64, that
            returns a vector [d_model] along which the positive side projects higher.
        batch_size: prompts per forward pass. Memory grows with their number only for methods other than "mean_diff".
        clean: set massive dimensions, found in the mean of these prompts, to 0 in the activations and in the vector.
            The Direction's method names them, e.g. ``probe cleaned(138)``.
        store: folder of a store that keeps activations, e.g. ``"runs/store"``. The next extraction then runs no
            model.

    Returns:
        A Direction for a Site, Directions for several; norms in the units of the method.

    Raises:
        WorkbenchError: unknown method, no such layer or positions, a whole bundled set, a method that returns no vector, or
            sides that are the same at every site.

    >>> d = extract(model, tiny_pairs, at=wb.resid_post(1))
    >>> d.vector.shape == (model.d_model,), d.method, d.n_positive
    (True, 'mean_diff', 3)
    >>> extract(model, tiny_pairs, at=wb.resid_post.all, read="prompt[-3:]", method="probe").layers
    (0, 1, 2)
    """
    name, function = _named(method)
    check_model(model)
    check_sizes(batch_size=batch_size)
    _check(pairs)
    sites, positions = _sites(model, at), as_positions(read)
    positive, negative = (
        (gather_means if function is mean_diff else gather_rows)(
            model, encode_texts(model, side, positions), sites, positions, batch_size, store, label
        )
        for side, label in ((pairs.positive, "positive"), (pairs.negative, "negative"))
    )
    content, revision = prompts_hash(pairs, reads_response(positions)), known_revision(model)

    def direction(site: Site) -> Direction:
        ours, theirs = positive[site], negative[site]
        n, m = ours.n, theirs.n
        kept, how = torch.ones(len(ours.mean), dtype=torch.float64), name
        if clean:
            dimensions = massive((ours.mean * n + theirs.mean * m) / (n + m))
            kept[list(dimensions)] = 0
            how = f"{name} cleaned({', '.join(map(str, dimensions))})"
        vector = _vector(name, function, ours, theirs, kept)
        norm = (ours.norm * n + theirs.norm * m) / (n + m)
        return Direction(vector, site, model.name, revision, how, positions, content, n, m, norm)

    sites = _differing(sites, {site: (positive[site].mean, negative[site].mean) for site in sites}, positions)
    quick = function is mean_diff or len(sites) < 4
    directions = tuple(direction(site) for site in Bar(sites, name, leave=False, disable=quick))
    return directions[0] if isinstance(at, Site | str) else Directions(directions)


def _sites(model: Model, at: Places) -> tuple[Site, ...]:
    """The sites to extract at: one, or several of one kind."""
    sites = sites_of(model, at)
    if len({site.kind for site in sites}) > 1:
        raise WorkbenchError(
            f"at={at!r}: directions of several layers are of one kind of site; extract each kind by itself"
        )
    for site in sites:
        check_layer(site, model.n_layers, model.name)
    return sites


def _differing(sites: Sequence[Site], means: Mapping[Site, tuple[Vector, Vector]], read: Positions) -> tuple[Site, ...]:
    """The sites where the means of the two sides differ by more than rounding. Raises WorkbenchError if there is none."""
    same = [site for site in sites if (ours := means[site][0]).dist(means[site][1]) <= _ROUNDING * ours.norm()]
    if not same:
        return tuple(sites)
    told = (
        f"the two sides are the same at {', '.join(map(repr, same))} on {read}: what is read there is the same token in every "
        'prompt, before attention has mixed in others; read other tokens, e.g. read="prompt", or a later site'
    )
    if len(same) == len(sites):
        raise WorkbenchError(told)
    log.warning("left out: %s", told)
    return tuple(site for site in sites if site not in same)


def _vector(name: str, function: Method, positive: Means | Rows, negative: Means | Rows, kept: Vector) -> Vector:
    """What a method makes of both sides at the dimensions that are kept, and 0 at the others."""
    if isinstance(positive, Means) or isinstance(negative, Means):
        return (positive.mean - negative.mean) * kept
    made = function(positive.values.double() * kept, negative.values.double() * kept)
    try:
        vector = torch.as_tensor(made)
    except (TypeError, ValueError, RuntimeError) as error:
        raise WorkbenchError(f"method {name} returned {made!r:.60}; expected a vector {tuple(kept.shape)}") from error
    if vector.shape != kept.shape:
        raise WorkbenchError(
            f"method {name} returned shape {tuple(vector.shape)}; expected a vector {tuple(kept.shape)}"
        )
    return vector.detach().to("cpu", torch.float64) * kept


def _named(method: str | Method) -> tuple[str, Method]:
    """A method and what a Direction calls it: its name, with the arguments a ``functools.partial`` fixes."""
    if isinstance(method, str):
        if method not in METHODS:
            raise unknown("method", method, METHODS, ", or give a function")
        return method, METHODS[method]
    if not callable(method):
        raise WorkbenchError(f"method={method!r}: expected one of {', '.join(METHODS)}, or a function of two arrays")
    if isinstance(method, partial):
        fixed = ", ".join([*map(repr, method.args), *(f"{key}={value!r}" for key, value in method.keywords.items())])
        return f"{_named(method.func)[0]}({fixed})", method
    return getattr(method, "__name__", type(method).__name__), method


def _check(pairs: Pairs) -> None:
    check_pairs(pairs)
    if len(pairs.positive.splits) > 1:
        raise WorkbenchError(
            f"{pairs.name} holds the splits {', '.join(pairs.positive.splits)}: extract from one of them, "
            "e.g. its .train, so that others stay held out"
        )


def massive(mean: Vector, times: float = TIMES) -> tuple[int, ...]:
    """The dimensions whose |mean activation| over texts is at least ``times`` the median over all dimensions.

    >>> massive(torch.tensor([1.0, -1.0, 0.5, 300.0, -0.8]))
    (3,)
    """
    size = mean.double().abs()
    if not 0 < times < float("inf"):
        raise WorkbenchError(f"times is {times}; expected a number above 0, e.g. {TIMES:g}")
    return tuple((size >= times * size.median().clamp(min=1e-300)).nonzero().flatten().tolist())


def massive_dimensions(
    model: Model,
    prompts: Sequence[str | Prompt] | Prompts,
    at: Places,
    read: Positions | str = READ,
    times: float = TIMES,
    batch_size: int = 32,
    store: str | Path | None = None,
) -> "pd.DataFrame":
    """Find the massive dimensions at each site: what ``extract(..., clean=True)`` would leave out.

    Args:
        model, at, read, batch_size, store: as for ``gather``.
        prompts: any texts, e.g. both sides of a contrast set; what is massive is so in all of them.
        times: how many times the median a dimension has to reach.

    Returns:
        A DataFrame, one row per site and dimension: site, layer, dimension, mean, times (the median).

    >>> len(massive_dimensions(model, tiny_pairs.negative, at=wb.resid_post.all))  # none in a random model
    0
    """
    import pandas as pd

    positions = as_positions(read)
    by_site = gather_means(
        model, encode_texts(model, prompts, positions), sites_of(model, at), positions, batch_size, store
    )
    lines = []
    for site, side in by_site.items():
        median = float(side.mean.abs().median())
        for dimension in massive(side.mean, times):
            value = float(side.mean[dimension])
            lines.append((str(site), site.layer, dimension, value, abs(value) / median if median else float("inf")))
    return pd.DataFrame(lines, columns=["site", "layer", "dimension", "mean", "times"])


def shuffled(
    model: Model,
    pairs: Pairs,
    at: Places,
    read: Positions | str = READ,
    seeds: Sequence[int] = (0,),
    batch_size: int = 32,
    *,
    store: str | Path | None = None,
) -> tuple[Directions, ...]:
    """Compute mean differences under shuffled labels: a control for ``grid``.

    Args:
        model, pairs, at, read, batch_size, store: as for ``extract``; one store serves ``shuffled`` and ``covariant``.
        seeds: one permutation of the labels per seed. All seeds share one pass over the prompts.

    Returns:
        Directions per seed, in order; their method says ``shuffled(seed=…)``. ``grid`` scales them to the norm of the
        direction they are compared with.

    Raises:
        WorkbenchError: no seeds, a layer the model does not have, or positions a prompt does not have.

    >>> [ds[1].method for ds in shuffled(model, tiny_pairs, at=wb.resid_post.all, seeds=range(2))]
    ['shuffled(seed=0)', 'shuffled(seed=1)']
    """
    check_pairs(pairs)
    n, rest = len(pairs.positive), len(pairs.negative)

    def labels(seed: int) -> np.ndarray:
        return np.random.default_rng(seed).permutation(n + rest) < n

    def difference(positive: Vector, overall: Vector) -> Vector:
        return positive / n - (overall * (n + rest) - positive) / rest

    return _controls("shuffled", model, pairs, at, read, seeds, batch_size, store, labels, difference)


def covariant(
    model: Model,
    pairs: Pairs,
    at: Places,
    read: Positions | str = READ,
    seeds: Sequence[int] = (0,),
    batch_size: int = 32,
    *,
    store: str | Path | None = None,
) -> tuple[Directions, ...]:
    """Draw random directions with the covariance of the activations: a control for ``grid``, harder than isotropic ones.

    Each is a sum of the centred activations of all prompts with standard normal weights. This is a Gaussian vector
    with the covariance of the activations, up to scale. An isotropic direction mostly points along dimensions in
    which the activations do not vary.

    Args:
        model, pairs, at, read, batch_size, store: as for ``extract``; one store serves ``shuffled`` and ``covariant``.
        seeds: one direction per seed. All seeds share one pass over the prompts.

    Returns:
        Directions per seed, in order; their method says ``covariant(seed=…)``. ``grid`` scales them to the norm of
        the direction they are compared with.

    Raises:
        WorkbenchError: no seeds, a layer the model does not have, or positions a prompt does not have.

    >>> [ds[1].method for ds in covariant(model, tiny_pairs, at=wb.resid_post.all, seeds=range(2))]
    ['covariant(seed=0)', 'covariant(seed=1)']
    """
    check_pairs(pairs)
    n = len(pairs.positive) + len(pairs.negative)

    def weights(seed: int) -> np.ndarray:
        drawn = np.random.default_rng([seed, n]).standard_normal(n)
        return drawn - drawn.mean()  # of what all prompts share nothing is left

    return _controls(
        "covariant", model, pairs, at, read, seeds, batch_size, store, weights, lambda total, _: total / np.sqrt(n - 1)
    )


def _controls(
    kind: str,
    model: Model,
    pairs: Pairs,
    at: Places,
    read: Positions | str,
    seeds: Sequence[int],
    batch_size: int,
    store: str | Path | None,
    weigh: Callable[[int], np.ndarray],
    vector: Callable[[Vector, Vector], Vector],
) -> tuple[Directions, ...]:
    """Directions from sums of all prompts' activations, weighed anew by each seed: ``vector(weighed sum, overall mean)``."""
    if not seeds:
        raise WorkbenchError(f"{kind}() needs at least one seed, e.g. seeds=range(5)")
    if any(not isinstance(seed, int) or isinstance(seed, bool) or seed < 0 for seed in seeds):
        raise WorkbenchError(f"seeds={list(seeds)!r:.60}: expected whole numbers from 0")
    if len(set(seeds)) < len(seeds):
        raise WorkbenchError(f"seeds={list(seeds)!r:.60}: one seed occurs twice, and makes the same direction twice")
    sites, positions = _sites(model, at), as_positions(read)
    weights = torch.from_numpy(np.stack([weigh(seed) for seed in seeds])).double()
    sides = [
        gather_rows(model, encode_texts(model, side, positions), sites, positions, batch_size, store, kind)
        for side in (pairs.positive, pairs.negative)
    ]
    n, m = len(pairs.positive), len(pairs.negative)
    made: dict[Site, list[Vector]] = {}
    means: dict[Site, tuple[Vector, Vector]] = {}  # without and with what the first seed adds
    for site in sites:
        every = torch.cat([side[site].values for side in sides]).double()
        overall = every.mean(0)
        made[site] = [vector(total, overall) for total in weights @ every]
        means[site] = overall + made[site][0], overall
    kept = _differing(sites, means, positions)
    content, revision = prompts_hash(pairs, reads_response(positions)), known_revision(model)

    def direction(index: int, site: Site) -> Direction:
        how = f"{kind}(seed={seeds[index]})"
        norm = (sides[0][site].norm * n + sides[1][site].norm * m) / (n + m)
        return Direction(made[site][index], site, model.name, revision, how, positions, content, n, m, norm)

    return tuple(Directions(tuple(direction(i, site) for site in kept)) for i in range(len(seeds)))
