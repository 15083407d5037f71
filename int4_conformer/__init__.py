"""A Conformer-transducer speech recogniser trained in the 4-bit integers it is served in.

Importing this package loads no other part of it. Its subpackages and the names below load on first
use, so that the runtime, `int4_conformer.lite`, never loads TensorFlow.
"""

from int4_conformer.lazy import lazy_exports

__version__ = "0.1.0"

__getattr__, __dir__, __all__ = lazy_exports(__name__, __file__)
