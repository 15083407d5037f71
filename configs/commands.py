"""Short commands, digits, letters and dates, in 4-bit integers: the first pass has the sizes of
english.py, from whose weights it may begin, and a second one hears 1.28 s at a time. It hears bad
lines, rooms and pauses, too, and nothing of other speech; some two hours on one core.
benchmarks/accuracy/commands_corpus.py says how the corpus is made.

    int4-conformer train --config=configs/commands.py --manifest=corpus/commands.jsonl \\
        --other_speech=corpus/others.jsonl --init_from=runs/english \\
        --init_may_miss='second_pass.*' --workdir=runs/commands
"""

from ml_collections import config_dict

from int4_conformer.training.run_config import run_config


def get_config() -> config_dict.ConfigDict:
    config = run_config()
    config.model.preset = "cascaded_tiny"
    config.model.recipe = "w4a8"
    config.model.tokenizer = "pieces.model"
    config.model.encoder.dim = 144
    config.model.encoder.blocks = 6
    config.model.encoder.chunk = 8
    config.model.encoder.left_context = 64
    config.model.encoder.dropout = 0.05
    config.model.encoder.heads = 4
    config.model.second_pass.dim = 144
    config.model.second_pass.blocks = 4
    config.model.second_pass.chunk = 32
    config.model.second_pass.left_context = 64
    config.model.second_pass.dropout = 0.05
    config.model.joint.dim = 192
    config.model.predictor.embedding_dim = 192
    config.training.steps = 4000
    config.training.batch_seconds = 48.0
    config.training.buckets = 4
    config.training.max_seconds = 10.0
    config.training.evaluate_every = 800
    config.training.noise_share = 0.05
    config.augmentation.speed_perturbation = "0.85..1.2"
    config.augmentation.volume_db = 20.0
    config.augmentation.pause_seconds = 1.5
    config.augmentation.noise = "synthetic"
    config.augmentation.noise_probability = 0.25
    config.augmentation.rooms = "synthetic"
    config.augmentation.room_probability = 0.25
    config.augmentation.codecs = "telephone"
    config.augmentation.codec_probability = 0.25
    config.augmentation.low_pass_probability = 0.25
    config.optimizer.learning_rate = 4e-4
    config.optimizer.warmup = 100
    config.optimizer.average = 200
    config.loss.ctc_weight = 0.3
    config.loss.first_pass_weight = 0.3
    config.loss.sample_passes = True
    return config
