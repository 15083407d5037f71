"""English of any words, from some fourteen hours of speech: six Conformer blocks that stream in
chunks of 320 ms, in float32; a day on two cores. Integers follow, from its weights.

    python benchmarks/accuracy/box_corpus.py --data=PATH --output=box.jsonl
    int4-conformer wordpieces --manifest=box.jsonl --vocab_size=128 --output=pieces.model
    int4-conformer train --config=configs/english.py --manifest=box.jsonl --workdir=runs/english
"""

from ml_collections import config_dict

from int4_conformer.training.run_config import run_config


def get_config() -> config_dict.ConfigDict:
    config = run_config()
    config.model.preset = "tiny"
    config.model.recipe = "float"
    config.model.tokenizer = "pieces.model"
    config.model.encoder.dim = 144
    config.model.encoder.blocks = 6
    config.model.encoder.chunk = 8
    config.model.encoder.left_context = 64
    config.model.encoder.dropout = 0.05
    config.model.joint.dim = 192
    config.model.predictor.embedding_dim = 192
    config.training.steps = 20_000
    config.training.batch_seconds = 120.0
    config.training.buckets = 4
    config.training.max_seconds = 17.0
    config.training.evaluate_every = 1500
    config.optimizer.learning_rate = 1e-3
    # Goes on for as long as there is time; more steps change nothing of those before.
    config.optimizer.schedule = "constant"
    config.optimizer.warmup = 400
    config.optimizer.average = 200
    # Finds the alignment sooner.
    config.loss.ctc_weight = 0.3
    return config
