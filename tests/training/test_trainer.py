import dataclasses
import json
import shutil
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
import tensorflow as tf

from int4_conformer.data.buckets import make_buckets
from int4_conformer.data.corpus import normalized, read_corpus
from int4_conformer.data.input_pipeline import InputPipeline
from int4_conformer.evaluation.one_by_one import Evaluation
from int4_conformer.losses import ctc_loss, rnnt_loss
from int4_conformer.progress import Progress
from int4_conformer.text.metrics import WordErrors
from int4_conformer.training.run_log import RunLog
from int4_conformer.training.trainer import Trainer
from int4_conformer.training.training_config import TrainingConfig
from int4_conformer.training.workdir import Workdir
from tests.support import tiny


@pytest.fixture(scope="module")
def resumed(trained, tmp_path_factory):
    """A trainer that has resumed the interrupted run and not gone on."""
    workdir = Workdir(tmp_path_factory.mktemp("resumed") / "run")
    shutil.copytree(trained.interrupted, workdir.path)
    model, tokenizer = workdir.load()
    settings = json.loads((workdir.path / "config.json").read_text())["training"]
    trainer = Trainer(
        model.config,
        TrainingConfig(**settings),
        tokenizer=tokenizer,
        train=normalized(read_corpus(trained.manifest, "train")),
        dev=[],
        workdir=workdir,
        strategy=tf.distribute.get_strategy(),
    )
    trainer._resume_or_start()
    return trainer


def test_resuming_restores_every_variable(trained, resumed):
    restored = tiny.trained_variables(resumed)
    for variable, value in zip(restored, trained.variables, strict=True):
        np.testing.assert_array_equal(variable.numpy(), value, err_msg=variable.name)
    assert resumed._step.numpy() == resumed.model.optimizer.iterations.numpy() == 2


def test_resuming_goes_on(trained):
    assert trained.trainer._step.numpy() == 4
    assert trained.trainer.model.optimizer.iterations.numpy() == 4


def test_resuming_does_not_begin_with_the_same_utterances(trained, resumed):
    train = normalized(read_corpus(trained.manifest, "train"))
    tokenizer = Workdir(trained.workdir).load()[1]
    buckets = make_buckets(train, tokenizer, count=1, seconds_per_batch=1)
    fresh = InputPipeline(train, tokenizer, buckets).dataset()
    first, again = (
        [batch["index"].numpy().tolist() for batch in dataset.take(6)]
        for dataset in (fresh, resumed.input.dataset(2))
    )
    assert len(first[0]) == len(again[0])
    assert first != again


def test_resuming_knows_the_fewest_errors_so_far(resumed):
    file = resumed._workdir.path / "metrics.jsonl"
    file.write_text('{"step": 1, "dev_wer": 0.25}\n{"step": 2, "dev_wer": 0.5}\n')
    resumed._resume_or_start()
    assert resumed.best == 0.25


def test_only_an_evaluation_with_fewer_errors_is_the_best(resumed, monkeypatch):
    evaluations = iter([0.5, 0.75, 0.25])

    def evaluated(progress):
        errors = WordErrors(substitutions=int(100 * next(evaluations)), words=100)
        return {"dev_wer": Evaluation(errors=errors, characters=errors, hypotheses=(), rtf=0.0)}

    monkeypatch.setattr(resumed, "_dev_evaluation", evaluated)
    monkeypatch.setattr(resumed, "best", float("inf"))
    kept, log = [], RunLog(resumed._workdir)
    with Progress(5, "train") as progress:
        for step in (3, 4, 5):
            resumed._evaluate(step, log, progress)
            kept.append(Path(resumed._workdir.latest_checkpoint("best")).name)
    assert kept == ["step-3", "step-3", "step-5"]


def test_features_are_normalised_by_the_training_audio(trained):
    front_end = trained.trainer.model.front_end
    pcm = [u.samples() for u in read_corpus(trained.manifest, "train")]
    frames = np.concatenate([front_end(samples[None])[0] for samples in pcm])
    np.testing.assert_allclose(frames.mean(axis=0), 0, atol=0.2)
    np.testing.assert_allclose(frames.std(axis=0), 1, atol=0.2)


