"""Integers, scales and products against numbers that other projects publish.

praxis (google/praxis, praxis/layers/quantization) has the symmetric quantizer of the patent. Where
two codes are equally near, `TensorQuantizer` takes the larger and `reduce_precision` the even one
as here; none of the tables below has such a value. Some scales there have 1.2e-7 added. Left out:
everything asymmetric (whose zero points are no whole numbers there), -2^(bits-1), search for the
best clipping, blocks (whose scales are bfloat16 here), FP8, and `test_custom_einsum_fwd_int8`,
which expects the product of the floats.

LiteRT (google-ai-edge/LiteRT, tflite) rounds such values away from zero.
"""

import numpy as np
import pytest
import tensorflow as tf

from int4_conformer import quant
from int4_conformer.tflite.deployed_weight import DeployedWeight
from int4_conformer.tflite.packing import pack
from tests.support import dense_models
from tests.support.published import numbers


@pytest.mark.parametrize(
    ("codes", "packed"), [([-8, 3, -2, -5], [0x38, 0xBE]), ([1, 2, 3], [0x21, 0x03])]
)
def test_packing_of_litert(codes, packed):
    """tflite/kernels/internal/tensor_utils_test.cc `PackInt4Basic` and `PackInt4OddLength`."""
    np.testing.assert_array_equal(quant.pack_codes(np.int8(codes), 4), packed)


@pytest.mark.parametrize(
    ("packed", "codes"), [([0x38, 0xBE], [-8, 3, -2, -5]), ([0x21, 0x43], [1, 2, 3])]
)
def test_unpacking_of_litert(packed, codes):
    """The same, `UnpackInt4Basic` and `UnpackInt4OddLength`, whose last nibble is not 0."""
    np.testing.assert_array_equal(quant.unpack_codes(np.uint8(packed), [len(codes)], 4), codes)


LARGE = [-640, -635, -630, 10, 2, -5, -10, 0, 1000]
TINY = [-1e-5, 3e-5, -7e-6, -9e-5, 1e-6, 4e-5, 9e-6, 2e-4, 0]


@pytest.mark.parametrize(
    ("x", "codes", "scale"),
    [
        (LARGE, [-81, -81, -80, 1, 0, -1, -1, 0, 127], 1000 / 127),
        (TINY, [-6, 19, -4, -57, 1, 25, 6, 127, 0], 2e-4 / 127),
        ([0] * 9, [0] * 9, 1),
    ],
    ids=["large", "tiny", "zeros"],
)
def test_symmetric_vectors_of_litert(x, codes, scale):
    """tensor_utils_test.cc `SymmetricQuantizeFloatsTest`, `...AllAlmostZeroTest` and
    `...AllZerosTest`."""
    rows = quant.quantize_rows(tf.constant([x], tf.float32), "int8_symmetric")
    np.testing.assert_array_equal(rows.codes, [codes])
    np.testing.assert_allclose(rows.scale, [[scale]], rtol=1e-6)


@pytest.mark.parametrize(
    ("x", "codes", "scale", "zero_point"),
    [
        (LARGE, [-128, -127, -126, -26, -28, -29, -30, -28, 127], 1640 / 255, -28),
        (TINY, [-58, -23, -55, -128, -48, -14, -41, 127, -49], 2.9e-4 / 255, -49),
        ([2000] * 9, [127] * 9, 2000 / 255, -128),
    ],
    ids=["large", "tiny", "equal"],
)
def test_asymmetric_vectors_of_litert(x, codes, scale, zero_point):
    """tensor_utils_test.cc `AsymmetricQuantizeFloatsTest`, `...AllAlmostZeroTest`,
    `...ZeroRangeTest`; not `...AllZerosTest`, where XNNPACK has another zero point."""
    rows = quant.quantize_rows(tf.constant([x], tf.float32), "int8_asymmetric")
    np.testing.assert_array_equal(rows.codes, [codes])
    np.testing.assert_allclose(rows.scale, [[scale]], rtol=1e-6)
    np.testing.assert_array_equal(rows.zero_point, [[zero_point]])


