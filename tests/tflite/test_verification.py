import dataclasses

import numpy as np
import pytest
from ai_edge_litert import schema_py_generated as schema
from ai_edge_quantizer import model_modifier

from int4_conformer.errors import UserError
from int4_conformer.tflite import flatbuffer
from int4_conformer.tflite.packing import pack
from int4_conformer.tflite.verification import verify
from tests.support import dense_models
from tests.tflite.schemes import blockwise_weight, static_weight


@pytest.fixture(scope="module")
def layer():
    return dense_models.layer("w4a8", 12, 10)


@pytest.fixture(scope="module")
def weights(layer):
    return dense_models.traced(layer)[1]


@pytest.fixture(scope="module")
def content(layer):
    return dense_models.packed(layer)


def changed(content, change):
    """The file after `change` of its parsed model."""
    model = flatbuffer.load(content)
    change(model)
    return bytes(model_modifier.ModelModifier(model).modify_model({}))


def kernel(model):
    (tensor,) = [t for t in model.subgraphs[0].tensors if t.name == b"kernel"]
    return tensor


def tensor_of(model, name, position):
    """The tensor at a position of the only operator of that name, its inputs first."""
    operators = [op for op in flatbuffer.operators(model) if op.name == name]
    (operator,) = operators
    return model.subgraphs[0].tensors[(operator.inputs + operator.outputs)[position]]


def refused(content, weights, reason):
    with pytest.raises(UserError, match=rf"not what was trained: {reason}.*; it was not written"):
        verify(content, weights)


def test_an_honest_file(content, weights):
    verify(content, weights)
    verify(changed(content, lambda model: None), weights)


@pytest.mark.parametrize("place", [0, 31, 59])
@pytest.mark.parametrize("bit", [0, 4])
def test_one_changed_code(content, weights, place, bit):
    def change(model):
        buffer = model.buffers[kernel(model).buffer]
        buffer.data = buffer.data.copy()
        buffer.data[place] ^= 1 << bit

    refused(changed(content, change), weights, "codes of kernel differ")


@pytest.mark.parametrize("channel", [0, 9])
def test_one_changed_scale(content, weights, channel):
    def change(model):
        scale = np.array(kernel(model).quantization.scale, np.float32)
        scale[channel] = np.nextafter(scale[channel], np.float32(9))
        kernel(model).quantization.scale = scale

    refused(changed(content, change), weights, "scales of kernel differ")


def test_a_zero_point(content, weights):
    def change(model):
        kernel(model).quantization.zeroPoint = np.arange(10)

    refused(changed(content, change), weights, "kernel has zero points")


def test_another_axis_of_scales(content, weights):
    def change(model):
        kernel(model).quantization.quantizedDimension = 1

    refused(changed(content, change), weights, "kernel has shape")


def test_another_type(content, layer, weights):
    wide = [dataclasses.replace(weight, bits=8) for weight in weights]
    refused(content, wide, "kernel is int4, not int8")
    eight = dense_models.packed(dense_models.layer("w8a8", 12, 10))
    refused(eight, weights, "kernel is int8, not int4")
    narrow = [dataclasses.replace(weight, bits=2) for weight in weights]
    refused(content, narrow, "kernel is int4, not int2")


@pytest.mark.parametrize("place", [0, 29])
@pytest.mark.parametrize("bit", range(0, 8, 2))
def test_one_changed_code_of_2_bits(place, bit):
    model, weights = dense_models.traced(dense_models.layer("w2a8", 12, 10))
    content = pack(model, weights)
    verify(content, weights)

    def change(model):
        buffer = model.buffers[kernel(model).buffer]
        buffer.data = buffer.data.copy()
        buffer.data[place] ^= 1 << bit

    refused(changed(content, change), weights, "codes of kernel differ")


def test_a_weight_that_is_missing(content, weights):
    other = dataclasses.replace(weights[0], name="other/kernel", codes=-weights[0].codes)
    refused(content, [*weights, other], "other/kernel is not in it")

    def change(model):
        kernel(model).name = b"something"

    refused(changed(content, change), weights, "kernel is not in it")


def test_a_weight_that_is_used_otherwise(content, weights):
    def change(model):
        operator = model.subgraphs[0].operators[0]
        x, weight, *bias = map(int, operator.inputs)
        operator.inputs = [weight, x, *bias]

    refused(changed(content, change), weights, "kernel is input 0 of FULLY_CONNECTED")


def test_a_weight_that_is_dequantized_by_accident(weights):
    content = dense_models.packed(dense_models.layer("w4", 12, 10))
    refused(content, weights, "kernel is input 0 of DEQUANTIZE")
    floats = [dataclasses.replace(weight, activation="float") for weight in weights]
    verify(content, floats)


def test_a_custom_operator(content, weights):
    def change(model):
        code = model.operatorCodes[0]
        code.builtinCode = code.deprecatedBuiltinCode = schema.BuiltinOperator.CUSTOM
        code.customCode = b"FlexMatMul"

    refused(changed(content, change), weights, "it needs the custom operator FlexMatMul")


