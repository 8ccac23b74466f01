"""Means over pairs of what patching and interchange did, with intervals; and how well estimates agree with exact effects."""

from typing import TYPE_CHECKING

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
    found = []
    for (name, _), part in rows.groupby(["set", "way"], sort=False):
        cells = part.groupby(by, sort=False, dropna=False)
        tables = {
            column: part.pivot_table(values=column, index=by, columns="pair", aggfunc="mean", sort=False, dropna=False)
            for column in ("effect", *(["estimate"] if "estimate" in part else []))
            if not part[column].isna().all()
        }
        ends = part.groupby("pair", sort=False)[["base", "source"]].mean()
        k = len(ends)
        if k < 2:
            raise WorkbenchError(f"the rows of {name!r} are of {k} pair; an interval needs two at least")
        order = [key if isinstance(key, tuple) else (key,) for key in cells.groups]
        drawn = draws(k, 1, resamples, seed)
        counts = np.stack([np.bincount(draw, minlength=k) for draw in drawn]) / k
        tail = (1 - widen(confidence, k)) / 2
        gap = (ends["source"] - ends["base"]).to_numpy()
        gaps = counts @ gap
        wide = abs(gap.mean()) > 1e-9 * max(1.0, float(np.abs(ends.to_numpy()).max()))
        for key in order:
            line: dict = dict(zip(by, key, strict=True)) | {"n": k}
            values = _row(tables.get("effect"), key, ends.index)
            if values is None:
                line |= dict.fromkeys(("effect", "low", "high", "share", "share_low", "share_high"), np.nan)
            else:
                means = counts @ values
                low, high = np.quantile(means, [tail, 1 - tail], method="inverted_cdf")
                line |= {"effect": values.mean(), "low": low, "high": high}
                if wide:
                    with np.errstate(divide="ignore", invalid="ignore"):
                        shares = np.where(gaps == 0, np.nan, means / gaps)
                    bounds = np.nanquantile(shares, [tail, 1 - tail], method="inverted_cdf")
                    line |= {"share": values.mean() / gap.mean(), "share_low": bounds[0], "share_high": bounds[1]}
                else:
                    line |= dict.fromkeys(("share", "share_low", "share_high"), np.nan)
            guess = _row(tables.get("estimate"), key, ends.index)
            line["estimate"] = np.nan if guess is None else guess.mean()
            found.append(line)
    return pd.DataFrame(found)


def _row(table: "pd.DataFrame | None", key: tuple, pairs: "pd.Index") -> np.ndarray | None:
    if table is None or key not in table.index:
        return None
    values = table.loc[key].reindex(pairs).to_numpy(dtype=float).ravel()
    return None if np.isnan(values).any() else values


def screen_agreement(effects: "pd.DataFrame") -> Estimate:
    """How well attribution patching ranks the places that were patched exactly: Spearman's correlation.

    Args:
        effects: of ``patch_effects``, from rows with ``screen=``. Choose one set and way beforehand, or all are taken together.

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
