"""Directions of several layers, from one pass over the prompts."""

import json
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

from workbench.directions import Direction, load_tensors, read_gguf, write_gguf
from workbench.errors import WorkbenchError


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

    def select(self, layers: Sequence[int]) -> "Directions":
        """Those of some layers, in the order given. Raises WorkbenchError for a layer without a direction."""
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

        Norms shrink by what earlier layers already say; doses are taken from the norm that is left.
        """
        items: list[Direction] = []
        for direction in sorted(self.items, key=lambda d: d.site):
            items.append(direction.orthogonal_to(*items) if items else direction)
        return Directions(tuple(items))

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
        tensors, metadata = load_tensors(path)
        if not set(tensors) <= set(metadata):
            raise WorkbenchError(f"{path}: not a file of directions; try wb.Direction.load")
        items = [Direction.from_metadata(v, json.loads(metadata[name]), path) for name, v in tensors.items()]
        return cls(tuple(sorted(items, key=lambda d: d.site)))

    def to_gguf(self, path: str | Path, model_hint: str = "llama") -> Path:
        """Write a control-vector file for llama.cpp, repeng or EasySteer, which add it to the output of each block.

        Args:
            path: of the file, usually ``.gguf``.
            model_hint: the architecture these tools expect, e.g. "llama" or "gemma3".

        Returns:
            The path. Vectors keep their length: scale 1 in those tools is ``coef=1`` here.

        Raises:
            WorkbenchError: directions at another kind of site than ``resid_post``, or at layer 0, which the format
                leaves out.
        """
        return write_gguf(path, self.items, model_hint)

    @classmethod
    def from_gguf(cls, path: str | Path, model: str = "") -> "Directions":
        """Read a control-vector file, of this project or of another tool.

        Args:
            path: of the file.
            model: what model the vectors are for; by default what the file says (other tools only give a hint).

        Returns:
            Directions at ``resid_post``. Files of other tools carry no activation norm: use ``coef=`` with them.

        Raises:
            WorkbenchError: not a control-vector file.
        """
        return cls(read_gguf(path, model))
