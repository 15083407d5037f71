"""Trained recognisers that come with the package, by name; no TensorFlow."""

from int4_conformer.lazy import lazy_exports

__getattr__, __dir__, __all__ = lazy_exports(__name__, __file__)