@pytest.mark.parametrize(
    ("axis", "codes", "scale"),
    [
        (
            1,
            """
            76 51 127 -51 76 51 127 -51
            16 32 48 64 79 95 111 127
            21 0 -21 -42 -64 -85 -106 -127
            """,
            "0.0393700786 0.0629921257 0.0472440943",
        ),
        (
            0,
            """
            127 127 127 -64 76 42 91 -32
            42 127 76 127 127 127 127 127
            42 0 -25 -64 -76 -85 -91 -95
            """,
            "0.02362204724 0.01574803149 0.03937007874 0.03149606299 "
            "0.03937007874 0.04724409448 0.05511811023 0.06299212598",
        ),
    ],
    ids=["rows", "columns"],
)
def test_channels_of_litert(axis, codes, scale):
    """tflite/tools/optimize/quantization_utils_test.cc `SymmetricPerChannelQuantization` and
    `SymmetricPerChannelQuantization2DTensor`; its ties are at 63.5, where 64 is even too."""
    x = numbers("3 2 5 -2 3 2 5 -2   1 2 3 4 5 6 7 8   1 0 -1 -2 -3 -4 -5 -6", 3, 8)
    tensor = quant.quantize(x, 8, (axis,))
    np.testing.assert_array_equal(tensor.codes, numbers(codes, 3, 8))
    np.testing.assert_allclose(np.ravel(tensor.scale), numbers(scale, -1), rtol=1e-7)


def test_a_vector_of_ai_edge_quantizer():
    """google-ai-edge/ai-edge-quantizer, uniform_quantize_tensor_test.py `test_uniform_quantize`."""
    tensor = quant.quantize(np.float32([-16.0, 1.3, 2.4, 16.0]), 8, (0,))
    np.testing.assert_array_equal(tensor.codes, [-127, 10, 19, 127])
    np.testing.assert_allclose(tensor.scale, [0.12598425], rtol=1e-6)


def test_three_bits_of_praxis():
    """quantizer_test.py `test_single_symmetric_quant_example`, worked out by hand there."""
    x = numbers("0 1 2 2  2 3 3 4  4 5 5 7  0 -1 -1 -2  -2 -3 -3 -4  -4 -5 -5 -7", 6, 4)
    codes = numbers("0 0 1 1  1 1 1 2  2 2 2 3  0 0 0 -1  -1 -1 -1 -2  -2 -2 -2 -3", 6, 4)
    tensor = quant.quantize(x, 3, (0, 1))
    np.testing.assert_array_equal(tensor.codes, codes)
    np.testing.assert_allclose(tensor.scale, [[2.333333]], rtol=1e-6)
    np.testing.assert_allclose(tensor.dequantize(), codes * 2.3333333, rtol=1e-6)


@pytest.mark.parametrize(
    ("x", "bits", "axis", "codes", "scale"),
    [
        # operations_test.py `test_precsion_int8_add_scale_eps` with False; the second row is zeros.
        (
            [[1.0, 2.0, 5.5, 2.9], [0.0, 0.0, 0.0, 0.0]],
            8,
            1,
            [[23, 46, 127, 67], [0, 0, 0, 0]],
            [0.04330709, 1.0],
        ),
        # linears_test.py `test_aqt_quantize_weight`
        (
            [[-7.0, -1.01, 1.01], [-4.01, 3.50, 0.99], [-1.01, 1.99, -1.75]],
            3,
            0,
            [[-3, -1, 2], [-2, 3, 2], [0, 2, -3]],
            [2.333333, 1.166667, 0.583333],
        ),
    ],
    ids=["zeros", "3_bits"],
)
def test_matrices_of_praxis(x, bits, axis, codes, scale):
    tensor = quant.quantize(np.float32(x), bits, (axis,))
    np.testing.assert_array_equal(tensor.codes, codes)
    np.testing.assert_allclose(np.ravel(tensor.scale), scale, rtol=1e-6)


def test_integer_einsum_of_praxis():
    """operations_test.py `test_int8_quantized_einsum`, whose scales are whole numbers."""
    x = tf.constant([[1, 2, 3], [4, 1, 2]], tf.int8)
    codes = tf.constant([[1, 2, 1], [2, 1, 2], [1, 3, 1]], tf.int8)
    sums = quant.int_matmul(x, codes)
    np.testing.assert_array_equal(sums * [1, 2, 3], [[8, 26, 24], [8, 30, 24]])


