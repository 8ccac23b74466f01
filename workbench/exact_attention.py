"""Attention that stays in float64, for models without a fused kernel (Gemma 2, whose scores are soft-capped).

The eager attention of transformers takes its softmax in float32. In a float64 model that loses half the digits, and the
float64 mask value overflows there, so that a padded row comes out as NaN.
"""

from typing import Any

import torch

NAME = "workbench_exact"


def use_exact_attention(hf: Any) -> None:
    """Switch a float64 module that runs eager attention to this one; leave any other as it is."""
    if hf.dtype != torch.float64 or hf.config.get_text_config()._attn_implementation != "eager":
        return
    from transformers import AttentionInterface, AttentionMaskInterface
    from transformers.masking_utils import eager_mask

    AttentionInterface.register(NAME, _attention)
    AttentionMaskInterface.register(NAME, eager_mask)
    hf.set_attn_implementation(NAME)


def _attention(
    module: Any,
    query: torch.Tensor,  # [batch, head, pos, width]
    key: torch.Tensor,  # [batch, kv head, past, width]
    value: torch.Tensor,
    attention_mask: torch.Tensor | None,
    scaling: float | None = None,
    softcap: float | None = None,
    **_: Any,
) -> tuple[torch.Tensor, torch.Tensor]:
    groups = query.shape[1] // key.shape[1]
    key, value = key.repeat_interleave(groups, dim=1), value.repeat_interleave(groups, dim=1)
    scores = query @ key.transpose(2, 3) * (scaling or query.shape[-1] ** -0.5)
    if softcap is not None:
        scores = torch.tanh(scores / softcap) * softcap
    if attention_mask is not None:
        scores = scores + attention_mask[..., : key.shape[-2]]
    weights = scores.softmax(-1)
    return (weights @ value).transpose(1, 2).contiguous(), weights
