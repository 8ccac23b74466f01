"""Which activations texts have at any sites: collected in one pass, streamed, so that what is not asked for is gone.

``means`` keeps running sums, so that memory does not grow with the number of texts. ``gather`` keeps one vector per text
and site: what methods other than a mean difference, and every evaluation, are made of. Sums are accumulated in float64: in
bfloat16, and with massive dimensions even in float32, the mean of many activations loses the small difference that a
direction is made of. With ``store=`` activations are cached on disk by content.
"""

import hashlib
from collections.abc import Callable, Sequence
from contextlib import ExitStack, suppress
from dataclasses import dataclass, field
from functools import partial
from itertools import compress
from pathlib import Path

import numpy as np
import torch

from workbench._errors import WorkbenchError
from workbench._errors.progress import Bar
from workbench.activations.on_disk import Shelf
from workbench.generation.completions import Completions, Texts, as_pairs, encode_pairs
from workbench.generation.steer_hooks import alone, check_model
from workbench.models.hooks import reading
from workbench.models.model import Encoded, Model
from workbench.models.prompts import Pairs, Prompt
from workbench.statistics import inputs
from workbench.steering.positions import PROMPT, Positions, as_positions
from workbench.steering.sites import EveryLayer, Site, check_layer, sites_at


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
    def of(cls, texts: Encoded, rows: Sequence[int], read: Positions, device: torch.device) -> "Window":
        """The window on some texts, padded to the longest of them."""
        width = max(texts.lengths[row] for row in rows)
        weights, others = np.zeros((len(rows), width)), np.zeros((len(rows), width))
        for i, row in enumerate(rows):
            chosen = read.mask(texts.prompt_lengths[row], texts.lengths[row])
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
    model: Model, texts: Encoded, sites: Sequence[Site], read: Positions, see: See, batch_size: int, label: str
) -> int:
    """Every text through the plain module once, batches of like lengths; ``see`` is called at each site of each batch.

    A pass ends when every site was seen: the layers above the last of them do not run.

    Returns:
        How many tokens count for the norm.

    Raises:
        WorkbenchError: a layer the model does not have, or positions that a text does not have; before any compute.
    """
    inputs.whole(batch_size, 1, "batch_size")
    _check(model, texts, sites, read)
    whole = texts.whole()  # a batch is as wide as its longest text: fewer columns than prompts beside responses take
    order = np.argsort(texts.lengths, kind="stable")
    batches = [order[i : i + batch_size].tolist() for i in range(0, len(order), batch_size)]
    tokens = 0
    for rows in Bar(batches, desc=label, unit="batch", leave=False, disable=len(batches) < 4):
        ids, mask = whole.padded(rows, model.device)
        window = Window.of(texts, rows, read, model.device)
        tokens += int(window.others.sum())
        left = set(sites)
        with alone(model), ExitStack() as hooks, torch.no_grad():
            hooks.enter_context(suppress(_AllSeen))
            for site in sites:
                hooks.enter_context(reading(model.hf, site, partial(_seen, see, site, window, left)))
            places = whole.positions(mask)
            model.hf(input_ids=ids, attention_mask=mask, position_ids=places, use_cache=False, logits_to_keep=1)
    return tokens


