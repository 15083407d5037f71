"""Measures the word error rate of a recogniser on a corpus.

MODEL is a folder that `int4-conformer train` wrote, whose utterances are recognised in batches, or
a .tflite file that `int4-conformer export` wrote, which hears them one by one, as a device would:
whole, or with --stream in segments, as from a microphone. Lower case, punctuation and the like do
not count: transcripts are normalised on both sides.

With --beam a training folder is searched by a beam instead of greedily, which may ask a language
model over the model's tokens (--lm, an ARPA file; `int4-conformer tokens` writes the texts to make
one of) and prefer the phrases of a list (--bias, one a line).
"""

import json
import os
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
from absl import flags

from int4_conformer.audio.audio_files import SAMPLE_RATE
from int4_conformer.cli import app
from int4_conformer.data.corpus import Utterances, read_corpus
from int4_conformer.decoding.beam_config import BIAS_SCORE, BeamConfig
from int4_conformer.errors import UserError
from int4_conformer.evaluation.one_by_one import Evaluation, evaluate
from int4_conformer.fields import help_of
from int4_conformer.files import require_place, write_beside
from int4_conformer.progress import Progress
from int4_conformer.text.normalize import normalize

if TYPE_CHECKING:
    import tensorflow as tf

    from int4_conformer.decoding.greedy import Tokens
    from int4_conformer.models.transducer import Transducer
    from int4_conformer.text.tokenizer import Tokenizer

# Fields of `BeamConfig` that are flags of the same name.
_BEAM_SETTINGS = ("full_sum", "lm_weight", "insertion_bonus")


def _define_flags(values: flags.FlagValues) -> None:
    flags.DEFINE_string("manifest", None, "The corpus, as for train.", flag_values=values)
    flags.DEFINE_string("split", None, "Its split; all if not given.", flag_values=values)
    flags.DEFINE_string("json", None, "File to write the figures to.", flag_values=values)
    flags.DEFINE_string(
        "hypotheses",
        None,
        "File to write a line id<TAB>reference<TAB>hypothesis to for each utterance.",
        flag_values=values,
    )
    flags.DEFINE_enum(
        "checkpoint",
        None,
        ["best", "last"],
        "Checkpoint of a training folder; the best if there is one.",
        flag_values=values,
    )
    flags.DEFINE_boolean(
        "first_pass", False, "Stop after the first of two passes.", flag_values=values
    )
    flags.DEFINE_boolean(
        "stream", False, "Feed a .tflite file segment by segment.", flag_values=values
    )
    flags.DEFINE_integer(
        "beam",
        None,
        f"Searches with a beam. {help_of(BeamConfig, 'beam_size')}",
        lower_bound=1,
        flag_values=values,
    )
    flags.DEFINE_string("lm", None, "ARPA file of a language model.", flag_values=values)
    app.define_fields(BeamConfig, values, _BEAM_SETTINGS)
    flags.DEFINE_string("bias", None, "File of phrases to prefer, one a line.", flag_values=values)
    flags.DEFINE_float(
        "bias_score",
        BIAS_SCORE,
        "Added for each token of such a phrase, in nats.",
        flag_values=values,
    )
    flags.DEFINE_integer(
        "num_threads", 1, "CPU threads for a .tflite file.", lower_bound=1, flag_values=values
    )


def _evaluate(values: flags.FlagValues, arguments: list[str]) -> None:
    if len(arguments) != 1:
        raise UserError(f"evaluate takes one MODEL. Received: {len(arguments)} arguments")
    model = Path(arguments[0])
    if not model.exists():
        raise UserError(f"There is no model {model}; give a training folder or a .tflite file.")
    for path in filter(None, (values.json, values.hypotheses)):
        require_place(path)
    utterances = read_corpus(values.manifest, values.split)
    if model.is_dir():
        if values.stream:
            raise UserError(f"--stream is for .tflite files; {model} is a training folder.")
        evaluation = _evaluate_folder(model, values, utterances)
    else:
        if values.first_pass and not values.stream:
            raise UserError("A .tflite file has a first pass in streams alone; add --stream.")
        for flag in ("checkpoint", "beam", "full_sum", "lm", "bias"):
            if value := values[flag].value:
                given = f"--{flag}" if value is True else f"--{flag}={value}"
                raise UserError(f"{given} is for training folders; {model} is a file.")
        evaluation = _evaluate_file(model, values, utterances)
    if values.json is not None:
        write_beside(values.json, (json.dumps(evaluation.to_json(), indent=2) + "\n").encode())
    if values.hypotheses is not None:
        write_beside(values.hypotheses, _lines(utterances, evaluation).encode())
    print(_report(evaluation))


def _evaluate_folder(
    folder: str | os.PathLike, values: flags.FlagValues, utterances: Utterances
) -> Evaluation:
    beam = None
    if values.beam is not None:
        settings = app.given_fields(BeamConfig, values, _BEAM_SETTINGS)
        beam = BeamConfig(beam_size=values.beam, **settings)
    for flag in ("lm", "bias", "full_sum"):
        if beam is None and values[flag].value:
            raise UserError(f"--{flag} needs a beam search; give --beam=8, for example.")

    # Only here: a .tflite file is evaluated without TensorFlow.
    from int4_conformer.evaluation.batched import BatchedEvaluator
    from int4_conformer.training.workdir import Workdir

    model, tokenizer = Workdir(folder).load(values.checkpoint)
    passes = 1 if values.first_pass else None
    recognize = None
    if beam is not None:
        recognize = _beam_search(model, tokenizer, beam, passes, values)
    evaluator = BatchedEvaluator(
        model, tokenizer.vocabulary, utterances, passes=passes, recognize=recognize
    )
    evaluator.compile()
    with Progress(len(utterances), "evaluate") as progress:
        return evaluator(progress.update)


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
    path: str | os.PathLike, values: flags.FlagValues, utterances: Utterances
) -> Evaluation:
    from int4_conformer.lite.recognizer import Recognizer

    recognizer = Recognizer(path, num_threads=values.num_threads)

    def transcribe(samples: np.ndarray) -> str:
        if not values.stream:
            return recognizer.transcribe(samples, SAMPLE_RATE)
        stream = recognizer.stream(SAMPLE_RATE, second_pass=not values.first_pass)
        stream.feed(samples)
        return stream.finish().text

    with Progress(len(utterances), "evaluate") as progress:
        return evaluate(transcribe, utterances, progress.update)


def _report(evaluation: Evaluation) -> str:
    errors = evaluation.errors
    return "\n".join(
        [
            f"utterances        {len(evaluation.hypotheses):,}",
            f"words             {errors.words:,}",
            f"WER               {100 * errors.wer:.2f}%",
            f"substitutions     {errors.substitutions:,}",
            f"deletions         {errors.deletions:,}",
            f"insertions        {errors.insertions:,}",
            f"real-time factor  {evaluation.rtf:.4f}",
        ]
    )


def _lines(utterances: Utterances, evaluation: Evaluation) -> str:
    return "".join(
        f"{utterance.id}\t{normalize(utterance.text)}\t{normalize(hypothesis)}\n"
        for utterance, hypothesis in zip(utterances, evaluation.hypotheses, strict=True)
    )


COMMAND = app.Command(
    name="evaluate",
    usage="MODEL --manifest=FILE [flags]",
    description=__doc__,
    define_flags=_define_flags,
    main=_evaluate,
    required=("manifest",),
)

if __name__ == "__main__":
    app.run(COMMAND)
