"""Free Spoken Digits, 0.4 hours of single digits by six speakers: `tiny`, in some ten minutes on
two cores.

int4-conformer train --config=configs/fsdd.py --manifest=fsdd/manifest.jsonl \\
        --workdir=runs/fsdd
"""

from ml_collections import config_dict

from int4_conformer.training.run_config import run_config


def get_config() -> config_dict.ConfigDict:
    config = run_config()
    config.corpus.dev_split = ""
    config.corpus.dev_fraction = 0.05
    config.training.steps = 2500
    config.training.batch_seconds = 48.0
    config.training.buckets = 3
    config.training.evaluate_every = 500
    config.optimizer.learning_rate = 2e-3
    config.optimizer.warmup = 500
    config.optimizer.average = 100
    return config
