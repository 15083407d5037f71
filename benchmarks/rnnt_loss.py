"""The transducer loss through the joint network: time and peak memory, forward and backward.

    python benchmarks/rnnt_loss.py

measures each variant in a process of its own, against a plain implementation of the whole lattice:
logits, log-softmax, gather, the forward recursion over diagonals, and TensorFlow's own gradient.
The encoder's frames and predictions are random, and no frame and no label is padding. "Graph" is
oneDNN's products and XLA between them, "XLA" one program, "every tile" without leaving out of the
gradient what alignments hardly visit. Peak memory is all that the process ever held (VmHWM),
TensorFlow and its compiler included.

    python benchmarks/rnnt_loss.py --largest_batch_in=8

finds by bisection the largest batch whose process stays below that many gigabytes. Since memory is
that of the shapes, utterances have 16 real frames as it looks for it, and all of them in the run
that confirms what it found.
"""

import contextlib
import json
import resource
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path

from absl import app, flags

FLAGS = flags.FLAGS
flags.DEFINE_list(
    "sizes",
    ["8x400x100x1024", "4x800x200x4096"],
    "Batch, frames, labels and output symbols of each size.",
)
flags.DEFINE_list("variants", None, "Some of the variants; all if not given.")
flags.DEFINE_integer("width", 640, "Width of the joint network.")
flags.DEFINE_integer("rounds", 3, "Timed rounds after the first, which compiles.")
flags.DEFINE_float("largest_batch_in", None, "Find the largest batch in so many gigabytes.")
flags.DEFINE_integer("real_frames", None, "Frames that are no padding; all if not given.")
flags.DEFINE_string("run", None, "The variant to run in this process; for the program itself.")

# Recipe and dtype policy of the joint, whether XLA compiles all, and options of the loss.
_VARIANTS = {
    "plain": ("float", "float32", False, {}),
    "float32 graph": ("float", "float32", False, {}),
    "float32 XLA": ("float", "float32", True, {}),
    "float32 graph every tile": ("float", "float32", False, {"rare": -1.0}),
    "bfloat16 graph": ("float", "mixed_bfloat16", False, {}),
    "bfloat16 graph every tile": ("float", "mixed_bfloat16", False, {"rare": -1.0}),
    "w4a8 graph": ("w4a8", "float32", False, {}),
    "w4a8 XLA": ("w4a8", "float32", True, {}),
}


def main(_: list[str]) -> None:
    if FLAGS.run:
        size = tuple(map(int, FLAGS.sizes[0].split("x")))
        print(json.dumps(_measured(FLAGS.run, *size)))
    elif FLAGS.largest_batch_in:
        _print_largest_batches()
    else:
        _print_costs()


def _print_costs() -> None:
    print("| batch x frames x labels x symbols | variant | best | median | ratio | peak | ratio |")
    print("|---|---|---|---|---|---|---|")
    for size in FLAGS.sizes:
        plain = None
        for variant in FLAGS.variants or _VARIANTS:
            cost = _run(variant, size)
            if cost is None:
                print(f"| {size} | {variant} | does not fit |  |  |  |  |", flush=True)
                continue
            if variant == "plain":
                plain = cost
            ratios = [
                "" if plain is None else f"{cost[name] / plain[name]:.3f}x"
                for name in ("best", "peak")
            ]
            print(
                f"| {size} | {variant} | {cost['best']:.2f} s | {cost['median']:.2f} s "
                f"| {ratios[0]} | {cost['peak'] / 1e9:.2f} GB | {ratios[1]} |",
                flush=True,
            )


