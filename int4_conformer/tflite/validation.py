"""Whether a recogniser's file is whole, before LiteRT sees it: LiteRT trusts what it runs.

A damaged file may have the right checksum, if whoever damaged it made it right. What is checked
here is all that a file says about itself: where its parts are, which tensors operators take and
give and in which order, how large constants are. Which numbers weights have cannot be checked.

All subgraphs are checked at once (`tflite.flat_tables`), so that a file of 60 MB takes some
milliseconds. Tensors and operators are numbered through all of them.
"""

import dataclasses

import numpy as np
from ai_edge_litert import schema_py_generated as schema

from int4_conformer.tflite import flat_tables, flatbuffer, operator_forms
from int4_conformer.tflite.flat_tables import Tables, Vectors
from int4_conformer.tflite.operator_forms import Form

_FORMAT = 3
# Bits of a value, by `schema.TensorType`; 0 of those that recognisers do not have.
_BITS = np.zeros(256, np.int64)
for _width, _types in {
    2: ("INT2",),
    4: ("INT4",),
    8: ("BOOL", "INT8", "UINT8"),
    16: ("BFLOAT16", "FLOAT16", "INT16"),
    32: ("FLOAT32", "INT32"),
    64: ("COMPLEX64", "INT64"),
}.items():
    for _type in _types:
        _BITS[getattr(schema.TensorType, _type)] = _width
# Of a tensor that is computed: a gigabyte of float32. Many tensors of a file have one shape.
_MOST_VALUES = 2**28
_LEFT_OUT = -1


def require_valid(content: bytes, source: str = "the model") -> None:
    """Checks the structure of a recogniser's file.

    Args:
        content: the whole file.
        source: what errors call it, such as its path.

    Raises:
        UserError: the file is damaged, or has operators that this version does not know.
    """
    try:
        _check(content)
    except (flat_tables.OutsideError, _DamageError) as error:
        raise flatbuffer.damaged(source, str(error)) from error


class _DamageError(Exception):
    """Says what is wrong, in words that go into a sentence."""


def _require(holds: bool | np.ndarray, what: str) -> None:
    if not np.all(holds):
        raise _DamageError(what)


def _check(content: bytes) -> None:
    root = flat_tables.root(content)
    _require(root.numbers(0, "<u4") == _FORMAT, f"its format is not {_FORMAT}")
    subgraphs = root.vectors(2, 4).tables()
    _require(len(subgraphs) > 0, "it computes nothing")
    buffers = _buffer_sizes(root.vectors(4, 4).tables(), len(content))
    metadata = root.vectors(6, 4).tables()
    _require(metadata.numbers(1, "<u4") < len(buffers), "metadata are not in it")
    tensors = _Tensors(subgraphs.vectors(0, 4), buffers)
    tensors.check()
    names = _operator_names(root.vectors(1, 4).tables())
    operators = _Operators(subgraphs.vectors(3, 4), names, tensors)
    inputs = _Ends(subgraphs.vectors(1, 4), tensors)
    outputs = _Ends(subgraphs.vectors(2, 4), tensors)
    operators.check_order(inputs, outputs)
    operators.check_forms()
    operators.check_loops(inputs, outputs)
    _check_signatures(root.vectors(7, 4).tables(), inputs, outputs)


def _operator_names(codes: Tables) -> list[str]:
    # Old files hold the code in the deprecated field alone, new ones both up to 127.
    numbers = np.maximum(codes.numbers(0, "<i1"), codes.numbers(3, "<i4"))
    names = [operator_forms.operator_name(number) for number in numbers.tolist()]
    for name in names:
        known = operator_forms.forms(name) is not None
        _require(known, f"this version knows no recogniser with an operator {name}")
    return names


def _buffer_sizes(buffers: Tables, size: int) -> np.ndarray:
    """Bytes of each buffer, which lies in the flatbuffer or behind it."""
    offsets, sizes = (buffers.numbers(field, "<u8").astype(np.float64) for field in (1, 2))
    # An offset of 0 or 1 is the schema's mark that there is none.
    outside = offsets > 1
    _require(offsets[outside] + sizes[outside] <= size, "values are missing at its end")
    return np.where(outside, sizes, buffers.vectors(0, 1).lengths).astype(np.int64)


