"""Trains a recogniser with native integer quantization.

The corpus is a JSON-lines manifest, a LibriSpeech folder, or the word "synthetic". Training writes
its configuration, checkpoints, metrics and TensorBoard scalars to --workdir; the same command
resumes it. `int4-conformer evaluate` and `export` take that folder.
"""

import dataclasses

from absl import flags

from int4_conformer.cli import app
from int4_conformer.data.corpus import read_corpus
from int4_conformer.data.prepare import hold_out, normalized
from int4_conformer.errors import UserError
from int4_conformer.models.presets import PRESETS, preset
from int4_conformer.models.weight_mapping import WeightMapping
from int4_conformer.quant.spec.recipe import Recipe
from int4_conformer.text.graphemes import Graphemes
from int4_conformer.text.tokenizer import Tokenizer
from int4_conformer.text.wordpieces import Wordpieces
from int4_conformer.training.training_config import TrainingConfig

_SETTINGS_HELP = {
    "steps": "Optimizer steps.",
    "batch_seconds": "Padded audio in a batch, in seconds.",
    "buckets": "Distinct batch shapes; XLA compiles the step once for each.",
    "max_seconds": "Leave out longer utterances.",
    "learning_rate": "Highest learning rate.",
    "warmup": "Steps until the highest learning rate.",
    "weight_decay": "AdamW's decoupled weight decay.",
    "clip_norm": "Norm to which gradients are clipped.",
    "average": "Half-life of the weights' running average in steps; 0: none.",
    "spec_augment": "Mask features at random (SpecAugment).",
    "first_pass_weight": "Share of the first of two passes in the loss.",
    "sample_passes": "Train one pass a step, drawn with that share, and not both.",
    "fast_emit": "Lambda of FastEmit, which makes labels come earlier; such as 0.005.",
    "label_smoothing": "Share of each label's score that goes to all symbols alike.",
    "ctc_weight": "Weight of an additional CTC loss of the encoder; its head is not exported.",
    "evaluate_every": "Steps between evaluations on the dev set, each with a checkpoint.",
    "xla": "Compile the step by XLA; without, wide models can be faster on a CPU.",
    "seed": "Seed of weights, order and masks.",
}
_DEFINE = {int: flags.DEFINE_integer, float: flags.DEFINE_float, bool: flags.DEFINE_boolean}


def _define_flags(values: flags.FlagValues) -> None:
    flags.DEFINE_string("manifest", None, "The corpus.", flag_values=values)
    flags.DEFINE_string("workdir", None, "Folder of the run.", flag_values=values)
    flags.DEFINE_string("split", "train", "Split to train on.", flag_values=values)
    flags.DEFINE_string(
        "dev_split", "dev", "Split to count word errors on; '': none.", flag_values=values
    )
    flags.DEFINE_float(
        "dev_fraction",
        0.0,
        "Hold out this part of the training split as the dev set, in place of --dev_split.",
        lower_bound=0.0,
        upper_bound=0.5,
        flag_values=values,
    )
    flags.DEFINE_string("preset", "tiny", f"One of {', '.join(PRESETS)}.", flag_values=values)
    flags.DEFINE_string(
        "recipe",
        "w4a8",
        "Quantization: w4a8, w8a8, ..., float, a scheme such as w4b32_a8d, or a .json file.",
        flag_values=values,
    )
    flags.DEFINE_string(
        "tokenizer",
        "graphemes",
        "graphemes, or a file that `int4-conformer wordpieces` wrote.",
        flag_values=values,
    )
    flags.DEFINE_boolean(
        "tied", True, "Share the label embedding with the output layer.", flag_values=values
    )
    flags.DEFINE_string(
        "init_from",
        None,
        "Weights that a new run starts from: WORKDIR of another run, an .npz, .h5 or .keras file, "
        "or the prefix of a TensorFlow checkpoint (docs/models.md).",
        flag_values=values,
    )
    flags.DEFINE_string(
        "init_mapping", None, "JSON file: from their names to ours.", flag_values=values
    )
    flags.DEFINE_string(
        "init_may_miss",
        "",
        "Regular expression of our weights that need not be among them.",
        flag_values=values,
    )
    flags.DEFINE_string("strategy", "auto", "auto, mirrored or tpu.", flag_values=values)
    for field in dataclasses.fields(TrainingConfig):
        _DEFINE[field.type](
            field.name, field.default, _SETTINGS_HELP[field.name], flag_values=values
        )
    flags.mark_flags_as_required(["manifest", "workdir"], flag_values=values)


def _train(values: flags.FlagValues, arguments: list[str]) -> None:
    if arguments:
        raise UserError(f"train takes flags only. Received: {arguments[0]!r}")
    config = TrainingConfig(
        **{field.name: values[field.name].value for field in dataclasses.fields(TrainingConfig)}
    )
    train = normalized(read_corpus(values.manifest, values.split))
    if values.dev_fraction:
        train, dev = hold_out(train, values.dev_fraction, seed=config.seed)
    else:
        dev = normalized(read_corpus(values.manifest, values.dev_split)) if values.dev_split else []
    tokenizer = _tokenizer(values.tokenizer, [utterance.text for utterance in train])
    model_config = preset(
        values.preset,
        vocab_size=tokenizer.vocabulary.size,
        recipe=Recipe.named(values.recipe),
        tied=values.tied,
    )
    if values.init_from is None and (values.init_mapping or values.init_may_miss):
        raise UserError(
            "--init_mapping and --init_may_miss say how to read --init_from; give it, too."
        )
    mapping = WeightMapping.load(values.init_mapping) if values.init_mapping else WeightMapping()

    # After the checks: a mistake in the flags should not wait for TensorFlow.
    from int4_conformer.training.initial_weights import InitialWeights
    from int4_conformer.training.strategies import strategy_from_name
    from int4_conformer.training.trainer import Trainer
    from int4_conformer.training.workdir import Workdir

    initial_weights = None
    if values.init_from is not None:
        initial_weights = InitialWeights(
            path=values.init_from, mapping=mapping, may_miss=values.init_may_miss
        )
    trainer = Trainer(
        model_config,
        config,
        tokenizer=tokenizer,
        train=train,
        dev=dev,
        workdir=Workdir(values.workdir),
        strategy=strategy_from_name(values.strategy),
        initial_weights=initial_weights,
    )
    if trainer.imported is not None:
        print(f"{values.init_from}:", *trainer.imported.lines(), sep="\n  ")
    evaluation = trainer.train()
    if evaluation is not None:
        print(f"dev WER {100 * evaluation.errors.wer:.2f}%")


def _tokenizer(name: str, texts: list[str]) -> Tokenizer:
    return Graphemes.from_texts(texts) if name == "graphemes" else Wordpieces.load(name)


COMMAND = app.Command(
    name="train",
    usage="--manifest=FILE --workdir=DIR [flags]",
    description=__doc__,
    define_flags=_define_flags,
    main=_train,
)

if __name__ == "__main__":
    app.run(COMMAND)
