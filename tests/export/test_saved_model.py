import functools
import io
import json
import subprocess
import sys

import numpy as np
import pytest
import soundfile
import tensorflow as tf
from tensorflow.core.protobuf import saved_model_pb2
from tensorflow_serving.apis import prediction_log_pb2

from int4_conformer import interface
from int4_conformer.decoding.biasing import PhraseBias
from int4_conformer.errors import UserError
from int4_conformer.export import saved_model
from int4_conformer.export.saved_model import export_saved_model
from int4_conformer.export.served.serving_signatures import BEAM
from int4_conformer.export.served.warmup import WARMUP_FILE
from int4_conformer.layers.paths import by_path
from int4_conformer.lite.recognizer import Recognizer
from int4_conformer.quant.numerics.pack import pack_codes
from tests.quant import reference
from tests.support import exports, tiny
from tests.support.examples import heavy

BLOCKS = (1, 12, 40)

# Loads a SavedModel with TensorFlow and nothing of this package, and answers requests.
SERVE = """
import sys

sys.modules["int4_conformer"] = None
import numpy as np
import tensorflow as tf

folder, requests, answers = sys.argv[1:]
# As it was saved: the same signatures are optimised where they are compared.
tf.config.optimizer.set_experimental_options({"disable_meta_optimizer": True})
model = tf.saved_model.load(folder)
given = np.load(requests, allow_pickle=True).item()
np.save(answers, {
    name: {
        output: value.numpy()
        for output, value in model.signatures[name](
            **{key: tf.constant(value) for key, value in inputs.items()}
        ).items()
    }
    for name, inputs in given.items()
}, allow_pickle=True)
"""


class Exported:
    """A model, its SavedModel, and its `.tflite` file."""

    def __init__(self, forms):
        self.model, self.folder, self._forms = forms.model, forms.saved_model, forms
        self.signatures = tf.saved_model.load(str(self.folder)).signatures

    @functools.cached_property
    def recognizer(self):
        """That of the `.tflite` file."""
        return Recognizer(self._forms.tflite, gated=False)

    def __call__(self, name=interface.SERVING_DEFAULT, **inputs):
        """A signature's outputs, as NumPy has them."""
        if interface.PCM in inputs:
            inputs = {interface.LENGTH: [-1]} | inputs
        tensors = {key: tf.constant(value) for key, value in inputs.items()}
        return {key: value.numpy() for key, value in self.signatures[name](**tensors).items()}


@pytest.fixture(scope="module")
def whole(tmp_path_factory):
    """A recogniser of whole utterances."""
    return Exported(exports.exported(tiny.shared_model(), tmp_path_factory.mktemp("whole")))


@pytest.fixture(scope="module")
def cascade(cascade_exports):
    """A recogniser that streams, in two passes."""
    return Exported(cascade_exports)


def batch(utterances, fill=0.7):
    """Padded with what is no silence."""
    lengths = np.int32([len(pcm) for pcm in utterances])
    pcm = np.full([len(lengths), lengths.max() + 100], fill, np.float32)
    for row, utterance in zip(pcm, utterances, strict=True):
        row[: len(utterance)] = utterance
    return pcm, lengths


UTTERANCES = [tiny.speech(blocks, seed=blocks)[: 640 * blocks - 7] for blocks in (12, 1, 40, 25)]


def row(outputs, index):
    """What a signature says of one utterance, without what is past its end."""
    ends = {interface.TOKENS: outputs[interface.COUNT][index]}
    ends |= dict.fromkeys([interface.FRAMES, interface.LOG_PROBS], ends[interface.TOKENS])
    if interface.WORDS in outputs:
        words = outputs[interface.WORD_COUNT][index]
        of_words = [interface.WORDS, interface.STARTS, interface.ENDS, interface.CONFIDENCES]
        ends |= dict.fromkeys(of_words, words)
    found = {}
    for name, value in outputs.items():
        end = ends.get(name)
        found[name] = np.asarray(value[index] if end is None else value[index][:end])
        if end is not None:
            assert not any(value[index][end:]), name
    return found


def assert_same(found, expected):
    assert found.keys() == expected.keys()
    for name, value in expected.items():
        if value.dtype == np.float32:
            np.testing.assert_allclose(found[name], value, rtol=1e-4, atol=1e-5, err_msg=name)
        else:
            np.testing.assert_array_equal(found[name], value, err_msg=name)


