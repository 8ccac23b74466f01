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
    from workbench import batch, figures, ledger, report, statistics, store
    from workbench.amplification import amplified_logits, amplify
    from workbench.applying import steered
    from workbench.arms import Arm, grid
    from workbench.audits import Audit, Finding
    from workbench.checks import preflight
    from workbench.claims import Claim, claim, logged_claims, read_claims
    from workbench.cluster import Ray
    from workbench.comparing import Judged, judged, shortfall, widest_area
    from workbench.completions import Completions
    from workbench.confounds import Confound, SurfaceReport, surface_confounds
    from workbench.crossing import crossed
    from workbench.decoding import Sampling
    from workbench.direction_sets import Directions
    from workbench.directions import Direction
    from workbench.dosing import dose_effects
    from workbench.edits import Edit, Steer
    from workbench.evidence import oracle
    from workbench.explorer import Explorer, explore
    from workbench.extraction import METHODS, extract
    from workbench.fetching import fetch
    from workbench.gathering import Contrast, Rows, contrast, gather
    from workbench.generation import generate
    from workbench.hardware import Hardware
    from workbench.massive import massive_dimensions
    from workbench.models import Encoded, Model, load
    from workbench.planning import calibrate, plan
    from workbench.plans import Plan
    from workbench.preconditions import disjoint_gate, scorer_gate, setup_gates
    from workbench.prompt_sets import Pairs, Prompt, Prompts, pairs, prompts
    from workbench.rows import Decoding, generate_missing, sweep_rows
    from workbench.scoring import (
        Endpoint,
        Judge,
        Judgement,
        Score,
        accuracy,
        agreement,
        answer_form,
        coherence,
        cross_entropy,
        insecure_pattern,
        judge,
        kl,
        kl_per_token,
        log000_mention,
        log001_cut,
        log001_keyword_refusal,
        log001_type_token_coherence,
        log003_coherent_flip,
        log003_flip,
        projection,
        read_labelled,
        refusal,
        refusal_margin,
        trait_check,
        trait_odds,
    )
    from workbench.searching import SteeringSearch, Trial, steering_search
    from workbench.separating import Detection, Separation, separation
    from workbench.shuffling import shuffled
    from workbench.statistics import Estimate
    from workbench.steering import ablate, add, clamp
    from workbench.store import Store
    from workbench.sweeps import outcomes, sweep
    from workbench.traces import Probe, Trace
    from workbench.tracing import replay, trace, trace_generation
    from workbench.verdicts import Gate, Measured, Verdict, decide

__version__ = "0.1.0"

