"""The files that `on_device.py` compares."""

import dataclasses
import subprocess
import sys
from collections.abc import Mapping
from pathlib import Path

# What a file is made for: whole utterances, or a stream in segments of so many seconds.
WHOLE = "whole"
CASES = (WHOLE, "0.32", "0.64")
# Ours by recipe; and what is made of our float file, or of the bare encoder.
RECIPES = {"float32": "float", "w4a8": "w4a8", "w2a8": "w2a8"}
PTQ = {"int8 PTQ": "dynamic_wi8_afp32", "int4 PTQ": "dynamic_wi4_afp32"}
ONNX = "ONNX int8"
KINDS = ("float32", *PTQ, "w4a8", "w2a8", ONNX)
# Of a whole utterance, and of a frame of features.
_SECONDS = 10
_HOP = 160
_VOCABULARY = 1024


def file_of(folder: Path, preset: str, case: str, kind: str) -> Path:
    """Where a file is; it is made, in a process of its own, if it is not there."""
    name = kind.replace(" ", "_").lower()
    path = folder / f"{preset}_{case}_{name}.{'onnx' if kind == ONNX else 'tflite'}"
    if not path.exists():
        print(f"making {path}", file=sys.stderr, flush=True)
        command = [sys.executable, __file__, preset, case, kind, str(path)]
        subprocess.run(command, check=True, stderr=subprocess.DEVNULL)
    return path


def _make(preset: str, case: str, kind: str, path: Path) -> None:
    if kind in PTQ:
        # Here and below, not above: measuring needs no TensorFlow.
        import ptq

        ptq.quantize(file_of(path.parent, preset, case, "float32"), PTQ[kind], path)
        return
    import random_models

    model = random_models.transducer(
        _config(preset, case, "float" if kind == ONNX else RECIPES[kind])
    )
    if kind == ONNX:
        _onnx(model, case, path)
        return
    seconds = {} if case == WHOLE else {"segment_seconds": float(case)}
    random_models.export(model, path, **seconds)


def _config(preset: str, case: str, recipe: str):
    from int4_conformer.models import presets

    config = presets.preset(preset, vocab_size=_VOCABULARY, recipe=recipe)
    if case != WHOLE and config.second_pass is None:
        chunk = round(float(case) / 0.04)
        encoder = dataclasses.replace(config.encoder, chunk=chunk, left_context=64)
        config = dataclasses.replace(config, encoder=encoder)
    return config


def _onnx(model, case: str, path: Path) -> None:
    import tensorflow as tf
    import tf2onnx
    from onnxruntime.quantization import QuantType, quantize_dynamic

    encoders = [x for x in (model.encoder, model.second_pass) if x is not None]
    mel_bins = model.config.front_end.mel_bins
    if case == WHOLE:

        def encode(x: tf.Tensor) -> tf.Tensor:
            for encoder in encoders:
                x = encoder(x)
            return x

        # Whole chunks, as the runtime pads an utterance.
        block = model.config.block_samples
        features = -(-16000 * _SECONDS // block) * block // _HOP
        signature = [tf.TensorSpec([1, features, mel_bins], tf.float32)]
    else:
        # Of two passes the first one: the second comes later, in longer segments.
        encoder = encoders[0]
        start: Mapping[str, tf.Tensor] = encoder.initial_state(1)
        states = tf.nest.flatten(start)

        def encode(x: tf.Tensor, *state: tf.Tensor) -> list[tf.Tensor]:
            before = tf.nest.pack_sequence_as(start, list(state))
            y, after = encoder.advance(x, None, before, False)
            return [y, *tf.nest.flatten(after)]

        signature = [
            tf.TensorSpec([1, round(100 * float(case)), mel_bins], tf.float32),
            *(tf.TensorSpec(state.shape, state.dtype) for state in states),
        ]
    function = tf.function(encode, input_signature=signature, autograph=False)
    float_path = path.with_suffix(".float.onnx")
    tf2onnx.convert.from_function(
        function, input_signature=signature, opset=18, output_path=str(float_path)
    )
    quantize_dynamic(str(float_path), str(path), weight_type=QuantType.QInt8)
    float_path.unlink()


if __name__ == "__main__":
    *_words, _output = sys.argv[1:]
    _make(*_words, Path(_output))
