"""What a model was loaded with, so that another process can load the same one."""

from dataclasses import dataclass

import torch


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
