import keras
import numpy as np
import pytest
import tensorflow as tf

from int4_conformer.training.weight_average import WeightAverage


@pytest.fixture
def weights():
    return [keras.Variable([1.0, 2.0]), keras.Variable([[4.0]])]


def test_after_its_half_life_a_weight_counts_half(weights):
    average = WeightAverage(weights, half_life=3)
    for weight in weights:
        weight.assign(tf.zeros_like(weight))
    for _ in range(3):
        average.update(tf.constant(True))
    with average.swapped_in():
        np.testing.assert_allclose(weights[0], [0.5, 1.0], rtol=1e-6)
        np.testing.assert_allclose(weights[1], [[2.0]], rtol=1e-6)


def test_the_weights_come_back(weights):
    average = WeightAverage(weights, half_life=3)
    weights[0].assign([5.0, 6.0])
    average.update(tf.constant(True))
    with average.swapped_in():
        assert np.all(weights[0] != [5.0, 6.0])
    np.testing.assert_array_equal(weights[0], [5.0, 6.0])
    with pytest.raises(KeyError), average.swapped_in():
        raise KeyError
    np.testing.assert_array_equal(weights[0], [5.0, 6.0])


def test_swapping_does_not_move_the_average(weights):
    average = WeightAverage(weights, half_life=1)
    weights[0].assign([3.0, 0.0])
    average.update(tf.constant(True))
    for _ in range(2):
        with average.swapped_in():
            np.testing.assert_allclose(weights[0], [2.0, 1.0])


def test_without_a_half_life_the_weights_are_taken_as_they_are(weights):
    average = WeightAverage(weights, half_life=0)
    weights[0].assign([5.0, 6.0])
    average.update(tf.constant(True))
    with average.swapped_in():
        np.testing.assert_array_equal(weights[0], [5.0, 6.0])


def test_it_updates_inside_a_compiled_step(weights):
    average = WeightAverage(weights, half_life=1)
    weights[1].assign([[0.0]])
    tf.function(average.update, jit_compile=True)(tf.constant(True))
    with average.swapped_in():
        np.testing.assert_allclose(weights[1], [[2.0]])


def test_a_step_that_does_not_count_leaves_it(weights):
    average = WeightAverage(weights, half_life=1)
    weights[1].assign([[0.0]])
    average.update(tf.constant(False))
    with average.swapped_in():
        np.testing.assert_array_equal(weights[1], [[4.0]])


def test_a_checkpoint_keeps_it(weights, tmp_path):
    average = WeightAverage(weights, half_life=1)
    weights[1].assign([[0.0]])
    average.update(tf.constant(True))
    path = tf.train.Checkpoint(average=average).save(tmp_path / "checkpoint")
    restored = WeightAverage(weights, half_life=1)
    tf.train.Checkpoint(average=restored).restore(path).assert_existing_objects_matched()
    with restored.swapped_in():
        np.testing.assert_allclose(weights[1], [[2.0]])
