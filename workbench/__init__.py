"""A replication and mechanism bench for activation steering and refusal research, on TransformerLens 4.

``model.bridge`` is TransformerLens' ``TransformerBridge``, with every hook of the field, for work by hand (``wb.steered``).
``model.hf`` is a plain transformers module on the very same weight tensors. Extraction, generation, sweeps and traces run on
the plain module, because it keeps fused attention and lets us write to a preallocated cache. A site means the same in both:
``blocks.12.hook_resid_post`` is the same tensor. A check at loading holds the two to the same logits.

``import workbench as wb`` is quick: what needs torch or TransformerLens is imported when it is first used. The public names
stand in ``__init__.pyi``, grouped by folder; the first lines of each folder say which of its files answers what.
"""

import lazy_loader

from workbench._errors.arguments import explaining

_offered, __dir__, __all__ = lazy_loader.attach_stub(__name__, __file__)
__getattr__ = explaining(_offered, __name__)

__version__ = "0.1.0"