def _are_text(names: Vectors) -> bool:
    """Whether all are UTF-8."""
    try:
        b"\n".join(names.texts()).decode()
    except UnicodeDecodeError:
        return False
    return True


class _Tensors:
    """The tensors of all subgraphs."""

    def __init__(self, vectors: Vectors, buffers: np.ndarray):
        self._tables = vectors.tables()
        # Of each subgraph.
        self.counts = vectors.lengths
        self.firsts = vectors.firsts
        self.types = self._tables.numbers(1, "u1").astype(np.int64)
        self._shapes = self._tables.vectors(0, 4)
        self._sides = self._shapes.values("<i4").astype(np.int64)
        held = self._tables.numbers(2, "<u4")
        _require(held < len(buffers), "a tensor has no buffer")
        self._nbytes = buffers[held]
        # Whether each has its values in the file.
        self.are_constant = self._nbytes > 0

    def __len__(self) -> int:
        return len(self._tables)

    def check(self) -> None:
        bits = _BITS[self.types]
        _require(bits > 0, "a tensor has a type that recognisers do not have")
        _require(self._sides >= 0, "a tensor has a negative size")
        values = np.ones(len(self))
        np.multiply.at(values, self._shapes.owners(), self._sides)
        right = (values <= _MOST_VALUES) | self.are_constant
        _require(right, "a tensor is larger than any of a recogniser")
        needed = (values * bits + 7) // 8
        right = (self._nbytes == needed) | ~self.are_constant
        _require(right, "a constant is not as large as its shape")
        open_axes = self._tables.vectors(7, 4).lengths
        right = (open_axes == 0) | (open_axes == self._shapes.lengths)
        _require(right, "a tensor has two shapes")
        _require(_are_text(self._tables.vectors(3, 1)), "the name of a tensor is no text")
        # A variable keeps its value from run to run; recognisers hand their states on.
        _require(self._tables.numbers(5, "u1") == 0, "a tensor is a variable")
        _require(self._tables.places(6) == 0, "a tensor is sparse")
        self._check_scales()

    def _check_scales(self) -> None:
        held, tables = self._tables.holders(4), self._tables.parts(4)
        scales = tables.vectors(2, 4)
        counts = scales.lengths
        values = scales.values("<f4")
        _require(np.isfinite(values) & (values > 0), "a scale is not positive")
        zero_points = tables.vectors(3, 8).lengths
        _require(counts == zero_points, "a weight has not as many zero points as scales")
        axes = tables.numbers(6, "<i4").astype(np.int64)
        many = counts > 1
        right = (axes >= 0) & (axes < self._shapes.lengths[held])
        _require(right[many], "scales run along no axis")
        channels = self._sides[(self._shapes.firsts[held] + axes)[many]]
        _require(counts[many] == channels, "a weight has not as many scales as channels")
        blockwise = np.flatnonzero(tables.numbers(4, "u1"))
        if blockwise.size:
            _require(tables.places(5)[blockwise] > 0, "blocks have no scales")
            self._check_blocks(held[blockwise], tables[blockwise].parts(5))

    def _check_blocks(self, weights: np.ndarray, tables: Tables) -> None:
        scales = self.numbered(tables.numbers(0, "<i4"), self._owners()[weights])
        right = self.are_constant[scales] & (self.types[scales] == schema.TensorType.FLOAT16)
        _require(right, "scales of blocks are none")
        sizes = tables.numbers(2, "<i4").astype(np.int64)
        _require((sizes > 0) & (self._shapes.lengths[weights] == 2), "blocks have no size")
        rows, width = (self._sides[self._shapes.firsts[weights] + axis] for axis in (0, 1))
        right = self._nbytes[scales] * sizes == 2 * rows * width
        _require(right, "a weight has not as many scales as blocks")

    def numbered(self, indices: np.ndarray, subgraphs: np.ndarray) -> np.ndarray:
        """Indices into the tensors of a subgraph each, as indices into all.

        -1, which stands for a tensor that is left out, stays.
        """
        right = (indices >= _LEFT_OUT) & (indices < self.counts[subgraphs])
        _require(right, "a tensor that is used is not there")
        return np.where(indices == _LEFT_OUT, _LEFT_OUT, indices + self.firsts[subgraphs])

    def _owners(self) -> np.ndarray:
        return np.repeat(np.arange(len(self.counts)), self.counts)


