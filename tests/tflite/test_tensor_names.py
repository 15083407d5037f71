import numpy as np
import tensorflow as tf

from int4_conformer.tflite import flatbuffer
from int4_conformer.tflite.packing import pack
from int4_conformer.tflite.tensor_names import name_constants, name_tensors
from tests.support import dense_models
from tests.tflite.schemes import static_weight

RNG = np.random.default_rng(0)


def names(model):
    return [tensor.name.decode() for graph in model.subgraphs for tensor in graph.tensors]


def two_products(first, second):
    @tf.function(input_signature=[tf.TensorSpec([None, first.shape[0]], name="x")])
    def product(x):
        return tf.nn.tanh(tf.matmul(tf.nn.tanh(tf.matmul(x, first)), second))

    return dense_models.convert(product)


def test_tensors_are_called_as_their_layers_and_operators():
    first, second = (RNG.standard_normal([4, 4]).astype(np.float32) for _ in range(2))
    model = two_products(first, second)
    given = model.subgraphs[0].tensors[model.subgraphs[0].inputs[0]].name.decode()
    weights = {"block/up/kernel": first, "block/down/kernel": second}
    name_constants(model, weights)
    name_tensors(model, weights)
    assert sorted(names(model)) == sorted(
        [given, *weights, "block/up", "tanh", "block/down", "tanh@1"]
    )


def test_weights_are_told_in_other_layouts():
    heads = RNG.standard_normal([4, 2, 3]).astype(np.float32)
    second = RNG.standard_normal([6, 4]).astype(np.float32)
    model = two_products(heads.reshape(4, 6), second)
    other = RNG.standard_normal([4, 6]).astype(np.float32)
    name_constants(model, {"heads/kernel": 2 * heads, "other/kernel": other})
    assert "heads/kernel" in names(model)
    assert "other/kernel" not in names(model)


def test_weights_that_are_alike_get_no_name():
    equal = np.ones([4, 4], np.float32)
    model = two_products(equal, RNG.standard_normal([4, 4]).astype(np.float32))
    before = names(model)
    name_constants(model, {"one/kernel": equal, "two/kernel": equal})
    assert names(model) == before


def test_codes_of_static_products_have_names_too():
    weight = static_weight(bits=8, width=12, units=10, seed=0)
    content = pack(dense_models.float_product(weight, np.ones(10, np.float32)), [weight])
    found = names(flatbuffer.load(content))
    assert len(found) == len(set(found))
    assert all(found)
