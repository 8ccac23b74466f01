"""Direct preference optimisation (Rafailov et al. 2023, arXiv:2305.18290), plain: what is chosen against what is rejected.

The reference is the same module as it was before training (without its adapter, or with the one it went on from), so no
second model is held. The loss is a few lines over
the likelihoods that the supervised loop has anyway; a trainer of its own would not share the prompts' common prefix.
"""

import random
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import torch

from workbench.errors import WorkbenchError
from workbench.fitting import START, Example, fit, log_likelihoods, prompt_tokens, response_tokens
from workbench.models import Model
from workbench.recipes import RefusalRecipe


@dataclass(frozen=True)
class Preference:
    """Two responses to one prompt. The rejected one is never printed, logged or saved: it may be an answer to a harmful request."""

    chosen: Example
    rejected: Example = field(repr=False)

    def __post_init__(self) -> None:
        if self.chosen.prompt != self.rejected.prompt:
            raise WorkbenchError("a preference compares two responses to one prompt; got two prompts")


def fit_preferences(
    model: Model, preferences: Sequence[Preference], recipe: RefusalRecipe, seed: int, start: Path | None = None
) -> Any:
    """``fit`` on the preferences, against the model as it starts out. Raises WorkbenchError for a recipe without beta."""
    if not recipe.beta:
        raise WorkbenchError(f"the recipe of {recipe.adapter} has no beta; DPO wants one, e.g. beta=0.1")
    beta = recipe.beta

    def loss_of(adapted: Any, batch: Sequence[Preference], rng: random.Random) -> torch.Tensor:
        return dpo_loss(*likelihoods(model, adapted, batch, recipe, rng), beta)

    return fit(model, preferences, recipe, seed, loss_of, start)


def likelihoods(
    model: Model, adapted: Any, batch: Sequence[Preference], recipe: RefusalRecipe, rng: random.Random
) -> tuple[torch.Tensor, torch.Tensor]:
    """Log-likelihoods now and before training; each [2, preference]: chosen, rejected. Both see the same wording."""
    prompts = [prompt_tokens(model, preference.chosen.prompt, rng) for preference in batch]
    responses = [p.chosen for p in batch] + [p.rejected for p in batch]
    rows = [(prompt, response_tokens(model, e, recipe)) for prompt, e in zip(prompts * 2, responses, strict=True)]
    with torch.no_grad(), _as_it_started(adapted):
        reference = log_likelihoods(model, rows)
    return log_likelihoods(model, rows).view(2, -1), reference.view(2, -1)


@contextmanager
def _as_it_started(adapted: Any) -> Iterator[None]:
    if START not in adapted.peft_config:
        with adapted.disable_adapter():
            yield
        return
    adapted.set_adapter(START)
    try:
        yield
    finally:
        adapted.set_adapter("default")


def dpo_loss(policy: torch.Tensor, reference: torch.Tensor, beta: float) -> torch.Tensor:
    """Mean of −log σ(β · (gain of the chosen − gain of the rejected)), where a gain is log π − log π_ref (equation 7).

    Args:
        policy, reference: log-likelihoods [2, preference]: chosen, rejected.

    >>> round(float(dpo_loss(torch.zeros(2, 3), torch.zeros(2, 3), 0.1)), 4)  # log 2: nothing learnt yet
    0.6931
    """
    gain = policy - reference
    return -torch.nn.functional.logsigmoid(beta * (gain[0] - gain[1])).mean()
