import json
import os
import shutil
import signal
from pathlib import Path

import pytest

from int4_conformer.batch import TranscriberConfig, transcribe_many
from int4_conformer.batch.file_access import LocalFiles
from int4_conformer.batch.job_folder import JobFolder
from int4_conformer.data.corpus_report import CorpusReport
from int4_conformer.data.sources.manifest import read_manifest
from int4_conformer.errors import UserError
from tests.batch import kit


@pytest.fixture(scope="module")
def corpus(tmp_path_factory):
    """A folder, and the texts of its recordings."""
    folder = tmp_path_factory.mktemp("corpus") / "audio"
    return folder, kit.write_recordings(folder, 60)


@pytest.fixture(scope="module")
def done(corpus, tmp_path_factory):
    """A job that has been done, its summary, and what it told of its progress."""
    output, told = tmp_path_factory.mktemp("done") / "transcripts", []
    summary = transcribe_many(
        kit.MODEL,
        [corpus[0]],
        output,
        workers=2,
        shard_seconds=5,
        on_progress=lambda *how_far: told.append(how_far),
    )
    return output, summary, told


@pytest.fixture
def half(done, tmp_path):
    """That job, as if it had been killed half-way."""
    output = tmp_path / "transcripts"
    shutil.copytree(done[0], output)
    shards = sorted(output.glob("shard-*"))
    assert len(shards) > 3
    for shard in shards[::2]:
        shard.unlink()
    (output / "summary.json").unlink()
    return output


def again(corpus, output, **settings):
    return transcribe_many(kit.MODEL, [corpus[0]], output, workers=1, shard_seconds=5, **settings)


def test_each_recording_is_there_once(corpus, done):
    output, summary, _ = done
    kit.require_each_once(output, corpus[1])
    assert (summary.recordings, summary.recognised, summary.failed) == (60, 59, 1)
    assert summary.words == sum(len(row["words"]) for row in kit.rows(output) if "words" in row)
    assert summary.errors == tuple(row["error"] for row in kit.rows(output) if "error" in row)
    written = json.loads((output / "summary.json").read_text())
    assert written["recognised"] == 59
    assert written["audio_milliseconds"] == 1000 * summary.audio_seconds


def test_transcripts_are_a_manifest(corpus, done):
    report, found = CorpusReport("skip"), []
    for shard in sorted(done[0].glob("shard-*")):
        found += read_manifest(shard, report=report)
    assert {x.audio: x.text for x in found} == {x: y for x, y in corpus[1].items() if y is not None}
    assert report.left_out == 1


def test_progress_goes_from_nothing_to_all(done):
    _, summary, told = done
    counts, totals, shares = zip(*told, strict=True)
    assert [each.recordings for each in counts] == list(range(61))
    assert set(totals) == {60}
    assert counts[-1] == summary
    assert shares[0] == 0
    assert shares[-1] == pytest.approx(1)
    assert list(shares) == sorted(shares)


def test_what_is_missing_is_done(corpus, done, half):
    kept = {path: os.stat(path).st_mtime_ns for path in half.glob("shard-*")}
    assert again(corpus, half) == done[1]
    kit.require_each_once(half, corpus[1])
    for path in done[0].iterdir():
        if path.suffix == ".jsonl":
            assert (half / path.name).read_text() == path.read_text()
    assert {path: os.stat(path).st_mtime_ns for path in kept} == kept


def test_nothing_is_done_twice(corpus, done, monkeypatch):
    monkeypatch.setattr("int4_conformer.batch.worker_pool._Worker", None)
    assert again(corpus, done[0]) == done[1]


def test_further_inputs_are_added(corpus, half, tmp_path):
    more = kit.write_recordings(tmp_path / "more", 3)
    before = (half / "plan.jsonl").read_text()
    summary = transcribe_many(kit.MODEL, [corpus[0], tmp_path / "more"], half, workers=1)
    assert summary.recordings == 63
    kit.require_each_once(half, corpus[1] | more)
    assert (half / "plan.jsonl").read_text().startswith(before)


def test_what_failed_may_be_tried_again(corpus, done, half):
    again(corpus, half)
    broken = next(path for path, text in corpus[1].items() if text is None)
    content = Path(broken).read_bytes()
    shutil.copy(kit.CLIPS[1], broken)
    try:
        assert again(corpus, half).failed == 1
        assert again(corpus, half, retry_failed=True).failed == 0
        kit.require_each_once(half, corpus[1] | {broken: kit.TEXTS[1]})
    finally:
        Path(broken).write_bytes(content)


