"""What the settings of training come to: options of steps and of the model, teachers included."""

import dataclasses

import keras
import numpy as np
import pytest
import tensorflow as tf

from int4_conformer.data.corpus import normalized, read_corpus
from int4_conformer.errors import UserError
from int4_conformer.layers.paths import by_path, quantized_layers
from int4_conformer.models.transducer import Transducer
from int4_conformer.models.variational_noise import VariationalNoise
from int4_conformer.quant.numerics.weight import quantize_weight
from int4_conformer.text.graphemes import Graphemes
from int4_conformer.training.checkpoints import Checkpoints
from int4_conformer.training.settings import computing_in, step_options, trained_as
from int4_conformer.training.teacher import load_teacher
from int4_conformer.training.trainer import Trainer
from int4_conformer.training.training_config import TrainingConfig
from int4_conformer.training.workdir import Workdir, weights_of
from tests.support import tiny

SMALL = TrainingConfig(
    steps=4, batch_seconds=1.44, buckets=1, warmup=1, xla=False, evaluate_every=4
)


def saved(folder, model, tokenizer=tiny.TOKENIZER):
    """A training folder with a model as its best."""
    workdir = Workdir(folder)
    workdir.create(model.config, tokenizer, SMALL.to_config())
    checkpoint = tf.train.Checkpoint(model=weights_of(model))
    workdir.checkpoints("best").save(checkpoint, 1, {})
    return str(folder)


@pytest.fixture(scope="module")
def teacher(tmp_path_factory):
    return saved(tmp_path_factory.mktemp("teacher"), tiny.model("float"))


@pytest.fixture(scope="module")
def corpus(tmp_path_factory):
    manifest = tiny.write_corpus(tmp_path_factory.mktemp("corpus"))
    return normalized(read_corpus(manifest, "train"))


def trainer(corpus, folder, config, model_config=None):
    return Trainer(
        model_config or tiny.config(),
        config,
        tokenizer=tiny.TOKENIZER,
        train=corpus,
        dev=[],
        workdir=Workdir(folder),
        strategy=tf.distribute.get_strategy(),
    )


def test_fractions_are_of_the_steps():
    config = TrainingConfig(
        steps=200, quantize_after=0.25, variational_noise=0.1, variational_noise_after=0.5
    )
    options = step_options(config, tiny.config(), tiny.TOKENIZER)
    assert options["quantize_from"] == 50
    assert options["noise"] == VariationalNoise(stddev=0.1, start_step=100)
    plain = step_options(TrainingConfig(), tiny.config(), tiny.TOKENIZER)
    assert (plain["quantize_from"], plain["noise"], plain["teacher"]) == (0, None, None)


def test_the_model_stays_as_it_is_without_options():
    assert trained_as(tiny.config(), TrainingConfig()) == tiny.config()


def test_the_model_as_it_is_trained():
    encoder = dataclasses.replace(tiny.ENCODER, blocks=2)
    model = dataclasses.replace(tiny.config(), second_pass=encoder)
    config = TrainingConfig(stochastic_depth=0.2, compute_dtype="bfloat16", ctc_weight=0.3)
    found = trained_as(model, config)
    assert found.ctc
    assert [part.stochastic_depth for part in found.encoders] == [0.2, 0.2]
    assert found.recipe.at("x").config().backward_dtype == "bfloat16"
    assert found.recipe.at("x").config().name == model.recipe.at("x").config().name


def test_layers_of_a_type_of_their_own():
    with computing_in("bfloat16"):
        model = tiny.model("w4a8")
    assert keras.config.dtype_policy().name == "float32"
    dense = model.encoder.input_dense
    assert (dense.compute_dtype, dense.kernel.dtype) == ("bfloat16", "float32")
    with computing_in("float32"):
        assert tiny.model("w4a8").encoder.input_dense.compute_dtype == "float32"


