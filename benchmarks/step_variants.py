"""Training steps of whole recognisers, computed in several ways, on a batch of noise."""

import functools
from collections.abc import Callable

import keras
import numpy as np
import tensorflow as tf

from int4_conformer.audio.augment import SpecAugmentConfig
from int4_conformer.layers import QuantDense
from int4_conformer.layers.paths import quantized_layers
from int4_conformer.models.presets import preset
from int4_conformer.models.transducer import Transducer
from int4_conformer.training.optimizer import make_optimizer
from int4_conformer.training.settings import computing_in, trained_as
from int4_conformer.training.training_config import TrainingConfig

# Recipe, type of what is not integers, and whether dense layers fake their quantization.
VARIANTS = {
    "float32": ("float", "float32", False),
    "bfloat16": ("float", "bfloat16", False),
    "fake quant": ("float", "float32", True),
    "w4a8": ("w4a8", "float32", False),
    "w4a8, bfloat16": ("w4a8", "bfloat16", False),
}
# Labels of a second of speech: wordpieces, of which there are a thousand.
_LABELS_PER_SECOND = 3


def training_step(
    name: str, variant: str, *, rows: int, seconds: int, xla: bool
) -> tuple[Callable[[], float], int]:
    """A step with its update, to be called with nothing for its loss, and the model's parameters.

    Args:
        name: of a preset.
        variant: one of `VARIANTS`.
        rows: utterances of the batch.
        seconds: of each.
        xla: whether XLA compiles it.
    """
    recipe, dtype, fakes = VARIANTS[variant]
    config = TrainingConfig(compute_dtype=dtype)
    keras.utils.set_random_seed(0)
    with computing_in(dtype):
        model = Transducer(trained_as(preset(name, recipe=recipe), config))
        model.build()
        if fakes:
            fake_quantize(list(quantized_layers(model).values()))
        model.compile(make_optimizer(config), augment=SpecAugmentConfig(), xla=xla)
    block, rng = model.config.block_samples, np.random.default_rng(0)
    samples = -(-seconds * model.config.front_end.sample_rate // block) * block
    labels = rng.integers(1, model.config.vocab_size, [rows, _LABELS_PER_SECOND * seconds])
    batch = {
        "pcm": tf.constant(rng.normal(scale=0.1, size=[rows, samples]), tf.float32),
        "pcm_length": tf.fill([rows], samples),
        "labels": tf.constant(labels, tf.int32),
        "label_length": tf.fill([rows], labels.shape[1]),
    }
    return lambda: float(model.training_step(batch, 0)["loss"]), model.count_params()


def fake_quantize(layers: list[keras.layers.Layer]) -> None:
    """Has dense layers compute as in the usual quantization-aware training.

    Weights go through `fake_quant_with_min_max_vars_per_channel` (4 bits), activations through
    `fake_quant_with_min_max_vars` (8 bits), and products are of floats.
    """
    for layer in layers:
        if isinstance(layer, QuantDense):
            layer.call = functools.partial(_fake_quant_dense, layer)


def _fake_quant_dense(layer: QuantDense, x: tf.Tensor, training: bool = False) -> tf.Tensor:
    kernel = tf.convert_to_tensor(layer.kernel)
    largest = tf.reduce_max(tf.abs(kernel), axis=0)
    kernel = tf.quantization.fake_quant_with_min_max_vars_per_channel(
        kernel, -largest, largest, num_bits=4, narrow_range=True
    )
    x = tf.quantization.fake_quant_with_min_max_vars(x, tf.reduce_min(x), tf.reduce_max(x))
    y = tf.matmul(tf.reshape(x, [-1, x.shape[-1]]), kernel)
    if layer.use_bias:
        y += layer.bias
    return layer.activation(tf.reshape(y, [*x.shape[:-1], layer.units]))


class PeakMemory:
    """The most memory that the device, or this process where there is none, held since `reset`."""

    def __init__(self) -> None:
        self._gpu = bool(tf.config.list_physical_devices("GPU"))

    def reset(self) -> None:
        if self._gpu:
            tf.config.experimental.reset_memory_stats("GPU:0")
            return
        with open("/proc/self/clear_refs", "w") as file:
            file.write("5")

    def gigabytes(self) -> float:
        if self._gpu:
            return tf.config.experimental.get_memory_info("GPU:0")["peak"] / 1e9
        with open("/proc/self/status") as file:
            (line,) = (line for line in file if line.startswith("VmHWM"))
        return int(line.split()[1]) / 1e6