# operations_test.py `basic_quant_example` and linears_test.py `test_linear_aqt_quantized`
ROWS = np.float32([[-7.0, 4.01, 4.01], [-7.0, 0.01, -4.01]])
KERNEL = np.float32([[-1.5, 0.99], [-0.99, 0], [-0.01, 1.5]])


def test_two_bit_weights_of_praxis():
    """operations_test.py `test_basic_aqt_einsum`."""
    product = quant.einsum("xy,yz->xz", ROWS, KERNEL, quant.QuantConfig(weight_bits=2))
    on_grid = np.float32([[-1.5, 1.5], [-1.5, 0], [0, 1.5]])
    np.testing.assert_allclose(product, ROWS @ on_grid, rtol=1e-6)


def test_three_bit_rows_by_two_bit_weights_of_praxis():
    """linears_test.py `test_linear_aqt_quantized`."""
    rows, weight = quant.quantize(ROWS, 3, (1,)), quant.quantize(KERNEL, 2, (0,))
    sums = tf.cast(quant.int_matmul(rows.codes, weight.codes), tf.float32)
    product = sums * rows.scale * weight.scale
    np.testing.assert_allclose(product, [[3.5, -3.5], [10.5, -17.5]], rtol=1e-6)


def test_a_linear_layer_of_praxis():
    """tests/linear_ptq_test.py, the symmetric cases."""
    weight = numbers(
        """
        1.76405235 0.40015721 0.97873798
        2.2408932 1.86755799 -0.97727788
        0.95008842 -0.15135721 -0.10321885
        0.4105985 0.14404357 1.45427351
        """,
        *(4, 3),
    )
    tensor = quant.quantize(weight, 8, (0,))
    codes = [[100, 27, 85], [127, 127, -85], [54, -10, -9], [23, 10, 127]]
    np.testing.assert_array_equal(tensor.codes, codes)
    np.testing.assert_allclose(tensor.scale, [[0.01764483, 0.01470518, 0.01145097]], rtol=1e-6)
    x = np.float32([[-0.6712612, 3.494691, 2.065957, -1.5125895]])
    product = quant.dot(x, weight, quant.QuantConfig(weight_bits=8))
    np.testing.assert_allclose(product, [[8.0014305, 5.733789, -6.4674907]], rtol=1e-6)


def test_errors_of_8_bits_in_praxis():
    """operations_test.py `test_reduce_activation_precision_per_channel` and the channels of
    `test_fakequant_with_block_size`: bounds of the errors on noise of NumPy's generator."""
    np.random.seed(1234567)
    x = np.random.normal(-1.0, 1.0, [10, 100]).astype(np.float32)
    assert np.abs(quant.quantize(x, 8, (1,)).dequantize() - x).sum() < 6.91
    assert np.abs(quant.quantize(x, 8, (0, 1)).dequantize() - x).sum() < 8.05
    np.random.seed(1234567)
    weight = np.random.normal(-0.5, 1.0, [12, 16]).astype(np.float32)
    assert np.square(quant.quantize(weight, 8, (0,)).dequantize() - weight).sum() < 0.0045


# utils_test.py `test_einsum_equation_conversion`
EQUATIONS = [
    ("ANH,NHD->AD", (2, 3, 4), (3, 4, 2)),
    ("ANH,DNH->AD", (2, 3, 4), (2, 3, 4)),
    ("AD,DNH->ANH", (2, 3), (3, 4, 2)),
    ("AD,KDNH->KANH", (2, 3), (2, 3, 4, 2)),
    ("BTNH,BSNH->BTNS", (1, 2, 3, 4), (1, 5, 3, 4)),
    ("BTNH,HNBS->STNB", (1, 2, 3, 4), (4, 3, 1, 5)),
    ("ABCD,DC->AB", (1, 2, 3, 4), (4, 3)),
]
# operations_test.py `test_quantized_einsum_per_channel_activation_has_less_error`
INTEGER_EQUATIONS = [
    ("ab,bc->ac", (10, 4), (4, 5)),
    ("...y,yz->...z", (10, 8, 4), (4, 5)),
    ("ABD,KDNH->KABNH", (10, 10, 4), (5, 4, 6, 7)),
    ("ANH,NHD->AD", (2, 3, 4), (3, 4, 2)),
    ("ANH,DNH->AD", (8, 6, 4), (2, 6, 4)),
    ("AD,DNH->ANH", (2, 3), (3, 4, 2)),
    ("AD,KDNH->KANH", (2, 3), (2, 3, 4, 2)),
]


