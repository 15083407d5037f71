"""The signatures of a SavedModel, as `interface` describes them."""

from collections.abc import Callable
from typing import Any

import tensorflow as tf

from int4_conformer import interface
from int4_conformer.decoding.greedy import Tokens
from int4_conformer.decoding.phrase_tables import RequestBias
from int4_conformer.export.served.request_phrases import PhraseReader
from int4_conformer.export.served.requests import WHOLE, Rows, checked_rows
from int4_conformer.export.served.resampling import is_resampled, resample
from int4_conformer.export.served.transcripts import Transcriber
from int4_conformer.export.served.wav_files import decode_wav
from int4_conformer.export.signatures import stepping
from int4_conformer.models.transducer import Transducer
from int4_conformer.models.transducer_stream import TransducerStream, as_outputs
from int4_conformer.search.beam_config import BIAS_SCORE, BeamConfig
from int4_conformer.text.tokenizer import Tokenizer

Outputs = dict[str, tf.Tensor]

# What servers put where a request of whole utterances has none.
DEFAULTS = {
    interface.LENGTH: tf.make_tensor_proto([WHOLE], tf.int32),
    interface.PHRASES: tf.make_tensor_proto([[""]], tf.string),
    interface.BONUS: tf.make_tensor_proto([BIAS_SCORE], tf.float32),
}
# What `beam` searches with: the hypotheses that a page of them shows.
BEAM = BeamConfig(beam_size=8, n_best=4)


def serving_signatures(
    model: Transducer,
    tokenizer: Tokenizer,
    *,
    segment_seconds: float,
    max_seconds: float,
    beam: BeamConfig = BEAM,
) -> dict[str, Any]:
    """A `tf.function` for each signature.

    Args:
        model: trained.
        tokenizer: it was trained with.
        segment_seconds: as `TransducerStream`.
        max_seconds: longest utterance that is recognised as a whole.
        beam: how `beam` searches.
    """
    served = _Served(model, tokenizer, max_seconds, beam)
    pcm, length, phrases, bonus = (
        tf.TensorSpec([None, None], tf.float32, name=interface.PCM),
        tf.TensorSpec([None], tf.int32, name=interface.LENGTH),
        tf.TensorSpec([None, None], tf.string, name=interface.PHRASES),
        tf.TensorSpec([None], tf.float32, name=interface.BONUS),
    )

    @tf.function(input_signature=[pcm, length], autograph=False)
    def serving_default(pcm: tf.Tensor, length: tf.Tensor) -> Outputs:
        return served.transcribe(pcm, length)

    @tf.function(
        input_signature=[tf.TensorSpec(pcm.shape, tf.int16, name=pcm.name), length],
        autograph=False,
    )
    def transcribe_pcm16(pcm: tf.Tensor, length: tf.Tensor) -> Outputs:
        return served.transcribe(tf.cast(pcm, tf.float32) / 32768, length)

    @tf.function(
        input_signature=[tf.TensorSpec([None], tf.string, name=interface.AUDIO_BYTES)],
        autograph=False,
    )
    def transcribe_bytes(audio_bytes: tf.Tensor) -> Outputs:
        return served.transcribe_files(audio_bytes)

    @tf.function(input_signature=[pcm, length], autograph=False)
    def encode(pcm: tf.Tensor, length: tf.Tensor) -> Outputs:
        return served.encode(pcm, length)

    @tf.function(input_signature=[pcm, length, phrases, bonus], autograph=False)
    def beam_search(
        pcm: tf.Tensor, length: tf.Tensor, phrases: tf.Tensor, bonus: tf.Tensor
    ) -> Outputs:
        return served.beam(pcm, length, phrases, bonus)

    functions = {
        interface.SERVING_DEFAULT: serving_default,
        interface.TRANSCRIBE_PCM16: transcribe_pcm16,
        interface.TRANSCRIBE_BYTES: transcribe_bytes,
        interface.ENCODE: encode,
        interface.BEAM: beam_search,
    }
    if model.is_streamable:
        functions |= _stream_signatures(model, served.transcriber, segment_seconds)
    return functions


