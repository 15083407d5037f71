"""Writes the fixtures of version 0.1: files, and what that version makes of them.

This is for commit 93c1d43 alone. In the root of a checkout of it, with its requirements installed:

    PYTHONPATH=. python .../tests/compatibility/make_fixtures.py .../tests/compatibility/v0_1

It takes some minutes. The recognisers know a handful of words, and the clips are of what they were
trained on: their words have to be sure, not good. Everything is as small as it can be.
"""

import argparse
import contextlib
import dataclasses
import json
import shutil
import tempfile
from pathlib import Path
from typing import Any

import keras
import numpy as np
import outcomes
import soundfile
from int4_conformer.data.synthetic import SyntheticUtterance, synthetic_corpus
from int4_conformer.serving import export_tflite

from int4_conformer.audio.geometry import FrontEndConfig
from int4_conformer.layers import QuantMultiHeadAttention
from int4_conformer.lite import Recognizer
from int4_conformer.models import (
    EncoderConfig,
    JointConfig,
    PredictorConfig,
    Transducer,
    TransducerConfig,
)
from int4_conformer.quant import QuantConfig, Recipe
from int4_conformer.quantize import quantize_model
from int4_conformer.text.graphemes import Graphemes
from int4_conformer.text.tokenizer import Tokenizer
from int4_conformer.text.wordpieces import Wordpieces
from int4_conformer.training import Trainer, TrainingConfig, Workdir, strategy_from_name
from tests import commands

# By these seeds no activation lies so near the boundary of two codes that sums in another order
# would move it across: a result would be off by a whole code, and not by a rounding error.
LAYERS_SEED = 8
WORDPIECES_SEED = 1

WORDS = ("yes", "stop", "go", "home", "back")

# Of the second recogniser. Rules give a scheme by its name or by its fields.
RECIPE = {
    "name": "mixed",
    "rules": [
        ["encoder/subsampling/.*", "w4t"],
        ["encoder/input", "w4c_a8ds"],
        ["encoder/.*/ffn_.*/up", "w4c_a8d"],
        ["encoder/.*/ffn_.*/down", "w4b32_a8d"],
        ["encoder/.*/attention/.*", "w4c_a8s"],
        ["encoder/.*/convolution/.*", "w4c_a4d"],
        ["predictor/embedding", "w8c"],
        ["predictor/layer_0", "w8c_a8ds"],
        [
            "predictor/projection",
            {"weight_bits": 4, "activation": "int8_asymmetric", "learned_clip": True},
        ],
        # Float until the training is resumed.
        ["joint/encoder", {"weight_bits": 4, "activation": "int8", "start_step": 2}],
        ["joint/output", {"weight_bits": 6, "granularity": "tensor", "weight_noise": 0.01}],
    ],
}


class InterruptedTrainer(Trainer):
    """A training that stops after its first checkpoint."""

    def _evaluate_and_save(self, metrics: dict[str, Any]) -> None:
        super()._evaluate_and_save(metrics)
        raise KeyboardInterrupt


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("folder", type=Path, help="where to write them; made anew")
    folder = parser.parse_args().folder
    shutil.rmtree(folder, ignore_errors=True)
    folder.mkdir(parents=True)
    corpus = spoken_words(200)
    clips = write_clips(folder / "clips", corpus)
    expected = {"clips": {clip.path.name: {} for clip in clips}}
    write_cascade(folder, corpus, clips, expected)
    write_wordpieces(folder, clips, expected)
    write_layers(folder)
    write_transducer(folder)
    write_operations(folder)
    write_keys(folder, expected)
    (folder / "expected.json").write_text(json.dumps(expected, indent=1) + "\n")


def spoken_words(count: int) -> list[SyntheticUtterance]:
    """Utterances of one to three words in many voices."""
    rng = np.random.default_rng(0)
    return [
        dataclasses.replace(utterance, text=" ".join(rng.choice(WORDS, rng.integers(1, 4))))
        for utterance in synthetic_corpus("train", count)
    ]