@pytest.mark.parametrize(("equation", "x_shape", "kernel_shape"), EQUATIONS)
def test_equations_of_praxis(equation, x_shape, kernel_shape):
    x = np.arange(np.prod(x_shape), dtype=np.float32).reshape(x_shape)
    kernel = np.arange(np.prod(kernel_shape), dtype=np.float32).reshape(kernel_shape)
    product = quant.einsum(equation, x, kernel, quant.QuantConfig())
    np.testing.assert_array_equal(product, np.einsum(equation, x, kernel))


@pytest.mark.parametrize(("equation", "x_shape", "kernel_shape"), INTEGER_EQUATIONS)
def test_errors_of_integer_equations_in_praxis(equation, x_shape, kernel_shape):
    """The bound is theirs, of numbers from 0 to 1; which, JAX's generator would have to say."""
    rng = np.random.default_rng(0)
    x, kernel = (rng.uniform(size=shape).astype(np.float32) for shape in (x_shape, kernel_shape))
    product = quant.einsum(equation, x, kernel, quant.QuantConfig.from_name("w8c_a8dsym"))
    error = np.abs(product - np.einsum(equation, x, kernel)).mean()
    assert 0 < error < 0.01


# tests/attention_projection_aqt_test.py, the symmetric cases: projections of heads to features, by
# weights [heads, size, features] and [features, heads, size], and of features to heads. Shapes of
# weight and input, and the axes of the weight that share a scale.
PROJECTIONS = {
    "ANH,NHD->AD": ((2, 3, 4), (3, 2, 3), (0, 1)),
    "ANH,DNH->AD": ((4, 2, 3), (3, 2, 3), (1, 2)),
    "AD,DNH->ANH": ((4, 2, 3), (3, 4), (0,)),
}
CODES_AND_SCALES = {
    "ANH,NHD->AD": (
        """
        27 -29 32 12 -118 -73 3 -127 -78 -12 -91 -49
        -110 16 -25 -34 -127 -127 -127 -100 -104 -68 -54 -117
        """,
        "0.02286 0.02087 0.0198 0.01951",
    ),
    "ANH,DNH->AD": (
        """
        29 -28 30 11 -127 -72 3 -127 -92 -13 -92 -49
        -110 15 -21 -29 -127 -116 -127 -99 -120 -72 -54 -116
        """,
        "0.0213 0.01951 0.02286 0.0198",
    ),
    "AD,DNH->ANH": (
        """
        31 -30 34 21 -118 -73 3 -127 -96 -23 -79 -46
        -127 18 -26 -60 -127 -127 -127 -100 -127 -127 -47 -110
        """,
        "0.0198 0.01951 0.01871 0.01117 0.02286 0.02087",
    ),
}
OUTPUTS = {
    "ANH,NHD->AD": """
        2.34845 4.54375 -1.23836 0.03905
        8.65739 7.25295 3.60215 2.22014
        8.30482 7.16612 6.65223 1.33384
        """,
    "ANH,DNH->AD": """
        3.83921 0.40653 6.67087 1.63829
        6.91039 7.15894 13.32442 2.07045
        7.96367 4.90317 14.19237 3.40436
        """,
    "AD,DNH->ANH": """
        5.12962 1.83672 3.68653 0.31909 3.65034 4.47828
        6.69144 3.40052 4.05312 2.53812 1.00863 4.41341
        8.85845 6.41645 4.04424 1.24059 0.54949 3.50833
        """,
}
TRAINED = {
    "ANH,NHD->AD": """
        -2.15793 0.30418 -1.24965 -0.62779 -1.34209 -1.16579 0.50812 -0.30389
        -1.31245 0.46624 0.85144 -1.02626 -0.38007 -1.19266 -2.07587 0.65458
        1.40095 -0.2832 -1.77918 -1.21139 -0.4977 -2.13794 -1.51558 -1.33898
        """,
    "ANH,DNH->AD": """
        -2.15793 0.30135 -1.2491 -0.62908 -1.34273 -1.1649 0.51271 -0.30223
        -1.31154 0.46748 0.85312 -1.02541 -0.37702 -1.19254 -2.07309 0.65766
        1.40665 -0.27833 -1.77571 -1.21075 -0.49521 -2.13731 -1.51711 -1.33901
        """,
    "AD,DNH->ANH": """
        -2.15716 0.30495 -1.24888 -0.62702 -1.33728 -1.16219 0.50983 -0.30218
        -1.31412 0.46457 0.85463 -1.02793 -0.37934 -1.19193 -2.07508 0.65531
        1.40897 -0.28029 -1.77589 -1.20808 -0.49594 -2.1362 -1.50941 -1.33722
        """,
}