def _stream_signatures(
    model: Transducer, transcriber: Transcriber, segment_seconds: float
) -> dict[str, Any]:
    stream = TransducerStream(model, segment_seconds)
    states = stream.initial_states(batch=1)
    length = tf.TensorSpec([None], tf.int32, name=interface.LENGTH)

    def with_text(step: Callable[..., Any]) -> Callable[..., Any]:
        def run(*given: Any) -> tuple[Outputs, Any]:
            outputs, state = step(*given)
            tokens = outputs[interface.TOKENS], outputs[interface.COUNT]
            return outputs | {interface.TEXT: transcriber.continued(*tokens)}, state

        return run

    pcm = tf.TensorSpec([None, stream.samples], tf.float32, name=interface.PCM)
    functions = {
        interface.FIRST_PASS: stepping(
            with_text(stream.first_pass), [pcm, length], states[0], batch=None
        )
    }
    if model.second_pass is not None:
        shape = [None, stream.second_frames, model.config.encoder.dim]
        encoded = tf.TensorSpec(shape, tf.float32, name=interface.ENCODED)
        functions[interface.SECOND_PASS] = stepping(
            with_text(stream.second_pass), [encoded, length], states[1], batch=None
        )
    return functions


class _Served:
    """A recogniser of batches, with what comes before and after it."""

    def __init__(
        self, model: Transducer, tokenizer: Tokenizer, max_seconds: float, beam: BeamConfig
    ):
        config = model.config
        self._model = model
        self._beam = beam
        self._vocabulary = tokenizer.vocabulary
        self._read_phrases = PhraseReader(tokenizer)
        self._sample_rate = config.front_end.sample_rate
        self._block = config.block_samples
        self._max_samples = int(max_seconds * self._sample_rate)
        self.transcriber = Transcriber(
            tokenizer.vocabulary, config.frame_samples / self._sample_rate
        )
        # One trace, which all signatures call, for the graph to hold the network once.
        rows = [tf.TensorSpec([None, None], tf.float32), tf.TensorSpec([None], tf.int32)]
        self._encoded = tf.function(self._encode, input_signature=rows, autograph=False)
        self._found = tf.function(self._recognize, input_signature=rows, autograph=False)

    def transcribe(self, pcm: tf.Tensor, length: tf.Tensor) -> Outputs:
        return self._transcribed(self._rows(pcm, length))

    def transcribe_files(self, audio_bytes: tf.Tensor) -> Outputs:
        samples, wrong = tf.map_fn(
            self._decoded,
            audio_bytes,
            fn_output_signature=(
                tf.RaggedTensorSpec([None], tf.float32, ragged_rank=0),
                tf.TensorSpec([], tf.string),
            ),
        )
        # No samples are an error of their own, which gives way to that of the file.
        length = tf.cast(samples.row_lengths(), tf.int32)
        rows = self._rows(samples.to_tensor(), length)
        error = tf.where(wrong != "", wrong, tf.strings.regex_replace(rows.error, "`pcm`", "audio"))
        return self._transcribed(rows._replace(error=error))

    def encode(self, pcm: tf.Tensor, length: tf.Tensor) -> Outputs:
        rows = self._rows(pcm, length)
        return {
            interface.ENCODED: self._encoded(rows.pcm, rows.length),
            interface.LENGTH: self._encoded_length(rows.length),
            interface.ERROR: rows.error,
        }

    def beam(
        self, pcm: tf.Tensor, length: tf.Tensor, phrases: tf.Tensor, bonus: tf.Tensor
    ) -> Outputs:
        rows = self._rows(pcm, length)
        batch = tf.shape(rows.length)[0]
        # Those that a request without any has by default, too.
        phrases = tf.broadcast_to(phrases, tf.stack([batch, tf.shape(phrases)[1]]))
        symbols, wrong = self._read_phrases(phrases)
        wrong = tf.where(
            tf.math.is_finite(bonus) & (bonus >= 0.0) | (wrong != ""),
            wrong,
            "`bonus` must be a number from 0 on.",
        )
        bonus = tf.broadcast_to(tf.where(wrong == "", bonus, 0.0), [batch])
        error = tf.where(rows.error != "", rows.error, wrong)
        nbest = self._model.decoders[-1].beam(
            self._encoded(rows.pcm, rows.length),
            self._encoded_length(rows.length),
            self._beam,
            bias=RequestBias.of(symbols, bonus, self._vocabulary),
        )
        count = tf.where((error == "")[:, None], nbest.count, 0)
        texts = self.transcriber.text(nbest.ids, count)
        return {
            interface.TEXTS: texts,
            interface.SCORES: nbest.scores,
            **as_outputs(_trimmed(Tokens(nbest.ids, count, nbest.frames, nbest.log_probs))),
            interface.ERROR: error,
        }

    def _rows(self, pcm: tf.Tensor, length: tf.Tensor) -> Rows:
        return checked_rows(
            pcm,
            length,
            block=self._block,
            max_samples=self._max_samples,
            sample_rate=self._sample_rate,
        )

    def _transcribed(self, rows: Rows) -> Outputs:
        found = Tokens(**self._found(rows.pcm, rows.length))
        count = tf.where(rows.error == "", found.count, 0)
        found = _trimmed(found._replace(count=count))
        seconds = tf.cast(rows.length, tf.float32) / self._sample_rate
        return (
            self.transcriber(found, seconds)
            | as_outputs(found)
            | {
                interface.SCORE: tf.reduce_sum(found.log_probs, axis=1),
                interface.ERROR: rows.error,
            }
        )

    def _encode(self, pcm: tf.Tensor, length: tf.Tensor) -> tf.Tensor:
        # Whole blocks are heard, as by a .tflite file and a stream.
        return self._model.encode(pcm, self._whole_blocks(length))[-1]

    def _recognize(self, pcm: tf.Tensor, length: tf.Tensor) -> dict[str, tf.Tensor]:
        decoder = self._model.decoders[-1]
        start = decoder.initial_hypothesis(tf.shape(pcm)[0])
        encoded = self._encoded(pcm, length)
        return decoder.greedy(encoded, self._encoded_length(length), start)[0]._asdict()

    def _encoded_length(self, length: tf.Tensor) -> tf.Tensor:
        return self._model.encoded_length(self._whole_blocks(length))

    def _whole_blocks(self, length: tf.Tensor) -> tf.Tensor:
        return -(-length // self._block) * self._block

    def _decoded(self, content: tf.Tensor) -> tuple[tf.Tensor, tf.Tensor]:
        """Samples at the model's rate, and what is wrong."""
        sound = decode_wav(content)
        rate = self._sample_rate
        takes = is_resampled(sound.rate, rate) & (sound.error == "")
        refused = tf.strings.join(
            [
                "`audio_bytes` holds a WAV file of ",
                tf.strings.as_string(sound.rate),
                " Hz, which is not resampled here; resample it to 16000 Hz.",
            ]
        )
        error = tf.where(takes | (sound.error != ""), sound.error, refused)
        samples = tf.case(
            [
                (~takes, lambda: sound.samples[:0]),
                (sound.rate == rate, lambda: sound.samples),
            ],
            default=lambda: resample(sound.samples, sound.rate, rate),
        )
        return samples, error


def _trimmed(found: Tokens) -> Tokens:
    """Without what is past the end of all rows, and with zeros past that of each."""
    most = tf.reduce_max(found.count)
    real = tf.sequence_mask(found.count, most)

    def trim(x: tf.Tensor) -> tf.Tensor:
        x = x[..., :most]
        return tf.where(real, x, tf.zeros_like(x))

    return Tokens(trim(found.ids), found.count, trim(found.frames), trim(found.log_probs))
