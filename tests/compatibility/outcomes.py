"""What versions of the package are compared by.

`make_fixtures.py` computes it with the version that wrote the fixtures, `test_compatibility.py`
with the present one: through public names only, which have to mean the same in both.
"""

import contextlib
import dataclasses
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import soundfile
import tensorflow as tf

from int4_conformer.layers import QuantDense
from int4_conformer.losses import rnnt_loss
from int4_conformer.quant import QuantConfig, quantize

Arrays = dict[str, np.ndarray]

# Samples that a stream is fed at once: 0.1 s.
_PIECE = 1600

# Arguments of `quantize`.
_QUANTIZATIONS = {
    **{f"{bits} bits": {"bits": bits} for bits in range(2, 9)},
    "whole tensor": {"axes": (0, 1)},
    "rows": {"axes": (1,)},
    "blocks": {"block": 32},
    "6 bits in blocks": {"bits": 6, "block": 64},
}

# What `quant` of a layer is given: presets, schemes, and fields as saved models hold them.
_SCHEMES = (
    *("float", "w4", "w4a4", "w4a8", "w4a8s", "w6a8", "w8a8"),
    *(f"w{bits}c_a8d" for bits in range(2, 9)),
    *("w4c", "w8c", "w4t", "w4t_a8d", "w4b32", "w4b32_a8d", "w4b64_a8d", "w4b128_a8d"),
    *("w4c_a8ds", "w8c_a8ds", "w4c_a4d", "w8c_a4d", "w4c_a8s", "w4t_a8s", "w8c_a8s"),
)
_FIELDS = {
    "scale gradient": {"weight_bits": 4, "activation": "int8_asymmetric", "scale_gradient": True},
    "learned clip": {"weight_bits": 4, "activation": "int8", "learned_clip": True},
    "clipped values with gradient": {
        "weight_bits": 4,
        "activation": "int8_static",
        "learned_clip": True,
        "clip_gradient": False,
        "range_decay": 0.5,
    },
    "per tensor": {"weight_bits": 6, "granularity": "tensor", "activation": "int4"},
    "blocks": {"weight_bits": 3, "granularity": "block64"},
    "backward in bfloat16": {
        "weight_bits": 4,
        "activation": "int8_asymmetric",
        "backward_dtype": "bfloat16",
    },
    "later": {"weight_bits": 4, "activation": "int8_asymmetric", "start_step": 2},
}

# Options of `rnnt_loss`.
_LOSSES = {
    "plain": {},
    "fast_emit": {"fast_emit": 0.01},
    "label_smoothing": {"label_smoothing": 0.1},
    "another blank": {"blank_id": 3},
}


@dataclasses.dataclass(frozen=True, kw_only=True)
class Clip:
    """An audio file of the fixtures and what is said in it, as corpora have utterances."""

    path: Path
    text: str

    @property
    def id(self) -> str:
        return self.path.name

    @property
    def duration(self) -> float:
        return len(self.samples()) / 16000

    def samples(self, sample_rate: int = 16000) -> np.ndarray:
        samples, rate = soundfile.read(self.path, dtype="float32")
        assert rate == sample_rate
        return samples


@contextlib.contextmanager
def eagerly() -> Iterator[None]:
    """Runs functions operation by operation: sooner done than compiled, if they run a few times."""
    tf.config.run_functions_eagerly(True)
    try:
        yield
    finally:
        tf.config.run_functions_eagerly(False)


def heard(recognizer: Any, pcm: np.ndarray) -> dict[str, Any]:
    """A whole utterance, recognised by a `.tflite` file."""
    found = recognizer.recognize(pcm)
    return {
        "tokens": recognizer.tokens(pcm).tolist(),
        "text": recognizer.transcribe(pcm),
        "words": [dataclasses.asdict(word) for word in found.words],
    }


