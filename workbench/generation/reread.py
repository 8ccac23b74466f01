"""Reading responses again, teacher-forced: the model's log-probabilities at every response token, steered or not."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import torch

from workbench._errors import WorkbenchError
from workbench.generation.applied import Applied, check
from workbench.generation.kv_cache import distinct
from workbench.generation.recorder import Chats, right_padded
from workbench.models.model import Encoded, Model
from workbench.steering.steer import Steer


@dataclass(frozen=True)
class Batch:
    """Chats side by side: prompts end at one column, left-padded; responses follow, right-padded.

    Attributes:
        rows: which chats they are.
        ids, mask: [batch, column]. ``prompts`` columns are prompt, the rest is response.
        targets, real: [batch, token]: the response tokens, and which of them are no padding.
    """

    rows: tuple[int, ...]
    ids: torch.Tensor
    mask: torch.Tensor
    prompts: int
    prompt_lengths: tuple[int, ...]
    targets: torch.Tensor
    real: torch.Tensor

    @torch.no_grad()
    def log_probabilities(self, model: Model, steers: Sequence[Steer]) -> torch.Tensor:
        """Of every response token given what comes before it: [batch, token, vocabulary], float32 or float64."""
        return _precise(self._read(model, steers)).log_softmax(-1)

    @torch.no_grad()
    def surprise(self, model: Model, steers: Sequence[Steer]) -> torch.Tensor:
        """Minus the log-probability of each response token itself: [batch, token], nats."""
        first, where = distinct(self.ids[:, : self.prompts])
        shared = len(first) < len(where) and not any(steer.effective for steer in steers)
        logits = _precise(self._read_shared(model, first, where) if shared else self._read(model, steers))
        return logits.logsumexp(-1) - logits.gather(-1, self.targets[..., None]).squeeze(-1)

    def _read(self, model: Model, steers: Sequence[Steer]) -> torch.Tensor:
        new = self.targets.shape[1]
        applied = Applied(steers, self.prompt_lengths, self.prompts, new, model)
        with applied.hooked(model):
            out = model.hf(
                input_ids=self.ids,
                attention_mask=self.mask,
                position_ids=self._places,
                use_cache=False,
                logits_to_keep=new + 1,
            )
        return out.logits[:, :-1]  # what follows the last token is not asked

    def _read_shared(self, model: Model, first: torch.Tensor, where: torch.Tensor) -> torch.Tensor:
        """Unsteered, a prompt that several responses follow is read once."""
        upto = self.prompts
        prompt = model.hf(
            input_ids=self.ids[first, :upto],
            attention_mask=self.mask[first, :upto],
            position_ids=self._places[first, :upto],
            use_cache=True,
            logits_to_keep=1,
        )
        if self.targets.shape[1] == 1:
            return prompt.logits[where]
        prompt.past_key_values.batch_select_indices(where)
        rest = model.hf(
            input_ids=self.ids[:, upto:-1],
            attention_mask=self.mask[:, :-1],
            position_ids=self._places[:, upto:-1],
            past_key_values=prompt.past_key_values,
            use_cache=True,
        )
        return torch.cat([prompt.logits[where], rest.logits], dim=1)

    @property
    def _places(self) -> torch.Tensor:
        return (self.mask.cumsum(-1) - 1).clamp(min=0)


def _precise(logits: torch.Tensor) -> torch.Tensor:
    return logits if logits.dtype == torch.float64 else logits.float()


def batches(model: Model, chats: Chats, batch_size: int) -> Iterator[Batch]:
    """Chats of like length together, and of the same prompt; those without a response are left out.

    Raises:
        WorkbenchError: a batch size below 1, or a Steer that does not fit the model; before anything is read.
    """
    if batch_size < 1:
        raise WorkbenchError(f"batch_size is {batch_size}; expected at least 1")
    for steer in set(chats.steers):
        check(steer, model)
    return _batches(model, chats, batch_size)


def _batches(model: Model, chats: Chats, batch_size: int) -> Iterator[Batch]:
    def place(row: int) -> tuple[int, tuple[int, ...], int]:
        return len(chats.prompts[row]), chats.prompts[row], len(chats.responses[row])

    order = sorted((row for row in range(len(chats)) if chats.responses[row]), key=place)
    for start in range(0, len(order), batch_size):
        rows = tuple(order[start : start + batch_size])
        prompts = tuple(chats.prompts[row] for row in rows)
        ids, mask = Encoded(("",) * len(rows), prompts, model.tokenizer.pad_token_id).tensors(None, model.device)
        tail, real = right_padded([chats.responses[row] for row in rows], model)
        yield Batch(
            rows,
            torch.cat([ids, tail], dim=1),
            torch.cat([mask, real], dim=1),
            ids.shape[1],
            tuple(map(len, prompts)),
            tail,
            real.bool(),
        )
