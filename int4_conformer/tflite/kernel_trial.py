"""Which kernel LiteRT has for 4-bit weights on this machine: a file of one matmul, run once."""

import dataclasses

import numpy as np
from ai_edge_litert import schema_py_generated as schema

from int4_conformer.quant.numerics.pack import pack_codes
from int4_conformer.tflite import flatbuffer, graph_edits
from int4_conformer.tflite.kernel_profile import profile
from int4_conformer.tflite.matmul_kernels import integer_matmuls, on_integer_kernels
from int4_conformer.tflite.serialization import serialize

_SIGNATURE, _INPUT, _OUTPUT = "matmul", "x", "y"
# Frames of 10 s of audio, and the width of a large model.
_ROWS, _WIDTH = 250, 512
_RUNS = 5


@dataclasses.dataclass(frozen=True, kw_only=True)
class KernelTrial:
    """What ran a matmul of float32 by int4 with a scale a channel."""

    # Rows, width and columns.
    shape: tuple[int, int, int] = (_ROWS, _WIDTH, _WIDTH)
    # As LiteRT's profiler names it; FULLY_CONNECTED or "none": no kernel for integers.
    kernel: str
    # The fastest of some runs on one thread.
    milliseconds: float

    @property
    def is_integer(self) -> bool:
        """Whether it multiplies integers."""
        return "QC4W" in self.kernel


def try_int4_kernel() -> KernelTrial:
    """Runs the matmul.

    Raises:
        UserError: the installed LiteRT has no profiler, or cannot run it.
    """
    content = _matmul()
    x = np.random.default_rng(0).standard_normal([_ROWS, _WIDTH]).astype(np.float32)
    matmuls = integer_matmuls(flatbuffer.load(content))
    microseconds = []
    for _ in range(_RUNS):
        found = profile(content, _SIGNATURE, {_INPUT: x})
        microseconds.append(sum(sum(taken.values()) for taken in found.microseconds.values()))
    (kernel,) = on_integer_kernels(matmuls, found.kernels, "xnnpack")
    return KernelTrial(kernel=kernel, milliseconds=min(microseconds) / 1000)


def _matmul() -> bytes:
    """The content of the file."""
    codes = np.random.default_rng(0).integers(-7, 8, [_WIDTH, _WIDTH], np.int8)
    subgraph = schema.SubGraphT(tensors=[], inputs=[0], outputs=[1], operators=[])
    model = schema.ModelT(
        version=3,
        operatorCodes=[],
        subgraphs=[subgraph],
        # The first is that of tensors without values.
        buffers=[schema.BufferT(), schema.BufferT(data=pack_codes(codes, 4))],
        description="",
    )
    shape = np.array([_ROWS, _WIDTH], np.int32)
    for name in (_INPUT, _OUTPUT):
        subgraph.tensors.append(
            schema.TensorT(type=schema.TensorType.FLOAT32, shape=shape, name=name)
        )
    graph_edits.add_tensor(
        subgraph,
        schema.TensorType.INT4,
        np.array(codes.shape, np.int32),
        np.full(_WIDTH, 0.01, np.float32),
        np.zeros(_WIDTH, np.int64),
        buffer=1,
        name="weight",
    )
    fully_connected = schema.BuiltinOperator.FULLY_CONNECTED
    subgraph.operators.append(
        schema.OperatorT(
            opcodeIndex=graph_edits.opcode_index(model, fully_connected, 9),
            inputs=np.array([0, 2, -1], np.int32),
            outputs=np.array([1], np.int32),
            builtinOptionsType=schema.BuiltinOptions.FullyConnectedOptions,
            builtinOptions=schema.FullyConnectedOptionsT(),
        )
    )
    model.signatureDefs = [
        schema.SignatureDefT(
            inputs=[schema.TensorMapT(name=_INPUT, tensorIndex=0)],
            outputs=[schema.TensorMapT(name=_OUTPUT, tensorIndex=1)],
            signatureKey=_SIGNATURE,
            subgraphIndex=0,
        )
    ]
    return serialize(model)
