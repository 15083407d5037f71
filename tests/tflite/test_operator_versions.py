import pytest
import tensorflow as tf
from ai_edge_litert import interpreter as litert

from int4_conformer.export.trace import deployed_weights
from int4_conformer.layers import QuantEmbedding
from int4_conformer.quant.deploy import deploying
from int4_conformer.tflite import flatbuffer
from int4_conformer.tflite.operator_versions import required_runtime
from int4_conformer.tflite.packing import pack
from tests.support import dense_models
from tests.tflite.schemes import static_weight


def versions(content):
    """The version of each operator of a file, by its name."""
    names = {code: name for name, code in vars(flatbuffer.schema.BuiltinOperator).items()}
    codes = flatbuffer.load(content).operatorCodes
    return {names[flatbuffer.builtin(code)]: code.version for code in codes}


# The last versions that tflite-runtime 2.14 has, as its own interpreter says.
TFLITE_2_14 = {"FULLY_CONNECTED": 10, "EMBEDDING_LOOKUP": 3, "DEQUANTIZE": 5}


@pytest.mark.parametrize("recipe", ["w4a8", "w8a8", "w4a8sym", "w3c_a8d", "w2b32_a8d"])
def test_products_are_of_a_version_that_old_runtimes_refuse(recipe):
    content = dense_models.packed(dense_models.layer(recipe, 32, 10))
    assert versions(content) == {"FULLY_CONNECTED": 12}
    assert versions(content)["FULLY_CONNECTED"] > TFLITE_2_14["FULLY_CONNECTED"]
    assert required_runtime(content) == "2.18.0"
    litert.Interpreter(model_content=content).allocate_tensors()


def test_dequantized_weights():
    four, eight = (dense_models.packed(dense_models.layer(r, 12, 10)) for r in ("w4c", "w8c"))
    assert versions(four)["DEQUANTIZE"] == 6
    assert versions(eight)["DEQUANTIZE"] == 5
    # The product is one of floats.
    assert versions(four)["FULLY_CONNECTED"] < 12


# The last versions that ai-edge-litert 2.0.3 has, which cannot read INT2.
LITERT_2_0 = {"FULLY_CONNECTED": 13, "EMBEDDING_LOOKUP": 4, "DEQUANTIZE": 6}


def test_2_bits_need_a_newer_runtime_and_say_so():
    product, values = (dense_models.layer(recipe, 12, 10) for recipe in ("w2a8", "w2c"))
    product, values = dense_models.packed(product), dense_models.packed(values)
    assert versions(product) == {"FULLY_CONNECTED": 14}
    assert versions(values)["DEQUANTIZE"] == 7
    for content in (product, values):
        assert any(version > LITERT_2_0[name] for name, version in versions(content).items())
        assert required_runtime(content) == "2.21.0"
        litert.Interpreter(model_content=content).allocate_tensors()


def test_a_table_of_2_bits():
    layer = QuantEmbedding(7, 6, quant="w2a8")
    layer.build()
    ids = tf.TensorSpec([None], tf.int32)
    with deploying("float_twin") as deployment:
        model = dense_models.convert(tf.function(layer, input_signature=[ids]))
    content = pack(model, deployed_weights(deployment, layer))
    assert versions(content)["EMBEDDING_LOOKUP"] == 5 > LITERT_2_0["EMBEDDING_LOOKUP"]
    assert required_runtime(content) == "2.21.0"


def test_float_files_run_anywhere():
    dense = dense_models.layer("float", 12, 10)
    content = dense_models.packed(dense)
    assert versions(content)["FULLY_CONNECTED"] <= TFLITE_2_14["FULLY_CONNECTED"]
    assert required_runtime(content) != "2.18.0"


@pytest.mark.parametrize(("bits", "version"), [(2, 14), (4, 10), (8, 6)])
def test_static_products(bits, version):
    weight = static_weight(bits=bits, width=12, units=10, seed=0)
    found = versions(pack(dense_models.float_product(weight), [weight]))
    assert found["FULLY_CONNECTED"] <= version
    assert (found["FULLY_CONNECTED"] == version) == (bits < 8)
    assert found["DEQUANTIZE"] == 2
