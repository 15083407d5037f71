"""What it costs to prepare a corpus, and to read the audio of batches from it.

    python benchmarks/preparation.py --manifest=PATH/an4

prepares the corpus in each encoding, by one process, and draws utterances at random as training
does: from memory, from the shards, and from the files of the corpus. Prints rows for RESULTS.md:
the size against 16-bit samples, and processor seconds for an hour of audio.
"""

import tempfile
import time
from pathlib import Path

import numpy as np
from absl import app, flags

from int4_conformer.data.corpus import read_corpus
from int4_conformer.data.corpus_report import CorpusReport
from int4_conformer.data.recordings import Recordings, decoded
from int4_conformer.data.shards.preparation import Preparation
from int4_conformer.data.shards.prepare_config import PrepareConfig

FLAGS = flags.FLAGS
flags.DEFINE_string("manifest", None, "The corpus.", required=True)
flags.DEFINE_string("split", None, "Its split; all if not given.")
flags.DEFINE_integer("draws", 1000, "Utterances to draw.")
_BATCH = 32


def drawn(recordings: Recordings) -> float:
    """Processor seconds for an hour of audio that is drawn at random, batch by batch."""
    places = np.random.default_rng(0).integers(len(recordings), size=FLAGS.draws)
    begun, samples = time.process_time(), 0
    for start in range(0, places.size, _BATCH):
        samples += sum(pcm.size for pcm in recordings.pcm(places[start : start + _BATCH].tolist()))
    return (time.process_time() - begun) / (samples / 16000 / 3600)


def main(_: list[str]) -> None:
    utterances = read_corpus(FLAGS.manifest, FLAGS.split, CorpusReport("skip"))
    held = decoded(utterances, CorpusReport("skip"))
    files = decoded(utterances, CorpusReport("skip"), hold=False)
    hours = held.seconds / 3600
    print(f"{len(held):,} utterances, {hours:.2f} h\n")
    print("| audio | size | preparing, s an hour | drawing, s an hour |\n|---|---|---|---|")
    print(f"| in memory | 100% | | {drawn(held):.1f} |")
    print(f"| files of the corpus | | | {drawn(files):.1f} |")
    for encoding in ("flac", "pcm"):
        with tempfile.TemporaryDirectory() as folder:
            preparation = Preparation(
                utterances, Path(folder) / "out", PrepareConfig(encoding=encoding, shards=4)
            )
            begun = time.process_time()
            shards = preparation.run(CorpusReport("skip"))
            preparing = (time.process_time() - begun) / hours
            size = sum(shard["bytes"] for shard in shards) / (held.seconds * 32000)
            prepared = decoded(read_corpus(Path(folder) / "out"))
            print(
                f"| shards, {encoding} | {100 * size:.0f}% | {preparing:.1f} | "
                f"{drawn(prepared):.1f} |"
            )


if __name__ == "__main__":
    app.run(main)
