"""Every kind of check by its name in a claims file, with what its failure means."""

import inspect
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from decimal import Decimal
from typing import Any

from workbench.claims.audits import arithmetic, noise, procedure, summaries, wording
from workbench.claims.audits.check_results import Result


@dataclass(frozen=True)
class Kind:
    """A kind of check: the function that computes it, and what it means when it fails."""

    run: Callable[..., Result | list[Result]]
    means: str


def _kinds(means: str, **functions: Callable[..., Result | list[Result]]) -> dict[str, Kind]:
    return {name: Kind(function, means) for name, function in functions.items()}


#: Every check by its name in a claims file.
CHECKS: Mapping[str, Kind] = {
    **_kinds(
        "inconsistent",
        grim=arithmetic.grim,
        sum=arithmetic.sum_of,
        mean=arithmetic.mean_of,
        row_means=arithmetic.row_means,
        row_sums=arithmetic.row_sums,
        product=arithmetic.product_of,
        difference=arithmetic.difference,
        ratio=arithmetic.ratio,
        change=arithmetic.change,
        pooled_sd=arithmetic.pooled_sd,
        correlation=arithmetic.correlation,
        subgroups=arithmetic.subgroups,
        within=wording.within,
        monotone=wording.monotone,
        peak=wording.peak,
        reversals=wording.reversals,
        same=wording.same,
        compatible=wording.compatible,
        repeats=wording.repeats,
        alike=wording.alike,
        alike_means=wording.alike_means,
        totals=wording.totals,
        every=wording.every,
        p_value=wording.p_value,
        distinct=wording.distinct,
        certain=wording.certain,
        record=wording.record,
        step_or_curve=noise.step_or_curve,
        interval=summaries.interval,
        sd_limit=summaries.sd_limit,
        whole_numbers=summaries.whole_numbers,
        binary_sd=summaries.binary_sd,
        cohens_d=summaries.cohens_d,
        kappa=summaries.kappa,
    ),
    **_kinds(
        "underpowered",
        differs=noise.differs,
        paired=noise.paired,
        paired_best=noise.paired_best,
        above_chance=noise.above_chance,
        at_distinct=noise.at_distinct,
        vary=noise.vary,
        trend=noise.trend,
        best_of=noise.best_of,
        chance_match=noise.chance_match,
        limit=noise.limit,
        power=noise.power,
        beyond_noise=noise.beyond_noise,
        means_differ=noise.means_differ,
        nonzero=noise.nonzero,
        separate=noise.separate,
        correlations_differ=noise.correlations_differ,
        governs=noise.governs,
        aucs_differ=noise.aucs_differ,
        auc_best_of=noise.auc_best_of,
    ),
    **_kinds(
        "artefact",
        skipped_row=procedure.skipped_row,
        union=procedure.union,
        known_answers=procedure.known_answers,
        recovers=procedure.recovers,
        procedure=procedure.procedure,
    ),
    **_kinds("refuted (analytic)", variance_law=procedure.variance_law, identical=procedure.identical),
    **_kinds("untestable", measured=procedure.measured, relation=procedure.relation),
}


#: checks that take numbers as printed, never as counts out of n
EXACT = frozenset(
    """grim sum mean row_means row_sums product difference ratio change pooled_sd correlation subgroups within monotone
    peak same every distinct record procedure measured interval sd_limit whole_numbers binary_sd cohens_d kappa""".split()  # noqa: SIM905
)

#: checks that ask whether honest repeats agree: of twenty, one fails at 5% by chance
REPEATS = frozenset(("compatible", "repeats", "alike", "alike_means"))

#: how many cells of their list a check needs to be able to fail
_LEAST = {
    ("same", "of"): 2, ("alike", "of"): 2, ("alike_means", "means"): 2, ("vary", "of"): 2, ("monotone", "of"): 2,
    ("peak", "of"): 2, ("reversals", "of"): 3, ("trend", "of"): 2, ("chance_match", "among"): 2, ("identical", "of"): 2,
    ("totals", "classes"): 2, ("row_means", "of"): 2, ("row_sums", "of"): 2, ("skipped_row", "of"): 3,
    ("step_or_curve", "of"): 4, ("variance_law", "sd"): 3,
    ("kappa", "table"): 2, ("cohens_d", "means"): 2, ("procedure", "needs"): 1, ("record", "needs"): 1, ("subgroups", "groups"): 1,
}  # fmt: skip

