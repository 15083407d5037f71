"""Clients of a recogniser on TF Serving: by gRPC, or by REST.

    client = GrpcClient("localhost:8500")
    print(client.transcribe_file("speech.wav").text)

They need NumPy, and

- gRPC: `tensorflow-serving-api`. Its messages are built on those of TensorFlow, whose package it
  imports: a few seconds at the first client.
- REST: `requests`, and nothing of TensorFlow.

The names and shapes that they send and read are those of `int4_conformer/interface.py`, which they
do not import: this file can be copied to where the package is not installed. Only `transcribe_file`
uses it, for files that are not WAV.
"""

import abc
import base64
import contextlib
import dataclasses
import importlib
import json
import math
import os
import struct
import wave
from collections.abc import Mapping, Sequence
from pathlib import Path
from types import ModuleType
from typing import Any

import numpy as np

# Hz of the samples that `pcm` holds.
SAMPLE_RATE = 16000
SERVING_DEFAULT = "serving_default"

_MAX_INT16 = 32768
_WAV_FLOAT = 3
_DTYPES = {
    "DT_FLOAT": np.float32,
    "DT_DOUBLE": np.float64,
    "DT_INT8": np.int8,
    "DT_INT16": np.int16,
    "DT_INT32": np.int32,
    "DT_INT64": np.int64,
    "DT_UINT8": np.uint8,
    "DT_BOOL": np.bool_,
    "DT_STRING": np.object_,
}


class ClientError(Exception):
    """Something that whoever runs the client can mend; one sentence."""


class RecognitionError(ClientError):
    """The recogniser refuses the audio, or the phrases; its sentence says why."""


class ServerError(ClientError):
    """There is no answer, or the server refuses the request.

    Args:
        message: one sentence.
        code: what the server calls it: a gRPC code such as "NOT_FOUND", or an HTTP status such as
            "404"; "" if none answers.
    """

    def __init__(self, message: str, code: str = ""):
        super().__init__(message)
        self.code = code


@dataclasses.dataclass(frozen=True, kw_only=True)
class Word:
    """A word, and when it was said."""

    text: str
    # Seconds from the start of the utterance.
    start: float
    end: float
    # In [0, 1].
    confidence: float


@dataclasses.dataclass(frozen=True, kw_only=True)
class Transcript:
    """What was said in an utterance."""

    text: str
    words: tuple[Word, ...]


@dataclasses.dataclass(frozen=True, kw_only=True)
class Hypothesis:
    """A text that may have been said."""

    text: str
    # By which hypotheses are ranked: a logarithm, with the bonuses of phrases.
    score: float


@dataclasses.dataclass(frozen=True, kw_only=True)
class TensorSpec:
    """What a signature says of an input or output."""

    # -1 where any size is taken.
    shape: tuple[int, ...]
    dtype: type[np.generic]


@dataclasses.dataclass(frozen=True, kw_only=True)
class Signature:
    """Inputs and outputs by name."""

    inputs: Mapping[str, TensorSpec]
    outputs: Mapping[str, TensorSpec]


class Client(abc.ABC):
    """What both clients can do; they may be used by several threads at once."""

    @abc.abstractmethod
    def predict(self, signature: str, inputs: Mapping[str, np.ndarray]) -> dict[str, np.ndarray]:
        """Sends one request.

        Args:
            signature: its name.
            inputs: arrays by name, all with the batch first; texts as str, files as bytes.

        Returns:
            The outputs by name. Texts are arrays of str.

        Raises:
            ServerError: no answer, or a refusal of the whole request.
        """

    @abc.abstractmethod
    def signatures(self) -> dict[str, Signature]:
        """What the model can be asked, by name; raises as `predict`."""

    def transcribe(self, samples: np.ndarray) -> Transcript:
        """Recognises one utterance.

        Args:
            samples: `[samples]` at 16 kHz, float32 in [-1, 1] or int16.

        Raises:
            RecognitionError: the recogniser refuses it.
            ServerError: as `predict`.
        """
        samples = _mono(samples)
        signature = "transcribe_pcm16" if samples.dtype == np.int16 else SERVING_DEFAULT
        return self._transcribed(signature, _row(samples))

    def transcribe_bytes(self, content: bytes) -> Transcript:
        """Recognises a WAV file of any rate; raises as `transcribe`."""
        return self._transcribed("transcribe_bytes", {"audio_bytes": of_bytes([content])})

    def transcribe_file(self, path: str | os.PathLike) -> Transcript:
        """Recognises a file.

        WAV goes to the server as it is. Other formats are decoded here, by `int4_conformer`.

        Raises:
            ClientError: the file cannot be read or decoded, or as `transcribe`.
        """
        audio = read_audio(path)
        return self.transcribe_bytes(audio) if isinstance(audio, bytes) else self.transcribe(audio)

    def beam(
        self, samples: np.ndarray, phrases: Sequence[str] = (), bonus: float = 0.5
    ) -> tuple[Hypothesis, ...]:
        """Searches for several texts, the best first.

        Args:
            samples: as `transcribe`.
            phrases: words and names that are likelier than the recogniser thinks.
            bonus: for each token of a phrase, in nats.

        Raises:
            As `transcribe`.
        """
        given = {
            "phrases": np.array([list(phrases) or [""]], np.object_),
            "bonus": np.float32([bonus]),
        }
        outputs = self.predict("beam", _row(floats(_mono(samples))) | given)
        _raise_error(outputs)
        return tuple(
            Hypothesis(text=str(text), score=float(score))
            for text, score in zip(outputs["texts"][0], outputs["scores"][0], strict=True)
            if math.isfinite(score)
        )

    def _transcribed(self, signature: str, inputs: Mapping[str, np.ndarray]) -> Transcript:
        outputs = self.predict(signature, inputs)
        _raise_error(outputs)
        return transcript(outputs, 0)


