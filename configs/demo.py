"""What `int4-conformer demo` trains: `tiny`, on commands that a synthesiser speaks, in five minutes
on two cores.

    int4-conformer train --config=configs/demo.py --workdir=runs/demo
"""

from ml_collections import config_dict

from int4_conformer.training.run_config import run_config


def get_config() -> config_dict.ConfigDict:
    config = run_config()
    config.corpus.manifest = "synthetic"
    config.training.steps = 1500
    config.training.batch_seconds = 48.0
    config.training.buckets = 2
    config.training.evaluate_every = 1500
    config.optimizer.learning_rate = 3e-3
    config.optimizer.warmup = 300
    config.optimizer.average = 50
    return config
