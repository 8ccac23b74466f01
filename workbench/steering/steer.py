"""What is done to the activations, as data: a Steer is an ordered tuple of edits.

Every edit is a delta that is added to the activations ``h`` at its site, on its positions; ``u`` is the unit vector:

====== ==================================================== =================================
add    ``coef * v``                                         Turner et al. 2023; Rimsky et al. 2024
ablate ``-(h . u) u``                                       Arditi et al. 2024
clamp  ``(min(max(h . u, low), high) - h . u) u``           as feature clamping, Templeton et al. 2024
====== ==================================================== =================================

``OPERATIONS`` is that table in code. A Condition says when an edit is made: where a projection lies between two bounds.
"""

import hashlib
import json
import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from itertools import combinations
from pathlib import Path

import torch
from torch import Tensor

from workbench._errors import WorkbenchError, unknown
from workbench.steering.control_vectors import written
from workbench.steering.directions import Direction, load_tensors, once, save_tensors
from workbench.steering.positions import Positions, as_positions
from workbench.steering.sites import Site, as_site


@dataclass(frozen=True)
class Condition:
    """A gate: open where the projection ``h . u`` onto a direction, at its own site, lies between two bounds.

    Attributes:
        direction: what is projected onto; units are those of the activations, as in ``Trace.dot``.
        above, below: open bounds.
        read: None gates each token by its own projection; prompt positions gate the whole row by the mean projection over
            them (conditional steering, Lee et al. 2024).
    """

    direction: Direction
    above: float = -math.inf
    below: float = math.inf
    read: Positions | None = None

    def __post_init__(self) -> None:
        if not isinstance(self.direction, Direction):
            raise WorkbenchError(f"a condition projects onto a Direction, not {self.direction!r}")
        if not self.above < self.below:
            raise WorkbenchError(f"a condition with above={self.above}, below={self.below} is never true")
        if self.read is not None and any(span.region != "prompt" for span in as_positions(self.read).spans):
            raise WorkbenchError(f"when(read={self.read}): a row is gated by its prompt, e.g. wb.PROMPT[-1]")

    def __str__(self) -> str:
        bounds = [f"> {self.above:g}"] * (self.above > -math.inf) + [f"< {self.below:g}"] * (self.below < math.inf)
        where = "" if self.read is None else f", {self.read}"
        return f"{self.direction.method} at {self.direction.site!r}{where} {' and '.join(bounds)}"


#: From the projections ``h . u`` and the bounds, each [batch, pos or 1, 1], to how far the activations move along ``u``.
Move = Callable[[Tensor, Tensor, Tensor], Tensor]


@dataclass(frozen=True)
class Operation:
    """How an edit changes activations.

    Attributes:
        move: how far along the unit vector; None where ``coef * v`` is added whatever the activations are.
        bounded: whether it takes bounds of the projection.
    """

    move: Move | None = None
    bounded: bool = False

    @property
    def scaled(self) -> bool:
        """Whether the length of the vector and a coefficient count."""
        return self.move is None


#: What an edit can do. An operation that is added here can be asked for in a grid, saved, compiled and run.
OPERATIONS = {
    "add": Operation(),
    "ablate": Operation(lambda along, low, high: -along),
    "clamp": Operation(lambda along, low, high: torch.minimum(torch.maximum(along, low), high) - along, bounded=True),
}


@dataclass(frozen=True)
class Edit:
    """One change at one site: ``add`` (coef times the vector), ``ablate`` or ``clamp`` (of the component along it)."""

    operation: str
    direction: Direction
    site: Site
    on: Positions
    coef: float = 1.0
    low: float = -math.inf
    high: float = math.inf
    condition: Condition | None = None

    def __post_init__(self) -> None:
        if self.operation not in OPERATIONS:
            raise unknown("operation", self.operation, OPERATIONS)
        if not isinstance(self.direction, Direction):
            raise WorkbenchError(f"{self.operation}() takes a Direction or Directions, not {self.direction!r}")
        object.__setattr__(self, "site", as_site(self.site))
        object.__setattr__(self, "on", as_positions(self.on))
        number(self.coef, "coef"), number(self.low, "low"), number(self.high, "high")
        if not math.isfinite(self.coef):
            raise WorkbenchError(f"the amount to add is {self.coef}; expected a finite number")
        if not self.low <= self.high or self.low == math.inf or self.high == -math.inf:
            raise WorkbenchError(f"{self.operation} between {self.low} and {self.high}: expected low at most high")

    @property
    def dose(self) -> float:
        """|coef| · ‖v‖ over the mean activation norm: 0.3 moves a typical activation by 30% of its length.

        NaN for ablate and clamp, whose size depends on the activations, and where the norm is unknown.
        """
        scaled = OPERATIONS[self.operation].scaled
        return abs(self.coef) * self.direction.relative_norm if scaled else math.nan

    def changes_nothing(self) -> bool:
        """Whether the edit is the identity: a coefficient of zero."""
        return OPERATIONS[self.operation].scaled and self.coef == 0

    def __str__(self) -> str:
        operation = OPERATIONS[self.operation]
        bounds = f" to [{self.low:g}, {self.high:g}]" if operation.bounded else ""
        amount = f"{self.coef:+.4g}·" if operation.scaled else ""
        when = "" if self.condition is None else f" when {self.condition}"
        return f"{self.operation}({amount}{self.direction.method} at {self.site!r} on {self.on}{bounds}{when})"