def first_numbers(text, shape):
    """As many as the shape holds: the third projection takes the start of a longer list."""
    return numbers(text, -1)[: np.prod(shape)].reshape(shape)


@pytest.mark.parametrize("equation", PROJECTIONS)
def test_weights_of_projections_of_praxis(equation):
    """`test_weight_quantization`."""
    shape, _, axes = PROJECTIONS[equation]
    weight = """
        0.61393 -0.59483 0.64299 0.23731 -2.70565 -1.53161 0.0562 -2.47793
        -1.79071 -0.25653 -1.80287 -0.96573 -2.51167 0.34429 -0.4883 -0.67177
        -2.90302 -2.6505 -2.51485 -1.9554 -2.37668 -1.41808 -1.06503 -2.29008
    """
    codes, scale = CODES_AND_SCALES[equation]
    tensor = quant.quantize(numbers(weight, *shape), 8, axes)
    np.testing.assert_array_equal(tensor.codes, numbers(codes, *shape))
    np.testing.assert_allclose(np.ravel(tensor.scale), numbers(scale, -1), atol=6e-6)


@pytest.mark.parametrize("equation", PROJECTIONS)
def test_outputs_of_projections_of_praxis(equation):
    """`test_inference_call`, of float inputs."""
    weight_shape, input_shape, _ = PROJECTIONS[equation]
    weight = """
        -1.37332 -1.37516 -1.09758 0.46481 -0.86398 -1.31529 -1.07837 -1.08196
        -0.61218 -1.77383 1.73423 -0.55323 -2.43194 -0.75468 -1.62792 -1.11507
        -0.73443 -1.90432 -1.92588 -0.8019 -0.10628 0.6925 -0.90212 0.44655
    """
    x = """
        -0.90493 0.82371 -1.96339 0.00497 -0.73834 -0.7162 -1.69343 -0.40696 -2.10805
        -1.75733 -0.28249 -1.74786 -2.11565 -0.11866 -1.35722 -1.36858 -1.18304 -2.30437
    """
    x, weight = first_numbers(x, input_shape), numbers(weight, *weight_shape)
    product = quant.einsum(equation, x, weight, quant.QuantConfig(weight_bits=8))
    # The scales there, from 0.008 on, are 1.2e-7 larger.
    expected = numbers(OUTPUTS[equation], *product.shape)
    np.testing.assert_allclose(product, expected, rtol=1.5e-5, atol=6e-6)


