"""Tables of numbers as others publish them."""

import numpy as np


def numbers(text, *shape):
    """float32 of a shape, from numbers that stand between spaces."""
    return np.array(text.split(), np.float32).reshape(shape)
