"""Activations of many texts at many sites in one pass, streamed: what is not asked for is gone with its batch.

``means`` keeps running sums, so that memory does not grow with the number of texts; ``gather`` (in ``gathering``) keeps one
vector per text. Sums are accumulated in float64: in bfloat16, and with massive dimensions even in float32, the mean of many
activations loses the small difference that a direction is made of.
"""

from collections.abc import Callable, Sequence
from contextlib import ExitStack, suppress
from dataclasses import dataclass
from functools import partial

import numpy as np
import torch

from workbench.errors import Bar, WorkbenchError
from workbench.layout import reading
from workbench.models import Encoded, Model
from workbench.positions import Positions
from workbench.sites import Site, check_layer


@dataclass(frozen=True)
class Texts:
    """Chats to read, as tokens: ``encoded`` holds them whole, ``prompt_lengths`` says where each response begins."""

    encoded: Encoded
    prompt_lengths: tuple[int, ...]

    def __len__(self) -> int:
        return len(self.encoded)

    def mask(self, row: int, read: Positions) -> np.ndarray:
        """Which tokens of a chat are read. Shape [token], bool."""
        return read.mask(self.prompt_lengths[row], self.encoded.lengths[row])


@dataclass(frozen=True)
class Means:
    """Class means at one site.

    Attributes:
        mean: [width], float64: the mean over prompts of the mean over the read positions of each prompt.
        norm: mean L2 norm of single activations over all tokens but the first of each prompt.
        n: prompts.
    """

    mean: torch.Tensor
    norm: float
    n: int


@dataclass(frozen=True)
class Window:
    """What is read of one left-padded batch: ``rows`` are the numbers of its texts.

    Attributes:
        weights: [batch, pos], float64: of each token in the mean of its text; 0 where it is not read.
        others: [batch, pos], float64: 1 on the tokens that count for the norm, all but the first of each text.
    """

    rows: tuple[int, ...]
    weights: torch.Tensor
    others: torch.Tensor

    @classmethod
    def of(cls, texts: Texts, rows: Sequence[int], read: Positions, device: torch.device) -> "Window":
        """The window on some texts, padded to the longest of them."""
        width = max(texts.encoded.lengths[row] for row in rows)
        weights, others = np.zeros((len(rows), width)), np.zeros((len(rows), width))
        for i, row in enumerate(rows):
            chosen = texts.mask(row, read)
            weights[i, width - len(chosen) :] = chosen / chosen.sum()
            others[i, width - len(chosen) + 1 :] = 1
        return cls(tuple(rows), torch.from_numpy(weights).to(device), torch.from_numpy(others).to(device))

    def terms(self, x: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
        """The batch row of each token read, [token], and its weighted activations, [token, width], float64."""
        at = self.weights.nonzero(as_tuple=True)
        here = tuple(index.to(x.device) for index in at)
        return here[0], x[here].double() * self.weights[at][:, None].to(x.device)

    def observed(self, x: torch.Tensor) -> torch.Tensor:
        """One observation per text: its mean over the positions read. [batch, width], float64."""
        rows, terms = self.terms(x)
        return torch.zeros(len(x), x.shape[-1], dtype=torch.float64, device=x.device).index_add_(0, rows, terms)

    def norms(self, x: torch.Tensor) -> torch.Tensor:
        """The sum of the L2 norms of the tokens that count, a float64 scalar."""
        return (x.norm(dim=-1).double() * self.others.to(x.device)).sum().cpu()


#: Given a site, the activations of a batch there, [batch, pos, width], and what is read of them.
See = Callable[[Site, torch.Tensor, Window], None]


def stream(
    model: Model, texts: Texts, sites: Sequence[Site], read: Positions, see: See, batch_size: int, label: str
) -> int:
    """Every text through the plain module once, batches of like lengths; ``see`` is called at each site of each batch.

    A pass ends when every site was seen: the layers above the last of them do not run.

    Returns:
        How many tokens count for the norm.

    Raises:
        WorkbenchError: a layer the model does not have, or positions that a text does not have; before any compute.
    """
    _check(model, texts, sites, read)
    order = np.argsort(texts.encoded.lengths, kind="stable")
    batches = [order[i : i + batch_size].tolist() for i in range(0, len(order), batch_size)]
    tokens = 0
    for rows in Bar(batches, desc=label, unit="batch", leave=False, disable=len(batches) < 4):
        ids, mask = texts.encoded.tensors(rows, model.device)
        window = Window.of(texts, rows, read, model.device)
        tokens += int(window.others.sum())
        left = set(sites)
        with ExitStack() as hooks, torch.no_grad():
            hooks.enter_context(suppress(_AllSeen))
            for site in sites:
                hooks.enter_context(reading(model.hf, site, partial(_seen, see, site, window, left)))
            positions = (mask.cumsum(-1) - 1).clamp(min=0)
            model.hf(input_ids=ids, attention_mask=mask, position_ids=positions, use_cache=False, logits_to_keep=1)
    return tokens


def means(
    model: Model,
    texts: Texts | Encoded,
    sites: Sequence[Site],
    read: Positions,
    batch_size: int = 32,
    label: str = "activations",
) -> dict[Site, Means]:
    """Mean activation at each site over the read positions, all sites in one forward pass per batch.

    Args:
        model: the model; its plain module runs.
        texts: prompts, as ``model.encode`` returns them, or chats with responses.
        sites: where to read.
        read: which tokens of each text; of a prompt alone only prompt positions, since nothing is generated here.
        batch_size: texts per forward pass. Memory does not grow with their number.
        label: text of the progress bar.

    Raises:
        WorkbenchError: a layer the model does not have, or positions that a text does not have.
    """
    chats = Texts(texts, texts.lengths) if isinstance(texts, Encoded) else texts
    totals: dict[Site, torch.Tensor] = {}
    norms: dict[Site, torch.Tensor] = dict.fromkeys(sites, torch.zeros((), dtype=torch.float64))

    def see(site: Site, x: torch.Tensor, window: Window) -> None:
        total = window.terms(x)[1].sum(0).cpu()
        totals[site] = totals[site] + total if site in totals else total
        norms[site] = norms[site] + window.norms(x)

    tokens = stream(model, chats, sites, read, see, batch_size, label)
    n = len(chats)
    return {site: Means(totals[site] / n, float(norms[site]) / max(tokens, 1), n) for site in sites}


class _AllSeen(Exception):
    """No error: it ends a forward pass that has nothing more to show."""


def _seen(see: See, site: Site, window: Window, left: set[Site], x: torch.Tensor) -> None:
    see(site, x, window)
    left.discard(site)
    if not left:
        raise _AllSeen


def _check(model: Model, texts: Texts, sites: Sequence[Site], read: Positions) -> None:
    for site in sites:
        check_layer(site, model.n_layers, model.name)
    for prompt, whole in set(zip(texts.prompt_lengths, texts.encoded.lengths, strict=True)):
        read.check_prompt_length(prompt)
        if not read.mask(prompt, whole).any():
            raise WorkbenchError(
                f"read={read} means no token of a prompt of {prompt} tokens and a response of {whole - prompt}; "
                "try wb.PROMPT[-1], or give each prompt an answer: prompts.answered(texts)"
            )