class GrpcClient(Client):
    """Asks TF Serving by gRPC.

    Args:
        address: "host:port".
        model: its name on the server.
        version: of the model; the newest if None.
        label: of a version, as "stable"; not beside `version`.
        timeout: seconds that a request may take.

    Raises:
        ClientError: `tensorflow-serving-api` is not installed.
    """

    def __init__(
        self,
        address: str,
        model: str = "recognizer",
        *,
        version: int | None = None,
        label: str | None = None,
        timeout: float = 60.0,
    ):
        self._grpc = required("grpc", "grpcio")
        package = "tensorflow-serving-api"
        self._predict = required("tensorflow_serving.apis.predict_pb2", package)
        self._metadata = required("tensorflow_serving.apis.get_model_metadata_pb2", package)
        stubs = required("tensorflow_serving.apis.prediction_service_pb2_grpc", package)
        self._types = required("tensorflow.core.framework.types_pb2", package)
        # It came with the messages.
        self._tf = required("tensorflow", package)
        self._address, self._model, self._timeout = address, model, timeout
        self._version, self._label = version, label
        # gRPC takes 4 MB of an answer by default; the frames of `encode` can be more.
        sizes = [("grpc.max_receive_message_length", -1), ("grpc.max_send_message_length", -1)]
        self._stub = stubs.PredictionServiceStub(self._grpc.insecure_channel(address, sizes))

    def predict(self, signature: str, inputs: Mapping[str, np.ndarray]) -> dict[str, np.ndarray]:
        request = self._predict.PredictRequest()
        self._choose(request.model_spec)
        request.model_spec.signature_name = signature
        for name, value in inputs.items():
            request.inputs[name].CopyFrom(self._tf.make_tensor_proto(value))
        outputs = self._call(self._stub.Predict, request).outputs
        return {name: self._array(value) for name, value in outputs.items()}

    def signatures(self) -> dict[str, Signature]:
        request = self._metadata.GetModelMetadataRequest(metadata_field=["signature_def"])
        self._choose(request.model_spec)
        response = self._call(self._stub.GetModelMetadata, request)
        found = self._metadata.SignatureDefMap()
        response.metadata["signature_def"].Unpack(found)
        return {
            name: Signature(inputs=self._specs(value.inputs), outputs=self._specs(value.outputs))
            for name, value in found.signature_def.items()
            if not name.startswith("__")
        }

    def _choose(self, spec: Any) -> None:
        spec.name = self._model
        if self._version is not None:
            spec.version.value = self._version
        elif self._label is not None:
            spec.version_label = self._label

    def _call(self, method: Any, request: Any) -> Any:
        try:
            return method(request, self._timeout)
        except self._grpc.RpcError as error:
            code, details = error.code().name, error.details()
            if code == "UNAVAILABLE":
                # Also of a server whose queue is full.
                message = (
                    f"No answer from {self._address} ({details}); check the address, or ask again "
                    "later."
                )
            elif code == "DEADLINE_EXCEEDED":
                message = f"{self._address} did not answer within {self._timeout:g} s."
            else:
                message = f"{self._address} refuses the request ({code}): {details}"
            raise ServerError(message, code) from error

    def _array(self, value: Any) -> np.ndarray:
        array = self._tf.make_ndarray(value)
        return _decoded(array) if array.dtype == np.object_ else array

    def _specs(self, infos: Mapping[str, Any]) -> dict[str, TensorSpec]:
        return {
            name: TensorSpec(
                shape=tuple(dim.size for dim in info.tensor_shape.dim),
                dtype=_DTYPES[self._types.DataType.Name(info.dtype)],
            )
            for name, info in infos.items()
        }


