"""Reading responses again, teacher-forced: the model's log-probabilities at every response token, steered or not."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import torch

from workbench.applying import Applied
from workbench.edits import Steer
from workbench.errors import WorkbenchError
from workbench.models import Encoded, Model
from workbench.recording import Chats
from workbench.steering import check
from workbench.tracing import right_padded


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
        new = self.targets.shape[1]
        applied = Applied(steers, self.prompt_lengths, self.prompts, new, model)
        with applied.hooked(model):
            out = model.hf(
                input_ids=self.ids,
                attention_mask=self.mask,
                position_ids=(self.mask.cumsum(-1) - 1).clamp(min=0),
                use_cache=False,
                logits_to_keep=new + 1,
            )
        logits = out.logits[:, :-1]  # what follows the last token is not asked
        return (logits if logits.dtype == torch.float64 else logits.float()).log_softmax(-1)

    def chosen(self, log_p: torch.Tensor) -> torch.Tensor:
        """Of [batch, token, vocabulary], the entries of the response tokens: [batch, token]."""
        return log_p.gather(-1, self.targets[..., None]).squeeze(-1)


def batches(model: Model, chats: Chats, batch_size: int) -> Iterator[Batch]:
    """Chats of like length together; those without a response are left out.

    Raises:
        WorkbenchError: a batch size below 1, or a Steer that does not fit the model; before anything is read.
    """
    if batch_size < 1:
        raise WorkbenchError(f"batch_size is {batch_size}; expected at least 1")
    for distinct in set(chats.steers):
        check(distinct, model)
    return _batches(model, chats, batch_size)


def _batches(model: Model, chats: Chats, batch_size: int) -> Iterator[Batch]:
    order = sorted((row for row in range(len(chats)) if chats.responses[row]), key=lambda row: chats.lengths[row])
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
