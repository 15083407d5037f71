"""Configuration files of TF Serving, read as the messages that they are.

`tensorflow-serving-api` has those of models. The others are declared here as in TF Serving's
`session_bundle_config.proto` and `monitoring_config.proto`.
"""

import dataclasses

from google.protobuf import (
    descriptor_pb2,
    descriptor_pool,
    message_factory,
    text_format,
    wrappers_pb2,
)
from tensorflow_serving.config import model_server_config_pb2

_Field = descriptor_pb2.FieldDescriptorProto
_INT64 = ".google.protobuf.Int64Value"
# Name of a message -> of each field its name, type or message, and whether it is repeated.
_MESSAGES = {
    "BatchingParameters": [
        ("max_batch_size", _INT64, False),
        ("batch_timeout_micros", _INT64, False),
        ("max_enqueued_batches", _INT64, False),
        ("num_batch_threads", _INT64, False),
        ("thread_pool_name", ".google.protobuf.StringValue", False),
        ("allowed_batch_sizes", _Field.TYPE_INT64, True),
        ("pad_variable_length_inputs", _Field.TYPE_BOOL, False),
    ],
    "PrometheusConfig": [
        ("enable", _Field.TYPE_BOOL, False),
        ("path", _Field.TYPE_STRING, False),
    ],
    "MonitoringConfig": [("prometheus_config", ".tf_serving_configs.PrometheusConfig", False)],
}


def _declared():
    file = descriptor_pb2.FileDescriptorProto(
        name="tf_serving_configs.proto",
        package="tf_serving_configs",
        syntax="proto3",
        dependency=["google/protobuf/wrappers.proto"],
    )
    for name, fields in _MESSAGES.items():
        message = file.message_type.add(name=name)
        for number, (field, kind, repeated) in enumerate(fields, 1):
            added = message.field.add(
                name=field,
                number=number,
                label=_Field.LABEL_REPEATED if repeated else _Field.LABEL_OPTIONAL,
            )
            if isinstance(kind, str):
                added.type, added.type_name = _Field.TYPE_MESSAGE, kind
            else:
                added.type = kind
    pool = descriptor_pool.DescriptorPool()
    pool.AddSerializedFile(wrappers_pb2.DESCRIPTOR.serialized_pb)
    pool.Add(file)
    return {
        name: message_factory.GetMessageClass(
            pool.FindMessageTypeByName(f"tf_serving_configs.{name}")
        )
        for name in _MESSAGES
    }


_CLASSES = _declared()


@dataclasses.dataclass(frozen=True, kw_only=True)
class Batching:
    """How requests are put together."""

    max_batch_size: int
    timeout_seconds: float
    # In rising order, the last of them `max_batch_size`; none for any size.
    allowed_sizes: tuple[int, ...]
    threads: int
    pads: bool


def read_batching(path) -> Batching:
    """The file of `--batching_parameters_file`."""
    found = text_format.Parse(path.read_text(), _CLASSES["BatchingParameters"]())
    return Batching(
        max_batch_size=found.max_batch_size.value,
        timeout_seconds=found.batch_timeout_micros.value / 1e6,
        allowed_sizes=tuple(found.allowed_batch_sizes),
        threads=found.num_batch_threads.value,
        pads=found.pad_variable_length_inputs,
    )


def read_monitoring(path):
    """The file of `--monitoring_config_file`."""
    return text_format.Parse(path.read_text(), _CLASSES["MonitoringConfig"]())


def read_models(path):
    """The file of `--model_config_file`."""
    return text_format.Parse(path.read_text(), model_server_config_pb2.ModelServerConfig())
