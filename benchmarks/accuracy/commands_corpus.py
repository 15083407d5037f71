"""What the model `commands` of the box is trained on and measured with.

    int4-conformer speak commands --output=spoken --utterances=4000 \\
        --voices=espeak,hibari,piper,kokoro
    python benchmarks/accuracy/commands_corpus.py --data=PATH --spoken=spoken --output=FOLDER
    int4-conformer corpus FOLDER/commands.jsonl

PATH has a folder for each corpus, with a manifest. Writes two manifests:

    commands.jsonl    recordings of commands, and what was spoken; splits as in box_corpus.py. For
                      training there are single words, too, cut tight out of what was spoken and
                      out of an4
    others.jsonl      one in two short recordings of the training splits of other English, for
                      --other_speech
"""

import itertools
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from absl import app, flags
from box_corpus import box_lines, print_splits
from experiments import TRAIN
from single_words import single_words

from int4_conformer.cli.app import exits
from int4_conformer.files import json_lines, write_json_lines

FLAGS = flags.FLAGS
flags.DEFINE_string("data", None, "Folder of the corpora.", required=True)
flags.DEFINE_multi_string(
    "spoken", None, "Folder that `int4-conformer speak` wrote; may be repeated.", required=True
)
flags.DEFINE_string("output", None, "Folder for the manifests.", required=True)

_COMMANDS = ("an4", "coffee_commands", "custom_commands", "fsdd", "wakewords")
# How often a line of training is there, if not once: the fewest, and furthest from what is spoken.
_COPIES = {"an4": 3, "fsdd": 2, "custom_commands": 2}
# Seconds, and one in so many: short ones are hardly to be told from commands, long recordings cost
# as much as many.
_SHORTEST_OTHER, _LONGEST_OTHER, _OTHERS = 2.0, 7.0, 2
# One in so many of what was spoken for development.
_SPOKEN = 5


def main(_: list[str]) -> None:
    with exits():
        real = list(box_lines(Path(FLAGS.data)))
        commands = [line for line in real if _corpus(line) in _COMMANDS]
        others = [
            line
            for line in real
            if _corpus(line) not in _COMMANDS
            and line["split"] == TRAIN
            and _SHORTEST_OTHER <= line["duration"] <= _LONGEST_OTHER
        ]
        spoken = [line for folder in FLAGS.spoken for line in _spoken(Path(folder))]
        manifests = {
            "commands.jsonl": [*_repeated(commands), *spoken, *_single([*commands, *spoken])],
            "others.jsonl": others[::_OTHERS],
        }
        folder = Path(FLAGS.output)
        folder.mkdir(parents=True, exist_ok=True)
        for name, lines in manifests.items():
            write_json_lines(folder / name, lines)
            print(name)
            print_splits(lines)


def _corpus(line: dict[str, Any]) -> str:
    return line["speaker"].split("/")[0]


def _repeated(lines: list[dict[str, Any]]) -> Iterator[dict[str, Any]]:
    for line in lines:
        copies = _COPIES.get(_corpus(line), 1) if line["split"] == TRAIN else 1
        yield from itertools.repeat(line, copies)


def _single(lines: list[dict[str, Any]]) -> Iterator[dict[str, Any]]:
    """Words of an4's training split, and of those of what was spoken that have no other word."""
    for line in lines:
        alone = " " not in line["text"] and _corpus(line) == "spoken"
        if line["split"] == TRAIN and (alone or _corpus(line) == "an4"):
            yield from single_words(line)


def _spoken(folder: Path) -> Iterator[dict[str, Any]]:
    """Lines of what was spoken: its test split is a set of its own."""
    developing = 0
    for line in json_lines(folder / "manifest.jsonl"):
        use = {TRAIN: TRAIN, "test": "spoken"}.get(line["split"], "dev")
        if use == "dev":
            developing += 1
            if developing % _SPOKEN:
                continue
        yield line | {
            "audio": str((folder / line["audio"]).resolve()),
            "speaker": f"spoken/{line['speaker']}",
            "split": use,
        }


if __name__ == "__main__":
    app.run(main)