@dataclass(frozen=True)
class Steer:
    """An ordered tuple of edits. ``a + b`` joins two Steers, and ``Steer()`` changes nothing.

    Raises:
        WorkbenchError: two edits are in conflict: the later one undoes the earlier one, or both cannot hold at once.

    >>> str(Steer())
    'Steer()'
    """

    edits: tuple[Edit, ...] = ()

    def __post_init__(self) -> None:
        if not isinstance(self.edits, tuple) or not all(isinstance(edit, Edit) for edit in self.edits):
            raise WorkbenchError(f"a Steer is a tuple of edits, as wb.add(…) makes them, not {self.edits!r}")
        for first, second in combinations(self.edits, 2):
            if reason := _conflict(first, second):
                raise WorkbenchError(f"two edits are in conflict: {first} and then {second}: {reason}")

    def __add__(self, other: "Steer") -> "Steer":
        if not isinstance(other, Steer):
            return NotImplemented
        return Steer(self.edits + other.edits)

    def __str__(self) -> str:
        return " + ".join(map(str, self.edits)) if self.edits else "Steer()"

    def __repr__(self) -> str:
        return f"Steer({', '.join(map(str, self.edits))})"

    @property
    def effective(self) -> tuple[Edit, ...]:
        """The edits that change something."""
        return tuple(edit for edit in self.edits if not edit.changes_nothing())

    @property
    def doses(self) -> dict[str, float]:
        """The dose added at each site, by hook name; NaN where it is unknown or depends on the activations."""
        doses: dict[str, float] = {}
        for edit in self.effective:
            doses[str(edit.site)] = doses.get(str(edit.site), 0.0) + edit.dose
        return doses

    @property
    def dose(self) -> float:
        """The total dose over sites; 0 for ``Steer()``."""
        return sum(self.doses.values())

    @property
    def key(self) -> str:
        """A canonical description: two Steers with the same key do exactly the same to the activations.

        ``add(-d, c)`` and ``add(d, -c)`` share a key, as do all Steers that change nothing.
        """
        return json.dumps([_canonical(edit) for edit in self.effective])

    def when(
        self,
        direction: Direction,
        above: float | None = None,
        below: float | None = None,
        read: Positions | str | None = None,
    ) -> "Steer":
        """The same edits, made only where a projection lies between two bounds.

        Args:
            direction: the direction of the projection, which is read at the direction's own site in the steered run.
                That site must not come later in the forward pass than any of the edits.
            above, below: bounds of the projection on the unit vector, in units of the activations (``Trace.dot``).
            read: None decides for every token by its own projection; prompt positions decide for the whole row by
                their mean projection.

        Raises:
            WorkbenchError: no bound, bounds that exclude everything, positions outside the prompt, an edit that is
                conditional already, or a site later than the edit's.

        >>> d = wb.Direction(np.array([3.0, 4.0]), wb.resid_post(1), "tiny")
        >>> print(wb.add(d, 1).when(d, above=2.5, read=wb.PROMPT[-1]))
        add(+1·given at resid_post(1) on all when given at resid_post(1), prompt[-1] > 2.5)
        """
        if above is None and below is None:
            raise WorkbenchError("when() takes above=, below= or both: bounds of the projection h·u")
        low, high = number(above, "above", -math.inf), number(below, "below", math.inf)
        condition = Condition(direction, low, high, None if read is None else as_positions(read))
        for edit in self.edits:
            if edit.condition is not None:
                raise WorkbenchError(f"{edit} is conditional already; gate each Steer by itself and join them with +")
            if direction.site.order > edit.site.order:
                raise WorkbenchError(
                    f"{edit} cannot depend on {direction.site!r}, which comes later in the forward pass; "
                    "use a direction read at the same site or earlier"
                )
        return Steer(tuple(replace(edit, condition=condition) for edit in self.edits))

    def to_json(self) -> str:
        """The whole Steer as JSON, vectors included (base64 of float32), so that it reads back bit for bit."""
        return json.dumps({"format": "workbench.steer.1", "edits": [_to_dict(edit) for edit in self.edits]}, indent=1)

    @classmethod
    def from_json(cls, text: str) -> "Steer":
        """Read what ``to_json`` wrote. Raises WorkbenchError for anything else, and for what it does not know."""
        return cls._read(text, None, "not a Steer written by to_json")

    @classmethod
    def _read(cls, text: str, known: dict[str, Direction] | None, trouble: str) -> "Steer":
        try:
            content = json.loads(text, object_pairs_hook=once)
            if content["format"] != "workbench.steer.1":
                raise KeyError(f"format {content['format']!r}; expected 'workbench.steer.1'")
            _only(content, ("format", "edits"))
            return cls(tuple(_from_dict(entry, known) for entry in content["edits"]))
        except (ValueError, KeyError, TypeError, AttributeError, OverflowError, RecursionError) as error:
            raise WorkbenchError(f"{trouble} ({type(error).__name__}: {error})") from error

    def save(self, path: str | Path) -> Path:
        """Write the Steer: JSON if the name ends in .json, otherwise safetensors with the edits as metadata."""
        target = Path(path)
        if target.suffix == ".json":
            with written(target) as draft:
                draft.write_text(self.to_json(), encoding="utf-8")
            return target
        used = {d.id: d for edit in self.edits for d in (edit.direction, *_gate(edit))}
        described = {"format": "workbench.steer.1", "edits": [_to_dict(edit, by_id=True) for edit in self.edits]}
        metadata = {"steer": json.dumps(described)}
        metadata |= {identity: json.dumps(d.metadata()) for identity, d in used.items()}
        return save_tensors(target, {identity: d.vector for identity, d in used.items()}, metadata)

    @classmethod
    def load(cls, path: str | Path) -> "Steer":
        """Read a Steer that ``save`` wrote. Raises WorkbenchError: no such file, or no Steer in it."""
        if not isinstance(path, str | Path):
            raise WorkbenchError(f"{path!r:.60}: expected the path of a file that save wrote")
        source = Path(path)
        if source.suffix == ".json":
            try:
                return cls.from_json(source.read_text(encoding="utf-8"))
            except (OSError, UnicodeDecodeError) as error:
                raise WorkbenchError(f"{source}: cannot be read ({error})") from error
        tensors, metadata = load_tensors(source)
        if "steer" not in metadata:
            raise WorkbenchError(f"{source}: holds no Steer; try wb.Direction.load or wb.Directions.load")
        if strangers := set(tensors) ^ (set(metadata) - {"steer"}):
            raise WorkbenchError(f"{source}: vectors and descriptions do not match ({strangers.pop()!r} is alone)")
        known = {name: Direction.from_text(vector, metadata[name], source) for name, vector in tensors.items()}
        return cls._read(metadata["steer"], known, f"{source}: holds no Steer written by save")


