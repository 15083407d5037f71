"""From a config to its prediction network."""

from int4_conformer.models.config import PredictorConfig
from int4_conformer.models.predictors.averaged import AveragedEmbeddingPredictor
from int4_conformer.models.predictors.base import Predictor
from int4_conformer.models.predictors.lookup import LookupPredictor
from int4_conformer.models.predictors.lstm import LSTMPredictor
from int4_conformer.models.predictors.self_attention import SelfAttentionPredictor
from int4_conformer.quant.recipe import Recipe

_KINDS = {
    "averaged": AveragedEmbeddingPredictor,
    "lookup": LookupPredictor,
    "lstm": LSTMPredictor,
    "transformer": SelfAttentionPredictor,
    "conformer": SelfAttentionPredictor,
}


def make_predictor(
    config: PredictorConfig,
    vocab_size: int,
    output_dim: int,
    recipe: Recipe,
    *,
    name: str = "predictor",
) -> Predictor:
    """The prediction network of `config.kind`; arguments as `Predictor`."""
    return _KINDS[config.kind](config, vocab_size, output_dim, recipe, name=name)
