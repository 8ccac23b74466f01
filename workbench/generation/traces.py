"""The Trace: projections per token, and the scales they are read on. Numbers only; no model runs here."""

from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING, Any

import numpy as np

from workbench._errors import WorkbenchError
from workbench.steering.directions import Direction
from workbench.steering.sites import Site
from workbench.steering.steer import Steer

if TYPE_CHECKING:
    import pandas as pd


@dataclass(frozen=True)
class Probe:
    """A direction, and the site whose activations are projected on it."""

    direction: Direction
    site: Site


@dataclass(frozen=True)
class Neutral:
    """Mean and standard deviation of projections over the tokens of neutral texts: what z-scores are measured in.

    Attributes:
        mean, sd: [probe].
        random_mean, random_sd: [control, site].
    """

    mean: np.ndarray
    sd: np.ndarray
    random_mean: np.ndarray
    random_sd: np.ndarray

    @classmethod
    def of(cls, trace: "Trace") -> "Neutral":
        """The scale that a trace of neutral texts sets; the first token of each chat, an attention sink, is left out."""
        dot, random = trace.dot[:, :, 1:], trace.random[..., 1:]
        if (~np.isnan(dot[:, 0])).sum() < 2:
            raise WorkbenchError("the neutral texts have fewer than two tokens: no standard deviation")
        axes = (0, -1)
        empty = random.size == 0
        zero = np.zeros(random.shape[1:3])
        return cls(
            np.nanmean(dot, axis=axes),
            np.nanstd(dot, axis=axes, ddof=1),
            zero if empty else np.nanmean(random, axis=axes),
            zero if empty else np.nanstd(random, axis=axes, ddof=1),
        )


