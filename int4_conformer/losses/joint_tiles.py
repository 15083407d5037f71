"""The logits of a joint network's lattice, some tiles at a time."""

from collections.abc import Callable, Sequence

import tensorflow as tf

from int4_conformer.losses.rnnt import next_labels
from int4_conformer.losses.tiles import Plan, Tiles

Joint = Callable[..., tf.Tensor]


class JointTiles:
    """A lattice of `joint(frames[:, :, None], predicted[:, None], *operands)` in tiles.

    Args:
        joint: given frames [n, t, 1, dim], predictions [n, 1, u, dim] and the operands, returns
            logits float [n, t, u, vocab].
        frames: float [batch, time, dim]; their number counts here.
        predicted: float [batch, prefixes, dim]; likewise.
        labels: int32 [batch, labels], padded with any ids.
        frame_lengths: int32 [batch], real frames.
        label_lengths: int32 [batch], real labels.
        points_at_once: points in a step of a loop.

    Raises:
        UserError: the labels do not belong to so many columns.
    """

    def __init__(
        self,
        joint: Joint,
        frames: tf.Tensor,
        predicted: tf.Tensor,
        labels: tf.Tensor,
        frame_lengths: tf.Tensor,
        label_lengths: tf.Tensor,
        *,
        points_at_once: int,
    ):
        self._joint = joint
        time, prefixes = frames.shape[1], predicted.shape[1]
        labels = next_labels(labels, label_lengths, prefixes)
        self.tiles = Tiles(labels.shape[0], time, prefixes, points_at_once=points_at_once)
        self._labels = self.tiles.cut_prefixes(labels)
        t, u = tf.range(time)[:, None], tf.range(prefixes)
        # bool [batch, time, prefixes]: no padding.
        self.real = (t < frame_lengths[:, None, None]) & (u <= label_lengths[:, None, None])
        # bool [batch, time, prefixes]: there is a next label.
        self.labelled = self.real & (u < label_lengths[:, None, None])

    def map(
        self,
        plan: Plan,
        function: Callable[..., tf.Tensor],
        parts: int,
        frames: tf.Tensor,
        predicted: tf.Tensor,
        operands: Sequence[tf.Tensor],
        known: Sequence[tf.Tensor] = (),
    ) -> tf.Tensor:
        """What a function finds at each point, and zeros in tiles that the plan leaves out.

        Args:
            plan: which tiles.
            function: of logits [n, t, u, vocab], their labels [n, t, u], and the points of `known`;
                float32 [parts, n, t, u].
            parts: size.
            frames: float [batch, time, dim].
            predicted: float [batch, prefixes, dim].
            operands: of the joint.
            known: [batch, time, prefixes] each.

        Returns:
            float32 [parts, batch, time, prefixes].
        """
        strips = self._strips(frames, predicted)
        cut = [self.tiles.cut(x) for x in known]

        def found(index: tf.Tensor) -> tf.Tensor:
            *parts, symbols = self._inputs(strips, index)
            logits = self._logits(*parts, *operands)
            return function(logits, symbols, *(tf.gather(x, index) for x in cut))

        return self.tiles.map(plan, found, parts)

    def gradients(
        self,
        plan: Plan,
        function: Callable[..., tf.Tensor],
        frames: tf.Tensor,
        predicted: tf.Tensor,
        operands: Sequence[tf.Tensor],
        known: Sequence[tf.Tensor],
        weights: Sequence[tf.Tensor],
    ) -> list[tf.Tensor]:
        """Gradients of frames, predictions and operands, from those of the logits.

        Args:
            function: of logits and labels as in `map`, and the points of `known` and `weights`;
                returns the gradient of the logits, which is zero where the weights are.
            weights: [batch, time, prefixes] each; zero in tiles that only fill up a step.
        """
        strips = self._strips(frames, predicted)
        held, cut = ([self.tiles.cut(x) for x in tensors] for tensors in (known, weights))

        def found(index: tf.Tensor, counts: tf.Tensor) -> list[tf.Tensor]:
            *parts, symbols = self._inputs(strips, index)
            sources = [*parts, *operands]
            with tf.GradientTape() as tape:
                tape.watch(sources)
                logits = self._logits(*sources)
            points = [tf.gather(x, index) for x in held]
            points += [tf.where(counts[:, None, None], tf.gather(x, index), 0.0) for x in cut]
            return tape.gradient(
                logits,
                sources,
                output_gradients=function(logits, symbols, *points),
                unconnected_gradients=tf.UnconnectedGradients.ZERO,
            )

        widths = frames.shape[-1], predicted.shape[-1]
        sums = self.tiles.sum(plan, found, widths, [x.shape for x in operands])
        sources = [frames, predicted, *operands]
        return [tf.cast(x, y.dtype) for x, y in zip(sums, sources, strict=True)]

    def _strips(self, frames: tf.Tensor, predicted: tf.Tensor) -> tuple[tf.Tensor, tf.Tensor]:
        return self.tiles.cut_frames(frames), self.tiles.cut_prefixes(predicted)

    def _inputs(
        self, strips: tuple[tf.Tensor, tf.Tensor], index: tf.Tensor
    ) -> tuple[tf.Tensor, tf.Tensor, tf.Tensor]:
        row, column = self.tiles.strips(index)
        frames, predicted = tf.gather(strips[0], row), tf.gather(strips[1], column)
        symbols = tf.gather(self._labels, column)[:, None]
        shape = [*frames.shape[:2], symbols.shape[2]]
        return frames, predicted, tf.broadcast_to(symbols, shape)

    def _logits(self, frames: tf.Tensor, predicted: tf.Tensor, *operands: tf.Tensor) -> tf.Tensor:
        return self._joint(frames[:, :, None], predicted[:, None], *operands)
