"""The conditions of an experiment: a grid over directions, layers, sites, doses, positions, operations and controls."""

import math
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from numbers import Integral, Real

import numpy as np

from workbench._errors import WorkbenchError, unknown
from workbench.steering.directions import Direction, Directions
from workbench.steering.positions import ALL, Positions, as_positions
from workbench.steering.sites import Site
from workbench.steering.steer import OPERATIONS, Steer
from workbench.steering.verbs import add, unscaled

Sources = Direction | Directions | Mapping[str, Direction | Directions]

#: Lower and upper bound of a clamp, in units of the activations; None for no bound.
Bounds = tuple[float | None, float | None]


@dataclass(frozen=True)
class Arm:
    """One condition of an experiment: a Steer, with the columns that an analysis groups by.

    Attributes:
        kind: "baseline", "direction", "random", "orthogonal", "shuffled" or "covariant".
        layer: the layer of the edit, -1 for the baseline.
        ratio: signed dose; 0 for the baseline, NaN where it has none.
        seed: the seed of a control, -1 for other arms.
        amount: the part of the name that describes the edit, if it is not a ratio, e.g. ``coef +3`` or ``ablate``.
        detail: an addition to the name that keeps the names of one grid distinct, e.g. ``on response``.

    Raises:
        WorkbenchError: a field of another kind, or a baseline that steers.

    >>> d = wb.extract(model, tiny_pairs, at=wb.resid_post(2))
    >>> Arm(wb.add(d, ratio=0.3), "direction", layer=2, ratio=0.3).name
    'direction L2 +0.30'
    """

    steer: Steer
    kind: str
    layer: int = -1
    ratio: float = 0.0
    seed: int = -1
    amount: str = ""
    detail: str = ""

    def __post_init__(self) -> None:
        if not isinstance(self.steer, Steer):
            raise WorkbenchError(
                f"{self.steer!r:.80} is no Steer; make arms with wb.grid(…), or wb.Arm(steer, 'direction')"
            )
        words = {"kind": self.kind, "amount": self.amount, "detail": self.detail}
        for name, word in words.items():
            if not isinstance(word, str) or not word.isprintable() or (name == "kind" and not word.strip()):
                raise WorkbenchError(f"{name}={word!r:.60} of an arm: expected a word, e.g. kind='direction'")
        for name, number, kind in (
            ("layer", self.layer, Integral),
            ("seed", self.seed, Integral),
            ("ratio", self.ratio, Real),
        ):
            if not isinstance(number, kind) or isinstance(number, bool) or number in (math.inf, -math.inf):
                raise WorkbenchError(f"{name}={number!r:.60} of an arm: expected a number, e.g. layer=12 or ratio=0.3")
        if self.kind == "baseline" and self.steer.effective:
            raise WorkbenchError(f"the baseline steers nothing, and {self.steer} does; give its kind, e.g. 'direction'")

    @property
    def name(self) -> str:
        """A readable, unique name, e.g. ``direction L12 +0.30``."""
        if self.kind == "baseline":
            return "baseline"
        seed = "" if self.seed < 0 else f" {self.seed}"
        short = f"{self.ratio:+.2f}"
        dose = short if float(short) == self.ratio else f"{self.ratio:+g}"
        return " ".join(f"{self.kind}{seed} L{self.layer} {self.amount or dose} {self.detail}".split())

    def __repr__(self) -> str:
        return f"Arm({self.name!r}: {self.steer})"


BASELINE = Arm(Steer(), "baseline")
"""The unsteered arm."""


def as_arms(arms: object) -> tuple[Arm, ...]:
    """Arms as they are; anything else is refused.

    >>> as_arms([BASELINE])[0].name
    'baseline'
    """
    if not isinstance(arms, Sequence) or isinstance(arms, str):
        raise WorkbenchError(f"arms= is a list of arms, as wb.grid(…) makes them, not {arms!r}")
    if strangers := [arm for arm in arms if not isinstance(arm, Arm) or not isinstance(arm.steer, Steer)]:
        raise WorkbenchError(f"{strangers[0]!r} is no arm; make arms with wb.grid(…), or wb.Arm(steer, 'direction')")
    return tuple(arms)


