"""Every kind of check by its name in a claims file, with what its failure means."""

import inspect
from collections.abc import Callable, Mapping
from dataclasses import dataclass

from workbench.claims.audits import arithmetic, noise, procedure, wording
from workbench.claims.audits.findings import Result


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


def table_of_checks() -> str:
    """The checks as a Markdown table: name, parameters (optional ones in brackets), and when each holds."""
    rows = ["| `test` | parameters | it holds when | a failure means |", "|---|---|---|---|"]
    for name, kind in CHECKS.items():
        parameters = inspect.signature(kind.run).parameters.values()
        named = [f"`{p.name.rstrip('_')}`" if p.default is p.empty else f"[`{p.name.rstrip('_')}`]" for p in parameters]
        first = inspect.getdoc(kind.run) or ""
        sentence = " ".join(first.split("\n\n")[0].split()).replace("``", "`")
        rows.append(f"| `{name}` | {' '.join(named)} | {sentence} | {kind.means} |")
    return "\n".join(rows)