def test_its_loss_has_the_parts_that_the_settings_ask_for(trained, tmp_path):
    encoder = dataclasses.replace(tiny.ENCODER, dropout=0.0)
    config = dataclasses.replace(tiny.config("float"), encoder=encoder, second_pass=encoder)
    settings = {"fast_emit": 0.1, "label_smoothing": 0.2, "ctc_weight": 0.3}
    trainer = Trainer(
        config,
        TrainingConfig(steps=1, batch_seconds=1.44, buckets=1, spec_augment=False, **settings),
        tokenizer=tiny.TOKENIZER,
        train=normalized(read_corpus(trained.manifest, "train")),
        dev=[],
        workdir=Workdir(tmp_path / "run"),
        strategy=tf.distribute.get_strategy(),
    )
    model = trainer.model
    assert model.config == dataclasses.replace(config, ctc=True)
    (batch,) = trainer.input.dataset().take(1)
    losses = trainer.model.training_step._pass_losses(batch, tf.zeros([2], tf.int32))
    encoded = model.encode(batch["pcm"], batch["pcm_length"])
    labels = batch["labels"]
    lengths = model.encoded_length(batch["pcm_length"]), batch["label_length"]
    for index, frames in enumerate(encoded):
        logits = model.decoders[index].logits(frames, labels)
        expected = rnnt_loss(logits, labels, *lengths, label_smoothing=0.2)
        expected += 0.3 * ctc_loss(model.ctc_heads[index](frames), labels, *lengths)
        np.testing.assert_allclose(losses[index], tf.reduce_sum(expected), rtol=1e-5)
    _, gradients = trainer.model.training_step._gradients(batch, tf.zeros([2], tf.int32), 0)
    assert all(np.any(gradient) for gradient in gradients)


LEARNING_RATE = 1e-3
REPLICAS = """
import pathlib, sys
import numpy as np
import tensorflow as tf

(cpu,) = tf.config.list_physical_devices("CPU")
tf.config.set_logical_device_configuration(cpu, [tf.config.LogicalDeviceConfiguration()] * 2)

import dataclasses
from int4_conformer import xla
from int4_conformer.data.corpus import read_corpus
from int4_conformer.data.corpus import normalized
from int4_conformer.training.training_config import TrainingConfig
from int4_conformer.training.strategies import strategy_from_name
from int4_conformer.training.trainer import Trainer
from int4_conformer.training.workdir import Workdir
from tests.support import tiny

folder = pathlib.Path(sys.argv[1])
manifest = tiny.write_corpus(folder)
# Float activations: the code that a rounding error tips over is no error of the replicas.
config = tiny.config("w4")
encoder = dataclasses.replace(config.encoder, blocks=1, dropout=0.0)
config = dataclasses.replace(config, encoder=encoder)
for name in ("auto", "mirrored"):
    strategy = strategy_from_name(name)
    print(name, strategy.num_replicas_in_sync)
    trainer = Trainer(
        config,
        # The four utterances in one batch, for one replica or for two; one step in all.
        TrainingConfig(
            steps=1,
            batch_seconds=1.44,
            buckets=1,
            spec_augment=False,
            average=1,
            warmup=0,
            learning_rate=float(sys.argv[2]),
            # Slow to compile, and trained with elsewhere.
            xla=False,
        ),
        tokenizer=tiny.TOKENIZER,
        train=normalized(read_corpus(manifest, "train")),
        dev=normalized(read_corpus(manifest, "dev")) if name == "mirrored" else [],
        workdir=Workdir(folder / name),
        strategy=strategy,
    )
    (batch,) = trainer.input.dataset().take(1)
    print(sorted(batch["index"].numpy().tolist()))
    tf.config.run_functions_eagerly(name == "auto")
    with xla.without_pieces():
        evaluation = trainer.train()
    print(name, evaluation and evaluation.errors.words)
    variables = {f"weight {i}": v for i, v in enumerate(trainer.model.weights)}
    variables |= {f"average {i}": v for i, v in enumerate(trainer._average._averages)}
    # Moments of the gradients, which tell a gradient from its double; Adam's step does not.
    variables |= {
        f"moment {i}": v
        for i, v in enumerate(trainer.model.optimizer.variables)
        if v.name.endswith(("momentum", "velocity"))
    }
    np.savez(folder / f"{name}.npz", **{key: v.numpy() for key, v in variables.items()})
"""


@pytest.mark.heavy
def test_two_replicas_take_the_step_of_one(tmp_path):
    # In a process of its own: the number of devices is fixed once TensorFlow has started.
    result = subprocess.run(
        [sys.executable, "-c", REPLICAS, tmp_path, str(LEARNING_RATE)],
        capture_output=True,
        text=True,
        check=False,
    )
    assert result.returncode == 0, result.stderr
    printed = result.stdout.splitlines()
    assert [line for line in printed if line.startswith(("auto", "mirrored", "["))] == [
        *("auto 1", "[0, 1, 2, 3]", "auto None"),
        *("mirrored 2", "[0, 1, 2, 3]", "mirrored 2"),
    ]
    one, two = np.load(tmp_path / "auto.npz"), np.load(tmp_path / "mirrored.npz")
    moments = [name for name in one.files if name.startswith("moment")]
    assert len(moments) > 30
    for name in moments:
        tolerance = 1e-3 * np.abs(one[name]).max() + 1e-12
        np.testing.assert_allclose(two[name], one[name], atol=tolerance, err_msg=name)
    for name in set(one.files) - set(moments):
        # Adam takes a full step along gradients that are nothing but rounding errors, too.
        assert np.abs(two[name] - one[name]).mean() < 0.01 * LEARNING_RATE, name
    steps = [json.loads(line) for line in (tmp_path / "mirrored/metrics.jsonl").open()]
    assert [step["step"] for step in steps] == [1]
