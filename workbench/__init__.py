"""A replication bench for activation steering and refusal research, on TransformerLens 4.

``import workbench as wb`` is quick: what needs torch or TransformerLens is imported when it is first used. The public names
stand in ``__init__.pyi``, grouped by folder; the first lines of each folder say which of its files answers what.
"""

import lazy_loader

__getattr__, __dir__, __all__ = lazy_loader.attach_stub(__name__, __file__)

__version__ = "0.1.0"
