import math

import pytest
import tensorflow as tf

from int4_conformer.export.trace import deployed_weights
from int4_conformer.layers.paths import quantized_layers
from int4_conformer.layers.quantized import Quantized
from int4_conformer.quant import QuantConfig
from tests.layers import battery
from tests.support import deployments

EVERY_LAYER = pytest.mark.parametrize("case", battery.CASES, ids=lambda case: case.layer.__name__)


@EVERY_LAYER
@pytest.mark.parametrize("scheme", ["w2c", "w3c", "w8t", "w4b32_a8d", "w2b32_a8d"])
def test_the_bytes_of_a_layer_are_those_that_are_deployed(case, scheme):
    if "_" in scheme and not case.integer:
        scheme = scheme.partition("_")[0]
    layer = case.quantized(scheme)
    parts = [layer] if isinstance(layer, Quantized) else quantized_layers(layer).values()
    specs = [tf.TensorSpec(x.shape, x.dtype) for x in case.inputs]
    _, deployment = deployments.traced(layer, "float_twin", *specs)
    nbytes = 4 * sum(math.prod(weight.shape) for weight in battery.weights(layer))
    for weight in deployed_weights(deployment, layer):
        codes = math.ceil(weight.codes.size * weight.storage_bits / 8)
        nbytes += codes + weight.scale.size * (4 if weight.block is None else 2)
        nbytes -= 4 * weight.codes.size
    assert sum(part.stored_bytes() for part in parts) == nbytes


def test_at_another_scheme():
    layer = battery.CASES[0].quantized("w4c")
    # 32 inputs, 5 outputs and their biases.
    assert layer.weight_count == 32 * 5 + 5
    assert layer.stored_bytes() == 32 * 5 // 2 + 4 * 5 + 4 * 5
    assert layer.stored_bytes(QuantConfig.from_name("w8c_a8d")) == 32 * 5 + 4 * 5 + 4 * 5
    assert layer.stored_bytes(QuantConfig.from_name("w2c")) == 32 * 5 // 4 + 4 * 5 + 4 * 5
    assert layer.stored_bytes(QuantConfig()) == 4 * layer.weight_count


def test_what_quantization_adds_is_no_weight():
    config = QuantConfig(weight_bits=4, learned_clip=True, start_step=1)
    for case in battery.CASES:
        if issubclass(case.layer, Quantized):
            added, plain = case.quantized(config), case.quantized(None)
            assert added.weight_count == plain.weight_count == plain.count_params()
            assert len(added.weights) > len(plain.weights)
