"""Versions of operators, by which a runtime without the kernels refuses a file as it loads it.

They are those of TensorFlow's `tensorflow/lite/tools/versioning/op_version.cc` and
`tensorflow/lite/core/kernels/register.cc`.
"""

import numpy as np
from ai_edge_litert import schema_py_generated as schema

from int4_conformer.tflite import flatbuffer, graph_edits

# By operator and types of its first inputs, of which the last is a weight with a scale a channel.
_VERSIONS = {
    ("FULLY_CONNECTED", "float32", "int8"): 12,
    ("FULLY_CONNECTED", "float32", "int4"): 12,
    ("FULLY_CONNECTED", "float32", "int2"): 14,
    ("FULLY_CONNECTED", "int8", "int4"): 10,
    ("FULLY_CONNECTED", "int8", "int2"): 14,
    ("EMBEDDING_LOOKUP", "int32", "int8"): 4,
    ("EMBEDDING_LOOKUP", "int32", "int4"): 4,
    ("EMBEDDING_LOOKUP", "int32", "int2"): 5,
    ("DEQUANTIZE", "int8"): 5,
    ("DEQUANTIZE", "int4"): 6,
    ("DEQUANTIZE", "int2"): 7,
}
_RUNTIME_ENTRY = b"min_runtime_version"
# The TensorFlow Lite whose kernels know them, and the one that knows INT2.
_RUNTIME, _RUNTIME_OF_INT2 = b"2.18.0", b"2.21.0"
# The first ai-edge-litert that multiplies INT2; 2.1.0 and 2.1.1 load it, and fail as they run.
_LITERT_OF_INT2 = "2.1.2"


def set_versions(model: schema.ModelT) -> None:
    """Gives operators of quantized weights the versions that know them, and says in the file's
    metadata which TensorFlow Lite that is.

    Args:
        model: with its integers, as `flatbuffer.load` gives it; it is changed.
    """
    weights = {(weight.subgraph, weight.tensor) for weight in flatbuffer.constants(model)}
    needed: dict[str, int] = {}
    runtime = _RUNTIME
    for operator in flatbuffer.operators(model):
        tensors = model.subgraphs[operator.subgraph].tensors
        types = [flatbuffer.type_name(tensors[index]) for index in operator.inputs]
        for (name, *known), version in _VERSIONS.items():
            is_known = (name, known) == (operator.name, types[: len(known)])
            if is_known and (operator.subgraph, operator.inputs[len(known) - 1]) in weights:
                needed[name] = max(version, needed.get(name, 0))
                runtime = _RUNTIME_OF_INT2 if known[-1] == "int2" else runtime
    for name, version in needed.items():
        code = model.operatorCodes[
            graph_edits.opcode_index(model, getattr(schema.BuiltinOperator, name), version)
        ]
        code.version = max(code.version, version)
    for entry in model.metadata or ():
        if needed and entry.name == _RUNTIME_ENTRY:
            # As long as the converter makes it.
            model.buffers[entry.buffer].data = np.frombuffer(runtime.ljust(16, b"\0"), np.uint8)


def required_runtime(content: bytes, source: str = "the model") -> str | None:
    """The first TensorFlow Lite that has a file's operators, such as "2.18.0"; None if the file
    does not say it.

    Raises:
        UserError: as `flatbuffer.load`.
    """
    entry = flatbuffer.metadata(content, _RUNTIME_ENTRY.decode(), source)
    return None if entry is None else entry.rstrip(b"\0").decode()


def runtimes_text(runtime: str) -> str:
    """What has a file's operators, for people, from what `required_runtime` says."""
    litert = f" {_LITERT_OF_INT2} or later" if runtime == _RUNTIME_OF_INT2.decode() else ""
    return f"TensorFlow Lite {runtime} or later, or LiteRT{litert}"
