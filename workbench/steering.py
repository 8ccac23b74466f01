"""The verbs that make a Steer (add, ablate, clamp), and what is checked before one is used on a model."""

import math
import warnings
from collections.abc import Iterable, Sequence

import numpy as np

from workbench.direction_sets import Directions
from workbench.directions import Direction
from workbench.edits import Edit, Steer
from workbench.errors import WorkbenchError
from workbench.models import Model
from workbench.positions import ALL, Positions, as_positions
from workbench.sites import Site, as_site, check_layer

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
            own (``ds.orthogonalised()``: less what earlier layers have said already).
        coef: the amount in units of the vector; or
        ratio: the amount as a dose, in units of the mean activation norm at the site (0.3 is strong, above 1 the
            direction outweighs the activations themselves).
        on: which tokens; all of them by default.
        at: where; by default the site the direction was read at (all of them, with Directions). Several sites share
            the amount: the total dose is the same as at one.
        weights: how they share it, one number per site; equally by default. Only their ratios matter.

    Raises:
        WorkbenchError: neither or both of ``coef`` and ``ratio``, an amount or a weight that is not finite, weights that
            do not match the sites, or a ratio at a site whose activation norm is unknown.

    >>> add(d, ratio=0.3, on=wb.PROMPT[-1] | wb.RESPONSE)  # doctest: +SKIP
    >>> add(ds, ratio=0.3, at=[wb.resid_post(10), wb.resid_post(14)], weights=[2, 1])  # doctest: +SKIP
    """
    if (coef is None) == (ratio is None):
        raise WorkbenchError("add() takes one of coef= (units of the vector) and ratio= (units of the activation norm)")
    amount = coef if ratio is None else ratio
    if amount is None or not math.isfinite(amount):
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
            stacklevel=2,
        )
    return Steer(tuple(edits))


def ablate(direction: Direction | Directions, *, on: Positions | str = ALL, at: Places = None) -> Steer:
    """Remove the component of the activations along a direction (Arditi et al. 2024).

    Args:
        direction: the direction; its length and sign do not matter. With Directions, each layer's own.
        on: which tokens; all of them by default.
        at: where; by default the site the direction was read at. One direction may be removed at several sites, as
            Arditi et al. do at every layer: ``at=wb.resid_post.all.sites(model.n_layers)``.
    """
    positions = as_positions(on)
    return Steer(tuple(Edit("ablate", vector, site, positions) for vector, site in _targets(direction, at)))


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
        low, high: bounds of the projection ``h . u``, in units of the activations (as in ``Trace.dot``); one may be left
            out, and equal bounds set the component.
        on, at: as for ``ablate``.

    Raises:
        WorkbenchError: no bound, a bound that is NaN, or ``low`` above ``high``.

    >>> clamp(d, high=0.0, on=wb.RESPONSE)  # doctest: +SKIP
    """
    least, most = -math.inf if low is None else float(low), math.inf if high is None else float(high)
    if (low is None and high is None) or not least <= most:
        raise WorkbenchError(f"clamp(low={low}, high={high}): expected low=, high= or both, with low at most high")
    positions = as_positions(on)
    return Steer(tuple(Edit("clamp", v, site, positions, low=least, high=most) for v, site in _targets(direction, at)))


def _targets(direction: Direction | Directions, at: Places) -> list[tuple[Direction, Site]]:
    """Which vector goes where."""
    if at is None:
        items: Iterable[Direction] = (direction,) if isinstance(direction, Direction) else direction
        return [(item, item.site) for item in items]
    several = isinstance(at, Sequence) and not isinstance(at, str)
    sites = [as_site(site) for site in at] if several else [as_site(at)]  # type: ignore[union-attr]
    if not sites or len(set(sites)) != len(sites):
        raise WorkbenchError(f"at={sites}: expected one or more different sites")
    if isinstance(direction, Direction):
        return [(direction, site) for site in sites]
    found = [(direction[site.layer], site) for site in sites]
    for vector, site in found:
        if vector.site != site:
            raise WorkbenchError(f"these directions were read at {vector.site!r}, not at {site!r}")
    return found


def _shares(weights: Sequence[float] | None, n: int) -> list[float]:
    """The share of each site: they sum to 1."""
    if weights is None:
        return [1 / n] * n
    values = [float(weight) for weight in weights]
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


def check(steer: Steer, model: Model) -> None:
    """Refuse, before any compute, a Steer that does not fit the model.

    Raises:
        WorkbenchError: a layer the model does not have, a vector of the wrong width or of another model, or positions that
            depend on where the response ends.
    """
    for edit in steer.edits:
        check_direction(edit.direction, edit.site, model)
        if edit.condition is not None:
            check_direction(edit.condition.direction, edit.condition.direction.site, model)
        if edit.on.needs_end():
            raise WorkbenchError(
                f"{edit.on} depends on where the response ends, which is unknown while it is being written; "
                "count from the start, e.g. response[:5]"
            )


def check_direction(direction: Direction, site: Site, model: Model) -> None:
    """Refuse a direction that does not belong to a site of the model.

    Raises:
        WorkbenchError: as ``check``.
    """
    check_layer(site, model.n_layers, model.name)
    width, expected = len(direction.vector), site_width(model, site)
    if width != expected:
        raise WorkbenchError(
            f"the direction has {width} dimensions but {site!r} of {model.name} has {expected}; "
            f"it was read from {direction.model}"
        )
    same_weights = not direction.revision or not model.revision or direction.revision == model.revision
    if direction.model != model.name or not same_weights:
        raise WorkbenchError(
            f"the direction was read from {direction.model} {direction.revision}, but the model is {model.name} "
            f"{model.revision}; if that is what you mean, write d.transfer(model.name, model.revision)"
        )


def site_width(model: Model, site: Site) -> int:
    """Width of the activations at a site: d_model, or heads times head width for q, k, v and z."""
    config = model.hf.config.get_text_config()
    if site.kind not in ("q", "k", "v", "z"):
        return model.d_model
    heads = config.num_attention_heads if site.kind in ("q", "z") else config.num_key_value_heads
    return heads * (getattr(config, "head_dim", None) or config.hidden_size // config.num_attention_heads)


def first_edited(steer: Steer, prompt_length: int) -> int:
    """The first token, counted from the start of the prompt, that a Steer may edit or that a gate reads.

    ``prompt_length`` if there is none in the prompt.
    """
    chosen = [edit.on.mask(prompt_length, prompt_length) for edit in steer.effective]
    gates = [edit.condition.read for edit in steer.effective if edit.condition is not None]
    chosen += [read.mask(prompt_length, prompt_length) for read in gates if read is not None]
    marked = np.any(chosen, axis=0) if chosen else np.zeros(prompt_length, dtype=bool)
    return int(marked.argmax()) if marked.any() else prompt_length