def steer_per_row(steers: Steer | Sequence[Steer], rows: int, what: str = "prompt") -> tuple[Steer, ...]:
    """One Steer for each of so many rows, from one for all of them or one each. Raises WorkbenchError for another number."""
    each = (steers,) * rows if isinstance(steers, Steer) else tuple(steers) if isinstance(steers, Sequence) else ()
    if not isinstance(steers, Sequence | Steer) or not all(isinstance(steer, Steer) for steer in each):
        raise WorkbenchError(f"expected a Steer, e.g. wb.add(direction, ratio=0.3), or one per {what}, not {steers!r}")
    if len(each) != rows:
        raise WorkbenchError(f"{len(each)} Steers for {rows} {what}s; expected one, or one per {what}")
    return each


def number(value: float | None, name: str, default: float = math.nan) -> float:
    """A number that may be left out. Raises WorkbenchError for anything else, and for NaN.

    >>> number(None, "low", -math.inf), number(2, "low")
    (-inf, 2.0)
    """
    if value is None:
        return default
    try:
        real = math.nan if isinstance(value, str | bool) else float(value)
    except (TypeError, ValueError, OverflowError):
        real = math.nan
    if math.isnan(real):
        raise WorkbenchError(f"{name}={value!r}: expected a number")
    return real


def _gate(edit: Edit) -> Sequence[Direction]:
    return () if edit.condition is None else (edit.condition.direction,)


