"""A server of a SavedModel that speaks TF Serving's protocols: those of the official messages by
gRPC, and REST.

It loads the model as TF Serving does, into a session, fills in the defaults of signatures, warms up
with the requests that lie beside the model, refuses with TF Serving's codes, and batches as it
does, if it is told to.
"""

import concurrent.futures
import contextlib
import copy
import dataclasses
from collections.abc import Iterator, Mapping
from pathlib import Path

import grpc
import numpy as np
import tensorflow as tf
from tensorflow_serving.apis import (
    get_model_metadata_pb2,
    get_model_status_pb2,
    model_service_pb2_grpc,
    predict_pb2,
    prediction_log_pb2,
    prediction_service_pb2_grpc,
)

from tests.serving.batching import Arrays, InvalidBatchError, batchers
from tests.serving.rest_service import RestServer
from tests.serving.server_configs import Batching

_WARMUP = "assets.extra/tf_serving_warmup_requests"
_DEFAULT = "serving_default"
_INVALID, _NOT_FOUND = grpc.StatusCode.INVALID_ARGUMENT, grpc.StatusCode.NOT_FOUND


class RequestError(Exception):
    """A refusal, with the code that TF Serving has for it."""

    def __init__(self, code: grpc.StatusCode, message: str):
        super().__init__(message)
        self.code = code


class ServedModel:
    """A version of a model.

    Args:
        folder: of the SavedModel.
        batching: how requests are put together; None for each alone.
    """

    def __init__(self, folder: Path, batching: Batching | None = None):
        # As it was saved: the same signatures are optimised in tests/export.
        config = tf.compat.v1.ConfigProto()
        config.graph_options.rewrite_options.disable_meta_optimizer = True
        self._session = tf.compat.v1.Session(graph=tf.Graph(), config=config)
        with self._session.graph.as_default():
            loaded = tf.compat.v1.saved_model.load(self._session, ["serve"], str(folder))
        self.signatures = {
            name: x for name, x in loaded.signature_def.items() if not name.startswith("__")
        }
        # Everything that was loaded, as the metadata show it.
        self.all_signatures = loaded.signature_def
        self.batchers = None
        if batching is not None:
            self.batchers = batchers(self._run, list(self.signatures), batching)
        # Requests of the file beside the model that were answered.
        self.warmed = sum(1 for _ in self._warm(folder / _WARMUP))

    def unbatched(self) -> "ServedModel":
        """The same, loaded once, with each request alone."""
        other = copy.copy(self)
        other.batchers = None
        return other

    def predict(self, name: str, given: Mapping[str, np.ndarray]) -> Arrays:
        """Answers a request.

        Raises:
            RequestError: with TF Serving's code.
        """
        signature = self.signatures.get(name or _DEFAULT)
        if signature is None:
            raise RequestError(
                grpc.StatusCode.FAILED_PRECONDITION, f'Serving signature key "{name}" not found.'
            )
        inputs = self._with_defaults(signature, given)
        try:
            if self.batchers is None:
                return self._run(name or _DEFAULT, inputs)
            return self.batchers[name or _DEFAULT](inputs)
        except (tf.errors.OpError, InvalidBatchError, ValueError) as error:
            raise RequestError(_INVALID, str(error).splitlines()[0]) from error

    def _with_defaults(self, signature, given: Mapping[str, np.ndarray]) -> Arrays:
        extra, missing = given.keys() - signature.inputs.keys(), signature.inputs.keys() - given
        absent = missing - signature.defaults.keys()
        if extra or absent:
            raise RequestError(
                _INVALID,
                f"input size does not match signature: {len(given)}!={len(signature.inputs)}. "
                f"Sent extra: {{{','.join(sorted(extra))}}}. "
                f"Missing but required: {{{','.join(sorted(absent))}}}.",
            )
        inputs = dict(given) | {x: tf.make_ndarray(signature.defaults[x]) for x in missing}
        for name, value in inputs.items():
            dtype = tf.as_dtype(signature.inputs[name].dtype)
            if tf.as_dtype(value.dtype) != dtype:
                raise RequestError(
                    _INVALID, f"Expects {name} to be {dtype.name} but {value.dtype} is provided"
                )
        return inputs

    def _run(self, name: str, inputs: Mapping[str, np.ndarray]) -> Arrays:
        signature = self.signatures[name]
        return self._session.run(
            {key: info.name for key, info in signature.outputs.items()},
            {signature.inputs[key].name: value for key, value in inputs.items()},
        )

    def _warm(self, path: Path) -> Iterator[Arrays]:
        if path.is_file():
            for record in tf.compat.v1.io.tf_record_iterator(str(path)):
                log = prediction_log_pb2.PredictionLog.FromString(record)
                request = log.predict_log.request
                yield self.predict(request.model_spec.signature_name, arrays(request.inputs))