def _print_largest_batches() -> None:
    print(
        f"| frames x labels x symbols | variant | largest batch in {FLAGS.largest_batch_in:g} GB |"
    )
    print("|---|---|---|")
    for size in FLAGS.sizes:
        _, rest = size.split("x", 1)
        for variant in FLAGS.variants or _VARIANTS:
            fits, too_large = 0, 1
            while _fits(variant, f"{too_large}x{rest}", "--real_frames=16"):
                fits, too_large = too_large, 2 * too_large
            while too_large - fits > max(1, fits // 50):
                middle = (fits + too_large) // 2
                if _fits(variant, f"{middle}x{rest}", "--real_frames=16"):
                    fits = middle
                else:
                    too_large = middle
            while fits and not _fits(variant, f"{fits}x{rest}"):
                fits -= max(1, fits // 50)
            print(f"| {rest} | {variant} | {fits} |", flush=True)


def _fits(variant: str, size: str, *arguments: str) -> bool:
    cost = _run(variant, size, "--rounds=0", *arguments)
    return cost is not None and cost["peak"] < FLAGS.largest_batch_in * 1e9


def _run(variant: str, size: str, *arguments: str) -> dict[str, float] | None:
    """What a process of its own measures; None if it does not live to tell."""
    settings = [f"--run={variant}", f"--sizes={size}", f"--width={FLAGS.width}"]
    command = [sys.executable, __file__, *settings, f"--rounds={FLAGS.rounds}", *arguments]
    available = _kilobytes("/proc/meminfo", "MemAvailable") * 1024

    def limit() -> None:
        # What does not fit ends itself, and nothing else on the machine.
        resource.setrlimit(resource.RLIMIT_DATA, (available, available))

    result = subprocess.run(
        command, stdout=subprocess.PIPE, text=True, check=False, preexec_fn=limit
    )
    return json.loads(result.stdout.splitlines()[-1]) if result.returncode == 0 else None


def _measured(variant: str, batch: int, time_: int, labels: int, vocab: int) -> dict[str, float]:
    """Seconds of forward and backward pass, and the most memory this process had, in bytes."""
    step = _step(variant, batch, time_, labels, vocab)
    seconds = []
    for _ in range(1 + FLAGS.rounds):
        begun = time.perf_counter()
        step()
        seconds.append(time.perf_counter() - begun)
    seconds = sorted(seconds[1:] or seconds)
    peak = 1024 * _kilobytes("/proc/self/status", "VmHWM")
    return {"best": seconds[0], "median": seconds[len(seconds) // 2], "peak": peak}


def _kilobytes(file: str, name: str) -> int:
    lines = Path(file).read_text().splitlines()
    return next(int(line.split()[1]) for line in lines if line.startswith(name))


def _step(variant: str, batch: int, time_: int, labels: int, vocab: int) -> Callable[[], object]:
    # Here, so that the process that only starts others does without.
    import keras
    import numpy as np
    import tensorflow as tf

    from int4_conformer.models.joint import Joint
    from int4_conformer.models.model_config import JointConfig
    from int4_conformer.quant import Recipe
    from int4_conformer.xla import without_xla

    width, rng = FLAGS.width, np.random.default_rng(0)
    encoded = tf.constant(rng.standard_normal([batch, time_, width]), tf.float32)
    predicted = tf.constant(rng.standard_normal([batch, labels + 1, width]), tf.float32)
    symbols = tf.constant(rng.integers(1, vocab, [batch, labels]), tf.int32)
    lengths = tf.fill([batch], FLAGS.real_frames or time_), tf.fill([batch], labels)
    recipe, policy, compiled, options = _VARIANTS[variant]
    keras.config.set_dtype_policy(policy)
    joint = Joint(JointConfig(dim=width, tied=False), vocab, Recipe.named(recipe), None)
    joint(encoded[:1, :1], predicted[:1, :1])
    weights = [variable.value for variable in joint.trainable_variables]

    @tf.function(jit_compile=compiled)
    def step() -> list[tf.Tensor]:
        with contextlib.nullcontext() if compiled else without_xla():
            with tf.GradientTape() as tape:
                tape.watch([encoded, predicted])
                if variant == "plain":
                    losses = _plain_loss(encoded, predicted, weights, symbols)
                else:
                    losses = joint.loss(
                        encoded, predicted, symbols, *lengths, training=True, **options
                    )
                loss = tf.reduce_mean(losses)
            gradients = tape.gradient(loss, [encoded, predicted, *weights])
        # Nothing leaves the program that need not.
        return [loss, *(tf.norm(gradient) for gradient in gradients)]

    return lambda: [float(x) for x in step()]


def _plain_loss(encoded, predicted, weights, labels):
    """The loss of utterances without padding, as the formula is."""
    import tensorflow as tf

    kernel, bias, output_kernel, output_bias = weights
    frames = tf.tensordot(encoded, kernel, 1) + bias
    hidden = tf.tanh(frames[:, :, None] + predicted[:, None])
    logits = tf.tensordot(hidden, output_kernel, 1) + output_bias
    log_probabilities = tf.nn.log_softmax(logits)
    batch, time_, prefixes, _ = log_probabilities.shape
    blank = log_probabilities[..., 0]
    indices = tf.tile(labels[:, None], [1, time_, 1])
    label = tf.gather(log_probabilities[:, :, :-1], indices, batch_dims=3)

    # Diagonal n holds the points (n - u, u).
    diagonals = tf.range(time_ + prefixes - 1)[:, None] - tf.range(prefixes)
    inside = (diagonals >= 0) & (diagonals < time_)
    t, u = tf.clip_by_value(diagonals, 0, time_ - 1), tf.range(prefixes) + 0 * diagonals
    points = tf.stack([t, u], axis=-1)

    def by_diagonal(x):
        x = tf.gather_nd(tf.transpose(x, [1, 2, 0]), points)
        return tf.where(inside[..., None], x, -1e30)

    blanks = by_diagonal(blank)
    emitted = by_diagonal(tf.pad(label, [[0, 0], [0, 0], [0, 1]], constant_values=-1e30))

    def step(alpha, moves):
        blank, label = moves
        stay = alpha + blank
        emit = tf.pad((alpha + label)[:-1], [[1, 0], [0, 0]], constant_values=-1e30)
        return tf.reduce_logsumexp(tf.stack([stay, emit]), axis=0)

    start = tf.where(tf.range(prefixes)[:, None] == 0, 0.0, tf.fill([prefixes, batch], -1e30))
    alphas = tf.scan(step, (blanks[:-1], emitted[:-1]), start)
    return -(alphas[-1, -1] + blank[:, -1, -1])


if __name__ == "__main__":
    app.run(main)
