"""The Android kit does on the JVM what the Python runtime does, with LiteRT's answers recorded."""

import itertools
import runpy
import shutil

import numpy as np
import pytest
from ai_edge_litert import interpreter as litert

from int4_conformer.errors import UserError
from int4_conformer.lite.endpointing import EndpointConfig
from int4_conformer.lite.speech_activity import SpeechActivity, may_hold_speech
from int4_conformer.search.beam_config import BeamConfig
from int4_conformer.search.closed_list import ClosedList
from int4_conformer.search.table_scorers import NGramScorer, PhraseScorer
from int4_conformer.text.normalize import normalize
from int4_conformer.text.spelling import Spelling
from int4_conformer.text.vocabulary import Vocabulary
from int4_conformer.tflite import flatbuffer, metadata
from tests.android import kotlin_kit
from tests.android.kotlin_kit import Case, RecordedRecognizer
from tests.support import tflite_models, tiny

RATE = 16000
CLIENT = kotlin_kit.KIT / "reference_client.py"
WORDPIECES = Vocabulary(
    pieces=(
        "<blank>",
        "\u2581",
        "a",
        "b",
        "ab",
        "\u2581a",
        "\u2581ab",
        "ba",
        "\u2581b",
        "c",
        "é",
        "\U0001f600",
    )
)
LETTERS = tiny.TOKENIZER.vocabulary


@pytest.fixture(scope="session")
def jar():
    """The kit, compiled."""
    if shutil.which("kotlinc") is None or shutil.which("java") is None:
        pytest.skip("the Kotlin compiler is absent: apt-get install kotlin")
    return kotlin_kit.compiled()


@pytest.fixture(scope="session")
def models(cascade_exports, fixed_export, tmp_path_factory):
    """A recogniser of one pass, whose whole utterances are 2 s, and one of two passes."""
    folder = tmp_path_factory.mktemp("models")
    shutil.copy(fixed_export[1], folder / "single.tflite")
    shutil.copy(cascade_exports.tflite, folder / "cascade.tflite")
    return folder


def quiet(rng, seconds):
    return 1e-4 * rng.standard_normal(int(seconds * RATE))


