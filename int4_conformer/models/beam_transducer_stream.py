"""Beam search in a transducer that is given an utterance segment by segment."""

import tensorflow as tf

from int4_conformer.decoding.beam import Beam, Bias, LanguageModel
from int4_conformer.decoding.committing import CommittingSearch, Waiting
from int4_conformer.layers.steppable import State, named, of_part
from int4_conformer.models.model_config import SEGMENT_SECONDS
from int4_conformer.models.transducer import Transducer
from int4_conformer.models.transducer_stream import TransducerStream, as_outputs
from int4_conformer.search.beam_config import BeamConfig


class BeamTransducerStream(TransducerStream):
    """A `TransducerStream` whose passes search with a beam.

    A pass gives the tokens that all of its hypotheses share, and never takes one back; `finish`
    gives the rest at the end of the utterance. Together they are those of the best hypothesis of
    `Transducer.beam_search`, unless `room` was too little.

    The states do not begin as zeros, but as `initial_states` has them.

    Args:
        model: its encoders have a `chunk` and a `left_context`.
        segment_seconds: what a segment of audio has at most, but at least a chunk.
        config: how wide to search.
        bias: phrases to prefer.
        lm: language model over the same tokens.
        room: most tokens that a hypothesis keeps back.

    Raises:
        UserError: frames of an encoder see without limit.
    """

    def __init__(
        self,
        model: Transducer,
        segment_seconds: float = SEGMENT_SECONDS,
        *,
        config: BeamConfig,
        bias: Bias | None = None,
        lm: LanguageModel | None = None,
        room: int = 64,
    ):
        self._searches = [
            CommittingSearch(search=decoder.beam_searcher(config, bias=bias, lm=lm), room=room)
            for decoder in model.decoders
        ]
        super().__init__(model, segment_seconds)

    def finish(self, index: int, state: State) -> dict[str, tf.Tensor]:
        """What a pass says at the end of the utterance, beyond what it has said.

        Args:
            index: which pass.
            state: after its last segment.

        Returns:
            `tokens`, `count`, `frames` and `log_probs` as of the passes.
        """
        return as_outputs(self._searches[index].finish(_waiting(state)))

    def _initial_hypothesis(self, index: int, batch: int) -> State:
        committing = self._searches[index]
        predictor = self._model.decoders[index].predictor
        return _state(committing.start(committing.search.start(batch, predictor.initial_state)))

    def _decode(
        self, index: int, encoded: tf.Tensor, lengths: tf.Tensor, state: State
    ) -> tuple[dict[str, tf.Tensor], State]:
        frames = self._model.decoders[index].joint.project_frames(encoded)
        tokens, waiting = self._searches[index](frames, lengths, _waiting(state))
        return as_outputs(tokens), _state(waiting)


def _state(waiting: Waiting) -> State:
    """A flat dictionary of what waits."""
    fields, beam = waiting._asdict(), waiting.beam._asdict()
    del fields["beam"], beam["state"]
    return named("waiting", fields) | named("beam", beam) | named("predictor", waiting.beam.state)


def _waiting(state: State) -> Waiting:
    """The inverse of `_state`."""
    beam = Beam(**of_part(state, "beam"), state=of_part(state, "predictor"))
    return Waiting(**of_part(state, "waiting"), beam=beam)
