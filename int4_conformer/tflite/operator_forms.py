"""Which tensors the operators of recognisers take and give.

A form is written as the types of inputs, ">", and the types of outputs, a letter each:

    x, y  any type; the same letter, the same type
    f     float32                           w     float32, int8, int4 or int2: a weight
    q     float32 or int8                   i     int32 or int64: sizes, axes, indices
    b     bool                              c     complex64
    ?     any type, whatever the others have

"+" behind a letter: one or more; "~" before it: the tensor may be left out.
"""

import dataclasses
import functools
import math
import re

import numpy as np
from ai_edge_litert import schema_py_generated as schema

from int4_conformer.tflite import flatbuffer

_TYPES = vars(schema.TensorType)
_MEMBERS = {
    "f": ("FLOAT32",),
    "w": ("FLOAT32", "INT8", "INT4", "INT2"),
    "q": ("FLOAT32", "INT8"),
    "i": ("INT32", "INT64"),
    "b": ("BOOL",),
    "c": ("COMPLEX64",),
}
_VARIABLES = "xy"

# The operators of each form.
_OPERATORS = {
    "x>x": """
        ABS CEIL COS ELU EXP FLOOR GELU HARD_SWISH L2_NORMALIZATION LEAKY_RELU LOG LOGICAL_NOT
        LOGISTIC LOG_SOFTMAX NEG RELU RELU6 RELU_0_TO_1 RELU_N1_TO_1 ROUND RSQRT SIGN SIN SOFTMAX
        SQRT SQUARE SQUEEZE TANH ZEROS_LIKE
    """,
    "xx>x": """
        ADD ATAN2 BATCH_MATMUL DIV FLOOR_DIV FLOOR_MOD LOGICAL_AND LOGICAL_OR MAXIMUM MINIMUM MUL
        POW PRELU SQUARED_DIFFERENCE SUB
    """,
    "xx>b": "EQUAL GREATER GREATER_EQUAL LESS LESS_EQUAL NOT_EQUAL",
    "xi>x": """
        BROADCAST_TO CUMSUM EXPAND_DIMS GATHER GATHER_ND MEAN MIRROR_PAD PAD REDUCE_ALL REDUCE_ANY
        REDUCE_MAX REDUCE_MIN REDUCE_PROD REVERSE_SEQUENCE REVERSE_V2 SUM TILE TRANSPOSE
    """,
    "xi>i": "ARG_MAX ARG_MIN",
    "xi>xi": "TOPK_V2",
    "xii>x": "SLICE",
    "xiii>x": "STRIDED_SLICE",
    "xix>x": "PADV2",
    "xxi>x": "DYNAMIC_UPDATE_SLICE",
    "xxx>x": "RANGE",
    "x~i>x": "RESHAPE",
    "x>i": "RANK SHAPE WHERE",
    "x>f": "DEQUANTIZE",
    "x>y": "CAST",
    "x+>x": "ADD_N CONCATENATION PACK",
    "x>x+": "UNPACK",
    "ix>x": "FILL",
    "ix>x+": "SPLIT",
    "xii>x+": "SPLIT_V",
    "ixi>x": "SCATTER_ND",
    "iixx>x": "ONE_HOT",
    "iw>f": "EMBEDDING_LOOKUP",
    "bxx>x": "SELECT SELECT_V2",
    "c>f": "COMPLEX_ABS IMAG REAL",
    "fi>c": "RFFT2D",
    "q>q": "QUANTIZE",
    "qw~?>q": "CONV_2D DEPTHWISE_CONV_2D FULLY_CONNECTED",
    "?+>?+": "WHILE",
}
_FORMS = {name: form for form, names in _OPERATORS.items() for name in names.split()}
# The operators whose options are not called by the operator's name.
_OPTIONS = {
    "BatchMatMulOptions": "BATCH_MATMUL",
    "L2NormOptions": "L2_NORMALIZATION",
    "MaximumMinimumOptions": "MAXIMUM MINIMUM",
    "ReducerOptions": "MEAN REDUCE_ALL REDUCE_ANY REDUCE_MAX REDUCE_MIN REDUCE_PROD SUM",
}
_OPTIONS_OF = {name: options for options, names in _OPTIONS.items() for name in names.split()}
# The operators that say in the first of their options how many tensors they have, and which.
COUNTED = {"PACK": "inputs", "SPLIT": "outputs", "SPLIT_V": "outputs", "UNPACK": "outputs"}


@dataclasses.dataclass(frozen=True, kw_only=True)
class Form:
    """What an operator takes or gives."""

    # A letter a tensor; the last counts for all that follow if it `repeats`.
    letters: str
    # Tensors that must be there.
    least: int
    repeats: bool

    @property
    def most(self) -> float:
        """How many tensors there may be."""
        return math.inf if self.repeats else len(self.letters)

    def letter(self, position: int) -> str:
        """Of the tensor at a position."""
        return self.letters[min(position, len(self.letters) - 1)]


@functools.cache
def forms(operator: str) -> tuple[Form, Form] | None:
    """Of the inputs and outputs of an operator; None of one that recognisers do not have."""
    if operator not in _FORMS:
        return None
    inputs, outputs = map(_form, _FORMS[operator].split(">"))
    return inputs, outputs


def member_types(letter: str) -> np.ndarray | None:
    """The `schema.TensorType`s that a letter stands for; None if they are any."""
    members = _MEMBERS.get(letter)
    return None if members is None else np.array([_TYPES[name] for name in members])


def is_variable(letter: str) -> bool:
    """Whether all tensors of a letter have one type."""
    return letter in _VARIABLES


@functools.cache
def options_types(operator: str) -> tuple[int, ...]:
    """The `schema.BuiltinOptions` that an operator may have; NONE is always one."""
    name = (
        _OPTIONS_OF.get(operator) or "".join(map(str.capitalize, operator.split("_"))) + "Options"
    )
    known = {key.lower(): value for key, value in vars(schema.BuiltinOptions).items() if value}
    return (schema.BuiltinOptions.NONE, *filter(None, [known.get(name.lower())]))


def operator_name(code: int) -> str:
    """Of a `schema.BuiltinOperator`."""
    return flatbuffer.OPERATOR_NAMES.get(code, f"number {code}")


def _form(text: str) -> Form:
    parts = re.findall(r"(~?)(.)", text.removesuffix("+"))
    return Form(
        letters="".join(letter for _, letter in parts),
        least=sum(not optional for optional, _ in parts),
        repeats=text.endswith("+"),
    )
