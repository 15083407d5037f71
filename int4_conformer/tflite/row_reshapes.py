"""Lets FULLY_CONNECTED take tensors of any rank, which the converter lays out as rows before it.

A RESHAPE copies what it is given in XNNPACK, as much as a pass of a layer norm does, and a
Conformer block would have a dozen of them.
"""

import collections

import numpy as np
from ai_edge_litert import schema_py_generated as schema

from int4_conformer.tflite import flatbuffer

# What acts on each element alone, or with a constant that is the same for each row.
_ROW_WISE = {
    schema.BuiltinOperator.ADD,
    schema.BuiltinOperator.MUL,
    schema.BuiltinOperator.LOGISTIC,
    schema.BuiltinOperator.TANH,
}


def drop_row_reshapes(model: schema.ModelT) -> None:
    """Takes out each RESHAPE to rows [rows, in] before a FULLY_CONNECTED, and the one back.

    Args:
        model: as `flatbuffer.load` gives it; it is changed.
    """
    for subgraph in model.subgraphs:
        _Subgraph(model, subgraph).drop()


class _Subgraph:
    def __init__(self, model: schema.ModelT, subgraph: schema.SubGraphT) -> None:
        self._model = model
        self._tensors = subgraph.tensors
        self._subgraph = subgraph
        self._operators = list(subgraph.operators or ())
        self._makers = {int(out): op for op in self._operators for out in op.outputs}
        self._users = collections.defaultdict(list)
        for operator in self._operators:
            for index in operator.inputs:
                self._users[int(index)].append(operator)
        self._outputs = {int(index) for index in subgraph.outputs}

    def drop(self) -> None:
        dropped = []
        for operator in self._operators:
            if self._code(operator) == schema.BuiltinOperator.FULLY_CONNECTED:
                dropped += self._keep_rank(operator)
        # Rows that nothing takes any more.
        dropped += [
            operator
            for operator in self._operators
            if self._code(operator) == schema.BuiltinOperator.RESHAPE
            and not self._users[int(operator.outputs[0])]
            and int(operator.outputs[0]) not in self._outputs
        ]
        gone = {id(operator) for operator in dropped}
        self._subgraph.operators = [op for op in self._operators if id(op) not in gone]

    def _keep_rank(self, product: schema.OperatorT) -> list[schema.OperatorT]:
        """Has a product take what its rows were made of; the RESHAPEs back that it replaces."""
        rows = int(product.inputs[0])
        source = self._source(rows)
        sizes = _signature(self._tensors[source])
        if len(sizes) < 3 or sizes.count(-1) > 1 or product.builtinOptions.keepNumDims:
            return []
        made = self._row_wise(product)
        if made is None:
            return []
        for index in made:
            tensor = self._tensors[index]
            _resize(tensor, self._tensors[source], int(tensor.shape[-1]))
        self._replace_input(product, rows, source)
        product.builtinOptions.keepNumDims = True
        return [reshape for index in made for reshape in self._same_shape(index)]

    def _source(self, rows: int) -> int:
        """What was laid out as these rows; themselves if nothing was."""
        maker = self._makers.get(rows)
        if maker is None or self._code(maker) != schema.BuiltinOperator.RESHAPE:
            return rows
        source = int(maker.inputs[0])
        widths = [_signature(self._tensors[index])[-1:] for index in (source, rows)]
        return source if widths[0] == widths[1] else rows

    def _row_wise(self, product: schema.OperatorT) -> list[int] | None:
        """Tensors of rows made of a product, itself first, if nothing else than a RESHAPE takes
        them in the end."""
        made = [int(product.outputs[0])]
        for index in made:
            if index in self._outputs:
                return None
            for user in self._users[index]:
                code = self._code(user)
                if code == schema.BuiltinOperator.RESHAPE:
                    continue
                others = [int(other) for other in user.inputs if int(other) != index]
                if code not in _ROW_WISE or not all(map(self._is_same_for_each_row, others)):
                    return None
                made.append(int(user.outputs[0]))
        return made

    def _is_same_for_each_row(self, index: int) -> bool:
        tensor = self._tensors[index]
        has_values = self._model.buffers[tensor.buffer].data is not None
        return has_values and len(tensor.shape if tensor.shape is not None else ()) <= 1

    def _same_shape(self, index: int) -> list[schema.OperatorT]:
        """RESHAPEs of a tensor to the shape that it has; their outputs' users take it instead."""
        sizes = _signature(self._tensors[index])
        same = []
        for reshape in list(self._users[index]):
            if self._code(reshape) != schema.BuiltinOperator.RESHAPE:
                continue
            output = int(reshape.outputs[0])
            if output in self._outputs or _signature(self._tensors[output]) != sizes:
                continue
            for user in list(self._users[output]):
                self._replace_input(user, output, index)
            self._users[index].remove(reshape)
            same.append(reshape)
        return same

    def _replace_input(self, operator: schema.OperatorT, old: int, new: int) -> None:
        operator.inputs = np.array(
            [new if index == old else index for index in operator.inputs], np.int32
        )
        self._users[old] = [user for user in self._users[old] if user is not operator]
        self._users[new].append(operator)

    def _code(self, operator: schema.OperatorT) -> int:
        return flatbuffer.builtin(self._model.operatorCodes[operator.opcodeIndex])


def _signature(tensor: schema.TensorT) -> list[int]:
    """Sizes; -1 where the input decides."""
    known = tensor.shapeSignature
    return [int(size) for size in (tensor.shape if known is None else known)]


def _resize(tensor: schema.TensorT, like: schema.TensorT, width: int) -> None:
    """Gives a tensor of rows the shape of another but for its width."""
    tensor.shape = np.array([*like.shape[:-1], width], np.int32)
    if like.shapeSignature is not None:
        tensor.shapeSignature = np.array([*like.shapeSignature[:-1], width], np.int32)