class _Ends:
    """The inputs, or the outputs, of all subgraphs."""

    def __init__(self, vectors: Vectors, tensors: _Tensors):
        self._vectors = vectors
        self.tensors = tensors.numbered(vectors.values("<i4").astype(np.int64), vectors.owners())
        _require(self.tensors != _LEFT_OUT, "an input or output is not there")
        self._types = tensors.types[self.tensors]
        self._first_tensors = tensors.firsts

    @property
    def subgraphs(self) -> int:
        return len(self._vectors.lengths)

    def types(self, subgraph: int) -> list[int]:
        return self._vectors.part(self._types, subgraph).tolist()

    def indices(self, subgraph: int) -> list[int]:
        """As the subgraph itself numbers its tensors."""
        mine = self._vectors.part(self.tensors, subgraph) - self._first_tensors[subgraph]
        return mine.tolist()


class _Operators:
    """The operators of all subgraphs, in the order in which they run."""

    def __init__(self, vectors: Vectors, names: list[str], tensors: _Tensors):
        self._tables = vectors.tables()
        self._subgraphs = vectors.owners()
        self._names = names
        self._tensors = tensors
        self._codes = self._tables.numbers(0, "<u4").astype(np.int64)
        _require(self._codes < len(names), "an operator is of no kind")
        self._given, self._made = (self._ends(field) for field in (1, 2))

    def _ends(self, field: int) -> "_OperatorEnds":
        vectors = self._tables.vectors(field, 4)
        indices = vectors.values("<i4").astype(np.int64)
        tensors = self._tensors.numbered(indices, self._subgraphs[vectors.owners()])
        return _OperatorEnds(vectors=vectors, tensors=tensors)

    def check_order(self, inputs: _Ends, outputs: _Ends) -> None:
        """Whatever an operator takes is there before it, and nothing is made twice."""
        constant, never = -1, len(self._tables)
        made_by = np.full(len(self._tensors), never)
        made_by[self._tensors.are_constant] = constant
        _require(made_by[inputs.tensors] == never, "an input is a constant")
        made_by[inputs.tensors] = constant
        made = self._made.tensors
        _require(made != _LEFT_OUT, "an operator makes nothing")
        _require(made_by[made] == never, "an operator makes what is there before")
        _require(np.bincount(made, minlength=1) <= 1, "a tensor is made twice")
        _require(np.bincount(inputs.tensors, minlength=1) <= 1, "an input is there twice")
        made_by[made] = self._made.vectors.owners()
        taken = self._given.tensors != _LEFT_OUT
        right = made_by[self._given.tensors] < self._given.vectors.owners()
        _require(right[taken], "an operator takes what is made later")
        _require(made_by[outputs.tensors] != never, "an output is never made")

    def check_forms(self) -> None:
        """Each operator has the tensors and the options of its kind."""
        options = self._tables.numbers(3, "u1")
        has_options = self._tables.places(4) > 0
        _require((options > 0) == has_options, "an operator lacks its options")
        others = self._tables.numbers(11, "u1") > 0
        _require(~others, "an operator has options of another kind")
        for code, name in enumerate(self._names):
            mine = np.flatnonzero(self._codes == code)
            right = np.isin(options[mine], operator_forms.options_types(name))
            _require(right, f"{name} has the options of another operator")
            letters: dict[str, np.ndarray] = {}
            for form, ends in zip(
                operator_forms.forms(name), (self._given, self._made), strict=True
            ):
                self._check_form(name, form, ends, mine, letters)
            if name in operator_forms.COUNTED and mine.size:
                ends = self._given if operator_forms.COUNTED[name] == "inputs" else self._made
                _require(has_options[mine], f"{name} lacks its options")
                counts = self._tables[mine].parts(4).numbers(0, "<i4")
                right = counts == ends.vectors.lengths[mine]
                _require(right, f"{name} has not as many tensors as it says")

    def _check_form(
        self,
        name: str,
        form: Form,
        ends: "_OperatorEnds",
        mine: np.ndarray,
        letters: dict[str, np.ndarray],
    ) -> None:
        """Checks the inputs or the outputs of all operators of a kind.

        Args:
            letters: for each letter that stands for one type, that of each operator so far.
        """
        lengths, firsts = ends.vectors.lengths[mine], ends.vectors.firsts[mine]
        right = (lengths >= form.least) & (lengths <= form.most)
        _require(right, f"{name} has too many or too few tensors")
        for position in range(lengths.max(initial=0)):
            held = np.flatnonzero(lengths > position)
            tensors = ends.tensors[firsts[held] + position]
            _require(
                (tensors != _LEFT_OUT) | (position >= form.least), f"{name} lacks one of its inputs"
            )
            held, tensors = held[tensors != _LEFT_OUT], tensors[tensors != _LEFT_OUT]
            types, letter = self._tensors.types[tensors], form.letter(position)
            members = operator_forms.member_types(letter)
            if operator_forms.is_variable(letter):
                known = letters.setdefault(letter, np.full(len(mine), -1))
                right = (known[held] == types) | (known[held] == -1)
                known[held] = types
            else:
                right = members is None or np.isin(types, members)
            _require(right, f"{name} has a tensor of another type than it takes")

    def check_loops(self, inputs: _Ends, outputs: _Ends) -> None:
        """A loop runs subgraphs behind its own, so that it ends, which hand on what it is given."""
        kinds = [code for code, name in enumerate(self._names) if name == "WHILE"]
        loops = np.flatnonzero(np.isin(self._codes, kinds))
        options = self._tables[loops]
        _require(options.places(4) > 0, "a loop runs nothing")
        parts = options.parts(4)
        bodies = [parts.numbers(field, "<i4").tolist() for field in (0, 1)]
        for loop, condition, body in zip(loops.tolist(), *bodies, strict=True):
            own = self._subgraphs[loop]
            for index in (condition, body):
                _require(own < index < inputs.subgraphs, "a loop runs no subgraph behind its own")
            given, made = (
                self._tensors.types[ends.vectors.part(ends.tensors, loop)].tolist()
                for ends in (self._given, self._made)
            )
            state = [inputs.types(condition), inputs.types(body), outputs.types(body), made]
            _require(all(types == given for types in state), "a loop and what it runs do not fit")
            is_condition = outputs.types(condition) == [schema.TensorType.BOOL]
            _require(is_condition, "a loop has no condition")


