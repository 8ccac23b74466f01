"""How a model is asked for: in which dtype, and what it was loaded with, so that another process can load the same one."""

from dataclasses import dataclass

import torch

from workbench.errors import WorkbenchError


@dataclass(frozen=True)
class Loading:
    """Arguments of ``load`` that decide the weights; where they lie is for each process to choose.

    Attributes:
        name: a registry name, a hub id, or the absolute path of a folder. revision: of a hub model, else None.
    """

    name: str
    dtype: torch.dtype
    device_map: str | dict | None
    revision: str | None
    chat_template: str | None
    adapter_scale: float = 1.0


def dtype_of(dtype: str | torch.dtype, device: str | None) -> torch.dtype:
    """The dtype that ``load`` was given by name, or as "auto".

    Raises:
        WorkbenchError: not one that models are run in.
    """
    if dtype == "auto":
        return fast_dtype(device)
    found = getattr(torch, dtype, None) if isinstance(dtype, str) else dtype
    if found not in (torch.float64, torch.float32, torch.bfloat16, torch.float16):
        raise WorkbenchError(f"dtype {dtype!r}: expected float32, bfloat16, float16, float64 or 'auto'")
    return found


def fast_dtype(device: str | None = None) -> torch.dtype:
    """bfloat16 where the hardware multiplies matrices in it (a GPU, or a CPU with AMX), float32 elsewhere."""
    if torch.cuda.is_available() and device != "cpu":
        return torch.bfloat16
    has_amx = getattr(torch.cpu, "_is_amx_tile_supported", lambda: False)()
    return torch.bfloat16 if has_amx else torch.float32
