"""The report: a static site of the ledger, the executed notebooks, the models and the environment.

Questions, and the files that answer them:
    which pages are there?                write     build
    how is an executed notebook shown?    books
    how is a report that is there replaced?  own_folder
    how does a folder say what it holds?  manifest
"""

import lazy_loader

from workbench._errors.arguments import explaining

_offered, __dir__, __all__ = lazy_loader.attach_stub(__name__, __file__)
__getattr__ = explaining(_offered, __name__)
