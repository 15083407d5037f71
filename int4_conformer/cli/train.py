"""Trains a recogniser with native integer quantization.

The corpus is a JSON-lines manifest, a folder in one of the forms that docs/corpora.md lists, or the
word "synthetic"; or, with --phrases, what synthesisers make of a list of phrases, without a single
recording (docs/phrases.md). Training writes its configuration, checkpoints, metrics and TensorBoard
scalars to --workdir; the same command resumes it. `int4-conformer evaluate` and `export` take that
folder. With --phrases the usual settings are those of a run of minutes on two cores, which
docs/phrases.md lists, and it ends with its recogniser as a file, model.tflite in that folder.
"""

import dataclasses
import os
import shlex
import sys

from absl import flags

from int4_conformer.audio.audio_files import SAMPLE_RATE
from int4_conformer.cli import app, corpora, model_flags
from int4_conformer.cli.flag_groups import COMMON, GIVEN, LEARNED, MACHINE, group, grouped
from int4_conformer.cli.phrase_runs import FILE, exported, usual_settings
from int4_conformer.cli.results import Result
from int4_conformer.cli.tensorflow_start import start_tensorflow
from int4_conformer.cores import available_cores
from int4_conformer.data.augmentation.augmenter import Augmenter
from int4_conformer.data.corpus import (
    Utterances,
    normalized,
    note_unspellable,
    read_corpus,
)
from int4_conformer.data.corpus_report import CorpusReport
from int4_conformer.data.service.wire import address_of
from int4_conformer.data.sources.entry import MissingSplitError
from int4_conformer.data.sources.phrases import (
    LISTS,
    PhrasesConfig,
    SpokenPhrase,
    draw_phrases,
    read_grammar,
    speech_cache,
)
from int4_conformer.errors import UserError
from int4_conformer.evaluation.one_by_one import Evaluation
from int4_conformer.files import require_folder_place
from int4_conformer.models.weight_mapping import WeightMapping
from int4_conformer.progress import waiting
from int4_conformer.remote_path import is_remote
from int4_conformer.text.graphemes import ENGLISH
from int4_conformer.text.tokenizer import Tokenizer
from int4_conformer.text.writing import Writing
from int4_conformer.training.run_config import differences, flags_of, parts_of, with_parts
from int4_conformer.training.training_config import TrainingConfig

# Transcripts shown at the end.
_SHOWN = 3
_PHRASE_SPLITS = ("train", "dev")
# Fields of `TrainingConfig` that are no advanced flags.
_LEARNED = (
    *("steps", "batch_seconds", "learning_rate", "warmup", "max_seconds", "evaluate_every"),
    *("speed_perturbation", "noise", "rooms", "codecs", "seed"),
)
_MACHINE = ("xla", "compute_dtype", "cache", "cache_folder", "data_service")


def _define_flags(values: flags.FlagValues) -> None:
    with group(values, GIVEN):
        flags.DEFINE_string("manifest", None, "The corpus.", flag_values=values)
        flags.DEFINE_string(
            "phrases",
            None,
            "In place of --manifest: a file of phrases, which synthesisers speak, or commands or "
            "everyday, lists that come with the package.",
            flag_values=values,
        )
        flags.DEFINE_string("workdir", None, "Folder of the run.", flag_values=values)
        flags.DEFINE_string(
            "split",
            "train",
            "Split to train on, or several with commas between them.",
            flag_values=values,
        )
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
        app.define_fields(PhrasesConfig, values)
    model_flags.define_flags(values)
    with group(values, LEARNED):
        app.define_fields(TrainingConfig, values, _LEARNED)
    with group(values, MACHINE):
        flags.DEFINE_string(
            "strategy",
            "auto",
            "Where to train: auto, one_device, mirrored (all GPUs), multi_worker (the machines of "
            "TF_CONFIG) or tpu (docs/scale.md).",
            flag_values=values,
        )
        flags.DEFINE_string(
            "tpu",
            "",
            "Name or address of the TPU; if not given, what TPU_NAME says, else this machine's.",
            flag_values=values,
        )
        app.define_fields(TrainingConfig, values, _MACHINE)
    corpora.define_reading(values, "skip")
    app.define_fields(TrainingConfig, values)