@dataclasses.dataclass(frozen=True, kw_only=True)
class Models:
    """What a server has."""

    name: str
    # By number.
    versions: Mapping[int, ServedModel]
    labels: Mapping[str, int] = dataclasses.field(default_factory=dict)

    def find(
        self, name: str, version: int | None = None, label: str = ""
    ) -> tuple[int, ServedModel]:
        """The model that a request asks for, and its version."""
        if label:
            if label not in self.labels:
                raise RequestError(_INVALID, f"Unrecognized servable version label: {label}")
            version = self.labels[label]
        wanted = f"Latest({name})" if version is None else f"Specific({name}, {version})"
        number = max(self.versions) if version is None else version
        if name != self.name or number not in self.versions:
            raise RequestError(_NOT_FOUND, f"Servable not found for request: {wanted}")
        return number, self.versions[number]

    def of_spec(self, spec) -> tuple[int, ServedModel]:
        """The same of a message."""
        version = spec.version.value if spec.HasField("version") else None
        return self.find(spec.name, version, spec.version_label)

    def metadata(self, name: str, version: int | None = None, label: str = ""):
        """`GetModelMetadataResponse`, without the defaults of signatures."""
        number, model = self.find(name, version, label)
        response = get_model_metadata_pb2.GetModelMetadataResponse()
        response.model_spec.name = name
        response.model_spec.version.value = number
        found = get_model_metadata_pb2.SignatureDefMap()
        for key, signature in model.all_signatures.items():
            found.signature_def[key].CopyFrom(signature)
            found.signature_def[key].defaults.clear()
        response.metadata["signature_def"].Pack(found)
        return response

    def status(self, name: str, version: int | None = None, label: str = ""):
        """`GetModelStatusResponse`."""
        self.find(name, version, label)
        response = get_model_status_pb2.GetModelStatusResponse()
        for number in self.versions if version is None else [version]:
            response.model_version_status.add(
                version=number, state=get_model_status_pb2.ModelVersionStatus.AVAILABLE
            ).status.SetInParent()
        return response


def arrays(inputs) -> Arrays:
    """Of messages."""
    return {name: tf.make_ndarray(value) for name, value in inputs.items()}


@contextlib.contextmanager
def _refusing(context) -> Iterator[None]:
    try:
        yield
    except RequestError as error:
        context.abort(error.code, str(error))


class _Prediction(prediction_service_pb2_grpc.PredictionServiceServicer):
    def __init__(self, models: Models):
        self._models = models

    def Predict(self, request, context):  # noqa: N802
        with _refusing(context):
            number, model = self._models.of_spec(request.model_spec)
            outputs = model.predict(request.model_spec.signature_name, arrays(request.inputs))
            wanted = set(request.output_filter) or outputs.keys()
            if wanted - outputs.keys():
                missing = sorted(wanted - outputs.keys())
                raise RequestError(_INVALID, f"output tensor alias not found: {missing}")
            response = predict_pb2.PredictResponse()
            response.model_spec.name = request.model_spec.name
            response.model_spec.version.value = number
            for name in wanted:
                response.outputs[name].CopyFrom(tf.make_tensor_proto(outputs[name]))
            return response

    def GetModelMetadata(self, request, context):  # noqa: N802
        with _refusing(context):
            if list(request.metadata_field) != ["signature_def"]:
                raise RequestError(_INVALID, f"Metadata field {request.metadata_field} unknown")
            number, _ = self._models.of_spec(request.model_spec)
            return self._models.metadata(request.model_spec.name, number)


class _Status(model_service_pb2_grpc.ModelServiceServicer):
    def __init__(self, models: Models):
        self._models = models

    def GetModelStatus(self, request, context):  # noqa: N802
        with _refusing(context):
            spec = request.model_spec
            version = spec.version.value if spec.HasField("version") else None
            return self._models.status(spec.name, version, spec.version_label)


@dataclasses.dataclass(frozen=True, kw_only=True)
class Addresses:
    """Of a server that runs."""

    grpc: str
    rest: str


@contextlib.contextmanager
def serving(models: Models) -> Iterator[Addresses]:
    """Serves models by gRPC and REST, on ports that are free."""
    threads = concurrent.futures.ThreadPoolExecutor(max_workers=80)
    sizes = [("grpc.max_receive_message_length", -1), ("grpc.max_send_message_length", -1)]
    server = grpc.server(threads, options=sizes)
    prediction_service_pb2_grpc.add_PredictionServiceServicer_to_server(_Prediction(models), server)
    model_service_pb2_grpc.add_ModelServiceServicer_to_server(_Status(models), server)
    port = server.add_insecure_port("localhost:0")
    server.start()
    rest = RestServer(models, RequestError)
    try:
        yield Addresses(grpc=f"localhost:{port}", rest=rest.url)
    finally:
        rest.close()
        server.stop(None).wait()
