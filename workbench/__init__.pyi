"""The public names, grouped by the folder that holds them."""

# _errors: what is told
from ._errors import WorkbenchError as WorkbenchError

# steering: what is said
from .steering.arms import Arm as Arm, BASELINE as BASELINE, grid as grid
from .steering.directions import Direction as Direction, Directions as Directions
from .steering.positions import ALL as ALL, PROMPT as PROMPT, Positions as Positions, RESPONSE as RESPONSE
from .steering.sites import (
    Site as Site,
    attn_out as attn_out,
    attn_raw as attn_raw,
    k as k,
    mlp_out as mlp_out,
    mlp_raw as mlp_raw,
    q as q,
    resid_mid as resid_mid,
    resid_post as resid_post,
    resid_pre as resid_pre,
    v as v,
    z as z,
)
from .steering.steer import Steer as Steer
from .steering.verbs import ablate as ablate, add as add, clamp as clamp

# models: what is loaded
from .models.checks import preflight as preflight
from .models.fetch import fetch as fetch
from .models.load import load as load
from .models.model import Model as Model
from .models.prompt_files import pairs as pairs, prompts as prompts, questions as questions
from .models.prompts import Pairs as Pairs, Prompt as Prompt, Prompts as Prompts
from .models.registry import references as references

# activations: what is measured
from .activations.collect import Contrast as Contrast, contrast as contrast
from .activations.extract import covariant as covariant, extract as extract, shuffled as shuffled
from .activations.heldout import (
    Judged as Judged,
    crossed as crossed,
    judged as judged,
    separation as separation,
    shortfall as shortfall,
    widest_area as widest_area,
)
from .activations.methods import METHODS as METHODS
from .activations.surface import surface_confounds as surface_confounds

# generation: what is written
from .generation import store as store
from .generation.amplify import amplified_logits as amplified_logits, amplify as amplify
from .generation.steer_hooks import steered as steered
from .generation.completions import Completions as Completions
from .generation.generate import generate as generate
from .generation.recorder import replay as replay, trace as trace, trace_generation as trace_generation
from .generation.store import Store as Store
from .generation.traces import Trace as Trace
from .generation.vllm_engine import VLLM as VLLM

# scoring: what it is
from .scoring.choices import multiple_choice as multiple_choice
from .scoring.code import answer_form as answer_form, insecure_pattern as insecure_pattern
from .scoring.coherence import coherence as coherence
from .scoring.distances import cross_entropy as cross_entropy, projection as projection
from .scoring.endpoints import Endpoint as Endpoint
from .scoring.hand_labels import accuracy as accuracy, agreement as agreement, read_labelled as read_labelled
from .scoring.judges import judge as judge
from .scoring.labels import refusal as refusal
from .scoring.logs import (
    log000_mention as log000_mention,
    log001_cut as log001_cut,
    log001_keyword_refusal as log001_keyword_refusal,
    log003_coherent_flip as log003_coherent_flip,
    log003_flip as log003_flip,
)
from .scoring.margins import refusal_margin as refusal_margin
from .scoring.relevance import relevance as relevance
from .scoring.scores import Score as Score
from .scoring.traits import trait_check as trait_check, trait_odds as trait_odds

# mechanism: why it works
from .mechanism.token_alignment import within_side as within_side
from .mechanism.attribute import attribute as attribute
from .mechanism.effects import patch_effects as patch_effects, screen_agreement as screen_agreement
from .mechanism.interchange import interchange as interchange
from .mechanism.lens import lens as lens
from .mechanism.neighbours import (
    cosines as cosines,
    sae_directions as sae_directions,
    spectrum as spectrum,
    top_tokens as top_tokens,
)
from .mechanism.patch import patch as patch

# sweeps: the experiment
from .sweeps.cluster import Ray as Ray
from .sweeps.cost import plan as plan
from .sweeps.inspect_logs import write_inspect_logs as write_inspect_logs
from .sweeps.search import (
    dose_effects as dose_effects,
    paired_changes as paired_changes,
    steering_search as steering_search,
)
from .sweeps.sweep import outcomes as outcomes, sweep as sweep

# statistics: numbers
from . import statistics as statistics
from .statistics.results import Estimate as Estimate

# claims: what was claimed
from .claims import ledger as ledger
from .claims.claim import Claim as Claim
from .claims.evidence import oracle as oracle
from .claims.files import claim as claim, logged_claims as logged_claims, read_claims as read_claims
from .claims.log_audit import audit as audit
from .claims.log_reader import read_log as read_log
from .claims.verdict import Gate as Gate, Measured as Measured, Verdict as Verdict

# notebooks: all at once
from .notebooks import batch as batch
from .notebooks import report as report
from .notebooks.options import NotebookOptions as NotebookOptions
from .notebooks.setup_gates import (
    disjoint_gate as disjoint_gate,
    scorer_gate as scorer_gate,
    setup_gates as setup_gates,
)
from .notebooks.widgets import explore as explore

# figures: what is seen
from . import figures as figures

__version__: str
