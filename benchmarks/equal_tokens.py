"""Whether two files say the same, utterance by utterance.

    python benchmarks/equal_tokens.py BEFORE.tflite AFTER.tflite --manifest=PATH/an4 --split=dev

runs each utterance through both, whole, and in segments where both files have streams. Prints in
how many the tokens or the frames that emitted them differ, and how far the logarithms of their
probabilities are apart at most.
"""

import numpy as np
from absl import app, flags

from int4_conformer import interface
from int4_conformer.data.corpus import normalized, read_corpus
from int4_conformer.lite.file_signatures import FileSignatures
from int4_conformer.lite.recognizer_file import RecognizerFile
from int4_conformer.lite.utterance_passes import Pass

FLAGS = flags.FLAGS
flags.DEFINE_string("manifest", None, "The corpus.", required=True)
flags.DEFINE_string("split", "dev", "Its part.")

_FOUND = (interface.TOKENS, interface.FRAMES, interface.LOG_PROBS)


def main(argv: list[str]) -> None:
    files = [RecognizerFile(path) for path in argv[1:3]]
    ways = {"whole": _whole}
    if all(interface.FIRST_PASS in file.signatures for file in files):
        ways["in segments"] = _segments
    utterances = normalized(read_corpus(FLAGS.manifest, FLAGS.split))
    print("| heard | utterances | tokens | differ | log-probabilities |\n|---|---|---|---|---|")
    for name, hear in ways.items():
        tokens = differ = 0
        apart = 0.0
        for utterance in utterances:
            samples = utterance.samples()
            before, after = (hear(file, samples) for file in files)
            tokens += len(before[0])
            if not all(map(np.array_equal, before[:2], after[:2])):
                differ += 1
            else:
                apart = max(apart, np.abs(before[2] - after[2]).max(initial=0.0))
        print(f"| {name} | {len(utterances)} | {tokens} | {differ} | {apart:.1e} |", flush=True)


def _whole(file: RecognizerFile, samples: np.ndarray) -> list[np.ndarray]:
    inputs = FileSignatures(file).whole(samples)
    outputs = file.run(interface.SERVING_DEFAULT)(**inputs)
    return [outputs[name][: int(outputs[interface.COUNT])] for name in _FOUND]


def _segments(file: RecognizerFile, samples: np.ndarray) -> list[np.ndarray]:
    """Of the first pass; frames count from the start of a segment."""
    name = interface.FIRST_PASS
    segments = Pass(file.run(name), file.inputs(name), interface.PCM).run(samples, last=True)
    found = [
        [outputs[name][0, : int(outputs[interface.COUNT][0])] for name in _FOUND]
        for outputs in segments
    ]
    return [np.concatenate(parts) for parts in zip(*found, strict=True)]


if __name__ == "__main__":
    app.run(main)
