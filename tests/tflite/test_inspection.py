import json

import numpy as np
import pytest

from int4_conformer.errors import UserError
from int4_conformer.tflite import flatbuffer, inspection
from int4_conformer.tflite.packing import pack
from tests.support import dense_models, tflite_models
from tests.tflite.schemes import blockwise_weight, static_weight


@pytest.fixture
def path(tmp_path):
    path = tmp_path / "recognizer.tflite"
    path.write_bytes(tflite_models.recognizer())
    return path


def test_totals(path):
    result = inspection.inspect_tflite(path)
    assert result.total_bytes == path.stat().st_size
    # The weight, the table and the scalar that multiplies it; no int32 shape or axis.
    assert result.parameters == 2560 + 8 * 4 + 1
    totals = {total.dtype: total for total in result.totals}
    assert [total.use for total in result.totals] == ["weights", "weights", "constants"]
    assert set(totals) == {"int4", "float32", "int32"}
    assert (totals["int4"].tensors, totals["int4"].values) == (1, 2560)
    assert totals["int4"].nbytes == 1280
    assert totals["float32"].nbytes == 4 * 33
    assert result.ratio_to_float32 == 4 * 2593 / path.stat().st_size
    assert result.operators["FULLY_CONNECTED"] == 1
    assert result.metadata == tflite_models.facts()


def test_every_byte_is_counted_once(path):
    result = inspection.inspect_tflite(path)
    content = path.read_bytes()
    model = flatbuffer.load(content)
    # The one weight has 4 channels, each with a scale and a zero point of 8 bytes.
    assert result.quantization_bytes == 4 * (4 + 8)
    assert result.metadata_bytes >= len(flatbuffer.metadata(content, "int4_conformer"))
    # Without constants, scales and metadata the file is as long as what is said to be left.
    for buffer in model.buffers:
        buffer.data = None
    for subgraph in model.subgraphs:
        for tensor in subgraph.tensors:
            if tensor.quantization is not None:
                tensor.quantization.scale = tensor.quantization.zeroPoint = None
    bare = len(tflite_models.serialize(model, quantize=False))
    # Each vector may go with its length, its offset and padding.
    vectors = len(model.buffers) + 2
    assert bare <= result.structure_bytes <= bare + 32 * vectors
    rows = [line.rsplit(maxsplit=1) for line in result.table().split("\n\n")[1].splitlines()[1:]]
    *parts, whole = [int(row[1].replace(",", "")) for row in rows]
    assert sum(parts) == whole == path.stat().st_size


def test_scales_are_no_parameters_and_codes_of_biases_are(tmp_path):
    path = tmp_path / "layer.tflite"
    blocks = blockwise_weight(block=32, blocks=4, units=5, seed=0)
    path.write_bytes(pack(dense_models.float_product(blocks), [blocks]))
    result = inspection.inspect_tflite(path)
    assert {total.dtype: total.values for total in result.totals} == {"int4": 640, "float16": 20}
    assert result.parameters == 640

    static = static_weight(bits=4, width=12, units=10, seed=0)
    path.write_bytes(pack(dense_models.float_product(static, np.ones(10, "f4")), [static]))
    result = inspection.inspect_tflite(path)
    assert {total.dtype: total.values for total in result.totals} == {"int4": 120, "int32": 10}
    assert result.parameters == 130
    assert result.operators == {"QUANTIZE": 1, "FULLY_CONNECTED": 1, "DEQUANTIZE": 1}


def test_a_shared_buffer_is_counted_once(tmp_path):
    model = flatbuffer.load(tflite_models.float_model())
    tensors = model.subgraphs[0].tensors
    (table,) = [tensor for tensor in tensors if np.array_equal(tensor.shape, [8, 4])]
    twin = flatbuffer.schema.TensorT(
        name=b"twin", shape=table.shape, type=table.type, buffer=table.buffer
    )
    tensors.append(twin)
    path = tmp_path / "shared.tflite"
    path.write_bytes(tflite_models.serialize(model))
    names = [c.name for c in flatbuffer.constants(flatbuffer.load(path.read_bytes()))]
    assert "twin" in names
    result = inspection.inspect_tflite(path)
    assert "twin" not in {tensor.name for tensor in result.tensors}
    assert result.parameters == 2593


