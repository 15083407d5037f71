"""Recognises speech on a server while it is spoken.

    python export/tf_serving/stream_client.py localhost:8500 speech.wav
    python export/tf_serving/stream_client.py localhost:8500 --microphone

The server keeps nothing between two segments: each request brings the state that the answer before
gave, so that any server behind a load balancer can take it.
"""

import dataclasses
import queue
import sys
from collections.abc import Iterator, Mapping, Sequence

import command_line
import numpy as np
from recognition_client import (
    SAMPLE_RATE,
    Client,
    ClientError,
    Signature,
    checked_samples,
    floats,
    read_samples,
    required,
)

_FIRST_PASS, _SECOND_PASS = "first_pass", "second_pass"
# Samples that a microphone gives at once, and that are taken of a file.
_BLOCK = SAMPLE_RATE // 20
_CLEAR = "\r\x1b[K"


@dataclasses.dataclass(frozen=True, kw_only=True)
class PartialResult:
    """The words of an utterance so far."""

    # What stays as it is.
    final: str
    # All words: what follows the final ones is the first pass's, which the second may correct.
    text: str


class Stream:
    """One utterance that is heard segment by segment.

        stream = Stream(GrpcClient("localhost:8500"))
        for samples in microphone:
            print(stream.feed(samples).text)
        print(stream.finish().text)

    Args:
        client: of a server. gRPC is the one for this: JSON makes states long.

    Raises:
        ClientError: the recogniser cannot stream.
        ServerError: as `Client.predict`.
    """

    def __init__(self, client: Client):
        signatures = client.signatures()
        if _FIRST_PASS not in signatures:
            raise ClientError(
                "This recogniser hears whole utterances only: it has no signature first_pass. "
                "Train one whose encoders have a `chunk`, such as the preset cascaded_tiny."
            )
        first = signatures[_FIRST_PASS]
        self._first = _Pass(client, _FIRST_PASS, first, "pcm")
        self._second = None
        if _SECOND_PASS in signatures:
            self._second = _Pass(client, _SECOND_PASS, signatures[_SECOND_PASS], "encoded")
        self._block = _block_samples(client, self._first.segment, first)
        self._heard = 0
        self._final = ""
        # Frames and text of each segment that the second pass has not heard.
        self._pending: list[tuple[int, str]] = []
        self._ended = False

    def feed(self, samples: np.ndarray) -> PartialResult:
        """Hears what follows, and returns the words so far.

        Args:
            samples: float32 in [-1, 1] or int16, [samples] at 16 kHz; as many as there are.

        Raises:
            ClientError: they are of another kind, or the utterance has ended.
            ServerError: as `Client.predict`.
        """
        if self._ended:
            raise ClientError("The utterance has ended; begin a new stream for the next one.")
        self._hear(floats(checked_samples(samples)), last=False)
        return self._result()

    def finish(self) -> PartialResult:
        """Ends the utterance, and returns its words, all of them final."""
        if not self._ended:
            # Silence up to a whole block, which is what is heard of a whole utterance.
            self._hear(np.zeros([-self._heard % self._block], np.float32), last=True)
            self._ended = True
        return self._result()

    def _hear(self, pcm: np.ndarray, last: bool) -> None:
        self._heard += len(pcm)
        for outputs in self._first.run(pcm, last):
            text = str(outputs["text"][0])
            if self._second is None:
                self._final += text
                continue
            length = int(outputs["length"][0])
            self._pending.append((length, text))
            self._correct(outputs["encoded"][0, :length], last=False)
        if last and self._second is not None:
            self._correct(self._second.nothing, last=True)

    def _correct(self, encoded: np.ndarray, last: bool) -> None:
        """Gives the second pass frames of the first, whose words give way to its own."""
        for outputs in self._second.run(encoded, last):
            self._final += str(outputs["text"][0])
            frames = self._second.segment
            while self._pending and frames > 0:
                frames -= self._pending.pop(0)[0]

    def _result(self) -> PartialResult:
        pending = "".join(text for _, text in self._pending)
        return PartialResult(final=_spaced(self._final), text=_spaced(self._final + pending))


