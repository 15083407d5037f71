"""Weights as a SavedModel keeps them: up to 4 bits a code on disk, int8 codes in memory."""

import dataclasses
import hashlib
import math
from collections.abc import Sequence

import tensorflow as tf

from int4_conformer.quant.numerics.pack import pack_codes
from int4_conformer.quant.numerics.tensor import QTensor
from int4_conformer.quant.spec.quant_config import storage_bits


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

        bits = storage_bits(tensor.bits)
        return cls(
            codes=(
                UnpackedCodes(tensor.codes, bits, name)
                if bits < 8
                else variable(tensor.codes, "codes")
            ),
            scale=variable(tensor.scale, "scale"),
            bits=tensor.bits,
        )

    def read(self) -> QTensor:
        """In a graph."""
        codes = self.codes.read_value()
        return QTensor(codes=codes, scale=self.scale.read_value(), bits=self.bits)


class UnpackedCodes(tf.saved_model.experimental.TrackableResource):
    """int8 codes in memory, unpacked when they are made or loaded, and not at every call.

    Args:
        codes: int8 of any shape, an eager tensor.
        bits: 2 or 4: of a packed code.
        name: of the weight.

    Attributes:
        packed: the codes as `pack_codes` orders them; whoever saves the codes saves it as well.
    """

    def __init__(self, codes: tf.Tensor, bits: int, name: str):
        super().__init__()
        packed = pack_codes(codes.numpy(), bits)
        self._shape, self._bits = codes.shape, bits
        # Resources of one name are one in a process. With the content in it, several models, or
        # versions of one, keep apart what differs.
        digest = hashlib.sha256(packed.tobytes() + repr(codes.shape).encode()).hexdigest()
        self._name = f"{name}/{digest[:16]}"
        self.packed = tf.Variable(packed, trainable=False, name=f"{name}/packed")
        self._initialize()

    def read_value(self) -> tf.Tensor:
        """int8 of the codes' shape."""
        codes = tf.raw_ops.ReadVariableOp(resource=self.resource_handle, dtype=tf.int8)
        return tf.ensure_shape(codes, self._shape)

    # What TensorFlow calls, as it saves and loads.

    def _create_resource(self) -> tf.Tensor:
        return tf.raw_ops.VarHandleOp(dtype=tf.int8, shape=self._shape, shared_name=self._name)

    def _initialize(self) -> None:
        codes = _unpacked(self.packed.read_value(), self._shape, self._bits)
        tf.raw_ops.AssignVariableOp(resource=self.resource_handle, value=codes)


def _unpacked(packed: tf.Tensor, shape: Sequence[int], bits: int) -> tf.Tensor:
    """`unpack_codes` in a graph."""
    packed = tf.bitcast(packed, tf.int8)
    above = [tf.constant(8 - bits - low, tf.int8) for low in range(0, 8, bits)]
    places = [tf.bitwise.left_shift(packed, shift) for shift in above]
    # Shifting a signed byte right repeats its sign bit.
    codes = tf.bitwise.right_shift(tf.stack(places, axis=-1), tf.constant(8 - bits, tf.int8))
    return tf.reshape(tf.reshape(codes, [-1])[: math.prod(shape)], shape)
