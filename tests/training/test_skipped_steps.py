"""Steps that do no good are skipped, told, and not repeated for ever."""

import contextlib
import re

import numpy as np
import pytest
import tensorflow as tf

from int4_conformer.data.corpus import normalized, read_corpus
from int4_conformer.errors import UserError
from int4_conformer.training.skipped_steps import PATIENCE
from int4_conformer.training.trainer import Trainer
from int4_conformer.training.training_config import TrainingConfig
from int4_conformer.training.workdir import Workdir
from tests.support import running, tiny
from tests.support.examples import heavy

pytestmark = pytest.mark.usefixtures("without_pieces")


@pytest.fixture(scope="module")
def corpus(tmp_path_factory):
    manifest = tiny.write_corpus(tmp_path_factory.mktemp("corpus"))
    return normalized(read_corpus(manifest, "train"))


def make_trainer(corpus, folder, recipe="float", **settings):
    config = {
        "steps": 4,
        "batch_seconds": 1.0,
        "buckets": 1,
        "warmup": 1,
        "average": 2,
        "xla": False,
        "evaluate_every": 100,
        "skip_norm": 0.0,
    }
    return Trainer(
        tiny.config(recipe),
        TrainingConfig(**config | settings),
        tokenizer=tiny.TOKENIZER,
        train=corpus,
        dev=[],
        workdir=Workdir(folder),
        strategy=tf.distribute.get_strategy(),
    )


def spoil(trainer, is_bad, value=np.nan):
    """Sets a sample of the batches of some steps, counted from 0, to a value."""
    dataset = trainer.input.dataset

    def spoiled_pcm(step, pcm):
        if is_bad(step):
            pcm[0, 100] = value
        return pcm

    def spoiled_batch(step, batch):
        pcm = tf.numpy_function(spoiled_pcm, [step, batch["pcm"]], tf.float32)
        return batch | {"pcm": tf.ensure_shape(pcm, batch["pcm"].shape)}

    def spoiled(start=0, context=None):
        batches = dataset(start, context)
        # Those of steps have a context.
        return batches if context is None else batches.enumerate(start).map(spoiled_batch)

    trainer.input.dataset = spoiled


def state(trainer):
    """All that a skipped step leaves alone."""
    iterations = trainer.model.optimizer.iterations
    optimizer = [v for v in trainer.model.optimizer.variables if v is not iterations]
    variables = [*trainer.model.weights, *optimizer, *trainer._average._averages]
    return [variable.numpy() for variable in variables]


@pytest.mark.parametrize("mode", ["eager", *heavy("graph")])
def test_a_bad_batch_costs_a_step_and_no_weight(corpus, tmp_path, capsys, mode):
    # With ranges that the forward pass changes.
    trainer = make_trainer(corpus, tmp_path, "w4c_a8static", steps=2)
    spoil(trainer, lambda step: step == 1)
    before = []
    take_steps = trainer._take_steps

    def observed(*arguments):
        before.append(state(trainer))
        return take_steps(*arguments)

    trainer._take_steps = observed
    with running.eagerly() if mode == "eager" else contextlib.nullcontext():
        trainer.train()
    first, second = before
    assert any((x != y).any() for x, y in zip(first, second, strict=True))
    for x, y in zip(second, state(trainer), strict=True):
        np.testing.assert_array_equal(x, y)
    assert trainer._step.numpy() == trainer.model.optimizer.iterations.numpy() == 2
    out = capsys.readouterr().out
    assert re.search(r"step 2 is skipped: loss .*, gradient norm nan \(1 skipped so far\)", out)
    # A manifest, to be listened to or trained on.
    kept = read_corpus(tmp_path / "skipped" / "step-2.jsonl", "train")
    known = {utterance.audio: utterance.text for utterance in corpus}
    assert {utterance.audio: utterance.text for utterance in kept}.items() <= known.items()
    assert len(kept) == 3
    (metrics,) = trainer._workdir.metrics()
    assert metrics["skipped"] == 1
    assert np.isfinite(metrics["loss"])


@pytest.mark.usefixtures("eagerly")
@pytest.mark.parametrize(("skip_norm", "skipped"), [(1e-6, 1.0), (1e6, 0.0), *heavy((0.0, 0.0))])
def test_steps_with_an_unusual_gradient_are_skipped(corpus, tmp_path, skip_norm, skipped):
    # No gradient is small enough to be clipped, so that each above the usual counts as unusual.
    trainer = make_trainer(corpus, tmp_path, skip_norm=skip_norm, clip_norm=1e-3)
    batch = next(iter(trainer.input.dataset()))
    first, second = (trainer.model.training_step(batch, step) for step in range(2))
    assert first["skipped"] == 0.0
    assert second["skipped"] == skipped
    usual = float(trainer.model.training_step.usual_norm)
    norms = [float(outcome["gradient_norm"]) for outcome in (first, second)]
    expected = norms[0] if skipped else norms[0] ** 0.98 * norms[1] ** 0.02
    assert usual == pytest.approx(expected, rel=1e-5)


@pytest.mark.usefixtures("eagerly")
def test_gradients_that_are_clipped_anyway_are_not_skipped(corpus, tmp_path):
    trainer = make_trainer(corpus, tmp_path, skip_norm=1e-6, clip_norm=1e6)
    batch = next(iter(trainer.input.dataset()))
    outcomes = [trainer.model.training_step(batch, step) for step in range(2)]
    assert [float(outcome["skipped"]) for outcome in outcomes] == [0.0, 0.0]


def test_after_several_in_a_row_a_run_goes_back_once_and_then_stops(corpus, tmp_path, capsys):
    # Steps 1 and 2 are good, then PATIENCE are bad; the one after is good, and the rest bad.
    again = 2 + PATIENCE
    trainer = make_trainer(corpus, tmp_path, steps=100, checkpoint_minutes=1e-9)
    spoil(trainer, lambda step: step >= 2 and step != again)
    weights = {}
    take_steps = trainer._take_steps

    def observed(batches, planned, step, progress):
        weights[step] = [v.numpy() for v in trainer.model.trainable_variables]
        return take_steps(batches, planned, step, progress)

    trainer._take_steps = observed
    last = again + 1 + PATIENCE
    with pytest.raises(UserError, match=f"{PATIENCE} steps in a row .* step {last}, again; look"):
        trainer.train()
    out = capsys.readouterr().out
    assert f"back to the weights of step 2, and on with the batches behind step {again}" in out
    for x, y in zip(weights[2], weights[again], strict=True):
        np.testing.assert_array_equal(x, y)
    # What is there to go on from is the good step.
    assert trainer._workdir.steps_done == again + 1


@pytest.mark.usefixtures("eagerly")
@pytest.mark.heavy
def test_with_nothing_to_go_back_to_a_run_stops(corpus, tmp_path):
    trainer = make_trainer(corpus, tmp_path, steps=100)
    spoil(trainer, lambda step: True)
    with pytest.raises(UserError, match=f"{PATIENCE} steps in a row .* up to step {PATIENCE}; "):
        trainer.train()
    assert len(list((tmp_path / "skipped").iterdir())) == PATIENCE