@pytest.mark.parametrize("equation", PROJECTIONS)
def test_a_training_step_of_projections_of_praxis(equation):
    """`test_train`: straight-through gradients, which reach the largest weights by the scales too.

    A step of 0.01 up the mean distance of the outputs from an answer; without the gradient of the
    scales, some of the largest weights would be off by 1e-5 and more.
    """
    weight_shape, input_shape, _ = PROJECTIONS[equation]
    weight = """
        -2.15535 0.30676 -1.24707 -0.62521 -1.33668 -1.16038 0.51353 -0.29848
        -1.31042 0.46827 0.85347 -1.02423 -0.3762 -1.18879 -2.07196 0.65845
        1.407 -0.27715 -1.77313 -1.20534 -0.49318 -2.13344 -1.51106 -1.33449
    """
    x = """
        -0.54386 -2.53066 -1.18443 -1.95979 -2.17336 -2.28523 -1.05954 -1.00019 -0.54596
        -1.84391 -3.41523 -2.00566 -1.49485 -2.9653 -0.7045 -0.83795 -1.66723 -1.13179
    """
    answer = """
        -0.34306 -0.69014 -1.49167 -1.02093 0.63741 1.35343 1.118 -0.53484 -0.15856
        -1.26393 0.64037 -0.64181 -0.96042 -1.54216 -0.7629 -2.50346 -0.18399 -1.49924
    """
    weight = tf.constant(numbers(weight, *weight_shape))
    config = quant.QuantConfig(weight_bits=8, scale_gradient=True)
    with tf.GradientTape() as tape:
        tape.watch(weight)
        product = quant.einsum(equation, first_numbers(x, input_shape), weight, config)
        distance = tf.reduce_mean(tf.abs(product - first_numbers(answer, product.shape)))
    trained = weight + 0.01 * tape.gradient(distance, weight)
    expected = numbers(TRAINED[equation], *weight_shape)
    np.testing.assert_allclose(trained, expected, rtol=0, atol=6e-6)


# tflite/kernels/fully_connected_test.cc: an input for all, and weights of three outputs.
INPUT = np.float32([[1, 2, 3, 4, 5, 6, 7, 8, -9, -10], [1, 2, 3, 4, 5, 6, 7, -8, 9, -10]])
UP_TO_7 = np.float32([[1, 2, 3, 4, 5, 6, 7, 6, 5, 4]] * 3)
UP_TO_10 = np.float32([range(1, 11)] * 3)
UP_TO_30 = np.arange(1, 31, dtype=np.float32).reshape(3, 10)


@pytest.mark.parametrize(
    ("x", "weight", "scheme", "expected", "error"),
    [
        # HybridFullyConnectedOpTest `SimpleTestQuantizedInt4` and `SimpleTestQuantizedInt8`
        (INPUT, UP_TO_7, "w4c_a8dsym", [[104, 105, 106], [98, 99, 100]], 0.5),
        (INPUT, UP_TO_10, "w8c_a8dsym", [[24, 25, 26], [58, 59, 60]], 1.3),
        # HybridAsymmetricInputFullyConnectedOpTest `SimpleTestQuantizedInt8`
        (INPUT, UP_TO_10, "w8c_a8d", [[24, 25, 26], [58, 59, 60]], 1.3),
        # HybridAsymmetricInputPerChannelWeightsFullyConnectedOpTest
        # `SimpleTestQuantizedPerChannelInt8` and `SimpleTestQuantizedPerChannelInt4`, the second
        # row: the first has the ties 3 and -9, which the builtin kernel rounds up and XNNPACK even.
        (INPUT[1:], UP_TO_30, "w8c_a8d", [[58, 251, 441]], 1.3),
        (INPUT[1:], UP_TO_30, "w4c_a8d", [[53, 275, 430]], 0.5),
    ],
    ids=["symmetric_4", "symmetric_8", "asymmetric_8", "channels_8", "channels_4"],
)
def test_fully_connected_of_litert(x, weight, scheme, expected, error):
    bias, config = np.float32([1, 2, 3]), quant.QuantConfig.from_name(scheme)
    product = quant.dot(x, weight, config, bias=bias, transposed=True)
    np.testing.assert_allclose(product, expected, rtol=0, atol=error)

    tensor = quant.quantize(weight, config.weight_bits, (1,))
    deployed = DeployedWeight(
        name="kernel",
        codes=tensor.codes.numpy(),
        scale=tensor.scale.numpy()[:, 0],
        bits=config.weight_bits,
        activation=config.activation,
    )
    content = pack(dense_models.float_product(deployed, bias), [deployed])
    # The builtin kernels quantize the rows of such a file symmetrically, XNNPACK asymmetrically.
    delegate = "none" if config.activation == "int8_symmetric" else "xnnpack"
    outputs = dense_models.run(content, x, delegate)
    np.testing.assert_allclose(outputs, expected, rtol=0, atol=error)
