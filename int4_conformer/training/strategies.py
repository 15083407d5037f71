"""Where training runs."""

import os

import tensorflow as tf

from int4_conformer.errors import UserError

STRATEGIES = ("auto", "mirrored", "multi_worker", "tpu")


def strategy_from_name(name: str = "auto") -> tf.distribute.Strategy:
    """A distribution strategy.

    Args:
        name: `auto` takes all GPUs if there are several, else the one device there is;
            `mirrored` takes all GPUs, or all logical CPU devices where there is none;
            `multi_worker` takes those of all machines that TF_CONFIG names, each of which runs the
            same command; `tpu` takes the TPU that the environment names.

    Raises:
        UserError: the name is unknown, or there is no such device.
    """
    if name not in STRATEGIES:
        raise UserError(f"Unknown strategy {name!r}; choose one of {', '.join(STRATEGIES)}.")
    if name == "tpu":
        try:
            resolver = tf.distribute.cluster_resolver.TPUClusterResolver()
            tf.config.experimental_connect_to_cluster(resolver)
            tf.tpu.experimental.initialize_tpu_system(resolver)
        except (ValueError, tf.errors.OpError, RuntimeError) as error:
            raise UserError(
                "No TPU answers here; set TPU_NAME, or choose strategy `auto`."
            ) from error
        return tf.distribute.TPUStrategy(resolver)
    if name == "multi_worker":
        if not os.environ.get("TF_CONFIG"):
            raise UserError(
                "Strategy `multi_worker` needs TF_CONFIG to name the workers and which of them "
                "this is; set it, or choose `auto`."
            )
        return tf.distribute.MultiWorkerMirroredStrategy()
    gpus = tf.config.list_logical_devices("GPU")
    if name == "mirrored":
        devices = gpus or tf.config.list_logical_devices("CPU")
        return tf.distribute.MirroredStrategy([device.name for device in devices])
    return tf.distribute.MirroredStrategy() if len(gpus) > 1 else tf.distribute.get_strategy()


def is_chief(strategy: tf.distribute.Strategy) -> bool:
    """Whether this process is the one of a training's that writes its folder."""
    resolver = strategy.cluster_resolver
    if resolver is None or not resolver.task_type:
        return True
    kinds = resolver.cluster_spec().jobs
    first = "chief" if "chief" in kinds else "worker"
    return resolver.task_type == first and not resolver.task_id
