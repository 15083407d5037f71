"""Measures the word and character error rates of a recogniser on a corpus.

MODEL is a folder that `int4-conformer train` wrote, whose utterances are recognised in batches, or
a .tflite file that `int4-conformer export` wrote, which hears them one by one, as a device would:
whole, or with --stream in segments, as from a microphone. Lower case, punctuation and the like do
not count: transcripts are normalised on both sides. For a model that was trained with
--text=as_written, the rates in which they do count are printed as well ("as written"). Where words
have no spaces between them, as in Chinese, read the character error rate (CER), in which spaces do
not count. --reference_normalizer changes what counts as a word, on both sides.

Only utterances that were recognised count. A broken line of the corpus therefore stops the command,
unless --on_error=skip leaves it out and says so. --json has rates as fractions, 0.05 for 5%.

--html writes a page: what was said beside what was heard, word errors by speaker, length and noise,
the most frequent errors, and recordings to listen to. For a .tflite file it also shows how sure the
model was of its words, and how often it was right then.

--against=OTHER evaluates another model on the same utterances. It prints by how much MODEL differs
from it, in points of WER, with a 95% interval (from 10,000 draws of the utterances), and the
probability that two recognisers that are alike would differ as much.

--beam searches for words with a beam instead of greedily. A beam may ask a language model over the
model's tokens (--lm, an ARPA file, made of texts that `int4-conformer tokens` writes) and prefer
the phrases of a list (--bias, one a line). With a .tflite file, --lm and --bias use a beam of the
usual size without being told, and with --only nothing but the phrases may be said.
"""

import dataclasses
import os
import sys
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, get_args

import numpy as np
from absl import flags

from int4_conformer.audio.audio_files import SAMPLE_RATE
from int4_conformer.cli import app, corpora
from int4_conformer.cli.evaluation_figures import (
    difference,
    difference_rows,
    figure_rows,
    transcript_lines,
)
from int4_conformer.cli.evaluation_page import evaluation_page
from int4_conformer.cli.flag_groups import GIVEN, MACHINE, PRINTED, SEARCHED, group
from int4_conformer.cli.recognizers import (
    define_beam,
    define_part_seconds,
    new_search,
    open_recognizer,
)
from int4_conformer.cli.results import Result
from int4_conformer.cli.tensorflow_start import start_tensorflow
from int4_conformer.data.corpus import Utterances, note_unspellable, read_corpus
from int4_conformer.data.corpus_report import CorpusReport
from int4_conformer.data.recordings import Recordings
from int4_conformer.errors import UserError
from int4_conformer.evaluation.one_by_one import Evaluation, evaluate
from int4_conformer.files import require_place, write_beside
from int4_conformer.lite.words import Word
from int4_conformer.pretrained.registry import model_file
from int4_conformer.progress import Progress, waiting
from int4_conformer.search.beam_config import BIAS_SCORE, BeamConfig
from int4_conformer.text.reference_normalizer import Normalizer
from int4_conformer.text.vocabulary import Vocabulary
from int4_conformer.text.writing import WORDS, Writing

if TYPE_CHECKING:
    import tensorflow as tf

    from int4_conformer.decoding.greedy import Tokens
    from int4_conformer.models.transducer import Transducer
    from int4_conformer.text.tokenizer import Tokenizer

# Fields of `BeamConfig` that are flags of the same name; those of .tflite files first.
_LITE_BEAM_SETTINGS = ("lm_weight", "insertion_bonus")
_BEAM_SETTINGS = ("full_sum", *_LITE_BEAM_SETTINGS)


def _define_flags(values: flags.FlagValues) -> None:
    with group(values, GIVEN):
        flags.DEFINE_string("manifest", None, "The corpus, as for train.", flag_values=values)
        flags.DEFINE_string("split", None, "Its split; all if not given.", flag_values=values)
        flags.DEFINE_string(
            "against",
            None,
            "Another model to compare with, on the same words.",
            flag_values=values,
        )
    with group(values, PRINTED):
        flags.DEFINE_string("html", None, "Page of errors to write.", flag_values=values)
        flags.DEFINE_string(
            "hypotheses",
            None,
            "File to write a line id<TAB>reference<TAB>hypothesis to for each utterance.",
            flag_values=values,
        )
    corpora.define_reading(values, "stop")
    flags.DEFINE_enum(
        "checkpoint",
        None,
        ["best", "last"],
        "Checkpoint of a training folder; the best if there is one.",
        flag_values=values,
    )
    flags.DEFINE_enum(
        "reference_normalizer",
        "words",
        get_args(Normalizer),
        "What counts as a word: words without case and punctuation; characters, where words have "
        "no spaces between them; numbers, words with 25 as spoken in English; as_written, words "
        "with case and punctuation.",
        flag_values=values,
    )
    flags.DEFINE_boolean(
        "first_pass", False, "Stop after the first of two passes.", flag_values=values
    )
    flags.DEFINE_boolean(
        "stream", False, "Feed a .tflite file segment by segment.", flag_values=values
    )
    with group(values, SEARCHED):
        define_beam(values)
        app.define_fields(BeamConfig, values, _BEAM_SETTINGS)
        flags.DEFINE_string(
            "bias", None, "File of phrases to prefer, one a line.", flag_values=values
        )
        flags.DEFINE_boolean(
            "only",
            False,
            "Nothing but the phrases may be said to a .tflite file.",
            flag_values=values,
        )
        flags.DEFINE_float(
            "bias_score",
            BIAS_SCORE,
            "Added to the score for each token of such a phrase, in nats.",
            flag_values=values,
        )
    with group(values, MACHINE):
        flags.DEFINE_integer(
            "num_threads", 1, "CPU threads for a .tflite file.", lower_bound=1, flag_values=values
        )
    define_part_seconds(values)


