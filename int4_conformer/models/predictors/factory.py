"""From a config to its prediction network."""

from int4_conformer.models.model_config import PredictorConfig
from int4_conformer.models.predictors.averaged_predictor import AveragedEmbeddingPredictor
from int4_conformer.models.predictors.lookup_predictor import LookupPredictor
from int4_conformer.models.predictors.lstm_predictor import LSTMPredictor
from int4_conformer.models.predictors.predictor import Predictor
from int4_conformer.models.predictors.self_attention_predictor import SelfAttentionPredictor
from int4_conformer.quant.spec.recipe import Quant

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
    *,
    quant: Quant = None,
    name: str = "predictor",
) -> Predictor:
    """The prediction network of `config.kind`; arguments as `Predictor`."""
    return _KINDS[config.kind](config, vocab_size, output_dim, quant=quant, name=name)
