import copy

import numpy as np
import pytest
from ai_edge_litert import schema_py_generated as schema
from ai_edge_litert.interpreter import Interpreter

from int4_conformer.tflite import flatbuffer
from int4_conformer.tflite.serialization import serialize

MUL, ADD = schema.BuiltinOperator.MUL, schema.BuiltinOperator.ADD


def model(values, rounds):
    """y = x * values, and then as often y + values, of shape [values]."""
    tensors = [
        schema.TensorT(name=name.encode(), type=schema.TensorType.FLOAT32, buffer=buffer)
        for name, buffer in [("x", 0), ("values", 1), *((f"y{i}", 0) for i in range(rounds + 1))]
    ]
    for tensor in tensors:
        tensor.shape = np.int32([len(values)])
    operators = [
        schema.OperatorT(
            opcodeIndex=min(i, 1),
            inputs=np.int32([i + 1 if i else 0, 1]),
            outputs=np.int32([i + 2]),
            builtinOptionsType=[
                schema.BuiltinOptions.MulOptions,
                schema.BuiltinOptions.AddOptions,
            ][min(i, 1)],
            builtinOptions=[schema.MulOptionsT, schema.AddOptionsT][min(i, 1)](),
        )
        for i in range(rounds + 1)
    ]
    codes = [
        schema.OperatorCodeT(builtinCode=code, deprecatedBuiltinCode=code, version=1)
        for code in (MUL, ADD)
    ]
    subgraph = schema.SubGraphT(
        tensors=tensors,
        operators=operators,
        inputs=np.int32([0]),
        outputs=np.int32([len(tensors) - 1]),
    )
    data = np.asarray(values, np.float32).view(np.uint8)
    buffers = [schema.BufferT(), schema.BufferT(data=data)]
    return schema.ModelT(version=3, operatorCodes=codes, subgraphs=[subgraph], buffers=buffers)


def same(one, other):
    """Whether two parsed files hold the same."""
    if isinstance(one, np.ndarray) or isinstance(other, np.ndarray):
        return np.array_equal(one, other)
    if isinstance(one, list):
        return len(one) == len(other) and all(map(same, one, other))
    if hasattr(one, "__dict__"):
        return type(one) is type(other) and all(
            same(value, vars(other)[name]) for name, value in vars(one).items()
        )
    return one == other


# Values within the flatbuffer, and behind it.
@pytest.mark.parametrize("size", [3, 70_000])
def test_what_is_read_back_is_what_was_written(size):
    values = np.random.default_rng(0).normal(size=size).astype(np.float32)
    written = model(values, rounds=2)
    before = copy.deepcopy(written)
    content = serialize(written)
    assert same(written, before)
    read = flatbuffer.load(content)
    # What is left out is read as the schema's default.
    assert same(flatbuffer.load(serialize(read)), read)
    assert serialize(read) == content
    (constant,) = flatbuffer.constants(read)
    np.testing.assert_array_equal(constant.values(), values)
    x = np.random.default_rng(1).normal(size=size).astype(np.float32)
    interpreter = Interpreter(model_content=content)
    interpreter.allocate_tensors()
    interpreter.set_tensor(0, x)
    interpreter.invoke()
    found = interpreter.get_tensor(interpreter.get_output_details()[0]["index"])
    np.testing.assert_array_equal(found, x * values + values + values)


def test_what_is_alike_is_written_once():
    few, many = (serialize(model(np.arange(400), rounds)) for rounds in (10, 110))
    # Of an operator and its tensor: two tables and where they are, numbers of tensors, a name. The
    # shape and the options take 8 bytes and more.
    assert (len(many) - len(few)) / 100 < 84
    assert many.count(np.arange(400, dtype=np.float32).tobytes()) == 1
    assert many.count(b"\1\0\0\0\x90\1\0\0") == 1
