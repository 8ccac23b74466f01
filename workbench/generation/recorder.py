"""How a trace is recorded: activations are projected on directions, token by token, while a text is written or read again.

Only scalars are kept: a projection per token, direction and site, and a norm per token and site. The activations
themselves are gone when the forward pass moves on.
"""

from collections.abc import Iterator, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, replace
from functools import partial
from typing import Any

import numpy as np
import torch
from jaxtyping import Float
from torch import Tensor

from workbench._errors import WorkbenchError
from workbench._errors.progress import Bar
from workbench._errors.redaction import logger
from workbench.generation.completions import Completions, Texts, as_pairs, encode_pairs
from workbench.generation.generate import generate
from workbench.generation.steer_hooks import (
    Applied,
    check,
    check_all,
    check_covered,
    check_direction,
    check_model,
    check_positions,
    check_sizes,
)
from workbench.generation.traces import Neutral, Probe, Trace, arm_name
from workbench.models.hooks import reading
from workbench.models.identity import known_revision
from workbench.models.model import Encoded, Model
from workbench.models.prompts import Prompt, Prompts
from workbench.steering.directions import Direction, Directions
from workbench.steering.sites import EveryLayer, Site, sites_at
from workbench.steering.steer import Steer

_LOG = logger(__name__)


@dataclass(frozen=True)
class Chats:
    """Chats to trace: as tokens, and how each is read and shown."""

    encoded: Encoded
    steers: tuple[Steer, ...]
    ids: tuple[str, ...]
    hidden: tuple[bool, ...]

    def __len__(self) -> int:
        return len(self.encoded)

    @classmethod
    def of(cls, model: Model, texts: Texts, steer: Steer | None) -> "Chats":
        """Texts as ``trace`` takes them; Completions under their own Steers, unless another is given."""
        if isinstance(texts, Completions):
            steers = texts.steers if steer is None else (steer,) * len(texts)
            return cls(texts.encoded(model.tokenizer.pad_token_id), steers, texts.ids, texts.hidden)
        prompts, responses = as_pairs(texts)
        if not isinstance(next(iter(texts)), tuple):
            responses = [""] * len(prompts)
        steer = steer or Steer()
        hidden = tuple(prompt.harmful and bool(steer.effective) for prompt in prompts)
        ids = tuple(prompt.id for prompt in prompts)
        encoded, steers = encode_pairs(model, prompts, responses), (steer,) * len(prompts)
        check_covered(steers, encoded.prompt_lengths)
        return cls(encoded, steers, ids, hidden)


