"""LibriSpeech, 960 hours of read English: `conformer_l` in 4 bits, for a TPU or several GPUs.

    int4-conformer wordpieces --manifest=LibriSpeech --vocab_size=1024 --output=pieces.model \\
        --split=train-clean-100,train-clean-360,train-other-500

    int4-conformer train --config=configs/librispeech_960.py \\
        --manifest=LibriSpeech --workdir=runs/960
"""

from ml_collections import config_dict

from int4_conformer.training.run_config import run_config


def get_config() -> config_dict.ConfigDict:
    config = run_config()
    config.corpus.split = "train-clean-100,train-clean-360,train-other-500"
    config.corpus.dev_split = "dev-clean,dev-other"
    config.model.preset = "conformer_l"
    config.model.tokenizer = "pieces.model"
    config.training.steps = 150000
    config.training.batch_seconds = 9600.0
    config.training.buckets = 6
    config.training.max_seconds = 17.0
    config.training.evaluate_every = 5000
    config.optimizer.learning_rate = 1.5e-3
    config.optimizer.warmup = 10000
    config.optimizer.average = 2000
    config.loss.ctc_weight = 0.1
    return config
