"""Products of matrices, in integers and in floats (docs/numerics.md).

All backends of the integer product return the same int32 accumulators:

- `native`: `tf.matmul` on int8 with int32 output.
- `xla`: the same op compiled by XLA, which has vectorised int8 kernels where the plain op has a
  scalar loop; inside a program that XLA compiles anyway it is the plain op.
- `exact_float`: a float32 matmul of the codes, exact while every partial sum is an integer below
  2^24; wider ones in parts.
- `onednn`: the 8-bit matmul of oneDNN, which has kernels for the CPU's 8-bit instructions; in
  TensorFlow's builds for x86, outside of programs that XLA compiles.
- `auto`: the fastest of them by `backends`; `xla` only in a graph whose shapes are known (XLA
  compiles once per shape, too slow for eager calls), `exact_float` only in one part, `onednn`
  only in eager calls and `without_xla`, since a graph does not know whether XLA will compile it.
"""

import functools

import tensorflow as tf

from int4_conformer.errors import UserError
from int4_conformer.quant.products.backends import fastest
from int4_conformer.quant.spec.quant_config import Backend, QuantConfig
from int4_conformer.xla import compiled_by_xla

_EXACT_FLOAT_BOUND = 2**24
# Rows taken for a product whose number of rows is not known.
_TYPICAL_ROWS = 512


def exact_float_allowed(width: int | None, a_limit: int, b_limit: int) -> bool:
    """Whether sums of `width` products of codes up to the limits are exact in float32."""
    return width is not None and width * a_limit * b_limit < _EXACT_FLOAT_BOUND


def portable_backend(width: int | None) -> Backend:
    """The backend for programs that must run without XLA, as on a server."""
    return "native" if width is None else "exact_float"


def int_matmul(
    a: tf.Tensor, b: tf.Tensor, *, b_limit: int = 127, backend: Backend = "auto"
) -> tf.Tensor:
    """Multiplies codes exactly.

    Args:
        a: int8 [..., rows, width], any values.
        b: int8 [..., width, columns] with the same leading axes, |b| <= b_limit.
        b_limit: bound of the weight codes; 7 for 4 bits.
        backend: see the module's docstring.

    Returns:
        int32 [..., rows, columns].

    Raises:
        UserError: `exact_float` was asked for without a known width, or `onednn` where it is not.
    """
    product, shift = shifted_matmul(a, b, b_limit=b_limit, backend=backend)
    return product - shift * column_sums(b) if shift else product


def column_sums(codes: tf.Tensor) -> tf.Tensor:
    """int32 [..., 1, columns] of int8 [..., width, columns]."""
    return tf.reduce_sum(tf.cast(codes, tf.int32), axis=-2, keepdims=True)


def shifted_matmul(
    a: tf.Tensor, b: tf.Tensor, *, b_limit: int, backend: Backend
) -> tuple[tf.Tensor, int]:
    """`int_matmul` of `a + shift` and `b`, and that shift, for callers that have something else to
    take off the product, too."""
    width = _width(a, b)
    if backend == "auto":
        backend = automatic(a.shape, width, b.shape[-1], b_limit)
    if backend == "xla":
        return _xla_matmul(a, b), 0
    if backend == "native":
        return tf.matmul(a, b, output_type=tf.int32), 0
    if backend == "onednn":
        if not onednn_available() or a.shape.rank != 2:
            raise UserError(
                "Backend `onednn` multiplies matrices in TensorFlow builds with oneDNN; use `auto`."
            )
        return _onednn_matmul(a, b), 128
    if width is None:
        raise UserError(
            "`exact_float` needs to know how many products it sums up. Received: shapes "
            f"{a.shape} and {b.shape}; use backend `xla` or `native`."
        )
    a, b = tf.cast(a, tf.float32), tf.cast(b, tf.float32)
    return tf.cast(exact_float_matmul(a, b, 128 * b_limit), tf.int32), 0


def _width(a: tf.Tensor, b: tf.Tensor) -> int | None:
    """How many products each sum has, if that is known."""
    return a.shape[-1] if b.shape[-2] is None else b.shape[-2]


