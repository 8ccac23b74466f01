"""Coherence: 0 for a response that has broken down, 1 for one that has not.

Two measures, and the lower one counts. The surface (see ``collapse``) finds loops, noise and word salad in the text. The
unsteered model finds what the surface cannot: fluent nonsense, each word of which surprises it. Surprise alone would not
do, since a loop surprises nobody after its third round.
"""

import math
from collections.abc import Sequence

import numpy as np

from workbench.models.model import Model
from workbench.models.prompts import Prompt
from workbench.scoring.collapse import collapse_reason, repetition
from workbench.scoring.distances import surprise_per_token
from workbench.scoring.scores import Score
from workbench.steering.steer import Steer

#: Mean surprise, in nats per token and smoothed as below, at which a response is as good as broken down. Measured on both
#: reference models: refusals lie below 1.6, prose by others at 2.9 to 5.7 even where it answers another question, terse
#: answers at 3.1 to 4.1, and word salad that the surface does not find at 6.4 to 8.2. Made for models of their size. Since
#: both were trained again, one of four salads lies just below the limit on gemma3-refusal (5.6 to 5.8), and one or two of four, by
#: prompt, on smollm2-refusal, where prose stays far from it.
LIMIT = 5.9
_SCALE = 0.5

#: A response is judged as if this many tokens of usual surprise came before it: one odd word is no breakdown, and a terse
#: answer is not one either.
_BENEFIT, _USUAL = 12, 2.0

_BATCH = 32  # responses to the same prompt stand side by side, and their prompt is read once


def surface(text: str) -> float:
    """Coherence from the text alone: 0 where ``collapse_reason`` finds a reason, else above 0.5, less for repetition.

    >>> surface("the the the the the the the the the"), surface("42"), surface("Paris is the capital of France.")
    (0.0, 1.0, 1.0)
    """
    return 0.0 if collapse_reason(text) else 1 - repetition(text)


def fluency(surprise: np.ndarray) -> float:
    """Coherence from the surprise at each token (nats): near 1 for usual text, 0.5 at ``LIMIT``, near 0 for nonsense.

    >>> round(fluency(np.full(40, 1.0)), 2), round(fluency(np.full(40, 12.0)), 2), round(fluency(np.array([9.0])), 2)
    (1.0, 0.0, 1.0)
    """
    usual = (surprise.sum() + _BENEFIT * _USUAL) / (len(surprise) + _BENEFIT)
    return float(1 / (1 + math.exp((usual - LIMIT) / _SCALE)))


def _read(
    model: Model, prompts: Sequence[str | Prompt], texts: Sequence[str], steers: Sequence[Steer]
) -> Sequence[float]:
    """The lower of surface and fluency, the model unsteered: what it would make of the text."""
    readable = [i for i, text in enumerate(texts) if not collapse_reason(text)]
    values = [0.0] * len(texts)
    if not readable:
        return values
    asked = dict.fromkeys((prompts[i], texts[i]) for i in readable)  # arms that change nothing say the same
    per_token = surprise_per_token(model, list(asked), batch_size=_BATCH)  # type: ignore[arg-type]
    fluent = {pair: fluency(row[~np.isnan(row)]) for pair, row in zip(asked, per_token, strict=True)}
    for i in readable:
        values[i] = min(surface(texts[i]), fluent[prompts[i], texts[i]])
    return values


#: Below 0.5 a response counts as broken down. In a sweep the unsteered model reads every response once.
coherence = Score(
    "coherence", 2, surface, _read,
    about="""Coherence of a response, 0 to 1. Below 0.5 it counts as broken down.

It is the lower of two measures. One finds loops, noise and word salad in the text. The other is how little the text surprises
the unsteered model. Called with a text alone, only the first is used.

>>> wb.coherence("the the the the the the the the the")
0.0""",
)  # fmt: skip