def write_clips(folder: Path, corpus: list[SyntheticUtterance]) -> list[outcomes.Clip]:
    """The shortest utterances of one and of two words and two of three, with a manifest."""
    folder.mkdir()
    clips, lines = [], []
    for count, words in enumerate((1, 2, 3, 3)):
        known = {clip.text for clip in clips}
        utterance = min(
            (u for u in corpus if len(set(u.text.split())) == words and u.text not in known),
            key=lambda utterance: utterance.duration,
        )
        clip = outcomes.Clip(path=folder / f"{count}.flac", text=utterance.text)
        soundfile.write(clip.path, utterance.samples(), 16000)
        clips.append(clip)
        split = "short" if words < 3 else "long"
        lines.append(json.dumps({"audio": clip.path.name, "text": clip.text, "split": split}))
    (folder / "manifest.jsonl").write_text("\n".join(lines) + "\n")
    return clips


def write_cascade(
    folder: Path,
    corpus: list[SyntheticUtterance],
    clips: list[outcomes.Clip],
    expected: dict[str, Any],
) -> None:
    """A recogniser of two passes that streams: its training folder and its file."""
    tokenizer = Graphemes.from_texts((*WORDS, " "))
    encoder = EncoderConfig(
        dim=16,
        blocks=1,
        heads=2,
        kernel_size=5,
        expansion=2,
        dropout=0.0,
        chunk=1,
        left_context=16,
    )
    config = TransducerConfig(
        name="cascade",
        vocab_size=tokenizer.vocabulary.size,
        encoder=encoder,
        second_pass=dataclasses.replace(encoder, chunk=4),
        predictor=PredictorConfig(embedding_dim=16),
        joint=JointConfig(dim=16),
    )
    training = TrainingConfig(
        steps=1500,
        batch_seconds=24,
        buckets=1,
        learning_rate=1e-2,
        warmup=50,
        spec_augment=False,
        evaluate_every=1500,
    )
    trainer_of(Trainer, config, training, tokenizer, corpus, folder / "cascade", clips).train()
    shutil.rmtree(folder / "cascade" / "logs")
    model, tokenizer = Workdir(folder / "cascade").load()
    export_tflite(model, tokenizer, folder / "cascade.tflite")
    recognizer = Recognizer(folder / "cascade.tflite", gated=False)
    for clip in clips:
        pcm = clip.samples()
        expected["clips"][clip.path.name] = {
            "cascade.tflite": outcomes.heard(recognizer, pcm),
            "stream": outcomes.streamed(recognizer, pcm),
            "stream of the first pass": outcomes.streamed(recognizer, pcm, second_pass=False),
            "cascade": outcomes.recognized(model, pcm),
        }


def write_wordpieces(folder: Path, clips: list[outcomes.Clip], expected: dict[str, Any]) -> None:
    """A training of wordpieces and a recipe of many schemes, interrupted after two of four steps.

    Nothing in it is drawn at random but the order of the clips and some noise: the two steps that
    are left have to give the same losses.
    """
    (folder / "recipe.json").write_text(json.dumps(RECIPE, indent=1) + "\n")
    tokenizer = Wordpieces.train([clip.text for clip in clips], vocab_size=13)
    config = TransducerConfig(
        name="wordpieces",
        vocab_size=tokenizer.vocabulary.size,
        front_end=FrontEndConfig(mel_bins=20),
        encoder=EncoderConfig(
            dim=8, blocks=1, heads=2, kernel_size=3, dropout=0.0, subsampling="convolution"
        ),
        predictor=PredictorConfig(
            kind="lstm", embedding_dim=8, layers=1, units=8, projection=8, dropout=0.0
        ),
        joint=JointConfig(dim=8, tied=False),
        recipe=Recipe.load(folder / "recipe.json"),
    )
    training = TrainingConfig(
        steps=4,
        batch_seconds=1,
        buckets=1,
        warmup=1,
        average=2,
        spec_augment=False,
        fast_emit=0.01,
        label_smoothing=0.1,
        ctc_weight=0.3,
        evaluate_every=2,
        seed=WORDPIECES_SEED,
    )
    path = folder / "wordpieces"
    with contextlib.suppress(KeyboardInterrupt), outcomes.eagerly():
        trainer_of(InterruptedTrainer, config, training, tokenizer, clips[:2], path).train()
    shutil.rmtree(path / "logs")
    model, tokenizer = Workdir(path).load()
    labels = tokenizer.encode(clips[0].text)
    logits = outcomes.logits(model, outcomes.batch_of(clips[0], labels))
    np.savez_compressed(folder / "wordpieces.npz", labels=labels, logits=logits)
    with tempfile.TemporaryDirectory() as temporary, outcomes.eagerly():
        resumed = shutil.copytree(path, Path(temporary) / "run")
        trainer_of(Trainer, config, training, tokenizer, clips[:2], resumed).train()
        expected["resumed"] = Workdir(resumed).metrics()[-1]["loss"]