@pytest.mark.usefixtures("eagerly")
def test_exported_integers_are_those_of_bfloat16_training(corpus, tmp_path):
    config = dataclasses.replace(SMALL, steps=2, compute_dtype="bfloat16")
    run = trainer(corpus, tmp_path / "run", config)
    before = [weight.numpy() for weight in run.model.trainable_weights]
    run.train()
    assert all(
        np.any(weight.numpy() != value)
        for weight, value in zip(run.model.trainable_weights, before, strict=True)
    )
    loaded, _ = Workdir(tmp_path / "run").load("last")
    trained, found = quantized_layers(run.model), quantized_layers(loaded)
    assert trained["encoder/input"].compute_dtype == "bfloat16"
    assert found["encoder/input"].compute_dtype == "float32"
    for path, weight in by_path(loaded).items():
        np.testing.assert_array_equal(weight, by_path(run.model)[path], err_msg=path)
    dense, again = trained["encoder/block_0/ffn_start/up"], found["encoder/block_0/ffn_start/up"]
    # What the model that trains multiplies by, up to the rounding of its outputs.
    codes = quantize_weight(again.kernel, again.quant)
    rows = np.eye(16, dtype=np.float32)
    np.testing.assert_allclose(
        tf.cast(dense(rows), tf.float32),
        tf.nn.silu(codes.dequantize() + again.bias),
        rtol=0.02,
        atol=0.01,
    )


class Killed(BaseException):
    """Stands for the end of the process."""


OPTIONS = dataclasses.replace(
    SMALL,
    optimizer="adafactor",
    schedule="tri_stage",
    accumulate=2,
    quantize_after=0.5,
    stochastic_depth=0.3,
    variational_noise=0.05,
    variational_noise_after=0.25,
    checkpoint_minutes=1e-9,
)


@pytest.mark.heavy
@pytest.mark.usefixtures("without_pieces")
def test_a_run_with_all_options_resumes_to_the_bit(corpus, tmp_path, teacher, monkeypatch):
    config = dataclasses.replace(OPTIONS, teacher=teacher)
    whole = trainer(corpus, tmp_path / "whole", config)
    whole.train()
    save = Checkpoints.save

    def killing(self, checkpoint, step, facts):
        save(self, checkpoint, step, facts)
        if step == 2:
            raise Killed

    with monkeypatch.context() as patch:
        patch.setattr(Checkpoints, "save", killing)
        with pytest.raises(Killed):
            trainer(corpus, tmp_path / "killed", config).train()
    assert Workdir(tmp_path / "killed").steps_done == 2
    resumed = trainer(corpus, tmp_path / "killed", config)
    resumed.train()
    pairs = zip(tiny.trained_variables(resumed), tiny.trained_variables(whole), strict=True)
    for found, expected in pairs:
        np.testing.assert_array_equal(found, expected, err_msg=expected.name)


def test_a_teacher_is_loaded(teacher):
    found = load_teacher(teacher, tiny.TOKENIZER, tiny.config())
    assert found.config.recipe.name == "float"
    for weight, value in zip(found.weights, tiny.model("float").weights, strict=True):
        np.testing.assert_array_equal(weight, value)


def test_a_teacher_of_another_vocabulary(teacher):
    message = r"has another vocabulary \(12 symbols, and 4 here\)"
    with pytest.raises(UserError, match=message):
        load_teacher(teacher, Graphemes(charset=" ab"), tiny.config())


def test_a_teacher_of_other_frames(teacher):
    encoder = dataclasses.replace(tiny.ENCODER, blocks=2, reduce_after=1)
    student = dataclasses.replace(tiny.config(), encoder=encoder)
    with pytest.raises(UserError, match="has a frame for each 640 samples, and this recogniser"):
        load_teacher(teacher, tiny.TOKENIZER, student)


def test_no_teacher_there(tmp_path):
    with pytest.raises(UserError, match="is no training folder"):
        load_teacher(str(tmp_path), tiny.TOKENIZER, tiny.config())


def test_a_teacher_is_no_part_of_the_model():
    model, teacher = Transducer(tiny.config()), tiny.model("float")
    model.compile("sgd", teacher=teacher)
    assert not {id(w) for w in model.weights} & {id(w) for w in teacher.weights}
