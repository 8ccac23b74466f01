"""How far a response lies from what the unsteered model would say: divergence, surprise, and projection on a direction."""

from collections.abc import Sequence

import numpy as np
import torch
from jaxtyping import Float
from torch import Tensor

from workbench._errors import WorkbenchError
from workbench.generation.completions import Completions, Texts, as_pairs, encode_pairs, refuse_nan
from workbench.generation.recorder import trace
from workbench.generation.steer_hooks import check_model
from workbench.generation.teacher_forcing import batches, log_probabilities, surprise
from workbench.models.model import Encoded, Model
from workbench.models.prompts import Prompt
from workbench.scoring.scores import Score
from workbench.statistics import inputs
from workbench.steering.directions import Direction
from workbench.steering.sites import Site
from workbench.steering.steer import Steer, steer_per_row


def kl_per_token(
    model: Model, texts: Texts, steer: Steer | Sequence[Steer] | None = None, batch_size: int = 8
) -> Float[np.ndarray, "batch pos"]:
    """Divergence of the steered model from the unsteered one at every response token of given texts.

    ``KL(steered || unsteered)``, teacher-forced: both read the same tokens, one forward pass each; nothing is generated.

    Args:
        model: the model.
        texts: Completions, ``(prompt, response)`` pairs, or prompts that bring an answer.
        steer: what steers; one for all rows or one per row. By default Completions are read under their own Steers.
        batch_size: texts per forward pass.

    Returns:
        In nats, float64, one value per response token; the value at token t is that of the distribution token t was drawn from. NaN after
        the last token of a row.

    Raises:
        WorkbenchError: texts without responses, a Steer that does not fit, or pairs without ``steer=``; before any compute. Also a
            text for which the model returns NaN.

    >>> d = wb.extract(model, tiny_pairs, at=wb.resid_post(1))
    >>> done = wb.generate(model, ["write a song"], wb.add(d, ratio=0.3), max_new_tokens=4)
    >>> (kl_per_token(model, done) > 0).all(), (kl_per_token(model, done, wb.Steer()) == 0).all()
    (np.True_, np.True_)
    """
    check_model(model)
    if steer is None and not isinstance(texts, Completions):
        raise WorkbenchError("only Completions know how they were steered; pass steer=, e.g. wb.add(d, ratio=0.3)")
    own = texts.steers if isinstance(texts, Completions) else ()
    chats, steers = _encode(model, texts, own if steer is None else steer, batch_size)
    divergence = _divergence(model, chats, steers, batch_size)
    refuse_nan(model, _mean(divergence, chats, empty=0.0), steers)
    return divergence


def _divergence(model: Model, chats: Encoded, steers: Sequence[Steer], batch_size: int) -> np.ndarray:
    """As ``kl_per_token``; NaN where the model returns that."""
    divergence = _empty(chats)
    for rows in batches(model, chats, steers, batch_size):
        part = chats.take(rows)
        steered = log_probabilities(model, part, [steers[row] for row in rows])
        plain = log_probabilities(model, part, [Steer()] * len(rows))
        each = torch.where(steered.isneginf(), 0.0, steered.exp() * (steered - plain)).double().sum(-1)
        _fill(divergence, chats, rows, each.clamp(min=0))
    return divergence


def cross_entropy(
    model: Model,
    texts: Texts,
    steer: Steer | Sequence[Steer] = Steer(),  # noqa: B008 (frozen)
    batch_size: int = 8,
) -> Float[np.ndarray, " batch"]:
    """Mean surprise of the model, steered or not, at the tokens of each response.

    On neutral text it measures the damage of a Steer: compare with the same texts unsteered.

    Args:
        model, texts, batch_size: as for ``kl_per_token``.
        steer: one Steer for all rows or one per row. By default nothing is steered, not even Completions.

    Returns:
        Nats per response token, float64; NaN for an empty response. ``np.exp`` of it is the perplexity.

    Raises:
        WorkbenchError: texts without responses, or a Steer that does not fit; before any compute. Also a text for which the model
            returns NaN.

    >>> np.isnan(cross_entropy(model, [("write a song", "the red bird"), ("write a song", "")]))
    array([False,  True])
    """
    check_model(model)
    chats, steers = _encode(model, texts, steer, batch_size)
    nats = _surprise(model, chats, steers, batch_size)
    refuse_nan(model, _mean(nats, chats, empty=0.0), steers)
    return _mean(nats, chats)


