import numpy as np
import pytest

from int4_conformer.errors import UserError
from int4_conformer.tflite import flatbuffer
from int4_conformer.tflite.packing import pack
from tests.support import dense_models, tflite_models
from tests.tflite.schemes import blockwise_weight


@pytest.fixture(params=[8, 20000], ids=["inline", "external"])
def table_rows(request):
    return request.param


def content_state(content):
    model = flatbuffer.load(content)
    constants = [
        (constant.name, constant.shape, constant.dtype, constant.data.tobytes())
        for constant in flatbuffer.constants(model)
    ]
    return constants, list(flatbuffer.operators(model))


def test_large_files_keep_their_buffers_outside_the_flatbuffer():
    schema_model = flatbuffer.schema.Model.GetRootAs(tflite_models.recognizer(table_rows=20000), 0)
    offsets = [schema_model.Buffers(i).Offset() for i in range(schema_model.BuffersLength())]
    assert max(offsets) > 1


def test_int4_constant(table_rows):
    model = flatbuffer.load(tflite_models.recognizer(table_rows=table_rows))
    (weight,) = [c for c in flatbuffer.constants(model) if c.dtype == "int4"]
    assert weight.shape == (4, 640)
    assert weight.size == 2560
    assert weight.nbytes == 1280
    assert weight.subgraph == 0
    assert model.subgraphs[0].tensors[weight.tensor].name.decode() == weight.name
    assert weight.quantized_dimension == 0
    np.testing.assert_array_equal(weight.scale, np.full(4, 1 / 7, np.float32))
    np.testing.assert_array_equal(weight.zero_point, np.zeros(4, np.int64))
    assert weight.values().dtype == np.int8
    np.testing.assert_array_equal(weight.values(), tflite_models.CODES)


def test_constants_in_blocks():
    weight = blockwise_weight(block=64, blocks=3, units=5, seed=0)
    content = pack(dense_models.float_product(weight), [weight])
    constants = {c.name: c for c in flatbuffer.constants(flatbuffer.load(content))}
    kernel, scales = constants["kernel"], constants["kernel_scales"]
    assert (kernel.dtype, kernel.shape, kernel.nbytes) == ("int4", (5, 192), 480)
    assert (kernel.block, kernel.quantized_dimension, kernel.is_scale) == (64, 0, False)
    assert kernel.zero_point is None
    assert kernel.scale.dtype == np.float32
    np.testing.assert_array_equal(kernel.scale, weight.scale)
    np.testing.assert_array_equal(kernel.values(), weight.codes)
    assert (scales.dtype, scales.shape, scales.block) == ("float16", (5, 3), None)
    assert scales.is_scale
    np.testing.assert_array_equal(scales.values(), weight.scale)


def test_float_constant(table_rows):
    model = flatbuffer.load(tflite_models.float_model(table_rows))
    (table,) = [c for c in flatbuffer.constants(model) if c.shape == (table_rows, 4)]
    expected = np.random.default_rng(0).uniform(-1, 1, [table_rows, 4]).astype(np.float32)
    expected[:, 0] = 2
    assert table.dtype == "float32"
    assert table.scale is None
    assert table.zero_point is None
    np.testing.assert_array_equal(table.values(), expected)


def test_values_that_do_not_fill_the_shape():
    constant = flatbuffer.Constant(
        name="kernel",
        shape=(3,),
        dtype="float32",
        data=np.zeros(8, np.uint8),
        scale=None,
        zero_point=None,
        quantized_dimension=0,
        buffer=1,
        subgraph=0,
        tensor=0,
    )
    with pytest.raises(UserError, match=r"'kernel' cannot be read as float32 \[3\] from 8 bytes"):
        constant.values()


def test_operators():
    model = flatbuffer.load(tflite_models.recognizer())
    operators = list(flatbuffer.operators(model))
    (dense,) = [operator for operator in operators if operator.name == "FULLY_CONNECTED"]
    tensors = model.subgraphs[0].tensors
    (weight,) = [c for c in flatbuffer.constants(model) if c.dtype == "int4"]
    assert tensors[dense.inputs[1]].name.decode() == weight.name
    assert dense.subgraph == 0
    assert len(dense.outputs) == 1
    assert {"GATHER", "WHERE", "ARG_MAX"} <= {operator.name for operator in operators}


def test_a_loaded_model_serializes_to_the_same_constants_and_operators(table_rows):
    content = tflite_models.recognizer(table_rows=table_rows)
    again = tflite_models.serialize(flatbuffer.load(content), quantize=False)
    assert content_state(again) == content_state(content)


def test_metadata_of_another_name():
    assert flatbuffer.metadata(tflite_models.recognizer(), "min_runtime_version") is not None
    assert flatbuffer.metadata(tflite_models.recognizer(), "another") is None


@pytest.mark.parametrize("content", [b"", b"RIFF\0\0\0\0WAVE", b"\x1c\0\0\0TFL"])
@pytest.mark.parametrize("function", [flatbuffer.load, lambda c, s: flatbuffer.metadata(c, "a", s)])
def test_not_a_model(content, function):
    with pytest.raises(UserError, match=r"a\.wav is not a TFLite model"):
        function(content, "a.wav")


def custom_model():
    """A model of one custom operator, whose name is the last thing in its file."""
    model = flatbuffer.load(tflite_models.float_model())
    model.operatorCodes[0].builtinCode = flatbuffer.schema.BuiltinOperator.CUSTOM
    model.operatorCodes[0].deprecatedBuiltinCode = flatbuffer.schema.BuiltinOperator.CUSTOM
    model.operatorCodes[0].customCode = b"OurOwnOperator"
    return tflite_models.serialize(model, quantize=False)


def test_a_custom_operator_has_its_own_name():
    names = {operator.name for operator in flatbuffer.operators(flatbuffer.load(custom_model()))}
    assert "OurOwnOperator" in names
    assert "CUSTOM" not in names


@pytest.mark.parametrize("build", [tflite_models.recognizer, custom_model])
def test_every_truncation_is_noticed_or_lost_padding_alone(build):
    content = build()
    state = content_state(content)
    for length in range(len(content)):
        try:
            truncated = content_state(content[:length])
        except UserError:
            continue
        assert len(content) - length < 16
        assert truncated == state


def test_truncated_external_buffers():
    content = tflite_models.recognizer(table_rows=20000)
    for length in np.random.default_rng(0).integers(8, len(content) - 16, 30):
        with pytest.raises(UserError, match="truncated or damaged"):
            flatbuffer.load(content[:length])


def test_missing_file(tmp_path):
    with pytest.raises(UserError, match=r"absent\.tflite cannot be read \(No such file"):
        flatbuffer.read_file(tmp_path / "absent.tflite")
    with pytest.raises(UserError, match=r"is a folder; give a \.tflite file"):
        flatbuffer.read_file(tmp_path)
