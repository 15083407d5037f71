"""Where training runs."""

import contextlib
import json
import os
from collections.abc import Iterator

import tensorflow as tf

from int4_conformer.errors import UserError

# What TensorFlow raises where another machine has gone.
_LOST = (
    *(tf.errors.UnavailableError, tf.errors.AbortedError, tf.errors.CancelledError),
    *(tf.errors.DeadlineExceededError, tf.errors.InternalError),
)

STRATEGIES = ("auto", "one_device", "mirrored", "multi_worker", "tpu")


def strategy_from_name(name: str = "auto", tpu: str = "") -> tf.distribute.Strategy:
    """A distribution strategy.

    Args:
        name: `auto` takes the machines that TF_CONFIG names if there are several, else all GPUs if
            there are several, else the one device there is; `one_device` takes the first GPU, or
            the CPU; `mirrored` takes all GPUs, or all logical CPU devices where there is none;
            `multi_worker` takes those of all machines that TF_CONFIG names, each of which runs the
            same command; `tpu` takes a TPU.
        tpu: name or address of the TPU; what TPU_NAME says if not given, else the TPU of this
            machine.

    Raises:
        UserError: the name is unknown, TF_CONFIG cannot be used, or there is no such device.
    """
    if name not in STRATEGIES:
        raise UserError(f"Unknown strategy {name!r}; choose one of {', '.join(STRATEGIES)}.")
    if tpu and name != "tpu":
        raise UserError(f"--tpu={tpu} goes with --strategy=tpu. Received: --strategy={name}")
    if name == "tpu":
        return _tpu(tpu or os.environ.get("TPU_NAME") or "local")
    machines = _machines()
    if name == "multi_worker" and not machines:
        raise UserError(
            "Strategy `multi_worker` needs TF_CONFIG to name the workers and which of them "
            "this is; set it, or choose `auto`."
        )
    if name == "multi_worker" or (name == "auto" and machines > 1):
        return tf.distribute.MultiWorkerMirroredStrategy()
    gpus = tf.config.list_logical_devices("GPU")
    if name == "mirrored":
        devices = gpus or tf.config.list_logical_devices("CPU")
        return tf.distribute.MirroredStrategy([device.name for device in devices])
    if name == "auto" and len(gpus) > 1:
        return tf.distribute.MirroredStrategy()
    return tf.distribute.get_strategy()


def _tpu(address: str) -> tf.distribute.Strategy:
    try:
        resolver = tf.distribute.cluster_resolver.TPUClusterResolver(tpu=address)
        tf.config.experimental_connect_to_cluster(resolver)
        tf.tpu.experimental.initialize_tpu_system(resolver)
    except (ValueError, tf.errors.OpError, RuntimeError) as error:
        raise UserError(
            f"No TPU answers at {address!r} (TensorFlow {tf.__version__}; the extra [tpu] has the "
            "one that knows TPUs); name it by --tpu or TPU_NAME, or choose strategy `auto`."
        ) from error
    return tf.distribute.TPUStrategy(resolver)


def _machines() -> int:
    """How many machines TF_CONFIG names for training; 0 without it."""
    text = os.environ.get("TF_CONFIG")
    if not text:
        return 0
    try:
        config = json.loads(text)
        task, cluster = config["task"], config["cluster"]
        known = len(cluster[task["type"]]) > task["index"] >= 0
    except (ValueError, KeyError, TypeError):
        known = False
    if not known:
        raise UserError(
            "TF_CONFIG does not say which of its workers this is; it should be like "
            '{"cluster": {"worker": ["host:port", "host:port"]}, "task": {"type": "worker", '
            f'"index": 0}}}}. Received: {text}'
        )
    return sum(len(cluster.get(kind, ())) for kind in ("chief", "worker"))


@contextlib.contextmanager
def needing_all_machines(strategy: tf.distribute.Strategy) -> Iterator[None]:
    """What is done within this context takes all machines of the strategy.

    Raises:
        UserError: one has gone; the others cannot go on without it.
    """
    try:
        yield
    except _LOST as error:
        if not isinstance(strategy, tf.distribute.MultiWorkerMirroredStrategy):
            raise
        raise UserError(
            "Another machine of TF_CONFIG does not answer any more "
            f"({str(error).splitlines()[0]}). Give the command again on all of them; they go on "
            "from the last checkpoint."
        ) from error


def wait_for_all(strategy: tf.distribute.Strategy) -> None:
    """Waits until all machines of the strategy have come here, but for those that have gone."""

    @tf.function
    def arrived() -> tf.Tensor:
        return tf.distribute.get_replica_context().all_reduce("SUM", tf.ones([]))

    with contextlib.suppress(*_LOST):
        strategy.run(arrived)


def is_chief(strategy: tf.distribute.Strategy) -> bool:
    """Whether this process is the one of a training's that writes its folder."""
    resolver = strategy.cluster_resolver
    if resolver is None or not resolver.task_type:
        return True
    kinds = resolver.cluster_spec().jobs
    first = "chief" if "chief" in kinds else "worker"
    return resolver.task_type == first and not resolver.task_id
