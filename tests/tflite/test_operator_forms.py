import math

import pytest
from ai_edge_litert import schema_py_generated as schema

from int4_conformer.tflite import operator_forms

TYPES, OPTIONS = schema.TensorType, schema.BuiltinOptions


def test_a_form_with_an_optional_input():
    inputs, outputs = operator_forms.forms("FULLY_CONNECTED")
    assert (inputs.least, inputs.most) == (2, 3)
    assert (outputs.least, outputs.most) == (1, 1)
    assert [inputs.letter(i) for i in range(3)] == ["q", "w", "?"]
    assert TYPES.INT4 in operator_forms.member_types("w")
    assert TYPES.INT4 not in operator_forms.member_types("q")
    assert operator_forms.member_types("?") is operator_forms.member_types("x") is None


def test_a_form_that_repeats():
    inputs, outputs = operator_forms.forms("CONCATENATION")
    assert (inputs.least, inputs.most) == (1, math.inf)
    assert [inputs.letter(i) for i in range(4)] == ["x"] * 4
    assert operator_forms.is_variable("x")
    assert not operator_forms.is_variable("f")
    assert outputs.letter(0) == "x"


def test_operators_that_recognisers_do_not_have():
    assert operator_forms.forms("CUSTOM") is None
    assert operator_forms.forms("CALL_ONCE") is None
    assert operator_forms.operator_name(schema.BuiltinOperator.ADD) == "ADD"
    assert operator_forms.operator_name(20000) == "number 20000"


@pytest.mark.parametrize(
    ("operator", "options"),
    [
        ("ADD", "AddOptions"),
        ("BATCH_MATMUL", "BatchMatMulOptions"),
        ("CONV_2D", "Conv2DOptions"),
        ("DEPTHWISE_CONV_2D", "DepthwiseConv2DOptions"),
        ("FULLY_CONNECTED", "FullyConnectedOptions"),
        ("MEAN", "ReducerOptions"),
        ("MINIMUM", "MaximumMinimumOptions"),
        ("RFFT2D", "Rfft2dOptions"),
        ("SELECT_V2", "SelectV2Options"),
        ("WHILE", "WhileOptions"),
    ],
)
def test_options(operator, options):
    assert operator_forms.options_types(operator) == (OPTIONS.NONE, getattr(OPTIONS, options))


def test_an_operator_that_has_none():
    assert operator_forms.options_types("TANH") == (OPTIONS.NONE,)


def test_every_form_is_of_an_operator_that_there_is():
    names = set(vars(schema.BuiltinOperator))
    for form, operators in operator_forms._OPERATORS.items():
        for operator in operators.split():
            assert operator in names
            inputs, outputs = operator_forms.forms(operator)
            assert len(inputs.letters) + len(outputs.letters) == sum(map(form.count, "fwqibcxy?"))
