"""The variables of a model by name."""

import keras


def relative_path(path: str, model: keras.layers.Layer) -> str:
    """A path below the model: "tiny/encoder/input/kernel" -> "encoder/input/kernel"."""
    return path.removeprefix(f"{model.path}/")


def by_path(model: keras.layers.Layer) -> dict[str, keras.Variable]:
    """All weights of a model, trainable or not, by their path below it."""
    return {relative_path(variable.path, model): variable for variable in model.weights}
