"""Dose and response: is a rate flat, a step or a smooth curve, where is its middle, and how wide is the transition?"""

from collections.abc import Hashable, Sequence
from dataclasses import dataclass

import numpy as np

from workbench._errors import WorkbenchError, unknown
from workbench.statistics import inputs
from workbench.statistics.dose_fits import SHAPES, Curve, fit, log_likelihood, refit
from workbench.statistics.means import percentiles
from workbench.statistics.results import Comparison, Estimate


@dataclass(frozen=True)
class DoseFit:
    """One shape fitted to a dose-response.

    ``before`` and ``after`` are the rates far below and far above the midpoint. ``midpoint`` is the dose at half of
    the change (for "logistic", a rate of one half; for "step", the middle of the gap between two doses); None for
    "flat". ``width`` is the dose over which 10% to 90% of the change happens; None for "flat" and "step".
    ``deviance`` compares the shape with one free rate per dose: a small ``deviance_p`` means that the shape does not
        fit, or that the rows of a dose are not independent. It is 1 if the shape has as many parameters as there are
        doses.
    """

    shape: str
    before: float
    after: float
    midpoint: Estimate | None
    width: Estimate | None
    bic: float
    deviance: float
    deviance_p: float

    def rate(self, dose: float | Sequence[float] | np.ndarray) -> np.ndarray:
        """The fitted rate at these doses, between 0 and 1, in the shape of ``dose``."""
        middle = np.nan if self.midpoint is None else self.midpoint.value
        width = 0.0 if self.width is None else self.width.value
        return Curve(middle, width, self.before, self.after).rate(np.asarray(dose, dtype=float))

    def __str__(self) -> str:
        if self.midpoint is None:
            return f"{self.shape} at {self.before:.2f}"
        width = "" if self.width is None else f", width {self.width.value:.3g}"
        m = self.midpoint
        return f"{self.shape} from {self.before:.2f} to {self.after:.2f}, midpoint {m.value:.3g} [{m.low:.3g}, {m.high:.3g}]{width}"


@dataclass(frozen=True)
class DoseResponse:
    """All shapes fitted to the same rows, lowest BIC first, and the number of rows."""

    fits: tuple[DoseFit, ...]
    n: int

    @property
    def best(self) -> DoseFit:
        """The shape with the lowest BIC."""
        return self.fits[0]

    def __getitem__(self, shape: str) -> DoseFit:
        for one in self.fits:
            if one.shape == shape:
                return one
        raise unknown("shape", shape, SHAPES)

    def behind(self, shape: str) -> float:
        """How far the BIC of a shape lies above the best: more than 6 is strong evidence (Kass and Raftery 1995)."""
        return self[shape].bic - self.best.bic

    def __str__(self) -> str:
        others = ", ".join(f"{one.shape} +{self.behind(one.shape):.1f}" for one in self.fits[1:])
        return f"{self.best}; BIC of {others}; n={self.n}"


def dose_response(
    doses: inputs.Numbers,
    successes: Sequence[int] | np.ndarray,
    n: Sequence[int] | np.ndarray | int = 1,
    clusters: Sequence[Hashable] | np.ndarray | None = None,
    confidence: float = 0.95,
    resamples: int = 999,
    seed: int = 0,
) -> DoseResponse:
    """Fit a flat line, one step, and logistic curves to a rate over doses, by maximum likelihood, and compare them by BIC.

    The shapes and their numbers of free parameters: "flat" 1; "step" 3 (two rates, and the gap where it happens);
    "logistic" 2 (from 0 to 1, or back); "logistic with plateaus" 4. A logistic curve may not rise from 10% to 90%
    within less than the
    smallest gap between doses: at these doses that is a step, so a width of one gap is an upper bound. BIC is Schwarz's
    (1978) with the number of rows as n.

    Intervals are percentiles of refits to resampled data (Efron and Tibshirani 1993): whole clusters with all their
    doses, or, without clusters, binomial counts at each dose. BIC and deviance take rows as independent.

    Args:
        doses: in any unit, signed or not. One per entry, shape [entry]; at least four different ones.
        successes, n: counts of each entry, shape [entry]. Single outcomes, True or False, are counts out of n = 1.
        clusters: the base prompt of each entry, shape [entry].
        resamples, seed: of the intervals.

    Returns:
        All fits, lowest BIC first; midpoints and widths in the unit of the doses. A midpoint or limit is infinite where
        the doses do not hold it.

    Raises:
        WorkbenchError: fewer than four different doses, not counts, NaN, or lengths that differ.

    >>> doses, percent = [0, 8, 9, 10, 11, 12, 13, 14, 15, 16], [0, 32, 32, 66, 58, 92, 96, 100, 100, 100]
    >>> curve = dose_response(doses, [p // 2 for p in percent], 50)
    >>> print(curve.best.shape, round(curve.best.midpoint.value, 2), round(curve.behind("step")))
    logistic 9.54 73
    """
    entries = _by_dose(doses, successes, n)
    inputs.between(confidence, 0, 1, "confidence")
    inputs.whole(resamples, 99, "resamples", 1_000_000)
    codes = None if clusters is None else inputs.cluster_codes(clusters, len(entries.at))
    resampled = _resample(entries, codes, resamples, inputs.generator(seed))
    units = int(entries.n.sum()) if codes is None else int(codes.max()) + 1
    if units < 2:
        raise WorkbenchError("one cluster: an interval needs at least two independent clusters")
    how = "cluster bootstrap" if codes is not None else "binomial bootstrap"
    fits = []
    for shape in SHAPES:
        curve = fit(shape, entries.levels, entries.k, entries.n)
        middle, width = None, None
        if shape != "flat":
            middles, widths = refit(shape, entries.levels, *resampled, near=curve)
            middle = _middle(curve, middles, entries.levels, confidence, units, how)
            if shape != "step":
                low, high = percentiles(widths, confidence, units)
                width = Estimate(curve.width, low, high, units, how)
        fits.append(_describe(shape, curve, middle, width, entries))
    return DoseResponse(tuple(sorted(fits, key=lambda one: one.bic)), int(entries.n.sum()))


