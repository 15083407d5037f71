"""Functions that a graph traces once."""

import gc
import weakref

import tensorflow as tf

from int4_conformer.quant.context import checks, traced_once
from int4_conformer.xla import compiled_by_xla, without_pieces, without_xla


class Recorder:
    """A product that notes each of its traces, and what it knows of XLA there."""

    def __init__(self):
        self.traces = []

    def __call__(self, setting, x):
        self.traces.append((setting, compiled_by_xla()))
        return x * setting


def graph_of(body):
    spec = tf.TensorSpec([3])
    return tf.function(body, autograph=False).get_concrete_function(spec)


def test_a_graph_traces_one_function_for_all_its_calls():
    recorder = Recorder()
    graph = graph_of(lambda x: traced_once(recorder, 2.0)(x) + traced_once(recorder, 2.0)(x))
    assert recorder.traces == [(2.0, True)]
    assert graph(tf.ones(3)).numpy().tolist() == [4.0] * 3


def test_other_settings_are_another_function():
    recorder = Recorder()
    graph = graph_of(lambda x: traced_once(recorder, 2.0)(x) + traced_once(recorder, 3.0)(x))
    assert graph(tf.ones(3)).numpy().tolist() == [5.0] * 3


def test_other_surroundings_are_another_function():
    recorder = Recorder()

    def body(x):
        y = traced_once(recorder, 2.0)(x)
        for surroundings in (without_xla, without_pieces, checks):
            with surroundings():
                y += traced_once(recorder, 2.0)(x)
        return y

    assert graph_of(body)(tf.ones(3)).numpy().tolist() == [8.0] * 3
    assert recorder.traces == [(2.0, True), (2.0, False), (2.0, True), (2.0, True)]


def test_nothing_is_kept_of_a_graph_that_is_gone():
    def used():
        recorder = Recorder()
        graph = graph_of(lambda x: traced_once(recorder, 2.0)(x))
        assert graph(tf.ones(3)).numpy().tolist() == [2.0] * 3
        return weakref.ref(recorder)

    recorder = used()
    gc.collect()
    assert recorder() is None