def trainer_of(
    kind: type[Trainer],
    config: TransducerConfig,
    training: TrainingConfig,
    tokenizer: Tokenizer,
    train: Any,
    workdir: Path,
    dev: Any = (),
) -> Trainer:
    return kind(
        config,
        training,
        tokenizer=tokenizer,
        train=train,
        dev=list(dev),
        workdir=Workdir(workdir),
        strategy=strategy_from_name("auto"),
    )


def write_layers(folder: Path) -> None:
    """A model of one layer of each kind, trained for two steps by a recipe of many schemes."""
    ids = keras.Input([8], dtype="int32")
    h = keras.layers.Embedding(11, 8, name="embedding")(ids)
    h = keras.layers.Conv1D(8, 3, padding="causal", name="convolution")(h)
    h = keras.layers.DepthwiseConv1D(3, padding="same", name="depthwise")(h)
    h = h + QuantMultiHeadAttention(2, 4, activation_scheme="int8", name="attention")(h, h)
    h = keras.layers.LSTM(6, return_sequences=True, name="lstm")(h)
    h = keras.layers.EinsumDense("btd,df->btf", [8, 5], bias_axes="f", name="einsum")(h)
    outputs = keras.layers.Dense(3, name="dense")(h)
    clipped = QuantConfig(weight_bits=4, activation="int8_asymmetric", learned_clip=True)
    static = QuantConfig(weight_bits=4, activation="int8_static", range_decay=0.5)
    recipe = Recipe(
        name="layers",
        rules=(
            ("embedding", QuantConfig.from_name("w4c")),
            ("convolution", QuantConfig.from_name("w4c_a8d")),
            ("depthwise", QuantConfig.from_name("w8c")),
            ("attention/query", QuantConfig.from_name("w4c_a8ds")),
            ("attention/key", QuantConfig.from_name("w6c_a4d")),
            ("attention/.*", QuantConfig.from_name("w4t_a8d")),
            ("lstm", QuantConfig.from_name("w8c_a8d")),
            ("einsum", clipped),
            ("dense", static),
        ),
    )
    model = keras.Model(ids, outputs, name="layers")
    rng = np.random.default_rng(LAYERS_SEED)
    for weight in model.weights:
        weight.assign(0.5 * rng.standard_normal(weight.shape))
    model = quantize_model(model, recipe)
    model.compile(keras.optimizers.Adam(0.01), "mse")
    x = rng.integers(0, 11, [2, 8]).astype(np.int32)
    model.fit(x, rng.standard_normal([2, 8, 3]), batch_size=1, shuffle=False, verbose=0)
    model.save(folder / "layers.keras")
    np.savez_compressed(folder / "layers.npz", inputs=x, outputs=model(x).numpy())


