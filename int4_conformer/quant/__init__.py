"""Native integer quantization: the method of US20230298569A1 and arXiv 2203.15952.

`quantize` turns a float tensor into integer codes and scales; `dot`, `einsum`, `conv1d` and
`conv2d` multiply activations by a weight in those integers, `activation_matmul` two activations,
and all pass straight-through gradients. `QuantConfig` says how one layer does it and `Recipe` says
which layer does what. Configurations and nibble packing work without TensorFlow, which is imported
on the first use of an operation.
"""

from int4_conformer.lazy import lazy_exports

__getattr__, __dir__, __all__ = lazy_exports(__name__, __file__)
