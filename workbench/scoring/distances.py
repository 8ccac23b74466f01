"""What steering costs: divergence from the unsteered model, and surprise at neutral text.

How far responses lie along a direction, as the unsteered model reads them.
"""

from collections.abc import Sequence
from dataclasses import replace

import numpy as np
import torch

from workbench._errors import WorkbenchError
from workbench.generation.completions import Completions
from workbench.generation.recorder import Chats, chats_of, trace
from workbench.generation.reread import batches
from workbench.models.model import Model
from workbench.models.prompts import Prompt, Prompts, as_prompts
from workbench.scoring.scores import Score
from workbench.steering.directions import Direction
from workbench.steering.sites import Site
from workbench.steering.steer import Steer

Responses = Completions | Prompts | Sequence[tuple[str, str]]


def kl_per_token(
    model: Model, texts: Responses, steer: Steer | Sequence[Steer] | None = None, batch_size: int = 8
) -> np.ndarray:
    """Divergence of the steered model from the unsteered one at every response token of given texts.

    ``KL(steered || unsteered)``, teacher-forced: both read the same tokens, one forward pass each; nothing is generated.

    Args:
        model: the model.
        texts: Completions, ``(prompt, response)`` pairs, or prompts that bring an answer.
        steer: what steers; one for all rows or one per row. By default Completions are read under their own Steers.
        batch_size: texts per forward pass.

    Returns:
        [row, token], float64, in nats; the value at token t is that of the distribution token t was drawn from. NaN after
        the last token of a row.

    Raises:
        WorkbenchError: texts without responses, a Steer that does not fit, or pairs without ``steer=``.

    >>> kl_per_token(model, done).mean()  # doctest: +SKIP
    """
    if steer is None and not isinstance(texts, Completions):
        raise WorkbenchError("only Completions know how they were steered; pass steer=, e.g. wb.add(d, ratio=0.3)")
    chats = _steered(chats_of(model, _paired(texts), None), steer)
    found = np.full((len(chats), max(map(len, chats.responses))), np.nan)
    for batch in batches(model, chats, batch_size):
        steered = batch.log_probabilities(model, [chats.steers[row] for row in batch.rows])
        plain = batch.log_probabilities(model, [Steer()] * len(batch.rows))
        divergence = torch.where(steered.isneginf(), 0.0, steered.exp() * (steered - plain)).double().sum(-1)
        _place(found, batch.rows, divergence.clamp(min=0), batch.real)
    return found


def cross_entropy(
    model: Model,
    texts: Responses,
    steer: Steer | Sequence[Steer] = Steer(),  # noqa: B008 (frozen)
    batch_size: int = 8,
) -> np.ndarray:
    """Mean surprise of the model, steered or not, at each response of given texts.

    On neutral text this is the damage a Steer does where it should do nothing: compare with the same texts unsteered.

    Args:
        model, texts, batch_size: as for ``kl_per_token``.
        steer: what steers; one for all rows or one per row. Nothing by default, for Completions too.

    Returns:
        [row], float64, nats per response token; NaN for an empty response. ``np.exp`` of it is the perplexity.

    Raises:
        WorkbenchError: texts without responses, or a Steer that does not fit.

    >>> cross_entropy(model, wb.prompts("modes/prose"), wb.add(d, ratio=0.3))  # doctest: +SKIP
    """
    surprise = surprise_per_token(model, texts, steer, batch_size)
    return _mean(surprise)


def surprise_per_token(
    model: Model,
    texts: Responses,
    steer: Steer | Sequence[Steer] = Steer(),  # noqa: B008 (frozen)
    batch_size: int = 8,
) -> np.ndarray:
    """Minus the log-probability of every response token: [row, token], nats; NaN after the last. As ``cross_entropy``."""
    chats = _steered(chats_of(model, _paired(texts), None), steer)
    found = np.full((len(chats), max(map(len, chats.responses))), np.nan)
    for batch in batches(model, chats, batch_size):
        _place(found, batch.rows, batch.surprise(model, [chats.steers[row] for row in batch.rows]).double(), batch.real)
    return found


def _paired(texts: Responses) -> Completions | Sequence[tuple[str, str]]:
    if isinstance(texts, Completions):
        return texts
    items = list(texts)
    if items and all(isinstance(item, tuple) for item in items):
        return items  # type: ignore[return-value]
    prompts = as_prompts(items)  # type: ignore[arg-type]
    if without := [prompt.id for prompt in prompts if not prompt.answer]:
        raise WorkbenchError(
            f"prompt {without[0]!r} brings no answer to read; pass (prompt, response) pairs or Completions"
        )
    return [(prompt, prompt.answer) for prompt in prompts]  # type: ignore[misc]


def _steered(chats: Chats, steer: Steer | Sequence[Steer] | None) -> Chats:
    """The chats under one Steer, under one each, or as they are."""
    if steer is None:
        return chats
    steers = (steer,) * len(chats) if isinstance(steer, Steer) else tuple(steer)
    if len(steers) != len(chats):
        raise WorkbenchError(f"{len(steers)} Steers for {len(chats)} texts; expected one, or one per text")
    return replace(chats, steers=steers)


def _place(found: np.ndarray, rows: Sequence[int], values: torch.Tensor, real: torch.Tensor) -> None:
    """Write a batch's [batch, token] into its rows; padding stays NaN."""
    width = values.shape[1]
    found[list(rows), :width] = values.masked_fill(~real, torch.nan).cpu().numpy()


def _mean_kl(
    model: Model, prompts: Sequence[str | Prompt], texts: Sequence[str], steers: Sequence[Steer]
) -> Sequence[float]:
    per_token = kl_per_token(model, list(zip(prompts, texts, strict=True)), steers)  # type: ignore[arg-type]
    return _mean(per_token).tolist()


def _mean(per_token: np.ndarray) -> np.ndarray:
    """Over the tokens of each row; NaN for a row without any."""
    counts = (~np.isnan(per_token)).sum(-1)
    return np.where(counts > 0, np.nansum(per_token, -1) / np.maximum(counts, 1), np.nan)


#: Mean over response tokens of KL(steered || unsteered), nats; 0 for an unsteered row, NaN for an empty response.
kl = Score("kl", 1, None, _mean_kl)


def projection(direction: Direction, site: Site | str | None = None) -> Score:
    """A score: the mean projection of a response's tokens on a direction's unit vector.

    The model reads unsteered, so that the score says what the text is like and not that the vector was added to it; for
    the latter trace the Completions themselves.

    Args:
        direction: what to project on.
        site: where; by default where the direction was read.

    Returns:
        A Score that needs a model, in units of the activations; NaN for an empty response.

    Raises:
        WorkbenchError: when scored, a direction that does not fit the model.

    >>> wb.sweep(model, prompts, arms, scores=[wb.refusal, wb.projection(d)])  # doctest: +SKIP
    """

    def read(
        model: Model, prompts: Sequence[str | Prompt], texts: Sequence[str], steers: Sequence[Steer]
    ) -> Sequence[float]:
        pairs = list(zip(prompts, texts, strict=True))
        return trace(model, pairs, direction, site, Steer()).mean("response")[:, 0].tolist()  # type: ignore[arg-type]

    return Score(f"projection {direction.method} ({direction.id[:6]}) {site or direction.site}", 1, None, read)