def midpoint(
    doses: inputs.Numbers,
    successes: Sequence[int] | np.ndarray,
    n: Sequence[int] | np.ndarray | int = 1,
    shape: str = "logistic",
) -> float:
    """Only the midpoint, in the unit of the doses: fast enough to use inside ``bootstrap``.

    Use it for the interval of a ratio or difference of two midpoints over the same base prompts. This tells whether
    one model breaks before another, or whether bypass comes before collapse.

    Args:
        doses, successes, n: as for ``dose_response``.
        shape: "step", "logistic" or "logistic with plateaus".

    Raises:
        WorkbenchError: as for ``dose_response``, or a shape without midpoint.

    >>> round(midpoint([1, 2, 3, 4], [1, 4, 6, 9], 10), 2)
    2.5
    """
    if shape not in SHAPES or shape == "flat":
        raise WorkbenchError(
            f"no midpoint for {shape!r}; there is one for {', '.join(s for s in SHAPES if s != 'flat')}"
        )
    entries = _by_dose(doses, successes, n)
    return fit(shape, entries.levels, entries.k, entries.n).midpoint


def half_maximum(doses: inputs.Numbers, gains: inputs.Numbers) -> float:
    """The dose at half of the largest gain, by linear interpolation between doses, starting from no gain at dose 0.

    Use it for curves that need not be logistic, e.g. because text breaks down at the highest doses. It is fast enough
    for ``bootstrap``.

    Args:
        doses: above 0, in increasing order.
        gains: the gains over dose 0, in any unit. Both have shape [dose].

    Returns:
        The dose, in the unit of ``doses``; NaN if there is no gain.

    >>> half_maximum([1, 2, 4], [0.0, 0.6, 0.4])
    1.5
    """
    levels, heights = inputs.paired_numbers(doses, gains, "doses and gains", 1)
    top = np.maximum.accumulate([0.0, *heights])
    if top[-1] <= 0:
        return float("nan")
    after = int(np.argmax(top >= top[-1] / 2))
    low, high = [0.0, *levels][after - 1], levels[after - 1]
    return float(low + (high - low) * (top[-1] / 2 - top[after - 1]) / (top[after] - top[after - 1]))


