"""The recogniser's parts and the transducer made of them."""

from int4_conformer.lazy import lazy_exports

__getattr__, __dir__, __all__ = lazy_exports(
    __name__,
    {
        "AveragedEmbeddingPredictor": "predictors.averaged",
        "BeamTransducerStream": "beam_stream",
        "Encoder": "encoder",
        "EncoderConfig": "config",
        "Joint": "joint",
        "JointConfig": "config",
        "LSTMPredictor": "predictors.lstm",
        "LookupPredictor": "predictors.lookup",
        "Predictor": "predictors.base",
        "PredictorConfig": "config",
        "SelfAttentionPredictor": "predictors.self_attention",
        "Transducer": "transducer",
        "TransducerConfig": "config",
        "make_predictor": "predictors.factory",
        "preset": "presets",
    },
)
