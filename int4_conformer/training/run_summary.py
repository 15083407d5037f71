"""What a run says before its first step."""

from collections.abc import Sequence

import tensorflow as tf

from int4_conformer.audio.audio_files import SAMPLE_RATE
from int4_conformer.data.buckets import Bucket
from int4_conformer.data.corpus import Utterances
from int4_conformer.models.model_config import TransducerConfig
from int4_conformer.models.part_sizes import part_sizes
from int4_conformer.text.tokenizer import Tokenizer


def run_summary(
    config: TransducerConfig,
    *,
    tokenizer: Tokenizer,
    train: Utterances,
    dev: Utterances,
    buckets: Sequence[Bucket],
    strategy: tf.distribute.Strategy,
) -> list[str]:
    """Lines on the corpus, the model and where it is trained.

    Args:
        config: of the model.
        tokenizer: makes the labels.
        train: utterances to train on.
        dev: utterances to count word errors on.
        buckets: the shapes of batches.
        strategy: where training runs.
    """
    parts = part_sizes(config, {"own": config.recipe})
    parameters = sum(part.parameters for part in parts)
    nbytes = sum(part.nbytes["own"] for part in parts)
    by_part = ", ".join(f"{part.name} {part.parameters:,}" for part in parts if part.parameters)
    shapes = ", ".join(
        f"{bucket.batch_size} x {bucket.samples / SAMPLE_RATE:.2f} s" for bucket in buckets
    )
    kind = tokenizer.to_config()["type"]
    return [
        f"train       {_extent(train)}",
        f"dev         {_extent(dev) if dev else 'none: no word errors are counted on the way'}",
        f"vocabulary  {tokenizer.vocabulary.size - 1} {kind} and the blank",
        f"model       {config.name}, {config.recipe.name}: {parameters:,} parameters ({by_part})",
        f"weights     {nbytes / 1e6:.2f} MB in a .tflite file, which adds what is not weights",
        f"batches     {len(buckets)} shape{'s' * (len(buckets) > 1)}: {shapes}",
        f"device      {_devices(strategy)}, TensorFlow {tf.__version__}",
    ]


def _extent(utterances: Utterances) -> str:
    seconds = [utterance.duration for utterance in utterances]
    speakers = len({utterance.speaker for utterance in utterances} - {""})
    extent = (
        f"{len(utterances):,} utterances, {sum(seconds) / 3600:.2f} h "
        f"({min(seconds):.2f} to {max(seconds):.2f} s each)"
    )
    return f"{extent}, {speakers} speakers" if speakers else extent


def _devices(strategy: tf.distribute.Strategy) -> str:
    replicas = strategy.num_replicas_in_sync
    kinds = {device.device_type for device in tf.config.list_logical_devices()}
    kind = next((kind for kind in ("TPU", "GPU") if kind in kinds), "CPU")
    return f"{kind}, {replicas} replicas" if replicas > 1 else kind