@pytest.fixture(scope="module")
def blocks():
    """A blockwise weight and its file."""
    weight = blockwise_weight(block=32, blocks=4, units=5, seed=0)
    return weight, pack(dense_models.float_product(weight), [weight])


def test_an_honest_file_of_blocks(blocks):
    weight, content = blocks
    verify(content, [weight])


def test_changed_blocks(blocks):
    weight, content = blocks

    def change_scale(model):
        buffer = model.buffers[model.subgraphs[0].tensors[-1].buffer]
        buffer.data = buffer.data.copy()
        buffer.data[38] ^= 1

    refused(changed(content, change_scale), [weight], "scales of kernel differ")

    def change_code(model):
        buffer = model.buffers[kernel(model).buffer]
        buffer.data = buffer.data.copy()
        buffer.data[319] ^= 16

    refused(changed(content, change_code), [weight], "codes of kernel differ")

    def change_size(model):
        kernel(model).quantization.details.blockSize = 64

    refused(changed(content, change_size), [weight], "kernel has blocks of 64, not 32")


def test_blocks_in_the_place_of_channels(blocks):
    weight, content = blocks
    by_channel = dataclasses.replace(weight, block=None, scale=weight.scale[:, 0])
    refused(content, [by_channel], "scales of kernel differ")
    honest = pack(dense_models.float_product(by_channel), [by_channel])
    refused(honest, [weight], "scales of kernel differ")


@pytest.fixture(scope="module")
def static():
    """A weight with static activations and a bias, and its file."""
    bias = np.linspace(-1, 1, 10, dtype=np.float32)
    weight = static_weight(4, 12, 10, seed=0, bias=bias)
    return weight, pack(dense_models.float_product(weight, bias), [weight])


def test_an_honest_file_of_static_activations(static):
    weight, content = static
    verify(content, [weight])


@pytest.mark.parametrize(("position", "end"), [(0, "input"), (3, "output")])
def test_changed_ranges(static, position, end):
    weight, content = static

    def change_scale(model):
        quantization = tensor_of(model, "FULLY_CONNECTED", position).quantization
        quantization.scale = np.nextafter(quantization.scale, np.float32(9))

    reason = f"the scale of the {end} of kernel's matmul differs"
    refused(changed(content, change_scale), [weight], reason)

    def change_zero_point(model):
        quantization = tensor_of(model, "FULLY_CONNECTED", position).quantization
        quantization.zeroPoint = quantization.zeroPoint + 1

    reason = f"the zero point of the {end} of kernel's matmul differs"
    refused(changed(content, change_zero_point), [weight], reason)

    def change_type(model):
        tensor_of(model, "FULLY_CONNECTED", position).type = schema.TensorType.UINT8

    reason = f"the {end} of kernel's matmul is not int8"
    refused(changed(content, change_type), [weight], reason)


def test_changed_bias(static):
    weight, content = static

    def change_code(model):
        buffer = model.buffers[tensor_of(model, "FULLY_CONNECTED", 2).buffer]
        buffer.data = buffer.data.copy()
        buffer.data[8] ^= 1

    refused(changed(content, change_code), [weight], "the bias of kernel's matmul differs")

    def change_scale(model):
        quantization = tensor_of(model, "FULLY_CONNECTED", 2).quantization
        quantization.scale = np.nextafter(quantization.scale, np.float32(9))

    refused(changed(content, change_scale), [weight], "the bias of kernel's matmul is not in steps")

    def change_zero_point(model):
        quantization = tensor_of(model, "FULLY_CONNECTED", 2).quantization
        quantization.zeroPoint = quantization.zeroPoint + 1

    reason = "the bias of kernel's matmul has zero points"
    refused(changed(content, change_zero_point), [weight], reason)

    def drop(model):
        matmul = model.subgraphs[0].operators[1]
        matmul.inputs = [*matmul.inputs[:2], -1]

    refused(changed(content, drop), [weight], "the matmul of kernel lacks its bias")
    verify(changed(content, drop), [dataclasses.replace(weight, bias=None)])
    verify(changed(content, drop), [dataclasses.replace(weight, bias=np.zeros(10, np.float32))])


def test_a_static_matmul_between_other_operators(static):
    weight, content = static

    def feed(model):
        subgraph = model.subgraphs[0]
        subgraph.inputs = [int(subgraph.operators[0].outputs[0])]
        del subgraph.operators[0]

    reason = r"the matmul of kernel stands between \[\] and \['DEQUANTIZE'\]"
    refused(changed(content, feed), [weight], reason)

    def quantize_again(model):
        quantize, _, dequantize = model.subgraphs[0].operators
        dequantize.opcodeIndex = quantize.opcodeIndex

    reason = r"the matmul of kernel stands between \['QUANTIZE'\] and \['QUANTIZE'\]"
    refused(changed(content, quantize_again), [weight], reason)


def test_dynamic_activations_in_the_place_of_static_ones(static):
    weight, content = static
    dynamic = dataclasses.replace(weight, static=None, activation="int8_asymmetric")
    refused(content, [dynamic], "the input of kernel's matmul is not float32")
    content = pack(dense_models.float_product(dynamic), [dynamic])
    verify(content, [dynamic])
    refused(content, [weight], "the input of kernel's matmul is not int8")