def streamed(recognizer: Any, pcm: np.ndarray, second_pass: bool = True) -> dict[str, Any]:
    """An utterance in pieces: all words after each piece, and the final ones."""
    stream = recognizer.stream(second_pass=second_pass)
    texts = [stream.feed(pcm[i : i + _PIECE]).text for i in range(0, len(pcm), _PIECE)]
    found = stream.finish()
    return {
        "texts": texts,
        "text": found.final,
        "words": [dataclasses.asdict(word) for word in found.final_words],
    }


def recognized(model: Any, pcm: np.ndarray) -> list[int]:
    """The tokens that a model finds in an utterance."""
    found = model.recognize(pcm[None])
    return found.ids[0, : int(found.count[0])].numpy().tolist()


def batch_of(clip: Clip, labels: Sequence[int]) -> Arrays:
    """What models are called with."""
    pcm = clip.samples()
    return {
        "pcm": pcm[None],
        "pcm_length": np.int32([len(pcm)]),
        "labels": np.int32([labels]),
    }


def logits(model: Any, arrays: Mapping[str, np.ndarray]) -> np.ndarray:
    """What a model makes of a batch of audio and labels."""
    return model({name: arrays[name] for name in ("pcm", "pcm_length", "labels")}).numpy()


def codes(x: np.ndarray) -> Arrays:
    """`quantize` with all of its arguments."""
    found = {}
    for name, arguments in _QUANTIZATIONS.items():
        tensor = quantize(x, **arguments)
        found |= {f"{name}/codes": tensor.codes.numpy(), f"{name}/scale": tensor.scale.numpy()}
    return found


def dense(x: np.ndarray, kernel: np.ndarray, bias: np.ndarray) -> Arrays:
    """A `QuantDense` layer by every scheme: two steps of training, then outputs and gradients."""
    quants = {name: name for name in _SCHEMES}
    quants |= {name: QuantConfig.from_config(fields) for name, fields in _FIELDS.items()}
    x, found = tf.constant(x), {}
    for name, quant in quants.items():
        layer = QuantDense(bias.size, quant=quant)
        layer.build(x.shape)
        layer.kernel.assign(kernel)
        layer.bias.assign(bias)
        layer(0.5 * x, training=True)
        layer(x, training=True)
        with tf.GradientTape() as tape:
            tape.watch(x)
            outputs = layer(x)
            # The weights of the sum are no constant, so that no gradient is.
            total = tf.reduce_sum(tf.sin(outputs))
        sources = {"inputs": x} | {weight.name: weight.value for weight in layer.trainable_weights}
        found[f"{name}/outputs"] = outputs.numpy()
        for source, gradient in tape.gradient(total, sources).items():
            found[f"{name}/gradient/{source}"] = gradient.numpy()
        for weight in layer.non_trainable_weights:
            found[f"{name}/{weight.name}"] = weight.numpy()
    return found


def losses(arrays: Mapping[str, np.ndarray]) -> Arrays:
    """`rnnt_loss` and its gradient with all options."""
    lattice, found = tf.constant(arrays["logits"]), {}
    others = [arrays[name] for name in ("labels", "logit_lengths", "label_lengths")]
    for name, options in _LOSSES.items():
        with tf.GradientTape() as tape:
            tape.watch(lattice)
            loss = rnnt_loss(lattice, *others, **options)
        found[f"{name}/loss"] = loss.numpy()
        found[f"{name}/gradient"] = tape.gradient(loss, lattice).numpy()
    return found


def key_paths(value: Any) -> list[str]:
    """The keys of a JSON value and of those within, sorted; those of a list are of its first."""
    return sorted(set(_key_paths(value, "")))


def _key_paths(value: Any, path: str) -> Iterator[str]:
    if isinstance(value, dict):
        for key, item in value.items():
            yield f"{path}{key}"
            yield from _key_paths(item, f"{path}{key}.")
    elif isinstance(value, list) and value:
        yield from _key_paths(value[0], f"{path.removesuffix('.')}[].")
