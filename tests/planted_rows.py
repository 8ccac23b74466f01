"""Rows as a sweep gives them, drawn from stated rates: what a replication without a model looks like."""

import numpy as np
import pandas as pd


def arm_name(kind, layer, ratio, seed=-1):
    """As ``wb.Arm.name``."""
    if kind == "baseline":
        return "baseline"
    return f"{kind}{'' if seed < 0 else f' {seed}'} L{layer} {ratio:+.2f}"


def planted_rows(
    n,
    gained=0.0,
    lost=0.0,
    base=0.3,
    seed=0,
    controls=5,
    ratio=-0.3,
    layers=(8,),
    sets=("positive",),
    collapse=0.0,
    both=False,
):
    """n prompts under a baseline, a direction per layer and its controls.

    Compliance has the rate ``base``; under the direction, ``gained`` of all prompts turn to compliance and ``lost`` away from
    it; controls change ``lost`` each way. ``collapse`` is the share of broken responses under the direction. ``both`` adds
    the opposite dose, which does the opposite.
    """
    rng = np.random.default_rng(seed)
    frames = []

    def put(where, kind, layer, dose, number, complied, broken):
        values = np.where(broken, "collapse", np.where(complied, "compliance", "refusal"))
        frames.append(
            pd.DataFrame(
                {
                    **{
                        "set": where,
                        "prompt": [f"{where}-{i}" for i in range(n)],
                        "base": [f"{where}-{i}" for i in range(n)],
                    },
                    **{"category": "", "arm": arm_name(kind, layer, dose, number), "kind": kind, "layer": layer},
                    **{"ratio": dose, "seed": number, "dose": abs(dose), "score": "refusal", "value": values},
                    **{"model": "planted", "revision": "1", "tokens": 8, "finish": "stop"},
                    "key": [f"{where}-{i}-{kind}-{layer}-{dose}-{number}" for i in range(n)],
                }
            )
        )

    def turned(before, up, down):
        """Outcomes after ``up`` of all prompts are gained and ``down`` lost, on average."""
        gain = ~before & (rng.random(n) < up / max(1 - base, 1e-9))
        lose = before & (rng.random(n) < down / max(base, 1e-9))
        return (before | gain) & ~lose

    for where in sets:
        before = rng.random(n) < base
        put(where, "baseline", -1, 0.0, -1, before, np.zeros(n, bool))
        for layer in layers:
            put(where, "direction", layer, ratio, -1, turned(before, gained, lost), rng.random(n) < collapse)
            if both:
                put(where, "direction", layer, -ratio, -1, turned(before, lost, min(gained, base)), np.zeros(n, bool))
            for kind in ("random", "orthogonal"):
                for number in range(controls):
                    put(where, kind, layer, ratio, number, turned(before, lost, lost), np.zeros(n, bool))
    return pd.concat(frames, ignore_index=True)
