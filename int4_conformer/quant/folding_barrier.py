"""Barriers around the products of a float twin.

The TFLite converter folds what it can into the constants of a matmul: factors before and after it
into the kernel, which then is not the trained one, and an offset before it into the bias, so that
the activations that the runtime quantizes are not those of training. It cannot see through a
minimum. So traced products stand between minima with `FOLDING_BARRIER`, and
`tflite.folding_barriers` takes those out of the converted file.
"""

import numpy as np

# Nothing is larger; a number that no model would choose for itself.
FOLDING_BARRIER = np.nextafter(np.finfo(np.float32).max, np.float32(0))
