import sys

import numpy as np
import pytest

from int4_conformer.data.corpus import format_of, read_corpus
from int4_conformer.data.corpus_report import CorpusReport
from int4_conformer.data.recordings import decoded
from int4_conformer.data.sources import tfds as source
from int4_conformer.errors import UserError
from tests.support import corpora


def test_without_the_package(monkeypatch):
    source._builder.cache_clear()
    monkeypatch.setitem(sys.modules, "tensorflow_datasets", None)
    assert format_of("tfds:librispeech").name == "a data set of tensorflow_datasets"
    with pytest.raises(UserError, match=r"tfds:librispeech needs the package tensorflow_datasets"):
        read_corpus("tfds:librispeech")


@pytest.fixture(scope="module")
def spoken(tmp_path_factory):
    """A data set of three examples, prepared on this machine."""
    tfds = pytest.importorskip("tensorflow_datasets")

    class Spoken(tfds.core.GeneratorBasedBuilder):
        VERSION = tfds.core.Version("1.0.0")

        def _info(self):
            features = {
                "speech": tfds.features.Audio(sample_rate=16000),
                "text": tfds.features.Text(),
                "speaker_id": np.int64,
            }
            return self.dataset_info_from_configs(features=tfds.features.FeaturesDict(features))

        def _split_generators(self, dl_manager):
            return {"train": self._generate_examples(2), "dev": self._generate_examples(1)}

        def _generate_examples(self, count):
            for number in range(count):
                speech = corpora.samples(number).astype(np.int64)
                text = f"text {number}" if number < 1 else ""
                yield number, {"speech": speech, "text": text, "speaker_id": number}

    folder = tmp_path_factory.mktemp("tfds")
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("TFDS_DATA_DIR", str(folder))
        builder = Spoken(data_dir=folder)
        builder.download_and_prepare()
        source._builder.cache_clear()
        patch.setattr(tfds, "builder", lambda name: builder)
        yield builder


def test_examples_are_utterances(spoken):
    report = CorpusReport("skip")
    utterances = read_corpus("tfds:spoken", report=report)
    assert sorted((u.text, u.split, u.speaker) for u in utterances) == [
        ("text 0", "dev", "0"),
        ("text 0", "train", "0"),
    ]
    assert "has no text" in report.first()
    for recording in decoded(utterances):
        assert recording.duration == 0.3
        np.testing.assert_array_equal(recording.samples() * 32768, corpora.samples(0))
    with pytest.raises(UserError, match="no split 'test'; it has 'dev', 'train'"):
        read_corpus("tfds:spoken", "test")
