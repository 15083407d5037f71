from .registry import PretrainedModel as PretrainedModel
from .registry import model_file as model_file
from .registry import pretrained_model as pretrained_model
from .registry import pretrained_models as pretrained_models
