"""Activations of many prompts at many sites in one pass, streamed: only running sums are kept.

Sums are accumulated in float64: in bfloat16, and with massive dimensions even in float32, the mean of many activations
loses the small difference that a direction is made of.
"""

from collections.abc import Sequence
from contextlib import ExitStack
from dataclasses import dataclass
from functools import partial

import numpy as np
import torch
from tqdm.auto import tqdm

from workbench.errors import WorkbenchError
from workbench.layout import reading
from workbench.models import Encoded, Model
from workbench.positions import Positions
from workbench.sites import Site, check_layer


@dataclass(frozen=True)
class Means:
    """Class means at one site.

    Attributes:
        mean: [width], float64: the mean over prompts of the mean over the read positions of each prompt.
        norm: mean L2 norm of single activations over all prompt tokens but the first of each prompt.
        n: prompts.
    """

    mean: torch.Tensor
    norm: float
    n: int


def means(
    model: Model,
    encoded: Encoded,
    sites: Sequence[Site],
    read: Positions,
    batch_size: int = 32,
    label: str = "activations",
) -> dict[Site, Means]:
    """Mean activation at each site over the read positions, all sites in one forward pass per batch.

    Args:
        model: the model; its plain module runs.
        encoded: prompts, as ``model.encode`` returns them.
        sites: where to read.
        read: which tokens of each prompt; only prompt positions, since nothing is generated here.
        batch_size: prompts per forward pass. Memory does not grow with their number.
        label: text of the progress bar.

    Raises:
        WorkbenchError: a layer the model does not have, or positions that a prompt does not have.
    """
    _check(model, encoded, sites, read)
    totals: dict[Site, torch.Tensor] = {}
    norms: dict[Site, torch.Tensor] = dict.fromkeys(sites, torch.zeros((), dtype=torch.float64))
    tokens = 0
    order = np.argsort(encoded.lengths, kind="stable")
    batches = [order[i : i + batch_size].tolist() for i in range(0, len(order), batch_size)]
    for rows in tqdm(batches, desc=label, unit="batch", leave=False, disable=len(batches) < 4):
        ids, mask = encoded.tensors(rows, model.device)
        weights, others = _weights(encoded, rows, read, ids.shape[1], model.device)
        tokens += int(others.sum())

        read_at = weights.nonzero(as_tuple=True)

        def see(
            site: Site,
            x: torch.Tensor,
            at: tuple = read_at,
            weights: torch.Tensor = weights,
            others: torch.Tensor = others,
        ) -> None:
            total = (x[at].double() * weights[at][:, None].to(x.device)).sum(0).cpu()
            totals[site] = totals[site] + total if site in totals else total
            norms[site] = norms[site] + (x.norm(dim=-1).double() * others.to(x.device)).sum().cpu()

        with ExitStack() as hooks, torch.no_grad():
            for site in sites:
                hooks.enter_context(reading(model.hf, site, partial(see, site)))
            positions = (mask.cumsum(-1) - 1).clamp(min=0)
            model.hf(input_ids=ids, attention_mask=mask, position_ids=positions, use_cache=False, logits_to_keep=1)
    n = len(encoded)
    return {site: Means(totals[site] / n, float(norms[site]) / max(tokens, 1), n) for site in sites}


def _check(model: Model, encoded: Encoded, sites: Sequence[Site], read: Positions) -> None:
    for site in sites:
        check_layer(site, model.n_layers, model.name)
    for length in set(encoded.lengths):
        read.check_prompt_length(length)
        if not read.mask(length, length).any():
            raise WorkbenchError(f"read={read} means no token of a prompt of {length} tokens; try wb.PROMPT[-1]")


def _weights(
    encoded: Encoded, rows: list[int], read: Positions, width: int, device: torch.device
) -> tuple[torch.Tensor, torch.Tensor]:
    """Per token of a left-padded batch: its weight in its prompt's mean, and whether it counts for the norm."""
    weights, others = np.zeros((len(rows), width)), np.zeros((len(rows), width))
    for i, row in enumerate(rows):
        length = encoded.lengths[row]
        chosen = read.mask(length, length)
        weights[i, width - length :] = chosen / chosen.sum()
        others[i, width - length + 1 :] = 1
    return torch.from_numpy(weights).to(device), torch.from_numpy(others).to(device)