@dataclasses.dataclass(frozen=True, kw_only=True)
class _OperatorEnds:
    """What operators take, or what they make."""

    vectors: Vectors
    # Through all subgraphs.
    tensors: np.ndarray


def _check_signatures(signatures: Tables, inputs: _Ends, outputs: _Ends) -> None:
    """Each signature has a name and a subgraph, all of whose inputs and outputs it names."""
    _require(len(signatures) > 0, "it has no signatures")
    keys = list(signatures.vectors(2, 1).texts())
    _require(len(set(keys)) == len(keys) and all(keys), "a signature has no name of its own")
    subgraphs = signatures.numbers(4, "<u4").tolist()
    _require(all(index < inputs.subgraphs for index in subgraphs), "a signature has no subgraph")
    for field, ends in ((0, inputs), (1, outputs)):
        vectors = signatures.vectors(field, 4)
        maps = vectors.tables()
        tensors = maps.numbers(1, "<u4").astype(np.int64)
        names = np.array(list(maps.vectors(0, 1).texts()), object)
        for number, subgraph in enumerate(subgraphs):
            known = sorted(vectors.part(tensors, number).tolist())
            right = known == sorted(ends.indices(subgraph))
            _require(right, "a signature does not name the inputs and outputs of its subgraph")
            own = vectors.part(names, number).tolist()
            _require(len(set(own)) == len(own), "a signature has one name for two tensors")
