"""Files with one thing wrong, each refused with a sentence that says what."""

import contextlib

import numpy as np
import pytest
from ai_edge_litert import schema_py_generated as schema

from int4_conformer.errors import UserError
from int4_conformer.tflite import flatbuffer
from int4_conformer.tflite.serialization import serialize
from int4_conformer.tflite.validation import require_valid
from tests.support import dense_models, tflite_models
from tests.tflite.schemes import blockwise_weight, static_weight

TYPES = schema.TensorType


@pytest.fixture(scope="module", params=[8, 20000], ids=["inline", "external"])
def content(request):
    return tflite_models.recognizer(table_rows=request.param)


def operator(model, name):
    """The first operator of a name, in the first subgraph."""
    names = [x.name for x in flatbuffer.operators(model) if x.subgraph == 0]
    return model.subgraphs[0].operators[names.index(name)]


def tensor(model, name, position):
    """An input of that operator."""
    return model.subgraphs[0].tensors[operator(model, name).inputs[position]]


def changed(content, change):
    """The file after `change` of its parsed model, written as it is."""
    model = flatbuffer.load(content)
    change(model)
    return serialize(model)


def refused(content, reason):
    with pytest.raises(UserError, match=rf"a\.tflite is a .*damaged TFLite model \({reason}\)"):
        require_valid(content, "a.tflite")


def test_honest_files(content):
    require_valid(content)
    require_valid(changed(content, lambda model: None))


@pytest.mark.parametrize("scheme", ["blocks", "static"])
def test_honest_files_of_other_schemes(scheme):
    from int4_conformer.tflite.packing import pack

    weight = static_weight(4, 12, 10, seed=0)
    if scheme == "blocks":
        weight = blockwise_weight(block=32, blocks=4, units=5, seed=0)
    content = pack(dense_models.float_product(weight), [weight])
    # Their converter gave them no signature.
    refused(content, "it has no signatures")

    def sign(model):
        ends = [
            [schema.TensorMapT(name=b"x", tensorIndex=int(index)) for index in indices]
            for indices in (model.subgraphs[0].inputs, model.subgraphs[0].outputs)
        ]
        key = b"serving_default"
        signature = schema.SignatureDefT(inputs=ends[0], outputs=ends[1], signatureKey=key)
        model.signatureDefs = [signature]

    require_valid(changed(content, sign))


def set_shape(model):
    tensor(model, "FULLY_CONNECTED", 1).shape = np.array([4, 641], np.int32)


def set_negative_shape(model):
    tensor(model, "FULLY_CONNECTED", 0).shape = np.array([1, -640], np.int32)


def set_large_shape(model):
    tensor(model, "FULLY_CONNECTED", 0).shape = np.array([2**14, 2**14 + 1], np.int32)


def set_tensor_name(model):
    tensor(model, "FULLY_CONNECTED", 0).name = b"\xf4"


def set_type(model):
    tensor(model, "FULLY_CONNECTED", 0).type = TYPES.STRING


def set_weight_type(model):
    # As many bytes.
    weight = tensor(model, "FULLY_CONNECTED", 1)
    weight.type, weight.shape = TYPES.INT64, np.array([4, 40], np.int32)


def set_other_type(model):
    tensor(model, "FULLY_CONNECTED", 0).type = TYPES.INT32


def set_buffer(model):
    tensor(model, "FULLY_CONNECTED", 1).buffer = 10_000


def make_variable(model):
    tensor(model, "FULLY_CONNECTED", 0).isVariable = True


def drop_scales(model):
    quantization = tensor(model, "FULLY_CONNECTED", 1).quantization
    quantization.scale, quantization.zeroPoint = quantization.scale[:3], quantization.zeroPoint[:3]


def drop_zero_points(model):
    quantization = tensor(model, "FULLY_CONNECTED", 1).quantization
    quantization.zeroPoint = quantization.zeroPoint[:3]


def set_scale(model):
    scale = tensor(model, "FULLY_CONNECTED", 1).quantization.scale.copy()
    scale[2] = np.nan
    tensor(model, "FULLY_CONNECTED", 1).quantization.scale = scale


def set_axis(model):
    tensor(model, "FULLY_CONNECTED", 1).quantization.quantizedDimension = 2


def set_code(model):
    code = model.operatorCodes[operator(model, "FULLY_CONNECTED").opcodeIndex]
    code.builtinCode = code.deprecatedBuiltinCode = schema.BuiltinOperator.SKIP_GRAM


def set_kind(model):
    operator(model, "FULLY_CONNECTED").opcodeIndex = len(model.operatorCodes)


def set_input(model):
    _, *rest = operator(model, "FULLY_CONNECTED").inputs
    operator(model, "FULLY_CONNECTED").inputs = [len(model.subgraphs[0].tensors), *rest]


def leave_out(model):
    _, *rest = operator(model, "FULLY_CONNECTED").inputs
    operator(model, "FULLY_CONNECTED").inputs = [-1, *rest]


def give_more(model):
    operator(model, "SHAPE").inputs = [*operator(model, "SHAPE").inputs] * 2


def set_output(model):
    matmul = operator(model, "FULLY_CONNECTED")
    matmul.outputs = [matmul.inputs[1]]


def make_twice(model):
    operator(model, "FULLY_CONNECTED").outputs = operator(model, "SHAPE").outputs


def take_later(model):
    subgraph = model.subgraphs[0]
    later = int(subgraph.outputs[0])
    _, *rest = operator(model, "FULLY_CONNECTED").inputs
    operator(model, "FULLY_CONNECTED").inputs = [later, *rest]


