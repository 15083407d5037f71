from .batched import BatchedEvaluator as BatchedEvaluator
from .one_by_one import Evaluation as Evaluation
from .one_by_one import evaluate as evaluate
