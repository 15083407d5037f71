"""Which frames see which, frame by frame."""

import numpy as np


def seen_by(time, chunk=None, left_context=None):
    """bool [time, time]: whether the frame of the row sees that of the column."""
    sees = np.zeros([time, time], bool)
    for i in range(time):
        start, end = 0, time
        if chunk is not None:
            start = i - i % chunk
            end = start + chunk
            start = 0 if left_context is None else start - left_context
        for j in range(time):
            sees[i, j] = start <= j < end
    return sees
