import json
import subprocess
import sys

import numpy as np
import pytest
import tensorflow as tf
from tensorflow.core.protobuf import saved_model_pb2

from int4_conformer.errors import UserError
from int4_conformer.serving import saved_model
from int4_conformer.serving.saved_model import export_saved_model
from int4_conformer.serving.weights import deployed_weights
from tests import tiny

BLOCKS = (1, 12, 40)

# Loads and runs a SavedModel with TensorFlow and nothing of this package.
SERVE = """
import sys

sys.modules["int4_conformer"] = None
import tensorflow as tf

model = tf.saved_model.load(sys.argv[1])
serve = model.signatures["serving_default"]
for file in sys.argv[2:]:
    outputs = serve(pcm=tf.io.parse_tensor(tf.io.read_file(file), tf.float32))
    assert outputs["tokens"].dtype == outputs["count"].dtype == tf.int32
    print(*outputs["tokens"][: outputs["count"]].numpy())
"""


@pytest.fixture(scope="module")
def exported(tmp_path_factory):
    """The model, its integers before the export, and the folder."""
    folder = tmp_path_factory.mktemp("saved") / "model"
    model = tiny.model()
    weights = deployed_weights(model)
    export_saved_model(model, tiny.TOKENIZER.vocabulary, folder)
    return model, weights, folder


def test_tensorflow_alone_serves_the_tokens_of_the_model(exported, tmp_path):
    _, _, folder = exported
    # The export froze the weights of its own model; this one multiplies as in training.
    recognize = tiny.recognition(tiny.shared_model())
    expected, files = [], []
    for blocks in BLOCKS:
        pcm = tiny.speech(blocks, seed=blocks)
        files.append(tmp_path / str(blocks))
        files[-1].write_bytes(tf.io.serialize_tensor(pcm).numpy())
        expected.append(recognize(pcm).tolist())
    assert any(expected)
    result = subprocess.run(
        [sys.executable, "-c", SERVE, folder, *files], capture_output=True, text=True, check=False
    )
    assert result.returncode == 0, result.stderr
    assert [list(map(int, line.split())) for line in result.stdout.splitlines()] == expected


def test_the_folder(exported):
    _, _, folder = exported
    vocabulary = json.loads((folder / "assets" / "vocabulary.json").read_text())
    assert vocabulary == tiny.TOKENIZER.vocabulary.to_config()
    assert [path.name for path in folder.parent.iterdir()] == ["model"]


def test_quantized_weights_are_stored_as_their_integers(exported):
    _, weights, folder = exported
    constants = set()
    for node in nodes(folder):
        if node.op == "Const":
            array = tf.make_ndarray(node.attr["value"].tensor)
            constants.add((str(array.dtype), array.tobytes()))
    variables = tf.train.load_checkpoint(str(folder / "variables" / "variables"))
    shapes = variables.get_variable_to_shape_map().values()
    for weight in weights:
        codes = weight.codes if weight.name.endswith("embeddings") else weight.codes.T
        assert ("int8", codes.tobytes()) in constants, weight.name
        assert ("float32", weight.scale.tobytes()) in constants, weight.name
        for floats in (codes.astype(np.float32), weight.dequantized(), weight.dequantized().T):
            assert ("float32", floats.tobytes()) not in constants, weight.name
        assert list(codes.shape) not in shapes, weight.name


def nodes(folder):
    """Every node of a SavedModel's graph and of its functions."""
    saved = saved_model_pb2.SavedModel.FromString((folder / "saved_model.pb").read_bytes())
    (meta_graph,) = saved.meta_graphs
    yield from meta_graph.graph_def.node
    for function in meta_graph.graph_def.library.function:
        yield from function.node_def


def test_no_place_for_the_folder(exported, tmp_path):
    model, _, folder = exported
    for path, complaint in [
        (folder, "exists already; choose another folder"),
        (tmp_path / "absent" / "model", "there is no folder"),
    ]:
        with pytest.raises(UserError, match=complaint):
            export_saved_model(model, tiny.TOKENIZER.vocabulary, path)
    assert list(tmp_path.iterdir()) == []


def test_a_failure_leaves_nothing(exported, tmp_path, monkeypatch):
    def fail(model, folder):
        folder.mkdir()
        raise ValueError("a defect")

    monkeypatch.setattr(saved_model, "save_recognition", fail)
    with pytest.raises(ValueError, match="a defect"):
        export_saved_model(exported[0], tiny.TOKENIZER.vocabulary, tmp_path / "model")
    assert list(tmp_path.iterdir()) == []


def test_a_server_needs_no_xla(exported):
    _, _, folder = exported
    saved = saved_model_pb2.SavedModel.FromString((folder / "saved_model.pb").read_bytes())
    (meta_graph,) = saved.meta_graphs
    functions = meta_graph.graph_def.library.function
    assert not [f.signature.name for f in functions if f.attr["_XlaMustCompile"].b]
