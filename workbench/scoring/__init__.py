"""Scores of completions: what a response is, from its text, from a model that reads it again, or from a judge.

What is asked, and where it is answered:
    refusal, compliance or collapse?      labels       refusal
    would the model open with a refusal?  margins      refusal_margin (no generation)
    is it code, and insecure?             code         answer_form, insecure_pattern
    has it broken down?                   fluency      coherence; collapse: collapse_reason
    how far from the unsteered model?     distances    kl, kl_per_token, cross_entropy
    how far along a direction?            projections  projection
    how much of a trait, says a model?    judges       judge; endpoints: Endpoint; traits: trait_odds, trait_check
    what would the log have said?         logs         log000_..., log001_..., log003_...
    do two scorers agree, are they right? agreements   agreement; labelled: accuracy
"""

from workbench.scoring.agreements import agreement
from workbench.scoring.code import answer_form, insecure_pattern
from workbench.scoring.collapse import collapse_reason
from workbench.scoring.distances import cross_entropy, kl, kl_per_token
from workbench.scoring.endpoints import Endpoint
from workbench.scoring.fluency import coherence
from workbench.scoring.judges import Judge, Judgement, judge
from workbench.scoring.labelled import accuracy, read_labelled
from workbench.scoring.labels import LABELS, is_decided, label, refusal
from workbench.scoring.logs import (
    log000_mention,
    log001_cut,
    log001_keyword_refusal,
    log001_type_token_coherence,
    log003_coherent_flip,
    log003_flip,
)
from workbench.scoring.margins import OPENINGS, opening_tokens, refusal_margin
from workbench.scoring.projections import projection
from workbench.scoring.scores import Score, Scorer
from workbench.scoring.traits import trait_check, trait_odds

__all__ = [
    "LABELS",
    "OPENINGS",
    "Endpoint",
    "Judge",
    "Judgement",
    "Score",
    "Scorer",
    "accuracy",
    "agreement",
    "answer_form",
    "coherence",
    "collapse_reason",
    "cross_entropy",
    "insecure_pattern",
    "is_decided",
    "judge",
    "kl",
    "kl_per_token",
    "label",
    "log000_mention",
    "log001_cut",
    "log001_keyword_refusal",
    "log001_type_token_coherence",
    "log003_coherent_flip",
    "log003_flip",
    "opening_tokens",
    "projection",
    "read_labelled",
    "refusal",
    "refusal_margin",
    "trait_check",
    "trait_odds",
]
