import numpy as np
import pytest
from ai_edge_litert import schema_py_generated as schema

from int4_conformer.tflite import flat_tables
from int4_conformer.tflite.flat_tables import OutsideError, Tables
from tests.support import tflite_models


@pytest.fixture(scope="module", params=[8, 20000], ids=["inline", "external"])
def content(request):
    return tflite_models.recognizer(table_rows=request.param)


@pytest.fixture(scope="module")
def parsed(content):
    return schema.ModelT.InitFromObj(schema.Model.GetRootAs(content, 0))


def same(vectors, values, dtype):
    """Whether vectors hold what the generated parser found; None is no vector there."""
    expected = [np.zeros(0) if x is None else np.asarray(x) for x in values]
    assert vectors.lengths.tolist() == [len(x) for x in expected]
    np.testing.assert_array_equal(vectors.values(dtype), np.concatenate(expected))
    for index, one in enumerate(expected):
        np.testing.assert_array_equal(vectors.part(vectors.values(dtype), index), one)
        assert (vectors.owners() == index).sum() == len(one)


def test_fields_are_those_of_the_generated_parser(content, parsed):
    root = flat_tables.root(content)
    assert root.numbers(0, "<u4").tolist() == [parsed.version]
    (subgraph,) = parsed.subgraphs
    tensors = root.vectors(2, 4).tables().vectors(0, 4).tables()
    assert len(tensors) == len(subgraph.tensors)
    assert tensors.numbers(1, "u1").tolist() == [t.type for t in subgraph.tensors]
    assert tensors.numbers(2, "<u4").tolist() == [t.buffer for t in subgraph.tensors]
    same(tensors.vectors(0, 4), [t.shape for t in subgraph.tensors], "<i4")
    assert list(tensors.vectors(3, 1).texts()) == [t.name for t in subgraph.tensors]
    quantized = [i for i, t in enumerate(subgraph.tensors) if t.quantization is not None]
    assert tensors.holders(4).tolist() == quantized
    scales = tensors.parts(4).vectors(2, 4)
    same(scales, [subgraph.tensors[i].quantization.scale for i in quantized], "<f4")
    operators = root.vectors(2, 4).tables().vectors(3, 4).tables()
    same(operators.vectors(1, 4), [o.inputs for o in subgraph.operators], "<i4")
    assert operators.numbers(3, "u1").tolist() == [o.builtinOptionsType for o in subgraph.operators]
    buffers = root.vectors(4, 4).tables()
    assert buffers.numbers(1, "<u8").tolist() == [b.offset for b in parsed.buffers]


def test_defaults_of_what_is_not_there(content, parsed):
    codes = flat_tables.root(content).vectors(1, 4).tables()
    assert codes.numbers(2, "<i4", default=1).tolist() == [c.version for c in parsed.operatorCodes]
    # No schema has so many fields.
    assert codes.numbers(500, "<i4", default=7).tolist() == [7] * len(codes)
    assert codes.vectors(500, 4).lengths.tolist() == [0] * len(codes)


def test_some_of_them(content):
    codes = flat_tables.root(content).vectors(1, 4).tables()
    kinds = codes.numbers(3, "<i4")
    assert codes[1:3].numbers(3, "<i4").tolist() == kinds[1:3].tolist()
    assert codes[np.array([2, 0])].numbers(3, "<i4").tolist() == kinds[[2, 0]].tolist()


def test_unaligned_numbers():
    content = np.arange(9, dtype=np.uint8)
    found = flat_tables.read(content, np.array([1, 4]), "<u4")
    assert found.tolist() == [0x04030201, 0x07060504]


@pytest.mark.parametrize("position", [-1, 6, 2**40])
def test_numbers_outside(position):
    with pytest.raises(OutsideError):
        flat_tables.read(np.zeros(9, np.uint8), np.array([0, position]), "<u4")


@pytest.mark.parametrize(
    "content",
    [
        b"",
        b"\0\0\0",
        # The root points behind the end; its fields lie before the start, or behind the end.
        (100).to_bytes(4, "little") + bytes(8),
        (4).to_bytes(4, "little") + (1000).to_bytes(4, "little"),
        (4).to_bytes(4, "little") + (-(2**30)).to_bytes(4, "little", signed=True),
        # Fields that are said to be more than there are bytes.
        (8).to_bytes(4, "little") + b"\xff\xff\4\0" + (4).to_bytes(4, "little"),
    ],
)
def test_a_root_outside(content):
    with pytest.raises(OutsideError):
        flat_tables.root(content)


def test_a_vector_that_does_not_end():
    # A table at 8 whose first field, at 12, points to a vector of 2^31 elements at 16.
    words = [8, 0x000C0006, 4, 0, 4, 2**31]
    content = bytearray(b"".join(word.to_bytes(4, "little") for word in words))
    # The fields at 4: 6 bytes of them, the first at 4 from the table.
    content[4:10] = b"\6\0\x08\0\4\0"
    content[8:12] = (4).to_bytes(4, "little")
    content[12:16] = (4).to_bytes(4, "little")
    content[16:20] = (2**31).to_bytes(4, "little")
    table = Tables(np.frombuffer(bytes(content), np.uint8), np.array([8]))
    with pytest.raises(OutsideError):
        table.vectors(0, 4)


def test_vectors_that_share_their_bytes():
    content = np.zeros(1000, np.uint8)
    starts, lengths = np.arange(4), np.full(4, 50)
    flat_tables.Vectors(content, 200 * starts, lengths, 4)
    with pytest.raises(OutsideError, match="lie in each other"):
        flat_tables.Vectors(content, 10 * np.arange(40), np.full(40, 50), 4)
