"""A direction: a vector, and everything needed to use it rightly. Directions are those of several layers.

Sign convention: a positive coefficient moves activations toward the positive set. For the bundled ``refusal`` pairs
that is toward refusal. The mean activation norm at the site travels with the vector, because only relative doses
compare across layers, methods and models.
"""

import base64
import hashlib
import json
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from functools import cached_property
from numbers import Integral
from pathlib import Path

import numpy as np
import torch
from jaxtyping import Float
from torch import Tensor

from workbench._errors import WorkbenchError, unknown
from workbench.steering.control_vectors import read_control_vectors, write_control_vectors, written
from workbench.steering.positions import PROMPT, Positions
from workbench.steering.sites import Site

#: what files say of the sign of a coefficient
_SIGN = "a positive coefficient moves toward the positive set"


@dataclass(frozen=True, eq=False)
class Direction:
    """A vector at a site, with its provenance. Equal and hashed by content.

    Attributes:
        vector: [width], float32, in the units of the activations (not normalised).
        site: where the vector was read. An edit acts at the same site, unless ``at=`` gives another.
        model, revision: the weights that the vector came from.
        method: e.g. ``"mean_diff"``; controls say ``"random(seed=0)"`` or ``"orthogonal(seed=0)"``.
        read: the token positions that it was read from.
        prompts: hash of the contrast set.
        n_positive, n_negative: prompts per side.
        activation_norm: mean L2 norm of the activations at the site, over prompt tokens except the first of each
            prompt (an attention sink, whose norm is not typical). NaN if unknown.

    Raises:
        WorkbenchError: the vector is not one-dimensional, holds NaN or infinity, or is zero; an activation norm that is 0,
            negative or infinite.

    >>> from workbench.steering.sites import resid_post
    >>> d = Direction(torch.tensor([3.0, 4.0]), resid_post(12), "my-model", activation_norm=50.0)
    >>> round(float(d.vector.norm() / d.activation_norm), 3), (-d).vector.tolist()  # ratio=0.1 is the vector itself
    (0.1, [-3.0, -4.0])
    """

    vector: Float[Tensor, " width"] = field(repr=False)
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
        try:
            given = torch.as_tensor(self.vector)
            if given.is_complex():
                raise TypeError("its numbers are complex")
            vector = given.detach().to("cpu", torch.float32).contiguous()
        except (TypeError, ValueError, RuntimeError) as error:
            raise WorkbenchError(
                f"a direction is one vector of numbers, [width], not {self.vector!r} ({error})"
            ) from error
        if vector.ndim != 1:
            raise WorkbenchError(f"a direction is one vector of shape [width], not {tuple(vector.shape)}")
        if not torch.isfinite(vector).all():
            raise WorkbenchError(
                f"the vector for {self.site!r} holds {int((~torch.isfinite(vector)).sum())} NaN or infinite values"
            )
        if not vector.any():
            raise WorkbenchError(f"the vector for {self.site!r} is zero: the two sides do not differ there")
        object.__setattr__(self, "vector", vector)
        norm = self.activation_norm
        if not isinstance(norm, int | float) or isinstance(norm, bool) or norm <= 0 or norm == float("inf"):
            raise WorkbenchError(
                f"activation_norm={norm!r}: expected a mean length above 0, or NaN where it is unknown"
            )
        object.__setattr__(self, "activation_norm", float(norm))
        if not isinstance(self.site, Site) or not isinstance(self.read, Positions) or not isinstance(self.model, str):
            raise WorkbenchError(
                f"Direction(vector, {self.site!r}, {self.model!r}, read={self.read!r}): expected a site such as "
                "wb.resid_post(12), the name of a model, and positions such as wb.PROMPT[-1]"
            )

    @property
    def norm(self) -> float:
        """L2 norm of the vector, accumulated in float64."""
        return float(self.vector.double().norm())

    @property
    def relative_norm(self) -> float:
        """‖v‖ over the mean activation norm at the site: the dose of one unit of ``coef``."""
        return self.norm / self.activation_norm

    @cached_property
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
        try:
            scaled = self.vector * factor
        except (TypeError, ValueError, RuntimeError, OverflowError) as error:
            raise WorkbenchError(f"a direction times {factor!r:.40}: expected one number ({error})") from error
        return replace(self, vector=scaled)

    __rmul__ = __mul__

    def __repr__(self) -> str:
        return (
            f"Direction({self.method} at {self.site!r}, read at {self.read}; model {self.model}, norm {self.norm:.4g})"
        )

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

    def transfer(self, model: str, revision: str = "", activation_norm: float | None = None) -> "Direction":
        """The same vector, declared valid for another model, e.g. from a base to its tuned model.

        ``activation_norm`` is the mean activation norm in that model, if known. Otherwise doses keep the units of the
        original model.
        """
        if not isinstance(model, str) or not model.strip():
            raise WorkbenchError(f"model={model!r:.60}: expected the name of a model, e.g. model.name")
        norm = self.activation_norm if activation_norm is None else activation_norm
        method = f"{self.method} of {self.model}"
        return replace(self, model=model, revision=revision, activation_norm=norm, method=method)

    def orthogonal_to(self, *others: "Direction") -> "Direction":
        """The vector without its components along other directions. Raises WorkbenchError if nothing is left."""
        if not others:
            raise WorkbenchError("orthogonal_to() expected a Direction or more")
        for other in others:
            self._check_width(other)
        spanned = torch.linalg.qr(torch.stack([o.vector.double() for o in others], dim=1)).Q
        rest = self.vector.double()
        for _ in range(2):  # the second pass removes what rounding left
            rest = rest - spanned @ (spanned.T @ rest)
        if rest.norm() < 1e-6 * self.norm:
            raise WorkbenchError(f"nothing is left of the direction at {self.site!r}: the others span it")
        return replace(self, vector=rest.float(), method=f"{self.method} orthogonalised")

    def _noise(self, kind: str, seed: int) -> Tensor:
        if len(self.vector) < 2:
            raise WorkbenchError("a control needs a vector of at least two dimensions")
        if not isinstance(seed, Integral) or isinstance(seed, bool):
            raise WorkbenchError(f"seed={seed!r:.60}: expected a whole number")
        key = hashlib.sha256(f"{kind}|{seed}|{self.site}|{len(self.vector)}".encode()).digest()
        generator = torch.Generator().manual_seed(int.from_bytes(key[:8], "big") >> 1)
        return torch.randn(len(self.vector), generator=generator, dtype=torch.float64)

    def _check_width(self, other: "Direction") -> None:
        if not isinstance(other, Direction):
            raise WorkbenchError(f"expected a Direction, as wb.extract makes them, not {other!r}")
        if len(self.vector) != len(other.vector):
            raise WorkbenchError(
                f"widths differ: {len(self.vector)} at {self.site!r} and {len(other.vector)} at {other.site!r}"
            )

    def metadata(self) -> dict[str, str]:
        """Everything but the vector, as text."""
        plain = ("site", "model", "revision", "method", "read", "prompts", "n_positive", "n_negative")
        return {key: str(getattr(self, key)) for key in plain} | {
            "activation_norm": self.activation_norm.hex(),
            "sign": _SIGN,
        }

    def save(self, path: str | Path) -> Path:
        """Write the vector and its provenance as one safetensors file, and return its path."""
        return save_tensors(path, {"vector": self.vector}, self.metadata())

    @classmethod
    def load(cls, path: str | Path) -> "Direction":
        """Read a direction that ``save`` wrote. Raises WorkbenchError for any other file."""
        tensors, metadata = load_tensors(path)
        if set(tensors) != {"vector"}:
            raise WorkbenchError(f"{path}: holds {', '.join(tensors)}, not one direction; try wb.Directions.load")
        return cls.from_metadata(tensors["vector"], metadata, path)

    @classmethod
    def from_metadata(cls, vector: Tensor, metadata: dict[str, str], where: str | Path) -> "Direction":
        """A direction from a vector and what ``metadata`` returned; ``where`` names the file in errors."""
        try:
            site, read = Site.parse(metadata["site"]), Positions.parse(metadata["read"])
            model, revision, method, prompts = (metadata[key] for key in ("model", "revision", "method", "prompts"))
            counts = int(metadata["n_positive"]), int(metadata["n_negative"])
            for name in ("n_positive", "n_negative"):
                if int(metadata[name]) < 0:
                    raise ValueError(f"{name} is {metadata[name]}")
            if metadata.get("sign", _SIGN) != _SIGN:
                raise ValueError(f"sign is {metadata['sign']!r:.60}; here {_SIGN}")
            norm = float.fromhex(metadata["activation_norm"])
            return cls(vector, site, model, revision, method, read, prompts, *counts, norm)
        except (KeyError, ValueError, TypeError, AttributeError, OverflowError) as error:
            raise WorkbenchError(f"{where}: no direction written by this project ({error!r})") from error

    @classmethod
    def from_text(cls, vector: Tensor, text: str, where: str | Path) -> "Direction":
        """The same, from ``metadata`` as JSON."""
        try:
            metadata = json.loads(text, object_pairs_hook=once)
        except (ValueError, RecursionError) as error:
            raise WorkbenchError(f"{where}: no direction written by this project ({error})") from error
        return cls.from_metadata(vector, metadata, where)

    def to_json(self) -> str:
        """Vector (base64 of little-endian float32) and provenance as JSON; reads back bit for bit."""
        encoded = base64.b64encode(self.vector.numpy().astype("<f4").tobytes()).decode()
        return json.dumps({"vector": encoded, **self.metadata()})

    @classmethod
    def from_json(cls, text: str) -> "Direction":
        """Read what ``to_json`` wrote. Raises WorkbenchError for anything else."""
        try:
            content = json.loads(text, object_pairs_hook=once)
            vector = np.frombuffer(base64.b64decode(content["vector"], validate=True), dtype="<f4").copy()
        except (ValueError, KeyError, TypeError, RecursionError) as error:
            raise WorkbenchError(f"not a Direction written by to_json ({error!r})") from error
        direction = cls.from_metadata(torch.from_numpy(vector), content, "JSON")
        if strangers := set(content) - {"vector", *direction.metadata()}:
            raise unknown("key", sorted(strangers)[0], direction.metadata())
        return direction

    def to_gguf(self, path: str | Path, model_hint: str = "llama") -> Path:
        """Write a control-vector file with this one layer; see ``Directions.to_gguf``."""
        return Directions((self,)).to_gguf(path, model_hint)

    @classmethod
    def from_gguf(cls, path: str | Path, model: str = "") -> "Direction":
        """Read a control-vector file of one layer. Raises WorkbenchError if there are more; see ``Directions.from_gguf``."""
        ds = Directions.from_gguf(path, model)
        if len(ds) != 1:
            raise WorkbenchError(f"{path}: holds layers {', '.join(map(str, ds.layers))}; use wb.Directions.from_gguf")
        return ds.items[0]