def grid(
    directions: Sources,
    ratios: Sequence[float] = (),
    layers: Sequence[int] | None = None,
    on: Positions | str | Sequence[Positions | str] = ALL,
    controls: int = 0,
    seed: int = 0,
    coefs: Sequence[float] = (),
    at: Sequence[Site] | None = None,
    operations: Sequence[str] = ("add",),
    bounds: Sequence[Bounds] = (),
    shuffled: Sequence[Direction | Directions] = (),
    covariant: Sequence[Direction | Directions] = (),
) -> tuple[Arm, ...]:
    """Make the arms of an experiment: all combinations of the given axes. Each layer has its own direction. Controls are
    an axis like the others.

    Args:
        directions: one Direction, one per layer, or several of these by name.
        ratios: signed doses in units of the mean activation norm; 0 is the baseline, which occurs once.
        layers: the layers to use; all of the directions by default.
        on: the steered tokens; several Positions make an axis.
        controls: number of random directions, and also of orthogonal directions, per direction. All have its norm.
        seed: seed of the first control; the others follow.
        coefs: signed amounts in units of the vector, instead of ratios.
        at: sites at which every direction is added; by default each is added at its own site.
        operations: of "add", "ablate" and "clamp"; only "add" takes ratios or coefs, only "clamp" takes bounds.
        bounds: low and high of each clamp, e.g. ``[(None, 0.0), (2.0, 2.0)]``.
        shuffled: controls from permuted labels, as ``shuffled`` makes them; scaled to the norm of each direction.
        covariant: random controls with the covariance of the activations, as ``covariant`` makes them; scaled likewise.

    Returns:
        A tuple of arms; join grids with ``+``.

    Raises:
        WorkbenchError: no doses or bounds for an operation that needs them, or some for one that takes none; a layer
            without a direction; a negative number of controls; an unknown operation.

    >>> d = wb.Direction(np.array([3.0, 4.0]), wb.resid_post(1), "tiny", activation_norm=10.0)
    >>> [arm.name for arm in grid(d, ratios=[0, 0.3], controls=1)]
    ['baseline', 'direction L1 +0.30', 'random 0 L1 +0.30', 'orthogonal 0 L1 +0.30']
    >>> [arm.name for arm in grid(d, coefs=[1], on=["prompt[-1]", "all"], operations=["add", "ablate"])][:2]
    ['direction L1 coef +1 on prompt[-1]', 'direction L1 ablate on prompt[-1]']
    """
    axes = {"ratios": ratios, "coefs": coefs, "operations": operations, "bounds": bounds}
    axes |= {"shuffled": shuffled, "covariant": covariant}
    for name, values in (axes | {"layers": () if layers is None else layers, "at": at or ()}).items():
        if isinstance(values, str) or not isinstance(values, Sequence | np.ndarray):
            raise WorkbenchError(f"{name}={values!r}: an axis is a list of values, e.g. {name}=[…]")
    _check_axes(ratios, coefs, operations, bounds, controls)
    made = {"shuffled": shuffled, "covariant": covariant}
    named = directions if isinstance(directions, Mapping) else {"": directions}
    places = [as_positions(p) for p in (on if isinstance(on, Sequence) and not isinstance(on, str) else [on])]
    arms = [BASELINE] if any(amount == 0 for amount in (*ratios, *coefs)) else []
    for name, source in named.items():
        for direction in _chosen(source, layers):
            for kind, number, vector in _with_controls(direction, controls, seed, made):
                for site in at or (direction.site,):
                    for place in places:
                        said = [name, f"at {site!r}" if at else "", f"on {place}" if len(places) > 1 else ""]
                        detail = " ".join(said).strip()
                        steers = _steers(vector, site, place, operations, ratios, coefs, bounds)
                        arms += [Arm(s, kind, site.layer, dose, number, how, detail) for s, dose, how in steers]
    twice = [name for name, n in Counter(arm.name for arm in arms).items() if n > 1]
    if twice:
        raise WorkbenchError(f"an axis holds a value twice: two arms are called {twice[0]!r}")
    if not arms:
        raise WorkbenchError("a grid without arms: expected at least one direction, layer and place")
    return tuple(arms)


