"""One training step of a Conformer block: float32, fake quant, integers; in one run.

    python benchmarks/train_step.py

prints the median time of forward and backward pass at the widths of the presets, with dropout off
so that the matmuls show; its batch is that of `int4-conformer train`, 240 s of audio. Fake quant is
the usual quantization-aware training: weights through `fake_quant_with_min_max_vars_per_channel`
(4 bits), activations through `fake_quant_with_min_max_vars` (8 bits), float32 matmuls. Every
variant is run as a graph and as a program compiled by XLA ("graph / XLA"), and the ratios are those
of the faster one.
"""

import contextlib
import dataclasses
import functools
from collections.abc import Callable

import numpy as np
import tensorflow as tf
from absl import app, flags
from step_variants import fake_quantize
from timing import milliseconds

from int4_conformer.layers import Span
from int4_conformer.models.conformer_block import ConformerBlock
from int4_conformer.models.model_config import EncoderConfig
from int4_conformer.quant import QuantConfig, Recipe
from int4_conformer.xla import without_xla

FLAGS = flags.FLAGS
flags.DEFINE_list("widths", ["144", "256", "512"], "Widths of the block.")
flags.DEFINE_integer("batch", 60, "Utterances.")
flags.DEFINE_integer("frames", 100, "Encoder frames, 40 ms each, of an utterance.")
flags.DEFINE_integer("rounds", 7, "Timed rounds.")

_W4A8 = QuantConfig.from_name("w4c_a8d")
_VARIANTS = {
    "float32": QuantConfig(),
    "fake quant": QuantConfig(),
    "w4a8": _W4A8,
    "w4a8, bfloat16 backward": dataclasses.replace(_W4A8, backward_dtype="bfloat16"),
}


def main(_: list[str]) -> None:
    names = list(_VARIANTS)
    print(f"| width | {' | '.join(names)} | of float32 | of fake quant |")
    print(f"|---|{'---|' * (len(names) + 2)}")
    for width in map(int, FLAGS.widths):
        functions = {
            (name, compiled): _step(name, width, compiled)
            for name in names
            for compiled in (False, True)
        }
        times = milliseconds(functions, FLAGS.rounds)
        best = {name: min(times[name, False], times[name, True]) for name in names}
        ours = best[names[-1]]
        cells = " | ".join(
            f"{times[name, False]:.0f} / {times[name, True]:.0f} ms" for name in names
        )
        print(
            f"| {width} | {cells} | {ours / best['float32']:.2f}x "
            f"| {ours / best['fake quant']:.2f}x |",
            flush=True,
        )


def _step(variant: str, width: int, compiled: bool) -> Callable[[], object]:
    """Loss and gradients of a block; the two hands of a variant have weights of their own."""
    config = EncoderConfig(
        dim=width, blocks=1, heads=max(4, width // 64), kernel_size=31, dropout=0.0
    )
    recipe = Recipe(name=variant, rules=((".*", _VARIANTS[variant]),))
    block = ConformerBlock(config, config.chunk, recipe)
    span = Span(dim=width // config.heads)
    rng = np.random.default_rng(0)
    x = tf.constant(rng.standard_normal([FLAGS.batch, FLAGS.frames, width]), tf.float32)
    block(x, frames=span.whole(x))
    if variant == "fake quant":
        fake_quantize(list(block._flatten_layers()))

    @tf.function(jit_compile=compiled)
    def step(x: tf.Tensor) -> list[tf.Tensor]:
        with contextlib.nullcontext() if compiled else without_xla():
            with tf.GradientTape() as tape:
                tape.watch(x)
                loss = tf.reduce_mean(tf.square(block(x, frames=span.whole(x), training=True)))
            # With the gradient of the input, as within a stack of blocks.
            return tape.gradient(loss, [x, *block.trainable_variables])

    return functools.partial(step, x)


if __name__ == "__main__":
    app.run(main)
