"""Maximum-likelihood fits of a flat line, a step and logistic curves to counts by dose; ``dose`` is their public face.

All fits run on many sets of counts at once, since intervals refit hundreds of resampled ones.
"""

from typing import NamedTuple

import numpy as np

SPAN = 2 * np.log(9)  # a logistic curve rises from 10% to 90% over this many units of its logit
SHAPES = {"flat": 1, "step": 3, "logistic": 2, "logistic with plateaus": 4}  # and their free numbers
_REACH = 10  # midpoints are sought up to so many dose ranges beyond the doses; at that bound they count as infinite
_WIDEST = 20  # and transitions up to so many dose ranges wide
_FLOOR = 1e-9  # keeps the logarithm of a rate finite
_ROUNDS = 200


class Curve(NamedTuple):
    """Rates far below and above the midpoint; the dose of half the change; the dose over which 10% to 90% of it happens.

    A step has width 0. A flat line has the same rate before and after, and NaN for midpoint and width.
    """

    midpoint: float
    width: float
    before: float
    after: float

    def rate(self, doses: np.ndarray) -> np.ndarray:
        """The rate at these doses, same shape."""
        from scipy.special import expit

        if np.isnan(self.midpoint):
            return np.full(doses.shape, self.before)
        if self.width == 0:
            return np.where(doses > self.midpoint, self.after, self.before)
        return self.before + (self.after - self.before) * expit(SPAN * (doses - self.midpoint) / self.width)


def log_likelihood(rate: np.ndarray, k: np.ndarray, n: np.ndarray) -> np.ndarray:
    """Of counts ``k`` out of ``n``, summed over the last axis, without the binomial coefficients."""
    from scipy.special import xlog1py, xlogy

    rate = np.clip(rate, _FLOOR, 1 - _FLOOR)
    return (xlogy(k, rate) + xlog1py(n - k, -rate)).sum(axis=-1)


def fit(shape: str, doses: np.ndarray, k: np.ndarray, n: np.ndarray) -> Curve:
    """The most likely curve of a shape.

    Args:
        doses: sorted, all different, shape [dose].
        k, n: counts at each dose, shape [dose].
    """
    if shape == "flat":
        rate = float(k.sum() / n.sum())
        return Curve(np.nan, np.nan, rate, rate)
    if shape == "step":
        return Curve(*(float(x) for x in _steps(doses, k[None], n[None])[0]))
    starts = _starts(doses, k, n, shape)
    climbed = _climb(starts, doses, np.tile(k, (len(starts), 1)), np.tile(n, (len(starts), 1)), shape)
    curves = [Curve(*(float(x) for x in row)) for row in climbed]
    return max(curves, key=lambda curve: float(log_likelihood(curve.rate(doses), k, n)))


def refit(shape: str, doses: np.ndarray, k: np.ndarray, n: np.ndarray, near: Curve) -> tuple[np.ndarray, np.ndarray]:
    """Midpoints and widths, each of shape [resample], of fits to resampled counts, starting from the fit to all of them.

    Args:
        k, n: resampled counts, shape [resample, dose]; a dose without rows has n = 0.
    """
    curves = _steps(doses, k, n) if shape == "step" else _climb(np.tile(near, (len(k), 1)), doses, k, n, shape)
    return curves[:, 0], curves[:, 1]


def _steps(doses: np.ndarray, k: np.ndarray, n: np.ndarray) -> np.ndarray:
    """The best of all gaps between doses for each set of counts: midpoint, width 0, before, after; [resample, 4]."""
    from scipy.special import xlog1py, xlogy

    k_below, n_below = k.cumsum(axis=1)[:, :-1], n.cumsum(axis=1)[:, :-1]
    sides = [(k_below, n_below), (k.sum(axis=1, keepdims=True) - k_below, n.sum(axis=1, keepdims=True) - n_below)]
    rates = [successes / np.maximum(of, 1) for successes, of in sides]
    likelihood = sum(
        xlogy(successes, rate) + xlog1py(of - successes, -rate)
        for (successes, of), rate in zip(sides, rates, strict=True)
    )
    gap = likelihood.argmax(axis=1)
    rows = np.arange(len(k))
    middles = (doses[1:] + doses[:-1]) / 2
    return np.stack([middles[gap], np.zeros(len(k)), rates[0][rows, gap], rates[1][rows, gap]], axis=1)