def _evaluate(values: flags.FlagValues, arguments: list[str]) -> Result:
    if len(arguments) != 1:
        raise UserError(f"evaluate takes one MODEL. Received: {len(arguments)} arguments")
    models = [Path(model_file(x)) for x in (arguments[0], values.against) if x]
    for model in models:
        if not model.exists():
            raise UserError(f"There is no model {model}; give a training folder or a .tflite file.")
    for path in filter(None, (values.html, values.hypotheses)):
        require_place(path)
    for model in models:
        (_check_folder if model.is_dir() else _check_file)(model, values)
    (utterances, evaluation, left_out), *others = [_evaluated(model, values) for model in models]
    figures = evaluation.to_json() | {"left_out": left_out}
    rows = figure_rows(evaluation, left_out)
    for _, other, _ in others:
        found = difference(utterances, evaluation, other)
        figures["against"] = other.to_json() | found
        rows |= difference_rows(values.against, other, found)
    if values.html is not None:
        with waiting("writing the page", file=sys.stderr, at_once=False):
            made = evaluation_page(
                models[0].name, values.manifest, utterances, evaluation, left_out
            )
        write_beside(values.html, made.encode())
        rows["page"] = values.html
    if values.hypotheses is not None:
        write_beside(values.hypotheses, transcript_lines(utterances, evaluation).encode())
        rows["hypotheses"] = values.hypotheses
    text = "\n".join(f"{name:16}  {value}" for name, value in rows.items())
    return Result(text=text, facts=figures)


def _evaluated(model: Path, values: flags.FlagValues) -> tuple[Recordings, Evaluation, int]:
    """The corpus, what a model makes of it, and how many lines were left out."""
    report = corpora.new_report(values)
    evaluate_model = _evaluate_folder if model.is_dir() else _evaluate_file
    utterances, evaluation = evaluate_model(model, values, report)
    if values.reference_normalizer != evaluation.normalizer:
        evaluation = evaluation.scored_by(values.reference_normalizer, utterances)
    return utterances, evaluation, report.left_out


def _check_folder(folder: Path, values: flags.FlagValues) -> None:
    """Refuses flags that a training folder does not take."""
    for flag in ("stream", "only", "part_seconds"):
        if values[flag].present and values[flag].value:
            raise UserError(f"--{flag} is for .tflite files; {folder} is a training folder.")
    for flag in ("lm", "bias", "full_sum"):
        if values.beam is None and values[flag].value:
            raise UserError(f"--{flag} needs a beam search; give --beam=8, for example.")


def _check_file(path: Path, values: flags.FlagValues) -> None:
    """Refuses flags that a .tflite file does not take."""
    if values.first_pass and not values.stream:
        raise UserError("A .tflite file has a first pass in streams alone; add --stream.")
    for flag in ("checkpoint", "full_sum"):
        if value := values[flag].value:
            given = f"--{flag}" if value is True else f"--{flag}={value}"
            raise UserError(f"{given} is for training folders; {path} is a file.")
    if values.stream and values["part_seconds"].present:
        raise UserError("--part_seconds is for recordings that are heard whole; leave it out.")
    if values.only and values.bias is None:
        raise UserError("--only needs --bias; give a file of the phrases that may be said.")
    for flag in ("beam", "lm", "bias"):
        if values.first_pass and values[flag].value:
            raise UserError(f"The first pass of a file is greedy; leave --{flag} out.")


def _decoded(
    utterances: Utterances,
    vocabulary: Vocabulary,
    writing: Writing,
    report: CorpusReport,
    *,
    hold: bool,
) -> Recordings:
    """The corpus, and on stderr, apart from the figures, what is wrong with it."""
    recordings = corpora.decode(utterances, report, hold=hold)
    note_unspellable(recordings, vocabulary, report, writing)
    corpora.show(report, sys.stderr)
    return recordings


