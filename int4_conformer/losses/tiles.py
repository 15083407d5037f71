"""A transducer's lattice in tiles, of which a loop takes some at a time."""

import dataclasses
from collections.abc import Callable, Sequence
from typing import Any

import tensorflow as tf

# Largest tile, in frames and in prefixes.
_FRAMES, _PREFIXES = 16, 8


@dataclasses.dataclass(frozen=True, kw_only=True)
class Plan:
    """Which tiles a loop visits."""

    # int32 [steps * tiles at once]: the tiles to visit first, then the others, then 0.
    order: tf.Tensor
    # int32 [tiles]: the place of each in `order`.
    place: tf.Tensor
    # int32 scalar: steps that visit them all.
    steps: tf.Tensor


class Tiles:
    """A lattice [batch, time, prefixes] cut into tiles of some frames by some prefixes of a row.

    Args:
        batch: size, as the next two.
        time: size.
        prefixes: size.
        points_at_once: points in a step of a loop; at least one tile is taken.
    """

    def __init__(self, batch: int, time: int, prefixes: int, *, points_at_once: int):
        self._batch, self._time, self._prefixes = batch, time, prefixes
        # Equal ones, so that the last is not mostly padding.
        self._down, self._across = -(-time // _FRAMES), -(-prefixes // _PREFIXES)
        self._frames, self._columns = -(-time // self._down), -(-prefixes // self._across)
        self._count = batch * self._down * self._across
        at_once = max(1, points_at_once // (self._frames * self._columns))
        self._steps = -(-self._count // at_once)
        self._at_once = -(-self._count // self._steps)

    def cut(self, x: tf.Tensor) -> tf.Tensor:
        """[batch, time, prefixes] -> [tiles, frames, prefixes of a tile]."""
        x = _pad(x, self._down * self._frames - self._time, 1)
        x = _pad(x, self._across * self._columns - self._prefixes, 2)
        shape = [self._batch, self._down, self._frames, self._across, self._columns]
        x = tf.transpose(tf.reshape(x, shape), [0, 1, 3, 2, 4])
        return tf.reshape(x, [self._count, self._frames, self._columns])

    def join(self, x: tf.Tensor) -> tf.Tensor:
        """Inverse of `cut`."""
        shape = [self._batch, self._down, self._across, self._frames, self._columns]
        x = tf.transpose(tf.reshape(x, shape), [0, 1, 3, 2, 4])
        x = tf.reshape(x, [self._batch, self._down * self._frames, self._across * self._columns])
        return x[:, : self._time, : self._prefixes]

    def cut_frames(self, x: tf.Tensor) -> tf.Tensor:
        """[batch, time, ...] -> [strips, frames of a tile, ...], a strip for a row of tiles."""
        x = _pad(x, self._down * self._frames - self._time, 1)
        return tf.reshape(x, [self._batch * self._down, self._frames, *x.shape[2:]])

    def join_frames(self, x: tf.Tensor) -> tf.Tensor:
        """Inverse of `cut_frames`."""
        x = tf.reshape(x, [self._batch, self._down * self._frames, *x.shape[2:]])
        return x[:, : self._time]

    def cut_prefixes(self, x: tf.Tensor) -> tf.Tensor:
        """[batch, prefixes, ...] -> [strips, prefixes of a tile, ...]."""
        x = _pad(x, self._across * self._columns - self._prefixes, 1)
        return tf.reshape(x, [self._batch * self._across, self._columns, *x.shape[2:]])

    def join_prefixes(self, x: tf.Tensor) -> tf.Tensor:
        """Inverse of `cut_prefixes`."""
        x = tf.reshape(x, [self._batch, self._across * self._columns, *x.shape[2:]])
        return x[:, : self._prefixes]

    def strips(self, tile: tf.Tensor) -> tuple[tf.Tensor, tf.Tensor]:
        """Of tiles int32 [n]: their strips of frames and of prefixes."""
        row = tile // self._across
        return row, row // self._down * self._across + tile % self._across

    def plan(self, wanted: tf.Tensor) -> Plan:
        """Visits the tiles in which something of a mask, bool [batch, time, prefixes], is true."""
        wanted = tf.reduce_any(self.cut(wanted), axis=[1, 2])
        ones = tf.cast(wanted, tf.int32)
        count = tf.reduce_sum(ones)
        place = tf.where(wanted, tf.cumsum(ones), count + tf.cumsum(1 - ones)) - 1
        # Not `tf.math.invert_permutation`, which XLA tries to fold, and fails behind a beam search.
        order = tf.scatter_nd(place[:, None], tf.range(self._count), [self._count])
        unused = self._steps * self._at_once - self._count
        return Plan(
            order=tf.pad(order, [[0, unused]]),
            place=place,
            steps=-(-count // self._at_once),
        )

    def map(self, plan: Plan, function: Callable[[tf.Tensor], tf.Tensor], parts: int) -> tf.Tensor:
        """What a function finds in each tile that a plan visits, and zeros elsewhere.

        Args:
            function: of tiles, int32 [n]; float32 [parts, n, frames, prefixes].

        Returns:
            float32 [parts, batch, time, prefixes].
        """
        shape = [parts, self._at_once, self._frames, self._columns]

        def body(step: tf.Tensor, found: tf.TensorArray) -> tuple[tf.Tensor, tf.TensorArray]:
            return step + 1, found.write(step, function(self._tiles_of(plan, step)))

        found = tf.TensorArray(tf.float32, size=self._steps, element_shape=shape)
        _, found = self._loop(plan, body, found)
        # A step that was not taken leaves zeros.
        found = tf.reshape(tf.transpose(found.stack(), [1, 0, 2, 3, 4]), [parts, -1, *shape[2:]])
        return tf.stack([self.join(tf.gather(part, plan.place)) for part in tf.unstack(found)])

    def sum(
        self,
        plan: Plan,
        function: Callable[[tf.Tensor, tf.Tensor], Sequence[tf.Tensor]],
        widths: tuple[int, int],
        shapes: Sequence[tf.TensorShape],
    ) -> list[tf.Tensor]:
        """Sums of what a function finds in the tiles that a plan visits.

        Args:
            function: of tiles, int32 [n], and bool [n], false for those that fill up a step and
                must not count; returns for frames float [n, frames, width], for prefixes float
                [n, prefixes, width], and tensors that are sums over the tiles already.
            widths: of the first two.
            shapes: of the others.

        Returns:
            float32 [batch, time, width], [batch, prefixes, width], and the others.
        """
        rows, columns = self._batch * self._down, self._batch * self._across

        def body(step: tf.Tensor, d_frames: tf.Tensor, d_prefixes: tf.Tensor, *sums: tf.Tensor):
            tiles = self._tiles_of(plan, step)
            known = step * self._at_once + tf.range(self._at_once) < self._count
            found = [tf.cast(x, tf.float32) for x in function(tiles, known)]
            row, column = (strip[:, None] for strip in self.strips(tiles))
            return (
                step + 1,
                tf.tensor_scatter_nd_add(d_frames, row, found[0]),
                tf.tensor_scatter_nd_add(d_prefixes, column, found[1]),
                *(x + y for x, y in zip(sums, found[2:], strict=True)),
            )

        _, d_frames, d_prefixes, *sums = self._loop(
            plan,
            body,
            tf.zeros([rows, self._frames, widths[0]]),
            tf.zeros([columns, self._columns, widths[1]]),
            *(tf.zeros(shape) for shape in shapes),
        )
        return [self.join_frames(d_frames), self.join_prefixes(d_prefixes), *sums]

    def _loop(self, plan: Plan, body: Callable[..., Any], *state: Any) -> Any:
        return tf.while_loop(
            lambda step, *_: step < plan.steps,
            body,
            (tf.constant(0), *state),
            maximum_iterations=self._steps,
        )

    def _tiles_of(self, plan: Plan, step: tf.Tensor) -> tf.Tensor:
        return tf.slice(plan.order, [step * self._at_once], [self._at_once])


def _pad(x: tf.Tensor, size: int, axis: int) -> tf.Tensor:
    """With zeros at the end of an axis."""
    return tf.pad(x, [[0, size if i == axis else 0] for i in range(x.shape.rank)])
