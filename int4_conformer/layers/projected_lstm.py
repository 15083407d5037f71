"""LSTM with a recurrent projection, in integers."""

from collections.abc import Callable
from typing import Any

import keras
import tensorflow as tf

from int4_conformer.layers.quantized import Quantized
from int4_conformer.layers.recurrence import recurrence
from int4_conformer.layers.steppable import State, Steppable
from int4_conformer.quant.products.base import QuantState
from int4_conformer.quant.products.dot import before_loop, dot
from int4_conformer.quant.spec.quant_config import QuantConfig

# Output [batch, projection] and carry [batch, units].
_Memory = tuple[tf.Tensor, tf.Tensor]
_Advance = Callable[[_Memory, tf.Tensor], _Memory]


@keras.saving.register_keras_serializable(package="int4_conformer")
class ProjectedLSTM(Steppable, Quantized, keras.layers.Layer):
    """Long short-term memory with a recurrent projection layer (arXiv 1402.1128, section 3.1).

        i, f, g, o = split(W x_t + R h_{t-1} + b)
        c_t = sigmoid(f) c_{t-1} + sigmoid(i) tanh(g)
        h_t = P (sigmoid(o) tanh(c_t))

    All of W, R and P are multiplied in integers, with one scheme and one scale per output each. 8
    bits, such as "w8c_a8d", are recommended: errors of R and P come back with every frame. As in
    `QuantLSTM`, all frames are multiplied by W at once, and the kernels are quantized once per
    sequence.

    Args:
        units: width of the carry c.
        projection: width of the output h.
        quant: as in `Quantized`.

    Call: float [batch, time, in] -> float [batch, time, projection]; padding must be at the end.

    State: `output` float [batch, projection], `carry` float [batch, units].

    Example:

        >>> inputs = keras.Input([None, 32])
        >>> outputs = ProjectedLSTM(64, 16, quant="w8a8")(inputs)
        >>> keras.Model(inputs, outputs)(tf.zeros([2, 10, 32])).shape
        TensorShape([2, 10, 16])
    """

    def __init__(self, units: int, projection: int, *, quant: Any = None, **kwargs: Any):
        super().__init__(quant=quant, **kwargs)
        self.units = units
        self.projection = projection

    def build(self, input_shape: tuple[int | None, ...]) -> None:
        gates = 4 * self.units
        self.kernel = self.add_weight(shape=(input_shape[-1], gates), name="kernel")
        self.recurrent_kernel = self.add_weight(
            shape=(self.projection, gates), name="recurrent_kernel"
        )
        self.projection_kernel = self.add_weight(
            shape=(self.units, self.projection), name="projection_kernel"
        )
        # The forget gate starts open.
        self.bias = self.add_weight(
            shape=(gates,),
            initializer=lambda shape, dtype: tf.repeat(
                tf.constant([0, 1, 0, 0], dtype), self.units
            ),
            name="bias",
        )
        kernels = (self.kernel, self.recurrent_kernel, self.projection_kernel)
        self._add_quant_state({kernel.name: kernel.shape for kernel in kernels})

    def initial_state(self, batch: int) -> State:
        """Zeros."""
        return {
            "output": tf.zeros([batch, self.projection], self.compute_dtype),
            "carry": tf.zeros([batch, self.units], self.compute_dtype),
        }

    def advance(
        self, x: tf.Tensor, padding_mask: tf.Tensor | None, state: State | None, training: bool
    ) -> tuple[tf.Tensor, State | None]:
        start = self.initial_state(keras.ops.shape(x)[0]) if state is None else state

        def over_time(gates: tf.Tensor, advance: _Advance) -> tuple[tf.Tensor, _Memory]:
            memory = tuple(tf.cast(start[name], gates.dtype) for name in ("output", "carry"))
            if gates.shape[1] == 1:
                # A search takes a label at a time, and needs no loop for it.
                memory = advance(memory, gates[:, 0])
                return memory[0][:, None], memory
            return recurrence(lambda frame, memory: advance(memory, frame), gates, memory)

        y, (output, carry) = self._with_kernels(x, over_time, training)
        return y, None if state is None else {"output": output, "carry": carry}

    def _with_kernels(
        self, inputs: tf.Tensor, steps: Callable[[tf.Tensor, _Advance], Any], training: bool | None
    ) -> Any:
        """Takes steps with kernels that are quantized once.

        Args:
            inputs: float [..., in].
            steps: is given W x + b, [..., 4 * units], and what advances the memory by a frame of
                it.
        """

        def product(
            config: QuantConfig,
            kernel_state: QuantState,
            recurrent_state: QuantState,
            projection_state: QuantState,
        ) -> Any:
            gates = dot(inputs, self.kernel, config, bias=self.bias, state=kernel_state)
            recurrent = before_loop(self.recurrent_kernel, config, state=recurrent_state)
            projection = before_loop(self.projection_kernel, config, state=projection_state)

            def advance(memory: _Memory, gates: tf.Tensor) -> _Memory:
                h, c = memory
                gates += dot(h, recurrent, config, state=recurrent_state)
                i, f, g, o = tf.split(gates, 4, axis=-1)
                c = tf.sigmoid(f) * c + tf.sigmoid(i) * tf.tanh(g)
                h = dot(tf.sigmoid(o) * tf.tanh(c), projection, config, state=projection_state)
                return h, c

            return steps(gates, advance)

        return self._quantized(product, training)

    def get_config(self) -> dict[str, Any]:
        return super().get_config() | {"units": self.units, "projection": self.projection}
