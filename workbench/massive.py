"""Massive dimensions: a few coordinates of the residual stream that are far larger than all others, in every text.

They carry no meaning of a text (Sun et al. 2024, "Massive activations in large language models"), but they dominate norms,
dot products and cosines, and low-precision sums: log 002's mean differences at chance were owed to them.
"""

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

import torch

from workbench.gathering import Places, averaged, sites_of, texts_of
from workbench.models import Model
from workbench.positions import PROMPT, Positions, as_positions
from workbench.prompt_sets import Prompt, Prompts

if TYPE_CHECKING:
    import pandas as pd

#: How many times the median |mean| of all dimensions a massive one reaches. Among a thousand Gaussian dimensions the
#: largest reaches 5. Sun et al. ask for 1000 times the median at a single token, where it is an attention sink; a mean over
#: texts at other tokens is smaller.
TIMES = 20.0


def massive(mean: torch.Tensor, times: float = TIMES) -> tuple[int, ...]:
    """The dimensions whose |mean activation| is at least ``times`` the median over all dimensions.

    Args:
        mean: [width], the mean activation over texts.

    >>> massive(torch.tensor([1.0, -1.0, 0.5, 300.0, -0.8]))
    (3,)
    """
    size = mean.double().abs()
    return tuple((size >= times * size.median().clamp(min=1e-300)).nonzero().flatten().tolist())


def massive_dimensions(
    model: Model,
    prompts: Sequence[str | Prompt] | Prompts,
    at: Places,
    read: Positions | str = PROMPT[-1],
    times: float = TIMES,
    batch_size: int = 32,
    store: str | Path | None = None,
) -> "pd.DataFrame":
    """The massive dimensions at each site: what ``extract(..., clean=True)`` would leave out.

    Args:
        model, at, read, batch_size, store: as for ``gather``.
        prompts: any texts, e.g. both sides of a contrast set; what is massive is so in all of them.
        times: how many times the median a dimension has to reach.

    Returns:
        A DataFrame, one row per site and dimension: site, layer, dimension, mean, times (the median).

    >>> massive_dimensions(model, wb.pairs("refusal").train.negative, at=wb.resid_post.all)  # doctest: +SKIP
    """
    import pandas as pd

    positions = as_positions(read)
    found = averaged(model, texts_of(model, prompts, positions), sites_of(model, at), positions, batch_size, store)
    lines = []
    for site, means in found.items():
        median = float(means.mean.abs().median())
        for dimension in massive(means.mean, times):
            value = float(means.mean[dimension])
            lines.append((str(site), site.layer, dimension, value, abs(value) / median if median else float("inf")))
    return pd.DataFrame(lines, columns=["site", "layer", "dimension", "mean", "times"])
