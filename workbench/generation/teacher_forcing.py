"""How responses are read again, teacher-forced: the model's log-probabilities at every response token, steered or not."""

from collections.abc import Iterator, Sequence

import numpy as np
import torch
from jaxtyping import Float, Int
from torch import Tensor

from workbench._errors import WorkbenchError
from workbench.generation.engine import Batch, read_prompt, read_shared
from workbench.generation.steer_hooks import Applied, alone, check_all, check_positions, check_sizes, first_edited
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
    prompts = [ids[:start] for ids, start in zip(chats.token_ids, chats.prompt_lengths, strict=True)]
    own = list(dict.fromkeys(prompts))
    if len(own) < len(prompts) and not any(steer.effective for steer in steers):
        asked, which = Encoded(("",) * len(own), tuple(own), chats.pad_id), {one: i for i, one in enumerate(own)}
        where = torch.tensor([which[prompt] for prompt in prompts], device=model.device)
        return _read_continuations(model, asked, range(len(own)), [Steer()] * len(own), chats.responses, where)
    ids, _ = chats.padded(device=model.device)
    return _nats(_read(model, chats, steers), ids[:, max(chats.prompt_lengths) :])


@torch.no_grad()
def continuation_surprise(
    model: Model,
    chats: Encoded,
    steers: Sequence[Steer],
    continuations: Sequence[Sequence[Sequence[int]]],
    batch_size: int = 16,
) -> list[list[np.ndarray]]:
    """Minus the log-probability of each token of several responses to each chat, which is read once for all of them.

    Args:
        chats: prompts.
        steers: one per chat; positions in the response are those of each continuation.
        continuations: token ids of at least one response per chat, none of them empty.
        batch_size: chats per forward pass.

    Returns:
        For each chat and each of its continuations, nats per token, float64 [token].

    Raises:
        WorkbenchError: a batch size below 1, or a Steer that does not fit the model.

    >>> nats = continuation_surprise(model, model.encode(["write a song"]), [wb.Steer()], [[(7, 8), (9,)]])
    >>> [len(one) for one in nats[0]]
    [2, 1]
    """
    check_sizes(batch_size=batch_size)
    check_all(steers, model)
    check_positions(steers, chats.lengths)
    order = sorted(range(len(chats)), key=lambda row: (chats.lengths[row], chats.token_ids[row]))
    told: dict[int, list[np.ndarray]] = {}
    for start in range(0, len(order), batch_size):
        rows = order[start : start + batch_size]
        own = [tuple(one) for row in rows for one in continuations[row]]
        where = torch.tensor([i for i, row in enumerate(rows) for _ in continuations[row]], device=model.device)
        nats = _read_continuations(model, chats, rows, [steers[row] for row in rows], own, where).double().cpu().numpy()
        read = iter([row[: len(one)] for row, one in zip(nats, own, strict=True)])
        for row in rows:
            told[row] = [next(read) for _ in continuations[row]]
    return [told[row] for row in range(len(chats))]


def _read_continuations(
    model: Model,
    chats: Encoded,
    rows: Sequence[int],
    steers: Sequence[Steer],
    continuations: Sequence[tuple[int, ...]],
    where: Tensor,
) -> Float[Tensor, "continuation pos"]:
    """Nats per token of the continuations of a batch: continuation ``i`` follows the chat ``rows[where[i]]``.

    Each chat is read once for all of its continuations, and what chats have in common before the first edit once for all of them.
    """
    new = max(map(len, continuations))
    ids = torch.tensor([(*one, *[chats.pad_id] * (new - len(one))) for one in continuations], device=model.device)
    mask = torch.tensor([[1] * len(one) + [0] * (new - len(one)) for one in continuations], device=model.device)
    starts = [first_edited(steer, chats.lengths[row]) for steer, row in zip(steers, rows, strict=True)]
    if len({chats.token_ids[row] for row in rows}) == len(rows):  # nothing in common: one pass, not two
        starts = [0] * len(rows)
    batch = Batch.of(model, chats, rows, steers, starts, new, watched=False)
    with alone(model):
        cache = read_shared(model, batch)
        with batch.applied.hooked(model):
            logits = read_prompt(model, batch, cache)[where, None]
            if new > 1:
                cache.keep(where)
                batch.applied.keep(where)
                batch.applied.cursor = batch.ids.shape[1]
                rest = model.hf(
                    input_ids=ids[:, :-1],
                    attention_mask=torch.cat([batch.mask[where], mask[:, :-1]], dim=1),
                    position_ids=batch.positions[where, -1:] + 1 + torch.arange(new - 1, device=model.device),
                    past_key_values=cache,
                    use_cache=True,
                )
                logits = torch.cat([logits, rest.logits], dim=1)
    return _nats(logits, ids)


def _nats(logits: Float[Tensor, "batch pos vocab"], ids: Int[Tensor, "batch pos"]) -> Float[Tensor, "batch pos"]:
    """Minus the log-probability of these tokens."""
    logits = _precise(logits)
    return logits.logsumexp(-1) - logits.gather(-1, ids[..., None]).squeeze(-1)


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


def _precise(logits: Tensor) -> Tensor:
    return logits if logits.dtype == torch.float64 else logits.float()
