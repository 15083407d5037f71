"""Training of two passes."""

import dataclasses
import json

import numpy as np
import pytest
import tensorflow as tf

from int4_conformer.data.corpus import normalized, read_corpus
from int4_conformer.losses import rnnt_loss
from int4_conformer.progress import Progress
from int4_conformer.training.trainer import Trainer
from int4_conformer.training.training_config import TrainingConfig
from int4_conformer.training.workdir import Workdir
from tests.support import commands, running, tiny

CONFIG = dataclasses.replace(
    tiny.config("float"),
    encoder=dataclasses.replace(tiny.ENCODER, chunk=1, left_context=4, dropout=0.0),
    second_pass=dataclasses.replace(tiny.ENCODER, chunk=2, left_context=4, dropout=0.0),
)
TRAINING = TrainingConfig(
    steps=2,
    batch_seconds=1.44,
    buckets=1,
    spec_augment=False,
    warmup=1,
    first_pass_weight=0.3,
    evaluate_every=2,
    xla=False,
)
SEEDS = [tf.constant([n, 0]) for n in range(24)]


@pytest.fixture(scope="module")
def manifest(tmp_path_factory):
    return tiny.write_corpus(tmp_path_factory.mktemp("corpus"))


def make_trainer(manifest, workdir, **changes):
    return Trainer(
        CONFIG,
        dataclasses.replace(TRAINING, **changes),
        tokenizer=tiny.TOKENIZER,
        train=normalized(read_corpus(manifest, "train")),
        dev=normalized(read_corpus(manifest, "dev")),
        workdir=Workdir(workdir),
        strategy=tf.distribute.get_strategy(),
    )


@pytest.fixture(scope="module")
def weighted(manifest, tmp_path_factory):
    """A trainer of both passes at once that has trained."""
    trainer = make_trainer(manifest, tmp_path_factory.mktemp("weighted") / "run")
    with running.eagerly():
        trainer.train()
    return trainer


@pytest.fixture(scope="module")
def batch(weighted):
    (batch,) = weighted.input.dataset().take(1)
    return batch


def losses(model, batch):
    """Summed loss of each pass."""
    encoded = model.encode(batch["pcm"], batch["pcm_length"])
    lengths = model.encoded_length(batch["pcm_length"])
    return [
        tf.reduce_sum(
            rnnt_loss(
                model.decoders[index].logits(frames, batch["labels"]),
                batch["labels"],
                lengths,
                batch["label_length"],
            )
        ).numpy()
        for index, frames in enumerate(encoded)
    ]


def test_the_loss_is_the_weighted_sum_of_both(weighted, batch):
    first, second = losses(weighted.model, batch)
    assert abs(first - second) > 1e-3
    np.testing.assert_allclose(
        weighted.model.training_step._loss(batch, SEEDS[0]), 0.3 * first + 0.7 * second, 1e-4
    )


def test_both_passes_are_evaluated(weighted):
    (line,) = (weighted._workdir.path / "metrics.jsonl").read_text().splitlines()
    assert {"dev_wer", "dev_wer_first_pass"} <= set(json.loads(line))


@pytest.mark.heavy
@pytest.mark.usefixtures("without_pieces")
def test_one_pass_is_drawn_for_each_step(manifest, weighted, batch, tmp_path):
    sampling = make_trainer(manifest, tmp_path / "run", sample_passes=True)
    for variable, value in zip(sampling.model.weights, weighted.model.get_weights(), strict=True):
        variable.assign(value)
    first, second = losses(sampling.model, batch)
    # In a graph, as in training: there the pass that is not drawn has gradients of zero.
    gradients_of = tf.function(sampling.model.training_step._gradients, autograph=False)
    steps = [gradients_of(batch, seed, 0) for seed in SEEDS]
    drawn = np.array([loss for loss, _ in steps])
    is_first = np.isclose(drawn, first, rtol=1e-4)
    assert np.all(is_first | np.isclose(drawn, second, rtol=1e-4))
    # Of 24 draws with probability 0.3, within three standard deviations.
    assert 1 <= is_first.sum() <= 13
    _, gradients = steps[int(np.argmax(is_first))]
    for variable, gradient in zip(sampling.model.trainable_variables, gradients, strict=True):
        if "/second_pass/" in variable.path:
            assert not np.any(tf.convert_to_tensor(gradient)), variable.path
        elif variable.path.endswith("kernel"):
            assert np.any(tf.convert_to_tensor(gradient)), variable.path


@pytest.mark.usefixtures("eagerly")
def test_a_folder_is_evaluated_by_its_first_pass(weighted, manifest, tmp_path):
    hypotheses = tmp_path / "hypotheses.tsv"
    result = commands.run(
        "evaluate",
        weighted._workdir.path,
        *(f"--manifest={manifest}", "--split=dev", "--first_pass", f"--hypotheses={hypotheses}"),
    )
    assert result.status == 0, result.err
    heard = hypotheses.read_text().splitlines()[0].split("\t")[2]
    with Progress(1, "train") as progress:
        found = weighted._dev_evaluation(progress)
    first, both = (found[name].hypotheses[0] for name in ("dev_wer_first_pass", "dev_wer"))
    assert heard == first != both
