"""The program that XLA is given for training steps, without running it."""

import dataclasses
import re

import tensorflow as tf

from int4_conformer.audio.augment import SpecAugmentConfig
from int4_conformer.models.model_config import TransducerConfig
from int4_conformer.models.transducer import Transducer
from int4_conformer.training.optimizer import make_optimizer
from int4_conformer.training.training_config import TrainingConfig

ROWS, SECONDS, LABELS = 2, 2, 4
# What a device asks of a host, or of a library that another kind of device lacks.
HOST = {"custom-call", "infeed", "outfeed", "send", "recv", "send-done", "recv-done"}


@dataclasses.dataclass(frozen=True)
class Program:
    """What XLA was given, as text."""

    hlo: str

    @property
    def operations(self) -> set[str]:
        """The kinds of its operations, such as "dot"."""
        # %name = type operation(operands), where the type may be a tuple.
        pattern = r"^\s*(?:ROOT )?%?\S+ = (?:\(.*?\)|\S+) ([a-z][\w-]*)\("
        return set(re.findall(pattern, self.hlo, re.MULTILINE))

    @property
    def dynamic_shapes(self) -> list[str]:
        """Types with a bound in place of a size, such as "f32[<=8]"."""
        return re.findall(r"\w+\[[^\]]*<=[^\]]*\]", self.hlo)


def loop_program(config: TransducerConfig, steps: int) -> Program:
    """That of so many training steps, update and all, of a recogniser."""
    model = Transducer(config)
    model.build()
    model.compile(make_optimizer(TrainingConfig()), augment=SpecAugmentConfig())
    samples = -(-SECONDS * config.front_end.sample_rate // config.block_samples)
    samples *= config.block_samples
    batches = {
        "pcm": tf.TensorSpec([steps, ROWS, samples], tf.float32),
        "pcm_length": tf.TensorSpec([steps, ROWS], tf.int32),
        "labels": tf.TensorSpec([steps, ROWS, LABELS], tf.int32),
        "label_length": tf.TensorSpec([steps, ROWS], tf.int32),
    }

    def loop(batches: dict[str, tf.Tensor]) -> tf.Tensor:
        def body(number: tf.Tensor, losses: tf.Tensor) -> tuple[tf.Tensor, tf.Tensor]:
            batch = {name: x[number] for name, x in batches.items()}
            loss = model.training_step.in_graph(batch, 0)["loss"]
            return number + 1, tf.tensor_scatter_nd_update(losses, [[number]], [loss])

        start = (tf.constant(0), tf.zeros([steps]))
        return tf.while_loop(lambda number, _: number < steps, body, start)[1]

    compiled = tf.function(loop, jit_compile=True, autograph=False)
    return Program(compiled.experimental_get_compiler_ir(batches)(stage="hlo"))
