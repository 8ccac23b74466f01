"""What the end of a model makes of its residual stream: the final norm, the unembedding, and its openings of an answer."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import torch
from jaxtyping import Float
from torch import Tensor

from workbench._errors import WorkbenchError
from workbench.models.model import Model
from workbench.scoring.margins import OPENINGS as REFUSING

#: Words that open answers which comply: what refusal openings (``scoring.margins.OPENINGS``) are held against.
COMPLIANT = ("Sure", "Here", "To", "The", "Yes", "Certainly", "First")

#: words that open refusals, and words that open answers
Answers = tuple[Sequence[str], Sequence[str]]
OPENINGS: Answers = (REFUSING, COMPLIANT)


@dataclass(frozen=True)
class Readout:
    """The final norm and the unembedding of a model."""

    norm: Any
    unembed: Any
    softcap: float | None

    @classmethod
    def of(cls, model: Model) -> "Readout":
        """Those of a model."""
        config = model.hf.config.get_text_config()
        return cls(
            model.hf.get_decoder().norm,
            model.hf.get_output_embeddings(),
            getattr(config, "final_logit_softcapping", None),
        )

    def logits(self, x: Float[Tensor, "... d_model"]) -> Float[Tensor, "... vocab"]:
        """What the model would say if its residual stream ended here."""
        logits = self.unembed(self.norm(x))
        return logits if self.softcap is None else self.softcap * torch.tanh(logits / self.softcap)


def norm_scale(norm: Any, x: Float[Tensor, "... d_model"]) -> Float[Tensor, "..."]:
    """By how much a norm multiplies each vector, before its weights: 1 over the root of the mean square. float64."""
    return (x.double().square().mean(-1) + _eps(norm)).rsqrt()


def norm_weight(norm: Any, width: int) -> Float[Tensor, " width"]:
    """The weights of a norm as they multiply, whatever the family adds to them. float64.

    They are what the norm makes of ones, whose mean square is 1.
    """
    weight = norm.weight
    ones = torch.ones(1, width, dtype=weight.dtype, device=weight.device)
    return norm(ones)[0].double() * (1 + _eps(norm)) ** 0.5


def _eps(norm: Any) -> float:
    for name in ("variance_epsilon", "eps"):
        if hasattr(norm, name):
            return float(getattr(norm, name))
    raise WorkbenchError(
        f"{type(norm).__name__} is no norm by the root of the mean square; attribution is not defined there"
    )


def opening_ids(model: Model, answers: Answers) -> tuple[list[int], list[int]]:
    """The ids of the first tokens of words that open refusals, and of words that open answers; tokens of both are left out.

    Raises WorkbenchError where one side has no token of its own.
    """
    sides = [{model.tokenizer.encode(word, add_special_tokens=False)[0] for word in words} for words in answers]
    refusing, complying = sides[0], sides[1] - sides[0]
    if not refusing or not complying:
        raise WorkbenchError(
            f"{model.name}: the words that open answers, {', '.join(answers[1])}, begin with the tokens of those that open "
            f"refusals, {', '.join(answers[0])}; give others: answers=((...), (...))"
        )
    return sorted(refusing), sorted(complying)


def opening_vector(model: Model, answers: Answers) -> Float[Tensor, " d_model"]:
    """What the residual stream is read along, behind the final norm's scale, for refusal against compliant openings.

    The mean unembedding of the tokens that open refusals minus that of those that open compliant answers, times the weights of the
    final norm. float64. The dot product with a component, times the scale of the token (``norm_scale``), is in logits.
    """
    readout = Readout.of(model)
    table = readout.unembed.weight
    refusing, complying = (table[ids].double().mean(0) for ids in opening_ids(model, answers))
    return (refusing - complying) * norm_weight(readout.norm, table.shape[1]).to(table.device)