@pytest.mark.parametrize("which", ["cascade", *heavy("whole")])
def test_a_row_is_what_it_is_alone(which, request):
    exported = request.getfixturevalue(which)
    alone = [row(exported(pcm=pcm[None]), 0) for pcm in UTTERANCES]
    assert any(found[interface.TEXT] for found in alone)
    for order in ([0, 1, 2, 3], [3, 1, 0, 2], [2, 2, 1]):
        pcm, lengths = batch([UTTERANCES[index] for index in order])
        together = exported(pcm=pcm, length=lengths)
        for place, index in enumerate(order):
            assert_same(row(together, place), alone[index])


@pytest.mark.parametrize("which", ["cascade", *heavy("whole")])
def test_words_are_those_of_the_tflite_file(which, request):
    exported = request.getfixturevalue(which)
    pcm, lengths = batch(UTTERANCES)
    outputs = exported(pcm=pcm, length=lengths)
    said = 0
    for index, utterance in enumerate(UTTERANCES):
        expected = exported.recognizer.recognize(utterance)
        found = row(outputs, index)
        assert found[interface.TEXT].item().decode() == expected.text
        assert [x.decode() for x in found[interface.WORDS]] == [x.text for x in expected.words]
        for name, values in [
            (interface.STARTS, [word.start for word in expected.words]),
            (interface.ENDS, [word.end for word in expected.words]),
            (interface.CONFIDENCES, [word.confidence for word in expected.words]),
        ]:
            np.testing.assert_allclose(found[name], values, atol=0.01)
        score = found[interface.LOG_PROBS].sum()
        np.testing.assert_allclose(found[interface.SCORE], score, rtol=1e-5)
        said += len(expected.words)
    assert said > 3


@pytest.mark.parametrize("which", ["cascade", *heavy("whole")])
def test_tokens_are_those_of_the_model(which, request):
    exported = request.getfixturevalue(which)
    recognize = tiny.recognition(exported.model)
    for blocks in BLOCKS:
        pcm = tiny.speech(blocks, seed=blocks)
        expected = recognize(np.pad(pcm, [0, -len(pcm) % exported.model.config.block_samples]))
        np.testing.assert_array_equal(row(exported(pcm=pcm[None]), 0)["tokens"], expected)


def requests_of(exported):
    """Inputs for each signature: speech, and zeros for states."""
    pcm, lengths = batch(UTTERANCES[:2])
    known = {
        interface.PCM: pcm,
        interface.LENGTH: lengths,
        interface.AUDIO_BYTES: [wav(pcm[0]), wav(pcm[1], 8000)],
        interface.PHRASES: [["ab", "c"], ["", ""]],
        interface.BONUS: [0.5, 1.0],
    }
    found = {}
    for name, signature in exported.signatures.items():
        specs = signature.structured_input_signature[1]
        found[name] = {key: known.get(key) for key in specs}
        for key, spec in specs.items():
            if name in (interface.FIRST_PASS, interface.SECOND_PASS):
                found[name][key] = np.zeros([2, *spec.shape[1:]], spec.dtype.as_numpy_dtype)
            elif spec.dtype == tf.int16:
                found[name][key] = np.int16(32767 * pcm)
    return found


def wav(samples, rate=16000, subtype="PCM_16"):
    file = io.BytesIO()
    soundfile.write(file, samples, rate, format="WAV", subtype=subtype)
    return file.getvalue()


@pytest.mark.heavy
def test_tensorflow_alone_answers_each_signature(cascade, tmp_path):
    requests = requests_of(cascade)
    np.save(tmp_path / "requests.npy", requests, allow_pickle=True)
    result = subprocess.run(
        [sys.executable, "-c", SERVE, cascade.folder, tmp_path / "requests.npy", tmp_path / "out"],
        capture_output=True,
        text=True,
        check=False,
    )
    assert result.returncode == 0, result.stderr
    answers = np.load(tmp_path / "out.npy", allow_pickle=True).item()
    assert answers.keys() == cascade.signatures.keys() >= {interface.SECOND_PASS, interface.BEAM}
    for name, inputs in requests.items():
        assert_same(answers[name], cascade(name, **inputs))


