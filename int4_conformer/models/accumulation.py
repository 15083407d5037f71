"""Gradients of a batch, a part of it after the other."""

from collections.abc import Callable

import tensorflow as tf

from int4_conformer.errors import UserError

Gradients = list[tf.Tensor]


def sum_over_parts(
    function: Callable[[dict[str, tf.Tensor], tf.Tensor], tuple[tf.Tensor, Gradients]],
    batch: dict[str, tf.Tensor],
    parts: int,
    shapes: list[tf.TensorShape],
) -> tuple[tf.Tensor, Gradients]:
    """A loss and its gradients, for which one part of the batch is in memory at a time.

    For a loss that is a sum over rows they are those of the batch as a whole.

    Args:
        function: given a part and its number, int32 [], returns its loss, float32 [], and
            gradients.
        batch: tensors [rows, ...].
        parts: how many.
        shapes: of the gradients.

    Raises:
        UserError: the rows cannot be divided so.
    """
    if parts == 1:
        return function(batch, tf.constant(0))
    rows = next(iter(batch.values())).shape[0]
    if rows % parts:
        raise UserError(
            f"A batch of {rows} utterances has no {parts} equal parts; take a batch size that "
            f"`accumulate` divides. Received: accumulate={parts}"
        )
    cut = {name: tf.reshape(x, [parts, rows // parts, *x.shape[1:]]) for name, x in batch.items()}

    def body(part: tf.Tensor, *sums: tf.Tensor) -> list[tf.Tensor]:
        loss, gradients = function({name: x[part] for name, x in cut.items()}, part)
        return [part + 1, *(x + y for x, y in zip(sums, (loss, *gradients), strict=True))]

    _, loss, *gradients = tf.while_loop(
        lambda part, *_: part < parts,
        body,
        [tf.constant(0), tf.zeros([]), *(tf.zeros(shape) for shape in shapes)],
        maximum_iterations=parts,
    )
    return loss, gradients
