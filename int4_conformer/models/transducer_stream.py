"""A transducer that is given an utterance segment by segment."""

import math

import tensorflow as tf

from int4_conformer import interface
from int4_conformer.decoding.greedy import Tokens
from int4_conformer.errors import UserError
from int4_conformer.layers.steppable import State, named, of_part
from int4_conformer.models.model_config import SEGMENT_SECONDS
from int4_conformer.models.transducer import Transducer


class TransducerStream:
    """The passes of a transducer over segments of utterances.

    The first pass takes audio and gives words at once; the second, if there is one, takes the
    frames of the first, in longer segments, and gives better words later. Every state begins as
    zeros. Tokens are those of `Transducer.recognize`, however the utterance is cut.

    Args:
        model: its encoders have a `chunk` and a `left_context`.
        segment_seconds: what a segment of audio has at most, but at least a chunk.

    Raises:
        UserError: frames of an encoder see without limit.
    """

    def __init__(self, model: Transducer, segment_seconds: float = SEGMENT_SECONDS):
        if segment_seconds <= 0:
            raise UserError(f"A segment must be longer than 0 s. Received: {segment_seconds} s")
        self._model = model
        first, front_end = model.config.encoder, model.config.front_end
        # The encoders know best what they cannot do.
        self.initial_states(batch=1)
        chunk_seconds = first.segment * front_end.block / front_end.sample_rate
        # Frames that go into the first encoder, and samples, of a segment.
        self.frames = first.segment * max(1, int(segment_seconds / chunk_seconds + 1e-6))
        self.samples = self.frames * front_end.block

    @property
    def second_frames(self) -> int:
        """Frames of a segment of the second pass: whole segments of the first, and whole chunks."""
        first = self.frames // self._model.config.encoder.reduction
        return math.lcm(first, self._model.config.second_pass.segment)

    def initial_states(self, batch: int) -> list[State]:
        """What each pass starts with."""
        model = self._model
        states = [
            named("front_end", model.front_end.initial_state(batch))
            | named("encoder", model.encoder.initial_state(batch))
            | self._initial_hypothesis(0, batch)
        ]
        if model.second_pass is not None:
            states.append(
                named("encoder", model.second_pass.initial_state(batch))
                | self._initial_hypothesis(1, batch)
            )
        return states

    def first_pass(
        self, pcm: tf.Tensor, length: tf.Tensor, state: State
    ) -> tuple[dict[str, tf.Tensor], State]:
        """Recognises a segment of audio.

        Args:
            pcm: float32 [batch, samples].
            length: int32 [batch], real samples.
            state: of the segment before.

        Returns:
            `tokens`, `count`, `frames` and `log_probs` as fields of `Tokens`, frames counted from
            the utterance's first; `encoded` float [batch, time, dim] for the second pass, with its
            real frames `length` int32 [batch]; the state.
        """
        model, config = self._model, self._model.config
        features, front_end = model.front_end.step(pcm, of_part(state, "front_end"))
        frames = -(-length // config.front_end.block)
        mask = tf.sequence_mask(frames, self.frames)
        encoded, encoder = model.encoder.step(features, of_part(state, "encoder"), mask)
        lengths = -(-frames // config.encoder.reduction)
        found, hypothesis = self._decode(0, encoded, lengths, state)
        outputs = found | {interface.ENCODED: encoded, interface.LENGTH: lengths}
        return outputs, named("front_end", front_end) | named("encoder", encoder) | hypothesis

    def second_pass(
        self, encoded: tf.Tensor, length: tf.Tensor, state: State
    ) -> tuple[dict[str, tf.Tensor], State]:
        """Recognises a segment of the first pass.

        Args:
            encoded: float [batch, second_frames, dim].
            length: int32 [batch], real frames.
            state: of the segment before.

        Returns:
            `tokens`, `count`, `frames`, `log_probs` and `encoded` as of the first pass; the state.
        """
        mask = tf.sequence_mask(length, self.second_frames)
        encoded, encoder = self._model.second_pass.step(encoded, of_part(state, "encoder"), mask)
        found, hypothesis = self._decode(1, encoded, length, state)
        outputs = found | {interface.ENCODED: encoded}
        return outputs, named("encoder", encoder) | hypothesis

    def _initial_hypothesis(self, index: int, batch: int) -> State:
        label, predictor = self._model.decoders[index].initial_hypothesis(batch)
        return {"label": label, "time": tf.zeros_like(label)} | named("predictor", predictor)

    def _decode(
        self, index: int, encoded: tf.Tensor, lengths: tf.Tensor, state: State
    ) -> tuple[dict[str, tf.Tensor], State]:
        start = state["label"], of_part(state, "predictor")
        found, (label, predictor) = self._model.decoders[index].greedy(encoded, lengths, start)
        time = state["time"]
        # Past the end all stays 0; a comparison keeps the shape that LiteRT knows of the tokens.
        frames = tf.where(found.ids > 0, found.frames + time[:, None], found.frames)
        outputs = as_outputs(found._replace(frames=frames))
        after = {"label": label, "time": time + tf.shape(encoded)[1]}
        return outputs, after | named("predictor", predictor)


def as_outputs(found: Tokens) -> dict[str, tf.Tensor]:
    """Tokens as the outputs of a signature."""
    return {
        interface.TOKENS: found.ids,
        interface.COUNT: found.count,
        interface.FRAMES: found.frames,
        interface.LOG_PROBS: found.log_probs,
    }