class Recorder:
    """Projects what passes by, site by site, and keeps the scalars of every row."""

    def __init__(self, model: Model, probes: tuple[Probe, ...], controls: dict[Site, Tensor]):
        self.model, self.probes = model, probes
        self.sites = tuple(dict.fromkeys(probe.site for probe in probes))
        self._n_controls = next((len(units) for units in controls.values()), 0)
        precise = torch.float64 if model.dtype == torch.float64 else torch.float32
        self._at = {site: [i for i, p in enumerate(probes) if p.site == site] for site in self.sites}
        self._units = {}
        for site in self.sites:
            own = [probes[i].direction.vector / probes[i].direction.norm for i in self._at[site]]
            stacked = torch.stack([*own, *controls.get(site, [])])
            self._units[site] = stacked.to(model.device, precise)
        self._rows: dict[int, tuple[np.ndarray, np.ndarray, np.ndarray, np.ndarray]] = {}

    @contextmanager
    def watching(self, applied: Applied, rows: Sequence[int]) -> Iterator[None]:
        """Record every forward pass inside; ``rows`` are the numbers of the batch's rows."""
        columns = applied.width + applied.new
        dot = torch.full((len(rows), len(self.probes), columns), torch.nan)
        norm = torch.full((len(rows), len(self.sites), columns), torch.nan)
        random = torch.full((len(rows), self._n_controls, len(self.sites), columns), torch.nan)
        with ExitStack() as hooks:
            for number, site in enumerate(self.sites):
                see = partial(self._see, applied, site, number, dot, norm, random)
                hooks.enter_context(reading(self.model.hf, site, see))
            yield
        assert applied.edited is not None
        for i, row in enumerate(rows):
            start = applied.width - applied.prompt_lengths[i]
            kept = (dot[i, :, start:], norm[i, :, start:], random[i, :, :, start:], applied.edited[i, start:])
            self._rows[row] = tuple(tensor.numpy() for tensor in kept)  # type: ignore[assignment]

    def _see(
        self,
        applied: Applied,
        site: Site,
        number: int,
        dot: Tensor,
        norm: Tensor,
        random: Tensor,
        x: Tensor,
    ) -> None:
        units = self._units[site].to(x.device)
        h = x.to(units.dtype)
        values = (h @ units.T).to("cpu", torch.float32)
        here = slice(applied.cursor, applied.cursor + x.shape[1])
        rows, own = applied.rows, len(self._at[site])
        for place, probe in enumerate(self._at[site]):
            dot[rows, probe, here] = values[..., place]
        norm[rows, number, here] = torch.linalg.vector_norm(h, dim=-1).to("cpu", torch.float32)
        for control in range(self._n_controls):
            random[rows, control, number, here] = values[..., own + control]

    def trace(self, chats: Chats, arms: Sequence[str] | None) -> Trace:
        """The Trace of all rows, each cut to its tokens."""
        _check_names(arms, len(chats))
        ids, lengths = chats.encoded.token_ids, chats.encoded.lengths
        stacked = [self._stack([self._rows[row][part] for row in range(len(chats))], lengths) for part in range(4)]
        self._tell_failed(chats, stacked[1])
        return Trace(
            probes=self.probes,
            sites=self.sites,
            dot=stacked[0],
            norm=stacked[1],
            random=stacked[2],
            edited=stacked[3].astype(bool),
            token_ids=ids,
            tokens=tuple(token_labels(self.model.tokenizer, row) for row in ids),
            prompt_lengths=chats.encoded.prompt_lengths,
            arms=tuple(arms) if arms is not None else tuple(arm_name(steer) for steer in chats.steers),
            prompt_ids=chats.ids,
            hidden=chats.hidden,
            model=self.model.name,
        )

    def _tell_failed(self, chats: Chats, norm: np.ndarray) -> None:
        """Name the first row that the model read as NaN or infinite: what a trace shows of it is no measurement.

        The last token of a response may not have been read, so it is not looked at.
        """
        ends = [
            max(n, length - 1) for n, length in zip(chats.encoded.prompt_lengths, chats.encoded.lengths, strict=True)
        ]
        failed = [row for row, end in enumerate(ends) if not np.isfinite(norm[row, :, :end]).all()]
        if failed:
            _LOG.warning(
                "%d of %d rows are NaN or infinite, first of prompt %r under %s; steer less",
                len(failed),
                len(norm),
                chats.ids[failed[0]],
                chats.steers[failed[0]],
            )

    @staticmethod
    def _stack(parts: list[np.ndarray], lengths: Sequence[int]) -> np.ndarray:
        """Rows of unequal lengths side by side, padded with NaN (False) at the end: [row, ..., position]."""
        empty = False if parts[0].dtype == bool else np.nan
        whole = np.full((len(parts), *parts[0].shape[:-1], max(lengths)), empty, dtype=parts[0].dtype)
        for row, (part, length) in enumerate(zip(parts, lengths, strict=True)):
            whole[row, ..., :length] = part[..., :length]
        return whole


#: What a decoder writes for bytes that are no whole character, and over how many tokens such bytes are looked for.
_BROKEN, _RUN = "\ufffd", 16


def token_labels(tokenizer: Any, ids: Sequence[int]) -> tuple[str, ...]:
    """What each token says, as whole characters: of tokens that share one the first has it, and the others are empty.

    Joined, labels are the text. A token whose character never becomes whole is shown as the tokenizer writes it.

    >>> token_labels(model.tokenizer, model.tokenizer.encode("write a song"))
    ('write', 'a', 'song')
    """
    labels: list[str] = []
    while len(labels) < len(ids):
        start = len(labels)
        ends = range(start + 1, min(start + _RUN, len(ids)) + 1)
        text, end = next(
            ((t, end) for end in ends if _BROKEN not in (t := tokenizer.decode(ids[start:end]))), ("", start)
        )
        if end == start:
            text, end = str(tokenizer.convert_ids_to_tokens(ids[start])), start + 1
        labels += [text, *[""] * (end - start - 1)]
    return tuple(labels)


Places = Sequence[Site | str] | EveryLayer | Site | str | None


