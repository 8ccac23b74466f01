"""A direction: a vector, and everything needed to use it rightly.

Sign convention: a positive coefficient moves activations toward the positive set. For the bundled ``refusal`` pairs
that is toward refusal. The mean activation norm at the site travels with the vector, because only relative doses
compare across layers, methods and models.
"""

import hashlib
import json
from collections.abc import Iterator
from dataclasses import dataclass, field, replace
from pathlib import Path

import torch

from workbench.errors import WorkbenchError
from workbench.positions import PROMPT, Positions
from workbench.sites import Site


@dataclass(frozen=True, eq=False)
class Direction:
    """A vector at a site, with its provenance. Equal and hashed by content.

    Attributes:
        vector: [width], float32, in the units of the activations (not normalised).
        site: where it was read, and where it is written unless told otherwise.
        model, revision: the weights it came from.
        method: e.g. ``"mean_diff"``; controls say ``"random(seed=0)"`` or ``"orthogonal(seed=0)"``.
        read: the positions it was read from.
        prompts: hash of the contrast set; n_positive, n_negative: prompts per side.
        activation_norm: mean L2 norm of the activations at the site, over prompt tokens except the first of each
            prompt (an attention sink whose norm says nothing about the others). NaN if unknown.

    Raises:
        WorkbenchError: the vector is not one-dimensional, holds NaN or infinity, or is zero.
    """

    vector: torch.Tensor = field(repr=False)
    site: Site
    model: str
    revision: str = ""
    method: str = "given"
    read: Positions = PROMPT[-1]
    prompts: str = ""
    n_positive: int = 0
    n_negative: int = 0
    activation_norm: float = float("nan")

    def __post_init__(self) -> None:
        vector = torch.as_tensor(self.vector).detach().to("cpu", torch.float32).contiguous()
        if vector.ndim != 1:
            raise WorkbenchError(f"a direction is one vector of shape [width], not {tuple(vector.shape)}")
        if not torch.isfinite(vector).all():
            raise WorkbenchError(
                f"the vector for {self.site!r} holds {int((~torch.isfinite(vector)).sum())} NaN or infinite values"
            )
        if not vector.any():
            raise WorkbenchError(f"the vector for {self.site!r} is zero: the two sides do not differ there")
        object.__setattr__(self, "vector", vector)

    @property
    def norm(self) -> float:
        """L2 norm of the vector, accumulated in float64."""
        return float(self.vector.double().norm())

    @property
    def relative_norm(self) -> float:
        """‖v‖ over the mean activation norm at the site: the dose of one unit of ``coef``."""
        return self.norm / self.activation_norm

    @property
    def id(self) -> str:
        """A short hash of the vector and its provenance: the same after saving and loading."""
        digest = hashlib.sha256(self.vector.numpy().tobytes())
        digest.update(json.dumps(self.metadata(), sort_keys=True).encode())
        return digest.hexdigest()[:16]

    def __eq__(self, other: object) -> bool:
        return isinstance(other, Direction) and self.id == other.id

    def __hash__(self) -> int:
        return hash(self.id)

    def unit(self) -> "Direction":
        """The same direction at norm 1."""
        return self * (1 / self.norm)

    def __mul__(self, factor: float) -> "Direction":
        return replace(self, vector=self.vector * factor)

    __rmul__ = __mul__

    def __neg__(self) -> "Direction":
        return replace(self, vector=-self.vector)

    def cosine(self, other: "Direction") -> float:
        """Cosine similarity with a direction of the same width, in float64."""
        self._check_width(other)
        return float(self.vector.double() @ other.vector.double()) / (self.norm * other.norm)

    def random(self, seed: int) -> "Direction":
        """A control: a Gaussian direction of equal norm, the same for the same seed, site and width."""
        noise = self._noise("random", seed)
        return replace(self, vector=(noise * (self.norm / noise.norm())).float(), method=f"random(seed={seed})")

    def orthogonal(self, seed: int) -> "Direction":
        """A control: a random direction of equal norm, orthogonal to this one.

        >>> d = Direction(torch.arange(1.0, 9.0), Site(0, "resid_post"), "tiny")
        >>> abs(d.cosine(d.orthogonal(seed=0))) < 1e-6
        True
        """
        noise, unit = self._noise("orthogonal", seed), self.vector.double() / self.norm
        for _ in range(2):  # the second pass removes what rounding left
            noise = noise - (noise @ unit) * unit
        return replace(self, vector=(noise * (self.norm / noise.norm())).float(), method=f"orthogonal(seed={seed})")

    def _noise(self, kind: str, seed: int) -> torch.Tensor:
        if len(self.vector) < 2:
            raise WorkbenchError("a control needs a vector of at least two dimensions")
        key = hashlib.sha256(f"{kind}|{seed}|{self.site}|{len(self.vector)}".encode()).digest()
        generator = torch.Generator().manual_seed(int.from_bytes(key[:8], "big") >> 1)
        return torch.randn(len(self.vector), generator=generator, dtype=torch.float64)

    def _check_width(self, other: "Direction") -> None:
        if len(self.vector) != len(other.vector):
            raise WorkbenchError(
                f"widths differ: {len(self.vector)} at {self.site!r} and {len(other.vector)} at {other.site!r}"
            )

    def metadata(self) -> dict[str, str]:
        """Everything but the vector, as text."""
        return {
            "site": str(self.site),
            "model": self.model,
            "revision": self.revision,
            "method": self.method,
            "read": str(self.read),
            "prompts": self.prompts,
            "n_positive": str(self.n_positive),
            "n_negative": str(self.n_negative),
            "activation_norm": self.activation_norm.hex(),
            "sign": "a positive coefficient moves toward the positive set",
        }

    def save(self, path: str | Path) -> Path:
        """Write the vector and its provenance as one safetensors file, and return its path."""
        from safetensors.torch import save_file

        save_file({"vector": self.vector}, path, metadata=self.metadata())
        return Path(path)

    @classmethod
    def load(cls, path: str | Path) -> "Direction":
        """Read a direction that ``save`` wrote.

        Raises:
            WorkbenchError: no such file, or no direction in it.
        """
        tensors, metadata = _read(path)
        if set(tensors) != {"vector"}:
            raise WorkbenchError(f"{path}: holds {', '.join(tensors)}, not one direction; try wb.Directions.load")
        return _from_metadata(tensors["vector"], metadata, path)