def test_json(path):
    facts = json.loads(json.dumps(inspection.inspect_tflite(path).to_json()))
    assert facts["total_bytes"] == path.stat().st_size
    assert facts["parameters"] == 2593
    assert facts["recipe"] == "int4"
    (weight,) = [tensor for tensor in facts["tensors"] if tensor["dtype"] == "int4"]
    assert (weight["shape"], weight["bytes"]) == ([4, 640], 1280)
    assert sum(total["nbytes"] for total in facts["totals"]) == sum(
        tensor["bytes"] for tensor in facts["tensors"]
    )


def test_table(path):
    summary, held, tensors = inspection.inspect_tflite(path).table().split("\n\n")
    assert summary.startswith(f"{path}, recipe int4\n{path.stat().st_size:,} bytes, 2,593 param")
    ratio = inspection.inspect_tflite(path).ratio_to_float32
    assert f"{ratio:.2f}x smaller than these in float32\nneeds TensorFlow Lite " in summary
    assert held.splitlines()[1].split() == ["weights,", "int4", "1", "2,560", "1,280"]
    assert tensors.splitlines()[1].startswith("int4     [4, 640]  1,280  ")


def test_a_foreign_model_has_no_recipe(tmp_path):
    path = tmp_path / "foreign.tflite"
    path.write_bytes(tflite_models.float_model())
    result = inspection.inspect_tflite(path)
    assert result.metadata is None
    assert result.to_json()["recipe"] is None
    assert result.parameters == 2593
    assert result.table().startswith(f"{path}\n")
    assert result.quantization_bytes == 0
    # It holds all of its floats, and more.
    ratio = path.stat().st_size / (4 * 2593)
    assert result.table().splitlines()[1].endswith(f"{ratio:.2f}x larger than these in float32")


def test_a_damaged_recogniser_is_refused(path):
    content = bytearray(path.read_bytes())
    (weight,) = [c for c in flatbuffer.constants(flatbuffer.load(content)) if c.dtype == "int4"]
    content[content.index(weight.data.tobytes())] ^= 1
    path.write_bytes(content)
    with pytest.raises(UserError, match=r"recognizer\.tflite is damaged"):
        inspection.inspect_tflite(path)


@pytest.mark.parametrize(
    ("recipe", "runtime", "litert"), [("w4a8", "2.18.0", ""), ("w2a8", "2.21.0", " 2.1.2 or later")]
)
def test_it_says_which_runtime_a_file_needs(tmp_path, recipe, runtime, litert):
    path = tmp_path / "layer.tflite"
    path.write_bytes(dense_models.packed(dense_models.layer(recipe, 12, 10)))
    result = inspection.inspect_tflite(path)
    assert result.to_json()["runtime"] == runtime
    assert f"\nneeds TensorFlow Lite {runtime} or later, or LiteRT{litert}\n" in result.table()


@pytest.mark.parametrize("recipe", ["w2a8", "w2c"])
def test_weights_of_2_bits(tmp_path, recipe):
    path = tmp_path / "layer.tflite"
    path.write_bytes(dense_models.packed(dense_models.layer(recipe, 64, 10)))
    result = inspection.inspect_tflite(path)
    (total,) = [total for total in result.totals if total.use == "weights"]
    assert (total.dtype, total.values, total.nbytes) == ("int2", 640, 160)
    assert result.parameters == 640
    rows = [line.split() for line in result.table().splitlines()]
    assert ["weights,", "int2", "1", "640", "160"] in rows
    assert ["int2", "[10,", "64]", "160", "kernel"] in rows
