"""Weights as a SavedModel keeps them: two 4-bit codes a byte on disk, int8 codes in memory."""

import dataclasses
import hashlib
import math
from collections.abc import Sequence

import tensorflow as tf

from int4_conformer.quant.numerics.pack import pack_int4
from int4_conformer.quant.numerics.tensor import QTensor


@dataclasses.dataclass(frozen=True, kw_only=True)
class StoredWeight:
    """A weight of a graph for servers."""

    codes: "tf.Variable | UnpackedCodes"
    # float32, as `QTensor` has it.
    scale: tf.Variable
    bits: int

    @classmethod
    def of(cls, tensor: QTensor, name: str) -> "StoredWeight":
        """Stores a weight under a name; eagerly."""

        def variable(value: tf.Tensor, what: str) -> tf.Variable:
            return tf.Variable(value, trainable=False, name=f"{name}/{what}")

        packs = tensor.bits <= 4
        return cls(
            codes=UnpackedCodes(tensor.codes, name) if packs else variable(tensor.codes, "codes"),
            scale=variable(tensor.scale, "scale"),
            bits=tensor.bits,
        )

    def read(self) -> QTensor:
        """In a graph."""
        codes = self.codes.read_value()
        return QTensor(codes=codes, scale=self.scale.read_value(), bits=self.bits)


class UnpackedCodes(tf.saved_model.experimental.TrackableResource):
    """int8 codes in memory, unpacked from nibbles when they are made or loaded, and not at every
    call.

    Args:
        codes: int8 of any shape, in -8..7, an eager tensor.
        name: of the weight.

    Attributes:
        packed: the nibbles, as `pack_int4` orders them; whoever saves the codes saves it as well.
    """

    def __init__(self, codes: tf.Tensor, name: str):
        super().__init__()
        packed = pack_int4(codes.numpy())
        self._shape = codes.shape
        # Resources of one name are one in a process. With the content in it, several models, or
        # versions of one, keep apart what differs.
        digest = hashlib.sha256(packed.tobytes() + repr(codes.shape).encode()).hexdigest()
        self._name = f"{name}/{digest[:16]}"
        self.packed = tf.Variable(packed, trainable=False, name=f"{name}/nibbles")
        self._initialize()

    def read_value(self) -> tf.Tensor:
        """int8 of the codes' shape."""
        codes = tf.raw_ops.ReadVariableOp(resource=self.resource_handle, dtype=tf.int8)
        return tf.ensure_shape(codes, self._shape)

    # What TensorFlow calls, as it saves and loads.

    def _create_resource(self) -> tf.Tensor:
        return tf.raw_ops.VarHandleOp(dtype=tf.int8, shape=self._shape, shared_name=self._name)

    def _initialize(self) -> None:
        tf.raw_ops.AssignVariableOp(
            resource=self.resource_handle, value=_unpacked(self.packed.read_value(), self._shape)
        )


def _unpacked(packed: tf.Tensor, shape: Sequence[int]) -> tf.Tensor:
    """`unpack_int4` in a graph."""
    packed = tf.bitcast(packed, tf.int8)
    four = tf.constant(4, tf.int8)
    # Shifting a signed byte right repeats its sign bit.
    low = tf.bitwise.right_shift(tf.bitwise.left_shift(packed, four), four)
    high = tf.bitwise.right_shift(packed, four)
    codes = tf.reshape(tf.stack([low, high], axis=-1), [-1])
    return tf.reshape(codes[: math.prod(shape)], shape)
