"""What each option of the straight-through gradient does to a recogniser in training.

    python benchmarks/gradient_options.py --manifest=PATH/fsdd --output=build/gradient_options

trains `tiny` from scratch once per option and scheme, on nine tenths of the training split, and
prints the loss and the word errors on the other tenth. The first row of a scheme is the default,
and the second the default with another seed: smaller differences than theirs say nothing.
Runs that are complete are not trained again.
"""

import dataclasses
from pathlib import Path

import keras
import tensorflow as tf
from absl import app, flags
from training import trained

from int4_conformer.data.batches import evaluation_batches
from int4_conformer.data.buckets import make_buckets
from int4_conformer.data.corpus import Utterances, hold_out, normalized, read_corpus
from int4_conformer.evaluation.batched import BatchedEvaluator
from int4_conformer.models.transducer import Transducer
from int4_conformer.quant import QuantConfig, Recipe
from int4_conformer.text.graphemes import Graphemes
from int4_conformer.text.tokenizer import Tokenizer
from int4_conformer.training.training_config import TrainingConfig
from int4_conformer.training.workdir import Workdir

_TRAINING = TrainingConfig(
    steps=600,
    batch_seconds=48,
    buckets=1,
    max_seconds=1.5,
    learning_rate=2e-3,
    warmup=150,
    average=50,
    evaluate_every=600,
)
_OPTIONS = {
    "straight-through": {},
    "the same, another seed": {},
    "scale_gradient": {"scale_gradient": True},
    "learned_clip": {"learned_clip": True},
    "learned_clip, no clip_gradient": {"learned_clip": True, "clip_gradient": False},
    "stochastic_rounding": {"stochastic_rounding": True},
    "weight_noise=0.3": {"weight_noise": 0.3},
    "backward_dtype=bfloat16": {"backward_dtype": "bfloat16"},
    "start_step=300": {"start_step": 300},
}

FLAGS = flags.FLAGS
flags.DEFINE_string("manifest", None, "The corpus.", required=True)
flags.DEFINE_string("output", "build/gradient_options", "Folder for the runs.")
flags.DEFINE_list("schemes", ["w4c_a8d"], "Schemes to train with.")


def main(_: list[str]) -> None:
    corpus = normalized(read_corpus(FLAGS.manifest, "train"))
    train, dev = hold_out(corpus, 0.1, seed=0)
    tokenizer = Graphemes.from_texts([utterance.text for utterance in train])
    rows = ["| weights | option | dev loss | dev WER |", "|---|---|---|---|"]
    for scheme in FLAGS.schemes:
        for index, (option, fields) in enumerate(_OPTIONS.items()):
            keras.utils.clear_session()
            quant = dataclasses.replace(QuantConfig.from_name(scheme), **fields)
            workdir = Workdir(Path(FLAGS.output) / f"{scheme}_{index}")
            model = trained(
                "tiny",
                Recipe(name=scheme, rules=((".*", quant),)),
                dataclasses.replace(_TRAINING, seed=int(option == "the same, another seed")),
                tokenizer=tokenizer,
                train=train,
                workdir=workdir,
            )
            wer = BatchedEvaluator(model, tokenizer.vocabulary, dev, buckets=1)().errors.wer
            loss = _mean_loss(model, tokenizer, dev)
            rows.append(f"| {scheme} | {option} | {loss:.3f} | {100 * wer:.1f}% |")
            print(rows[-1], flush=True)
    print("\n".join(rows))


def _mean_loss(model: Transducer, tokenizer: Tokenizer, utterances: Utterances) -> float:
    """Nats per utterance."""

    @tf.function(jit_compile=True)
    def losses(batch: dict[str, tf.Tensor]) -> tf.Tensor:
        encoded = model.encode(batch["pcm"], batch["pcm_length"])[-1]
        lengths = model.encoded_length(batch["pcm_length"])
        return model.decoders[-1].loss(encoded, batch["labels"], lengths, batch["label_length"])

    buckets = make_buckets(utterances, tokenizer, count=1, seconds_per_batch=48)
    total = 0.0
    for batch in evaluation_batches(utterances, tokenizer, buckets=buckets):
        rows = {name: value for name, value in batch.items() if name != "index"}
        total += float(tf.reduce_sum(tf.where(batch["index"] >= 0, losses(rows), 0.0)))
    return total / len(utterances)


if __name__ == "__main__":
    app.run(main)