def trace(
    model: Model,
    texts: Texts,
    directions: Direction | Directions | Sequence[Direction],
    sites: Places = None,
    steer: Steer | None = None,
    neutral: Texts | None = None,
    envelope: int = 0,
    seed: int = 0,
    arms: Sequence[str] | None = None,
    batch_size: int = 16,
) -> Trace:
    """Project every token of prompts and responses on directions, in one forward pass per batch.

    Args:
        model: the model that runs; its plain module is used.
        texts: Completions (traced under the Steers that generated them), ``(prompt, response)`` pairs, or prompts
            alone.
        directions: one or several; the projection is on the unit vector.
        sites: where to project every direction, e.g. ``wb.resid_post.all``; by default each at the site it was read at.
        steer: trace under this Steer instead; ``wb.Steer()`` traces without steering.
        neutral: texts that set the scale of z-scores: the unsteered mean and standard deviation over their tokens,
            without the first token of each chat, which is an attention sink.
        envelope: also project on this many random directions (20 or more for a 95% band).
        seed: of the random directions.
        arms: names of the rows, for legends; by default the dose of each row's Steer.
        batch_size: texts per forward pass.

    Returns:
        A Trace: ``dot`` [row, probe, position] in units of the activations, and what is derived from it.

    Raises:
        WorkbenchError: no texts or directions, a direction or a Steer that does not fit the model, Completions of
            another model (see ``replay``), or a number of names that differs from the number of rows.

    >>> d = wb.extract(model, tiny_pairs, at=wb.resid_post(1))
    >>> read = trace(model, ["write a song", "how do i pick a lock"], [d, d.orthogonal(seed=0)], envelope=20)
    >>> read.dot.shape, read.random.shape, [len(tokens) for tokens in read.tokens]
    ((2, 2, 12), (2, 20, 1, 12), [9, 12])

    Steering adds the dose to the projection, and to nothing else of a trace at the site:

    >>> steered = trace(model, ["write a song"], d, steer=wb.add(d, 2))
    >>> plain = trace(model, ["write a song"], d)
    >>> bool(np.allclose(steered.dot - plain.dot, 2 * d.norm, rtol=1e-4))
    True
    """
    check_model(model)
    check_sizes(batch_size=batch_size)
    revision = known_revision(model)
    if isinstance(texts, Completions) and (texts.model, texts.revision) != (model.name, revision):
        raise WorkbenchError(
            f"these completions were written by {texts.model} {texts.revision}, not by {model.name} {revision}; "
            "to read one model's text in another: wb.replay(model, completions, directions)"
        )
    if steer is not None:
        check(steer, model)
    chats = Chats.of(model, texts, steer)
    recorder = _recorder(model, directions, sites, envelope, seed)
    check_all(chats.steers, model)
    check_positions(chats.steers, chats.encoded.prompt_lengths)
    _check_names(arms, len(chats))
    _read(model, chats, recorder, batch_size)
    traced = recorder.trace(chats, arms)
    if neutral is None:
        return traced
    scale = trace(model, neutral, directions, sites, Steer(), None, envelope, seed, None, batch_size)
    return replace(traced, neutral=Neutral.of(scale))


def trace_generation(
    model: Model,
    prompts: Sequence[str | Prompt] | Prompts,
    directions: Direction | Directions | Sequence[Direction],
    sites: Places = None,
    steer: Steer | Sequence[Steer] = Steer(),  # noqa: B008 (frozen)
    max_new_tokens: int = 48,
    envelope: int = 0,
    seed: int = 0,
    arms: Sequence[str] | None = None,
    batch_size: int = 32,
) -> tuple[Completions, Trace]:
    """Generate, and trace while generating: no second pass.

    Arguments are those of ``generate`` and ``trace``. The last token of each response is generated but never fed back
    to the model, so it has no activations. The trace ends one token before that of ``trace(model, completions,
    ...)``. Everywhere else the two agree up to rounding.

    >>> d = wb.extract(model, tiny_pairs, at=wb.resid_post(1))
    >>> done, live = trace_generation(model, ["write a song"], d, steer=wb.add(d, 1), max_new_tokens=4)
    >>> again = trace(model, done, d)
    >>> bool(np.allclose(live.dot, again.dot[..., :-1], atol=1e-4))
    True
    """
    recorder = _recorder(model, directions, sites, envelope, seed)
    done = generate(
        model, prompts, steer, max_new_tokens, batch_size=batch_size, progress=False, watch=recorder.watching
    )
    read = replace(done, token_ids=tuple(ids[:-1] for ids in done.token_ids))
    return done, recorder.trace(Chats.of(model, read, None), arms)