class RestClient(Client):
    """Asks TF Serving by REST.

    Audio goes as the bytes of a WAV file of floats: a tenth of what its samples take as JSON.

    Args:
        url: "http://host:port".
        model, version, label, timeout: as `GrpcClient`.

    Raises:
        ClientError: `requests` is not installed.
    """

    def __init__(
        self,
        url: str,
        model: str = "recognizer",
        *,
        version: int | None = None,
        label: str | None = None,
        timeout: float = 60.0,
    ):
        self._requests = required("requests", "requests")
        self._server, self._timeout = url.rstrip("/"), timeout
        self._url = f"{self._server}/v1/models/{model}"
        if version is not None:
            self._url += f"/versions/{version}"
        elif label is not None:
            self._url += f"/labels/{label}"

    def transcribe(self, samples: np.ndarray) -> Transcript:
        return self.transcribe_bytes(_wav(floats(_mono(samples))))

    def predict(self, signature: str, inputs: Mapping[str, np.ndarray]) -> dict[str, np.ndarray]:
        columns = {name: _as_json(np.asarray(value)) for name, value in inputs.items()}
        body = {"signature_name": signature, "inputs": columns}
        answer = self._call("post", f"{self._url}:predict", json.dumps(body))["outputs"]
        return {name: _of_json(value) for name, value in answer.items()}

    def rows(self, signature: str, rows: Sequence[Mapping[str, Any]]) -> list[dict[str, Any]]:
        """Sends a request in the format of rows.

        Args:
            signature: its name.
            rows: of each row its JSON values by name; those of a name have one shape.

        Returns:
            Outputs of each row by name, as JSON has them.

        Raises:
            ServerError: as `predict`.
        """
        body = {"signature_name": signature, "instances": rows}
        return self._call("post", f"{self._url}:predict", json.dumps(body))["predictions"]

    def signatures(self) -> dict[str, Signature]:
        answer = self._call("get", f"{self._url}/metadata")
        found = answer["metadata"]["signature_def"]["signature_def"]
        return {
            name: Signature(inputs=_rest_specs(x["inputs"]), outputs=_rest_specs(x["outputs"]))
            for name, x in found.items()
            if not name.startswith("__")
        }

    def _call(self, method: str, url: str, body: str | None = None) -> Any:
        try:
            answer = self._requests.request(method, url, data=body, timeout=self._timeout)
        except self._requests.Timeout as error:
            message = f"{self._server} did not answer within {self._timeout:g} s."
            raise ServerError(message) from error
        except self._requests.RequestException as error:
            message = f"No answer from {self._server}; check the address, or ask again later."
            raise ServerError(message) from error
        try:
            # NaN and infinities are in it as TF Serving and Python write them.
            found = json.loads(answer.content)
        except ValueError as error:
            message = f"{self._server} is no TF Serving: its answer is no JSON."
            raise ServerError(message, str(answer.status_code)) from error
        if answer.status_code != 200:
            reason = found.get("error", "") if isinstance(found, dict) else ""
            message = f"{self._server} refuses the request ({answer.status_code}): {reason}"
            raise ServerError(message, str(answer.status_code))
        return found


def transcript(outputs: Mapping[str, np.ndarray], row: int) -> Transcript:
    """What the outputs of a signature say of a row of the batch."""
    # Rows have as many places as the longest of the batch has words.
    count = int(outputs["word_count"][row])
    names = "words", "starts", "ends", "confidences"
    words = zip(*(outputs[name][row][:count] for name in names), strict=True)
    return Transcript(
        text=str(outputs["text"][row]),
        words=tuple(
            Word(text=str(text), start=float(start), end=float(end), confidence=float(confidence))
            for text, start, end, confidence in words
        ),
    )


def read_audio(path: str | os.PathLike) -> bytes | np.ndarray:
    """What a file is sent as: the bytes of a WAV file, or float32 [samples] at 16 kHz of another.

    Raises:
        ClientError: it cannot be read or decoded, or `int4_conformer` is not there to decode it.
    """
    path = Path(path)
    try:
        content = path.read_bytes()
    except OSError as error:
        raise ClientError(f"{path} cannot be read ({error.strerror}); check the path.") from error
    if content[:4] == b"RIFF" and content[8:12] == b"WAVE":
        return content
    return _decode(path)


