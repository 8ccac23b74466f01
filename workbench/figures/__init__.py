"""Frames in, figures out: interactive, colour-blind safe, with titles that say what is seen.

Questions, and the files that answer them:
    projections token by token?  trajectories   trajectory
    layer × token?               heatmaps       heatmap
    coloured text?               strips         tokens
    attention?                   attentions     attention
    rates along doses?           rates_by_dose  dose_response
    what became of each prompt?  outcome_maps   outcome_map
    any series with a band?      series         lines
    square tables?               matrices       matrices
    the parts of a model?        part_maps      attribution, patching, lens
    the ledger in one picture?   forests        forest
    saved to a page?             pages          save
    what is shared?              theme          axes, titles, trace_lines, words
"""

import lazy_loader

from workbench._errors.arguments import explaining

_offered, __dir__, __all__ = lazy_loader.attach_stub(__name__, __file__)
__getattr__ = explaining(_offered, __name__)