def _evaluate_folder(
    folder: str | os.PathLike, values: flags.FlagValues, report: CorpusReport
) -> tuple[Recordings, Evaluation]:
    beam = None
    if values.beam is not None:
        settings = app.given_fields(BeamConfig, values, _BEAM_SETTINGS)
        beam = BeamConfig(beam_size=values.beam, **settings)

    # Before TensorFlow: a mistake in the manifest should not wait for it.
    utterances = read_corpus(
        values.manifest, values.split, report, allow_commands=values.allow_commands
    )

    # Only here: a .tflite file is evaluated without TensorFlow.
    start_tensorflow()
    from int4_conformer.evaluation.batched import BatchedEvaluator
    from int4_conformer.training.workdir import Workdir

    with waiting("reading the model", file=sys.stderr, at_once=False):
        model, tokenizer = Workdir(folder).load(values.checkpoint)
    utterances = _decoded(utterances, tokenizer.vocabulary, tokenizer.writing, report, hold=True)
    passes = 1 if values.first_pass else None
    recognize = None
    if beam is not None:
        recognize = _beam_search(model, tokenizer, beam, passes, values)
    evaluator = BatchedEvaluator(
        model,
        tokenizer.vocabulary,
        utterances,
        passes=passes,
        recognize=recognize,
        writing=tokenizer.writing,
    )
    with Progress(len(utterances), "evaluate") as progress:
        evaluator.compile(
            lambda index, count: progress.line(f"compiling the search, {index} of {count}")
        )
        return utterances, evaluator(progress.update)


def _beam_search(
    model: "Transducer",
    tokenizer: "Tokenizer",
    beam: BeamConfig,
    passes: int | None,
    values: flags.FlagValues,
) -> Callable[["tf.Tensor", "tf.Tensor"], "Tokens"]:
    """Beam search with what the flags give to it."""
    from int4_conformer.decoding.biasing import PhraseBias
    from int4_conformer.decoding.ngram import NGram

    lm = None if values.lm is None else NGram.read(values.lm, tokenizer.vocabulary)
    bias = None
    if values.bias is not None:
        bias = PhraseBias.read(values.bias, tokenizer, values.bias_score)

    def recognize(pcm: "tf.Tensor", length: "tf.Tensor") -> "Tokens":
        return model.beam_search(pcm, length, passes, config=beam, bias=bias, lm=lm).best

    return recognize


def _evaluate_file(
    path: str | os.PathLike, values: flags.FlagValues, report: CorpusReport
) -> tuple[Recordings, Evaluation]:
    recognizer = open_recognizer(
        path,
        live=values.stream,
        num_threads=values.num_threads,
        part_seconds=values.part_seconds,
    )
    utterances = read_corpus(
        values.manifest, values.split, report, allow_commands=values.allow_commands
    )
    search = new_search(
        recognizer,
        phrases=values.bias,
        only=values.only,
        bonus=values.bias_score,
        lm=values.lm,
        beam_size=values.beam,
        settings=app.given_fields(BeamConfig, values, _LITE_BEAM_SETTINGS),
    )
    spelling = recognizer.metadata.spelling
    writing = WORDS if spelling is None else spelling.writing
    utterances = _decoded(utterances, recognizer.vocabulary, writing, report, hold=False)
    longer = int((utterances.lengths > recognizer.longest_seconds * SAMPLE_RATE).sum())
    if longer and (values.part_seconds is not None or not recognizer.hears_streams):
        app.tell(
            f"{longer} of {len(utterances)} recordings are cut into parts: one call of this model "
            f"hears {recognizer.longest_seconds:g} s at most."
        )

    words: list[tuple[Word, ...]] = []

    def transcribe(samples: np.ndarray) -> str:
        if values.stream:
            stream = recognizer.stream(SAMPLE_RATE, second_pass=not values.first_pass, **search)
            stream.feed(samples)
            found = stream.finish()
        elif values.html is not None:
            found = recognizer.recognize(samples, SAMPLE_RATE, **search)
        else:
            return recognizer.transcribe(samples, SAMPLE_RATE, **search)
        words.append(found.words)
        return found.text

    with Progress(len(utterances), "evaluate") as progress:
        evaluation = evaluate(transcribe, utterances, progress.update, writing=writing)
    return utterances, dataclasses.replace(evaluation, words=tuple(words) or None)


COMMAND = app.Command(
    name="evaluate",
    usage="MODEL --manifest=FILE [flags]",
    description=__doc__,
    examples=(
        "model.tflite --manifest=corpus --split=test",
        "run --manifest=corpus --split=dev --against=other_run",
    ),
    define_flags=_define_flags,
    main=_evaluate,
    has_result=True,
    required=("manifest",),
)

if __name__ == "__main__":
    app.run(COMMAND)
