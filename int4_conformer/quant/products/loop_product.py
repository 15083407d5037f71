"""A product for loops: its matrix is quantized before them, and they know what has a gradient."""

import tensorflow as tf

from int4_conformer.quant.numerics.straight_through import StraightThrough
from int4_conformer.quant.numerics.weight import straight_through_weight
from int4_conformer.quant.products.base import QuantState, StaticRanges
from int4_conformer.quant.products.dot import dot
from int4_conformer.quant.spec.quant_config import QuantConfig


class LoopProduct:
    """`dot` with a matrix that is quantized once, as a function of tensors alone.

    `product(x, *product.operands)` is the product; it reads no variable, so that a loop with a
    gradient of its own can call it anywhere. Noise of the weights is drawn once. Static ranges stay
    as they are in the calls; `observe` moves them.

    Args:
        kernel: float [in, out].
        config: how it is quantized.
        bias: float [out], added to the product; or None.
        transposed: whether the kernel is [out, in].
        state: what the config asks for beside the kernel.
    """

    def __init__(
        self,
        kernel: tf.Tensor,
        config: QuantConfig,
        *,
        bias: tf.Tensor | None = None,
        transposed: bool = False,
        state: QuantState | None = None,
    ):
        state = state or QuantState()
        self._config, self._transposed = config, transposed
        self._ranges, self._held = state.ranges, _read(state.ranges)
        self._tensor = None
        value = tf.convert_to_tensor(kernel)
        if config.weight_bits is not None:
            on_grid = straight_through_weight(
                value, config, int(transposed), clip=state.clip, offset=state.offset
            )
            value, self._tensor = on_grid.value, on_grid.tensor
        # What has a gradient: the matrix as it is multiplied by, and the bias.
        self.operands = (value,) if bias is None else (value, tf.convert_to_tensor(bias))

    def __call__(self, x: tf.Tensor, *operands: tf.Tensor) -> tf.Tensor:
        """float [..., in] and the operands -> float [..., out]."""
        return self._dot(x, operands, self._held)

    @property
    def observes(self) -> bool:
        """Whether there are static ranges that this training step should move."""
        return self._ranges is not None and self._ranges.decay is not None

    def observe(self, x: tf.Tensor) -> None:
        """Moves static ranges to see float [..., in]; all calls after it have them."""
        self._dot(x, self.operands, self._ranges)
        # Read here and not in the loop: what follows it may move them again.
        self._held = _read(self._ranges)

    def _dot(
        self, x: tf.Tensor, operands: tuple[tf.Tensor, ...], ranges: StaticRanges | None
    ) -> tf.Tensor:
        value, *bias = operands
        return dot(
            x,
            value if self._tensor is None else StraightThrough(tensor=self._tensor, value=value),
            self._config,
            bias=bias[0] if bias else None,
            transposed=self._transposed,
            state=QuantState(ranges=ranges),
        )


def _read(ranges: StaticRanges | None) -> StaticRanges | None:
    """Their values now, which do not move."""
    if ranges is None:
        return None
    input, output = (tf.convert_to_tensor(x) for x in (ranges.input, ranges.output))
    return StaticRanges(input=input, output=output)
