from .agreement import Agreement as Agreement, kappa as kappa
from .dose import (
    DoseFit as DoseFit,
    DoseResponse as DoseResponse,
    dose_response as dose_response,
    half_maximum as half_maximum,
    largest_jump as largest_jump,
    midpoint as midpoint,
)
from .equivalences import Equivalence as Equivalence, equivalence as equivalence, equivalence_rates as equivalence_rates
from .label_errors import LabelErrors as LabelErrors, corrected_difference as corrected_difference
from .means import (
    bootstrap as bootstrap,
    cohens_d as cohens_d,
    mean as mean,
    p_from_interval as p_from_interval,
    prediction_limit as prediction_limit,
)
from .paired_tests import (
    holm as holm,
    mcnemar as mcnemar,
    mcnemar_counts as mcnemar_counts,
    paired_difference as paired_difference,
    paired_difference_counts as paired_difference_counts,
    permutation as permutation,
    permutation_maximum as permutation_maximum,
)
from .power import (
    detectable as detectable,
    detectable_mean as detectable_mean,
    detectable_paired as detectable_paired,
    needed_n as needed_n,
    needed_n_mean as needed_n_mean,
    needed_n_paired as needed_n_paired,
    power as power,
    power_mean as power_mean,
    power_paired as power_paired,
)
from .ranking import (
    auc as auc,
    auc_permutation as auc_permutation,
    auc_standard_error as auc_standard_error,
    spearman as spearman,
    spearman_difference as spearman_difference,
)
from .rates import (
    fisher as fisher,
    heterogeneity as heterogeneity,
    rate as rate,
    trend as trend,
    two_proportion_z as two_proportion_z,
)
from .results import Comparison as Comparison, Estimate as Estimate
