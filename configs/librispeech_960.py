"""LibriSpeech, 960 hours of read English: a preset in 4 bits, on a TPU or GPUs (docs/scale.md).

    int4-conformer wordpieces --manifest=LibriSpeech --vocab_size=1024 --output=pieces.model \\
        --split=train-clean-100,train-clean-360,train-other-500

    int4-conformer train --config=configs/librispeech_960.py:conformer_l,gpus_8 \\
        --manifest=LibriSpeech --workdir=runs/960

Behind the colon are a preset, and where it is trained: `tpu_v4_8`, `gpus_8` or `gpu_1`, the GPUs of
80 GB. All take the same batches and so the same steps; they differ in how much of a batch a device
computes at once. On a TPU add `--strategy=tpu`.
"""

from ml_collections import config_dict

from int4_conformer.errors import UserError
from int4_conformer.training.run_config import run_config

_HOURS, _PASSES = 960, 60
_BATCH_SECONDS = 9600.0

# Padded audio in seconds that 32 GB hold in bfloat16, and the highest learning rate.
_PRESETS = {
    "conformer_s": (2400, 2.5e-3),
    "conformer_m": (1200, 2e-3),
    "conformer_l": (600, 1.5e-3),
    "cascaded_150m": (600, 1.5e-3),
}
# Replicas, how many times 32 GB each has, and steps between two looks of the host.
_PLACES = {"tpu_v4_8": (4, 1, 50), "gpus_8": (8, 2, 10), "gpu_1": (1, 2, 10)}


def get_config(what: str = "conformer_l,gpus_8") -> config_dict.ConfigDict:
    preset, _, place = what.partition(",")
    if preset not in _PRESETS or place not in _PLACES:
        raise UserError(
            f"Name one of {', '.join(_PRESETS)} and, behind a comma, one of {', '.join(_PLACES)}. "
            f"Received: {what!r}"
        )
    seconds, learning_rate = _PRESETS[preset]
    replicas, memory, steps_per_loop = _PLACES[place]
    config = run_config()
    config.corpus.split = "train-clean-100,train-clean-360,train-other-500"
    config.corpus.dev_split = "dev-clean,dev-other"
    config.model.preset = preset
    config.model.tokenizer = "pieces.model"
    config.training.steps = round(_PASSES * _HOURS * 3600 / _BATCH_SECONDS)
    config.training.batch_seconds = _BATCH_SECONDS
    config.training.buckets = 6
    config.training.max_seconds = 17.0
    config.training.evaluate_every = 1000
    config.training.steps_per_loop = steps_per_loop
    config.training.compute_dtype = "bfloat16"
    config.optimizer.accumulate = max(1, round(_BATCH_SECONDS / (replicas * memory * seconds)))
    config.optimizer.learning_rate = learning_rate
    config.optimizer.warmup = 2000
    config.optimizer.average = 500
    config.loss.ctc_weight = 0.1
    return config
