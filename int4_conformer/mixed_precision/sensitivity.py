"""How far quantizing some layers takes a recogniser from what it computes in float."""

import contextlib
import dataclasses
import math
from collections.abc import Callable, Collection, Iterator, Sequence

import tensorflow as tf

from int4_conformer.errors import UserError
from int4_conformer.layers.paths import quantized_layers
from int4_conformer.models.transducer import Transducer
from int4_conformer.quant.spec.quant_config import QuantConfig
from int4_conformer.quant.spec.recipe import Recipe
from int4_conformer.quantize import quantize_model

Batch = dict[str, tf.Tensor]


class Probe:
    """A recogniser in float of which any layers can be quantized, in one graph.

    Args:
        model: trained; it is not changed.
        recipe: how its layers are quantized when they are.

    Raises:
        UserError: the recipe does not fit the model, or has static activations.
    """

    def __init__(self, model: Transducer, recipe: Recipe):
        # Layers with a start step compute in float until they have taken as many.
        rules = tuple((pattern, _switched(config)) for pattern, config in recipe.rules)
        self._model = quantize_model(model, dataclasses.replace(recipe, rules=rules))
        self._quantized_layers = quantized_layers(self._model)
        self._logits = tf.function(self._centred_logits, autograph=False)

    def errors(
        self,
        batches: Sequence[Batch],
        selections: Sequence[Collection[str]],
        on_forward: Callable[[], None] = lambda: None,
    ) -> list[float]:
        """The relative error of the logits for each selection of layers.

        That is the root of the ratio of sums of squares, error over float logits, over all
        frames and prefixes of the labels of all utterances. Only differences of logits matter to
        a recogniser, so that their mean over the vocabulary is taken off first.

        Args:
            batches: as `data.batches` makes them, with labels.
            selections: paths of layers that are quantized together.
            on_forward: called whenever one selection has seen one batch.
        """
        wrong, whole = [0.0] * len(selections), 0.0
        for batch in batches:
            # One batch at a time: the logits of a whole corpus would fill the memory.
            logits = self._logits(batch)
            whole += float(tf.reduce_sum(logits**2))
            for index, selection in enumerate(selections):
                with self._quantized(selection):
                    wrong[index] += float(tf.reduce_sum((self._logits(batch) - logits) ** 2))
                on_forward()
        return [math.sqrt(error / whole) for error in wrong]

    @contextlib.contextmanager
    def _quantized(self, paths: Collection[str]) -> Iterator[None]:
        steps = [
            variable
            for path in paths
            for part in self._quantized_layers[path].parts()
            for variable in part.quant_variables
            if variable.name == "quant_step"
        ]
        for step in steps:
            step.assign(2)
        try:
            yield
        finally:
            for step in steps:
                step.assign(0)

    def _centred_logits(self, batch: Batch) -> tf.Tensor:
        """float32 [batch, time, labels + 1, vocab], zero where there is padding."""
        logits = self._model(batch)
        logits -= tf.reduce_mean(logits, axis=-1, keepdims=True)
        frames = tf.sequence_mask(
            self._model.encoded_length(batch["pcm_length"]), logits.shape[1], tf.float32
        )
        # An empty row, which only fills a batch, has no frame.
        prefixes = tf.sequence_mask(batch["label_length"] + 1, logits.shape[2], tf.float32)
        return logits * frames[:, :, None, None] * prefixes[:, None, :, None]


def _switched(config: QuantConfig) -> QuantConfig:
    if config.activation == "int8_static":
        raise UserError(
            f"The scheme {config.name!r} has static activations, whose ranges only training finds; "
            "choose a dynamic one, such as w4c_a8d."
        )
    return dataclasses.replace(config, start_step=1)