def spoken(rng, seconds):
    """Noise that goes up and down as speech does."""
    loudness = np.exp(rng.uniform(-3, 0, int(10 * seconds))).repeat(RATE // 10)
    return 0.1 * loudness * rng.standard_normal(len(loudness))


def conversation():
    """Bursts and silences, float32 [samples], some of them long enough to end an utterance."""
    rng = np.random.default_rng(3)
    parts = [quiet(rng, 1.0), spoken(rng, 1.5), quiet(rng, 4.8), spoken(rng, 1.2), quiet(rng, 1.9)]
    parts += [spoken(rng, 5.0), quiet(rng, 0.5)]
    return np.concatenate(parts).clip(-1, 1).astype(np.float32)


@pytest.fixture(scope="session")
def arpa(tmp_path_factory):
    """A language model over letters from whose n-grams many are missing."""
    rng = np.random.default_rng(0)
    words = ["\u2581", "a", "b", "d", "f", "g"]
    grams = {
        1: [("<s>",), ("</s>",), *((word,) for word in words)],
        2: [
            pair
            for pair in itertools.product(["<s>", *words], [*words, "</s>"])
            if rng.random() < 0.5
        ],
    }
    for order in (3, 4):
        grams[order] = [
            (*gram, word)
            for gram in grams[order - 1]
            for word in [*words, "</s>"]
            if gram[-1] != "</s>" and (*gram[1:], word) in grams[order - 1] and rng.random() < 0.3
        ]
    lines = ["\\data\\", *(f"ngram {order}={len(grams[order])}" for order in grams)]
    for order, entries in grams.items():
        lines += ["", f"\\{order}-grams:"]
        for gram in entries:
            log_prob = -99 if gram == ("<s>",) else -rng.uniform(0.2, 2)
            backoff = f"\t{-rng.uniform(0, 1):.4f}" if order < 4 and gram[-1] != "</s>" else ""
            lines.append(f"{log_prob:.4f}\t{' '.join(gram)}{backoff}")
    path = tmp_path_factory.mktemp("lm") / "lm.arpa"
    path.write_text("\n".join([*lines, "", "\\end\\", ""]))
    return path


def words_of(words):
    return [[word.text, word.start, word.end, word.confidence] for word in words]


def same(found, expected):
    """Whether nested lists and dicts agree, numbers up to rounding."""
    if isinstance(expected, dict):
        assert found.keys() == expected.keys()
        for name in expected:
            same(found[name], expected[name])
    elif isinstance(expected, list | tuple):
        assert len(found) == len(expected)
        for one, other in zip(found, expected, strict=True):
            same(one, other)
    elif isinstance(expected, float):
        assert found == pytest.approx(expected, rel=1e-5, abs=1e-6)
    else:
        assert found == expected


@pytest.mark.parametrize("name", ["single", "cascade"])
def test_the_file_tells_of_itself(jar, models, tmp_path, name):
    path = models / f"{name}.tflite"
    found = Case("read", model=str(path)).run(jar, tmp_path)
    facts = metadata.read(path.read_bytes())
    for field in ("sample_rate", "block_samples", "frame_samples", "max_symbols_per_frame"):
        assert found[field] == getattr(facts, field)
    assert found["fixed_samples"] == facts.fixed_samples
    assert (found["recipe"], found["delegate"]) == (facts.recipe, facts.delegate)
    assert tuple(found["pieces"]) == facts.vocabulary.pieces
    assert found["checksum"].encode() in path.read_bytes()
    parsed = flatbuffer.load(path.read_bytes())
    for signature in parsed.signatureDefs:
        tensors = parsed.subgraphs[signature.subgraphIndex].tensors
        for part, maps in enumerate((signature.inputs, signature.outputs)):
            specs = {
                entry.name.decode(): [
                    flatbuffer.type_name(tensors[entry.tensorIndex]),
                    []
                    if tensors[entry.tensorIndex].shape is None
                    else list(tensors[entry.tensorIndex].shape),
                ]
                for entry in maps
            }
            assert found["signatures"][signature.signatureKey.decode()][part] == specs


def test_weights_are_kept_for_the_next_start(jar, tmp_path):
    folder = tmp_path / "caches"
    case = Case("weight_cache", folder=str(folder))
    starts = [("a", "1", False), ("a", "2", True), ("a", "3", False), ("a", "4", False)]
    case.set(
        starts=[
            {"checksum": checksum, "writes": writes, "fails": fails}
            for checksum, writes, fails in [*starts, ("b", "5", False)]
        ]
    )
    (found,) = kotlin_kit.run(jar, tmp_path, [case])
    # What was written by a start that failed is not read, nor what another model left.
    assert [x["found"] for x in found] == [None, "1", None, "3", None]
    whole = ["a.weights"]
    assert [x["left"] for x in found] == [
        whole,
        ["a.begun", *whole],
        whole,
        whole,
        ["b.weights"],
    ]


def test_bad_files_are_refused(jar, models, tmp_path):
    content = (models / "single.tflite").read_bytes()
    changed = bytearray(content)
    changed[len(content) // 2] ^= 1
    foreign = content.replace(b"int4_conformer", b"int5_conformer")
    refusals = {
        "text": (b"no model at all", "is not a TFLite model"),
        "short": (content[: len(content) // 2], "is a truncated or damaged TFLite model"),
        "changed": (bytes(changed), "damaged"),
        "foreign": (foreign, "not a recogniser of int4-conformer"),
        "empty": (b"", "is not a TFLite model"),
    }
    for name, (bad, _) in refusals.items():
        (tmp_path / name).write_bytes(bad)
    refusals["absent"] = None, "cannot be read; check the path"
    cases = [Case("read", model=str(tmp_path / name)) for name in refusals]
    for found, (_, complaint) in zip(
        kotlin_kit.run(jar, tmp_path, cases), refusals.values(), strict=True
    ):
        assert complaint in found["refused"]


def test_files_of_other_kinds(jar, tmp_path):
    kinds = {
        # Its buffers lie behind the flatbuffer, the metadata among them.
        "large": tflite_models.recognizer(table_rows=20000),
        "symmetric": tflite_models.recognizer("none"),
        "old": tflite_models.recognizer(timed=False),
    }
    for name, content in kinds.items():
        (tmp_path / name).write_bytes(content)
    cases = [
        Case("read", model=str(tmp_path / name), runtime=runtime)
        for name, runtime in [
            ("large", "compiled_model"),
            ("symmetric", "interpreter"),
            ("symmetric", "compiled_model"),
            ("old", None),
        ]
    ]
    whole = Case("stream", model=str(tmp_path / "large"), gated=True, endpointing=True, calls=[])
    whole.set(second_pass=True, only=False, phrases=[], beam=None, lm=None, parts=[])
    large, *found = kotlin_kit.run(jar, tmp_path, [*cases, whole])
    assert tuple(large["pieces"]) == tflite_models.VOCABULARY.pieces
    interpreted, *refused = found
    assert interpreted["delegate"] == "none"
    complaints = (
        "kernels that CompiledModel does not have",
        "before words had times",
        "whole utterances only",
    )
    for one, complaint in zip(refused, complaints, strict=True):
        assert complaint in one["refused"]


@pytest.mark.parametrize(
    ("name", "gated", "endpointing", "second_pass", "settings", "runtime"),
    [
        ("single", True, True, True, {}, "interpreter"),
        ("single", False, False, True, {}, "compiled_model"),
        ("single", True, True, True, {"phrases": ["gd a", "afdf"]}, "interpreter"),
        ("single", False, True, True, {"phrases": ["dd g", "a"], "only": True}, None),
        ("cascade", True, True, True, {}, "compiled_model"),
        ("cascade", False, True, True, {}, None),
        ("cascade", True, True, False, {}, "interpreter"),
        ("cascade", False, False, True, {"beam": {"beam_size": 4, "n_best": 1}}, None),
        ("cascade", True, True, True, {"phrases": ["iia", "gd"], "lm": True}, "compiled_model"),
    ],
)
def test_streams(
    jar, models, arpa, tmp_path, name, gated, endpointing, second_pass, settings, runtime
):
    path = models / f"{name}.tflite"
    recognizer = RecordedRecognizer(path, gated=gated)
    search = dict(settings)
    if "lm" in search:
        search["lm"] = NGramScorer.read(arpa, recognizer.vocabulary)
    if "beam" in search:
        search["beam"] = BeamConfig(**search["beam"])
    stream = recognizer.stream(
        endpointing=EndpointConfig() if endpointing else None, second_pass=second_pass, **search
    )
    parts = np.array_split(conversation(), 37)
    expected = []

    def tell(first, following):
        expected.append(first())
        while expected[-1].endpoint is not None:
            expected.append(following())

    for part in parts:
        tell(lambda part=part: stream.feed(part), lambda: stream.feed(parts[0][:0]))
    tell(stream.finish, stream.finish)

    case = Case("stream", model=str(path), gated=gated, endpointing=endpointing)
    # The app's two ways to LiteRT, or the recording itself.
    case.set(runtime=runtime)
    case.set(second_pass=second_pass, only=settings.get("only", False))
    case.set(phrases=settings.get("phrases", []), beam=settings.get("beam"))
    case.set(lm=str(arpa) if "lm" in settings else None)
    case.set(parts=[case.array(part) for part in parts], calls=recognizer.taken(case))
    found = case.run(jar, tmp_path)
    same(
        found,
        [
            {
                "final": result.final,
                "text": result.text,
                "words": words_of(result.final_words),
                "endpoint": result.endpoint,
            }
            for result in expected
        ],
    )
    # The comparison is of something; this first pass never falls silent.
    assert any(result.text for result in expected)
    if endpointing and second_pass and "only" not in settings:
        assert any(result.endpoint for result in expected)
    if name == "cascade" and second_pass:
        assert any(result.final != result.text for result in expected)


@pytest.mark.parametrize(
    "settings",
    [
        {},
        {"beam": {"beam_size": 8, "n_best": 6}},
        {"phrases": ["g dd", "fg"], "beam": {"beam_size": 4, "n_best": 4}},
        {"lm": True, "beam": {"beam_size": 6, "n_best": 3}},
        {"phrases": ["dg", "g d"], "only": True, "beam": {"beam_size": 8, "n_best": 2}},
    ],
)
def test_whole_utterances(jar, models, arpa, tmp_path, settings):
    path = models / "single.tflite"
    recognizer = RecordedRecognizer(path)
    search = dict(settings)
    if "lm" in search:
        search["lm"] = NGramScorer.read(arpa, recognizer.vocabulary)
    if "beam" in search:
        search["beam"] = BeamConfig(**search["beam"])
    pcm = conversation()[RATE : RATE + 29_999]
    best = recognizer.recognize(pcm, **search)
    case = Case("recognize", model=str(path), gated=True, only=settings.get("only", False))
    case.set(phrases=settings.get("phrases", []), beam=settings.get("beam"))
    case.set(lm=str(arpa) if "lm" in settings else None)
    case.set(pcm=case.array(pcm), calls=recognizer.taken(case))
    same(
        case.run(jar, tmp_path),
        [
            {"text": one.text, "words": words_of(one.words), "score": one.score}
            for one in (best, *best.alternatives)
        ],
    )
    assert best.text


def test_what_is_refused(jar, models, tmp_path):
    single, cascade = (str(models / f"{name}.tflite") for name in ("single", "cascade"))
    long, wrong = np.zeros(3 * RATE, np.float32), np.full(RATE, 100.0, np.float32)
    loud = conversation()[RATE : 2 * RATE]
    refusals = [
        (single, long, {}, "One call of this file hears 2 s at most; use a stream"),
        (single, wrong, {}, "in -1..1; divide 16-bit samples by 32768"),
        (cascade, loud, {}, "export one with --fixed_seconds"),
        (single, loud, {"only": True}, "nothing can be said without phrases"),
        (single, loud, {"only": True, "phrases": ["a | b"]}, "is no plain phrase"),
        (single, loud, {"only": True, "phrases": ["ab 12"]}, "numbers as words"),
        (single, loud, {"phrases": ["xyz"]}, "is not in the vocabulary"),
        (single, loud, {"phrases": ["..."]}, "holds no word"),
        (single, loud, {"lm": __file__}, "is no ARPA file"),
    ]
    cases = []
    for path, pcm, settings, _ in refusals:
        case = Case("recognize", model=path, gated=True, calls=[])
        case.set(only=False, phrases=[], beam=None, lm=None)
        case.set(pcm=case.array(pcm), **settings)
        cases.append(case)
    for found, (*_, complaint) in zip(kotlin_kit.run(jar, tmp_path, cases), refusals, strict=True):
        assert complaint in found["refused"]


@pytest.mark.parametrize("seed", range(4))
def test_speech_activity(jar, tmp_path, seed):
    rng = np.random.default_rng(seed)
    sounds = [
        spoken(rng, rng.uniform(0.3, 2)) if rng.random() < 0.5 else quiet(rng, rng.uniform(0.1, 5))
        for _ in range(5)
    ]
    pcm = np.concatenate([np.zeros(1000), *sounds][: 2 + seed]).astype(np.float32)
    parts = np.array_split(pcm, np.sort(rng.integers(0, len(pcm), 20)))
    activity, active = SpeechActivity(RATE), []
    for part in parts:
        activity.hear(part)
        active.append(activity.last_active)
    case = Case("activity", rate=RATE)
    case.set(parts=[case.array(part) for part in parts])
    found = case.run(jar, tmp_path)
    same(found["active"], active)
    assert found["speech"] == may_hold_speech(pcm, RATE)
    assert 0 <= found["level"] <= 1


def test_endpoints(jar, tmp_path):
    rng = np.random.default_rng(0)
    rules = [1.0, 2.0, 1.5, 6.0]
    moments = [
        [rng.uniform(0, 8), None if rng.random() < 0.3 else rng.uniform(0, 3), rng.uniform(0, 3)]
        for _ in range(200)
    ]
    names = ("after_words", "in_noise", "without_words", "longest")
    config = EndpointConfig(**dict(zip(names, rules, strict=True)))
    expected = [
        config.endpoint(length=length, since_word=word, since_active=active)
        for length, word, active in moments
    ]
    assert set(expected) == {None, *names}
    assert Case("endpoints", rules=rules, moments=moments).run(jar, tmp_path) == expected


def test_texts_are_normalized(jar, tmp_path):
    texts = [
        "Hello, World!",
        "don't 'quote' rock 'n' roll''s",
        "U.S. at 3.5 e.g. a.b",
        "[noise] <unk> a < b [ not ] (kept)",
        "caf\u0065\u0301 \ufb01ne \u2019tis o\u2018clock \u00c9T\u00c9",
        "\u0130stanbul I\u0307\u0307 stra\u00dfe \u03a3\u0391\u03a3",
        "zero\u200bwidth\tand\u00a0spaces\u3000wide",
        "x\u00b2 \u00bd \u216b 100% \u20ac5 \U0001f600 a-b_c/d",
        "",
    ]
    assert Case("normalize", texts=texts).run(jar, tmp_path) == [normalize(text) for text in texts]


def spelled(spelling, text):
    try:
        return spelling.encode(text)
    except UserError as error:
        return str(error)


@pytest.mark.parametrize("scored", [False, True])
@pytest.mark.parametrize("marks", [False, True])
def test_spelling(jar, tmp_path, scored, marks):
    rng = np.random.default_rng(0)
    scores = [float(score) for score in rng.uniform(-5, 0, WORDPIECES.size)] if scored else None
    texts = ["", "ab", "abba ab", "é\U0001f600a c", "ax", "a  b", "\U0001f601"]
    texts += ["".join(rng.choice(list("abc é"), 12)) for _ in range(30)]
    spelling = Spelling(
        vocabulary=WORDPIECES, piece_scores=scores and tuple(scores), marks_first_word=marks
    )
    case = Case("spell", pieces=list(WORDPIECES.pieces), scores=scores, marks_first_word=marks)
    case.set(texts=texts)
    assert case.run(jar, tmp_path) == [spelled(spelling, text) for text in texts]


def test_words(jar, tmp_path):
    rng = np.random.default_rng(0)
    pieces = [*WORDPIECES.pieces, "a\u2581b", "\u2581\u2581"]
    ids = [rng.integers(0, len(pieces), rng.integers(0, 12)).tolist() for _ in range(50)]
    vocabulary = Vocabulary(pieces=tuple(pieces))
    expected = [[[w.text, list(w.places)] for w in vocabulary.words(row)] for row in ids]
    assert Case("words", pieces=pieces, ids=ids).run(jar, tmp_path) == expected


@pytest.mark.parametrize("only", [False, True])
@pytest.mark.parametrize(
    ("vocabulary", "marks", "phrases"),
    [
        (LETTERS, False, ["ab a", "ab", "ba b", "b ab ab", "a"]),
        (WORDPIECES, True, ["ab a", "abc", "ba ab", "a", "cab ab"]),
    ],
)
def test_phrases(jar, tmp_path, vocabulary, marks, phrases, only):
    rng = np.random.default_rng(0)
    spelling = Spelling(vocabulary=vocabulary, marks_first_word=marks)
    scorer = ClosedList(phrases, spelling) if only else PhraseScorer.of(phrases, spelling, 0.5)
    labels = [spelling.encode(" ".join(rng.choice(phrases, 3))) for _ in range(10)]
    labels += [rng.integers(1, vocabulary.size, 12).tolist() for _ in range(40)]
    labels += [spelling.encode(phrase) for phrase in phrases]
    expected = []
    for row in labels:
        state, added = scorer.start, []
        for label in row:
            added.append(float(scorer.scores(np.array([state]))[0, label]))
            state = scorer.advance(state, label)
        expected.append([*added, scorer.final(state)])
    case = Case("bias", pieces=list(vocabulary.pieces), scores=None, marks_first_word=marks)
    case.set(phrases=phrases, only=only, labels=labels)
    same(case.run(jar, tmp_path), expected)


# Unigrams alone, with a probability for tokens that are not among them.
UNIGRAMS = """\\data\\
ngram 1=5

\\1-grams:
-99\t<s>
-0.7\t</s>
-1.5\t<unk>
-0.9\ta
-0.4\tb

\\end\\
"""


@pytest.mark.parametrize("order", [1, 4])
def test_language_models(jar, arpa, tmp_path, order):
    rng = np.random.default_rng(0)
    if order == 1:
        arpa = tmp_path / "unigrams.arpa"
        arpa.write_text(UNIGRAMS)
    scorer = NGramScorer.read(arpa, LETTERS)
    labels = [rng.integers(1, LETTERS.size, 10).tolist() for _ in range(30)]
    labels += [rng.choice([1, 2, 3, 5, 7, 8], 10).tolist() for _ in range(100)]
    expected = []
    for row in labels:
        state, scores = scorer.start, []
        for label in row:
            scores.append(float(scorer.scores(state, np.array([label]))[0]))
            state = scorer.advance(state, label)
        expected.append([*scores, scorer.final(state)])
    found = Case("ngram", model=str(arpa), pieces=list(LETTERS.pieces), labels=labels).run(
        jar, tmp_path
    )
    same(found, expected)


def recording(calls):
    """LiteRT's interpreter, which adds the calls of signatures to a list."""

    class RecordingInterpreter(litert.Interpreter):
        def get_signature_runner(self, name):
            runner = super().get_signature_runner(name)

            class Recorded:
                get_input_details = runner.get_input_details

                def __call__(self, **inputs):
                    calls.append((name, inputs))
                    return runner(**inputs)

            return Recorded()

    return RecordingInterpreter


@pytest.mark.parametrize("blocks", [1, 13, 40, 64])
def test_the_reference_client_makes_the_calls_of_a_stream(models, monkeypatch, blocks):
    assert len(CLIENT.read_text().splitlines()) <= 60
    path, calls = models / "cascade.tflite", []
    client = runpy.run_path(str(CLIENT))
    pcm = tiny.speech(blocks, seed=1)[100:]
    with monkeypatch.context() as patch:
        patch.setattr(client["litert"], "Interpreter", recording(calls))
        text = client["transcribe"](path.read_bytes(), pcm)
    recognizer = RecordedRecognizer(path, gated=False)
    stream = recognizer.stream()
    stream.feed(pcm)
    assert stream.finish().text == text
    assert [name for name, _ in calls] == [name for name, *_ in recognizer.calls]
    for (_, given), (_, expected, _) in zip(calls, recognizer.calls, strict=True):
        assert given.keys() == expected.keys()
        for name in given:
            np.testing.assert_array_equal(given[name], expected[name])
