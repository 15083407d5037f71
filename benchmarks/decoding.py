"""Speed of greedy and beam search, and what a beam finds that greedy search does not.

    python benchmarks/decoding.py --workdir=RUN --manifest=PATH/an4 --split=dev

takes a folder that `int4-conformer train` wrote. Each batch size has programs of its own, compiled
by XLA; audio is decoded and programs are compiled before the clock starts. "Search" is the search
alone, on frames that the encoder has made. Batch 1 is also timed as the exported file, on one
thread. Then each utterance is searched greedily and with beams of 1 and 8:

- beam 1 must have the tokens of greedy search;
- beam 8's best score must not be below greedy search's path (its probability under the model);
- the search's score is compared with the model's own of the same text, which sums alignments that
  the search has dropped, too; by the full sum, its best text must not be below greedy search's.

Prints tables for RESULTS.md.
"""

import dataclasses
import tempfile
import time
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import tensorflow as tf
from absl import app, flags

from int4_conformer.data.corpus import Utterances, normalized, read_corpus
from int4_conformer.decoding.greedy import Tokens
from int4_conformer.evaluation.one_by_one import score
from int4_conformer.export.recognizer_tflite import export_tflite
from int4_conformer.lite.recognizer import Recognizer
from int4_conformer.losses.rnnt import rnnt_loss
from int4_conformer.models.transducer import Transducer
from int4_conformer.search.beam_config import BeamConfig
from int4_conformer.text.tokenizer import Tokenizer
from int4_conformer.text.vocabulary import Vocabulary
from int4_conformer.training.workdir import Workdir

FLAGS = flags.FLAGS
flags.DEFINE_string("workdir", None, "The run.", required=True)
flags.DEFINE_string("manifest", None, "The corpus.", required=True)
flags.DEFINE_string("split", None, "Its split.")
flags.DEFINE_integer("utterances", None, "How many to take; all if not given.")
flags.DEFINE_multi_integer("batch", [1, 8, 32], "Batch sizes to time.")
flags.DEFINE_multi_integer("beam", [4, 8], "Beams to time.")
flags.DEFINE_integer("rounds", 3, "Times that each batch is timed; the fastest counts.")

# Lengths are rounded up to about so many seconds, so that few programs are compiled.
_SECONDS = 2.56
_TOLERANCE = 1e-3


@dataclasses.dataclass(frozen=True, kw_only=True)
class Batch:
    """Utterances of similar length."""

    # float32 [batch, samples], and int32 [batch], 0 for a row that only fills the batch.
    pcm: np.ndarray
    length: np.ndarray
    # Which utterances they are.
    places: Sequence[int]


def main(_: list[str]) -> None:
    utterances = normalized(read_corpus(FLAGS.manifest, FLAGS.split))[: FLAGS.utterances]
    model, tokenizer = Workdir(FLAGS.workdir).load()
    samples = [utterance.samples() for utterance in utterances]
    print(f"{model.config.name}, {len(samples)} utterances of {_mean_seconds(samples):.1f} s\n")
    _print_speed(model, tokenizer, samples)
    print()
    _compare(model, tokenizer.vocabulary, utterances, samples)


def _mean_seconds(samples: Sequence[np.ndarray]) -> float:
    return sum(map(len, samples)) / len(samples) / 16000


