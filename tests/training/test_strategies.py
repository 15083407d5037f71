import pytest
import tensorflow as tf

from int4_conformer.errors import UserError
from int4_conformer.training.strategies import strategy_from_name


def test_auto_takes_the_one_device():
    if len(tf.config.list_logical_devices("GPU")) > 1:
        pytest.skip("there are several GPUs")
    assert strategy_from_name("auto") is tf.distribute.get_strategy()


def test_mirrored_takes_every_device():
    strategy = strategy_from_name("mirrored")
    assert isinstance(strategy, tf.distribute.MirroredStrategy)
    devices = tf.config.list_logical_devices("GPU") or tf.config.list_logical_devices("CPU")
    assert strategy.num_replicas_in_sync == len(devices)


def test_no_tpu(monkeypatch):
    for name in ("TPU_NAME", "KUBE_GOOGLE_CLOUD_TPU_ENDPOINTS"):
        monkeypatch.delenv(name, raising=False)
    with pytest.raises(UserError, match="No TPU answers here; set TPU_NAME"):
        strategy_from_name("tpu")


def test_unknown():
    with pytest.raises(UserError, match=r"Unknown strategy 'gpu'; choose one of auto, mirrored"):
        strategy_from_name("gpu")