def _train(values: flags.FlagValues, arguments: list[str]) -> Result:
    if arguments:
        raise UserError(f"train takes flags only. Received: {arguments[0]!r}")
    if bool(values.manifest) == bool(values.phrases):
        raise UserError(
            "train needs --manifest or, to train on speech that is made, --phrases: one of them; "
            f"`{app.PROGRAM} train --help` says what to give."
        )
    parts = {} if values.config is None else parts_of(values.config)
    start = model_flags.ModelStart(values)
    if not is_remote(values.workdir):
        require_folder_place(values.workdir)
    config = TrainingConfig(**app.given_fields(TrainingConfig, values))
    if values.phrases and config.data_service:
        raise UserError(
            "Data workers read a corpus: make one of --phrases with `int4-conformer speak`, and "
            "give it as --manifest."
        )
    # What it needs is there.
    Augmenter(config.input, config.seed)
    report = corpora.new_report(values)
    phrases = _phrases(values) if values.phrases else None
    if phrases is None:
        train, dev = _corpus(values, config, report, start.writing)
        texts = [utterance.text for utterance in train]
    else:
        # All letters, so that another run of English can be started from.
        texts = [ENGLISH, *(phrase.text for phrase in phrases)]
    tokenizer = start.tokenizer(texts)
    plain = start.sizes(tokenizer.vocabulary.size)
    model_config = with_parts(plain, parts)
    if values.init_from is None and (values.init_mapping or values.init_may_miss):
        raise UserError(
            "--init_mapping and --init_may_miss say how to read --init_from; give it, too."
        )
    mapping = WeightMapping.load(values.init_mapping) if values.init_mapping else WeightMapping()
    if phrases is not None:
        # After what can be wrong with the flags, for it may take minutes.
        spoken = corpora.spoken(phrases, speech_cache(), available_cores())
        train, dev = ([u for u in spoken if u.split == split] for split in _PHRASE_SPLITS)
    frames_per_second = SAMPLE_RATE / model_config.frame_samples
    labels_per_second = frames_per_second * model_config.max_symbols_per_frame
    # Workers keep what a training that has some never hears.
    cache = "none" if config.data_service else config.cache
    train = corpora.training_set(
        train,
        tokenizer,
        config,
        labels_per_second,
        report,
        cache,
        allow_commands=values.allow_commands,
    )
    dev = corpora.decode(dev, report, title="decode dev")
    note_unspellable(dev, tokenizer.vocabulary, report, start.writing)

    # After the checks: a mistake in the flags should not wait for TensorFlow.
    start_tensorflow()
    import tensorflow as tf

    if is_remote(values.workdir):
        require_folder_place(values.workdir)
    from int4_conformer.training.initial_weights import InitialWeights
    from int4_conformer.training.run_summary import run_summary
    from int4_conformer.training.strategies import is_chief, strategy_from_name
    from int4_conformer.training.trainer import Trainer
    from int4_conformer.training.workdir import Workdir

    initial_weights = None
    if values.init_from is not None:
        initial_weights = InitialWeights(
            path=start.path, mapping=mapping, may_miss=values.init_may_miss
        )
    strategy = strategy_from_name(values.strategy, values.tpu)
    workdir = Workdir(values.workdir, writes=is_chief(strategy))
    trainer = Trainer(
        model_config,
        config,
        tokenizer=tokenizer,
        train=train,
        dev=dev,
        workdir=workdir,
        strategy=strategy,
        initial_weights=initial_weights,
    )
    # What the run depends on.
    others = {"config", *grouped(values)[COMMON]}
    settings = {name: values[name].value for name in values if name not in others}
    workdir.note_command([app.PROGRAM, *sys.argv[1:]], settings | parts)
    corpora.show(report)
    if trainer.imported is not None:
        print(f"{values.init_from}:", *trainer.imported.lines(), sep="\n  ")
    summary = run_summary(
        model_config,
        tokenizer=tokenizer,
        train=train,
        dev=dev,
        buckets=trainer.buckets,
        strategy=strategy,
    )
    changed = [*differences(model_config, plain), *differences(config, TrainingConfig())]
    if changed:
        summary.append(f"settings    {', '.join(changed)} (in brackets: {plain.name}'s)")
    print(*summary, sep="\n", flush=True)
    if config.data_service:
        _serve_batches(trainer.input, values, config, tokenizer, labels_per_second)
    try:
        evaluation = trainer.train()
    except tf.errors.OpError as error:
        # What ended the input comes through TensorFlow.
        raise trainer.input.failure or error from None
    corpora.show(trainer.input.left_out)
    file = None
    if values.phrases and is_chief(strategy):
        file = exported(workdir)
    return _outcome(values, dev, evaluation, file)


