"""Which method makes a vector of two classes? Plain functions of two arrays, one name each in ``METHODS``.

A method takes the activations of the positive and of the negative texts, float64, and returns a vector in the coordinates of
the activations along which the positive side projects higher. A method of your own is one such function:
``extract(..., method=mine)``, or ``METHODS["mine"] = mine``. Lengths differ between methods and mean different things; doses
(``ratio=``) do not depend on them.

Names that begin with ``log002_`` are what that log ran, faults included: they are there to be compared with.

>>> noise = np.random.default_rng(0).standard_normal((80, 6))
>>> ours, theirs = noise[:40] + 8 * np.eye(6)[2], noise[40:]  # the sides differ along the third axis
>>> [round(abs(float(METHODS[name](ours, theirs)[2])), 1) for name in ("mean_diff", "pca", "log002_pca")]
[8.1, 1.0, 0.1]
"""

import warnings
from collections.abc import Callable

import numpy as np
import torch
from jaxtyping import Float

from workbench._errors import WorkbenchError

#: the activations of one side, a vector per text, and what a method makes of two of them
Side = Float[torch.Tensor, "text d_model"] | Float[np.ndarray, "text d_model"]
Vector = Float[torch.Tensor, "d_model"]

Method = Callable[[torch.Tensor, torch.Tensor], torch.Tensor | np.ndarray]

_STRENGTHS = tuple(10.0**k for k in range(-4, 3))  # of the probe, inverse regularisation, on standardised activations
_FOLDS = 5
_COMPONENTS = 10


def mean_diff(positive: Side, negative: Side) -> Vector:
    """Mean of the positive side minus mean of the negative side (Belrose 2023; Arditi et al. 2024).

    Its length is the distance of the class means, in units of the activations.

    >>> mean_diff(torch.tensor([[3.0, 1.0], [5.0, 1.0]]), torch.tensor([[1.0, 1.0]]))
    tensor([3., 0.], dtype=torch.float64)
    """
    p, n = _sides(positive, negative)
    return torch.from_numpy(p.mean(0) - n.mean(0))


def log002_mean_diff(positive: Side, negative: Side) -> Vector:
    """Log 002's mean difference: activations and class means in the model's own bfloat16, eight bits of a number.

    Where a few dimensions are massive and alike on both sides, what rounding leaves of them is most of the vector.
    """
    p, n = (torch.as_tensor(side).to(torch.bfloat16).mean(0) for side in _sides(positive, negative))
    return (p - n).double()


def probe(positive: Side, negative: Side, seed: int = 0) -> Vector:
    """The weights of a logistic regression on standardised activations, in raw coordinates (log 002, done right).

    Dimensions are divided by their standard deviation within the sides, or by the median of these where theirs is smaller:
    the difference between the sides does not count as spread, and a quiet dimension is not blown up. L2 regularisation is
    chosen by cross-validated log-loss, in up to five folds (log 002 fixed C = 1 on unscaled rows). The regression is fitted
    in the span of the texts, where its solution lies, so that width costs nothing. Its length is log-odds per unit of
    activation. Where noise is not alike in all directions, a probe leans away from the noisy ones: it estimates what tells
    the sides apart best, not the difference of their means.

    Args:
        seed: of the folds.

    Raises:
        WorkbenchError: fewer than two texts on a side.
    """
    from sklearn.linear_model import LogisticRegression
    from sklearn.model_selection import GridSearchCV, StratifiedKFold

    x, sides = _stacked(positive, negative)
    folds = min(_FOLDS, int(sides.sum()), int((~sides).sum()))
    if folds < 2:
        raise WorkbenchError("a probe needs at least two texts on each side, to choose its regularisation")
    scale = _scale(x, sides)
    rows = (x - x.mean(0)) / scale
    basis = _span(rows)
    if not basis.shape[1]:  # texts that are all alike, e.g. in a script that the tokenizer does not know
        return torch.zeros(x.shape[1], dtype=torch.float64)
    search = GridSearchCV(
        LogisticRegression(solver="newton-cholesky", class_weight="balanced"),
        {"C": _STRENGTHS},
        scoring="neg_log_loss",
        cv=StratifiedKFold(folds, shuffle=True, random_state=seed),
    )
    weights = search.fit(rows @ basis, sides).best_estimator_.coef_[0]
    return torch.from_numpy(basis @ weights / scale)


