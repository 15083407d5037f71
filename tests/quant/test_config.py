import dataclasses
import json

import pytest

from int4_conformer.errors import UserError
from int4_conformer.quant import QuantConfig, levels


def test_levels():
    assert [levels(bits) for bits in range(2, 9)] == [1, 3, 7, 15, 31, 63, 127]


@pytest.mark.parametrize("bits", [1, 0, -4, 9, 16, 4.0, "4", True, None])
def test_levels_refuses_other_widths(bits):
    with pytest.raises(
        UserError, match=rf"`bits` must be a whole number in 2\.\.8. .* bits={bits!r}"
    ):
        levels(bits)


def test_the_default_is_float():
    assert QuantConfig() == QuantConfig(weight_bits=None, activation="float")
    assert not QuantConfig().is_integer


@pytest.mark.parametrize(
    ("weight_bits", "activation", "is_integer"),
    [(4, "float", False), (None, "int8", False), (4, "int8", True), (2, "int8_asymmetric", True)],
)
def test_a_matmul_is_integer_if_both_operands_are(weight_bits, activation, is_integer):
    config = QuantConfig(weight_bits=weight_bits, activation=activation)
    assert config.is_integer == is_integer


@pytest.mark.parametrize(
    ("fields", "message"),
    [
        ({"weight_bits": 1}, r"`bits` must be a whole number in 2\.\.8. Received: bits=1"),
        ({"weight_bits": 9}, "Received: bits=9"),
        ({"activation": "int7"}, "`activation` must be one of float, .*: activation='int7'"),
        ({"backend": "gpu"}, "`backend` must be one of auto, .* Received: backend='gpu'"),
        ({"backward_dtype": "float16"}, "`backward_dtype` must be .* backward_dtype='float16'"),
    ],
)
def test_refused_fields(fields, message):
    with pytest.raises(UserError, match=message):
        QuantConfig(**fields)


def test_it_survives_json():
    config = QuantConfig(
        weight_bits=6,
        activation="int4",
        backend="native",
        backward_dtype="bfloat16",
        scale_gradient=True,
        granularity="tensor",
        clip_gradient=False,
        learned_clip=True,
        stochastic_rounding=True,
        weight_noise=0.1,
        start_step=3,
        range_decay=0.5,
    )
    # Every field differs from its default, so none can be forgotten.
    for field in dataclasses.fields(QuantConfig):
        assert getattr(config, field.name) != field.default
    assert QuantConfig.from_config(json.loads(json.dumps(config.to_config()))) == config
