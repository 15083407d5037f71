"""What a served recogniser computes."""

from typing import Any

import tensorflow as tf

from int4_conformer.models.transducer import Transducer


def recognition(model: Transducer) -> Any:
    """A `tf.function` of greedy recognition of one utterance.

    Input `pcm` float32 [samples], whole blocks; outputs `tokens` int32 [capacity] and `count`
    int32 [].
    """

    @tf.function(input_signature=[tf.TensorSpec([None], tf.float32, name="pcm")], autograph=False)
    def recognize(pcm: tf.Tensor) -> dict[str, tf.Tensor]:
        tokens, count = model.recognize(pcm[None])
        return {"tokens": tokens[0], "count": count[0]}

    return recognize