@pytest.mark.parametrize(
    ("settings", "sentence"),
    [
        (
            {"config": TranscriberConfig(gate=False)},
            "begun with other settings; go on as they were",
        ),
        ({"format": "parquet"}, "begun in another format"),
    ],
)
def test_another_job_is_refused(corpus, half, settings, sentence):
    if "format" in settings:
        pytest.importorskip("pyarrow", reason="pyarrow is not installed")
    before = sorted(half.iterdir())
    with pytest.raises(UserError, match=sentence):
        again(corpus, half, **settings)
    assert sorted(half.iterdir()) == before


def test_another_model_is_refused(corpus, half, tmp_path):
    content = kit.MODEL.read_bytes()
    (tmp_path / "other.tflite").write_bytes(content + bytes(16))
    with pytest.raises(UserError, match="begun with another model"):
        transcribe_many(tmp_path / "other.tflite", [corpus[0]], half)


@pytest.mark.parametrize("name", ["job.json", "plan.jsonl", "shard-000001.jsonl"])
@pytest.mark.parametrize("content", [b"", b"{}", b"no JSON\n", b'{"audio": "a.wav"}\n'])
def test_damage_is_said(corpus, half, name, content):
    (half / name).write_bytes(content)
    if (name, content) == ("plan.jsonl", b""):
        # As if nothing had been planned: all is planned again, into the same shards.
        again(corpus, half)
        kit.require_each_once(half, corpus[1])
        return
    with pytest.raises(UserError, match=f"{name} is damaged"):
        again(corpus, half)


def test_two_runs_do_not_share_a_folder(corpus, half):
    fcntl = pytest.importorskip("fcntl", reason="this system has no locks of files")
    with open(half / "job.json", "rb") as job:
        fcntl.flock(job, fcntl.LOCK_EX)
        with pytest.raises(UserError, match="Another run is at work in"):
            again(corpus, half)
    again(corpus, half)


def test_parquet(corpus, tmp_path):
    pytest.importorskip("pyarrow", reason="pyarrow is not installed")
    output = tmp_path / "transcripts"
    summary = again(corpus, output, format="parquet")
    assert summary.failed == 1
    folder = JobFolder(str(output), LocalFiles(), "parquet")
    known = {}
    for shard in folder.plan():
        known |= folder.known(shard)
    texts = {recording.audio: row.get("text") for recording, row in known.items()}
    assert texts == corpus[1]
    assert again(corpus, output, format="parquet") == summary


@pytest.mark.parametrize(
    ("arguments", "sentence"),
    [
        ({"model": "absent.tflite"}, "absent.tflite cannot be read"),
        ({"model": kit.CLIPS[0]}, "0.flac is not a TFLite model"),
        ({"inputs": ["absent"]}, "There is no absent"),
        ({"output": kit.MODEL}, "cascade.tflite is a file; name a folder"),
        ({"workers": 0}, "`workers` must be at least 1"),
        ({"format": "csv"}, "`format` must be one of"),
        ({"shard_seconds": 0}, "`shard_seconds` must be positive"),
    ],
)
def test_refusals_leave_nothing(tmp_path, arguments, sentence):
    given = {"model": kit.MODEL, "inputs": [kit.CLIPS[0]], "output": tmp_path / "out"} | arguments
    with pytest.raises(UserError, match=sentence):
        transcribe_many(**given)
    assert not list(tmp_path.iterdir())


def test_killed_and_run_again(tmp_path):
    texts = kit.write_recordings(tmp_path / "audio", 300)
    output = tmp_path / "transcripts"
    command = (
        *("-m", "int4_conformer.cli.transcribe_many", kit.MODEL, tmp_path / "audio"),
        *(f"--output={output}", "--workers=2", "--shard_minutes=0.05"),
    )
    told, before = kit.kill_and_run_again(command, output, texts, failed=3)
    assert f"{before} of 300 were done before." in told


def test_stopped_and_run_again(tmp_path):
    texts = kit.write_recordings(tmp_path / "audio", 200)
    output = tmp_path / "transcripts"
    command = (
        *("-m", "int4_conformer.cli.transcribe_many", kit.MODEL, tmp_path / "audio"),
        *(f"--output={output}", "--workers=2", "--shard_minutes=0.05"),
    )
    # A shell has programs in the background ignore it, and so these tests perhaps.
    process = kit.start(
        *command, preexec_fn=lambda: signal.signal(signal.SIGINT, signal.default_int_handler)
    )
    kit.wait_for(process, output, shards=2)
    # Ctrl-C goes to all processes of the terminal.
    os.killpg(process.pid, signal.SIGINT)
    _, told = process.communicate()
    assert process.returncode == 130, told
    assert told.endswith("int4-conformer: Stopped; the same command goes on where it was.\n")
    process = kit.start(*command)
    process.communicate()
    kit.require_each_once(output, texts)
