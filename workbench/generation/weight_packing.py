"""Weights laid out once, in the order in which a processor multiplies them.

PyTorch on a CPU brings a bfloat16 weight into that order anew at every product. A decoding step has few rows, so this takes
a good part of the product itself. The products are the same to the last bit.
"""

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass

import torch

from workbench.generation.memory import free_bytes
from workbench.models.model import Model

#: Packing reads and writes every weight once; from so many new tokens on it pays.
_FROM_TOKENS = 16

#: The share of the free memory that packed weights may take: they are copies.
_SHARE = 0.25


@dataclass(frozen=True)
class _Packed:
    """A weight as it was when it was packed, and its packed copy."""

    seen: tuple[int, int]
    copy: torch.Tensor

    @classmethod
    def of(cls, weight: torch.Tensor, rows: int) -> "_Packed":
        return cls(_seen(weight), torch.ops.mkldnn._reorder_linear_weight(weight.detach(), rows))


def _seen(weight: torch.Tensor) -> tuple[int, int]:
    """What changes when a weight is edited or replaced."""
    return weight.data_ptr(), 0 if weight.is_inference() else weight._version


class PrepackedWeights:
    """Packed copies of a model's linear weights; of none where that does not pay, or cannot be done.

    >>> with PrepackedWeights(model, rows=8, new=48).used():
    ...     model.hf.lm_head.weight.dtype  # float32: nothing is packed
    torch.float32
    """

    def __init__(self, model: Model, rows: int, new: int):
        self.modules = _linear(model) if new >= _FROM_TOKENS else []
        self.rows = rows
        self._packed: dict[torch.nn.Linear, _Packed] = {}

    @contextmanager
    def used(self) -> Iterator[None]:
        """Inside, the plain module multiplies with the packed weights; a weight that was edited since is packed again."""
        try:
            for module in self.modules:
                packed = self._packed.get(module)
                if packed is None or packed.seen != _seen(module.weight):
                    packed = self._packed[module] = _Packed.of(module.weight, self.rows)
                module.__dict__["forward"] = _product(module, packed.copy)
            yield
        finally:
            for module in self.modules:
                module.__dict__.pop("forward", None)


def _linear(model: Model) -> list[torch.nn.Linear]:
    """The linear modules whose weights can be packed: in bfloat16 on a processor that multiplies it, where memory is free."""
    mkldnn = torch.ops.mkldnn
    if model.device.type != "cpu" or model.dtype != torch.bfloat16 or not mkldnn._is_mkldnn_bf16_supported():
        return []
    own = [module for module in model.hf.modules() if type(module) is torch.nn.Linear]
    free = [module for module in own if "forward" not in vars(module) and module.weight.dtype == torch.bfloat16]
    fits = sum(module.weight.nbytes for module in free) <= _SHARE * free_bytes(model.device)
    return free if fits else []


def _product(module: torch.nn.Linear, packed: torch.Tensor) -> Callable[[torch.Tensor], torch.Tensor]:
    def forward(x: torch.Tensor) -> torch.Tensor:
        flat = x.reshape(-1, module.in_features)
        out = torch.ops.mkldnn._linear_pointwise(flat, packed, module.bias, "none", [], "")
        return out.view(*x.shape[:-1], module.out_features)

    return forward
