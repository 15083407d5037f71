import concurrent.futures

import keras
import numpy as np
import pytest
import tensorflow as tf

from int4_conformer.errors import UserError
from int4_conformer.quant import QuantConfig, dot
from int4_conformer.quant.deploy import deploying
from int4_conformer.quant.products.trained import TrainedProducts, products
from tests.quant import reference

W4 = QuantConfig(weight_bits=4)
RNG = np.random.default_rng(0)
X = RNG.standard_normal([3, 4]).astype(np.float32)


def variable(name="kernel"):
    return keras.Variable(RNG.standard_normal([4, 5]).astype(np.float32), name=name)


def test_a_weight_is_deployed_once_however_often_it_is_used():
    kernel = variable()
    with deploying("float_twin") as target:
        tf.function(
            lambda: dot(X, kernel, W4) + dot(-X, kernel, W4), autograph=False
        ).get_concrete_function()
    (matrix,) = target.matrices.values()
    assert matrix.name == "kernel"
    on_grid = reference.on_grid(kernel.numpy(), 4, axes=(0,))
    np.testing.assert_array_equal(matrix.in_graph, on_grid)


def test_variables_of_one_path_are_told_apart():
    first, second = variable(), variable()
    with deploying("float_twin") as target:
        function = tf.function(
            lambda: [dot(X, kernel, W4) for kernel in (first, second, first)], autograph=False
        ).get_concrete_function()
    assert list(target.matrices) == ["kernel", "kernel~1"]
    for y, kernel in zip(function(), (first, second, first), strict=True):
        on_grid = reference.on_grid(kernel.numpy(), 4, axes=(0,))
        np.testing.assert_allclose(y, X @ on_grid, rtol=1e-5, atol=1e-6)


def test_deployments_nest():
    assert isinstance(products(), TrainedProducts)
    with deploying("integers") as outer:
        with deploying("float_twin") as inner:
            assert products() is inner
        assert products() is outer
    assert isinstance(products(), TrainedProducts)


def test_deployments_are_of_their_thread():
    with deploying("integers"), concurrent.futures.ThreadPoolExecutor() as pool:
        assert isinstance(pool.submit(products).result(), TrainedProducts)


def test_a_weight_without_a_name():
    with deploying("integers"), pytest.raises(UserError, match="Only variables of Keras layers"):
        dot(X, tf.ones([4, 5]), W4)
