import json

import numpy as np
import pytest
import soundfile

from int4_conformer.data.corpus import normalized, read_corpus
from int4_conformer.data.corpus_report import CorpusReport
from int4_conformer.data.recordings import decoded, trainable
from int4_conformer.data.sources.utterance import Utterance
from int4_conformer.errors import UserError
from int4_conformer.text.graphemes import Graphemes
from tests.support.examples import heavy


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    """Ten recordings of 0.1 to 1 s, a file that is no audio, and an empty one."""
    folder = tmp_path_factory.mktemp("recordings")
    for i in range(10):
        noise = np.random.default_rng(i).integers(-9000, 9000, 1600 * (i + 1), np.int16)
        soundfile.write(folder / f"{i}.wav", noise, 16000)
    soundfile.write(folder / "empty.wav", np.zeros(0), 16000)
    (folder / "page.wav").write_text("<html>")
    return folder


def corpus(folder, *names, text="a", duration=None):
    """Utterances of some files; the one named i claims its 0.1 * (i + 1) s."""
    return [
        Utterance(
            audio=str(folder / f"{name}.wav"),
            text=text,
            duration=duration or (0.1 * (name + 1) if isinstance(name, int) else 0.5),
        )
        for name in names
    ]


@pytest.mark.parametrize("hold", [True, False])
def test_what_is_decoded_is_what_the_files_hold(folder, hold):
    done = []
    utterances = corpus(folder, *range(10))
    recordings = decoded(utterances, hold=hold, on_decoded=lambda *of: done.append(of))
    assert done == [(number, 10) for number in range(1, 11)]
    assert list(recordings) == utterances
    assert recordings.lengths.tolist() == [1600 * (i + 1) for i in range(10)]
    assert recordings.seconds == pytest.approx(5.5)
    for pcm, utterance in zip(recordings.pcm([7, 2]), (utterances[7], utterances[2]), strict=True):
        np.testing.assert_array_equal(pcm / np.float32(32768), utterance.samples())
    part = recordings[2:4]
    assert (list(part), part.lengths.tolist()) == (utterances[2:4], [4800, 6400])
    assert [pcm.size for pcm in part.pcm([1])] == [6400]
    assert decoded(recordings) is recordings


def test_what_cannot_be_decoded_is_left_out_or_stops(folder):
    utterances = corpus(folder, 0, "page", 1, "empty", "gone")
    report = CorpusReport("skip")
    recordings = decoded(utterances, report)
    assert list(recordings) == [utterances[0], utterances[2]]
    assert [pcm.size for pcm in recordings.pcm([1])] == [3200]
    assert report.left_out == 3
    shown = "\n".join(report.lines())
    assert all(name in shown for name in ("page.wav", "empty.wav", "gone.wav"))
    with pytest.raises(UserError, match=r"page\.wav is not audio"):
        decoded(utterances)
    with pytest.raises(UserError, match=r"None of the recordings can be decoded\. .*page\.wav"):
        decoded(utterances[1:2], CorpusReport("skip"))


def test_wrong_durations_are_counted_and_corrected(folder):
    report = CorpusReport()
    recordings = decoded(corpus(folder, 2, 4, 9, duration=0.55), report)
    assert [utterance.duration for utterance in recordings] == [0.3, 0.55, 1.0]
    assert report.left_out == 0
    assert report.lines() == [
        "used, but odd:",
        "       2 durations that are not those of the audio, which counts",
        f"         {folder / '2.wav'}: 0.30 s, not 0.55 s",
        f"         {folder / '9.wav'}: 1.00 s, not 0.55 s",
    ]


def test_a_file_that_changes_meanwhile_is_named(folder, tmp_path):
    soundfile.write(tmp_path / "0.wav", np.zeros(1600), 16000)
    recordings = decoded(corpus(tmp_path, 0), hold=False)
    soundfile.write(tmp_path / "0.wav", np.zeros(800), 16000)
    with pytest.raises(UserError, match=r"0\.wav has 800 samples and had 1600 before"):
        list(recordings.pcm([0]))


