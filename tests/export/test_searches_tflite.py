"""Searches with the parts of an exported file, against those of the model."""

import functools
import itertools

import numpy as np
import pytest
import tensorflow as tf
from ai_edge_litert.interpreter import Interpreter

from int4_conformer import interface
from int4_conformer.decoding.biasing import PhraseBias
from int4_conformer.errors import UserError
from int4_conformer.export.recognizer_tflite import export_tflite
from int4_conformer.lite import file_signatures
from int4_conformer.lite.recognizer import Recognizer
from int4_conformer.quant.spec.recipe import Recipe
from int4_conformer.search.beam_config import BeamConfig
from int4_conformer.search.table_scorers import NGramScorer
from int4_conformer.tflite import flatbuffer
from tests.decoding.test_ngram import write
from tests.support import tiny
from tests.support.examples import heavy
from tests.support.pairs import LENGTHS, PCM, built

PHRASES = ("abc", "ab dj", "j i")
BEAM = BeamConfig(beam_size=4, n_best=4)
VOCABULARY = tiny.TOKENIZER.vocabulary


FLOAT = Recipe.preset("float")


@pytest.fixture(scope="module", params=["integers", *heavy("float")])
def exported(request, cascade_exports, tmp_path_factory):
    """A model, its file, and the recogniser of that."""
    if request.param == "integers":
        model, path = cascade_exports.model, cascade_exports.tflite
    else:
        model = built("conformer", "lstm", FLOAT)
        path = tmp_path_factory.mktemp("searches") / "model.tflite"
        export_tflite(model, tiny.TOKENIZER, path)
    return model, path, Recognizer(path, gated=False)


def utterances(model):
    """Utterances, as the runtime pads them."""
    block = model.config.block_samples
    return [np.pad(PCM[row, :n], [0, -n % block]) for row, n in enumerate(LENGTHS)]


def test_hypotheses_are_those_of_the_model(exported):
    model, _, recognizer = exported
    bias = PhraseBias.of(PHRASES, tiny.TOKENIZER, 2.0)

    @functools.partial(tf.function, autograph=False, input_signature=[tf.TensorSpec([1, None])])
    def search(pcm):
        return [model.beam_search(pcm, config=BEAM, bias=each) for each in (None, bias)]

    said = set()
    for pcm in utterances(model):
        for expected, asked in zip(search(pcm[None]), ({}, {"phrases": PHRASES}), strict=True):
            found = recognizer.recognize(pcm, beam=BEAM, bonus=2.0, **asked)
            texts = [
                VOCABULARY.detokenize(ids[:count].numpy())
                for ids, count in zip(expected.ids[0], expected.count[0], strict=True)
            ]
            every = [found, *found.alternatives]
            assert [x.text for x in every] == texts[: len(every)]
            # A float's last bit seldom moves a code, and then a score by what that is worth.
            tolerance = 1e-3 if model.config.recipe is FLOAT else 0.2
            np.testing.assert_allclose(
                [x.score for x in every], expected.scores[0, : len(every)], atol=tolerance
            )
            assert recognizer.transcribe(pcm, beam=BEAM, bonus=2.0, **asked) == texts[0]
            said.add(texts[0])
    assert len(said) > 1


@pytest.mark.parametrize("size", [700, 20_000])
def test_a_stream_finds_what_the_whole_utterance_does(exported, size):
    model, _, recognizer = exported
    for pcm, asked in itertools.product(utterances(model), ({}, {"phrases": PHRASES})):
        expected = recognizer.recognize(pcm, beam=BEAM, **asked)
        stream, finals = recognizer.stream(beam=BEAM, **asked), [""]
        for start in range(0, len(pcm), size):
            finals.append(stream.feed(pcm[start : start + size]).final)
        result = stream.finish()
        assert result.final == result.text == expected.text
        for word, same in zip(result.final_words, expected.words, strict=True):
            assert (word.text, word.start, word.end) == (same.text, same.start, same.end)
            assert word.confidence == pytest.approx(same.confidence, abs=1e-4)
        assert all(result.final.startswith(text) for text in finals)


def test_a_closed_list_says_its_phrases_alone(exported):
    model, _, recognizer = exported
    phrases, said = ["(a | b | c | d)+", "j = (f | g)+ [a]", "(h | i | j | e)+"], set()
    for pcm in utterances(model):
        found = recognizer.recognize(pcm, phrases=phrases, only=True)
        assert (found.match is None) == (found.text == "")
        assert found.text == "" or set(found.text) <= set("abcdefghij ")
        stream = recognizer.stream(phrases=phrases, only=True)
        stream.feed(pcm)
        assert stream.finish().final == found.text
        said.add(found.text)
    assert said - {""}


