import numpy as np
import tensorflow as tf
from ai_edge_litert import interpreter as litert

from int4_conformer.tflite import flatbuffer
from int4_conformer.tflite.packing import pack
from int4_conformer.tflite.signature_parts import split_signature


class Both(tf.Module):
    @tf.function(input_signature=[tf.TensorSpec([None], tf.float32, name="x")])
    def both(self, x):
        return {"sum": tf.reduce_sum(x), "square": x * x}


def test_each_part_gives_its_outputs_on_the_same_operators(tmp_path):
    module = Both()
    tf.saved_model.save(module, str(tmp_path), signatures={"both": module.both})
    converter = tf.lite.TFLiteConverter.from_saved_model(str(tmp_path), signature_keys=["both"])
    model = flatbuffer.load(converter.convert())
    subgraphs = len(model.subgraphs)
    split_signature(
        model, "both", {"total": ["sum"], "each": ["square"], "both": ["sum", "square"]}
    )
    content = pack(model, [])
    assert len(flatbuffer.load(content).subgraphs) == subgraphs
    interpreter = litert.Interpreter(model_content=content)
    signatures = interpreter.get_signature_list()
    assert {name: sorted(found["outputs"]) for name, found in signatures.items()} == {
        "total": ["sum"],
        "each": ["square"],
        "both": ["square", "sum"],
    }
    for size in (3, 5):
        x = np.arange(size, dtype=np.float32)
        assert interpreter.get_signature_runner("total")(x=x)["sum"] == x.sum()
        np.testing.assert_array_equal(
            interpreter.get_signature_runner("each")(x=x)["square"], x * x
        )
