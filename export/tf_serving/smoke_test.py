"""Checks a server: whether it serves a recogniser, and keeps to what its signatures promise.

    python export/tf_serving/smoke_test.py localhost:8500 --rest=http://localhost:8501

It sends noise, so any recogniser will do. A line is printed for each check; the exit status is 1 if
one fails.
"""

import base64
import io
import wave
from collections.abc import Callable, Mapping, Sequence

import command_line
import numpy as np
from recognition_client import (
    SAMPLE_RATE,
    SERVING_DEFAULT,
    ClientError,
    GrpcClient,
    RestClient,
    ServerError,
    of_bytes,
    transcript,
)
from stream_client import Stream

# Inputs and outputs that every recogniser has.
_TOKENS = {"tokens", "count", "frames", "log_probs"}
_WORDS = {"text", "words", "word_count", "starts", "ends", "confidences", "score", "error"}
_SIGNATURES = {
    SERVING_DEFAULT: ({"pcm", "length"}, _TOKENS | _WORDS),
    "transcribe_pcm16": ({"pcm", "length"}, _TOKENS | _WORDS),
    "transcribe_bytes": ({"audio_bytes"}, _TOKENS | _WORDS),
    "beam": ({"pcm", "length", "phrases", "bonus"}, _TOKENS | {"texts", "scores", "error"}),
    "encode": ({"pcm", "length"}, {"encoded", "length", "error"}),
}
_PASS = {"text", *_TOKENS}
_STREAMED = {
    "first_pass": ({"pcm", "length"}, _PASS | {"encoded", "length"}),
    "second_pass": ({"encoded", "length"}, _PASS),
}


class _BrokenPromiseError(Exception):
    """A promise that is not kept; one sentence."""


