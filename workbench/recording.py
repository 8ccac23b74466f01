"""The recorder behind a trace: projects what passes by, site by site, and keeps scalars."""

from collections.abc import Iterator, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, replace
from functools import partial

import numpy as np
import torch

from workbench.applying import Applied
from workbench.completions import Completions
from workbench.edits import Steer
from workbench.errors import WorkbenchError
from workbench.layout import reading
from workbench.models import Model
from workbench.sites import Site
from workbench.traces import Probe, Trace, arm_name


@dataclass(frozen=True)
class Chats:
    """Prompts with their responses, as tokens, and how each is to be read and shown."""

    prompts: tuple[tuple[int, ...], ...]
    responses: tuple[tuple[int, ...], ...]
    steers: tuple[Steer, ...]
    ids: tuple[str, ...]
    hidden: tuple[bool, ...]

    def __len__(self) -> int:
        return len(self.prompts)

    @property
    def lengths(self) -> list[int]:
        """Tokens per chat."""
        return [len(p) + len(r) for p, r in zip(self.prompts, self.responses, strict=True)]

    @classmethod
    def of_completions(cls, done: Completions, steer: Steer | None = None) -> "Chats":
        """As they were written, under their own Steers or under another."""
        steers = done.steers if steer is None else (steer,) * len(done)
        return cls(done.prompt_token_ids, done.token_ids, steers, done.ids, done.hidden)

    def without_last(self) -> "Chats":
        """Without the last token of each response, which its writer never reads."""
        return replace(self, responses=tuple(response[:-1] for response in self.responses))


class Recorder:
    """Projects what passes by, site by site, and keeps the scalars of every row."""

    def __init__(self, model: Model, probes: tuple[Probe, ...], controls: dict[Site, torch.Tensor]):
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
        dot: torch.Tensor,
        norm: torch.Tensor,
        random: torch.Tensor,
        x: torch.Tensor,
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
        if arms is not None and len(arms) != len(chats):
            raise WorkbenchError(f"{len(arms)} names in arms= for {len(chats)} rows")
        lengths = chats.lengths
        stacked = [self._stack([self._rows[row][part] for row in range(len(chats))], lengths) for part in range(4)]
        decode = self.model.tokenizer.decode
        ids = tuple(p + r for p, r in zip(chats.prompts, chats.responses, strict=True))
        return Trace(
            probes=self.probes,
            sites=self.sites,
            dot=stacked[0],
            norm=stacked[1],
            random=stacked[2],
            edited=stacked[3].astype(bool),
            token_ids=ids,
            tokens=tuple(tuple(decode([i]) for i in row) for row in ids),
            prompt_lengths=tuple(len(p) for p in chats.prompts),
            arms=tuple(arms) if arms is not None else tuple(arm_name(steer) for steer in chats.steers),
            prompt_ids=chats.ids,
            hidden=chats.hidden,
            model=self.model.name,
        )

    @staticmethod
    def _stack(parts: list[np.ndarray], lengths: list[int]) -> np.ndarray:
        """Rows of unequal lengths side by side, padded with NaN (False) at the end: [row, ..., position]."""
        empty = False if parts[0].dtype == bool else np.nan
        whole = np.full((len(parts), *parts[0].shape[:-1], max(lengths)), empty, dtype=parts[0].dtype)
        for row, (part, length) in enumerate(zip(parts, lengths, strict=True)):
            whole[row, ..., :length] = part[..., :length]
        return whole