def test_language_models_are_asked(exported, tmp_path):
    model, _, recognizer = exported
    rng = np.random.default_rng(0)
    words = ["<s>", "</s>", "<unk>", *VOCABULARY.pieces[1:]]
    file = write(tmp_path / "lm.arpa", {(word,): (rng.uniform(-3, -0.5), 0.0) for word in words})
    lm = NGramScorer.read(file, recognizer.vocabulary)
    config = BeamConfig(beam_size=4, lm_weight=3.0)
    pairs = [
        (recognizer.transcribe(pcm, beam=config, lm=lm), recognizer.transcribe(pcm, beam=config))
        for pcm in utterances(model)
    ]
    assert any(with_lm != without for with_lm, without in pairs)


def test_weights_are_in_the_file_once(exported):
    _, path, _ = exported
    parsed = flatbuffer.load(path.read_bytes())
    contents = [
        bytes(buffer.data)
        for buffer in parsed.buffers
        if buffer.data is not None and len(buffer.data) >= 32
    ]
    assert len(contents) > 20
    assert len(set(contents)) == len(contents)


def test_tensors_are_of_types_that_every_runtime_takes(exported):
    _, path, _ = exported
    interpreter = Interpreter(str(path))
    for name in interpreter.get_signature_list():
        runner = interpreter.get_signature_runner(name)
        inputs, outputs = runner.get_input_details(), runner.get_output_details()
        for details in (*inputs.values(), *outputs.values()):
            assert details["dtype"] in (np.float32, np.int32)
        states = set(inputs) & set(outputs) - {interface.LENGTH, interface.ENCODED}
        assert states or name not in (interface.FIRST_PASS, interface.SECOND_PASS)
        for state in states:
            shapes = (tuple(details[state]["shape"]) for details in (inputs, outputs))
            assert len(set(shapes)) == 1


@pytest.fixture(params=["one pass", *heavy("two passes", "float")])
def fixed(request, tmp_path):
    """A model and its file for whole utterances of some seconds."""
    if request.param == "one pass":
        return *request.getfixturevalue("fixed_export"), 2.0
    if request.param == "two passes":
        model = request.getfixturevalue("cascade_exports").model
    else:
        model = built("conformer", "lstm", FLOAT)
    path = tmp_path / "fixed.tflite"
    export_tflite(model, tiny.TOKENIZER, path, fixed_seconds=0.7)
    return model, path, 0.7


def test_a_fixed_length_needs_no_resizing(fixed):
    model, path, seconds = fixed
    fixed, recognize = Recognizer(path, gated=False), tiny.recognition(model)
    inputs = Interpreter(str(path)).get_signature_runner("serving_default").get_input_details()
    samples = fixed.metadata.fixed_samples
    assert inputs[interface.PCM]["shape"].tolist() == [samples]
    assert samples % model.config.block_samples == 0
    assert seconds * 16000 <= samples < seconds * 16000 + model.config.block_samples
    texts = []
    for pcm in utterances(model):
        assert fixed.tokens(pcm).tolist() == recognize(pcm).tolist()
        # A stream needs no signature of whole utterances.
        stream = fixed.stream(beam=BEAM)
        stream.feed(pcm)
        texts.append(fixed.transcribe(pcm, beam=BEAM))
        assert texts[-1] == stream.finish().text
    assert any(texts)
    with pytest.raises(UserError, match=r"One call of this file hears .* s at most; .* 2\.40 s"):
        fixed.tokens(np.ones(38400, np.float32) * 0.1)
    # What is longer is heard as a stream.
    longer = np.tile(utterances(model)[-1], 8)
    assert len(longer) > samples
    found = fixed.recognize(longer)
    assert not found.cuts
    assert found.text == fixed.transcribe(longer)


def test_searches_of_long_recordings(exported, monkeypatch):
    _, _, recognizer = exported
    monkeypatch.setattr(file_signatures, "LONGEST_SECONDS", 0.5)
    samples = np.tile(PCM[0], 3)
    assert len(samples) > 2 * recognizer.longest_seconds * 16000
    greedy = recognizer.transcribe(samples)
    assert greedy
    assert recognizer.transcribe(samples, beam=BeamConfig(beam_size=1)) == greedy
    one = BeamConfig(beam_size=4)
    for search in ({"beam": one}, {"phrases": PHRASES}, {"phrases": PHRASES, "beam": one}):
        found = recognizer.recognize(samples, **search)
        assert found.text == recognizer.transcribe(samples, **search)
        assert found.score is None
        if recognizer.hears_streams:
            stream = recognizer.stream(**search)
            stream.feed(samples)
            assert found.text == stream.finish().text
    for search, message in [
        ({"beam": BEAM}, r"Alternatives \(n_best\) are of one utterance, and this is longer than"),
        ({"phrases": PHRASES, "only": True}, "utterance by utterance, with `transcribe --stream`"),
    ]:
        with pytest.raises(UserError, match=message):
            recognizer.recognize(samples, **search)