class _Checks:
    """What is asked of a server by gRPC.

    Args:
        client: of the recogniser.
        stranger: of a model that the server does not have.
    """

    def __init__(self, client: GrpcClient, stranger: GrpcClient):
        self._client, self._stranger = client, stranger
        # Seconds that differ, none of which a server would refuse for its length.
        self._long, self._short = _noise(1.6, seed=0), _noise(0.9, seed=1)

    def all(self) -> dict[str, Callable[[], None]]:
        """Every check by its name."""
        return {
            "the metadata list all signatures": self.signatures,
            "an utterance is recognised": self.utterance,
            "a batch of two says what each says alone": self.batch,
            "samples of 16 bits say what floats say": self.pcm16,
            "bytes of a WAV file say what samples say": self.wav,
            "a bad row has a sentence, and the others their text": self.bad_rows,
            "inputs that a request leaves out have defaults": self.defaults,
            "a beam is ranked, and takes phrases": self.beam,
            "a stream says what the whole utterance says": self.stream,
            "what does not exist is refused": self.refusals,
        }

    def signatures(self) -> None:
        found = self._client.signatures()
        wanted = _SIGNATURES | {name: x for name, x in _STREAMED.items() if name in found}
        for name, (inputs, outputs) in wanted.items():
            _require(name in found, f"there is no signature {name}, only {sorted(found)}")
            for kind, names, specs in [
                ("input", inputs, found[name].inputs),
                ("output", outputs, found[name].outputs),
            ]:
                missing = sorted(names - specs.keys())
                _require(not missing, f"{name} has no {kind} {', '.join(missing)}")

    def utterance(self) -> None:
        outputs = self._default([self._long])
        _require_no_error(outputs, 0)
        found = transcript(outputs, 0)
        _require(
            found.text == " ".join(word.text for word in found.words),
            f"the text {found.text!r} is not that of its words",
        )
        seconds = len(self._long) / SAMPLE_RATE
        _require(
            all(0 <= word.start < word.end <= seconds + 1e-3 for word in found.words),
            "a word ends before it starts, or after the utterance",
        )

    def batch(self) -> None:
        together = self._default([self._long, self._short])
        for row, samples in enumerate([self._long, self._short]):
            _require_no_error(together, row)
            _require_same(_text(together, row), _text(self._default([samples])))

    def pcm16(self) -> None:
        codes = np.round(32767 * self._long).astype(np.int16)
        floats = self._default([codes / np.float32(32768)])
        length = np.int32([len(codes)])
        found = self._client.predict("transcribe_pcm16", {"pcm": codes[None], "length": length})
        _require_same(_text(found), _text(floats))

    def wav(self) -> None:
        codes = np.round(32767 * self._long).astype(np.int16)
        files = of_bytes([_wav(codes), b"no file"])
        found = self._client.predict("transcribe_bytes", {"audio_bytes": files})
        _require_same(_text(found), _text(self._default([codes / np.float32(32768)])))
        _require(bool(found["error"][1]), "bytes that are no file have no error")

    def bad_rows(self) -> None:
        good = self._short
        pcm = np.stack([good, np.where(np.arange(good.size) == 9, np.nan, good), 9e3 * good, good])
        given = {"pcm": pcm.astype(np.float32), "length": np.int32([*[good.size] * 3, 0])}
        found = self._client.predict(SERVING_DEFAULT, given)
        _require_no_error(found, 0)
        _require_same(_text(found), _text(self._default([good])))
        for row, (kind, part) in enumerate(
            [("NaN", "NaN"), ("a peak of thousands", "peak"), ("no sample", "no sample")], 1
        ):
            error = str(found["error"][row])
            _require(part in error, f"a row with {kind} has the error {error!r}")
            _require(not _text(found, row), f"a row with {kind} has the text {_text(found, row)!r}")

    def defaults(self) -> None:
        alone = self._client.predict(SERVING_DEFAULT, {"pcm": self._short[None]})
        _require_same(_text(alone), _text(self._default([self._short])))
        found = self._client.predict("beam", {"pcm": self._short[None]})
        _require_no_error(found, 0)
        hypotheses = self._client.beam(self._short)
        _require_same(str(found["texts"][0][0]), hypotheses[0].text)

    def beam(self) -> None:
        plain = self._client.beam(self._long)
        scores = [x.score for x in plain]
        _require(bool(plain), "there is no hypothesis")
        _require(scores == sorted(scores, reverse=True), f"the scores {scores} are not ranked")
        # Its own words are in the vocabulary.
        words = plain[0].text.split()[:1]
        _require(bool(self._client.beam(self._long, words, 1.0)), "with a phrase there is no text")

    def stream(self) -> None:
        if "first_pass" not in self._client.signatures():
            return
        stream = Stream(self._client)
        for part in np.array_split(self._long, 7):
            stream.feed(part)
        _require_same(stream.finish().text, _text(self._default([self._long])))

    def refusals(self) -> None:
        given = {"pcm": self._short[None]}
        for what, client, name, inputs, codes in [
            ("a model", self._stranger, SERVING_DEFAULT, given, _MISSING),
            ("a signature", self._client, "no_such_signature", given, _MISSING),
            ("an input", self._client, SERVING_DEFAULT, given | {"x": given["pcm"]}, _INVALID),
        ]:
            try:
                client.predict(name, inputs)
            except ServerError as error:
                _require(error.code in codes, f"{what} that is not there has the code {error.code}")
            else:
                raise _BrokenPromiseError(f"{what} that is not there is no error")

    def _default(self, utterances: Sequence[np.ndarray]) -> Mapping[str, np.ndarray]:
        lengths = np.int32([len(x) for x in utterances])
        pcm = np.zeros([len(lengths), lengths.max()], np.float32)
        for row, samples in zip(pcm, utterances, strict=True):
            row[: len(samples)] = samples
        return self._client.predict(SERVING_DEFAULT, {"pcm": pcm, "length": lengths})


# What servers say of models and signatures, and of inputs, that do not exist.
_MISSING = ("NOT_FOUND", "FAILED_PRECONDITION", "INVALID_ARGUMENT")
_INVALID = ("INVALID_ARGUMENT",)


