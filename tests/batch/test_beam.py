"""The pipeline of Apache Beam, where that is installed: `make test-beam` installs it."""

import shlex
import shutil
from pathlib import Path

import pytest

beam = pytest.importorskip(
    "apache_beam", reason="Apache Beam is not installed; `make test-beam` runs these tests"
)

from apache_beam.io.filesystems import FileSystems  # noqa: E402
from apache_beam.testing.util import assert_that, equal_to  # noqa: E402

from docs import page_blocks  # noqa: E402
from int4_conformer.batch import JobSummary, TranscriberConfig  # noqa: E402
from int4_conformer.batch.audio_inputs import read_inputs  # noqa: E402
from int4_conformer.batch.beam_files import BeamFiles  # noqa: E402
from int4_conformer.batch.beam_transform import (  # noqa: E402
    COUNTED,
    TranscribeShards,
    WriteSummary,
)
from int4_conformer.batch.job_folder import JobFolder  # noqa: E402
from int4_conformer.errors import UserError  # noqa: E402
from tests.batch import kit  # noqa: E402

PROGRAM = kit.ROOT / "export" / "batch" / "transcribe.py"
RUNNER = "apache_beam.runners.portability.fn_api_runner.FnApiRunner"


@pytest.fixture
def job(tmp_path):
    """A job of 55 recordings that has been planned, and their texts."""
    texts = kit.write_recordings(tmp_path / "audio", 55)
    folder, config = JobFolder(str(tmp_path / "transcripts"), BeamFiles()), TranscriberConfig()
    folder.begin(str(kit.MODEL), config)
    folder.extend(read_inputs([tmp_path / "audio"], folder.files), shard_seconds=5)
    return folder, config, texts


def run(folder, config, **settings):
    """Runs the transforms in this process; gives what counters say."""
    pipeline = beam.Pipeline(RUNNER)
    summary = (
        pipeline
        | beam.io.ReadFromText(folder.plan_path)
        | TranscribeShards(str(kit.MODEL), config, folder, **settings)
    )
    _ = summary | WriteSummary(folder)
    assert_that(summary | beam.Map(lambda each: each.recordings), equal_to([55]))
    result = pipeline.run()
    result.wait_until_finish()
    found = result.metrics().query()["counters"]
    return {each.key.metric.name: each.committed for each in found}


def test_each_recording_is_there_once_and_counted(job):
    folder, config, texts = job
    counters = run(folder, config)
    kit.require_each_once(folder.path, texts)
    summary = folder.summary()
    assert (summary.recordings, summary.failed) == (55, 1)
    assert {name: counters[name] for name in COUNTED} == {
        name: getattr(summary, name) for name in COUNTED
    }
    assert summary == sum(map(JobSummary.of, [kit.rows(folder.path)]), JobSummary())


def test_what_is_missing_is_done(job):
    folder, config, _ = job
    run(folder, config)
    summary = folder.summary()
    shards = sorted(Path(folder.path).glob("shard-*"))
    contents = {path: path.read_bytes() for path in shards}
    kept = {path: path.stat().st_mtime_ns for path in shards[1::2]}
    for path in shards[::2]:
        path.unlink()
    run(folder, config)
    assert {path: path.read_bytes() for path in shards} == contents
    assert {path: path.stat().st_mtime_ns for path in kept} == kept
    assert folder.summary() == summary


def test_what_failed_may_be_tried_again(job):
    folder, config, texts = job
    run(folder, config)
    broken = next(path for path, text in texts.items() if text is None)
    Path(broken).write_bytes(kit.CLIPS[1].read_bytes())
    run(folder, config)
    assert folder.summary().failed == 1
    run(folder, config, retry_failed=True)
    assert folder.summary().failed == 0
    kit.require_each_once(folder.path, texts | {broken: kit.TEXTS[1]})


def test_the_program_killed_on_two_workers_and_run_again(tmp_path):
    texts = kit.write_recordings(tmp_path / "audio", 400)
    output = tmp_path / "transcripts"
    command = (
        *(PROGRAM, kit.MODEL, f"{tmp_path}/audio/*.flac", f"--output={output}"),
        *("--shard_minutes=0.05", "--", "--direct_num_workers=2"),
    )
    kit.kill_and_run_again(command, output, texts, failed=4)
    # What it writes is what the command without Beam goes on with.
    process = kit.start(
        *("-m", "int4_conformer.cli.transcribe_many", kit.MODEL, tmp_path / "audio"),
        f"--output={output}",
    )
    assert "400 of 400 were done before" in process.communicate()[1]


def test_the_program_refuses_as_commands_do(tmp_path):
    for arguments, sentence in [
        ((kit.MODEL, f"--output={tmp_path}/out"), "takes a MODEL and INPUTs"),
        ((kit.MODEL, "absent.wav", f"--output={tmp_path}/out"), "There is no "),
        ((kit.CLIPS[0], kit.CLIPS[0], f"--output={tmp_path}/out"), "0.flac is not a TFLite"),
        ((kit.MODEL, kit.CLIPS[0]), "transcribe.py needs --output"),
    ]:
        process = kit.start(PROGRAM, *arguments)
        _, told = process.communicate()
        assert process.returncode == 2
        assert told.splitlines()[-1].startswith("int4-conformer: ")
        assert sentence in told
    assert not list(tmp_path.iterdir())


