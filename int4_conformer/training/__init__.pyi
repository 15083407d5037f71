from .exported_model import load_exported as load_exported
from .strategies import strategy_from_name as strategy_from_name
from .trainer import Trainer as Trainer
from .training_config import TrainingConfig as TrainingConfig
from .workdir import Workdir as Workdir