def test_all_that_it_takes_and_gives_has_the_batch_first(cascade):
    saved = saved_model_pb2.SavedModel.FromString((cascade.folder / "saved_model.pb").read_bytes())
    (meta_graph,) = saved.meta_graphs
    checked = 0
    for name in cascade.signatures:
        signature = meta_graph.signature_def[name]
        for tensor in [*signature.inputs.values(), *signature.outputs.values()]:
            sizes = [dim.size for dim in tensor.tensor_shape.dim]
            assert sizes[0] == -1, (name, tensor)
            checked += 1
        # What TF Serving puts where a request has none.
        if interface.PCM in signature.inputs and name != interface.FIRST_PASS:
            assert interface.LENGTH in signature.defaults, (name, list(signature.defaults))
            assert tf.make_ndarray(signature.defaults[interface.LENGTH]).tolist() == [-1]
    assert checked > 50
    assert sorted(meta_graph.signature_def[interface.BEAM].defaults) == [
        interface.BONUS,
        interface.LENGTH,
        interface.PHRASES,
    ]


def test_a_row_without_a_length_ends_where_servers_pad_it(cascade):
    # TF Serving pads with the first value of each request.
    pcm = UTTERANCES[3]
    padded = np.concatenate([pcm, np.full([5000], pcm[0])])
    assert_same(row(cascade(pcm=padded[None]), 0), row(cascade(pcm=pcm[None]), 0))
    silence = cascade(pcm=np.zeros([1, 700], np.float32))
    assert silence[interface.ERROR] == b""


def test_integer_samples(cascade):
    pcm, lengths = batch(UTTERANCES)
    codes = np.int16(np.round(32768 * pcm))
    found = cascade(interface.TRANSCRIBE_PCM16, pcm=codes, length=lengths)
    assert_same(found, cascade(pcm=codes / np.float32(32768), length=lengths))


def changed(pcm, place, value):
    return np.where(np.arange(pcm.size) == place, np.float32(value), pcm)


@pytest.mark.parametrize(
    ("change", "length", "complaint"),
    [
        (lambda pcm: 32767 * pcm, -1, "peak of .*divide 16-bit samples by 32768, or send them to"),
        (lambda pcm: changed(pcm, 7, np.nan), -1, "`pcm` holds samples that are NaN or infinite"),
        (lambda pcm: changed(pcm, 7, -np.inf), -1, "`pcm` holds samples that are NaN or infinite"),
        (lambda pcm: pcm, 0, "`pcm` holds no sample"),
        (lambda pcm: pcm, -2, "must be a number of samples. Received: -2"),
        (lambda pcm: pcm, 10**6, "`length` says 1000000 samples, and the row has 60000"),
        (
            lambda pcm: np.tile(pcm, 9)[:48001],
            48001,
            r"`pcm` is 3.00006\d* s long, and this model was exported for at most 3 s",
        ),
    ],
    ids=["unscaled", "NaN", "infinite", "empty", "negative", "past the end", "too long"],
)
def test_a_row_that_is_no_good_fails_alone(cascade, change, length, complaint):
    good, bad = UTTERANCES[0], change(UTTERANCES[0])
    pcm = np.zeros([2, 60000], np.float32)
    pcm[0, : len(bad)], pcm[1, : len(good)] = bad, good
    lengths = [len(bad) if length == -1 else length, len(good)]
    expected = row(cascade(pcm=good[None]), 0)
    for name in (interface.SERVING_DEFAULT, interface.BEAM, interface.ENCODE):
        more = {interface.PHRASES: [[""]], interface.BONUS: [0.5]}
        outputs = cascade(name, pcm=pcm, length=lengths, **(more if name == interface.BEAM else {}))
        assert outputs[interface.ERROR][1] == b""
        (found,) = [outputs[interface.ERROR][0].decode()]
        assert tf.strings.regex_full_match(found, f".*{complaint}.*"), found
        assert not outputs.get(interface.COUNT, np.zeros([2]))[0].any()
    assert_same(row(cascade(pcm=pcm, length=lengths), 1), expected)


@pytest.mark.parametrize(
    ("pcm", "length", "complaint"),
    [
        (UTTERANCES[0], [-1], r"`pcm` must be \[batch, samples\]. Received"),
        (np.zeros([2, 10], np.float32), [1, 2, 3], r"`length` must be \[batch\] or \[1\]"),
    ],
)
def test_shapes_that_are_no_batch_are_refused(cascade, pcm, length, complaint):
    with pytest.raises(tf.errors.InvalidArgumentError, match=complaint):
        cascade(pcm=pcm, length=length)