def gradient(positive: Side, negative: Side, seed: int = 0) -> Vector:
    """The unit vector that maximises a separation objective, by gradient from a random start (log 002's idea, defined).

    The objective is the mean over texts, each side weighing one half, of log σ(±(h − c)·v / s): c is the midpoint of the
    class means, s the standard deviation within the sides along their difference, and the sign is that of the side. Large s
    gives the mean difference, small s the widest margin. The vector is kept at length 1, which is its regularisation; the
    gradient steps are L-BFGS. (Log 002 took 100 steps of Adam and says no more.)

    Args:
        seed: of the start. The optimum does not depend on it, since the objective is concave.
    """
    from scipy.optimize import minimize
    from scipy.special import expit

    x, sides = _stacked(positive, negative)
    means = x[sides].mean(0), x[~sides].mean(0)
    difference = means[0] - means[1]
    within = np.where(sides[:, None], x - means[0], x - means[1]) @ difference / (np.linalg.norm(difference) or 1.0)
    centred = (x - sum(means) / 2) * np.where(sides, 1.0, -1.0)[:, None] / (within.std() or 1.0)
    basis = _span(centred)
    if not basis.shape[1]:  # as in ``probe``
        return torch.zeros(x.shape[1], dtype=torch.float64)
    rows, weight = centred @ basis, np.where(sides, 0.5 / sides.sum(), 0.5 / (~sides).sum())

    def loss(w: np.ndarray) -> tuple[float, np.ndarray]:
        length = np.linalg.norm(w)
        margins = rows @ w / length
        slope = -(weight * expit(-margins)) @ rows / length
        return float(weight @ np.logaddexp(0, -margins)), slope - (slope @ w) * w / length**2

    start = np.random.default_rng(seed).standard_normal(basis.shape[1])
    best = minimize(loss, start / np.linalg.norm(start), jac=True, method="L-BFGS-B", options={"maxiter": 2000}).x
    return torch.from_numpy(_unit(basis @ best))


def pca(positive: Side, negative: Side) -> Vector:
    """The first principal component of differences between the sides, **uncentred**, so that their mean stays in.

    Differences are those of the pairs, in order, where both sides have as many texts (what a matched pair shares cancels;
    Zou et al. 2023, repeng), else of each text from the mean of the other side. Length 1, the positive side higher.
    """
    p, n = _sides(positive, negative)
    differences = p - n if len(p) == len(n) else np.concatenate([p - n.mean(0), p.mean(0) - n])
    return _oriented(_first_component(differences), p, n)


def log002_pca(positive: Side, negative: Side) -> Vector:
    """Log 002's PCA of pair differences, **centred**: the mean difference, which is the signal, is taken out first.

    What is left is the direction in which pairs differ most from one another. Its sign is arbitrary, as in the log. Length 1.
    """
    p, n = _sides(positive, negative)
    pairs = min(len(p), len(n))
    differences = p[:pairs] - n[:pairs]
    return torch.from_numpy(_first_component(differences - differences.mean(0)))


def ica(positive: Side, negative: Side, seed: int = 0) -> Vector:
    """The independent component (FastICA, ten of them) that tells the sides of the training texts apart best.

    The vector is the component's column of the mixing matrix: how it shows in the activations. Best is the largest
    difference of means in standard deviations. Length 1, the positive side higher.

    Args:
        seed: of FastICA's start.
    """
    p, n = _sides(positive, negative)
    sources, mixing = _independent(np.concatenate([p, n]), seed)
    ours, theirs = sources[: len(p)], sources[len(p) :]
    spread = np.sqrt((ours.var(0) + theirs.var(0)) / 2) + 1e-12
    best = int(np.abs((ours.mean(0) - theirs.mean(0)) / spread).argmax())
    return _oriented(mixing[:, best], p, n)


def log002_ica(positive: Side, negative: Side, seed: int = 0) -> Vector:
    """Log 002's ICA: the first component, whatever it is. Order and sign of ICA components are arbitrary. Length 1."""
    p, n = _sides(positive, negative)
    return torch.from_numpy(_unit(_independent(np.concatenate([p, n]), seed)[1][:, 0]))


def lda(positive: Side, negative: Side) -> Vector:
    """Linear discriminant: the mean difference, less what is noise, by a shrunken covariance (Ledoit and Wolf 2004).

    Dimensions are standardised as for ``probe``. Like a probe it leans away from noisy directions. Length 1.

    Raises:
        WorkbenchError: fewer than two texts on a side.
    """
    from sklearn.covariance import LedoitWolf
    from sklearn.discriminant_analysis import LinearDiscriminantAnalysis

    x, sides = _stacked(positive, negative)
    if min(sides.sum(), (~sides).sum()) < 2:
        raise WorkbenchError("lda needs at least two texts on each side, to know their spread")
    scale = _scale(x, sides)
    model = LinearDiscriminantAnalysis(solver="lsqr", covariance_estimator=LedoitWolf(), priors=[0.5, 0.5])
    return torch.from_numpy(_unit(model.fit((x - x.mean(0)) / scale, sides).coef_[0] / scale))