def once(pairs: list[tuple[str, object]]) -> dict[str, object]:
    """An object of JSON, in which each key stands once."""
    names = [name for name, _ in pairs]
    if twice := next((name for name in names if names.count(name) > 1), None):
        raise ValueError(f"{twice!r} occurs twice")
    return dict(pairs)


def save_tensors(path: str | Path, tensors: Mapping[str, Tensor], metadata: Mapping[str, str]) -> Path:
    """Write a safetensors file, and return its path."""
    from safetensors.torch import save_file

    with written(path) as draft:
        save_file(dict(tensors), draft, metadata=dict(metadata))
    return Path(path)


def load_tensors(path: str | Path) -> tuple[dict[str, Tensor], dict[str, str]]:
    """Tensors and metadata of a safetensors file. Raises WorkbenchError if it is no such file."""
    from safetensors import SafetensorError, safe_open

    try:
        with safe_open(str(path), framework="pt") as file:
            return {name: file.get_tensor(name) for name in file.keys()}, file.metadata() or {}  # noqa: SIM118
    except (SafetensorError, OSError) as error:
        raise WorkbenchError(f"{path}: not a safetensors file of directions ({error})") from error


@dataclass(frozen=True)
class Directions:
    """One direction per site, from one pass over the prompts: ``ds[12]`` is that of layer 12.

    Raises:
        WorkbenchError: two directions of one layer, or of different kinds of site.

    >>> ds = wb.extract(model, tiny_pairs, at=wb.resid_post.all)
    >>> ds.layers, ds[2].site, len(ds.select([1, 2]))
    ((0, 1, 2), resid_post(2), 2)
    """

    items: tuple[Direction, ...]

    def __post_init__(self) -> None:
        sites = [item.site for item in self.items if isinstance(item, Direction)]
        layers = {site.layer for site in sites}
        if len(layers) < len(self.items) or len({site.kind for site in sites}) > 1:
            raise WorkbenchError("Directions hold one direction per layer, all at one kind of site")

    def __getitem__(self, layer: int) -> Direction:
        for direction in self.items:
            if direction.site.layer == layer and not isinstance(layer, bool):
                return direction
        raise WorkbenchError(f"no direction for layer {layer!r}; there are {', '.join(map(str, self.layers))}")

    def select(self, layers: Sequence[int]) -> "Directions":
        """Those of some layers, in the order given. Raises WorkbenchError for a layer without a direction."""
        if not isinstance(layers, Iterable):
            raise WorkbenchError(f"layers={layers!r:.60}: expected a list of layers, e.g. [12]")
        return Directions(tuple(self[layer] for layer in layers))

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

    def orthogonalised(self) -> "Directions":
        """Each layer's direction with its components along those of all earlier layers removed (log 002, multi-layer).

        Removing the shared components shortens a vector; its dose is computed from the remaining norm.
        """
        items: list[Direction] = []
        for direction in sorted(self.items, key=lambda d: d.site):
            items.append(direction.orthogonal_to(*items) if items else direction)
        return Directions(tuple(items))

    def __repr__(self) -> str:
        if not self.items:
            return "Directions()"
        first, layers = self.items[0], ", ".join(map(str, self.layers))
        return f"Directions({first.method} at {first.site.kind} of layers {layers}; model {first.model})"

    def _repr_html_(self) -> str:
        return self.frame().to_html(index=False, float_format="{:.4g}".format)

    def frame(self):
        """One row per layer: norm, mean activation norm, and their ratio. A pandas DataFrame."""
        import pandas as pd

        columns = [(d.site.layer, d.norm, d.activation_norm, d.relative_norm, d.method, d.id) for d in self.items]
        return pd.DataFrame(columns, columns=["layer", "norm", "activation_norm", "relative_norm", "method", "id"])

    def save(self, path: str | Path) -> Path:
        """Write all directions as one safetensors file, and return its path."""
        metadata = {str(d.site): json.dumps(d.metadata()) for d in self.items}
        return save_tensors(path, {str(d.site): d.vector for d in self.items}, metadata)

    @classmethod
    def load(cls, path: str | Path) -> "Directions":
        """Read directions that ``save`` wrote. Raises WorkbenchError for any other file."""
        tensors, metadata = load_tensors(path)
        if not set(tensors) <= set(metadata) or not tensors:
            raise WorkbenchError(f"{path}: not a file of directions; try wb.Direction.load")
        items = [Direction.from_text(v, metadata[name], path) for name, v in tensors.items()]
        return cls(tuple(sorted(items, key=lambda d: d.site)))

    def to_gguf(self, path: str | Path, model_hint: str = "llama") -> Path:
        """Write a control-vector file for llama.cpp, repeng or EasySteer, which add it to the output of each block.

        ``model_hint`` is the architecture these tools expect, e.g. "llama" or "gemma3". Vectors keep their length: scale 1
        in those tools is ``coef=1`` here. Returns the path.

        Raises:
            WorkbenchError: another kind of site than ``resid_post``, or layer 0, which the format leaves out.
        """
        for site in (d.site for d in self.items):
            if site.kind != "resid_post" or site.layer == 0:
                raise WorkbenchError(
                    f"a control-vector file holds directions at resid_post of layers 1 and up, not at {site!r}"
                )
        vectors = {d.site.layer: d.vector.numpy() for d in self.items}
        provenance = json.dumps({d.site.layer: d.metadata() for d in self.items})
        return write_control_vectors(path, vectors, model_hint, provenance)

    @classmethod
    def from_gguf(cls, path: str | Path, model: str = "") -> "Directions":
        """Directions at ``resid_post`` of a control-vector file, of this project or of another tool.

        ``model`` is what the vectors are for; by default what the file says (other tools only give a hint). Files of other
        tools carry no activation norm: use ``coef=`` with them. Raises WorkbenchError for any other file.
        """
        vectors, hint, provenance = read_control_vectors(path)
        try:
            known = dict(json.loads(provenance)) if provenance else {}
        except (ValueError, TypeError) as error:
            raise WorkbenchError(f"{path}: what it says of its directions cannot be read ({error})") from error
        items = []
        for layer, vector in sorted(vectors.items()):
            if str(layer) in known:
                direction = Direction.from_metadata(torch.from_numpy(vector), known[str(layer)], path)
                items.append(replace(direction, model=model) if model else direction)
            else:
                site = Site(layer, "resid_post")
                items.append(Direction(torch.from_numpy(vector), site, model or hint, method="gguf"))
        return cls(tuple(items))