@pytest.fixture
def remote(monkeypatch):
    """A bucket of Beam's kind, in memory."""
    from apache_beam.io.filesystem import FileMetadata, MatchResult

    class Bucket:
        def __init__(self):
            self.content = {}

        def open(self, path):
            import io

            if path not in self.content:
                raise FileNotFoundError(2, "No such file", path)
            return io.BytesIO(self.content[path])

        def create(self, path):
            import io

            class Written(io.BytesIO):
                def __exit__(written, *_):  # noqa: N805
                    self.content[path] = written.getvalue()

            return Written()

        def rename(self, sources, targets):
            for source, target in zip(sources, targets, strict=True):
                self.content[target] = self.content.pop(source)

        def exists(self, path):
            return path in self.content

        def match(self, patterns):
            import fnmatch

            return [
                MatchResult(
                    pattern,
                    [
                        FileMetadata(path, len(content))
                        for path, content in self.content.items()
                        if fnmatch.fnmatch(path, pattern)
                    ],
                )
                for pattern in patterns
            ]

        def delete(self, paths):
            for path in paths:
                del self.content[path]

    bucket = Bucket()
    for name in ("open", "create", "rename", "exists", "match", "delete"):
        monkeypatch.setattr(FileSystems, name, getattr(bucket, name))
    return bucket.content


def test_files_of_buckets(remote, tmp_path):
    files = BeamFiles()
    for number, clip in enumerate(kit.CLIPS):
        files.write(f"gs://b/audio/{number}.flac", clip.read_bytes())
    files.write("gs://b/m.jsonl", b'{"audio": "audio/0.flac"}\n{"audio": "audio/absent.flac"}\n')
    assert sorted(remote) == [*(f"gs://b/audio/{n}.flac" for n in range(4)), "gs://b/m.jsonl"]
    globbed = read_inputs(["gs://b/audio/*"], files)
    assert [x.audio for x in globbed] == [f"gs://b/audio/{n}.flac" for n in range(4)]
    assert globbed[0].expected_seconds == len(kit.CLIPS[0].read_bytes()) / 16000
    listed = read_inputs(["gs://b/m.jsonl"], files)
    assert [x.audio for x in listed] == ["gs://b/audio/0.flac", "gs://b/audio/absent.flac"]

    from int4_conformer.batch import Transcriber

    rows = list(Transcriber(kit.MODEL, files=files).rows(listed))
    assert rows[0]["text"] == kit.TEXTS[0]
    assert rows[1]["error"].startswith("gs://b/audio/absent.flac cannot be read (No such file")
    folder = JobFolder("gs://b/out", files)
    folder.begin(str(kit.MODEL), TranscriberConfig())
    (shard,) = folder.extend(listed, 600)
    folder.write(shard, dict(zip(shard.recordings, rows, strict=True)))
    assert list(folder.known(shard).values()) == rows
    remote["gs://b/out/shard-000000.jsonl.1.partial"] = b"half"
    files.remove_unfinished("gs://b/out")
    assert [path for path in remote if path.startswith("gs://b/out/")] == [
        *("gs://b/out/job.json", "gs://b/out/plan.jsonl", "gs://b/out/shard-000000.jsonl")
    ]


def test_what_a_file_system_says_is_a_sentence(tmp_path):
    files = BeamFiles()
    (tmp_path / "file").write_text("")
    with pytest.raises(UserError, match="cannot be written"):
        files.write(str(tmp_path / "file" / "below"), b"")
    with pytest.raises(UserError, match="cannot be read"):
        files.read("nowhere://at/all")


def test_the_command_loads_no_beam():
    program = (
        "import sys, int4_conformer.cli.transcribe_many; sys.exit('apache_beam' in sys.modules)"
    )
    process = kit.start("-c", program)
    process.communicate()
    assert process.returncode == 0


def test_the_blocks_of_the_page_run(tmp_path, monkeypatch):
    texts = kit.write_recordings(tmp_path / "recordings", 8)
    shutil.copy(kit.MODEL, tmp_path / "model.tflite")
    monkeypatch.chdir(tmp_path)
    page = kit.ROOT / "docs" / "batch.md"
    found = [block for block in page_blocks.blocks(page) if block.package == "apache_beam"]
    assert {block.language for block in found} == {"sh", "python"}
    for block in found:
        if block.language == "python":
            exec(compile(block.code, page, "exec"), {})
            continue
        for line in page_blocks.lines(block):
            program, script, *arguments = shlex.split(line)
            assert program == "python"
            process = kit.start(kit.ROOT / script, *arguments)
            _, told = process.communicate()
            assert process.returncode == 0, told
    kit.require_each_once(tmp_path / "transcripts", texts)
    kit.require_each_once(tmp_path / "own", texts)
