import dataclasses

import numpy as np
import pytest
from ai_edge_litert import schema_py_generated as schema
from ai_edge_quantizer import model_modifier

from int4_conformer.errors import UserError
from int4_conformer.lite import flatbuffer
from int4_conformer.lite.packing import pack
from int4_conformer.lite.verification import verify
from int4_conformer.serving.weights import deployed_weights
from tests import dense_models
from tests.lite.schemes import blockwise_weight


@pytest.fixture(scope="module")
def layer():
    return dense_models.layer("w4a8", 12, 10)


@pytest.fixture(scope="module")
def weights(layer):
    return deployed_weights(layer)


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