def _serve_batches(
    pipeline: "InputPipeline",  # noqa: F821 (needs TensorFlow)
    values: flags.FlagValues,
    config: TrainingConfig,
    tokenizer: Tokenizer,
    labels_per_second: float,
) -> None:
    """Has the workers of --data_service make the batches."""
    from int4_conformer.data.service.batch_client import BatchClient

    manifest = values.manifest
    settings = {
        "corpus": {
            "manifest": os.path.abspath(manifest) if os.path.exists(manifest) else manifest,
            "split": values.split,
            "dev_fraction": values.dev_fraction,
            "on_error": values.on_error,
        },
        "training": dataclasses.replace(
            config, other_speech=config.other_speech and os.path.abspath(config.other_speech)
        ).to_config(),
        "tokenizer": tokenizer.to_config(),
        "labels_per_second": labels_per_second,
        "buckets": [dataclasses.asdict(bucket) for bucket in pipeline.buckets],
        "fingerprint": pipeline.fingerprint,
    }
    client = BatchClient(address_of(config.data_service, "data_service"), settings)
    with waiting("data workers read the corpus"):
        count = client.require_workers()
    pipeline.made_by(client)
    print(f"input       {count} data workers of {config.data_service}", flush=True)


def _take_config(values: flags.FlagValues) -> None:
    """Gives what a config file sets, or what is usual with phrases, to the flags that the user has
    not given.

    Raises:
        UserError: there is no such file, or it sets what there is not.
    """
    given = {}
    if values.config is not None:
        try:
            given = flags_of(values.config)
        except OSError as error:
            path = values["config"].config_filename
            raise UserError(f"There is no config file {path}; check the path.") from error
    if values.phrases or given.get("phrases"):
        given = usual_settings(values.init_from) | given
    for name, value in given.items():
        if not values[name].present:
            values[name].value = value


def _outcome(
    values: flags.FlagValues, dev: Utterances, evaluation: Evaluation | None, file: str | None
) -> Result:
    """What came out of it, and what to do next.

    Args:
        file: the recogniser, if it was exported.
    """
    lines = []
    if evaluation is not None:
        lines.append(f"dev WER {100 * evaluation.errors.wer:.2f}%")
        for utterance, hypothesis in list(zip(dev, evaluation.hypotheses, strict=True))[:_SHOWN]:
            lines += [f"  spoken      {utterance.text}", f"  recognised  {hypothesis}"]
    only = ""
    if values.phrases and values.phrases not in LISTS:
        only = f" --phrases={shlex.quote(values.phrases)} --only --json"
    lines.append(f"the run is in {values.workdir}")
    export = (f"{app.PROGRAM} export {shlex.quote(values.workdir)} --output={FILE}",)
    if file is not None:
        lines.append(f"{file}: {os.path.getsize(file):,} bytes")
        export = ()
    model = shlex.quote(file or FILE)
    return Result(
        text="\n".join(lines),
        facts={
            "workdir": values.workdir,
            "steps": values.steps,
            "dev": None if evaluation is None else evaluation.to_json(),
            "model": file,
        },
        next=(*export, f"{app.PROGRAM} transcribe {model} recording.wav{only}"),
    )


def _corpus(
    values: flags.FlagValues, config: TrainingConfig, report: CorpusReport, writing: Writing
) -> tuple[Utterances, Utterances]:
    """What to train on and the dev set, which may be empty."""
    train, dev = corpora.training_split(
        values.manifest,
        values.split,
        values.dev_fraction,
        report,
        writing,
        allow_commands=values.allow_commands,
        seed=config.seed,
    )
    if values.dev_fraction or not values.dev_split:
        return train, dev
    try:
        dev = read_corpus(
            values.manifest, values.dev_split, report, allow_commands=values.allow_commands
        )
    except MissingSplitError as error:
        raise UserError(
            f"{error} Name another with --dev_split, hold out a part of the training split with "
            "--dev_fraction=0.1, or count no word errors with --dev_split=''."
        ) from error
    return train, normalized(dev, report, writing)


def _phrases(values: flags.FlagValues) -> list[SpokenPhrase]:
    """What is to be spoken to train on, and as the dev set."""
    config = PhrasesConfig(**app.given_fields(PhrasesConfig, values))
    grammar = read_grammar(values.phrases)
    return [phrase for split in _PHRASE_SPLITS for phrase in draw_phrases(grammar, config, split)]


COMMAND = app.Command(
    name="train",
    usage="(--manifest=FILE | --phrases=FILE) --workdir=DIR [--config=FILE] [flags]",
    description=__doc__,
    examples=(
        "--manifest=corpus/manifest.jsonl --workdir=run --preset=cascaded_tiny",
        "--phrases=phrases.txt --workdir=run",
    ),
    define_flags=_define_flags,
    main=_train,
    required=("workdir",),
    has_result=True,
    take_config=_take_config,
)

if __name__ == "__main__":
    app.run(COMMAND)