_HOMES = {
    "direction_sets": ("Directions",),
    "directions": ("Direction",),
    "dosing": ("dose_effects",),
    "edits": ("Edit", "Steer"),
    "audits": ("Audit", "Finding"),
    "claims": ("Claim", "claim", "logged_claims", "read_claims"),
    "verdicts": ("Gate", "Measured", "Verdict", "decide"),
    "confounds": ("Confound", "SurfaceReport", "surface_confounds"),
    "evidence": ("oracle",),
    "explorer": ("Explorer", "explore"),
    "extraction": ("METHODS", "extract"),
    "fetching": ("fetch",),
    "gathering": ("Contrast", "Rows", "contrast", "gather"),
    "massive": ("massive_dimensions",),
    "separating": ("Detection", "Separation", "separation"),
    "crossing": ("crossed",),
    "comparing": ("Judged", "judged", "shortfall", "widest_area"),
    "searching": ("SteeringSearch", "Trial", "steering_search"),
    "amplification": ("amplified_logits", "amplify"),
    "completions": ("Completions",),
    "generation": ("generate",),
    "models": ("Encoded", "Model", "load"),
    "checks": ("preflight",),
    "prompt_sets": ("Pairs", "Prompt", "Prompts", "pairs", "prompts"),
    "scoring": (
        "Endpoint",
        "Judge",
        "Judgement",
        "Score",
        "accuracy",
        "agreement",
        "answer_form",
        "coherence",
        "cross_entropy",
        "insecure_pattern",
        "judge",
        "kl",
        "kl_per_token",
        "log000_mention",
        "log001_cut",
        "log001_keyword_refusal",
        "log001_type_token_coherence",
        "log003_coherent_flip",
        "log003_flip",
        "projection",
        "read_labelled",
        "refusal",
        "refusal_margin",
        "trait_check",
        "trait_odds",
    ),
    "preconditions": ("disjoint_gate", "scorer_gate", "setup_gates"),
    "statistics": ("Estimate",),
    "applying": ("steered",),
    "steering": ("ablate", "add", "clamp"),
    "store": ("Store",),
    "traces": ("Probe", "Trace"),
    "tracing": ("replay", "trace", "trace_generation"),
    "cluster": ("Ray",),
    "hardware": ("Hardware",),
    "planning": ("calibrate", "plan"),
    "plans": ("Plan",),
    "arms": ("Arm", "grid"),
    "shuffling": ("shuffled",),
    "decoding": ("Sampling",),
    "rows": ("Decoding", "generate_missing", "sweep_rows"),
    "sweeps": ("outcomes", "sweep"),
}
_LAZY = {name: home for home, names in _HOMES.items() for name in names}
_MODULES = ("batch", "figures", "ledger", "report", "statistics", "store")

__all__ = [
    "ALL",
    "METHODS",
    "PROMPT",
    "RESPONSE",
    "Arm",
    "Audit",
    "Claim",
    "Completions",
    "Confound",
    "Contrast",
    "Decoding",
    "Detection",
    "Direction",
    "Directions",
    "Edit",
    "Encoded",
    "Endpoint",
    "Estimate",
    "Explorer",
    "Finding",
    "Gate",
    "Hardware",
    "Judge",
    "Judged",
    "Judgement",
    "Measured",
    "Model",
    "Pairs",
    "Plan",
    "Positions",
    "Probe",
    "Prompt",
    "Prompts",
    "Ray",
    "Rows",
    "Sampling",
    "Score",
    "Separation",
    "Site",
    "Steer",
    "SteeringSearch",
    "Store",
    "SurfaceReport",
    "Trace",
    "Trial",
    "Verdict",
    "WorkbenchError",
    "ablate",
    "accuracy",
    "add",
    "agreement",
    "amplified_logits",
    "amplify",
    "answer_form",
    "attn_out",
    "attn_raw",
    "batch",
    "calibrate",
    "claim",
    "clamp",
    "coherence",
    "contrast",
    "cross_entropy",
    "crossed",
    "decide",
    "disjoint_gate",
    "dose_effects",
    "explore",
    "extract",
    "fetch",
    "figures",
    "gather",
    "generate",
    "generate_missing",
    "grid",
    "insecure_pattern",
    "judge",
    "judged",
    "k",
    "kl",
    "kl_per_token",
    "ledger",
    "load",
    "log000_mention",
    "log001_cut",
    "log001_keyword_refusal",
    "log001_type_token_coherence",
    "log003_coherent_flip",
    "log003_flip",
    "logged_claims",
    "massive_dimensions",
    "mlp_out",
    "mlp_raw",
    "oracle",
    "outcomes",
    "pairs",
    "plan",
    "preflight",
    "projection",
    "prompts",
    "q",
    "read_claims",
    "read_labelled",
    "refusal",
    "refusal_margin",
    "replay",
    "report",
    "resid_mid",
    "resid_post",
    "resid_pre",
    "scorer_gate",
    "separation",
    "setup_gates",
    "shortfall",
    "shuffled",
    "statistics",
    "steered",
    "steering_search",
    "store",
    "surface_confounds",
    "sweep",
    "sweep_rows",
    "trace",
    "trace_generation",
    "trait_check",
    "trait_odds",
    "v",
    "widest_area",
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
