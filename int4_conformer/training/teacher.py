"""The recogniser that another learns from."""

from int4_conformer.errors import UserError
from int4_conformer.models.model_config import TransducerConfig
from int4_conformer.models.transducer import Transducer
from int4_conformer.text.tokenizer import Tokenizer
from int4_conformer.training.workdir import Workdir


def load_teacher(path: str, tokenizer: Tokenizer, student: TransducerConfig) -> Transducer:
    """A trained recogniser whose distributions another can learn.

    Args:
        path: its training folder.
        tokenizer: the student's.
        student: its sizes.

    Raises:
        UserError: the folder holds no trained recogniser, or its vocabulary or frames are not the
            student's.
    """
    model, own = Workdir(path).load()
    if own.vocabulary.pieces != tokenizer.vocabulary.pieces:
        raise UserError(
            f"The teacher {path} has another vocabulary ({own.vocabulary.size} symbols, and "
            f"{tokenizer.vocabulary.size} here), so that nothing can be learned from its "
            "distributions; train it with the same tokenizer and texts."
        )
    if model.config.frame_samples != student.frame_samples:
        raise UserError(
            f"The teacher {path} has a frame for each {model.config.frame_samples} samples, and "
            f"this recogniser for each {student.frame_samples}; take one that reduces frames alike."
        )
    return model
