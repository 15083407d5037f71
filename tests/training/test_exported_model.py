import dataclasses

import pytest

from int4_conformer.errors import UserError
from int4_conformer.export.recognizer_verification import verify_recognizer
from int4_conformer.models.transducer import Transducer
from int4_conformer.training.exported_file import read_exported
from int4_conformer.training.exported_model import load_exported
from int4_conformer.training.initial_weights import InitialWeights, read_weights
from int4_conformer.training.workdir import Workdir
from tests.support import box, exports, pairs, tiny


def test_a_file_of_a_run_is_that_model_again(trained, exported_run):
    path, _ = exported_run
    model, tokenizer = load_exported(path)
    expected, trained_tokenizer = Workdir(trained.workdir).load()
    assert tokenizer == trained_tokenizer
    assert model.config == expected.config
    exports.assert_weights_alike(model, expected)
    assert not verify_recognizer(path.read_bytes(), model, [tiny.speech(20)]).differences


def test_a_cascade_streams_as_its_file(cascade_exports):
    model, _ = load_exported(cascade_exports.tflite)
    exports.assert_weights_alike(model, cascade_exports.model)
    content = cascade_exports.tflite.read_bytes()
    found = verify_recognizer(content, model, [pairs.PCM[0]], quick=True)
    assert not found.differences
    assert {"first_pass", "second_pass"} <= {x.signature for x in found.signatures}


def test_what_is_not_in_a_file_starts_afresh(exported_run):
    path, _ = exported_run
    model = Transducer(dataclasses.replace(read_exported(path).config, ctc=True))
    model.build()
    report = InitialWeights(path=str(path)).give_to(model)
    assert report.missing == ("ctc_0/kernel", "ctc_0/bias")
    assert report.lines()[1:] == ["starts afresh: ctc_0/kernel", "starts afresh: ctc_0/bias"]


def test_refused_files(tmp_path):
    with pytest.raises(UserError, match="was exported by an earlier version, whose files"):
        read_exported(box.MODEL)
    with pytest.raises(UserError, match="cannot be read"):
        read_weights(str(tmp_path / "absent.tflite"))
