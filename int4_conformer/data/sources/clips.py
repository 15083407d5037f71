"""Recordings of people that come with the package, to hear what its models do with them.

`recordings_of_people/manifest.jsonl` names them, their corpus, and the models that are meant for
them; the notice beside it has their licences. No model was trained on one of them.
"""

from pathlib import Path

from int4_conformer.data.sources.utterance import Utterance
from int4_conformer.files import json_lines

FOLDER = Path(__file__).parent / "recordings_of_people"


def clips(model: str) -> list[Utterance]:
    """Those for a model of the package, in the order of the manifest; there may be none.

    Example:

        >>> [clip.text for clip in clips("commands")][0]
        'enter five'
    """
    return [
        Utterance(audio=str(FOLDER / line["audio"]), text=line["text"], duration=line["duration"])
        for line in json_lines(FOLDER / "manifest.jsonl")
        if line["model"] == model
    ]
