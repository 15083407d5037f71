import pytest

from int4_conformer import interface

NAMES = {name: value for name, value in vars(interface).items() if name.isupper()}


def test_names_in_files_that_exist_stay():
    assert set(NAMES.values()) == {
        *("serving_default", "first_pass", "second_pass", "pcm", "length", "encoded"),
        *("tokens", "count", "frames", "log_probs"),
        *("transcribe_pcm16", "transcribe_bytes", "beam", "encode", "audio_bytes", "phrases"),
        *("bonus", "text", "words", "word_count", "starts", "ends", "confidences", "score"),
        *("error", "texts", "scores", "predict", "join", "label", "predicted", "logits"),
    }


@pytest.mark.parametrize("name", NAMES.values())
def test_each_is_described(name):
    assert name in interface.__doc__
