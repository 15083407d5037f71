import dataclasses

import numpy as np
import pytest
import tensorflow as tf

from int4_conformer.quant.numerics.weight import straight_through_weight
from int4_conformer.quant.spec.quant_config import QuantConfig
from tests.quant import reference

CONFIG = QuantConfig(weight_bits=4, learned_clip=True)
RNG = np.random.default_rng(0)
WEIGHT = RNG.standard_normal([64, 3]).astype(np.float32)
DY = RNG.standard_normal([64, 3]).astype(np.float32)


def gradients(config, clip, axis=0, weight=WEIGHT):
    weight, clip = tf.constant(weight), tf.constant(clip, tf.float32)
    with tf.GradientTape() as tape:
        tape.watch([weight, clip])
        value = straight_through_weight(weight, config, axis, clip=clip).value
    dy = DY if axis == 0 else DY.T
    return [
        x.numpy() for x in tape.gradient(value, [weight, clip], output_gradients=tf.constant(dy))
    ]


def through_clip(clip, block=None, axes=(0,), step=1e-3):
    """Derivative of sum(dy * value) in each clip, by central differences, in float64.

    Rounding is straight-through: its error is a constant in units of the scale, but for weights
    beyond the largest code, which are that code.
    """
    codes, scale = reference.quantize(WEIGHT, 4, axes, block=block, clip=clip)
    unit = scale / np.float64(clip)
    scaled = WEIGHT / np.float64(reference.spread(scale, block, axes))
    beyond = np.abs(scaled) > 7.5

    def product(clip):
        scale = reference.spread(unit * clip, block, axes)
        return np.sum(DY * np.where(beyond, codes * scale, WEIGHT + scale * (codes - scaled)))

    assert np.any(beyond)
    found = np.zeros(clip.shape)
    for index in np.ndindex(*clip.shape):
        nudge = np.zeros(clip.shape)
        nudge[index] = step
        found[index] = (product(clip + nudge) - product(clip - nudge)) / (2 * step)
    return found


@pytest.mark.parametrize("granularity", ["channel", "tensor", "block32"])
def test_the_gradient_of_a_learned_clip(granularity):
    config = dataclasses.replace(CONFIG, granularity=granularity)
    axes = (0, 1) if granularity == "tensor" else (0,)
    shape = {"channel": [1, 3], "tensor": [1, 1], "block32": [2, 3]}[granularity]
    clip = np.linspace(0.3, 0.7, int(np.prod(shape))).reshape(shape).astype(np.float32)
    _, found = gradients(config, clip)
    expected = through_clip(clip, config.block, axes)
    np.testing.assert_allclose(found, expected, rtol=1e-3, atol=1e-4)


def test_a_clip_has_its_gradient_on_either_axis():
    clip = np.float32([[0.3, 0.5, 0.7]])
    dw, d_clip = gradients(CONFIG, clip)
    turned = gradients(CONFIG, clip.T, axis=1, weight=WEIGHT.T)
    np.testing.assert_array_equal(turned[0].T, dw)
    np.testing.assert_allclose(turned[1].T, d_clip, rtol=1e-5)


def test_a_clip_that_is_not_learned_has_no_gradient():
    config = dataclasses.replace(CONFIG, learned_clip=False)
    dw, d_clip = gradients(config, [[0.5, 0.5, 0.5]])
    np.testing.assert_array_equal(dw, DY)
    np.testing.assert_array_equal(d_clip, 0)


def test_scale_and_clip_gradients_together():
    # As if the weight's scale were a constant, plus what reaches its largest weight through it.
    clip = np.float32([[0.4, 0.6, 0.9]])
    plain, d_clip = gradients(CONFIG, clip)
    both = dataclasses.replace(CONFIG, scale_gradient=True)
    found, same = gradients(both, clip)
    np.testing.assert_array_equal(d_clip, same)
    largest = np.abs(WEIGHT).argmax(axis=0)
    expected = np.zeros_like(WEIGHT)
    # The scale is clip * max / 7, so d(scale)/d(max) is that of the clip times clip / max.
    sign, size = np.sign(WEIGHT[largest, range(3)]), np.abs(WEIGHT[largest, range(3)])
    expected[largest, range(3)] = d_clip[0] * clip[0] / size * sign
    np.testing.assert_allclose(found - plain, expected, rtol=1e-4, atol=1e-5)