#: the two things that a check compares: one thing compared with itself shows nothing
_COMPARED = {
    "differs": ("higher", "lower"), "compatible": ("a", "b"), "repeats": ("a", "b"), "at_distinct": ("higher", "lower"),
    "p_value": ("a", "b"), "correlation": ("x", "y"), "means_differ": ("a", "b"), "separate": ("a", "b"),
    "best_of": ("of", "base"), "known_answers": ("flagged", "logged"), "distinct": ("found", "expected"),
    "paired_best": ("of", "since"), "recovers": ("planted", "corrected"), "governs": ("by", "rather_than"),
    "correlations_differ": ("stronger", "weaker"), "aucs_differ": ("higher", "lower"), "limit": ("of", "margin"),
    "above_chance": ("of", "chance"), "power": ("base", "effect"), "difference": ("of", "minus"),
}  # fmt: skip


def without_content(test: str, arguments: Mapping[str, Any]) -> str:
    """Why a check says nothing, whatever the numbers are; empty where it can both hold and fail."""
    for (name, key), least in _LEAST.items():
        if name == test and len(arguments[key]) < least:
            return f"{key} has {len(arguments[key])}, and at least {least} are needed to show anything"
    one, other = _COMPARED.get(test, ("", ""))
    if one and arguments[one] == arguments[other]:
        return f"{one} and {other} are the same numbers"
    if test == "within" and not {"low", "high"} & set(arguments):
        return "it needs low, high or both"
    if test in ("same", "alike", "vary") and len(set(arguments["of"])) == 1:
        return "of names one number several times"
    if test == "peak" and set(arguments["of"]) <= set(arguments["at"]):
        return "at names every number of of"
    for key in ("tries", "family", "parameters"):
        if arguments.get(key, 1) < 1:
            return f"{key} is {arguments[key]}, and at least 1 is needed"
    if test == "chance_match" and arguments.get("peaks", 2) < 2:
        return "peaks must be at least 2"
    for key in ("margin", "tolerance"):
        if isinstance(arguments.get(key), Decimal) and arguments[key] < 0:
            return f"{key} is {arguments[key]}, and a number of at least 0 is needed"
    if test == "alike" and not 0 < arguments.get("margin", 1) < 100:
        return f"margin is {arguments['margin']}: percentage points between 0 and 100 are needed"
    if test == "alike_means" and arguments.get("margin", 1) <= 0:
        return f"margin is {arguments['margin']}, and a number above 0 is needed"
    return ""


def described() -> list[dict[str, Any]]:
    """What each check asks for: name, parameters and optional ones, when it holds, and what a failure means."""
    rows: list[dict[str, Any]] = []
    for name, kind in CHECKS.items():
        parameters = inspect.signature(kind.run).parameters.values()
        needed = [p.name.rstrip("_") for p in parameters if p.default is p.empty]
        optional = [p.name.rstrip("_") for p in parameters if p.default is not p.empty]
        first = inspect.getdoc(kind.run) or ""
        sentence = " ".join(first.split("\n\n")[0].split()).replace("``", "`")
        rows.append(
            {"test": name, "parameters": needed, "optional": optional, "holds_when": sentence, "failure": kind.means}
        )
    return rows


def table_of_checks() -> str:
    """The checks as a Markdown table: name, parameters (optional ones in brackets), and when each holds."""
    rows = ["| `test` | parameters | it holds when | a failure means |", "|---|---|---|---|"]
    for one in described():
        named = [f"`{p}`" for p in one["parameters"]] + [f"[`{p}`]" for p in one["optional"]]
        rows.append(f"| `{one['test']}` | {' '.join(named)} | {one['holds_when']} | {one['failure']} |")
    return "\n".join(rows)