#: of one direction; each is a vector, and an arm of its own
_MOST_CONTROLS = 10_000


def _check_axes(
    ratios: Sequence[float], coefs: Sequence[float], operations: Sequence[str], bounds: Sequence[Bounds], controls: int
) -> None:
    if strangers := [operation for operation in operations if operation not in OPERATIONS]:
        raise unknown("operation", strangers[0], OPERATIONS)
    if not operations:
        raise WorkbenchError(f"a grid needs an operation; there are {', '.join(OPERATIONS)}")
    scaled, bounded = (any(getattr(OPERATIONS[o], kind) for o in operations) for kind in ("scaled", "bounded"))
    if len(ratios) and len(coefs):
        raise WorkbenchError("a grid takes ratios= (units of the activation norm) or coefs= (units of the vector)")
    if isinstance(controls, bool) or not isinstance(controls, int):
        raise WorkbenchError(f"controls={controls!r}: expected a whole number of random directions")
    if controls > _MOST_CONTROLS:
        raise WorkbenchError(f"controls={controls!r:.40}: expected at most {_MOST_CONTROLS:,}")
    if bool(len(ratios) or len(coefs)) != scaled or controls < 0:
        raise WorkbenchError(
            f"a grid needs at least one ratio or coef where it adds, none where it does not, and controls >= 0; got "
            f"ratios={list(ratios)}, coefs={list(coefs)}, operations={list(operations)} and controls={controls}"
        )
    if not all(isinstance(pair, Sequence) and len(pair) == 2 for pair in bounds):
        raise WorkbenchError(
            f"bounds={list(bounds)}: expected pairs of low and high, None for no bound, e.g. [(None, 0.0)]"
        )
    if bool(bounds) != bounded:
        raise WorkbenchError(
            f"bounds= and the operation 'clamp' go together; got {list(bounds)} and {list(operations)}"
        )


def _chosen(source: Direction | Directions, layers: Sequence[int] | None) -> list[Direction]:
    if not isinstance(source, Direction | Directions):
        raise WorkbenchError(f"expected a Direction or Directions, or several by name, not {source!r}")
    items = Directions((source,)) if isinstance(source, Direction) else source
    return [items[layer] for layer in (items.layers if layers is None else layers)]


def _with_controls(
    direction: Direction, controls: int, seed: int, made: Mapping[str, Sequence[Direction | Directions]]
) -> Iterator[tuple[str, int, Direction]]:
    yield "direction", -1, direction
    for number in range(seed, seed + controls):
        yield "random", number, direction.random(number)
        yield "orthogonal", number, direction.orthogonal(number)
    for kind, number, source in (
        (kind, i, source) for kind, sources in made.items() for i, source in enumerate(sources)
    ):
        (twin,) = _chosen(source, [direction.site.layer])
        if twin.site != direction.site:
            raise WorkbenchError(f"the {kind} directions were read at {twin.site!r}, not at {direction.site!r}")
        yield kind, number, twin * (direction.norm / twin.norm)


def _steers(
    vector: Direction,
    site: Site,
    on: Positions,
    operations: Sequence[str],
    ratios: Sequence[float],
    coefs: Sequence[float],
    bounds: Sequence[Bounds],
) -> Iterator[tuple[Steer, float, str]]:
    """Each Steer with its signed dose and what its name says; the baseline is left out."""
    for operation in operations:
        kind = OPERATIONS[operation]
        if kind.bounded:
            for low, high in bounds:
                steer = unscaled(operation, vector, on, site, low, high)
                least, most = ("" if bound is None else f"{bound:g}" for bound in (low, high))
                yield steer, math.nan, f"{operation}[{least},{most}]"
        elif kind.scaled:
            for ratio in dict.fromkeys(ratios):
                if ratio != 0:
                    yield add(vector, ratio=ratio, on=on, at=site), float(ratio), ""
            for coef in dict.fromkeys(coefs):
                if coef != 0:
                    yield add(vector, coef, on=on, at=site), coef * vector.relative_norm, f"coef {coef:+g}"
        else:
            yield unscaled(operation, vector, on, site), math.nan, operation
