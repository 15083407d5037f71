import pytest
from ai_edge_litert import interpreter as litert

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


@pytest.mark.parametrize("recipe", ["w4a8", "w8a8", "w4a8sym"])
def test_products_are_of_a_version_that_old_runtimes_refuse(recipe):
    content = dense_models.packed(dense_models.layer(recipe, 12, 10))
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


def test_float_files_run_anywhere():
    dense = dense_models.layer("float", 12, 10)
    content = dense_models.packed(dense)
    assert versions(content)["FULLY_CONNECTED"] <= TFLITE_2_14["FULLY_CONNECTED"]
    assert required_runtime(content) != "2.18.0"


@pytest.mark.parametrize(("bits", "version"), [(4, 10), (8, 6)])
def test_static_products(bits, version):
    weight = static_weight(bits=bits, width=12, units=10, seed=0)
    found = versions(pack(dense_models.float_product(weight), [weight]))
    assert found["FULLY_CONNECTED"] <= version
    assert (found["FULLY_CONNECTED"] == version) == (bits == 4)
    assert found["DEQUANTIZE"] == 2