def write_transducer(folder: Path) -> None:
    """An untrained recogniser, saved by Keras.

    Its activations are float where they come from audio, so that no rounding of a sum makes a
    difference of a whole code.
    """
    keras.utils.set_random_seed(0)
    recipe = Recipe(
        name="transducer",
        rules=(
            ("encoder/block_0/.*", QuantConfig.from_name("w8c")),
            ("encoder/input", QuantConfig.from_name("w4b32")),
            ("(encoder|joint)/.*", QuantConfig.from_name("w4c")),
            ("predictor/.*", QuantConfig.from_name("w4c_a8ds")),
        ),
    )
    config = TransducerConfig(
        name="transducer",
        vocab_size=9,
        front_end=FrontEndConfig(mel_bins=24),
        encoder=EncoderConfig(
            kind="transformer", dim=8, blocks=2, heads=2, expansion=2, reduce_after=1
        ),
        predictor=PredictorConfig(embedding_dim=8),
        joint=JointConfig(dim=8, tied=False),
        recipe=recipe,
    )
    model = Transducer(config)
    model.create_weights()
    rng = np.random.default_rng(0)
    pcm = 0.1 * rng.standard_normal([2, 3840]).clip(-9, 9).astype(np.float32)
    lengths = np.int32([3840, 2000])
    model.front_end.adapt([(pcm, lengths)])
    for variable in model.trainable_variables:
        if variable.path.endswith("bias"):
            variable.assign(0.1 * rng.standard_normal(variable.shape))
    arrays = {"pcm": pcm, "pcm_length": lengths, "labels": np.int32([[1, 2, 3], [8, 0, 0]])}
    model.save(folder / "transducer.keras")
    np.savez_compressed(folder / "transducer.npz", **arrays, logits=outcomes.logits(model, arrays))


def write_operations(folder: Path) -> None:
    """Inputs and results of functions and layers that are called by themselves."""
    rng = np.random.default_rng(0)

    def normal(*shape: int) -> np.ndarray:
        return rng.standard_normal(shape).astype(np.float32)

    inputs = {"x": normal(2, 128), "kernel": normal(128, 3), "bias": normal(3)}
    save(folder / "quantize.npz", {"x": inputs["kernel"]}, outcomes.codes(inputs["kernel"]))
    save(folder / "dense.npz", inputs, outcomes.dense(**inputs))
    inputs = {
        "logits": 2 * normal(3, 5, 4, 6),
        "labels": np.int32([[1, 2, 5], [4, 4, 0], [0, 0, 0]]),
        "logit_lengths": np.int32([5, 4, 2]),
        "label_lengths": np.int32([3, 2, 0]),
    }
    save(folder / "rnnt_loss.npz", inputs, outcomes.losses(inputs))


def save(path: Path, inputs: outcomes.Arrays, results: outcomes.Arrays) -> None:
    named = {f"in/{name}": array for name, array in inputs.items()}
    np.savez_compressed(path, **named, **results)


def write_keys(folder: Path, expected: dict[str, Any]) -> None:
    """The keys of what commands write as JSON, and figures that cannot change."""
    short = (f"--manifest={folder / 'clips' / 'manifest.jsonl'}", "--split=short")
    reports = {}
    with tempfile.TemporaryDirectory() as temporary:
        file = Path(temporary) / "report.json"
        for name, arguments in {
            "evaluate cascade": ("evaluate", folder / "cascade", *short),
            "evaluate cascade.tflite": ("evaluate", folder / "cascade.tflite", *short),
            "inspect cascade.tflite": ("inspect", folder / "cascade.tflite"),
            "inspect cascaded_tiny": ("inspect", "cascaded_tiny"),
        }.items():
            result = commands.run(*arguments, f"--json={file}")
            assert result.status == 0, result
            reports[name] = json.loads(file.read_text())
    clip = folder / "clips" / "0.flac"
    result = commands.run("transcribe", folder / "cascade.tflite", clip, "--json")
    reports["transcribe"] = json.loads(result.out)
    # `_export_and_evaluate` of the command `demo`, which takes minutes to come to it.
    reports["demo"] = dict.fromkeys(
        ("wer_float32", "bytes_float32", "wer_int4", "bytes_int4", "speedup", "model")
    )
    expected["keys"] = {name: outcomes.key_paths(report) for name, report in reports.items()}
    expected["evaluate"] = {
        name: {key: value for key, value in reports[name].items() if key != "rtf"}
        for name in ("evaluate cascade", "evaluate cascade.tflite")
    }
    inspected = reports["inspect cascade.tflite"]
    expected["inspect"] = {
        name: inspected[name] for name in ("total_bytes", "parameters", "totals", "operators")
    }


if __name__ == "__main__":
    main()