def read_samples(path: str | os.PathLike) -> np.ndarray:
    """Samples of a file, int16 or float32 [samples] at 16 kHz.

    Python alone reads WAV files of 16 kHz, one channel and 16 bits; others as `read_audio`.

    Raises:
        ClientError: as `read_audio`.
    """
    with contextlib.suppress(OSError, EOFError, wave.Error), wave.open(os.fspath(path)) as file:
        if (file.getframerate(), file.getnchannels(), file.getsampwidth()) == (SAMPLE_RATE, 1, 2):
            data = file.readframes(file.getnframes())
            return np.frombuffer(data[: len(data) // 2 * 2], "<i2").astype(np.int16)
    if not Path(path).is_file():
        raise ClientError(f"There is no file {path}; check the path.")
    return _decode(path)


def _decode(path: str | os.PathLike) -> np.ndarray:
    try:
        audio_files = importlib.import_module("int4_conformer.audio.audio_files")
    except ModuleNotFoundError as error:
        raise ClientError(
            f"Only int4_conformer can decode {path} here, and {error.name} is not installed; "
            "pip install int4-conformer, or make it a WAV file of 16 kHz, one channel and 16 bits."
        ) from error
    try:
        return audio_files.read(path, SAMPLE_RATE)
    # Errors of the package that its user can mend are of this kind, and no others.
    except ValueError as error:
        raise ClientError(str(error)) from error


def of_bytes(contents: Sequence[bytes]) -> np.ndarray:
    """An array [batch] of byte strings; NumPy's own would end them at zeros."""
    array = np.empty([len(contents)], np.object_)
    array[:] = contents
    return array


def required(module: str, package: str) -> ModuleType:
    """Imports a module, or says which package brings it."""
    try:
        return importlib.import_module(module)
    except ModuleNotFoundError as error:
        raise ClientError(
            f"This needs the package {error.name}; pip install {package} brings it."
        ) from error


def checked_samples(samples: np.ndarray) -> np.ndarray:
    """Samples [samples], float32 or int16; raises ClientError if they are something else."""
    samples = np.asarray(samples)
    if samples.ndim != 1 or samples.dtype not in (np.float32, np.int16):
        raise ClientError(
            "`samples` must be float32 or int16 [samples]. Received: "
            f"{samples.dtype} {list(samples.shape)}"
        )
    return samples


def floats(samples: np.ndarray) -> np.ndarray:
    """float32 in [-1, 1] of float32 or int16."""
    return samples / np.float32(_MAX_INT16) if samples.dtype == np.int16 else samples


def _mono(samples: np.ndarray) -> np.ndarray:
    samples = checked_samples(samples)
    # A tensor without an element has no first value, with which the server would pad it.
    if not samples.size:
        raise ClientError("`samples` holds no sample.")
    return samples


def _row(samples: np.ndarray) -> dict[str, np.ndarray]:
    return {"pcm": samples[None], "length": np.int32([len(samples)])}


def _wav(samples: np.ndarray) -> bytes:
    """A file of 32-bit floats; Python's `wave` writes none."""
    data = samples.astype("<f4").tobytes()
    sound = struct.pack("<HHIIHH", _WAV_FLOAT, 1, SAMPLE_RATE, 4 * SAMPLE_RATE, 4, 32)
    chunks = b"".join(
        name + struct.pack("<I", len(body)) + body
        for name, body in ((b"fmt ", sound), (b"data", data))
    )
    return b"RIFF" + struct.pack("<I", 4 + len(chunks)) + b"WAVE" + chunks


def _raise_error(outputs: Mapping[str, np.ndarray]) -> None:
    error = outputs["error"][0]
    if error:
        raise RecognitionError(str(error))


def _decoded(array: np.ndarray) -> np.ndarray:
    """Texts of UTF-8."""
    texts = np.empty(array.shape, np.object_)
    for place, value in np.ndenumerate(array):
        texts[place] = value.decode("utf-8", "replace")
    return texts


def _as_json(array: np.ndarray) -> Any:
    def plain(value: Any) -> Any:
        if isinstance(value, list):
            return [plain(x) for x in value]
        if isinstance(value, bytes):
            return {"b64": base64.b64encode(value).decode()}
        return value

    values = array.tolist()
    return plain(values) if array.dtype == np.object_ else values


def _of_json(value: Any) -> np.ndarray:
    array = np.array(value)
    return array.astype(np.object_) if array.dtype.kind == "U" else array


def _rest_specs(infos: Mapping[str, Any]) -> dict[str, TensorSpec]:
    return {
        name: TensorSpec(
            shape=tuple(int(dim["size"]) for dim in info["tensor_shape"]["dim"]),
            dtype=_DTYPES[info["dtype"]],
        )
        for name, info in infos.items()
    }
