"""Methods and sites compared on the same held-out texts: what every cell of a layer-by-method table is computed from.

A direction and its threshold come from training texts alone. What is kept of a held-out text is one number per site, so that
intervals can be had by resampling texts, over all sites at once: sites share their texts, and are no independent cells.
"""

from collections.abc import Mapping

import numpy as np
import torch

from workbench.errors import WorkbenchError
from workbench.gathering import Contrast
from workbench.methods import METHODS, Method
from workbench.sites import Site


def held_out_margins(
    train: Mapping[Site, Contrast], held: Mapping[Site, Contrast], method: str | Method = "mean_diff"
) -> np.ndarray:
    """How far each held-out text lies on the positive side of a threshold from training texts, at each site.

    Args:
        train: what ``contrast`` returns: the direction is made of it, and the threshold is the midpoint of its class means.
        held: the same of other texts, at the same sites.
        method: a name in ``METHODS``, or a function of the activations of both sides.

    Returns:
        [site, text], float64, the positive texts first; above 0 is on the positive side. In units of the training texts'
        standard deviation within the sides.

    Raises:
        WorkbenchError: an unknown method, or sites that are not the same.

    >>> held_out_margins(contrast(model, pairs.train, at), contrast(model, pairs.test, at), "probe")  # doctest: +SKIP
    """
    if isinstance(method, str) and method not in METHODS:
        raise WorkbenchError(f"unknown method {method!r}; there are {', '.join(METHODS)}, or give a function")
    if list(train) != list(held):
        raise WorkbenchError(f"{len(train)} sites of training texts and {len(held)} held out are not the same sites")
    function = METHODS[method] if isinstance(method, str) else method
    return np.stack([_margins(train[site], held[site], function) for site in train])


def areas(margins: np.ndarray, positive: np.ndarray) -> np.ndarray:
    """Area under the ROC curve at each site: how often a positive text lies above a negative one, ties one half.

    Args:
        margins: [site, text]. positive: which texts are, [text], bool; of both kinds there is one at least.

    Returns:
        [site], from 0 to 1; below one half where the direction points the wrong way.

    >>> areas(np.array([[3.0, 1.0, 2.0], [1.0, 2.0, 3.0]]), np.array([True, True, False]))
    array([0.5, 0. ])
    """
    from scipy.stats import rankdata

    n, m = int(positive.sum()), int((~positive).sum())
    ranks = rankdata(margins, axis=1)[:, positive].sum(1)
    return (ranks - n * (n + 1) / 2) / (n * m)


def effect_sizes(margins: np.ndarray, positive: np.ndarray) -> np.ndarray:
    """Cohen's d at each site, positive minus negative texts over the standard deviation within the sides. [site]."""
    ours, theirs = margins[:, positive], margins[:, ~positive]
    within = np.sqrt((ours.var(1) * ours.shape[1] + theirs.var(1) * theirs.shape[1]) / margins.shape[1])
    return (ours.mean(1) - theirs.mean(1)) / np.where(within > 0, within, 1.0)


def _margins(train: Contrast, held: Contrast, function: Method) -> np.ndarray:
    vector = torch.as_tensor(function(train.positive, train.negative)).double()
    fitted = [(side @ vector).numpy() for side in (train.positive, train.negative)]
    judged = np.concatenate([(side @ vector).numpy() for side in (held.positive, held.negative)])
    middle = (fitted[0].mean() + fitted[1].mean()) / 2
    within = np.sqrt(np.concatenate([side - side.mean() for side in fitted]).var())
    return (judged - middle) / (within or 1.0)
