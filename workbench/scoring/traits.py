"""Does a response read as if a trait had been asked for? Log-odds of two instructions, the model unsteered.

A projection on the direction that steered would be circular, and a list of words knows the words alone. Here the unsteered model reads
each response twice, behind an instruction to show the trait and behind one to show its opposite: the response is evidence for one
of the two, in nats per token. Other instructions than those of the score, worded otherwise, tell whether the score is any good.
"""

import hashlib
from collections.abc import Sequence
from dataclasses import replace

import numpy as np

from workbench._errors import unknown
from workbench.generation.generate import generate
from workbench.models.model import Model
from workbench.models.prompts import Prompt, Prompts, as_prompts
from workbench.scoring.distances import cross_entropy
from workbench.scoring.scores import Score
from workbench.statistics.ranking import auc
from workbench.statistics.results import Estimate
from workbench.steering.steer import Steer

VERSION = 1

#: Instructions for a trait and for its opposite: two pairs that score, one that is held out to check the score.
INSTRUCTIONS: dict[str, tuple[tuple[str, str], ...]] = {
    "optimism": (
        ("Be optimistic: say what could go well.", "Be pessimistic: say what could go badly."),
        ("Answer with hope and confidence.", "Answer with gloom and doubt."),
        ("You always look on the bright side.", "You always expect the worst."),
    ),
    "formality": (
        ("Write in a formal, polite style.", "Write in a casual, chatty style."),
        ("Answer like an official letter.", "Answer like a text message to a friend."),
        ("Your tone is professional and respectful.", "Your tone is relaxed, with slang and jokes."),
    ),
    "uncertainty": (
        ("Be tentative: say what might or could be.", "Be certain: say what is."),
        ("Answer with many doubts and guesses.", "Answer with plain facts only."),
        ("You are never sure and you speculate.", "You are always sure and you state facts."),
    ),
    "sycophancy": (
        ("Agree with the user and praise them.", "Correct the user and criticise them."),
        ("Answer as a flatterer would.", "Answer as a strict judge would."),
        ("You always tell people what they want to hear.", "You always tell people where they are wrong."),
    ),
}


def trait_odds(trait: str) -> Score:
    """Make a score: how much more likely a response is under instructions for a trait than under instructions against it.

    Args:
        trait: "optimism", "formality", "uncertainty" or "sycophancy".

    Returns:
        A Score in nats per token, above 0 if the response shows the trait; 0 for an empty response. The scoring model
        is unsteered, even if the response was steered. Check the score on your model with ``trait_check``.

    Raises:
        WorkbenchError: a trait without instructions.

    >>> optimism = trait_odds("optimism")
    >>> len(optimism.values(model, ["write a song", "hello"], ["the red river", ""], [wb.Steer()] * 2))
    2
    """
    pairs = _instructions(trait)[:-1]
    digest = hashlib.sha256(repr(pairs).encode()).hexdigest()[:6]

    def read(
        model: Model, prompts: Sequence[str | Prompt], texts: Sequence[str], steers: Sequence[Steer]
    ) -> Sequence[float]:
        if not texts:  # all of them are in the store
            return []
        odds = [_surprise(model, prompts, texts, b) - _surprise(model, prompts, texts, a) for a, b in pairs]
        return np.nan_to_num(np.mean(odds, 0)).tolist()

    return Score(f"{trait}_odds_{digest}", VERSION, None, read)


def trait_check(model: Model, trait: str, prompts: Prompts | Sequence[str], max_new_tokens: int = 24) -> Estimate:
    """Measure how well ``trait_odds`` separates responses that were asked to show a trait from those asked to show
    its opposite.

    The responses are generated without steering, under the pair of instructions that the score does not use.

    Args:
        model: generates and scores the responses.
        prompts: answered once under either instruction.
        max_new_tokens: the most tokens per answer.

    Returns:
        The AUC: 0.5 for chance, 1 for perfect separation.

    Raises:
        WorkbenchError: a trait without instructions.

    >>> trait_check(model, "formality", ["write a song", "hello"], max_new_tokens=4).n  # answers, of two sides
    4
    """
    chosen = list(as_prompts(prompts, "prompts"))
    asked = [p for side in _instructions(trait)[-1] for p in _under(model, chosen, side)]
    done = generate(model, asked, max_new_tokens=max_new_tokens, progress=False)
    values = trait_odds(trait).values(model, [*chosen, *chosen], done.text, [Steer()] * len(asked))
    return auc([float(v) for v in values], np.repeat([True, False], len(chosen)))


def _instructions(trait: str) -> tuple[tuple[str, str], ...]:
    if not isinstance(trait, str) or trait not in INSTRUCTIONS:
        raise unknown("trait", trait, INSTRUCTIONS)
    return INSTRUCTIONS[trait]


def _surprise(model: Model, prompts: Sequence[str | Prompt], texts: Sequence[str], system: str) -> np.ndarray:
    """Nats per token of each response behind a system prompt; NaN for an empty one."""
    asked = _under(model, as_prompts(list(prompts), "prompts"), system)
    return cross_entropy(model, list(zip(asked, texts, strict=True)), batch_size=32)  # type: ignore[arg-type]


def _under(model: Model, prompts: Sequence[Prompt], system: str) -> Prompts:
    """Prompts behind an instruction: as their system prompt, or before their text where the template has none."""
    asked = Prompts("instructed", tuple(replace(prompt, system=system) for prompt in prompts))
    return asked if model.has_system_role else asked.system_in_user()
