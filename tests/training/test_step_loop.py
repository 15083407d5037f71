"""Loops of steps: the same steps, whatever their length, in a program that a TPU could take."""

import dataclasses
import json

import numpy as np
import pytest
import soundfile
import tensorflow as tf

from int4_conformer import xla
from int4_conformer.data.corpus import normalized, read_corpus
from int4_conformer.files import json_lines
from int4_conformer.models.presets import PRESETS, preset
from int4_conformer.training.trainer import Trainer
from int4_conformer.training.training_config import TrainingConfig
from int4_conformer.training.workdir import Workdir
from tests.support import tiny
from tests.support.examples import heavy
from tests.support.step_programs import HOST, loop_program

CONFIG = TrainingConfig(
    steps=7,
    batch_seconds=0.7,
    buckets=2,
    warmup=1,
    average=2,
    xla=False,
    evaluate_every=4,
    log_every=2,
    checkpoint_minutes=1e-9,
)


@pytest.fixture(scope="module")
def corpus(tmp_path_factory):
    """Of two lengths, so that loops have batches of both."""
    folder, lines = tmp_path_factory.mktemp("corpus"), []
    for index in range(6):
        soundfile.write(folder / f"{index}.wav", tiny.speech(8 if index < 4 else 15, index), 16000)
        lines.append(json.dumps({"audio": f"{index}.wav", "text": "ab", "split": "train"}))
    (folder / "manifest.jsonl").write_text("\n".join(lines) + "\n")
    return normalized(read_corpus(folder / "manifest.jsonl", "train"))


def trained(corpus, folder, **changes):
    """A trainer that has trained, the lengths of its loops and the steps of its checkpoints."""
    trainer = Trainer(
        tiny.config(),
        dataclasses.replace(CONFIG, **changes),
        tokenizer=tiny.TOKENIZER,
        train=corpus,
        dev=[],
        workdir=Workdir(folder),
        strategy=tf.distribute.get_strategy(),
    )
    loops, saves = [], []
    take_steps, save = trainer._take_steps, trainer._save

    def observed(batches, planned, step, progress):
        loops.append([one.bucket for one in planned])
        return take_steps(batches, planned, step, progress)

    def noted(step):
        saves.append(step)
        save(step)

    trainer._take_steps, trainer._save = observed, noted
    with xla.without_pieces():
        trainer.train()
    return trainer, loops, saves


def test_loops_take_the_steps_that_single_ones_would(corpus, tmp_path):
    single, loops, _ = trained(corpus, tmp_path / "single")
    order = [bucket for loop in loops for bucket in loop]
    assert set(order) == {0, 1}
    assert len(loops) == len(order) == 7

    looped, loops, saves = trained(corpus, tmp_path / "looped", steps_per_loop=3)
    assert [bucket for loop in loops for bucket in loop] == order
    # None passes the evaluation at 4, and each new shape has one of its own.
    ends = np.cumsum([len(loop) for loop in loops]).tolist()
    assert {4, 7} <= set(ends)
    assert max(map(len, loops)) == 3
    assert saves == ends
    for one, other in zip(*map(tiny.trained_variables, (single, looped)), strict=True):
        np.testing.assert_array_equal(one.numpy(), other.numpy(), err_msg=one.name)
    curves = [
        [line["step"] for line in json_lines(trainer._workdir.path / "progress.jsonl")]
        for trainer in (single, looped)
    ]
    assert curves[0] == [2, 4, 6]
    assert set(curves[1]) <= set(ends)
    assert 1 < len(curves[1]) <= 3
    # The length of loops is free to change when a run goes on.
    more, loops, _ = trained(corpus, tmp_path / "looped", steps=9, steps_per_loop=2)
    assert sum(map(len, loops)) == 2
    assert more._step.numpy() == more.model.optimizer.iterations.numpy() == 9


@pytest.mark.parametrize("name", ["test", *heavy(*PRESETS)])
def test_ten_steps_are_one_program_of_static_shapes_without_a_host(name):
    """What a TPU asks for, as far as can be known without one."""
    config = tiny.config() if name == "test" else preset(name)
    program = loop_program(config, steps=10)
    assert {"while", "dot"} <= program.operations
    assert not program.operations & HOST
    assert not program.dynamic_shapes
