"""What an unsteered model says of the token after a prompt: one forward pass, nothing generated."""

from collections.abc import Iterator

import torch

from workbench.models import Encoded, Model


@torch.no_grad()
def next_logits(model: Model, chats: Encoded, batch_size: int) -> Iterator[tuple[list[int], torch.Tensor]]:
    """Chats of like length together: their row numbers, and the logits behind the last token, [batch, vocabulary], float64."""
    order = sorted(range(len(chats)), key=lambda row: chats.lengths[row])
    for start in range(0, len(order), batch_size):
        rows = order[start : start + batch_size]
        ids, mask = chats.tensors(rows, model.device)
        positions = (mask.cumsum(-1) - 1).clamp(min=0)
        out = model.hf(input_ids=ids, attention_mask=mask, position_ids=positions, use_cache=False, logits_to_keep=1)
        yield rows, out.logits[:, -1].double()