def random(positive: Side, negative: Side, seed: int = 0) -> Vector:
    """A Gaussian direction that only borrows its sign from the texts: the floor every method is held to. Length 1."""
    p, n = _sides(positive, negative)
    return _oriented(np.random.default_rng(seed).standard_normal((p.shape[1],)), p, n)


METHODS: dict[str, Method] = {
    "mean_diff": mean_diff,
    "log002_mean_diff": log002_mean_diff,
    "probe": probe,
    "gradient": gradient,
    "pca": pca,
    "log002_pca": log002_pca,
    "ica": ica,
    "log002_ica": log002_ica,
    "lda": lda,
    "random": random,
}


def _sides(positive: Side, negative: Side) -> tuple[np.ndarray, np.ndarray]:
    """Both sides as float64 arrays of one width. Raises WorkbenchError for anything else."""
    try:
        p, n = (torch.as_tensor(side).detach().to("cpu", torch.float64).numpy() for side in (positive, negative))
    except (TypeError, ValueError, RuntimeError) as error:
        raise WorkbenchError(f"a method takes two arrays [text, width] of numbers ({error})") from error
    if p.ndim != 2 or n.ndim != 2 or p.shape[1] != n.shape[1] or not min(len(p), len(n)):
        raise WorkbenchError(f"a method takes two arrays [text, width] of one width; got {p.shape} and {n.shape}")
    if not (np.isfinite(p).all() and np.isfinite(n).all()):
        raise WorkbenchError("the activations hold NaN or infinite values")
    return p, n


def _stacked(positive: Side, negative: Side) -> tuple[np.ndarray, np.ndarray]:
    """All texts, [text, width], and which are positive, [text], bool."""
    p, n = _sides(positive, negative)
    return np.concatenate([p, n]), np.repeat([True, False], [len(p), len(n)])


def _scale(x: np.ndarray, sides: np.ndarray) -> np.ndarray:
    """Standard deviation of each dimension within the sides, at least the median of those that vary; 1 where none does."""
    spread = np.sqrt((x[sides].var(0) * sides.sum() + x[~sides].var(0) * (~sides).sum()) / len(x))
    varies = spread > 1e-12 * max(float(np.abs(x).max()), 1e-300)
    return np.maximum(spread, np.median(spread[varies])) if varies.any() else np.ones_like(spread)


def _span(rows: np.ndarray) -> np.ndarray:
    """An orthonormal basis of the space the rows span, [width, rank]."""
    _, strength, axes = np.linalg.svd(rows, full_matrices=False)
    return axes[strength > 1e-10 * max(strength[0], 1e-300)].T


def _unit(vector: np.ndarray) -> np.ndarray:
    return vector / (np.linalg.norm(vector) or 1.0)


def _oriented(vector: np.ndarray, positive: np.ndarray, negative: np.ndarray) -> Vector:
    """The unit vector, turned so that the positive side projects higher."""
    gap = (positive.mean(0) - negative.mean(0)) @ vector
    return torch.from_numpy(_unit(vector if gap >= 0 else -vector))


def _first_component(rows: np.ndarray) -> np.ndarray:
    """The direction of the largest second moment of the rows, about zero. [width], length 1; the sign is what the SVD gives.

    Rows that are all zero have none: then it is 0.
    """
    _, strength, axes = np.linalg.svd(rows, full_matrices=False)
    return axes[0] if strength[0] > 0 else np.zeros_like(axes[0])


def _independent(x: np.ndarray, seed: int) -> tuple[np.ndarray, np.ndarray]:
    """Sources [text, component] and mixing matrix [width, component] of FastICA, ten components where there are as many."""
    from sklearn.decomposition import FastICA
    from sklearn.exceptions import ConvergenceWarning

    rank = _span(x - x.mean(0)).shape[1]
    if not rank:  # texts that are all alike
        return np.zeros((len(x), 1)), np.zeros((x.shape[1], 1))
    model = FastICA(min(_COMPONENTS, rank), whiten="unit-variance", random_state=seed, max_iter=1000, tol=1e-3)
    with warnings.catch_warnings():  # Gaussian noise has no independent components to converge to; the others count
        warnings.simplefilter("ignore", ConvergenceWarning)
        sources = model.fit_transform(x)
    return sources, model.mixing_