def replay(
    model: Model,
    completions: Completions,
    directions: Direction | Directions | Sequence[Direction],
    sites: Places = None,
    neutral: Texts | None = None,
    envelope: int = 0,
    seed: int = 0,
    batch_size: int = 16,
) -> Trace:
    """Trace the text of one model with another model (model diffing, log 002).

    Args:
        model: the model that runs, unsteered. It must share the tokenizer of the model that generated the text.
        completions: the responses of the other model.
        directions: directions of either model, used unchanged. The widths must be equal.
        sites, neutral, envelope, seed, batch_size: as for ``trace``.

    Raises:
        WorkbenchError: the tokenizers differ, or a direction does not fit.

    >>> d = wb.extract(model, tiny_pairs, at=wb.resid_post(2))
    >>> done = wb.generate(model, ["how do i bake a cake"], max_new_tokens=3, progress=False)
    >>> wb.replay(model, done, d).probes[0].site  # here by the model that wrote them
    resid_post(2)
    """
    if not isinstance(completions, Completions):
        raise WorkbenchError(f"expected Completions, as wb.generate returns them, not {completions!r}")
    if completions.vocabulary != model.vocabulary:
        raise WorkbenchError(
            f"{completions.model} and {model.name} have different tokenizers: their tokens do not line up, so one's text "
            "cannot be traced in the other"
        )
    revision = model.revision
    moved = [d if d.model == model.name else d.transfer(model.name, revision) for d in _listed(directions)]
    renamed = replace(completions, model=model.name, revision=revision)
    traced = trace(model, renamed, moved, sites, Steer(), neutral, envelope, seed, None, batch_size)
    return replace(traced, arms=(f"{completions.model} read by {model.name}",) * len(traced))


def _check_names(arms: Sequence[str] | None, rows: int) -> None:
    if arms is not None and len(arms) != rows:
        raise WorkbenchError(f"{len(arms)} names in arms= for {rows} rows")


def _listed(directions: Direction | Directions | Sequence[Direction]) -> list[Direction]:
    several = isinstance(directions, Sequence | Directions) and not isinstance(directions, str)
    items = [directions] if isinstance(directions, Direction) else list(directions) if several else []
    if not items or not all(isinstance(item, Direction) for item in items):
        raise WorkbenchError(f"trace needs one or more Directions; got {directions!r}")
    return items


#: more of them tell no more about chance
_MOST_RANDOM = 10_000


def _recorder(
    model: Model,
    directions: Direction | Directions | Sequence[Direction],
    sites: Places,
    envelope: int,
    seed: int,
) -> Recorder:
    """A Recorder of these directions, each at its own site or at each of ``sites``, and of random ones beside them."""
    if isinstance(envelope, int) and envelope > _MOST_RANDOM:
        raise WorkbenchError(f"envelope={envelope!r:.40}: expected at most {_MOST_RANDOM:,} random directions")
    probes = [
        Probe(direction, site)
        for direction in _listed(directions)
        for site in ([direction.site] if sites is None else sites_at(sites, model.n_layers))
    ]
    revision = known_revision(model)
    for probe in probes:
        check_direction(probe.direction, probe.site, model, revision)
    return Recorder(model, tuple(probes), _controls(probes, envelope, seed))


def _controls(probes: Sequence[Probe], n: int, seed: int) -> dict[Site, Float[Tensor, "direction width"]]:
    """Random unit vectors per site; the same for the same seed, site and width."""
    if isinstance(n, bool) or not isinstance(n, int) or n < 0:
        raise WorkbenchError(f"envelope={n}: expected a number of random directions, e.g. 20")
    patterns = {probe.site: replace(probe.direction, site=probe.site) for probe in probes} if n else {}
    return {
        site: torch.stack([pattern.random(seed + i).unit().vector for i in range(n)])
        for site, pattern in patterns.items()
    }


def _read(model: Model, chats: Chats, recorder: Recorder, batch_size: int) -> None:
    """One forward pass per batch of chats of like length."""
    encoded = chats.encoded
    model.check_lengths(encoded.lengths)
    order = sorted(range(len(chats)), key=encoded.lengths.__getitem__)
    batches = [order[i : i + batch_size] for i in range(0, len(order), batch_size)]
    decoder = model.hf.get_decoder()
    for rows in Bar(batches, desc="tracing", unit="batch", leave=False, disable=len(batches) < 4):
        ids, mask = encoded.padded(rows, model.device)
        starts = [encoded.prompt_lengths[row] for row in rows]
        width = max(starts)
        applied = Applied([chats.steers[row] for row in rows], starts, width, ids.shape[1] - width, model, True)
        with torch.no_grad(), applied.hooked(model), recorder.watching(applied, rows):
            decoder(input_ids=ids, attention_mask=mask, position_ids=encoded.positions(mask), use_cache=False)
