"""Word errors of people who speak to a recogniser that has heard synthesisers alone.

    python benchmarks/phrases.py --manifest=PATH/fsdd --split=test

takes the texts of a corpus of real speech as the list of phrases, or --phrases, and nothing else of
it: trains with `int4-conformer train --phrases`, and has the .tflite file that comes of it
transcribe the recordings, freely and with the list as all that may be said. Prints a row for
RESULTS.md, with the utterances of which the phrase and all of its slots are right. A run that is
complete is not trained again. What stands behind "--" goes to train: -- --voices=hibari.
"""

import subprocess
import sys
from pathlib import Path

from absl import app, flags

from int4_conformer.data.corpus import normalized, read_corpus
from int4_conformer.errors import UserError
from int4_conformer.evaluation.one_by_one import evaluate
from int4_conformer.lite.recognizer import Recognizer
from int4_conformer.progress import Progress, duration
from int4_conformer.search.grammar import Grammar
from int4_conformer.search.phrase_automaton import read_phrases
from int4_conformer.training.workdir import Workdir

FLAGS = flags.FLAGS
flags.DEFINE_string("manifest", None, "A corpus of few texts, said by people.", required=True)
flags.DEFINE_string("split", "test", "Its split to test on.")
flags.DEFINE_string("phrases", None, "What may be said; the corpus' own texts if not given.")
flags.DEFINE_string("output", "build/phrases", "Folder for the run.")


def main(arguments: list[str]) -> None:
    test = normalized(read_corpus(FLAGS.manifest, FLAGS.split))
    output = Path(FLAGS.output)
    output.mkdir(parents=True, exist_ok=True)
    listed, run = FLAGS.phrases, output / "run"
    if listed is None:
        listed = output / "phrases.txt"
        listed.write_text("\n".join(sorted({utterance.text for utterance in test})) + "\n")
    _run("train", f"--phrases={listed}", f"--workdir={run}", *arguments[1:])
    recognizer = Recognizer(run / "model.tflite")
    phrases = read_phrases(listed)
    last = Workdir(run).metrics()[-1]
    cells = [f"{100 * last['dev_wer']:.1f}%"]
    for search in ({}, {"phrases": phrases, "only": True}):

        def transcribe(samples, search=search):
            return recognizer.transcribe(samples, **search)

        with Progress(len(test), "closed list" if search else "free") as progress:
            evaluation = evaluate(transcribe, test, progress.update)
        errors = evaluation.errors
        cells.append(f"{100 * errors.wer:.1f}% ({errors.errors} / {errors.words})")
    grammar = Grammar.of(phrases)
    said, heard = (
        [grammar.match(text) for text in texts]
        for texts in ([utterance.text for utterance in test], evaluation.hypotheses)
    )
    if None in said:
        raise UserError(f"{listed} lacks {said.count(None)} of the corpus' texts; add them.")
    right = sum(one == other for one, other in zip(said, heard, strict=True))
    cells.append(f"{right} of {len(test)}")
    titles = ("dev WER, synthetic", "WER, people", "closed list", "slots right", "training")
    print(f"| {' | '.join(titles)} |\n{'|---' * len(titles)}|")
    print(f"| {' | '.join(cells)} | {duration(last['seconds'])} |")


def _run(*arguments: str) -> None:
    program = [sys.executable, "-m", "int4_conformer.cli.main"]
    subprocess.run([*program, *arguments], check=True)


if __name__ == "__main__":
    app.run(main)