def largest_jump(
    doses: inputs.Numbers,
    successes: Sequence[int] | np.ndarray,
    n: Sequence[int] | np.ndarray | int = 1,
    resamples: int = 9999,
    seed: int = 0,
) -> Comparison:
    """Test whether the largest step between neighbouring doses is larger than a smooth curve would show by chance.

    A step that was picked after seeing the data must be compared with the largest step *anywhere* under a smooth
    dose-response. This distribution is simulated: binomial counts around the better of the two logistic fits
    (parametric bootstrap, Efron and Tibshirani 1993), with rows taken as independent.

    Args:
        doses, successes, n: as for ``dose_response``.
        resamples, seed: number and seed of the simulations.

    Returns:
        value: the largest difference of rates between neighbouring doses, without sign. p: one-sided. n: rows.

    Raises:
        WorkbenchError: as for ``dose_response``.

    >>> doses, percent = [0, 8, 9, 10, 11, 12, 13, 14, 15, 16], [0, 32, 32, 66, 58, 92, 96, 100, 100, 100]
    >>> print(largest_jump(doses, [p // 2 for p in percent], 50))
    0.34, p = 0.2, n=500 (largest of 9 steps against logistic)
    """
    entries = _by_dose(doses, successes, n)
    inputs.whole(resamples, 99, "resamples", 1_000_000)
    smooth = {shape: fit(shape, entries.levels, entries.k, entries.n) for shape in SHAPES if "logistic" in shape}
    shape = min(smooth, key=lambda s: _bic(s, smooth[s], entries))
    drawn = inputs.generator(seed).binomial(
        entries.n.astype(int), np.clip(smooth[shape].rate(entries.levels), 0, 1), (resamples, len(entries.levels))
    )
    jumps = np.abs(np.diff(drawn / entries.n, axis=1)).max(axis=1)
    value = float(np.abs(np.diff(entries.k / entries.n)).max())
    p = (1 + int((jumps >= value - 1e-12).sum())) / (resamples + 1)
    name = f"largest of {len(entries.levels) - 1} steps against {shape}"
    return Comparison(value, p, int(entries.n.sum()), name)


@dataclass(frozen=True)
class _Entries:
    """Counts: of each entry with the number ``at`` of its dose, and their sums ``k`` and ``n`` at each of the ``levels``."""

    levels: np.ndarray
    at: np.ndarray
    counts: np.ndarray

    @property
    def k(self) -> np.ndarray:
        return np.bincount(self.at, self.counts[0])

    @property
    def n(self) -> np.ndarray:
        return np.bincount(self.at, self.counts[1])


def _by_dose(
    doses: inputs.Numbers, successes: Sequence[int] | np.ndarray, n: Sequence[int] | np.ndarray | int
) -> _Entries:
    counts = inputs.counts(successes, n, 1)
    each, _ = inputs.paired_numbers(doses, counts[0], "doses and successes", 1)
    levels, at = np.unique(each, return_inverse=True)
    if len(levels) < 4:
        raise WorkbenchError(f"{len(levels)} different doses: at least four are needed to tell a step from a curve")
    return _Entries(levels, at, counts)


def _resample(
    entries: _Entries, codes: np.ndarray | None, resamples: int, rng: np.random.Generator
) -> tuple[np.ndarray, np.ndarray]:
    """Counts and denominators of resampled data, each of shape [resample, dose]."""
    if codes is None:
        k = rng.binomial(entries.n.astype(int), entries.k / entries.n, (resamples, len(entries.levels)))
        return k, np.broadcast_to(entries.n, k.shape)
    clusters = int(codes.max()) + 1
    own = np.zeros((2, clusters, len(entries.levels)))
    for side, counted in zip(own, entries.counts, strict=True):
        np.add.at(side, (codes, entries.at), counted)
    drawn = rng.multinomial(clusters, np.full(clusters, 1 / clusters), resamples)
    return drawn @ own[0], drawn @ own[1]


def _middle(curve: Curve, middles: np.ndarray, levels: np.ndarray, confidence: float, units: int, how: str) -> Estimate:
    """The midpoint with its interval; that of a step reaches to the ends of the gaps it may be in."""
    low, high = percentiles(middles, confidence, units)
    if curve.width == 0:
        low, high = levels[levels < low].max(), levels[levels > high].min()
    return Estimate(curve.midpoint, float(low), float(high), units, how)


def _bic(shape: str, curve: Curve, entries: _Entries) -> float:
    likelihood = float(log_likelihood(curve.rate(entries.levels), entries.k, entries.n))
    return float(SHAPES[shape] * np.log(entries.n.sum()) - 2 * likelihood)


def _describe(shape: str, curve: Curve, middle: Estimate | None, width: Estimate | None, entries: _Entries) -> DoseFit:
    from scipy.special import xlog1py, xlogy
    from scipy.stats import chi2

    own = entries.k / entries.n
    free = float((xlogy(entries.k, own) + xlog1py(entries.n - entries.k, -own)).sum())
    deviance = max(2 * (free - float(log_likelihood(curve.rate(entries.levels), entries.k, entries.n))), 0.0)
    degrees = len(entries.levels) - SHAPES[shape]
    p = float(chi2.sf(deviance, degrees)) if degrees > 0 else 1.0
    bic = _bic(shape, curve, entries)
    return DoseFit(shape, curve.before, curve.after, middle, width, bic, deviance, p)
