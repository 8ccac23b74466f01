"""Means over pairs of what patching and interchange did, with intervals; and how well estimates agree with exact effects."""

from collections.abc import Iterator
from typing import TYPE_CHECKING, Any

import numpy as np

from workbench._errors import WorkbenchError
from workbench.statistics import inputs
from workbench.statistics.means import draws, widen
from workbench.statistics.ranking import spearman
from workbench.statistics.results import Estimate

if TYPE_CHECKING:
    import pandas as pd

#: what tells places apart, as far as a frame has it
_BY = ("set", "way", "component", "basis", "layer", "head", "token")


def patch_effects(
    rows: "pd.DataFrame", confidence: float = 0.95, resamples: int = 999, seed: int = 0
) -> "pd.DataFrame":
    """Mean effects over pairs, place by place, with intervals that resample pairs.

    Args:
        rows: of ``patch`` or ``interchange``; several seeds of a basis are averaged within a pair first.
        confidence, resamples, seed: of the bootstrap (percentiles, at the level that makes up for few pairs: Hesterberg 2015).

    Returns:
        A DataFrame, one row per place: the columns that identify it, n (pairs), effect, low, high (in units of the
        metric), share, share_low, share_high (fractions of the way from the mean base to the mean source; NaN if the
        two do not differ), estimate. Places that were only estimated have no effect.

    Raises:
        WorkbenchError: rows of another function, or fewer than two pairs.

    >>> d = wb.extract(model, tiny_pairs, at=wb.resid_post(2))
    >>> effects = patch_effects(wb.patch(model, tiny_pairs, "resid", d))
    >>> last = effects[(effects["layer"] == 2) & (effects["way"] == "denoise")].iloc[0]
    >>> round(float(last["share"]), 6)  # all of the stream where the direction is read
    1.0
    """
    import pandas as pd

    lacking = {"set", "pair", "way", "base", "source", "effect"} - set(rows.columns)
    if lacking or rows.empty:
        raise WorkbenchError(f"expected rows of wb.patch or wb.interchange; got {len(rows)} without {sorted(lacking)}")
    inputs.between(confidence, 0, 1, "confidence")
    by = [name for name in _BY if name in rows]
    lines = [
        line
        for _, part in rows.groupby(["set", "way"], sort=False)
        for line in _place_lines(part, by, confidence, resamples, seed)
    ]
    return pd.DataFrame(lines)


#: the numbers of a place
_NUMBERS = ("effect", "low", "high", "share", "share_low", "share_high")


def _place_lines(
    part: "pd.DataFrame", by: list[str], confidence: float, resamples: int, seed: int
) -> Iterator[dict[str, Any]]:
    """A line for each place of one set and way."""
    ends = part.groupby("pair", sort=False)[["base", "source"]].mean()
    k = len(ends)
    if k < 2:
        raise WorkbenchError(f"the rows of {part['set'].iloc[0]!r} are of {k} pair; an interval needs two at least")
    counts = np.stack([np.bincount(draw, minlength=k) for draw in draws(k, 1, resamples, seed)]) / k
    tail = (1 - widen(confidence, k)) / 2
    gap = (ends["source"] - ends["base"]).to_numpy()
    differ = abs(gap.mean()) > 1e-9 * max(1.0, float(np.abs(ends.to_numpy()).max()))
    effects, estimates = (_by_place(part, column, by, ends.index) for column in ("effect", "estimate"))
    for (key, values), (_, guesses) in zip(effects.iterrows(), estimates.iterrows(), strict=True):
        line = dict(zip(by, key, strict=True)) | {"n": k} | dict.fromkeys(_NUMBERS, np.nan)
        if values.notna().all():
            line |= _effect(values.to_numpy(), counts, tail)
            line |= _share(values.to_numpy(), gap, counts, tail) if differ else {}
        yield line | {"estimate": guesses.mean(skipna=False)}


def _by_place(part: "pd.DataFrame", column: str, by: list[str], pairs: "pd.Index") -> "pd.DataFrame":
    """A column, one row per place and one column per pair; seeds are averaged. NaN where there is no number."""
    import pandas as pd

    places = pd.MultiIndex.from_frame(part[by].drop_duplicates())
    if column not in part:
        return pd.DataFrame(np.nan, index=places, columns=pairs)
    means = part.groupby([*by, "pair"], sort=False)[column].mean()
    return means.astype(float).unstack("pair").reindex(index=places, columns=pairs)


def _effect(values: np.ndarray, counts: np.ndarray, tail: float) -> dict[str, float]:
    """The mean of values, [pair], and its interval; ``counts`` says how often each resample has each pair, [resample, pair]."""
    low, high = np.quantile(counts @ values, [tail, 1 - tail], method="inverted_cdf")
    return {"effect": values.mean(), "low": low, "high": high}


def _share(values: np.ndarray, gap: np.ndarray, counts: np.ndarray, tail: float) -> dict[str, float]:
    """The share of the way, with its interval; resamples whose ends do not differ say nothing."""
    gaps = counts @ gap
    with np.errstate(divide="ignore", invalid="ignore"):
        shares = np.where(gaps == 0, np.nan, counts @ values / gaps)
    low, high = np.nanquantile(shares, [tail, 1 - tail], method="inverted_cdf")
    return {"share": values.mean() / gap.mean(), "share_low": low, "share_high": high}


def screen_agreement(effects: "pd.DataFrame") -> Estimate:
    """How well attribution patching ranks the places that were patched exactly: Spearman's correlation.

    Args:
        effects: of ``patch_effects``, from rows with ``screen=``. Choose one set and way first; otherwise all are taken together.

    Raises:
        WorkbenchError: fewer than four places that have both.

    >>> d = wb.extract(model, tiny_pairs, at=wb.resid_post(2))
    >>> rows = wb.patch(model, tiny_pairs, "head", d, screen=8, ways=["denoise"])
    >>> screen_agreement(patch_effects(rows)).n
    8
    """
    both = effects.dropna(subset=["effect", "estimate"])
    if len(both) < 4:
        raise WorkbenchError(f"{len(both)} places have an estimate and an exact effect; expected four: raise screen=")
    return spearman(both["estimate"].to_numpy(), both["effect"].to_numpy(), block=1)
