"""Rows as a sweep gives them, drawn from stated rates: what a replication without a model looks like."""

from functools import lru_cache

import numpy as np
import pandas as pd

import workbench as wb

#: gates that are read off rows; a notebook measures the others
OF_ROWS = ("G5", "G6", "G7", "G8")


def setup_passed(identity):
    """The gates of a claim that rows cannot answer, as a notebook hands them over when they pass."""
    required = wb.claim(identity).criterion.gates
    return tuple(wb.Gate(f"{name} as measured", True, "fine") for name in required if name not in OF_ROWS)


def record(identity, rows=None, gates=(), **more):
    """As ``wb.ledger.record``, with the gates passed that the rows cannot answer."""
    return wb.ledger.record(identity, rows, gates=[*setup_passed(identity), *gates], **more)


def arm_name(kind, layer, ratio, seed=-1):
    """As the name of ``wb.sweeps.Arm``."""
    if kind == "baseline":
        return "baseline"
    return f"{kind}{'' if seed < 0 else f' {seed}'} L{layer} {ratio:+.2f}"


def arm_rows(where, kind, layer, ratio, seed, values, bases=None):
    """One arm over as many prompts as there are values."""
    return rows_of([(where, kind, layer, ratio, seed, values, bases)])


def rows_of(arms):
    """Several arms, each as ``arm_rows`` takes it, in one frame."""
    told = [(*arm[:5], len(arm[5]), None if arm[6] is None else tuple(arm[6])) for arm in arms]
    return rows_without_values(tuple(told)).assign(value=[value for arm in arms for value in arm[5]])


@lru_cache(maxsize=4)  # simulations draw the same arms many hundred times
def rows_without_values(arms):
    """The frame of some arms of so many prompts."""
    columns = {name: [] for name in ("set", "prompt", "base", "arm", "kind", "layer", "ratio", "seed", "key", "value")}
    for where, kind, layer, ratio, seed, n, bases in arms:
        name = arm_name(kind, layer, ratio, seed)
        prompts = [f"{where}-{i}" for i in range(n)]
        told = {"set": where, "arm": name, "kind": kind, "layer": layer, "ratio": ratio, "seed": seed}
        for column, value in told.items():
            columns[column] += [value] * n
        columns["prompt"] += prompts
        columns["base"] += prompts if bases is None else list(bases)
        columns["key"] += [f"{prompt} {name}" for prompt in prompts]
        columns["value"] += [""] * n
    frame = pd.DataFrame(columns)
    same = {"category": "", "tokens": 8, "finish": "stop", "model": "planted", "revision": "1", "score": "refusal"}
    return frame.assign(dose=frame["ratio"].abs(), **same)


def planted_rows(
    n,
    gained=0.0,
    lost=0.0,
    base=0.3,
    seed=0,
    controls=20,
    control_gain=None,
    ratio=-0.3,
    layers=(8,),
    where="positive",
    label="compliance",
    collapse=0.0,
):
    """n prompts under a baseline, a direction per layer and its controls.

    The label has the rate ``base``; under the direction ``gained`` of all prompts turn to it and ``lost`` away from it.
    Controls gain ``control_gain`` (by default ``lost``) and lose ``lost``. ``collapse``: share of broken responses under the
    direction.
    """
    rng = np.random.default_rng(seed)
    other = "refusal" if label == "compliance" else "compliance"
    before = rng.random(n) < base

    def turned(up, down):
        gain = ~before & (rng.random(n) < up / max(1 - base, 1e-9))
        return np.where(gain | (before & (rng.random(n) >= down / max(base, 1e-9))), label, other).astype(object)

    arms = [(where, "baseline", -1, 0.0, -1, np.where(before, label, other), None)]
    for layer in layers:
        values = turned(gained, lost)
        values[rng.random(n) < collapse] = "collapse"
        arms.append((where, "direction", layer, ratio, -1, values, None))
        for kind in ("random", "orthogonal"):
            for number in range(controls):
                values = turned(lost if control_gain is None else control_gain, lost)
                arms.append((where, kind, layer, ratio, number, values, None))
    return rows_of(arms)
