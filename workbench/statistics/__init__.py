"""Intervals, tests and plans for rates, means, ranks and doses: a thin layer over scipy and statsmodels. It needs no model.

Every function takes plain numbers or arrays and returns plain numbers or small frozen results that print as a sentence.
scipy and statsmodels are imported when a function is called.

Questions, and the files that answer them:
    one rate, several rates, a rate along a dose?             rates         rate, fisher, heterogeneity, trend
    one mean, any number from clustered rows?                 means         mean, bootstrap, cohens_d, p_from_interval
    the same units under two conditions, many tests at once?  paired_tests  mcnemar, paired_difference, permutation, holm
    are two conditions alike?                                 equivalences  equivalence, equivalence_rates
    how many units, which effect?                             power         power, needed_n, detectable and their kin
    how does a rate depend on dose?                           dose          dose_response, midpoint, half_maximum, largest_jump
    how are the curves of dose-responses fitted?              dose_fits     fit, refit
    does one thing order another?                             ranking       spearman, spearman_difference, auc, auc_permutation
    do two scorers agree?                                     agreement     kappa
    what is a difference of rates worth where labels err?     label_errors  LabelErrors, corrected_difference
    what does a result look like?                             results       Estimate, Comparison; inputs: what is refused
"""

import lazy_loader

from workbench._errors.arguments import explaining

_offered, __dir__, __all__ = lazy_loader.attach_stub(__name__, __file__)
__getattr__ = explaining(_offered, __name__)
