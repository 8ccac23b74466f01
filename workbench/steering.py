"""What is done to the activations: a Steer is an ordered tuple of edits, data from end to end.

Every edit is a delta that is added to the activations at its site, on its positions:

====== ================================================ ========================
add    ``coef * v``                                     Turner et al. 2023; Rimsky et al. 2024
ablate ``-(h . u) u`` with ``u`` the unit vector        Arditi et al. 2024
====== ================================================ ========================
"""

import hashlib
import json
import math
import warnings
from dataclasses import dataclass

import numpy as np

from workbench.directions import Direction
from workbench.errors import WorkbenchError
from workbench.models import Model
from workbench.positions import ALL, Positions, as_positions
from workbench.sites import Site, as_site, check_layer


@dataclass(frozen=True)
class Edit:
    """One change at one site: ``add`` (coef times the vector) or ``ablate`` (remove the component along it)."""

    operation: str
    direction: Direction
    site: Site
    on: Positions
    coef: float = 1.0

    @property
    def dose(self) -> float:
        """|coef| · ‖v‖ over the mean activation norm: 0.3 moves a typical activation by 30% of its length. NaN for ablate."""
        if self.operation != "add":
            return float("nan")
        return abs(self.coef) * self.direction.relative_norm

    def changes_nothing(self) -> bool:
        """Whether the edit is the identity: a coefficient of zero."""
        return self.operation == "add" and self.coef == 0

    def __str__(self) -> str:
        amount = f"{self.coef:+.4g}·" if self.operation == "add" else ""
        return f"{self.operation}({amount}{self.direction.method} at {self.site!r} on {self.on})"


@dataclass(frozen=True)
class Steer:
    """An ordered tuple of edits; ``a + b`` joins two, ``Steer()`` changes nothing.

    >>> str(Steer())
    'Steer()'
    """

    edits: tuple[Edit, ...] = ()

    def __add__(self, other: "Steer") -> "Steer":
        if not isinstance(other, Steer):
            return NotImplemented
        return Steer(self.edits + other.edits)

    def __str__(self) -> str:
        return " + ".join(map(str, self.edits)) if self.edits else "Steer()"

    @property
    def effective(self) -> tuple[Edit, ...]:
        """The edits that change something."""
        return tuple(edit for edit in self.edits if not edit.changes_nothing())

    @property
    def key(self) -> str:
        """A canonical description: two Steers with the same key do exactly the same to the activations.

        ``add(-d, c)`` and ``add(d, -c)`` share a key, as do all Steers that change nothing.
        """
        return json.dumps([_canonical(edit) for edit in self.effective])


def _canonical(edit: Edit) -> list:
    """One edit up to identity: the sign lives in the coefficient, by making the first nonzero component positive."""
    vector, coef = edit.direction.vector, edit.coef
    if vector[vector.nonzero()[0]] < 0:
        vector, coef = -vector, -coef
    digest = hashlib.sha256((vector + 0.0).numpy().tobytes()).hexdigest()[:16]
    amount = float(coef).hex() if edit.operation == "add" else ""
    return [edit.operation, digest, amount, str(edit.site), str(edit.on)]


def add(
    direction: Direction,
    coef: float | None = None,
    *,
    ratio: float | None = None,
    on: Positions | str = ALL,
    at: Site | str | None = None,
) -> Steer:
    """Add a multiple of a direction to the activations.

    Args:
        direction: the direction; a positive amount moves toward its positive set.
        coef: the amount in units of the vector; or
        ratio: the amount as a dose, in units of the mean activation norm at the site (0.3 is strong, above 1 the
            direction outweighs the activations themselves).
        on: which tokens; all of them by default.
        at: where; by default the site the direction was read at.

    Raises:
        WorkbenchError: neither or both of ``coef`` and ``ratio``, an amount that is not finite, or a ratio for a
            direction whose activation norm at that site is unknown.

    >>> add(d, ratio=0.3, on=wb.PROMPT[-1] | wb.RESPONSE)  # doctest: +SKIP
    """
    if (coef is None) == (ratio is None):
        raise WorkbenchError("add() takes one of coef= (units of the vector) and ratio= (units of the activation norm)")
    site = direction.site if at is None else as_site(at)
    if ratio is not None:
        if site != direction.site or math.isnan(direction.activation_norm):
            raise WorkbenchError(
                f"ratio= needs the activation norm at {site!r}, which this direction (read at {direction.site!r}) does "
                "not carry; use coef=, or a direction extracted there"
            )
        coef = ratio / direction.relative_norm
    if coef is None or not math.isfinite(coef):
        raise WorkbenchError(f"the amount to add is {coef}; expected a finite number")
    edit = Edit("add", direction, site, as_positions(on), float(coef))
    if edit.dose > 1:
        warnings.warn(
            f"a dose of {edit.dose:.2f} at {edit.site!r} is above 1: past the activations' own norm, text tends to break "
            "down and its collapse reads as an effect (perturbation-ratio finding, S2.10); score coherence",
            stacklevel=2,
        )
    return Steer((edit,))


def ablate(direction: Direction, *, on: Positions | str = ALL, at: Site | str | None = None) -> Steer:
    """Remove the component of the activations along a direction (Arditi et al. 2024).

    Args:
        direction: the direction; its length and sign do not matter.
        on: which tokens; all of them by default.
        at: where; by default the site the direction was read at.
    """
    site = direction.site if at is None else as_site(at)
    return Steer((Edit("ablate", direction, site, as_positions(on)),))


def check(steer: Steer, model: Model) -> None:
    """Refuse, before any compute, a Steer that does not fit the model.

    Raises:
        WorkbenchError: a layer the model does not have, a vector of the wrong width, or positions that depend on where
            the response ends.
    """
    for edit in steer.edits:
        check_layer(edit.site, model.n_layers, model.name)
        width, expected = len(edit.direction.vector), site_width(model, edit.site)
        if width != expected:
            raise WorkbenchError(
                f"the direction has {width} dimensions but {edit.site!r} of {model.name} has {expected}; "
                f"it was read from {edit.direction.model}"
            )
        if edit.on.needs_end():
            raise WorkbenchError(
                f"{edit.on} depends on where the response ends, which is unknown while it is being written; "
                "count from the start, e.g. response[:5]"
            )


def site_width(model: Model, site: Site) -> int:
    """Width of the activations at a site: d_model, or heads times head width for q, k, v and z."""
    config = model.hf.config.get_text_config()
    if site.kind not in ("q", "k", "v", "z"):
        return model.d_model
    heads = config.num_attention_heads if site.kind in ("q", "z") else config.num_key_value_heads
    return heads * (getattr(config, "head_dim", None) or config.hidden_size // config.num_attention_heads)


def first_edited(steer: Steer, prompt_length: int) -> int:
    """The first token, counted from the start of the prompt, that a Steer may edit (prompt_length if none in the prompt)."""
    chosen = [edit.on.mask(prompt_length, prompt_length) for edit in steer.effective]
    marked = np.any(chosen, axis=0) if chosen else np.zeros(prompt_length, dtype=bool)
    return int(marked.argmax()) if marked.any() else prompt_length
