import numpy as np
import tensorflow as tf
from ai_edge_litert import compiled_model
from ai_edge_litert import interpreter as litert

from int4_conformer.tflite import flatbuffer
from int4_conformer.tflite.packing import pack
from int4_conformer.tflite.signature_alias import alias_signature


class Both(tf.Module):
    @tf.function(input_signature=[tf.TensorSpec([3], tf.float32, name="x")])
    def both(self, x):
        return {"sum": tf.reduce_sum(x), "square": x * x}


def test_both_names_run_the_same_operators(tmp_path):
    module = Both()
    tf.saved_model.save(module, str(tmp_path), signatures={"both": module.both})
    converter = tf.lite.TFLiteConverter.from_saved_model(str(tmp_path), signature_keys=["both"])
    model = flatbuffer.load(converter.convert())
    subgraphs = len(model.subgraphs)
    alias_signature(model, "both", "again")
    content = pack(model, [])
    assert len(flatbuffer.load(content).subgraphs) == subgraphs
    interpreter = litert.Interpreter(model_content=content)
    assert list(interpreter.get_signature_list()) == ["again", "both"]
    x = np.arange(3, dtype=np.float32)
    for name in ("again", "both"):
        outputs = interpreter.get_signature_runner(name)(x=x)
        assert outputs["sum"] == x.sum()
        np.testing.assert_array_equal(outputs["square"], x * x)
    compiled = compiled_model.CompiledModel.from_buffer(content)
    for name in ("again", "both"):
        given = compiled.create_input_buffer_by_name(name, "x")
        given.write(x)
        found = {
            output: compiled.create_output_buffer_by_name(name, output)
            for output in ("sum", "square")
        }
        compiled.run_by_name(name, {"x": given}, found)
        np.testing.assert_array_equal(found["square"].read(3, np.float32), x * x)