class _Pass:
    """A signature of the server, and its state between segments, which begins as zeros.

    Args:
        client: of the server.
        name: of the signature.
        signature: what it takes: `given`, `length`, and the state.
        given: name of the input that is heard, [batch, segment, ...].
    """

    def __init__(self, client: Client, name: str, signature: Signature, given: str):
        self._client, self._name, self._given = client, name, given
        zeros = {
            key: np.zeros([1, *spec.shape[1:]], spec.dtype)
            for key, spec in signature.inputs.items()
        }
        self.segment = zeros[given].shape[1]
        self.nothing = self._waiting = zeros.pop(given)[0, :0]
        del zeros["length"]
        self._state = zeros

    def run(self, values: np.ndarray, last: bool) -> Iterator[Mapping[str, np.ndarray]]:
        """The outputs of each segment that has become whole, and of the rest if it is the last."""
        self._waiting = np.concatenate([self._waiting, values])
        while len(self._waiting) >= self.segment:
            segment, self._waiting = np.split(self._waiting, [self.segment])
            yield self._step(segment)
        if last:
            # Also without a rest: a stream ends with a segment, if one of padding alone.
            yield self._step(self._waiting)

    def _step(self, values: np.ndarray) -> Mapping[str, np.ndarray]:
        missing = self.segment - len(values)
        padded = np.pad(values, [(0, missing)] + [(0, 0)] * (values.ndim - 1))
        given = {self._given: padded[None], "length": np.int32([len(values)])}
        outputs = self._client.predict(self._name, given | self._state)
        self._state = {key: outputs[key].astype(value.dtype) for key, value in self._state.items()}
        return outputs


def _block_samples(client: Client, segment: int, first: Signature) -> int:
    """Samples to whose multiples the recogniser pads utterances.

    Metadata do not say it: `encode` does, which makes as many frames of one sample as of a block.
    """
    one = {"pcm": np.zeros([1, 1], np.float32), "length": np.int32([1])}
    frames = int(client.predict("encode", one)["length"][0])
    return frames * segment // first.outputs["encoded"].shape[1]


def _spaced(text: str) -> str:
    return " ".join(text.split())


def from_microphone() -> Iterator[np.ndarray]:
    """int16 [samples] of the default microphone, until the program is interrupted.

    Raises:
        ClientError: `sounddevice` is not installed, or finds no microphone.
    """
    try:
        sounddevice = required("sounddevice", "sounddevice")
    # It is installed, and the library that it wraps is not.
    except OSError as error:
        raise ClientError(f"--microphone needs the library PortAudio: {error}") from error
    blocks: queue.Queue[np.ndarray] = queue.Queue()
    try:
        with sounddevice.InputStream(
            samplerate=SAMPLE_RATE,
            channels=1,
            dtype="int16",
            blocksize=_BLOCK,
            callback=lambda block, *_: blocks.put(block[:, 0].copy()),
        ):
            while True:
                yield blocks.get()
    except sounddevice.PortAudioError as error:
        raise ClientError(f"The microphone cannot be opened: {error}") from error


def main(argv: Sequence[str]) -> int:
    """Prints the words as they come, and at the end the last, final text alone."""
    parser = command_line.Parser(prog="stream_client.py", description=__doc__.splitlines()[0])
    command_line.add_server_arguments(parser)
    parser.add_argument("file", metavar="FILE", nargs="?", help="file that is heard in segments")
    parser.add_argument(
        "--microphone", action="store_true", help="hear the microphone until control-C is pressed"
    )
    values = parser.parse_intermixed_args(argv)
    if values.microphone == (values.file is not None):
        raise ClientError("Give either FILE or --microphone.")
    if values.microphone:
        blocks = from_microphone()
    else:
        samples = read_samples(values.file)
        blocks = iter(np.split(samples, range(_BLOCK, len(samples), _BLOCK)))
    stream = Stream(command_line.connected(values))
    shown = ""
    try:
        for samples in blocks:
            found = stream.feed(samples)
            if found.text != shown:
                shown = found.text
                _show(shown)
    except KeyboardInterrupt:
        pass
    text = stream.finish().text
    print(f"{_CLEAR if sys.stdout.isatty() else ''}{text}", flush=True)
    return 0


def _show(text: str) -> None:
    if sys.stdout.isatty():
        print(f"{_CLEAR}{text}", end="", flush=True)
    else:
        print(text, flush=True)


if __name__ == "__main__":
    command_line.run(main)
