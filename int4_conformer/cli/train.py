"""Trains a recogniser with native integer quantization.

The corpus is a JSON-lines manifest, a LibriSpeech folder, or the word "synthetic". Training writes
its configuration, checkpoints, metrics and TensorBoard scalars to --workdir; the same command
resumes it. `int4-conformer evaluate` and `export` take that folder.
"""

from absl import flags

from int4_conformer.cli import app
from int4_conformer.data.corpus import hold_out, normalized, read_corpus
from int4_conformer.errors import UserError
from int4_conformer.files import require_folder_place
from int4_conformer.models.model_config import JointConfig
from int4_conformer.models.presets import PRESETS, preset
from int4_conformer.models.weight_mapping import WeightMapping
from int4_conformer.quant.spec.recipe import Recipe
from int4_conformer.text.graphemes import Graphemes
from int4_conformer.text.tokenizer import Tokenizer
from int4_conformer.text.wordpieces import Wordpieces
from int4_conformer.training.training_config import TrainingConfig


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
    app.define_fields(JointConfig, values, ["tied"])
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
    app.define_fields(TrainingConfig, values)


def _train(values: flags.FlagValues, arguments: list[str]) -> None:
    if arguments:
        raise UserError(f"train takes flags only. Received: {arguments[0]!r}")
    require_folder_place(values.workdir)
    config = TrainingConfig(**app.given_fields(TrainingConfig, values))
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
    required=("manifest", "workdir"),
)

if __name__ == "__main__":
    app.run(COMMAND)
