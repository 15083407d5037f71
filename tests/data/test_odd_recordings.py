"""Files of strangers in a corpus: training and evaluation, which take theirs from here, hear what
`transcribe` hears (tests/files)."""

import dataclasses
import json
from pathlib import Path

import numpy as np
import pytest

from int4_conformer.data.corpus import read_corpus
from int4_conformer.data.corpus_report import CorpusReport
from int4_conformer.data.recordings import decoded
from tests.support.odd_files import CASES, RATE

GOOD = [case for case in CASES if case.refusal is None]
BAD = [case for case in CASES if case.refusal is not None]


def test_training_and_evaluation_hear_the_same(tmp_path):
    manifest = tmp_path / "manifest.jsonl"
    rows = [{"audio": str(case.write(tmp_path)), "text": "a", "duration": 1.0} for case in CASES]
    manifest.write_text("".join(f"{json.dumps(row)}\n" for row in rows))
    report = CorpusReport("skip")
    recordings = decoded(read_corpus(manifest, report=report), report, hold=True)
    for case, utterance, length in zip(GOOD, recordings, recordings.lengths, strict=True):
        assert Path(utterance.audio).name == case.name
        assert length / RATE == pytest.approx(case.seconds, abs=case.slack + 1e-3)
    for case, pcm in zip(GOOD, recordings.pcm(range(len(GOOD))), strict=True):
        samples = pcm / np.float32(32768)
        # Files may have samples that 16 bits do not hold.
        dataclasses.replace(case, error=max(case.error, 1e-3)).check(samples)
    assert report.left_out == len(BAD)
    assert len(report.lines()) <= 22
