"""First values of the kernels that end residual branches."""

import keras


def branch_initializer(scale: float) -> keras.initializers.Initializer:
    """Glorot's uniform values, times a factor.

    In a deep stack of blocks, branches of the usual size drown what came in: after ten Conformer
    blocks every frame looks alike, and training never finds the way back. With a factor of one by
    the root of the number of branches, a stack begins close to the identity, however deep it is
    (GPT-2 does so with its residual layers).

    Args:
        scale: 1 for the usual values.
    """
    return keras.initializers.VarianceScaling(scale**2, mode="fan_avg", distribution="uniform")
