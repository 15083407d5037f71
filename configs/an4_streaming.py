"""AN4 for a device that listens: `tiny` in chunks of 320 ms, which hears noise without words, too;
in an hour on two cores.

    int4-conformer train --config=configs/an4_streaming.py --manifest=an4/manifest.jsonl \\
        --workdir=runs/an4_streaming
"""

from ml_collections import config_dict

from int4_conformer.training.run_config import run_config


def get_config() -> config_dict.ConfigDict:
    config = run_config()
    config.model.encoder.chunk = 8
    config.model.encoder.left_context = 32
    config.training.steps = 1500
    config.training.batch_seconds = 96.0
    config.training.evaluate_every = 500
    config.training.noise_share = 0.1
    config.optimizer.warmup = 300
    config.optimizer.average = 50
    return config
