"""Searching for words without TensorFlow: a beam, and what it may ask beside the model.

`decoding` is the same in a graph, for training and servers.
"""

from int4_conformer.lazy import lazy_exports

__getattr__, __dir__, __all__ = lazy_exports(__name__, __file__)
