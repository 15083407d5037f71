"""Weights, activations and shapes for the kernels of each scheme."""

import hypothesis
import numpy as np

from int4_conformer.tflite.deployed_weight import DeployedWeight, StaticRange
from tests.quant import reference
from tests.support.examples import examples

# Each shape is converted afresh: always the same ones, and none to shrink a failure.
SHAPES = hypothesis.settings(
    max_examples=examples(5),
    deadline=None,
    derandomize=True,
    database=None,
    phases=[hypothesis.Phase.explicit, hypothesis.Phase.generate],
)


def activations(rows, width, seed):
    """Rows of many sizes, some of one sign and one of zeros."""
    rng = np.random.default_rng(seed)
    x = rng.standard_normal([rows, width]) * np.exp(rng.uniform(-4, 4, [rows, 1]))
    x[1::3] = np.abs(x[1::3])
    x[2::3] = -np.abs(x[2::3])
    x[-1] = 0
    return x.astype(np.float32)


def blockwise_weight(block, blocks, units, seed, scale=None):
    rng = np.random.default_rng(seed)
    if scale is None:
        # bfloat16 numbers of 2^-13 to 1: float32 ones without their last 16 bits.
        scale = np.exp2(rng.uniform(-13, 0, [units, blocks])).astype(np.float32)
        scale = (scale.view(np.uint32) & 0xFFFF0000).view(np.float32)
    return DeployedWeight(
        name="kernel",
        codes=rng.integers(-7, 8, [units, block * blocks], np.int8),
        scale=scale,
        bits=4,
        activation="int8_asymmetric",
        block=block,
    )


def static_weight(bits, width, units, seed, bias=None):
    """A weight whose products about fill the range of its output."""
    rng = np.random.default_rng(seed)
    limit = reference.levels(bits)
    input_scale, output_scale = np.exp(rng.uniform(-4, 0, 2)).tolist()
    spread = output_scale / input_scale / limit / np.sqrt(width)
    return DeployedWeight(
        name="kernel",
        codes=rng.integers(-limit, limit + 1, [units, width], np.int8),
        scale=(spread * np.exp(rng.uniform(-2, 0, units))).astype(np.float32),
        bits=bits,
        activation="int8_static",
        static=StaticRange(
            input_scale=input_scale,
            input_zero_point=int(rng.integers(-128, 128)),
            output_scale=output_scale,
            output_zero_point=int(rng.integers(-128, 128)),
        ),
        bias=bias,
    )
