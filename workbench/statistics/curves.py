"""Maximum-likelihood fits of a flat line, a step and logistic curves to counts by dose; ``dose`` is their public face."""

from typing import NamedTuple

import numpy as np

SPAN = 2 * np.log(9)  # a logistic curve rises from 10% to 90% over this many units of its logit
SHAPES = {"flat": 1, "step": 3, "logistic": 2, "logistic with plateaus": 4}  # and their free numbers
_REACH = 10  # midpoints are sought up to so many dose ranges beyond the doses; at that bound they count as infinite
_WIDEST = 20  # and transitions up to so many dose ranges wide
_FLOOR = 1e-9  # keeps the logarithm of a rate finite


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


def log_likelihood(curve: Curve, doses: np.ndarray, k: np.ndarray, n: np.ndarray) -> float:
    """Of counts ``k`` out of ``n`` at sorted doses, shape [dose], without the binomial coefficients."""
    from scipy.special import xlog1py, xlogy

    rate = curve.rate(doses)
    return float((xlogy(k, np.maximum(rate, _FLOOR)) + xlog1py(n - k, -np.minimum(rate, 1 - _FLOOR))).sum())


def fit(shape: str, doses: np.ndarray, k: np.ndarray, n: np.ndarray, near: Curve | None = None) -> Curve:
    """The most likely curve of a shape.

    Args:
        doses: sorted, all different, shape [dose].
        k, n: counts at each dose, shape [dose]; a dose without rows has n = 0.
        near: where to start, for refits of resampled data; by default several starts are tried.
    """
    if shape == "flat":
        rate = float(k.sum() / n.sum())
        return Curve(np.nan, np.nan, rate, rate)
    if shape == "step":
        return _step(doses, k, n)
    starts = [near] if near is not None else _starts(doses, k, n, shape)
    found = [_climb(start, doses, k, n, free=shape == "logistic with plateaus") for start in starts]
    return max(found, key=lambda curve: log_likelihood(curve, doses, k, n))


def _step(doses: np.ndarray, k: np.ndarray, n: np.ndarray) -> Curve:
    """The best of all gaps between doses."""
    middles = (doses[1:] + doses[:-1]) / 2
    with np.errstate(invalid="ignore", divide="ignore"):
        before = np.nan_to_num(k.cumsum()[:-1] / n.cumsum()[:-1])
        after = np.nan_to_num((k.sum() - k.cumsum()[:-1]) / (n.sum() - n.cumsum()[:-1]))
    curves = [Curve(float(m), 0.0, float(b), float(a)) for m, b, a in zip(middles, before, after, strict=True)]
    return max(curves, key=lambda curve: log_likelihood(curve, doses, k, n))


def _starts(doses: np.ndarray, k: np.ndarray, n: np.ndarray, shape: str) -> list[Curve]:
    """Curves to start from: every quarter of the doses, steep and gentle, rising and falling."""
    middles = np.quantile(doses, [0.1, 0.3, 0.5, 0.7, 0.9])
    widths = [2 * float(np.diff(doses).min()), float(np.ptp(doses)) / 2]
    if shape == "logistic":
        ends = [(0.0, 1.0), (1.0, 0.0)]
    else:
        third = max(1, len(doses) // 3)
        low, high = k[:third].sum() / n[:third].sum(), k[-third:].sum() / n[-third:].sum()
        ends = [(float(low), float(high))]
    return [Curve(float(m), w, *e) for m in middles for w in widths for e in ends]


def _climb(start: Curve, doses: np.ndarray, k: np.ndarray, n: np.ndarray, free: bool) -> Curve:
    """The nearest maximum of the likelihood, over midpoint and log width, and with ``free`` both plateaus."""
    from scipy.optimize import minimize
    from scipy.special import expit

    span, gap = float(np.ptp(doses)), float(np.diff(doses).min())
    bounds = [
        (doses[0] - _REACH * span, doses[-1] + _REACH * span),
        (np.log(gap), np.log(_WIDEST * span)),
        (0.0, 1.0),
        (0.0, 1.0),
    ]

    def downhill(theta: np.ndarray) -> tuple[float, np.ndarray]:
        middle, log_width = theta[0], theta[1]
        before, after = (theta[2], theta[3]) if free else (start.before, start.after)
        logit = SPAN * (doses - middle) / np.exp(log_width)
        share = expit(logit)
        rate = np.clip(before + (after - before) * share, _FLOOR, 1 - _FLOOR)
        slope = k / rate - (n - k) / (1 - rate)
        change = slope * (after - before) * share * (1 - share)
        gradient = [change.sum() * -SPAN / np.exp(log_width), -(change * logit).sum()]
        if free:
            gradient += [(slope * (1 - share)).sum(), (slope * share).sum()]
        return -float((k * np.log(rate) + (n - k) * np.log1p(-rate)).sum()), -np.array(gradient)

    theta = np.array([start.midpoint, np.log(start.width), start.before, start.after][: 4 if free else 2])
    theta = np.clip(theta, *np.array(bounds[: len(theta)]).T)
    found = minimize(downhill, theta, jac=True, method="L-BFGS-B", bounds=bounds[: len(theta)]).x
    before, after = (found[2], found[3]) if free else (start.before, start.after)
    middle = found[0]
    if min(middle - bounds[0][0], bounds[0][1] - middle) < 0.01 * span:
        middle = np.inf if middle > doses[0] else -np.inf
    return Curve(float(middle), float(np.exp(found[1])), float(before), float(after))