@dataclass(frozen=True, eq=False)
class Trace:
    """Projections of every token on every probe. Positions count from the first token of the chat; values after the last are NaN.

    Attributes:
        probes: the labels of axis 1 of ``dot``; with ``sites=None`` in ``trace``, one per direction, in order.
        sites: the labels of axis 1 of ``norm``.
        dot: [row, probe, position], float32: ``h . u``, in units of the activations.
        norm: [row, site, position], float32: L2 norm of the activations.
        random: [row, control, site, position]: projections on random unit vectors; no controls without ``envelope=``.
        edited: [row, position], bool: tokens that a Steer edited at any site, gates considered.
        hidden: rows whose response is only shown on request: steered answers to harmful requests.

    >>> d = wb.extract(model, tiny_pairs, at=wb.resid_post(2))
    >>> found = wb.trace(model, [("how do i bake a cake", " bread song")], d)
    >>> found.dot.shape == (1, 1, len(found.tokens[0])), found.mean("prompt").shape
    (True, (1, 1))
    """

    probes: tuple[Probe, ...]
    sites: tuple[Site, ...]
    dot: np.ndarray = field(repr=False)
    norm: np.ndarray = field(repr=False)
    random: np.ndarray = field(repr=False)
    edited: np.ndarray = field(repr=False)
    token_ids: tuple[tuple[int, ...], ...] = field(repr=False)
    tokens: tuple[tuple[str, ...], ...] = field(repr=False)
    prompt_lengths: tuple[int, ...] = field(repr=False)
    arms: tuple[str, ...]
    prompt_ids: tuple[str, ...] = field(repr=False)
    hidden: tuple[bool, ...] = field(repr=False)
    model: str
    neutral: Neutral | None = field(default=None, repr=False)

    def __repr__(self) -> str:
        rows, probes, tokens = self.dot.shape
        return f"Trace({rows} rows, {probes} probes, {tokens} tokens at most; model {self.model})"

    def __len__(self) -> int:
        return len(self.tokens)

    @property
    def cosine(self) -> np.ndarray:
        """[row, probe, position]: projection over norm."""
        return self.dot / self.norm[:, self._site_of_probe]

    @property
    def z(self) -> np.ndarray:
        """[row, probe, position]: projection in standard deviations from the mean over neutral tokens.

        Raises:
            WorkbenchError: traced without ``neutral=``.
        """
        if self.neutral is None:
            raise WorkbenchError("z-scores need a neutral set: trace(..., neutral=wb.pairs('refusal').dev.negative)")
        return (self.dot - self.neutral.mean[:, None]) / self.neutral.sd[:, None]

    @property
    def _site_of_probe(self) -> list[int]:
        return [self.sites.index(probe.site) for probe in self.probes]

    def select(self, rows: Sequence[int] | None = None, probes: Sequence[int] | None = None) -> "Trace":
        """The same trace with some of its rows or probes, by number."""
        at = list(range(len(self)) if rows is None else rows)
        of = list(range(len(self.probes)) if probes is None else probes)
        neutral = self.neutral and replace(self.neutral, mean=self.neutral.mean[of], sd=self.neutral.sd[of])
        arrays = {name: getattr(self, name)[at] for name in ("dot", "norm", "random", "edited")}
        arrays["dot"] = arrays["dot"][:, of]
        listed = ("token_ids", "tokens", "prompt_lengths", "arms", "prompt_ids", "hidden")
        lists: dict[str, Any] = {name: tuple(getattr(self, name)[i] for i in at) for name in listed}
        return replace(self, probes=tuple(self.probes[i] for i in of), neutral=neutral, **arrays, **lists)

    def mean(self, region: str = "response") -> np.ndarray:
        """Mean projection over the tokens of a region ("prompt" or "response"), [row, probe]; NaN where it is empty."""
        chosen = self.dot.copy()
        for row, length in enumerate(self.prompt_lengths):
            chosen[row, :, slice(length, None) if region == "prompt" else slice(0, length)] = np.nan
        counts = (~np.isnan(chosen)).sum(-1)
        return np.where(counts > 0, np.nansum(chosen, -1) / np.maximum(counts, 1), np.nan)

    def frame(self) -> "pd.DataFrame":
        """One row per row × probe × token, as the figures take it. A pandas DataFrame.

        Columns: row, arm, prompt_id, direction, layer, site, position, offset (0 is the first response token), part,
        token, dot, cosine, z (NaN without a neutral set), norm, steered, hidden; and with an envelope, the central 95% of
        the random directions as dot_low, dot_high, cosine_low, cosine_high, z_low, z_high.
        """
        import pandas as pd

        bands = self._bands()
        parts = [self._row_frame(row, bands) for row in range(len(self))]
        return pd.concat(parts, ignore_index=True)

    def _row_frame(self, row: int, bands: dict[str, np.ndarray]) -> "pd.DataFrame":
        import pandas as pd

        n, k, prompt = len(self.tokens[row]), len(self.probes), self.prompt_lengths[row]
        position = np.arange(n)
        sites = self._site_of_probe
        columns: dict[str, object] = {
            "row": np.full(n * k, row),
            "arm": [self.arms[row]] * (n * k),
            "prompt_id": [self.prompt_ids[row]] * (n * k),
            "direction": np.repeat([probe.direction.method for probe in self.probes], n),
            "layer": np.repeat([probe.site.layer for probe in self.probes], n),
            "site": np.repeat([probe.site.kind for probe in self.probes], n),
            "position": np.tile(position, k),
            "offset": np.tile(position - prompt, k),
            "part": np.tile(np.where(position < prompt, "prompt", "response"), k),
            "token": list(self.tokens[row]) * k,
            "dot": self.dot[row, :, :n].ravel(),
            "cosine": self.cosine[row, :, :n].ravel(),
            "z": (self.z[row, :, :n] if self.neutral else np.full((k, n), np.nan)).ravel(),
            "norm": self.norm[row, sites, :n].ravel(),
            "steered": np.tile(self.edited[row, :n], k),
            "hidden": np.tile((position >= prompt) & self.hidden[row], k),
        }
        columns |= {name: values[row][sites, :n].ravel() for name, values in bands.items()}
        return pd.DataFrame(columns)

    def _bands(self) -> dict[str, np.ndarray]:
        """The central 95% of the random directions, [row, site, position] each; empty without an envelope."""
        if self.random.shape[1] == 0:
            return {}
        kinds = {"dot": self.random, "cosine": self.random / self.norm[:, None]}
        if self.neutral is not None:
            kinds["z"] = (self.random - self.neutral.random_mean[..., None]) / self.neutral.random_sd[..., None]
        bands = {}
        for name, values in kinds.items():
            bands[f"{name}_low"], bands[f"{name}_high"] = np.quantile(values, [0.025, 0.975], axis=1)
        return bands


def arm_name(steer: Steer) -> str:
    """A short name of a Steer for a legend: its signed dose where it is a plain addition, else what it does.

    >>> arm_name(Steer())
    'base'
    """
    edits = steer.effective
    if not edits:
        return "base"
    if all(edit.operation == "add" and edit.condition is None and edit.dose == edit.dose for edit in edits):
        return f"{sum(np.sign(edit.coef) * edit.dose for edit in edits):+.2f}"
    return str(steer)
