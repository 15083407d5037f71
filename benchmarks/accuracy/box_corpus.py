"""All corpora in one manifest: what the models in the box are trained on and measured with.

    python benchmarks/accuracy/box_corpus.py --data=PATH --output=box.jsonl
    int4-conformer corpus box.jsonl

PATH has a folder for each corpus, with a manifest. Splits of the manifest that is written:

    train      every training split, but for two speakers of fsdd, and a tenth of the corpora of
               commands that have no split of their own
    dev        some of the development splits: quick to evaluate while a model is trained
    NAME       what is measured of corpus NAME in the end; no training has heard it

Each line's speaker begins with the name of the corpus, so that word errors by speaker tell corpora
apart.
"""

import collections
import hashlib
import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from absl import app, flags
from experiments import UNSEEN

from int4_conformer.cli.app import exits
from int4_conformer.errors import UserError
from int4_conformer.files import write_json_lines

FLAGS = flags.FLAGS

# Of which a tenth is held back.
_WITHOUT_SPLITS = ("coffee_commands", "custom_commands")
# Of these, one in so many lines of the development split is `dev`.
_THINNED = {"librispeech_dev_clean_part": 12, "speechocean762": 6, "wakewords": 5}


def main(_: list[str]) -> None:
    with exits():
        lines = list(box_lines(Path(FLAGS.data)))
        write_json_lines(FLAGS.output, lines)
        print_splits(lines)


def box_lines(data: Path) -> Iterator[dict[str, Any]]:
    """Lines of a manifest of all corpora.

    Raises:
        UserError: there is none.
    """
    manifests = sorted(data.glob("*/manifest.jsonl"))
    if not manifests:
        raise UserError(f"There is no corpus with a manifest.jsonl in {data}.")
    for manifest in manifests:
        yield from _lines(manifest)


def print_splits(lines: list[dict[str, Any]]) -> None:
    """Prints how much there is of each split."""
    for split, count in collections.Counter(line["split"] for line in lines).items():
        hours = sum(line["duration"] for line in lines if line["split"] == split) / 3600
        print(f"{split:32} {count:6} utterances {hours:6.2f} h")


def _lines(manifest: Path) -> Iterator[dict[str, Any]]:
    name, developing = manifest.parent.name, 0
    for text in manifest.read_text().splitlines():
        line = json.loads(text)
        use = "train" if line["split"] == "train" else name
        if (name == "fsdd" and line["speaker"] in UNSEEN) or (
            name in _WITHOUT_SPLITS and is_held_back(line["audio"])
        ):
            use = name
        elif line["split"] == "dev":
            developing += 1
            if developing % _THINNED.get(name, 1) == 0:
                use = "dev"
        yield {
            "audio": str((manifest.parent / line["audio"]).resolve()),
            "text": line["text"],
            "duration": line["duration"],
            "speaker": f"{name}/{line['speaker']}",
            "split": use,
        }


def is_held_back(audio: str) -> bool:
    """Whether a recording is in the tenth, by its name alone."""
    return int(hashlib.sha256(audio.encode()).hexdigest(), 16) % 10 == 0


if __name__ == "__main__":
    flags.DEFINE_string("data", None, "Folder of the corpora.", required=True)
    flags.DEFINE_string("output", None, "Manifest to write.", required=True)
    app.run(main)
