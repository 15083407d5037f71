"""AN4, 0.7 hours of spelled words, numbers and dates by 74 speakers: `tiny`, in under an hour on
two cores.

int4-conformer train --config=configs/an4.py --manifest=an4/manifest.jsonl \\
        --workdir=runs/an4
"""

from ml_collections import config_dict

from int4_conformer.training.run_config import run_config


def get_config() -> config_dict.ConfigDict:
    config = run_config()
    config.training.steps = 2500
    config.training.batch_seconds = 96.0
    config.training.buckets = 3
    config.training.evaluate_every = 500
    config.optimizer.learning_rate = 2e-3
    config.optimizer.warmup = 500
    config.optimizer.average = 100
    return config
