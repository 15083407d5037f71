"""The contracts of docs/numerics.md, written plainly in NumPy."""

import ml_dtypes
import numpy as np

F = np.float32


def levels(bits):
    return 2 ** (bits - 1) - 1


def quantize(x, bits, axes, *, block=None, clip=1):
    """Weights: int8 codes and float32 scales."""
    x = np.asarray(x, F)
    axes = tuple(axis % x.ndim for axis in axes)
    if block is None:
        largest = np.max(np.abs(x), axis=axes, keepdims=True)
    else:
        (axis,) = axes
        parts = np.split(np.abs(x), x.shape[axis] // block, axis)
        largest = np.concatenate([np.max(part, axis, keepdims=True) for part in parts], axis)
    scale = largest / F(levels(bits))
    scale = np.where(scale < F(2**-125), F(1), scale)
    if block is not None:
        scale = np.maximum(scale.astype(ml_dtypes.bfloat16).astype(F), F(2**-14))
    scale = scale * F(clip)
    codes = np.clip(np.rint(x / spread(scale, block, axes)), -levels(bits), levels(bits))
    return codes.astype(np.int8), scale


def spread(scale, block, axes):
    """The scales, repeated within their blocks."""
    return scale if block is None else np.repeat(scale, block, axes[0])


def quantize_rows(x, scheme):
    """Activations: int8 codes, float32 scales [rows, 1] and zero points, int32 [rows, 1]."""
    if scheme == "int8_asymmetric":
        rows = [_quantize_row_asymmetric(row) for row in np.asarray(x, F)]
        codes, scales, zero_points = zip(*rows, strict=True)
        return np.array(codes), np.array(scales)[:, None], np.array(zero_points)[:, None]
    codes, scale = quantize(x, {"int8_symmetric": 8, "int4_symmetric": 4}[scheme], axes=(1,))
    return codes, scale, np.zeros([len(x), 1], np.int32)


def _quantize_row_asymmetric(row):
    low, high = min(F(0), row.min()), max(F(0), row.max())
    inverse = F(1) if low == high else F(255) / (high - low)
    if (F(-128) + low * inverse) + (F(127) + high * inverse) > 0:
        zero_point = np.rint(F(-128) - low * inverse)
    else:
        zero_point = np.rint(F(127) - high * inverse)
    zero_point = np.clip(zero_point, -128, 127)
    codes = np.clip(np.rint(row * inverse) + zero_point, -128, 127)
    return codes.astype(np.int8), F(1) / inverse, np.int32(zero_point)


def matmul(a, b):
    """Products: the exact product of codes, int32."""
    product = a.astype(np.int64) @ b.astype(np.int64)
    assert np.all(np.abs(product) < 2**31)
    return product.astype(np.int32)


def dot(x, kernel, bits, scheme):
    """The integer product with its scales, float32, of matrices."""
    codes, scale, zero_point = quantize_rows(x, scheme)
    weight, weight_scale = quantize(kernel, bits, axes=(0,))
    accumulator = matmul(codes, weight) - zero_point * weight.sum(axis=0, dtype=np.int32)
    return accumulator.astype(F) * scale * weight_scale


def on_grid(x, bits, axes, *, block=None, clip=1):
    """`x` on its grid."""
    codes, scale = quantize(x, bits, axes, block=block, clip=clip)
    return codes * spread(scale, block, axes)


def rows_on_grid(x, scheme):
    """The rows of `x` on their grids."""
    codes, scale, zero_point = quantize_rows(x, scheme)
    return (codes - zero_point).astype(F) * scale


def through_scale(x, kernel, dy, bits, step=1e-4):
    """Derivative of sum(dy * (x @ w)) in the kernel, by central differences, in float64.

    Rounding is straight-through, so w = kernel + scale(kernel) * (rounding error of the codes),
    where the error is a constant and the scale is not.
    """
    codes, scale = quantize(kernel, bits, axes=(0,))
    error = codes - kernel.astype(np.float64) / scale

    def product(kernel):
        weight = kernel + np.abs(kernel).max(axis=0) / levels(bits) * error
        return np.sum(dy * (x.astype(np.float64) @ weight))

    gradient = np.zeros(kernel.shape)
    for index in np.ndindex(*kernel.shape):
        nudge = np.zeros(kernel.shape)
        nudge[index] = step
        gradient[index] = (product(kernel + nudge) - product(kernel - nudge)) / (2 * step)
    return gradient