def _canonical(edit: Edit) -> list:
    """One edit up to identity: the sign lives in the numbers, by making the vector's first nonzero component positive."""
    digest, sign = _digest(edit.direction)
    operation = OPERATIONS[edit.operation]
    amounts = (
        [sign * edit.coef] if operation.scaled else _bounds(edit.low, edit.high, sign) if operation.bounded else []
    )
    parts = [edit.operation, digest, *[float(a).hex() for a in amounts], str(edit.site), str(edit.on)]
    if gate := edit.condition:
        digest, sign = _digest(gate.direction)
        bounds = [float(bound).hex() for bound in _bounds(gate.above, gate.below, sign)]
        parts += [digest, *bounds, str(gate.direction.site), str(gate.read)]
    return parts


def _digest(direction: Direction) -> tuple[str, int]:
    vector, sign = direction.vector, 1
    if vector[vector.nonzero()[0]] < 0:
        vector, sign = -vector, -1
    return hashlib.sha256((vector + 0.0).numpy().tobytes()).hexdigest()[:16], sign


def _bounds(low: float, high: float, sign: int) -> list[float]:
    return [low, high] if sign > 0 else [-high, -low]


_PARALLEL = 0.999

#: prompt and total lengths at which overlap is tried; two, so that prompt[-1] and prompt[36] are not taken for one token
_LENGTHS = ((37, 60), (53, 99))


def _conflict(first: Edit, second: Edit) -> str:
    """Why the second edit cannot stand after the first; empty if it can."""
    if first.site != second.site or first.condition != second.condition or second.operation == "add":
        return ""
    if first.operation == second.operation == "ablate" or first.changes_nothing():
        return ""
    same_width = len(first.direction.vector) == len(second.direction.vector)
    if not same_width or abs(first.direction.cosine(second.direction)) < _PARALLEL:
        return ""
    masks = [(first.on.mask(*lengths), second.on.mask(*lengths)) for lengths in _LENGTHS]
    if second.operation == "ablate":
        covered = all((earlier <= later).all() for earlier, later in masks)
        return "the ablation removes what the first edit did; put it first, or leave one out" if covered else ""
    sign = 1 if first.direction.cosine(second.direction) > 0 else -1
    low, high = _bounds(second.low, second.high, sign)
    meet = all((earlier & later).any() for earlier, later in masks)
    if first.operation == "clamp" and meet and (low > first.high or high < first.low):
        return "no projection lies within both bounds"
    return ""


def _to_dict(edit: Edit, by_id: bool = False) -> dict:
    def named(direction: Direction) -> str | dict:
        return direction.id if by_id else json.loads(direction.to_json())

    entry: dict = {"operation": edit.operation, "direction": named(edit.direction)}
    entry |= {"site": str(edit.site), "on": str(edit.on), "dose": str(edit.dose)}
    entry |= {name: getattr(edit, name).hex() for name in ("coef", "low", "high")}
    if gate := edit.condition:
        read = None if gate.read is None else str(gate.read)
        entry["when"] = {"direction": named(gate.direction), "above": gate.above.hex(), "below": gate.below.hex()}
        entry["when"]["read"] = read
    return entry


def _from_dict(entry: dict, known: dict[str, Direction] | None = None) -> Edit:
    def direction(value: str | dict) -> Direction:
        return Direction.from_json(json.dumps(value)) if known is None else known[str(value)]

    _only(entry, ("operation", "direction", "site", "on", "dose", "coef", "low", "high"), ("when",))
    condition = None
    if "when" in entry:
        gate = entry["when"]
        _only(gate, ("direction", "above", "below", "read"))
        read = None if gate["read"] is None else Positions.parse(gate["read"])
        bounds = (float.fromhex(gate["above"]), float.fromhex(gate["below"]))
        condition = Condition(direction(gate["direction"]), *bounds, read)
    coef, low, high = (float.fromhex(entry[name]) for name in ("coef", "low", "high"))
    site, on = Site.parse(entry["site"]), Positions.parse(entry["on"])
    edit = Edit(entry["operation"], direction(entry["direction"]), site, on, coef, low, high, condition)
    said = float(entry["dose"])
    if not (math.isclose(said, edit.dose, rel_tol=1e-3) or (math.isnan(said) and math.isnan(edit.dose))):
        raise ValueError(f"the dose is said to be {said:g}, but coef {coef:g} makes it {edit.dose:g}")
    return edit


def _only(entry: dict, keys: Sequence[str], optional: Sequence[str] = ()) -> None:
    """Refuse an object with other keys than these."""
    if unknown_keys := set(entry) - {*keys, *optional}:
        raise unknown("key", sorted(unknown_keys)[0], (*keys, *optional))
    if missing := [key for key in keys if key not in entry]:
        raise KeyError(f"no {missing[0]!r} in {sorted(entry)}")
