"""The runtime without TensorFlow: recognising speech with a `.tflite` file.

Importing this package loads no other module of it; its names load theirs on first use.
"""

from int4_conformer.lazy import lazy_exports

__getattr__, __dir__, __all__ = lazy_exports(__name__, __file__)
