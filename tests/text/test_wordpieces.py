import gc
import json

import pytest
import tensorflow as tf
from sentencepiece.sentencepiece_model_pb2 import ModelProto, TrainerSpec

from int4_conformer.errors import UserError
from int4_conformer.text.tokenizer import tokenizer_from_config
from int4_conformer.text.wordpieces import Wordpieces

TEXTS = [
    "the quick brown fox jumps over the lazy dog",
    "she sells sea shells by the sea shore",
    "don't put all your eggs in one basket",
    "a watched pot never boils in the kitchen",
    "the early bird catches the worm in the morning",
]


@pytest.fixture(scope="module")
def wordpieces():
    return Wordpieces.train(TEXTS, vocab_size=40)


def test_the_blank_is_id_0_and_the_size_is_as_asked(wordpieces):
    assert wordpieces.vocabulary.size == 40
    assert wordpieces.vocabulary.pieces[0] == "<blank>"
    assert any(len(piece) > 2 for piece in wordpieces.vocabulary.pieces[1:])


@pytest.mark.parametrize("text", [*TEXTS, "", "the shore", "kitchen"])
def test_round_trip_without_blanks(wordpieces, text):
    ids = wordpieces.encode(text)
    assert 0 not in ids
    assert wordpieces.vocabulary.detokenize(ids) == text


def test_pieces_span_characters(wordpieces):
    assert len(wordpieces.encode(TEXTS[0])) < len(TEXTS[0])


def test_graph_gives_the_same_ids(wordpieces):
    texts = [*TEXTS, "", "worm", "  the   shore "]
    encode = tf.function(wordpieces.encode_tf)
    gc.collect()
    for _ in range(2):
        ids = encode(tf.constant(texts))
        assert ids.dtype == tf.int32
        assert ids.to_list() == [wordpieces.encode(text) for text in texts]


def test_graph_works_inside_a_dataset(wordpieces):
    dataset = tf.data.Dataset.from_tensor_slices(TEXTS).batch(2).map(wordpieces.encode_tf)
    gc.collect()
    for _ in range(2):
        encoded = [ids for batch in dataset for ids in batch.to_list()]
        assert encoded == [wordpieces.encode(text) for text in TEXTS]


def test_names_the_unknown_symbol_and_the_text(wordpieces):
    with pytest.raises(UserError, match="symbol 'é' of the text 'the café'"):
        wordpieces.encode("the café")


def test_a_model_of_whole_words_names_the_text_that_has_another(wordpieces):
    model = ModelProto()
    model.ParseFromString(wordpieces.model)
    model.trainer_spec.model_type = TrainerSpec.WORD
    words = Wordpieces(model=model.SerializeToString())
    with pytest.raises(UserError, match="The text 'oooo' has a word that is not in the vocabulary"):
        words.encode("oooo")


@pytest.mark.parametrize("text", ["the café", "<blank>"])
def test_graph_refuses_unknown_symbols(wordpieces, text):
    with pytest.raises(tf.errors.InvalidArgumentError, match="not in the vocabulary"):
        tf.function(wordpieces.encode_tf)(tf.constant(["the fox", text]))


def test_survives_json_and_file(wordpieces, tmp_path):
    config = json.loads(json.dumps(wordpieces.to_config()))
    assert tokenizer_from_config(config) == wordpieces
    wordpieces.save(tmp_path / "pieces.model")
    assert Wordpieces.load(tmp_path / "pieces.model") == wordpieces
    assert [path.name for path in tmp_path.iterdir()] == ["pieces.model"]


def test_training_repeats():
    assert Wordpieces.train(TEXTS, 40).vocabulary == Wordpieces.train(TEXTS, 40).vocabulary


def test_says_which_sizes_are_possible():
    with pytest.raises(UserError, match=r"at most (\d+) .*Received: vocab_size=4000") as refusal:
        Wordpieces.train(TEXTS, 4000)
    most = int(str(refusal.value).split("at most ")[1].split()[0])
    assert Wordpieces.train(TEXTS, most).vocabulary.size == most
    with pytest.raises(UserError, match=r"at least (\d+)") as refusal:
        Wordpieces.train(TEXTS, 5)
    least = int(str(refusal.value).split("at least ")[1].split(",")[0])
    assert Wordpieces.train(TEXTS, least).vocabulary.size == least


@pytest.mark.parametrize("size", [0, -1])
def test_a_size_of_nothing_is_refused(size):
    with pytest.raises(UserError, match=f"Received: vocab_size={size}"):
        Wordpieces.train(TEXTS, size)


def test_refuses_texts_without_words():
    with pytest.raises(UserError, match="hold no word"):
        Wordpieces.train(["", " "], 10)


def test_refuses_other_bytes_and_missing_files(tmp_path):
    with pytest.raises(UserError, match="Received 4 bytes"):
        Wordpieces(model=b"junk")
    with pytest.raises(UserError, match="`model` must"):
        Wordpieces(model=b"")
    with pytest.raises(UserError, match="no wordpiece model"):
        Wordpieces.load(tmp_path / "absent.model")


def test_refuses_pieces_that_are_no_text(wordpieces):
    for place in (0, 5):
        piece = wordpieces.vocabulary.pieces[place].encode()
        model = wordpieces.model.replace(piece, b"\xff" * len(piece), 1)
        with pytest.raises(UserError, match="must be a SentencePiece model"):
            Wordpieces(model=model)


def test_refuses_models_that_others_trained():
    import io

    import sentencepiece

    model = io.BytesIO()
    sentencepiece.SentencePieceTrainer.train(
        sentence_iterator=iter(TEXTS), model_writer=model, vocab_size=40, minloglevel=2
    )
    with pytest.raises(UserError, match="'<unk>' at id 0"):
        Wordpieces(model=model.getvalue())