@dataclass(frozen=True)
class Directions:
    """One direction per site, from one pass over the prompts: ``ds[12]`` is that of layer 12."""

    items: tuple[Direction, ...]

    def __post_init__(self) -> None:
        layers = [d.site.layer for d in self.items]
        if len(set(layers)) != len(layers) or len({d.site.kind for d in self.items}) > 1:
            raise WorkbenchError("Directions hold one direction per layer, all at one kind of site")

    def __getitem__(self, layer: int) -> Direction:
        for direction in self.items:
            if direction.site.layer == layer:
                return direction
        raise WorkbenchError(f"no direction for layer {layer!r}; there are {', '.join(map(str, self.layers))}")

    def __iter__(self) -> Iterator[Direction]:
        return iter(self.items)

    def __len__(self) -> int:
        return len(self.items)

    def __neg__(self) -> "Directions":
        return Directions(tuple(-d for d in self.items))

    @property
    def layers(self) -> tuple[int, ...]:
        """The layers there is a direction for, in order."""
        return tuple(d.site.layer for d in self.items)

    def frame(self):
        """One row per layer: norm, mean activation norm, and their ratio. A pandas DataFrame."""
        import pandas as pd

        columns = [(d.site.layer, d.norm, d.activation_norm, d.relative_norm, d.method, d.id) for d in self.items]
        return pd.DataFrame(columns, columns=["layer", "norm", "activation_norm", "relative_norm", "method", "id"])

    def save(self, path: str | Path) -> Path:
        """Write all directions as one safetensors file, and return its path."""
        from safetensors.torch import save_file

        metadata = {str(d.site): json.dumps(d.metadata()) for d in self.items}
        save_file({str(d.site): d.vector for d in self.items}, path, metadata=metadata)
        return Path(path)

    @classmethod
    def load(cls, path: str | Path) -> "Directions":
        """Read directions that ``save`` wrote. Raises WorkbenchError for any other file."""
        tensors, metadata = _read(path)
        if not set(tensors) <= set(metadata):
            raise WorkbenchError(f"{path}: not a file of directions; try wb.Direction.load")
        items = [_from_metadata(vector, json.loads(metadata[name]), path) for name, vector in tensors.items()]
        return cls(tuple(sorted(items, key=lambda d: d.site)))


def _read(path: str | Path) -> tuple[dict[str, torch.Tensor], dict[str, str]]:
    from safetensors import SafetensorError, safe_open

    try:
        with safe_open(str(path), framework="pt") as file:
            return {name: file.get_tensor(name) for name in file.keys()}, file.metadata() or {}  # noqa: SIM118
    except (SafetensorError, OSError) as error:
        raise WorkbenchError(f"{path}: not a safetensors file of directions ({error})") from error


def _from_metadata(vector: torch.Tensor, metadata: dict[str, str], path: str | Path) -> Direction:
    try:
        return Direction(
            vector,
            Site.parse(metadata["site"]),
            metadata["model"],
            metadata["revision"],
            metadata["method"],
            Positions.parse(metadata["read"]),
            metadata["prompts"],
            int(metadata["n_positive"]),
            int(metadata["n_negative"]),
            float.fromhex(metadata["activation_norm"]),
        )
    except KeyError as error:
        raise WorkbenchError(f"{path}: has no {error} in its metadata; it was not written by Direction.save") from error