def _batches(model: Transducer, samples: Sequence[np.ndarray], size: int) -> list[Batch]:
    order = sorted(range(len(samples)), key=lambda place: len(samples[place]))
    block = model.config.block_samples
    unit = block * max(1, round(_SECONDS * model.config.front_end.sample_rate / block))
    batches = []
    for start in range(0, len(order), size):
        places = order[start : start + size]
        pcm = np.zeros([size, -(-len(samples[places[-1]]) // unit) * unit], np.float32)
        length = np.zeros([size], np.int32)
        for row, place in enumerate(places):
            length[row] = len(samples[place])
            pcm[row, : length[row]] = samples[place]
        batches.append(Batch(pcm=pcm, length=length, places=places))
    return batches


def _searches(model: Transducer, widths: Sequence[int]) -> dict[str, Callable[..., Any]]:
    """Frames and their lengths -> what the last pass finds, compiled."""

    decoder = model.decoders[-1]

    def greedy(encoded: tf.Tensor, lengths: tf.Tensor) -> Tokens:
        start = decoder.initial_hypothesis(encoded.shape[0])
        return decoder.greedy(encoded, lengths, start)[0]

    def beam(beam_size: int) -> Callable[..., Any]:
        searcher = decoder.beam_searcher(BeamConfig(beam_size=beam_size, n_best=beam_size))
        predictor, joint = decoder.predictor, decoder.joint

        def search(encoded: tf.Tensor, lengths: tf.Tensor) -> Any:
            start = searcher.start(encoded.shape[0], predictor.initial_state)
            return searcher.best(*searcher(joint.project_frames(encoded), lengths, start))

        return search

    searches = {"greedy": greedy} | {f"beam {beam_size}": beam(beam_size) for beam_size in widths}
    return {name: tf.function(run, jit_compile=True) for name, run in searches.items()}


def _print_speed(model: Transducer, tokenizer: Tokenizer, samples: Sequence[np.ndarray]) -> None:
    searches = _searches(model, FLAGS.beam)
    encode = tf.function(lambda pcm, length: model.encode(pcm, length)[-1], jit_compile=True)
    print("| search | batch | utterances/s | search alone, utterances/s |")
    print("|---|---|---|---|")
    for size in FLAGS.batch:
        times = dict.fromkeys(["encoder", *searches], 0.0)
        for batch in _batches(model, samples, size):
            lengths = model.encoded_length(tf.constant(batch.length))
            encoded, seconds = _timed(encode, tf.constant(batch.pcm), tf.constant(batch.length))
            times["encoder"] += seconds
            for name, search in searches.items():
                times[name] += _timed(search, encoded, lengths)[1]
        for name in searches:
            whole, alone = (len(samples) / x for x in (times[name] + times["encoder"], times[name]))
            print(f"| {name} | {size} | {whole:.0f} | {alone:.0f} |")
    with tempfile.TemporaryDirectory() as folder:
        file = Path(folder) / "model.tflite"
        export_tflite(model, tokenizer, file)
        recognizer = Recognizer(file)
        seconds = sum(_timed(recognizer.tokens, pcm)[1] for pcm in samples)
    print(f"| greedy, the .tflite file | 1 | {len(samples) / seconds:.0f} | |")


def _timed(run: Callable[..., Any], *arguments: Any) -> tuple[Any, float]:
    """What a function returns, and its fastest time in seconds once it is warm."""
    result = run(*arguments)
    times = []
    for _ in range(FLAGS.rounds):
        start = time.perf_counter()
        result = run(*arguments)
        # Waits for the result.
        tf.nest.map_structure(np.asarray, result)
        times.append(time.perf_counter() - start)
    return result, min(times)


def _compare(
    model: Transducer,
    vocabulary: Vocabulary,
    utterances: Utterances,
    samples: Sequence[np.ndarray],
) -> None:
    searches = _searches(model, [1, 8])
    encode = tf.function(lambda pcm, length: model.encode(pcm, length)[-1], jit_compile=True)
    by_full_sum = BeamConfig(beam_size=8, full_sum=True)
    full_sum = tf.function(
        lambda pcm, length: model.beam_search(pcm, length, config=by_full_sum).best,
        jit_compile=True,
    )
    names = ("greedy", "beam 8", "beam 8, full sum")
    texts = {name: [""] * len(samples) for name in names}
    equal = changed = not_below = model_not_below = full_sum_not_below = 0
    gaps = []
    for batch in _batches(model, samples, 8):
        lengths = model.encoded_length(tf.constant(batch.length))
        encoded = encode(tf.constant(batch.pcm), tf.constant(batch.length))
        greedy, one, eight = (search(encoded, lengths) for search in searches.values())
        bests = greedy, eight.best, full_sum(tf.constant(batch.pcm), tf.constant(batch.length))
        exact = [_model_scores(model, encoded, lengths, x) for x in bests]
        for row, place in enumerate(batch.places):
            found = dict(zip(names, (_row(x, row) for x in bests), strict=True))
            for name in names:
                texts[name][place] = vocabulary.detokenize(found[name])
            equal += _row(one.best, row) == found["greedy"]
            changed += found["beam 8"] != found["greedy"]
            best = float(eight.model_scores[row, 0])
            not_below += best >= float(one.model_scores[row, 0]) - _TOLERANCE
            model_not_below += exact[1][row] >= exact[0][row] - _TOLERANCE
            full_sum_not_below += exact[2][row] >= exact[0][row] - _TOLERANCE
            gaps.append(exact[1][row] - best)
    print("| what | utterances |")
    print("|---|---|")
    print(f"| all | {len(samples)} |")
    print(f"| beam 1 has the tokens of greedy search | {equal} |")
    print(f"| beam 8 has other tokens | {changed} |")
    print(f"| beam 8's score is not below greedy search's path | {not_below} |")
    print(f"| nor its text less probable, all alignments counted | {model_not_below} |")
    print(f"| nor, by the full sum, its text | {full_sum_not_below} |")
    print(
        "\nAll alignments of beam 8's texts over those that it saw, in nats: "
        f"mean {np.mean(gaps):.4f}, median {np.median(gaps):.4f}, "
        f"most {np.max(gaps):.4f}, least {np.min(gaps):.4f}"
    )
    for name, hypotheses in texts.items():
        errors = score(utterances, hypotheses)
        print(f"WER {name}: {100 * errors.wer:.2f}% ({errors.errors} / {errors.words})")


def _row(found: Tokens, row: int) -> list[int]:
    return found.ids[row, : int(found.count[row])].numpy().tolist()


def _model_scores(
    model: Transducer, encoded: tf.Tensor, lengths: tf.Tensor, found: Tokens
) -> np.ndarray:
    """The model's log-probability of texts, all alignments counted: [batch]."""
    labels = found.ids[:, : max(1, int(tf.reduce_max(found.count)))]
    return -rnnt_loss(
        model.decoders[-1].logits(encoded, labels), labels, lengths, found.count
    ).numpy()


if __name__ == "__main__":
    app.run(main)