def _starts(doses: np.ndarray, k: np.ndarray, n: np.ndarray, shape: str) -> np.ndarray:
    """Curves to start from, shape [start, 4]: along the doses, steep and gentle, rising and falling."""
    middles = np.quantile(doses, [0.1, 0.3, 0.5, 0.7, 0.9])
    widths = [2 * float(np.diff(doses).min()), float(np.ptp(doses)) / 2]
    ends = [(0.0, 1.0), (1.0, 0.0)]
    if shape != "logistic":
        third = max(1, len(doses) // 3)
        low, high = k[:third].sum() / n[:third].sum(), k[-third:].sum() / n[-third:].sum()
        ends += [(float(low), float(high)), (float(k[0] / n[0]), float(k[-1] / n[-1]))]
    return np.array([(m, w, *e) for m in middles for w in widths for e in ends])


def _climb(starts: np.ndarray, doses: np.ndarray, k: np.ndarray, n: np.ndarray, shape: str) -> np.ndarray:
    """The nearest maximum of the likelihood from each start, inside bounds: Fisher scoring with Levenberg's damping.

    Args:
        starts: midpoint, width, before, after; shape [set, 4].
        k, n: counts, shape [set, dose].

    Returns:
        As ``starts``, with an infinite midpoint where it ran to its bound.
    """
    span, free = float(np.ptp(doses)), 4 if shape == "logistic with plateaus" else 2
    low = np.array([doses[0] - _REACH * span, np.log(np.diff(doses).min()), 0.0, 0.0])[:free]
    high = np.array([doses[-1] + _REACH * span, np.log(_WIDEST * span), 1.0, 1.0])[:free]
    theta = np.clip(np.column_stack([starts[:, 0], np.log(starts[:, 1]), starts[:, 2:]])[:, :free], low, high)
    damping = np.full(len(theta), 1e-3)
    at = np.arange(len(theta))  # the sets that still climb
    for _ in range(_ROUNDS):
        rate, slopes = _rate_and_slopes(theta[at], starts[at], doses)
        tried = theta[at] + _step(theta[at], rate, slopes, k[at], n[at], damping[at], low, high)
        tried = np.clip(tried, low, high)
        tried_rate, _ = _rate_and_slopes(tried, starts[at], doses)
        gain = log_likelihood(tried_rate, k[at], n[at]) - log_likelihood(rate, k[at], n[at])
        better = gain > 0
        theta[at] = np.where(better[:, None], tried, theta[at])
        damping[at] *= np.where(better, 0.2, 8)
        at = at[(gain > 1e-6) | (~better & (damping[at] < 1e6))]
        if len(at) == 0:
            break
    at_bound = np.minimum(theta[:, 0] - low[0], high[0] - theta[:, 0]) < 0.01 * span
    middle = np.where(at_bound, np.where(theta[:, 0] > doses[0], np.inf, -np.inf), theta[:, 0])
    return np.column_stack([middle, np.exp(theta[:, 1]), theta[:, 2:] if free == 4 else starts[:, 2:]])


def _rate_and_slopes(theta: np.ndarray, starts: np.ndarray, doses: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Rates, shape [set, dose], and their derivatives by what is free in ``theta``, shape [set, dose, number]."""
    from scipy.special import expit

    before, after = (theta if theta.shape[1] == 4 else starts)[:, 2:, None].swapaxes(0, 1)
    steepness = SPAN * np.exp(-theta[:, 1:2])
    logit = steepness * (doses - theta[:, :1])
    share = expit(logit)
    change = (after - before) * share * (1 - share)
    slopes = np.stack([-change * steepness, -change * logit, 1 - share, share], axis=-1)
    return np.clip(before + (after - before) * share, _FLOOR, 1 - _FLOOR), slopes[..., : theta.shape[1]]


def _step(
    theta: np.ndarray,
    rate: np.ndarray,
    slopes: np.ndarray,
    k: np.ndarray,
    n: np.ndarray,
    damping: np.ndarray,
    low: np.ndarray,
    high: np.ndarray,
) -> np.ndarray:
    """The next step uphill, shape [set, number]; a number at its bound that would go on beyond it stays there."""
    information = 1 / (rate * (1 - rate))
    score = np.einsum("bdp,bd->bp", slopes, (k - n * rate) * information)
    blocked = ((theta <= low) & (score < 0)) | ((theta >= high) & (score > 0))
    moving = np.where(blocked[:, None], 0.0, slopes)
    curvature = np.einsum("bdp,bd,bdq->bpq", moving, n * information, moving)
    own = np.einsum("bpp->bp", curvature)  # a view of the diagonals
    own += damping[:, None] * own + 1e-9
    return np.linalg.solve(curvature, np.where(blocked, 0.0, score)[..., None])[..., 0]
