"""Control-vector files in GGUF, as llama.cpp, repeng and EasySteer read and write them. Arrays in, arrays out.

Keys: ``general.architecture`` is ``controlvector``; ``controlvector.model_hint`` and ``controlvector.layer_count``; one
float32 tensor ``direction.N`` per layer, which the tools add to the output of block N (their loaders know no layer 0).
"""

from collections.abc import Mapping
from pathlib import Path

import numpy as np
from jaxtyping import Float

from workbench._errors import WorkbenchError
from workbench._files import whole

_ARCHITECTURE = "controlvector"
_PROVENANCE = "workbench.directions"


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

    with whole(path) as draft:
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
        WorkbenchError: no such file, not GGUF, or not a control vector.
    """
    import gguf

    try:
        reader = gguf.GGUFReader(str(path))
    except (OSError, ValueError, IndexError, KeyError) as error:
        raise WorkbenchError(f"{path}: cannot be read as GGUF ({error})") from error
    architecture = _text(reader, "general.architecture")
    if architecture != _ARCHITECTURE:
        raise WorkbenchError(f"{path}: holds {architecture or 'no architecture'!r}, not a control vector")
    vectors = {}
    for tensor in reader.tensors:
        kind, _, layer = tensor.name.partition(".")
        if kind != "direction" or not layer.isdecimal():
            raise WorkbenchError(f"{path}: tensor {tensor.name!r}; expected names like direction.12")
        vectors[int(layer)] = np.array(tensor.data, dtype=np.float32)
    if not vectors:
        raise WorkbenchError(f"{path}: a control vector without any direction")
    return vectors, _text(reader, f"{_ARCHITECTURE}.model_hint"), _text(reader, _PROVENANCE)


def _text(reader: object, key: str) -> str:
    field = reader.get_field(key)  # type: ignore[attr-defined]
    return "" if field is None else str(field.contents())
