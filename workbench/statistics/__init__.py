"""Intervals, tests and plans for rates, means, doses and choices: thin over scipy and statsmodels.

Every function takes plain numbers or arrays and returns plain numbers or small frozen results that print as a sentence;
nothing here knows about models. scipy and statsmodels are imported when a function is called.

What is asked, and where it is answered:
    one rate, several rates, a rate along a dose       rates         rate, fisher, heterogeneity, trend
    one mean, any number from clustered rows           means         mean, bootstrap, cohens_d, p_from_interval
    the same units under two conditions                pairing       mcnemar, paired_difference, permutation
    are two conditions alike                           equivalences  equivalence, equivalence_rates
    how many units, which effect                       planning      power, needed_n, detectable and their kin
    many tests at once                                 multiplicity  holm, benjamini_hochberg; pairing.permutation_maximum
    how does a rate depend on dose                     dose          dose_response, midpoint, half_maximum, largest_jump
    does one thing order another                       ranking       spearman, spearman_difference, auc, auc_difference, auc_permutation
    do two scorers agree                               agreement     kappa
    the best of several                                selection     nested_choice, winners_curse, selection_bias
"""

from workbench.statistics.agreement import Agreement, kappa
from workbench.statistics.dose import DoseFit, DoseResponse, dose_response, half_maximum, largest_jump, midpoint
from workbench.statistics.equivalences import Equivalence, equivalence, equivalence_rates
from workbench.statistics.means import bootstrap, cohens_d, mean, p_from_interval
from workbench.statistics.multiplicity import benjamini_hochberg, holm
from workbench.statistics.pairing import mcnemar, paired_difference, permutation, permutation_maximum
from workbench.statistics.planning import (
    detectable,
    detectable_mean,
    detectable_paired,
    needed_n,
    needed_n_mean,
    needed_n_paired,
    power,
    power_mean,
    power_paired,
)
from workbench.statistics.ranking import (
    auc,
    auc_difference,
    auc_permutation,
    auc_standard_error,
    spearman,
    spearman_difference,
)
from workbench.statistics.rates import fisher, heterogeneity, rate, trend, two_proportion_z
from workbench.statistics.results import Comparison, Estimate
from workbench.statistics.selection import (
    NestedChoice,
    WinnersCurse,
    nested_choice,
    selection_bias,
    winners_curse,
    winners_curse_rates,
)

__all__ = [
    "Agreement",
    "Comparison",
    "DoseFit",
    "DoseResponse",
    "Equivalence",
    "Estimate",
    "NestedChoice",
    "WinnersCurse",
    "auc",
    "auc_difference",
    "auc_permutation",
    "auc_standard_error",
    "benjamini_hochberg",
    "bootstrap",
    "cohens_d",
    "detectable",
    "detectable_mean",
    "detectable_paired",
    "dose_response",
    "equivalence",
    "equivalence_rates",
    "fisher",
    "half_maximum",
    "heterogeneity",
    "holm",
    "kappa",
    "largest_jump",
    "mcnemar",
    "mean",
    "midpoint",
    "needed_n",
    "needed_n_mean",
    "needed_n_paired",
    "nested_choice",
    "p_from_interval",
    "paired_difference",
    "permutation",
    "permutation_maximum",
    "power",
    "power_mean",
    "power_paired",
    "rate",
    "selection_bias",
    "spearman",
    "spearman_difference",
    "trend",
    "two_proportion_z",
    "winners_curse",
    "winners_curse_rates",
]
