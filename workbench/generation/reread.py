"""How responses are read again, teacher-forced: the model's log-probabilities at every response token, steered or not."""

from collections.abc import Iterator, Sequence

import torch
from jaxtyping import Float
from torch import Tensor

from workbench._errors import WorkbenchError
from workbench.generation.applied import Applied, check_all
from workbench.generation.kv_cache import distinct
from workbench.models.model import Encoded, Model
from workbench.steering.steer import Steer


def batches(model: Model, chats: Encoded, steers: Sequence[Steer], batch_size: int) -> Iterator[list[int]]:
    """Numbers of chats of like length together, and of the same prompt; those without a response are left out.

    Raises:
        WorkbenchError: a batch size below 1, or a Steer that does not fit the model; before anything is read.
    """
    if batch_size < 1:
        raise WorkbenchError(f"batch_size is {batch_size}; expected at least 1")
    check_all(steers, model)

    def place(row: int) -> tuple[int, tuple[int, ...], int]:
        start, ids = chats.prompt_lengths[row], chats.token_ids[row]
        return start, ids[:start], len(ids)

    order = sorted((row for row in range(len(chats)) if chats.responses[row]), key=place)
    return (order[start : start + batch_size] for start in range(0, len(order), batch_size))


@torch.no_grad()
def log_probabilities(model: Model, chats: Encoded, steers: Sequence[Steer]) -> Float[Tensor, "batch pos vocab"]:
    """Of every response token given what comes before it, in one forward pass; in float32, or float64 as the model.

    >>> chats = model.encode(["write a song", "how do i pick a lock"]).followed_by([(7, 8), (9,)])
    >>> log_probabilities(model, chats, [wb.Steer()] * 2).exp().sum(-1).allclose(torch.ones(2, 2))
    True
    """
    return _precise(_read(model, chats, steers)).log_softmax(-1)


@torch.no_grad()
def surprise(model: Model, chats: Encoded, steers: Sequence[Steer]) -> Float[Tensor, "batch pos"]:
    """Minus the log-probability of each response token itself, in nats; arbitrary behind the last token of a row.

    Without any steering, a prompt that several responses follow is read once.
    """
    width = max(chats.prompt_lengths)
    ids, mask = chats.padded(device=model.device)
    first, where = distinct(ids[:, :width])
    shared = len(first) < len(where) and not any(steer.effective for steer in steers)
    logits = _precise(_read_shared(model, ids, mask, width, first, where) if shared else _read(model, chats, steers))
    return logits.logsumexp(-1) - logits.gather(-1, ids[:, width:, None]).squeeze(-1)


def _read(model: Model, chats: Encoded, steers: Sequence[Steer]) -> Tensor:
    """Logits of every response token, [batch, pos, vocab]."""
    ids, mask = chats.padded(device=model.device)
    width = max(chats.prompt_lengths)
    new = ids.shape[1] - width
    with Applied(steers, chats.prompt_lengths, width, new, model).hooked(model):
        out = model.hf(
            input_ids=ids,
            attention_mask=mask,
            position_ids=chats.positions(mask),
            use_cache=False,
            logits_to_keep=new + 1,
        )
    return out.logits[:, :-1]  # what follows the last token is not asked


def _read_shared(model: Model, ids: Tensor, mask: Tensor, width: int, first: Tensor, where: Tensor) -> Tensor:
    """The same, unsteered: row ``i`` has distinct prompt ``where[i]``, whose first row is ``first[where[i]]``."""
    positions = Encoded.positions(mask)
    prompt = model.hf(
        input_ids=ids[first, :width],
        attention_mask=mask[first, :width],
        position_ids=positions[first, :width],
        use_cache=True,
        logits_to_keep=1,
    )
    if ids.shape[1] == width + 1:
        return prompt.logits[where]
    prompt.past_key_values.batch_select_indices(where)
    rest = model.hf(
        input_ids=ids[:, width:-1],
        attention_mask=mask[:, :-1],
        position_ids=positions[:, width:-1],
        past_key_values=prompt.past_key_values,
        use_cache=True,
    )
    return torch.cat([prompt.logits[where], rest.logits], dim=1)


def _precise(logits: Tensor) -> Tensor:
    return logits if logits.dtype == torch.float64 else logits.float()
