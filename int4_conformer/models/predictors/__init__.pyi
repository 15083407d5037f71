from .averaged_predictor import AveragedEmbeddingPredictor as AveragedEmbeddingPredictor
from .factory import make_predictor as make_predictor
from .lookup_predictor import LookupPredictor as LookupPredictor
from .lstm_predictor import LSTMPredictor as LSTMPredictor
from .predictor import Predictor as Predictor
from .self_attention_predictor import SelfAttentionPredictor as SelfAttentionPredictor
