"""Training from scratch, for benchmarks that measure what comes of it."""

from int4_conformer.data.corpus import Utterances
from int4_conformer.models.presets import preset
from int4_conformer.models.transducer import Transducer
from int4_conformer.quant import Recipe
from int4_conformer.text.tokenizer import Tokenizer
from int4_conformer.training.strategies import strategy_from_name
from int4_conformer.training.trainer import Trainer
from int4_conformer.training.training_config import TrainingConfig
from int4_conformer.training.workdir import Workdir


def trained(
    name: str,
    recipe: Recipe | str,
    config: TrainingConfig,
    *,
    tokenizer: Tokenizer,
    train: Utterances,
    workdir: Workdir,
) -> Transducer:
    """The model of a preset with its last weights; a complete run is not trained again."""
    Trainer(
        preset(name, vocab_size=tokenizer.vocabulary.size, recipe=recipe),
        config,
        tokenizer=tokenizer,
        train=train,
        dev=[],
        workdir=workdir,
        strategy=strategy_from_name("auto"),
    ).train()
    model, _ = workdir.load("last")
    return model
