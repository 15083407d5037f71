"""Einsum with a weight as matrix products."""

import dataclasses
import math
from collections.abc import Sequence

import tensorflow as tf

from int4_conformer.quant.products.base import QuantState, Weight
from int4_conformer.quant.products.dot import matrix_product
from int4_conformer.quant.spec.quant_config import QuantConfig
from int4_conformer.shapes import sizes


def einsum(
    equation: str,
    x: tf.Tensor,
    kernel: tf.Tensor,
    config: QuantConfig,
    *,
    bias: tf.Tensor | None = None,
    state: QuantState | None = None,
) -> tf.Tensor:
    """Einsum of an activation with a weight, one scale per output channel of the weight.

    The weight is seen as a matrix [contracted axes, free axes], each in its own order, or as one
    such matrix for each index of the axes that all three terms have, such as "e" in
    "ebd,edf->ebf".

    Args:
        equation: such as "btd,dhk->bthk" or "...hk,hkd->...d"; the contraction axes are those
            that the output lacks.
        x: float tensor, the first operand.
        kernel: float tensor, the second operand.
        bias: float, of a shape that broadcasts to the kernel's free axes; or None. With axes that
            all terms have, it must be None.
        state: as in `dot`, for the matrix; without such axes.

    Raises:
        ValueError: an axis is summed over in one operand alone, or a term repeats an axis.
    """
    terms = Terms.parse(equation, x.shape.rank if tf.is_tensor(x) else len(x.shape))
    x = transposed(tf.cast(x, tf.float32), terms.x, terms.shared + terms.x_free + terms.contracted)
    if not terms.shared:
        product = _matrix_einsum(x, kernel, terms, None, config, bias, state)
        return transposed(product, terms.x_free + terms.kernel_free, terms.output)
    groups = [kernel.shape[terms.kernel.index(axis)] for axis in terms.shared]
    count = math.prod(groups)
    x = tf.reshape(x, [count, *sizes(x)[len(groups) :]])
    product = tf.stack(
        [_matrix_einsum(x[i], kernel, terms, i, config, bias, state) for i in range(count)]
    )
    product = tf.reshape(product, [*groups, *sizes(product)[1:]])
    return transposed(product, terms.shared + terms.x_free + terms.kernel_free, terms.output)


@dataclasses.dataclass(frozen=True, kw_only=True)
class Terms:
    """The axes of an equation, with the ellipsis spelled out."""

    x: list[str]
    kernel: list[str]
    output: list[str]

    @classmethod
    def parse(cls, equation: str, x_rank: int) -> "Terms":
        """Reads an equation for an activation of `x_rank` axes."""
        inputs, output = equation.replace(" ", "").split("->")
        x, kernel = inputs.split(",")
        rows = [f"<{i}>" for i in range(x_rank - len(x.replace("...", "")))]
        terms = cls(x=_expand(x, rows), kernel=list(kernel), output=_expand(output, rows))
        kept = terms.shared + terms.x_free + terms.kernel_free
        if sorted(kept) != sorted(terms.output) or any(
            len(set(axes)) < len(axes) for axes in (terms.x, terms.kernel, terms.output)
        ):
            raise ValueError(
                "`equation` must sum over axes that both operands have and keep all others. "
                f"Received: {equation!r}"
            )
        return terms

    @property
    def shared(self) -> list[str]:
        """Axes of all three terms: one matrix for each of their indices."""
        return [axis for axis in self.kernel if axis in self.x and axis in self.output]

    @property
    def contracted(self) -> list[str]:
        return [axis for axis in self.kernel if axis in self.x and axis not in self.output]

    @property
    def x_free(self) -> list[str]:
        return [axis for axis in self.x if axis not in self.kernel]

    @property
    def kernel_free(self) -> list[str]:
        return [axis for axis in self.kernel if axis not in self.x]

    def matrix_shape(self, kernel_shape: Sequence[int]) -> list[int]:
        """[contracted, free] sizes of a kernel as a matrix, or of each of its matrices."""
        size = dict(zip(self.kernel, kernel_shape, strict=True))
        return [
            math.prod(size[axis] for axis in axes) for axes in (self.contracted, self.kernel_free)
        ]


def _matrix_einsum(
    x: tf.Tensor,
    kernel: tf.Tensor,
    terms: Terms,
    group: int | None,
    config: QuantConfig,
    bias: tf.Tensor | None,
    state: QuantState | None,
) -> tf.Tensor:
    """The product [x_free..., kernel_free...] of x [x_free..., contracted...] and the kernel's
    matrix, or that of one group."""
    width, columns = terms.matrix_shape(kernel.shape)
    free = [kernel.shape[terms.kernel.index(axis)] for axis in terms.kernel_free]

    def matrix(kernel: tf.Tensor) -> tf.Tensor:
        order = terms.shared + terms.contracted + terms.kernel_free
        kernel = transposed(tf.convert_to_tensor(kernel), terms.kernel, order)
        if group is None:
            return tf.reshape(kernel, [width, columns])
        return tf.reshape(kernel, [-1, width, columns])[group]

    # The sizes that are not known, as tensors: the rank changes, so that no -1 can stand for them.
    outer = [size or tf.shape(x)[axis] for axis, size in enumerate(x.shape[: len(terms.x_free)])]
    weight = Weight(
        variable=kernel,
        to_matrix=matrix,
        part="" if group is None else f"[{group}]",
        bias=bias,
        to_vector=lambda bias: tf.reshape(tf.broadcast_to(bias, free), [-1]),
    )
    product = matrix_product(tf.reshape(x, [*outer, width]), weight, config, state)
    return tf.reshape(product, [*outer, *free])


def _expand(axes: str, rows: list[str]) -> list[str]:
    head, dots, tail = axes.partition("...")
    return [*head, *(rows if dots else []), *tail]


def transposed(x: tf.Tensor, axes: Sequence[str], wanted: Sequence[str]) -> tf.Tensor:
    """`x`, whose axes have these names, with its axes in another order."""
    if axes == wanted:
        return tf.convert_to_tensor(x)
    return tf.transpose(x, [axes.index(axis) for axis in wanted])
