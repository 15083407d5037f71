"""The model that hears where the user names none."""

from pathlib import PurePath

from int4_conformer.audio.audio_files import ENDINGS
from int4_conformer.pretrained.registry import pretrained_models

# Of those of the package; else the first.
_USUAL = "english"
_RECORDINGS = ENDINGS | {".rf64", ".wave"}


def with_usual_model(arguments: list[str], *, is_live: bool = False) -> list[str]:
    """Arguments that begin with a model: one of the package where the first is a recording, as its
    ending or "-" tells.

    Args:
        arguments: a model and recordings, or recordings alone.
        is_live: whether no recordings are needed.

    Returns:
        the arguments as they are if there are no models in the package.

    Example:

        >>> with_usual_model(["model.tflite", "speech.wav"])
        ['model.tflite', 'speech.wav']
    """
    models = pretrained_models()
    has_none = _is_recording(arguments[0]) if arguments else is_live
    if not models or not has_none:
        return arguments
    return [_USUAL if _USUAL in models else next(iter(models)), *arguments]


def _is_recording(argument: str) -> bool:
    return argument == "-" or PurePath(argument).suffix.lower() in _RECORDINGS
