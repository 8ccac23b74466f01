"""Control-vector files in GGUF, as llama.cpp, repeng and EasySteer read and write them. Arrays in, arrays out.

Keys: ``general.architecture`` is ``controlvector``; ``controlvector.model_hint`` and ``controlvector.layer_count``; one
float32 tensor ``direction.N`` per layer, which the tools add to the output of block N (their loaders know no layer 0).
"""

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path

import numpy as np
from jaxtyping import Float

from workbench._errors import WorkbenchError
from workbench._files import whole

_ARCHITECTURE = "controlvector"
_PROVENANCE = "workbench.directions"


@contextmanager
def written(path: str | Path) -> Iterator[Path]:
    """As ``whole``. Raises WorkbenchError where the file cannot be written, e.g. on a full disk: the old one stays as it was."""
    from safetensors import SafetensorError

    try:
        with whole(path) as draft:
            yield draft
    except (OSError, SafetensorError) as error:
        raise WorkbenchError(f"{path}: cannot be written ({error}); what was there before is as it was") from error


def write_control_vectors(
    path: str | Path, vectors: Mapping[int, Float[np.ndarray, " d_model"]], model_hint: str, provenance: str
) -> Path:
    """Write one vector per layer.

    Args:
        path: of the file.
        vectors: by layer, float32.
        model_hint: architecture name, e.g. ``"llama"``.
        provenance: kept under a key of our own, which other tools ignore.
    """
    import gguf

    with written(path) as draft:
        writer = gguf.GGUFWriter(str(draft), _ARCHITECTURE)
        writer.add_string(f"{_ARCHITECTURE}.model_hint", model_hint)
        writer.add_uint32(f"{_ARCHITECTURE}.layer_count", len(vectors))
        writer.add_string(_PROVENANCE, provenance)
        for layer, vector in sorted(vectors.items()):
            writer.add_tensor(f"direction.{layer}", np.ascontiguousarray(vector, dtype=np.float32))
        writer.write_header_to_file()
        writer.write_kv_data_to_file()
        writer.write_tensors_to_file()
        writer.close()
    return Path(path)


def read_control_vectors(path: str | Path) -> tuple[dict[int, np.ndarray], str, str]:
    """Vectors by layer, the model hint, and our provenance text ("" in files of other tools).

    Raises:
        WorkbenchError: no such file, not GGUF, not a control vector, vectors of several widths, or of a type or with values
            that cannot be read as numbers.
    """
    import gguf

    try:
        reader = gguf.GGUFReader(str(path))
    except (OSError, ValueError, IndexError, KeyError) as error:
        raise WorkbenchError(f"{path}: cannot be read as GGUF ({error})") from error
    architecture = _text(reader, "general.architecture")
    if architecture != _ARCHITECTURE:
        raise WorkbenchError(f"{path}: holds {architecture or 'no architecture'!r}, not a control vector")
    vectors: dict[int, np.ndarray] = {}
    for tensor in reader.tensors:
        kind, _, layer = tensor.name.partition(".")
        if kind != "direction" or not layer.isdecimal():
            raise WorkbenchError(f"{path}: tensor {tensor.name!r}; expected names like direction.12")
        try:  # quantised files hold bytes, which have to be made numbers
            vector = np.array(gguf.dequantize(tensor.data, tensor.tensor_type), dtype=np.float32)
        except (NotImplementedError, ValueError) as error:
            kind = tensor.tensor_type.name
            raise WorkbenchError(f"{path}: {tensor.name} is of type {kind}, which cannot be read ({error})") from error
        if vector.ndim != 1 or not np.isfinite(vector).all() or int(layer) in vectors:
            raise WorkbenchError(
                f"{path}: {tensor.name} is not one vector of finite numbers, once; its shape is {vector.shape}"
            )
        vectors[int(layer)] = vector
    if len(widths := {len(vector) for vector in vectors.values()}) > 1:
        raise WorkbenchError(
            f"{path}: its directions are of widths {', '.join(map(str, sorted(widths)))}; expected one"
        )
    if not vectors:
        raise WorkbenchError(f"{path}: a control vector without any direction")
    return vectors, _text(reader, f"{_ARCHITECTURE}.model_hint"), _text(reader, _PROVENANCE)


def _text(reader: object, key: str) -> str:
    field = reader.get_field(key)  # type: ignore[attr-defined]
    return "" if field is None else str(field.contents())
