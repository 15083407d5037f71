"""Recognising recordings by the thousand, on all cores of a machine or of many.

Importing this package loads no other module of it; its names load theirs on first use. None of them
needs TensorFlow; `beam_transform` and `beam_files` need Apache Beam.
"""

from int4_conformer.lazy import lazy_exports

__getattr__, __dir__, __all__ = lazy_exports(__name__, __file__)
