import keras
import numpy as np
import pytest
import tensorflow as tf

from int4_conformer.audio.augment import SpecAugmentConfig
from int4_conformer.data.buckets import make_buckets
from int4_conformer.data.corpus import normalized, read_corpus
from int4_conformer.data.input_pipeline import InputPipeline
from int4_conformer.losses import LossConfig
from int4_conformer.models.transducer import Transducer
from int4_conformer.quant import QuantConfig, Recipe
from int4_conformer.training.optimizer import make_optimizer
from int4_conformer.training.trainer import Trainer
from int4_conformer.training.training_config import TrainingConfig
from int4_conformer.training.workdir import Workdir
from tests.support import tiny

STEPS = 4
CONFIG = TrainingConfig(
    steps=STEPS,
    batch_seconds=1.0,
    buckets=1,
    warmup=1,
    label_smoothing=0.1,
    fast_emit=0.01,
    xla=False,
    evaluate_every=STEPS,
)
# Begins to quantize on the way.
RECIPE = Recipe(
    name="late",
    rules=((".*", QuantConfig(weight_bits=4, activation="int8_asymmetric", start_step=2)),),
)


@pytest.fixture(scope="module")
def corpus(tmp_path_factory):
    manifest = tiny.write_corpus(tmp_path_factory.mktemp("corpus"))
    return normalized(read_corpus(manifest, "train"))


@pytest.fixture(scope="module")
def dataset(corpus):
    """The same batches each time."""
    buckets = make_buckets(corpus, tiny.TOKENIZER, count=1, seconds_per_batch=1.0)
    shuffled = InputPipeline(corpus, tiny.TOKENIZER, buckets).dataset()
    some = list(shuffled.take(STEPS))
    return tf.data.Dataset.from_tensor_slices(
        {name: tf.stack([batch[name] for batch in some]) for name in some[0]}
    )


def compiled(dataset, **changes):
    """A model as a `Trainer` of `CONFIG` makes it."""
    keras.utils.set_random_seed(CONFIG.seed)
    model = Transducer(tiny.config(RECIPE))
    settings = {"augment": SpecAugmentConfig(), "clip_norm": CONFIG.clip_norm, "xla": False}
    model.compile(make_optimizer(CONFIG), CONFIG.loss, **(settings | changes))
    model.front_end.adapt((batch["pcm"], batch["pcm_length"]) for batch in dataset.take(32))
    return model


@pytest.mark.heavy
@pytest.mark.usefixtures("without_pieces")
def test_fit_and_the_loop_give_the_same_weights(corpus, dataset, tmp_path):
    trainer = Trainer(
        tiny.config(RECIPE),
        CONFIG,
        tokenizer=tiny.TOKENIZER,
        train=corpus,
        dev=[],
        workdir=Workdir(tmp_path / "run"),
        strategy=tf.distribute.get_strategy(),
    )
    trainer.input.dataset = lambda start=0, context=None: dataset.repeat().skip(start)
    trainer.train()
    model = compiled(dataset)
    initial = [weight.numpy() for weight in model.trainable_weights]
    history = model.fit(dataset, steps_per_epoch=STEPS, shuffle=False, verbose=0)
    assert np.isfinite(history.history["loss"][0])
    assert model.optimizer.iterations.numpy() == STEPS
    weights = zip(initial, model.trainable_weights, trainer.model.trainable_weights, strict=True)
    for before, fitted, looped in weights:
        assert np.any(before != fitted.numpy()), fitted.path
        np.testing.assert_allclose(fitted, looped, rtol=1e-5, atol=1e-6, err_msg=fitted.path)


@pytest.mark.usefixtures("eagerly")
def test_a_saved_model_goes_on_as_it_was_compiled(dataset, tmp_path):
    model = compiled(dataset, seed=3)
    model.fit(dataset, steps_per_epoch=1, shuffle=False, verbose=0)
    model.save(tmp_path / "model.keras")
    loaded = keras.models.load_model(tmp_path / "model.keras")
    assert loaded.training_step.to_config() == model.training_step.to_config()
    assert loaded.optimizer.iterations.numpy() == 1
    for one, other in zip(loaded.optimizer.variables, model.optimizer.variables, strict=True):
        np.testing.assert_array_equal(one, other)


def test_plain_settings():
    model = Transducer(tiny.config("float"))
    model.compile("sgd")
    assert model.built
    assert model.training_step.to_config()["loss"] == vars(LossConfig())
