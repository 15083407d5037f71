import dataclasses
import itertools
import json
import re

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
    [
        (4, "float", False),
        (None, "int8_symmetric", False),
        (4, "int8_symmetric", True),
        (2, "int8_asymmetric", True),
    ],
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
        ({"granularity": "row"}, "`granularity` must be one of channel, .* granularity='row'"),
        ({"weight_noise": -0.1}, "`weight_noise` must not be negative. Received: weight_noise=-0"),
        ({"start_step": -1}, "`start_step` must not be negative. Received: start_step=-1"),
        ({"range_decay": 1.0}, r"`range_decay` must be in \[0, 1\)\. Received: range_decay=1.0"),
        ({"range_decay": -0.5}, r"`range_decay` must be in \[0, 1\)\. Received: range_decay=-0.5"),
        ({"activation": "int8_static"}, "Static int8 activations need integer weights"),
        (
            {"activation": "int8_static", "weight_bits": 4, "granularity": "block64"},
            "No runtime multiplies static .* Received: granularity='block64'",
        ),
    ],
)
def test_refused_fields(fields, message):
    with pytest.raises(UserError, match=message):
        QuantConfig(**fields)


def test_it_survives_json():
    config = QuantConfig(
        weight_bits=6,
        activation="int4_symmetric",
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


WEIGHTS = [
    None,
    *itertools.product(range(2, 9), ["channel", "tensor", "block32", "block64", "block128"]),
]
ACTIVATIONS = ["float", "int8_symmetric", "int8_asymmetric", "int8_static", "int4_symmetric"]


@pytest.mark.parametrize("activation", ACTIVATIONS)
def test_every_scheme_has_a_name_of_its_own(activation):
    names = set()
    for weights in WEIGHTS:
        bits, granularity = weights or (None, "channel")
        if activation == "int8_static" and (bits is None or granularity.startswith("block")):
            continue
        config = QuantConfig(weight_bits=bits, granularity=granularity, activation=activation)
        assert QuantConfig.from_name(config.name) == config
        names.add(config.name)
    assert len(names) == (14 if activation == "int8_static" else 36)


@pytest.mark.parametrize(
    ("name", "fields"),
    [
        ("float", {}),
        ("w4c", {"weight_bits": 4}),
        ("w2t_a8dsym", {"weight_bits": 2, "granularity": "tensor", "activation": "int8_symmetric"}),
        ("a4dsym", {"activation": "int4_symmetric"}),
        ("w8c_a8static", {"weight_bits": 8, "activation": "int8_static"}),
        (
            "w4b128_a8d",
            {"weight_bits": 4, "granularity": "block128", "activation": "int8_asymmetric"},
        ),
    ],
)
def test_names(name, fields):
    config = QuantConfig(**fields)
    assert config.name == name
    assert QuantConfig.from_name(name) == config


@pytest.mark.parametrize(
    "name",
    [
        *("", "w4", "4c", "w4c_", "_a8d", "a8d_", "w4ca8d", "w4c__a8d", "w4c_a8d_", "w4c a8d"),
        *("W4C", "w4c_A8D", "w44c", "w4b", "w4b16", "w4b32c", "a8", "a4", "a4ds", "a8dss"),
        *("w4c_float", "float_a8d", "float32", "None", " w4c", "w4c\n", "a8d_w4c"),
    ],
)
def test_refused_names(name):
    with pytest.raises(UserError, match=rf"{re.escape(repr(name))} names no scheme; write weights"):
        QuantConfig.from_name(name)


@pytest.mark.parametrize(
    ("old", "name"),
    [("w4c_a8ds", "w4c_a8dsym"), ("a4d", "a4dsym"), ("w8t_a8s", "w8t_a8static")],
)
def test_names_of_earlier_versions_are_read(old, name):
    assert QuantConfig.from_name(old).name == name


@pytest.mark.parametrize(
    ("old", "activation"), [("int8", "int8_symmetric"), ("int4", "int4_symmetric")]
)
def test_configs_of_earlier_versions_are_read(old, activation):
    assert QuantConfig.from_config({"activation": old}) == QuantConfig(activation=activation)
    with pytest.raises(UserError, match=f"`activation` must be one of .*activation='{old}'"):
        QuantConfig(activation=old)


@pytest.mark.parametrize("name", ["w0c", "w1c", "w9t_a8d"])
def test_refused_widths_in_names(name):
    with pytest.raises(UserError, match=rf"`bits` must be .* Received: bits={name[1]}"):
        QuantConfig.from_name(name)


@pytest.mark.parametrize("name", ["a8static", "w4b32_a8static"])
def test_refused_combinations_in_names(name):
    with pytest.raises(UserError, match=r"[Ss]tatic int8 activations"):
        QuantConfig.from_name(name)


@pytest.mark.parametrize(("granularity", "block"), [("channel", None), ("block128", 128)])
def test_blocks_of_a_granularity(granularity, block):
    assert QuantConfig(granularity=granularity).block == block
