import json
import subprocess
import sys

import numpy as np
import pytest
import tensorflow as tf
from tensorflow.core.protobuf import saved_model_pb2

from int4_conformer.errors import UserError
from int4_conformer.export import saved_model
from int4_conformer.export.saved_model import export_saved_model
from int4_conformer.layers.paths import by_path
from tests.quant import reference
from tests.support import tiny

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
def folder(tmp_path_factory):
    folder = tmp_path_factory.mktemp("saved") / "model"
    export_saved_model(tiny.shared_model(), tiny.TOKENIZER.vocabulary, folder)
    return folder


def test_tensorflow_alone_serves_the_tokens_of_the_model(folder, tmp_path):
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


def with_nan(pcm):
    return np.where(np.arange(pcm.size) == 7, np.float32("nan"), pcm)


@pytest.mark.parametrize(
    ("change", "complaint"),
    [
        (lambda pcm: np.stack([pcm, pcm]), r"`pcm` must be one utterance .*Received:\] \[2 7680\]"),
        (lambda pcm: pcm[0], r"`pcm` must be one utterance"),
        (lambda pcm: pcm[:0], r"`pcm` must be one utterance .*Received:\] \[0\]"),
        (lambda pcm: 32767 * pcm, r"`pcm` must be in \[-1, 1\]; divide 16-bit samples by 32768"),
        (with_nan, r"`pcm` must be in \[-1, 1\].*\[nan\]"),
    ],
    ids=["a batch", "a number", "nothing", "unscaled", "NaN"],
)
def test_what_is_no_utterance_is_refused(folder, change, complaint):
    serve = tf.saved_model.load(str(folder)).signatures["serving_default"]
    pcm = tiny.speech(12)
    assert serve(pcm=tf.constant(pcm))["count"] >= 0
    with pytest.raises(tf.errors.InvalidArgumentError, match=complaint):
        serve(pcm=tf.constant(change(pcm)))


def test_the_folder(folder):
    vocabulary = json.loads((folder / "assets" / "vocabulary.json").read_text())
    assert vocabulary == tiny.TOKENIZER.vocabulary.to_config()
    assert [path.name for path in folder.parent.iterdir()] == ["model"]


def test_quantized_weights_are_stored_as_their_integers(folder):
    reader = tf.train.load_checkpoint(str(folder / "variables" / "variables"))
    arrays = [reader.get_tensor(name) for name in reader.get_variable_to_shape_map()]
    arrays = [array for array in arrays if isinstance(array, np.ndarray)]
    variables = [content(array) for array in arrays]
    constants = [
        content(tf.make_ndarray(node.attr["value"].tensor))
        for node in nodes(folder)
        if node.op == "Const"
    ]
    checked = 0
    for name, variable in by_path(tiny.shared_model()).items():
        if not name.endswith(("/kernel", "/embeddings")):
            continue
        master = variable.numpy()
        codes, scale = reference.quantize(master, 4, axes=(int(name.endswith("embeddings")),))
        # Once: all uses of a weight share its integers.
        assert variables.count(content(codes)) == 1, name
        assert content(scale) in variables, name
        for floats in (master, codes * scale, codes.astype(np.float32)):
            for stored in (variables, constants):
                assert content(floats) not in stored, name
                assert content(floats.T) not in stored, name
        checked += 1
    assert checked == 15


def content(array):
    return str(array.dtype), array.shape, array.tobytes()


def nodes(folder):
    """Every node of a SavedModel's graph and of its functions."""
    saved = saved_model_pb2.SavedModel.FromString((folder / "saved_model.pb").read_bytes())
    (meta_graph,) = saved.meta_graphs
    yield from meta_graph.graph_def.node
    for function in meta_graph.graph_def.library.function:
        yield from function.node_def


def test_no_place_for_the_folder(folder, tmp_path):
    for path, complaint in [
        (folder, "exists already; choose another folder"),
        (folder / "saved_model.pb" / "model", "saved_model.pb is no folder"),
    ]:
        with pytest.raises(UserError, match=complaint):
            export_saved_model(tiny.shared_model(), tiny.TOKENIZER.vocabulary, path)
    assert list(tmp_path.iterdir()) == []


def test_a_failure_leaves_nothing(tmp_path, monkeypatch):
    def fail(functions, model, folder, target):
        folder.mkdir()
        raise ValueError("a defect")

    monkeypatch.setattr(saved_model, "save_graph", fail)
    with pytest.raises(ValueError, match="a defect"):
        export_saved_model(tiny.shared_model(), tiny.TOKENIZER.vocabulary, tmp_path / "model")
    assert list(tmp_path.iterdir()) == []


def test_a_server_needs_no_xla(folder):
    saved = saved_model_pb2.SavedModel.FromString((folder / "saved_model.pb").read_bytes())
    (meta_graph,) = saved.meta_graphs
    functions = meta_graph.graph_def.library.function
    assert not [f.signature.name for f in functions if f.attr["_XlaMustCompile"].b]
