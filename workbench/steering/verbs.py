"""The verbs that make a Steer: add, ablate, clamp."""

import math
import warnings
from collections.abc import Iterable, Sequence

from workbench._errors import WorkbenchError
from workbench.steering.directions import Direction, Directions
from workbench.steering.positions import ALL, Positions, as_positions
from workbench.steering.sites import Site, as_site
from workbench.steering.steer import OPERATIONS, Edit, Steer, number

Places = Site | str | Sequence[Site | str] | None


def add(
    direction: Direction | Directions,
    coef: float | None = None,
    *,
    ratio: float | None = None,
    on: Positions | str = ALL,
    at: Places = None,
    weights: Sequence[float] | None = None,
) -> Steer:
    """Add a multiple of a direction to the activations, at one site or split over several.

    Args:
        direction: the direction; a positive amount moves toward its positive set. With Directions, each layer gets its
            own (``ds.orthogonalised()`` removes from each what earlier layers already have).
        coef: the amount in units of the vector; or
        ratio: the amount as a dose, in units of the mean activation norm at the site. 0.3 is strong; above 1 the
            added vector is longer than the average activation.
        on: which tokens; all of them by default.
        at: where to add it; by default the site that the direction was read at (all of them, with Directions).
            Several sites share the amount, so the total dose is the same as at one site.
        weights: how the sites share the amount, one number per site; equally by default. Only the ratios of the
            weights matter.

    Raises:
        WorkbenchError: neither or both of ``coef`` and ``ratio``, an amount or a weight that is not finite, weights that
            do not match the sites, or a ratio at a site whose activation norm is unknown.

    >>> d = wb.Direction(np.array([3.0, 4.0]), wb.resid_post(1), "tiny", activation_norm=10.0)
    >>> print(add(d, ratio=0.3, on=wb.PROMPT[-1] | wb.RESPONSE))
    add(+0.6·given at resid_post(1) on prompt[-1] | response)
    >>> add(d, 1, at=[wb.resid_post(1), wb.resid_post(2)], weights=[3, 1]).edits[0].coef
    0.75
    """
    if (coef is None) == (ratio is None):
        raise WorkbenchError("add() takes one of coef= (units of the vector) and ratio= (units of the activation norm)")
    amount = number(coef, "coef") if ratio is None else number(ratio, "ratio")
    if not math.isfinite(amount):
        raise WorkbenchError(f"the amount to add is {amount}; expected a finite number")
    targets = _targets(direction, at)
    positions = as_positions(on)
    edits = []
    for (vector, site), share in zip(targets, _shares(weights, len(targets)), strict=True):
        units = share * amount if ratio is None else share * amount / _relative_norm(vector, site)
        edits.append(Edit("add", vector, site, positions, float(units)))
    if any(edit.dose > 1 for edit in edits):
        warnings.warn(
            "a dose above 1: past the activations' own norm, text tends to break down and its collapse reads as an effect "
            "(perturbation-ratio finding, S2.10); score coherence",
            stacklevel=3,
        )
    return Steer(tuple(edits))


def ablate(direction: Direction | Directions, *, on: Positions | str = ALL, at: Places = None) -> Steer:
    """Remove the component of the activations along a direction (Arditi et al. 2024).

    Args:
        direction: the direction; its length and sign do not matter. With Directions, each layer uses its own.
        on: which tokens; all of them by default.
        at: where to remove it; by default the site that the direction was read at. One direction may be removed at
            several sites, as Arditi et al. do at every layer: ``at=wb.resid_post.all.sites(model.n_layers)``.

    >>> d = wb.Direction(np.array([3.0, 4.0]), wb.resid_post(1), "tiny")
    >>> ablate(d).key == ablate(-d).key
    True
    """
    return unscaled("ablate", direction, on, at)


def clamp(
    direction: Direction | Directions,
    *,
    low: float | None = None,
    high: float | None = None,
    on: Positions | str = ALL,
    at: Places = None,
) -> Steer:
    """Keep the component of the activations along a direction between two bounds.

    Args:
        direction: the direction; only its unit vector matters.
        low, high: bounds of the projection ``h . u``, in units of the activations (as in ``Trace.dot``). Give one or
            both; equal bounds set the projection to that value.
        on: which tokens; all of them by default.
        at: where to clamp; by default the site that the direction was read at. ``wb.trace`` shows the projections that
            are usual there.

    Raises:
        WorkbenchError: no bound, a bound that is NaN, or ``low`` above ``high``.

    >>> d = wb.Direction(np.array([3.0, 4.0]), wb.resid_post(1), "tiny")
    >>> print(clamp(d, high=0.0, on=wb.RESPONSE))
    clamp(given at resid_post(1) on response to [-inf, 0])
    """
    return unscaled("clamp", direction, on, at, low, high)


def unscaled(
    operation: str,
    direction: Direction | Directions,
    on: Positions | str,
    at: Places,
    low: float | None = None,
    high: float | None = None,
) -> Steer:
    """An operation of ``OPERATIONS`` that takes no amount, and bounds where it is bounded. Raises as ``clamp`` does."""
    least, most = number(low, "low", -math.inf), number(high, "high", math.inf)
    if OPERATIONS[operation].bounded and ((low is None and high is None) or not least <= most):
        raise WorkbenchError(
            f"{operation}(low={low}, high={high}): expected low=, high= or both, with low at most high"
        )
    positions = as_positions(on)
    return Steer(
        tuple(Edit(operation, v, site, positions, low=least, high=most) for v, site in _targets(direction, at))
    )


def _targets(direction: Direction | Directions, at: Places) -> list[tuple[Direction, Site]]:
    """Which vector goes where. Raises WorkbenchError for what is no direction, or no site."""
    if not isinstance(direction, Direction | Directions) or (isinstance(direction, Directions) and not len(direction)):
        raise WorkbenchError(f"expected a Direction or Directions, as wb.extract makes them, not {direction!r}")
    if at is None:
        items: Iterable[Direction] = (direction,) if isinstance(direction, Direction) else direction
        return [(item, item.site) for item in items]
    several = isinstance(at, Sequence) and not isinstance(at, str)
    sites = [as_site(site) for site in at] if several else [as_site(at)]  # type: ignore[union-attr]
    if not sites or len(set(sites)) != len(sites):
        raise WorkbenchError(f"at={sites}: expected one or more different sites")
    if isinstance(direction, Direction):
        return [(direction, site) for site in sites]
    targets = [(direction[site.layer], site) for site in sites]
    for vector, site in targets:
        if vector.site != site:
            raise WorkbenchError(f"these directions were read at {vector.site!r}, not at {site!r}")
    return targets


def _shares(weights: Sequence[float] | None, n: int) -> list[float]:
    """The share of each site: they sum to 1."""
    if weights is None:
        return [1 / n] * n
    if isinstance(weights, str) or not isinstance(weights, Iterable):
        raise WorkbenchError(f"weights={weights!r}: expected one number per site")
    values = [number(weight, "weights") for weight in weights]
    if len(values) != n or not all(math.isfinite(w) and w >= 0 for w in values) or not sum(values) > 0:
        raise WorkbenchError(f"weights={values} for {n} sites: expected {n} numbers from 0, not all of them 0")
    return [value / sum(values) for value in values]


def _relative_norm(direction: Direction, site: Site) -> float:
    if site != direction.site or math.isnan(direction.activation_norm):
        raise WorkbenchError(
            f"ratio= needs the activation norm at {site!r}, which this direction (read at {direction.site!r}) does "
            "not carry; use coef=, or directions extracted there"
        )
    return direction.relative_norm
