"""What LiteRT's matmul kernels compute, written plainly in NumPy.

Weights are `DeployedWeight`s.
"""

import numpy as np

F = np.float32


def round_half_away(x):
    return np.copysign(np.floor(np.abs(x) + 0.5), x)


def block_sums(x_codes, weight):
    """Exact products of codes per block, int64 [rows, out, blocks]."""
    x_codes = x_codes.astype(np.int64).reshape(len(x_codes), -1, weight.block)
    codes = weight.codes.astype(np.int64).reshape(len(weight.codes), -1, weight.block)
    return np.einsum("rbk,obk->rob", x_codes, codes)


def magnitude(x_scale, weight):
    """The most that the terms of a blockwise sum can come to, float64 [rows, out]."""
    codes = np.abs(weight.codes).reshape(*weight.scale.shape, -1).sum(axis=2, dtype=np.float64)
    return 255 * x_scale * (codes * weight.scale).sum(axis=1)


def blockwise(x_codes, x_scale, x_zero_point, weight):
    """sum over blocks of (products - zero point * sum of codes) * scale, times the row's scale."""
    sums = block_sums(x_codes.astype(np.int64) - x_zero_point, weight)
    y = (sums * weight.scale.astype(np.float64)).sum(axis=2) * x_scale
    return y if weight.bias is None else y + weight.bias


def blockwise_vnni(x_codes, x_scale, x_zero_point, weight):
    """The same in the float32 steps of XNNPACK's AVX-512 VNNI kernels.

    The codes of `x` are made unsigned. The sums of the weights' codes, which the zero point
    multiplies, are gathered 16 codes at a time; then each block is added by a fused multiply-add.
    """
    ones = weight.codes.astype(np.int64).reshape(len(weight.codes), -1, 16).sum(axis=2)
    scale16 = weight.scale.repeat(weight.block // 16, axis=1)
    code_sums = np.zeros(len(ones), F)
    for group in range(ones.shape[1]):
        code_sums -= ones[:, group].astype(F) * scale16[:, group]
    y = code_sums * (x_zero_point + 128).astype(F)
    sums = block_sums(x_codes.astype(np.int64) + 128, weight)
    for block in range(sums.shape[2]):
        # The product is exact in float64, the sum nearly so: one rounding.
        y = (sums[:, :, block] * weight.scale[:, block].astype(np.float64) + y).astype(F)
    return y * x_scale + weight.bias


def quantize_rows_builtin(x):
    """Asymmetric int8 codes, scales and zero points of rows, as the builtin blockwise kernel's."""
    low = np.minimum(x.min(axis=1, keepdims=True), F(0))
    high = np.maximum(x.max(axis=1, keepdims=True), F(0))
    flat = low == high
    scale = np.where(flat, 1, (high - low).astype(np.float64) / 255)
    from_low = 128 - low / scale < 127 + high / scale
    zero_point = np.where(from_low, -128 - low / scale, 127 - high / scale)
    zero_point = np.where(flat, 0, round_half_away(np.clip(zero_point, -128, 127))).astype(int)
    scale = scale.astype(F)
    codes = round_half_away(x * (1 / scale.astype(np.float64)).astype(F)) + zero_point
    return np.clip(codes, -128, 127), scale, zero_point


def quantize(x, scale, zero_point):
    """QUANTIZE of XNNPACK."""
    return np.clip(np.rint(x * (F(1) / F(scale))) + zero_point, -128, 127).astype(np.int64)


def quantize_builtin(x, scale, zero_point):
    """QUANTIZE of the builtin kernels: the last `size % 8` values of a tensor are rounded apart."""
    codes = np.clip(round_half_away(x / np.float64(F(scale))) + zero_point, -128, 127)
    vectors = x.size // 8 * 8
    codes.flat[:vectors] = quantize(x.flat[:vectors], scale, zero_point)
    return codes.astype(np.int64)


def dequantize(codes, scale, zero_point):
    """DEQUANTIZE of XNNPACK."""
    return (codes - zero_point).astype(F) * F(scale)


def dequantize_builtin(codes, scale, zero_point):
    """DEQUANTIZE of the builtin kernels: the last `size % 8` values of a tensor round once."""
    y = dequantize(codes, scale, zero_point)
    vectors = codes.size // 8 * 8
    y.flat[:vectors] = codes.flat[:vectors].astype(F) * F(scale) + F(-zero_point) * F(scale)
    return y


def static_sums(x_codes, weight):
    """The int32 accumulators of a static matmul, as int64."""
    products = (x_codes - weight.static.input_zero_point) @ weight.codes.T.astype(np.int64)
    return products if weight.bias is None else products + weight.bias_codes(weight.bias)


def requantize(sums, weight, relu):
    """The output codes of XNNPACK's static matmul: one float32 factor, rounded half to even."""
    factor = F(weight.static.input_scale) * weight.scale / F(weight.static.output_scale)
    return _clip(np.rint(sums.astype(F) * factor), weight, relu)


def requantize_builtin(sums, weight, relu):
    """The output codes of the builtin static matmul: a 31-bit factor and a shift.

    The product is rounded half up twice, to a whole number and again when that is shifted.
    """
    input_scale, scale = np.float64(F(weight.static.input_scale)), weight.scale.astype(np.float64)
    product = input_scale * scale
    if len(scale) == 1:
        # A single channel counts as one scale for the tensor; that product is a float32.
        product = product.astype(F).astype(np.float64)
    fraction, exponent = np.frexp(product / F(weight.static.output_scale))
    multiplier = round_half_away(fraction * 2**31).astype(np.int64)
    left, right = np.maximum(exponent, 0), np.maximum(-exponent, 0)
    high = ((sums << left) * multiplier + 2**30) >> 31
    return _clip((high + (1 << right >> 1)) >> right, weight, relu)


def _clip(steps, weight, relu):
    zero_point = weight.static.output_zero_point
    return np.clip(steps + zero_point, zero_point if relu else -128, 127).astype(np.int64)
