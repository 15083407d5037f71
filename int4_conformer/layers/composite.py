"""Layers of layers."""

from typing import Any


class Composite:
    """Mixin, to be named before a Keras layer: its parts are built when it calls them.

    Keras traces a layer that has no `build` to build its parts, which are traced for theirs: the
    lowest layers of a stack of depth n would run 2^n times before its first call.
    """

    def build(self, *input_shapes: Any) -> None:
        pass