def exact_float_matmul(a: tf.Tensor, b: tf.Tensor, limit: int) -> tf.Tensor:
    """Multiplies whole numbers exactly.

    Args:
        a: float32 [..., rows, width].
        b: float32 [..., width, columns] with the same leading axes.
        limit: no product of two numbers is above it.

    Returns:
        [..., rows, columns], float32; int32 if the sums are exact in parts alone.
    """
    width, widest = _width(a, b), (_EXACT_FLOAT_BOUND - 1) // limit
    if width <= widest:
        return tf.matmul(a, b)
    sizes = [min(widest, width - start) for start in range(0, width, widest)]
    parts = zip(tf.split(a, sizes, axis=-1), tf.split(b, sizes, axis=-2), strict=True)
    return tf.add_n([tf.cast(tf.matmul(*part), tf.int32) for part in parts])


def automatic(
    a_shape: tf.TensorShape, width: int | None, columns: int | None, b_limit: int
) -> Backend:
    """The backend that `auto` stands for where this is called.

    Args:
        a_shape: of the codes that are multiplied, [..., rows, width].
        width: products that each sum has, if that is known.
        columns: of the other codes, if that is known.
        b_limit: bound of those.
    """
    rows, rank = a_shape[:-1].num_elements(), a_shape.rank
    if width is None or columns is None:
        return "native"
    allowed = {"native"}
    if exact_float_allowed(width, 128, b_limit):
        allowed.add("exact_float")
    if not compiled_by_xla() and rank == 2 and onednn_available():
        allowed.add("onednn")
    if not tf.executing_eagerly() and rows is not None:
        allowed = allowed - {"native"} | {"xla"}
    return fastest(rows or _TYPICAL_ROWS, width, columns, allowed)


@tf.function(jit_compile=True)
def _xla_matmul(a: tf.Tensor, b: tf.Tensor) -> tf.Tensor:
    return tf.matmul(a, b, output_type=tf.int32)


@functools.cache
def onednn_available() -> bool:
    """Whether this TensorFlow has oneDNN's 8-bit matmul, and this CPU computes it exactly.

    Without VNNI instructions, sums of two products are kept in 16 bits on the way.
    """
    with tf.init_scope():
        codes = tf.fill([64, 64], tf.constant(127, tf.int8))
        try:
            found = _onednn_matmul(codes, codes)
        except (tf.errors.InvalidArgumentError, tf.errors.NotFoundError):
            return False
        # TensorFlow 2.16 gives nothing where oneDNN is turned off.
        return found.shape == codes.shape and bool(tf.reduce_all(found == 64 * (127 + 128) * 127))


def _onednn_matmul(a: tf.Tensor, b: tf.Tensor) -> tf.Tensor:
    """The product of `a + 128` and `b`: the instruction takes unsigned by signed."""
    # Flipping the sign bit adds 128.
    flipped = tf.bitwise.bitwise_xor(tf.bitcast(a, tf.uint8), tf.constant(128, tf.uint8))
    product, _, _ = tf.raw_ops.QuantizedMatMulWithBias(
        a=tf.bitcast(flipped, tf.quint8),
        b=tf.bitcast(b, tf.qint8),
        bias=tf.zeros(b.shape[1:]),
        min_a=0.0,
        max_a=255.0,
        min_b=-127.0,
        max_b=127.0,
        Toutput=tf.qint32,
        input_quant_mode="SCALED",
    )
    return tf.bitcast(product, tf.int32)


def float_matmul(x: tf.Tensor, weight: tf.Tensor, axis: int, config: QuantConfig) -> tf.Tensor:
    """Multiplies in the type of `x`; the two products of the backward pass have the narrower of
    that and `config.backward_dtype`. Sums are kept in float32.

    Args:
        x: float32 or bfloat16 [rows, in].
        weight: float32 [in, out], or [out, in] with `axis` 1.

    Returns:
        float32 [rows, out].
    """
    forward = x.dtype
    backward = forward if forward == tf.bfloat16 else tf.as_dtype(config.backward_dtype)

    @tf.custom_gradient
    def product(x: tf.Tensor, weight: tf.Tensor):
        def gradient(dy: tf.Tensor) -> tuple[tf.Tensor, tf.Tensor]:
            operands = (x, dy) if axis == 0 else (dy, x)
            dx = matmul_in(backward, dy, weight, transpose_b=axis == 0)
            return tf.cast(dx, forward), matmul_in(backward, *operands, transpose_a=True)

        return matmul_in(forward, x, weight, transpose_b=axis == 1), gradient

    return product(x, weight)


def matmul_in(dtype: tf.DType, a: tf.Tensor, b: tf.Tensor, **transposes: bool) -> tf.Tensor:
    """float32 product of operands cast to `dtype`."""
    return tf.cast(tf.matmul(tf.cast(a, dtype), tf.cast(b, dtype), **transposes), tf.float32)