def surprise_per_token(
    model: Model,
    texts: Texts,
    steer: Steer | Sequence[Steer] = Steer(),  # noqa: B008 (frozen)
    batch_size: int = 8,
) -> Float[np.ndarray, "batch pos"]:
    """Minus the log-probability of every response token, in nats; NaN after the last, or where the model returns that."""
    return _surprise(model, *_encode(model, texts, steer, batch_size), batch_size)


def _surprise(model: Model, chats: Encoded, steers: Sequence[Steer], batch_size: int) -> np.ndarray:
    nats = _empty(chats)
    for rows in batches(model, chats, steers, batch_size):
        _fill(nats, chats, rows, surprise(model, chats.take(rows), [steers[row] for row in rows]).double())
    return nats


def _encode(
    model: Model, texts: Texts, steer: Steer | Sequence[Steer], batch_size: int
) -> tuple[Encoded, tuple[Steer, ...]]:
    """Texts with a response as tokens, and the Steer each is read under."""
    inputs.whole(batch_size, 1, "batch_size")
    if isinstance(texts, Completions):
        chats = texts.encoded(model.tokenizer.pad_token_id)
    else:
        prompts, responses = as_pairs(texts)
        if isinstance(next(iter(texts)), Prompt | str) and "" in responses:
            raise WorkbenchError(
                f"prompt {prompts[responses.index('')].id!r} brings no answer to read; pass (prompt, response) pairs or "
                "Completions"
            )
        chats = encode_pairs(model, prompts, responses, written=True)
    return chats, steer_per_row(steer, len(chats), "text")


def _empty(chats: Encoded) -> np.ndarray:
    """NaN for every response token there can be, [batch, pos]."""
    return np.full((len(chats), max(map(len, chats.responses))), np.nan)


def _fill(values: np.ndarray, chats: Encoded, rows: Sequence[int], batch: Tensor) -> None:
    """Write a batch's [batch, pos] into its rows; what is behind the last token of a row stays NaN."""
    for row, told in zip(rows, batch.cpu().numpy(), strict=True):
        n = len(chats.responses[row])
        values[row, :n] = told[:n]


def _mean_kl(
    model: Model, prompts: Sequence[str | Prompt], texts: Sequence[str], steers: Sequence[Steer]
) -> Sequence[float]:
    chats, each = _encode(model, list(zip(prompts, texts, strict=True)), steers, _KL_BATCH)  # type: ignore[arg-type]
    return _mean(_divergence(model, chats, each, _KL_BATCH), chats).tolist()


def _mean(per_token: np.ndarray, chats: Encoded, empty: float = np.nan) -> np.ndarray:
    """Over the response tokens of each row, NaN where one of them is; ``empty`` for a row without any."""
    told = zip(per_token, map(len, chats.responses), strict=True)
    return np.array([row[:n].mean() if n else empty for row, n in told])


#: texts per forward pass of the score ``kl``
_KL_BATCH = 8

#: Mean over response tokens of KL(steered || unsteered), nats; 0 for an unsteered row, NaN for an empty response.
kl = Score(
    "kl", 1, None, _mean_kl,
    about="""Mean over response tokens of KL(steered || unsteered), in nats. It is 0 for an unsteered row, NaN for an empty response.

The model reads each response twice, with and without its Steer.""",
)  # fmt: skip


def projection(direction: Direction, site: Site | str | None = None) -> Score:
    """A score: the mean projection of a response's tokens on a direction's unit vector.

    The forward pass is unsteered. The score therefore describes the text and not the added vector. To see the vector,
    trace the Completions.

    Args:
        direction: what to project on.
        site: where; by default where the direction was read.

    Returns:
        A Score that needs a model, in units of the activations; NaN for an empty response.

    Raises:
        WorkbenchError: when scored, a direction that does not fit the model.

    >>> d = wb.extract(model, tiny_pairs, at=wb.resid_post(1))
    >>> len(projection(d).values(model, ["write a song"] * 2, ["the red bird", "tea"], [wb.Steer()] * 2))
    2
    """

    if not isinstance(direction, Direction):
        raise WorkbenchError(f"{type(direction).__name__} is no Direction; wb.extract makes one")

    def read(
        model: Model, prompts: Sequence[str | Prompt], texts: Sequence[str], steers: Sequence[Steer]
    ) -> Sequence[float]:
        pairs = list(zip(prompts, texts, strict=True))
        return trace(model, pairs, direction, site, Steer()).mean("response")[:, 0].tolist()  # type: ignore[arg-type]

    return Score(f"projection {direction.method} ({direction.id[:6]}) {site or direction.site}", 1, None, read)
