"""Expected ratings from a model on this machine: one forward pass per question, nothing generated."""

from collections.abc import Sequence

import torch

from workbench.errors import WorkbenchError
from workbench.models import Model
from workbench.next_token import next_logits
from workbench.prompt_sets import Prompt


def local_ratings(
    model: Model, system: str, questions: Sequence[str], scale: tuple[int, int], batch_size: int = 8
) -> list[tuple[float, float]]:
    """Expected rating of each question, and the probability that lay on ratings.

    Args:
        model: the judge; unsteered.
        system: the rubric; put before the question where the template has no system role.
        questions: user turns.
        scale: lowest and highest rating.
        batch_size: questions per forward pass.

    Returns:
        (rating, mass) per question; the rating is NaN where the mass is 0.

    Raises:
        WorkbenchError: the tokenizer writes some rating in several tokens.
    """
    ratings = rating_tokens(model, scale)
    chats = model.encode([Prompt(text, str(i), system=system) for i, text in enumerate(questions)], system_in_user=True)
    found: list[tuple[float, float]] = [(float("nan"), 0.0)] * len(questions)
    for rows, logits in next_logits(model, chats, batch_size):
        p = logits.softmax(-1)
        weights = torch.stack([p[:, tokens].sum(-1) for tokens in ratings.values()], dim=1)
        values = torch.tensor(list(ratings), dtype=p.dtype, device=p.device)
        mass = weights.sum(-1)
        for row, rating, m in zip(rows, ((weights @ values) / mass).tolist(), mass.tolist(), strict=True):
            found[row] = (rating, m)
    return found


def rating_tokens(model: Model, scale: tuple[int, int]) -> dict[int, list[int]]:
    """The token ids that say each rating: alone, after a space or after a line break."""
    found = {}
    for number in range(scale[0], scale[1] + 1):
        tokens = {_single(model, lead + str(number)) for lead in ("", " ", "\n")} - {None}
        if not tokens:
            raise WorkbenchError(
                f"the tokenizer of {model.name} writes {number} in several tokens, so its first token is no rating; "
                "use scale=(0, 9)"
            )
        found[number] = sorted(token for token in tokens if token is not None)
    return found


def _single(model: Model, text: str) -> int | None:
    """The one token that writes a text, blanks before it aside."""
    *before, last = model.tokenizer.encode(text, add_special_tokens=False)
    blank = not model.tokenizer.decode(before).strip()
    return last if blank and model.tokenizer.decode([last]).strip() == text.strip() else None
