"""How the next token is chosen: the likeliest one, or one drawn with random numbers that belong to the row.

A row's random numbers come from a counter-based generator (Philox; Salmon et al. 2011) whose key is a hash of the seed,
the prompt and the Steer. They know nothing of the batch, so a row is written alike wherever it is packed.
"""

import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import torch

from workbench._errors import WorkbenchError
from workbench._files import content_key
from workbench.steering.steer import Steer


@dataclass(frozen=True)
class Sampling:
    """Greedy decoding, or sampling at a temperature from the smallest set of tokens that holds ``top_p`` of the mass.

    Attributes:
        temperature: 0 is greedy.
        top_p: nucleus, 1 for all tokens (Holtzman et al. 2020).
        seed: of all rows together, or one for each, so that one prompt can be answered several times.

    Raises:
        WorkbenchError: a temperature below 0 or not finite, a top_p outside (0, 1], or a seed that is no whole number.

    >>> str(Sampling()), str(Sampling(0.7, top_p=0.9, seed=3))
    ('greedy', 'sampled at temperature 0.7, top_p 0.9, seed 3')
    """

    temperature: float = 0.0
    top_p: float = 1.0
    seed: int | tuple[int, ...] = 0

    def __post_init__(self) -> None:
        if not (_is_number(self.temperature) and math.isfinite(self.temperature) and self.temperature >= 0):
            raise WorkbenchError(f"temperature is {self.temperature}; expected 0 (greedy) or a finite number above it")
        if not (_is_number(self.top_p) and 0 < self.top_p <= 1):
            raise WorkbenchError(f"top_p is {self.top_p}; expected a share above 0 and at most 1")
        seeds = self.seed if isinstance(self.seed, tuple) else (self.seed,)
        if not all(isinstance(seed, int) and not isinstance(seed, bool) for seed in seeds):
            raise WorkbenchError(f"seed is {self.seed!r}; expected a whole number, or a list of one per prompt")

    @property
    def greedy(self) -> bool:
        """Whether no random numbers are used."""
        return self.temperature == 0

    def __str__(self) -> str:
        if self.greedy:
            return "greedy"
        seed = f"seed {self.seed}" if isinstance(self.seed, int) else "a seed per row"
        return f"sampled at temperature {self.temperature:g}, top_p {self.top_p:g}, {seed}"

    def seeds(self, rows: int) -> tuple[int, ...]:
        """One seed per row. Raises a WorkbenchError where as many were not given."""
        seeds = (self.seed,) * rows if isinstance(self.seed, int) else self.seed
        if len(seeds) != rows:
            raise WorkbenchError(f"{len(seeds)} seeds for {rows} prompts; expected one, or one per prompt")
        return seeds


def _is_number(value: object) -> bool:
    return isinstance(value, int | float) and not isinstance(value, bool)


GREEDY = Sampling()


def random_numbers(
    sampling: Sampling, token_ids: Sequence[Sequence[int]], steers: Sequence[Steer], steps: int
) -> torch.Tensor:
    """Uniform numbers in [0, 1), [row, step], float64; each decided by seed, prompt, Steer and step alone."""
    numbers = np.empty((len(token_ids), steps))
    for row, key in enumerate(row_keys(sampling, token_ids, steers)):
        numbers[row] = numbers_of(key, steps)
    return torch.from_numpy(numbers)


def row_keys(sampling: Sampling, token_ids: Sequence[Sequence[int]], steers: Sequence[Steer]) -> list[str]:
    """What decides the random numbers of each row, as hexadecimal digits."""
    keys = {id(steer): steer.key for steer in {id(steer): steer for steer in steers}.values()}
    rows = zip(sampling.seeds(len(token_ids)), token_ids, steers, strict=True)
    return [content_key([seed, list(ids), keys[id(steer)]]) for seed, ids, steer in rows]


def numbers_of(key: str, steps: int) -> np.ndarray:
    """The random numbers of a row, [step], float64.

    >>> numbers_of("2a", 2).round(3).tolist() == numbers_of("2a", 5)[:2].round(3).tolist()
    True
    """
    return np.random.Generator(np.random.Philox(key=int(key, base=16))).random(steps)


def draw(logits: torch.Tensor, sampling: Sampling, numbers: torch.Tensor) -> torch.Tensor:
    """One token per row, [batch], int64, from logits [batch, vocabulary] and uniform numbers [batch].

    The distribution is inverted in the order of the vocabulary, in float64: rounding in the logits moves a token only
    where a number falls on a boundary, never because two tokens of like probability change places.
    """
    p = (logits.double() / sampling.temperature).softmax(-1)
    if sampling.top_p < 1:
        ranked, order = p.sort(dim=-1, descending=True, stable=True)
        outside = ranked.cumsum(-1) - ranked >= sampling.top_p  # the likeliest token is always inside
        p = p.masked_fill(torch.zeros_like(outside).scatter(1, order, outside), 0.0)
    heights = p.cumsum(-1)
    below = heights[:, -1:].nextafter(heights.new_zeros(()))  # a product may round up to the whole mass
    wanted = torch.minimum(numbers.to(p)[:, None] * heights[:, -1:], below)
    return torch.searchsorted(heights, wanted, right=True).squeeze(1)
