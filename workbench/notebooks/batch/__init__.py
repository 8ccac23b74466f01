"""Batches: a matrix of notebooks, models and parameters, executed with papermill, resumed where it stopped.

Questions, and the files that answer them:
    what is to run?                               plan            read_plan, BatchPlan, Execution
    how does it run, and what is said meanwhile?  run             agenda, run, summary
    what runs one notebook?                       process         execute_apart
    what has ended, and does it still hold?       journal         Journal, content_key
    how long does what never ran here take?       measured_times  Elsewhere
    how does it run on Ray?                       remote          on_ray
"""

import lazy_loader

from workbench._errors.arguments import explaining

_offered, __dir__, __all__ = lazy_loader.attach_stub(__name__, __file__)
__getattr__ = explaining(_offered, __name__)