def drop_maker(model):
    subgraph = model.subgraphs[0]
    outputs = set(map(int, subgraph.outputs))
    subgraph.operators = [o for o in subgraph.operators if not outputs & set(map(int, o.outputs))]


def drop_options(model):
    operator(model, "STRIDED_SLICE").builtinOptions = None


def set_options(model):
    matmul = operator(model, "FULLY_CONNECTED")
    matmul.builtinOptions = schema.AddOptionsT()
    matmul.builtinOptionsType = schema.BuiltinOptions.AddOptions


def set_constant_input(model):
    index = int(operator(model, "FULLY_CONNECTED").inputs[1])
    model.subgraphs[0].inputs = [index]
    model.signatureDefs[0].inputs[0].tensorIndex = index


def set_signature_subgraph(model):
    model.signatureDefs[0].subgraphIndex = 3


def set_signature_tensor(model):
    model.signatureDefs[0].outputs[0].tensorIndex += 1


def name_alike(model):
    first, second, *_ = model.signatureDefs[0].outputs
    first.name = second.name


def drop_signatures(model):
    model.signatureDefs = []


def set_metadata(model):
    model.metadata[-1].buffer = 10_000


def set_version(model):
    model.version = 4


@pytest.mark.parametrize(
    ("change", "reason"),
    [
        (set_shape, "a constant is not as large as its shape"),
        (set_negative_shape, "a tensor has a negative size"),
        (set_large_shape, "a tensor is larger than any of a recogniser"),
        (set_tensor_name, "the name of a tensor is no text"),
        (set_type, "a tensor has a type that recognisers do not have"),
        (set_weight_type, "FULLY_CONNECTED has a tensor of another type than it takes"),
        (set_other_type, r"\w+ has a tensor of another type than it takes"),
        (set_buffer, "a tensor has no buffer"),
        (make_variable, "a tensor is a variable"),
        (drop_scales, "a weight has not as many scales as channels"),
        (drop_zero_points, "a weight has not as many zero points as scales"),
        (set_scale, "a scale is not positive"),
        (set_axis, "scales run along no axis"),
        (set_code, "this version knows no recogniser with an operator SKIP_GRAM"),
        (set_kind, "an operator is of no kind"),
        (set_input, "a tensor that is used is not there"),
        (leave_out, "FULLY_CONNECTED lacks one of its inputs"),
        (give_more, "SHAPE has too many or too few tensors"),
        (set_output, "an operator makes what is there before"),
        (make_twice, "a tensor is made twice"),
        (take_later, "an operator takes what is made later"),
        (drop_maker, r"an operator takes what is made later|an output is never made"),
        (drop_options, "an operator lacks its options"),
        (set_options, "FULLY_CONNECTED has the options of another operator"),
        (set_constant_input, "an input is a constant"),
        (set_signature_subgraph, "a signature has no subgraph"),
        (set_signature_tensor, "a signature does not name the inputs and outputs of its subgraph"),
        (name_alike, "a signature has one name for two tensors"),
        (drop_signatures, "it has no signatures"),
        (set_metadata, "metadata are not in it"),
        (set_version, "its format is not 3"),
    ],
    ids=lambda value: getattr(value, "__name__", ""),
)
def test_one_thing_wrong(content, change, reason):
    refused(changed(content, change), reason)


@pytest.fixture(scope="module")
def loop():
    """A file with a loop, from subgraph 0 through 1, its condition, and 2, its body."""
    import tensorflow as tf

    @tf.function(input_signature=[tf.TensorSpec([4], tf.float32, name="x")])
    def double(x):
        _, x = tf.while_loop(lambda i, x: i < 3, lambda i, x: (i + 1, 2.0 * x), (0, x))
        return {"y": x}

    module = tf.Module()
    module.double = double
    concrete = double.get_concrete_function()
    return tf.lite.TFLiteConverter.from_concrete_functions([concrete], module).convert()


def test_an_honest_loop(loop):
    require_valid(loop)


def loop_options(model):
    return operator(model, "WHILE").builtinOptions


def run_itself(model):
    loop_options(model).bodySubgraphIndex = 0


def run_nothing(model):
    loop_options(model).condSubgraphIndex = 3


def run_the_condition(model):
    loop_options(model).bodySubgraphIndex = loop_options(model).condSubgraphIndex


def check_the_body(model):
    loop_options(model).condSubgraphIndex = loop_options(model).bodySubgraphIndex


@pytest.mark.parametrize(
    ("change", "reason"),
    [
        (run_itself, "a loop runs no subgraph behind its own"),
        (run_nothing, "a loop runs no subgraph behind its own"),
        (run_the_condition, "a loop and what it runs do not fit"),
        (check_the_body, "a loop has no condition"),
    ],
    ids=lambda value: getattr(value, "__name__", ""),
)
def test_one_thing_wrong_with_a_loop(loop, change, reason):
    refused(changed(loop, change), reason)


def test_truncated_files(content):
    for length in np.random.default_rng(0).integers(8, len(content) - 16, 40):
        with pytest.raises(UserError, match="truncated or damaged"):
            require_valid(content[:length])


def test_any_bytes_at_all():
    rng = np.random.default_rng(0)
    content = np.frombuffer(tflite_models.recognizer(), np.uint8)
    for _ in range(200):
        garbage = content.copy()
        start = rng.integers(len(content) - 64)
        garbage[start : start + 64] = rng.integers(0, 256, 64)
        # No other error.
        with contextlib.suppress(UserError):
            require_valid(garbage.tobytes())