def test_what_cannot_be_trained_on(folder):
    utterances = [
        *corpus(folder, 0, text="ab"),
        *corpus(folder, 9, text="ab"),
        *corpus(folder, 1, text="a7"),
        *corpus(folder, 2, text="ab" * 9),
    ]
    settings = {"tokenizer": Graphemes(), "max_seconds": 0.8, "labels_per_second": 25.0}
    report = CorpusReport("skip")
    left = trainable(decoded(utterances), report=report, **settings)
    assert list(left) == utterances[:1]
    assert report.lines() == [
        "left out 3:",
        "       1 utterances longer than max_seconds=0.8",
        f"         {folder / '9.wav'}: 1.0 s",
        "       1 texts with symbols outside the vocabulary",
        "         The symbol '7' of the text 'a7' is not in the vocabulary; normalize the text or "
        "build the vocabulary from this corpus.",
        "       1 texts with more labels than the model can emit in their time",
        f"         {folder / '2.wav'}: 18 labels in 0.30 s",
    ]
    with pytest.raises(UserError, match="symbol '7'"):
        trainable(decoded(utterances), report=CorpusReport("stop"), **settings)
    with pytest.raises(UserError, match=r"no utterance to train on\. .*9\.wav: 1\.0 s"):
        trainable(decoded(utterances[1:2]), report=CorpusReport("skip"), **settings)


@pytest.mark.parametrize("count", [1000, *heavy(10_000)])
def test_many_lines_of_which_one_in_a_hundred_is_broken(folder, count):
    """Half lines and half files are broken, each in its way; all is said on one screen."""
    lines = []
    for number in range(count):
        line = {"audio": f"{number % 7}.wav", "text": "one", "duration": 0.1 * (1 + number % 7)}
        lines.append(json.dumps(line | {"note": number}))
    broken = [
        *("{'audio': 'a.wav'}", '{"audio": "0.wav"}', '{"audio": 0, "text": "one"}', "[]", "\x00"),
        *(json.dumps({"audio": f"{name}.wav", "text": "one"}) for name in ("gone", "page")),
        json.dumps({"audio": "page.wav", "text": "one", "duration": 1.0}),
        json.dumps({"audio": "empty.wav", "text": "one", "duration": 1.0}),
        json.dumps({"audio": "gone.wav", "text": "one", "duration": 1.0}),
    ]
    for number in range(count // 100):
        lines[100 * number + 37] = broken[number % len(broken)]
    for number, line in {
        5: {"audio": "0.wav", "text": "[noise]"},
        6: {"audio": "1.wav", "text": "one <unk>"},
        7: {"audio": "9.wav", "text": "one", "duration": 0.1},
    }.items():
        lines[number] = json.dumps(line)
    manifest = folder / "manifest.jsonl"
    manifest.write_text("\n".join(lines))
    report = CorpusReport("skip")
    utterances = normalized(read_corpus(manifest, "train", report), report)
    recordings = trainable(
        decoded(utterances, report, hold=False),
        Graphemes(),
        max_seconds=0.8,
        labels_per_second=100.0,
        report=report,
    )
    bad = count // 100
    assert len(recordings) == count - bad - 2
    assert report.left_out == bad + 2
    shown = report.lines()
    assert len(shown) <= 22
    for line in (
        f"left out {bad + 2}:",
        f"{bad // 2:8} lines that are malformed",
        f"{bad // 5:8} audio files that are missing",
        f"{3 * bad // 10:8} audio files that cannot be decoded",
        "       1 texts without a word",
        "       1 utterances longer than max_seconds=0.8",
        "       1 texts with markers that are no words",
        "       1 durations that are not those of the audio, which counts",
        "       1 keys of lines that mean nothing here",
    ):
        assert line in shown
    assert any(f"Line 38 of {manifest} is not JSON" in line for line in shown)
    with pytest.raises(UserError, match=r"Line 38 of .* is not JSON"):
        read_corpus(manifest, "train")
