"""A replication bench for activation steering and refusal research, on TransformerLens 4.

``import workbench as wb`` is quick: what needs torch or TransformerLens is imported when it is first used.
"""

from importlib import import_module
from typing import TYPE_CHECKING

from workbench.errors import WorkbenchError
from workbench.positions import ALL, PROMPT, RESPONSE, Positions
from workbench.sites import (
    Site,
    attn_out,
    attn_raw,
    k,
    mlp_out,
    mlp_raw,
    q,
    resid_mid,
    resid_post,
    resid_pre,
    v,
    z,
)

if TYPE_CHECKING:
    from workbench import figures, statistics, store
    from workbench.applying import steered
    from workbench.checks import preflight
    from workbench.claims import Claim, Gate, Verdict, claim, decide
    from workbench.confounds import Confound, SurfaceReport, surface_confounds
    from workbench.directions import Direction, Directions
    from workbench.extraction import METHODS, extract
    from workbench.fetching import fetch
    from workbench.generation import Completions, generate
    from workbench.models import Encoded, Model, load
    from workbench.prompt_sets import Pairs, Prompt, Prompts, pairs, prompts
    from workbench.scoring import Score, refusal, refusal_margin
    from workbench.statistics import Estimate
    from workbench.steering import Steer, ablate, add
    from workbench.store import Store
    from workbench.sweeps import Arm, grid, outcomes, sweep

__version__ = "0.1.0"

_HOMES = {
    "claims": ("Claim", "Gate", "Verdict", "claim", "decide"),
    "confounds": ("Confound", "SurfaceReport", "surface_confounds"),
    "directions": ("Direction", "Directions"),
    "extraction": ("METHODS", "extract"),
    "fetching": ("fetch",),
    "generation": ("Completions", "generate"),
    "models": ("Encoded", "Model", "load"),
    "checks": ("preflight",),
    "prompt_sets": ("Pairs", "Prompt", "Prompts", "pairs", "prompts"),
    "scoring": ("Score", "refusal", "refusal_margin"),
    "statistics": ("Estimate",),
    "applying": ("steered",),
    "steering": ("Steer", "ablate", "add"),
    "store": ("Store",),
    "sweeps": ("Arm", "grid", "outcomes", "sweep"),
}
_LAZY = {name: home for home, names in _HOMES.items() for name in names}
_MODULES = ("figures", "statistics", "store")

__all__ = [
    "ALL",
    "METHODS",
    "PROMPT",
    "RESPONSE",
    "Arm",
    "Claim",
    "Completions",
    "Confound",
    "Direction",
    "Directions",
    "Encoded",
    "Estimate",
    "Gate",
    "Model",
    "Pairs",
    "Positions",
    "Prompt",
    "Prompts",
    "Score",
    "Site",
    "Steer",
    "Store",
    "SurfaceReport",
    "Verdict",
    "WorkbenchError",
    "ablate",
    "add",
    "attn_out",
    "attn_raw",
    "claim",
    "decide",
    "extract",
    "fetch",
    "figures",
    "generate",
    "grid",
    "k",
    "load",
    "mlp_out",
    "mlp_raw",
    "outcomes",
    "pairs",
    "preflight",
    "prompts",
    "q",
    "refusal",
    "refusal_margin",
    "resid_mid",
    "resid_post",
    "resid_pre",
    "statistics",
    "steered",
    "store",
    "surface_confounds",
    "sweep",
    "v",
    "z",
]


def __getattr__(name: str) -> object:
    if name in _LAZY:
        return getattr(import_module(f"workbench.{_LAZY[name]}"), name)
    if name in _MODULES:
        return import_module(f"workbench.{name}")
    raise AttributeError(f"module 'workbench' has no attribute {name!r}")


def __dir__() -> list[str]:
    return __all__