def test_files(cascade):
    speech = 0.7 * UTTERANCES[0] / np.abs(UTTERANCES[0]).max()
    files = [wav(speech, subtype=kind) for kind in ("PCM_16", "PCM_24", "FLOAT")]
    files += [b"fLaC and more", wav(speech, 44099), b""]
    outputs = cascade(interface.TRANSCRIBE_BYTES, audio_bytes=files)
    expected = cascade(pcm=speech[None])[interface.TEXT][0]
    assert outputs[interface.TEXT].tolist() == [expected] * 3 + [b""] * 3
    errors = [error.decode() for error in outputs[interface.ERROR]]
    assert errors[:3] == [""] * 3
    assert errors[3].startswith("`audio_bytes` holds FLAC; send WAV")
    assert "of 44099 Hz, which is not resampled here" in errors[4]
    assert errors[5] == "`audio_bytes` holds no byte."


def test_beam_search_is_that_of_the_model(cascade):
    pcm, lengths = batch(UTTERANCES[:2])
    padded = np.zeros([2, -(-pcm.shape[1] // 1920) * 1920], np.float32)
    for index, utterance in enumerate(UTTERANCES[:2]):
        padded[index, : len(utterance)] = utterance
    whole_chunks = -(-lengths // 1920) * 1920
    phrases = ["ab", "c d"]
    for given, bonus in [([["", ""]] * 2, 0.5), ([phrases] * 2, 2.0)]:
        outputs = cascade(interface.BEAM, pcm=pcm, length=lengths, phrases=given, bonus=[bonus])
        bias = PhraseBias.of(phrases, tiny.TOKENIZER, bonus) if given[0][0] else None
        expected = cascade.model.beam_search(padded, whole_chunks, config=BEAM, bias=bias)
        np.testing.assert_allclose(outputs[interface.SCORES], expected.scores, rtol=1e-4)
        for index in range(2):
            texts = [
                tiny.TOKENIZER.vocabulary.detokenize(ids[:count].numpy())
                for ids, count in zip(expected.ids[index], expected.count[index], strict=True)
            ]
            assert [text.decode() for text in outputs[interface.TEXTS][index]] == texts


def test_phrases_that_cannot_be_written(cascade):
    outputs = cascade(
        interface.BEAM,
        pcm=np.stack([UTTERANCES[1]] * 3),
        phrases=[["ab", "xyz"], ["A, B!", ""], ["a", "b"]],
        bonus=[0.5, 0.5, np.nan],
    )
    assert [error.decode() for error in outputs[interface.ERROR]] == [
        "The phrase 'xyz' has a symbol that is not in the vocabulary.",
        "",
        "`bonus` must be a number from 0 on.",
    ]


def streamed(exported, utterances):
    """The texts of streams that are fed side by side, and end one after the other."""
    texts = []
    for name, given in [
        (interface.FIRST_PASS, interface.PCM),
        (interface.SECOND_PASS, interface.ENCODED),
    ]:
        signature = exported.signatures[name]
        specs = dict(signature.structured_input_signature[1])
        segment, count = specs.pop(given).shape[1], len(utterances)
        del specs[interface.LENGTH]
        state = {key: tf.zeros([count, *spec.shape[1:]], spec.dtype) for key, spec in specs.items()}
        said, heard = [b""] * count, [[] for _ in utterances]
        for start in range(0, max(map(len, utterances)), segment):
            parts = [utterance[start : start + segment] for utterance in utterances]
            lengths = np.int32([len(part) for part in parts])
            padded = np.zeros([count, segment, *utterances[0].shape[1:]], np.float32)
            for place, part in enumerate(parts):
                padded[place, : len(part)] = part
            outputs = signature(**{given: tf.constant(padded), "length": lengths}, **state)
            state = {key: outputs[key] for key in state}
            for place in range(count):
                said[place] += outputs[interface.TEXT].numpy()[place]
                if given == interface.PCM:
                    length = outputs[interface.LENGTH].numpy()[place]
                    heard[place].append(outputs[interface.ENCODED].numpy()[place, :length])
        texts.append([text.decode().lstrip() for text in said])
        if given == interface.PCM:
            utterances = [np.concatenate(frames) for frames in heard]
    return texts


def test_streams_of_a_batch_say_what_whole_utterances_do(cascade):
    utterances = [np.pad(x, (0, -len(x) % 1920)) for x in UTTERANCES]
    _, second = streamed(cascade, utterances)
    pcm, lengths = batch(UTTERANCES)
    expected = cascade(pcm=pcm, length=lengths)[interface.TEXT]
    assert [text.rstrip() for text in second] == [text.decode() for text in expected]
    assert any(second)


def test_requests_to_warm_up_with(cascade):
    records = tf.data.TFRecordDataset(str(cascade.folder / WARMUP_FILE))
    assert (cascade.folder / WARMUP_FILE).stat().st_size < 1_500_000
    answered = []
    for record in records.as_numpy_iterator():
        log = prediction_log_pb2.PredictionLog.FromString(record)
        request = log.predict_log.request
        inputs = {name: tf.make_ndarray(proto) for name, proto in request.inputs.items()}
        name = request.model_spec.signature_name
        outputs = cascade(name, **inputs)
        assert not any(outputs.get(interface.ERROR, ())), outputs[interface.ERROR]
        answered.append((name, len(outputs[next(iter(outputs))])))
    assert sorted(answered) == [
        (name, batch) for name in sorted(cascade.signatures) for batch in (1, 4)
    ]


def test_the_folder(cascade):
    facts = json.loads((cascade.folder / "assets" / "recognizer.json").read_text())
    assert facts["vocabulary"] == tiny.TOKENIZER.vocabulary.to_config()
    assert (facts["sample_rate"], facts["max_seconds"]) == (16000, exports.MAX_SECONDS)
    assert {path.name for path in cascade.folder.parent.iterdir()} - {"model.tflite"} == {"model"}


def test_quantized_weights_are_stored_as_nibbles(cascade):
    reader = tf.train.load_checkpoint(str(cascade.folder / "variables" / "variables"))
    arrays = [reader.get_tensor(name) for name in reader.get_variable_to_shape_map()]
    arrays = [array for array in arrays if isinstance(array, np.ndarray)]
    variables = [content(array) for array in arrays]
    constants = [
        content(tf.make_ndarray(node.attr["value"].tensor))
        for node in nodes(cascade.folder)
        if node.op == "Const"
    ]
    checked = 0
    for name, variable in by_path(cascade.model).items():
        if not name.endswith(("/kernel", "/embeddings")):
            continue
        master = variable.numpy()
        codes, scale = reference.quantize(master, 4, axes=(int(name.endswith("embeddings")),))
        # Once: all uses of a weight share its integers.
        assert variables.count(content(pack_codes(codes, 4))) == 1, name
        assert content(scale) in variables, name
        for whole_bytes in (master, codes * scale, codes.astype(np.float32), codes):
            for stored in (variables, constants):
                assert content(whole_bytes) not in stored, name
                assert content(whole_bytes.T) not in stored, name
        checked += 1
    assert checked == 27


def content(array):
    return str(array.dtype), array.shape, array.tobytes()


def nodes(folder):
    """Every node of a SavedModel's graph and of its functions."""
    saved = saved_model_pb2.SavedModel.FromString((folder / "saved_model.pb").read_bytes())
    (meta_graph,) = saved.meta_graphs
    yield from meta_graph.graph_def.node
    for function in meta_graph.graph_def.library.function:
        yield from function.node_def


def test_no_place_for_the_folder(cascade, tmp_path):
    for path, complaint in [
        (cascade.folder, "exists already; choose another folder"),
        (cascade.folder / "saved_model.pb" / "model", "saved_model.pb is no folder"),
    ]:
        with pytest.raises(UserError, match=complaint):
            export_saved_model(tiny.shared_model(), tiny.TOKENIZER, path)
    with pytest.raises(UserError, match="`max_seconds` must be positive"):
        export_saved_model(tiny.shared_model(), tiny.TOKENIZER, tmp_path / "m", max_seconds=0)
    assert list(tmp_path.iterdir()) == []


def test_a_failure_leaves_nothing(tmp_path, monkeypatch):
    def fail(functions, model, folder, target):
        folder.mkdir()
        raise ValueError("a defect")

    monkeypatch.setattr(saved_model, "save_graph", fail)
    with pytest.raises(ValueError, match="a defect"):
        export_saved_model(tiny.shared_model(), tiny.TOKENIZER, tmp_path / "model")
    assert list(tmp_path.iterdir()) == []


def test_a_server_needs_no_xla_and_no_python(cascade):
    saved = saved_model_pb2.SavedModel.FromString((cascade.folder / "saved_model.pb").read_bytes())
    (meta_graph,) = saved.meta_graphs
    functions = meta_graph.graph_def.library.function
    assert not [f.signature.name for f in functions if f.attr["_XlaMustCompile"].b]
    assert not {"PyFunc", "EagerPyFunc", "PyFuncStateless"} & {n.op for n in nodes(cascade.folder)}