class _RestChecks:
    """What is asked of it by REST."""

    def __init__(self, client: RestClient, grpc: GrpcClient):
        self._client, self._grpc = client, grpc
        self._samples = _noise(0.5, seed=2)
        # A length that JSON keeps short.
        self._codes = np.round(32767 * self._samples).astype(np.int16)

    def all(self) -> dict[str, Callable[[], None]]:
        """Every check by its name."""
        return {
            "REST: the metadata are those of gRPC": self.signatures,
            "REST: columns and rows say what gRPC says": self.formats,
            "REST: bytes travel as base64": self.bytes,
        }

    def signatures(self) -> None:
        one, other = (
            {name: sorted(x.inputs) for name, x in client.signatures().items()}
            for client in (self._client, self._grpc)
        )
        _require(one == other, f"REST has {one}, and gRPC {other}")

    def formats(self) -> None:
        given = {"pcm": self._codes[None], "length": np.int32([len(self._codes)])}
        expected = _text(self._grpc.predict("transcribe_pcm16", given))
        _require_same(_text(self._client.predict("transcribe_pcm16", given)), expected)
        row = {name: value[0].tolist() for name, value in given.items()}
        (found,) = self._client.rows("transcribe_pcm16", [row])
        _require_same(found["text"], expected)

    def bytes(self) -> None:
        content = _wav(self._codes)
        expected = self._grpc.transcribe_bytes(content).text
        _require_same(self._client.transcribe_bytes(content).text, expected)
        row = {"audio_bytes": {"b64": base64.b64encode(content).decode()}}
        (found,) = self._client.rows("transcribe_bytes", [row])
        _require_same(found["text"], expected)


def _failures(checks: Mapping[str, Callable[[], None]]) -> int:
    """Prints a line for each check, and returns how many failed."""
    failed = 0
    for name, check in checks.items():
        try:
            check()
        # An answer of another shape than promised fails where it is looked at.
        except (
            _BrokenPromiseError,
            ClientError,
            KeyError,
            IndexError,
            TypeError,
            ValueError,
        ) as error:
            failed += 1
            reason = f"there is no {error}" if isinstance(error, KeyError) else error
            print(f"FAIL\t{name}: {reason}", flush=True)
        else:
            print(f"ok\t{name}", flush=True)
    return failed


def _noise(seconds: float, seed: int) -> np.ndarray:
    """float32 [samples] whose loudness changes as that of speech."""
    rng = np.random.default_rng(seed)
    parts = int(seconds * 25)
    loudness = np.exp(rng.uniform(-4, 0, parts)).repeat(SAMPLE_RATE // 25)
    return (0.2 * loudness * rng.standard_normal(loudness.size)).clip(-1, 1).astype(np.float32)


def _wav(codes: np.ndarray) -> bytes:
    buffer = io.BytesIO()
    with wave.open(buffer, "wb") as file:
        file.setnchannels(1)
        file.setsampwidth(2)
        file.setframerate(SAMPLE_RATE)
        file.writeframes(codes.astype("<i2").tobytes())
    return buffer.getvalue()


def _text(outputs: Mapping[str, np.ndarray], row: int = 0) -> str:
    return str(outputs["text"][row])


def _require(holds: bool, otherwise: str) -> None:
    if not holds:
        raise _BrokenPromiseError(otherwise)


def _require_no_error(outputs: Mapping[str, np.ndarray], row: int) -> None:
    error = outputs["error"][row]
    _require(not error, f"row {row} has the error {str(error)!r}")


def _require_same(found: str, expected: str) -> None:
    found, expected = (" ".join(text.split()) for text in (found, expected))
    _require(found == expected, f"it says {found!r} instead of {expected!r}")


def main(argv: Sequence[str]) -> int:
    """Runs the checks; 1 if one fails."""
    parser = command_line.Parser(prog="smoke_test.py", description=__doc__.splitlines()[0])
    command_line.add_server_arguments(parser)
    parser.add_argument("--rest", metavar="URL", help="of REST, which is then checked, too")
    values = parser.parse_intermixed_args(argv)
    grpc = command_line.connected(values)
    if not isinstance(grpc, GrpcClient):
        raise ClientError("ADDRESS must be that of gRPC, HOST:PORT; give the URL to --rest.")
    # No answer at all is told once.
    grpc.signatures()
    stranger = GrpcClient(values.address, f"not {values.model}", timeout=values.timeout)
    checks = _Checks(grpc, stranger).all()
    if values.rest is not None:
        chosen = {"version": values.version, "label": values.label, "timeout": values.timeout}
        checks |= _RestChecks(RestClient(values.rest, values.model, **chosen), grpc).all()
    failed = _failures(checks)
    print(f"{failed} checks failed" if failed else "all checks passed")
    return 1 if failed else 0


if __name__ == "__main__":
    command_line.run(main)