def means(
    model: Model,
    texts: Encoded,
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
    totals: dict[Site, torch.Tensor] = {}
    norms: dict[Site, torch.Tensor] = dict.fromkeys(sites, torch.zeros((), dtype=torch.float64))

    def see(site: Site, x: torch.Tensor, window: Window) -> None:
        total = window.terms(x)[1].sum(0).cpu()
        totals[site] = totals[site] + total if site in totals else total
        norms[site] = norms[site] + window.norms(x)

    tokens = stream(model, texts, sites, read, see, batch_size, label)
    n = len(texts)
    return {site: Means(totals[site] / n, _mean_norm(norms[site], tokens), n) for site in sites}


def _mean_norm(total: torch.Tensor, tokens: int) -> float:
    """NaN where there is nothing that counts: texts of one token, or activations that are all zero."""
    return float(total) / tokens if tokens and total > 0 else float("nan")


class _AllSeen(Exception):
    """No error: it ends a forward pass that has nothing more to show."""


def _seen(see: See, site: Site, window: Window, left: set[Site], x: torch.Tensor) -> None:
    see(site, x, window)
    left.discard(site)
    if not left:
        raise _AllSeen


def _check(model: Model, texts: Encoded, sites: Sequence[Site], read: Positions) -> None:
    for site in sites:
        check_layer(site, model.n_layers, model.name)
    for prompt, whole in set(zip(texts.prompt_lengths, texts.lengths, strict=True)):
        read.check_prompt_length(prompt)
        if not read.mask(prompt, whole).any():
            raise WorkbenchError(
                f"read={read} means no token of a prompt of {prompt} tokens and a response of {whole - prompt}; "
                "try wb.PROMPT[-1], or give each prompt an answer: prompts.answered(texts)"
            )


#: The tokens that are read unless others are asked for: the last of the prompt, from which the response is predicted.
READ = PROMPT[-1]

Places = Site | EveryLayer | str | Sequence[Site | str]


@dataclass(frozen=True, eq=False)
class Rows:
    """One activation per text at one site.

    Attributes:
        values: [text, width], float32: of each text the mean over the positions read.
        norm: mean L2 norm of single activations over all tokens but the first of each text.
    """

    values: torch.Tensor = field(repr=False)
    norm: float

    def __post_init__(self) -> None:
        if not 0 <= self.norm < float("inf"):
            raise WorkbenchError(f"the mean norm of activations is {self.norm}; expected a number from 0")

    @property
    def n(self) -> int:
        """How many texts."""
        return len(self.values)

    @property
    def mean(self) -> torch.Tensor:
        """[width], float64."""
        return self.values.double().mean(0)


@dataclass(frozen=True, eq=False)
class Contrast:
    """The activations of both sides of a contrast set at one site; made by ``contrast``, or by hand from two arrays.

    Attributes:
        positive, negative: [text, width], float64 once read here.
        texts: the texts of each side; empty if unknown.
        groups: the group of each text, positive side first. Texts of one group count as one observation.
        prompts: hash of the texts, as a Direction holds it.

    Raises:
        WorkbenchError: not two arrays [text, width] of one width, NaN or infinity, or not one group or text per activation.

    >>> Contrast([[2.0, 1.0], [4.0, 1.0]], [[1.0, 1.0]]).positive.mean(0).tolist()
    [3.0, 1.0]
    """

    positive: torch.Tensor = field(repr=False)
    negative: torch.Tensor = field(repr=False)
    texts: tuple[tuple[str, ...], tuple[str, ...]] = field(default=((), ()), repr=False)
    groups: tuple[str, ...] = field(default=(), repr=False)
    prompts: str = ""

    def __post_init__(self) -> None:
        for side in ("positive", "negative"):
            try:
                values = torch.as_tensor(getattr(self, side)).detach().to("cpu", torch.float64)
            except (TypeError, ValueError, RuntimeError) as error:
                raise WorkbenchError(f"{side}: expected an array [text, width] of numbers ({error})") from error
            object.__setattr__(self, side, values)
        shapes = [tuple(side.shape) for side in (self.positive, self.negative)]
        if any(len(shape) != 2 or not shape[0] for shape in shapes) or shapes[0][1] != shapes[1][1]:
            raise WorkbenchError(f"a contrast is two arrays [text, width] of one width; got shapes {shapes}")
        if not (self.positive.isfinite().all() and self.negative.isfinite().all()):
            raise WorkbenchError("the activations hold NaN or infinite values")
        n, m = shapes[0][0], shapes[1][0]
        if self.groups and len(self.groups) != n + m:
            raise WorkbenchError(f"{len(self.groups)} groups; expected one for each of {n} + {m} texts")
        if any(own and len(own) != of for own, of in zip(self.texts, (n, m), strict=True)):
            raise WorkbenchError(f"texts: expected one for each of {n} + {m} activations")

    def take(self, chosen: Sequence[bool]) -> "Contrast":
        """A selection of the texts, positive side first. [text], bool.

        Raises WorkbenchError where no text of a side is left, or there is not one answer per text.
        """
        n, m = len(self.positive), len(self.negative)
        keep = torch.as_tensor([bool(x) for x in chosen])
        if len(keep) != n + m or not keep[:n].any() or not keep[n:].any():
            raise WorkbenchError(f"expected {n} + {m} choices that leave texts on both sides; got {len(keep)}")
        sides = (keep[:n].tolist(), keep[n:].tolist())
        texts = tuple(tuple(compress(own, side)) for own, side in zip(self.texts, sides, strict=True))
        groups = tuple(compress(self.groups, keep.tolist()))
        return Contrast(self.positive[keep[:n]], self.negative[keep[n:]], (texts[0], texts[1]), groups)


def gather(
    model: Model,
    texts: Texts,
    at: Places,
    read: Positions | str = READ,
    batch_size: int = 32,
    store: str | Path | None = None,
) -> dict[Site, Rows]:
    """One activation per text at each site, all sites in one pass.

    Args:
        model: the model that reads, unsteered; its plain module runs.
        texts: prompts, Completions, or ``(prompt, response)`` pairs. A ``Prompt`` with an ``answer`` is such a pair where
            ``read`` means tokens of the response; where it does not, responses are not read at all.
        at: a Site, all layers of a kind, e.g. ``wb.resid_post.all``, or a list of Sites.
        read: which tokens, e.g. ``wb.PROMPT[-1]`` or ``"response[:5]"``; the mean over them is the text's activation. Of a
            response shorter than asked for, what there is.
        batch_size: texts per forward pass.
        store: folder of a store; what is there already is not computed again. By default nothing is kept.

    Returns:
        Per site ``Rows``, in the order of the texts.

    Raises:
        WorkbenchError: no texts, a layer the model does not have, positions that a text does not have, or a prompt without
            an answer where the response is to be read.

    >>> rows = gather(model, ["write a song", "how do i pick a lock"], at=wb.resid_post.all)
    >>> list(rows), rows[wb.resid_post(1)].values.shape
    ([resid_post(0), resid_post(1), resid_post(2)], torch.Size([2, 32]))
    """
    positions = as_positions(read)
    return gather_rows(model, encode_texts(model, texts, positions), sites_of(model, at), positions, batch_size, store)


def check_pairs(pairs: object) -> None:
    """Refuse what is no contrast set."""
    if not isinstance(pairs, Pairs):
        raise WorkbenchError(
            f"{type(pairs).__name__} is no contrast set; expected wb.Pairs(positive, negative) or wb.pairs(name)"
        )


def contrast(
    model: Model,
    pairs: Pairs,
    at: Places,
    read: Positions | str = READ,
    batch_size: int = 32,
    store: str | Path | None = None,
) -> dict[Site, Contrast]:
    """The activations of both sides of a contrast set at each site: the input of methods and of ``separation``.

    Args:
        model, at, read, batch_size, store: as for ``gather``.
        pairs: a contrast set, usually a split of one.

    >>> contrast(model, tiny_pairs, at=wb.resid_post.all)[wb.resid_post(1)].positive.shape
    torch.Size([3, 32])
    """
    check_pairs(pairs)
    positions, sites = as_positions(read), sites_of(model, at)
    sides = [
        gather_rows(model, encode_texts(model, side, positions), sites, positions, batch_size, store, label)
        for side, label in ((pairs.positive, "positive"), (pairs.negative, "negative"))
    ]
    answers = reads_response(positions)
    texts = tuple(tuple(surface(prompt, answers) for prompt in side) for side in (pairs.positive, pairs.negative))
    groups = tuple(prompt.base or prompt.id for side in (pairs.positive, pairs.negative) for prompt in side)
    name = prompts_hash(pairs, answers)
    return {
        site: Contrast(sides[0][site].values, sides[1][site].values, (texts[0], texts[1]), groups, name)
        for site in sites
    }


def gather_rows(
    model: Model,
    texts: Encoded,
    sites: Sequence[Site],
    read: Positions,
    batch_size: int = 32,
    store: str | Path | None = None,
    label: str = "activations",
) -> dict[Site, Rows]:
    """What ``gather`` does, of texts that are tokens already; sites that the store holds are not computed."""
    shelf = None if store is None else Shelf.of(store, model, texts, read, "rows")
    known = {site: Rows(*kept) for site in sites if shelf and (kept := shelf.get(site))}
    fresh = _read(model, texts, [site for site in sites if site not in known], read, batch_size, label)
    if shelf:
        for site, rows in fresh.items():
            shelf.put(site, rows.values, rows.norm)
    return {site: known.get(site) or fresh[site] for site in sites}


def gather_means(
    model: Model,
    texts: Encoded,
    sites: Sequence[Site],
    read: Positions,
    batch_size: int = 32,
    store: str | Path | None = None,
    label: str = "activations",
) -> dict[Site, Means]:
    """What ``means`` returns, to the last bit; sites whose means the store holds are not computed."""
    shelf = None if store is None else Shelf.of(store, model, texts, read, "mean")
    known = {site: Means(*kept, len(texts)) for site in sites if shelf and (kept := shelf.get(site))}
    missing = [site for site in sites if site not in known]
    fresh = means(model, texts, missing, read, batch_size, label) if missing else {}
    if shelf:
        for site, mean in fresh.items():
            shelf.put(site, mean.mean, mean.norm)
    return {site: known.get(site) or fresh[site] for site in sites}


def _read(
    model: Model, texts: Encoded, sites: Sequence[Site], read: Positions, batch_size: int, label: str
) -> dict[Site, Rows]:
    values: dict[Site, torch.Tensor] = {}
    norms: dict[Site, torch.Tensor] = dict.fromkeys(sites, torch.zeros((), dtype=torch.float64))

    def see(site: Site, x: torch.Tensor, window: Window) -> None:
        if site not in values:
            values[site] = torch.empty(len(texts), x.shape[-1])
        values[site][list(window.rows)] = window.observed(x).to("cpu", torch.float32)
        norms[site] = norms[site] + window.norms(x)

    tokens = stream(model, texts, sites, read, see, batch_size, label) if sites else 0
    return {site: Rows(values[site], _mean_norm(norms[site], tokens)) for site in sites}


def encode_texts(model: Model, texts: Texts, read: Positions) -> Encoded:
    """Texts as tokens; responses only where ``read`` means tokens of them.

    Raises WorkbenchError for no texts, and for a prompt without an answer whose response alone is to be read.
    """
    if isinstance(texts, Completions):
        return texts.encoded(model.tokenizer.pad_token_id)
    prompts, responses = as_pairs(texts)
    if isinstance(next(iter(texts)), tuple):
        prompts = prompts.answered(responses)  # which refuses an empty response
    if not reads_response(read):
        return model.encode(prompts)
    if "" in responses and all(span.region == "response" for span in read.spans):
        raise WorkbenchError(
            f"read={read} means no token of prompt {prompts[responses.index('')].id!r}, which has no answer; give each "
            "prompt one: prompts.answered(completions.text)"
        )
    return encode_pairs(model, prompts, responses)


def reads_response(read: Positions) -> bool:
    """Whether positions can mean tokens of a response."""
    return any(span.region != "prompt" for span in read.spans)


def surface(prompt: Prompt, answers: bool) -> str:
    """What a prompt says, its system prompt first, and its answer last where answers are read."""
    parts = (prompt.system, prompt.text, prompt.prefill, prompt.answer if answers else "")
    return "\n".join(part for part in parts if part)


def sites_of(model: Model, at: Places) -> tuple[Site, ...]:
    """The sites meant, each once. Raises WorkbenchError for a kind of site without a layer, or for none."""
    check_model(model)
    return sites_at(at, model.n_layers)


def prompts_hash(pairs: Pairs, answers: bool = False) -> str:
    """A short hash of the texts of both sides, with the system prompts, and the answers if read, where there are any."""
    digest = hashlib.sha256()
    for side in (pairs.positive, pairs.negative):
        digest.update(repr(side.texts).encode())
        if any(prompt.system for prompt in side):
            digest.update(repr([prompt.system for prompt in side]).encode())
        if any(prompt.messages or prompt.prefill for prompt in side):
            digest.update(repr(["chats", *((prompt.messages, prompt.prefill) for prompt in side)]).encode())
        if answers and any(prompt.answer for prompt in side):
            digest.update(repr(["answers", *(prompt.answer for prompt in side)]).encode())
    return digest.hexdigest()[:16]
