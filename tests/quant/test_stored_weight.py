import numpy as np
import pytest
import tensorflow as tf

from int4_conformer.quant.numerics.tensor import quantize
from int4_conformer.quant.stored_weight import StoredWeight, UnpackedCodes

RNG = np.random.default_rng(0)


def saved(stored, folder):
    """Saves a weight as a signature that reads it."""
    module = tf.Module()
    module.kept = [stored.scale, stored.codes]
    if isinstance(stored.codes, UnpackedCodes):
        module.packed = stored.codes.packed

    @tf.function(input_signature=[], autograph=False)
    def read():
        return {"codes": stored.codes.read_value(), "values": stored.read().dequantize()}

    tf.saved_model.save(module, str(folder), signatures=read)


@pytest.mark.parametrize("bits", [2, 3, 4, 5, 8])
@pytest.mark.parametrize("shape", [(6, 4), (5, 3), (1, 1)])
@pytest.mark.parametrize("axis", [0, 1])
def test_codes_are_those_that_were_stored(bits, shape, axis, tmp_path):
    tensor = quantize(RNG.standard_normal(shape), bits, (axis,))
    stored = StoredWeight.of(tensor, "layer/kernel")
    saved(stored, tmp_path / "saved")
    loaded = tf.saved_model.load(str(tmp_path / "saved")).signatures["serving_default"]()
    for found in (stored.codes.read_value(), loaded["codes"]):
        assert found.dtype == tf.int8
        np.testing.assert_array_equal(found, tensor.codes)
    np.testing.assert_array_equal(loaded["values"], tensor.dequantize())
    reader = tf.train.load_checkpoint(str(tmp_path / "saved" / "variables" / "variables"))
    sizes = [np.size(reader.get_tensor(x)) for x in reader.get_variable_to_shape_map()]
    size = np.prod(shape)
    codes_a_byte = 4 if bits <= 2 else 2 if bits <= 4 else 1
    assert -(-size // codes_a_byte) in sizes


def test_two_versions_of_a_model_in_one_process(tmp_path):
    tensors = [quantize(RNG.standard_normal([4, 2]), 4, (0,)) for _ in range(2)]
    for index, tensor in enumerate(tensors):
        saved(StoredWeight.of(tensor, "layer/kernel"), tmp_path / str(index))
    models = [tf.saved_model.load(str(tmp_path / str(index))) for index in (0, 1, 0)]
    for model, tensor in zip(models, (*tensors, tensors[0]), strict=True):
        codes = model.signatures["serving_default"]()["codes"]
        np.testing.assert_array_equal(codes, tensor.codes)


def test_a_session_reads_them_as_a_server_does(tmp_path):
    tensor = quantize(RNG.standard_normal([4, 2]), 4, (0,))
    saved(StoredWeight.of(tensor, "layer/kernel"), tmp_path / "saved")
    with tf.Graph().as_default(), tf.compat.v1.Session() as session:
        graph = tf.compat.v1.saved_model.load(session, ["serve"], str(tmp_path / "saved"))
        outputs = graph.signature_def["serving_default"].outputs
        np.testing.assert_array_equal(session.run(outputs["codes"].name), tensor.codes)
