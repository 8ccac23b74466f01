"""Rows as a sweep gives them, drawn from stated rates: what a replication without a model looks like."""

import numpy as np
import pandas as pd


def arm_name(kind, layer, ratio, seed=-1):
    """As the name of ``wb.sweeps.Arm``."""
    if kind == "baseline":
        return "baseline"
    return f"{kind}{'' if seed < 0 else f' {seed}'} L{layer} {ratio:+.2f}"


def arm_rows(where, kind, layer, ratio, seed, values, bases=None):
    """One arm over as many prompts as there are values."""
    prompts = [f"{where}-{i}" for i in range(len(values))]
    return pd.DataFrame(
        {
            "set": where,
            "prompt": prompts,
            "base": prompts if bases is None else bases,
            "category": "",
            "arm": arm_name(kind, layer, ratio, seed),
            "kind": kind,
            "layer": layer,
            "ratio": ratio,
            "seed": seed,
            "dose": abs(ratio),
            "key": [f"{prompt} {arm_name(kind, layer, ratio, seed)}" for prompt in prompts],
            "tokens": 8,
            "finish": "stop",
            "model": "planted",
            "revision": "1",
            "score": "refusal",
            "value": values,
        }
    )


def planted_rows(
    n,
    gained=0.0,
    lost=0.0,
    base=0.3,
    seed=0,
    controls=5,
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

    frames = [arm_rows(where, "baseline", -1, 0.0, -1, np.where(before, label, other))]
    for layer in layers:
        values = turned(gained, lost)
        values[rng.random(n) < collapse] = "collapse"
        frames.append(arm_rows(where, "direction", layer, ratio, -1, values))
        for kind in ("random", "orthogonal"):
            for number in range(controls):
                values = turned(lost if control_gain is None else control_gain, lost)
                frames.append(arm_rows(where, kind, layer, ratio, number, values))
    return pd.concat(frames, ignore_index=True)
