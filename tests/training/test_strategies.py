import json

import pytest
import tensorflow as tf

from int4_conformer.errors import UserError
from int4_conformer.training.strategies import strategy_from_name


def test_auto_takes_the_one_device():
    if len(tf.config.list_logical_devices("GPU")) > 1:
        pytest.skip("there are several GPUs")
    assert strategy_from_name("auto") is tf.distribute.get_strategy()


def test_one_device():
    assert strategy_from_name("one_device").num_replicas_in_sync == 1


def test_mirrored_takes_every_device():
    strategy = strategy_from_name("mirrored")
    assert isinstance(strategy, tf.distribute.MirroredStrategy)
    devices = tf.config.list_logical_devices("GPU") or tf.config.list_logical_devices("CPU")
    assert strategy.num_replicas_in_sync == len(devices)


def test_no_tpu(monkeypatch):
    for name in ("TPU_NAME", "KUBE_GOOGLE_CLOUD_TPU_ENDPOINTS"):
        monkeypatch.delenv(name, raising=False)
    with pytest.raises(UserError, match=r"No TPU answers at 'local' .* by --tpu or TPU_NAME"):
        strategy_from_name("tpu")
    with pytest.raises(UserError, match="--tpu=node goes with --strategy=tpu"):
        strategy_from_name("mirrored", tpu="node")


CLUSTER = {"worker": ["localhost:1", "localhost:2"]}


@pytest.mark.parametrize("name", ["auto", "multi_worker"])
@pytest.mark.parametrize(
    "config",
    [
        "worker 1",
        "[]",
        {"cluster": CLUSTER},
        {"cluster": CLUSTER, "task": {"type": "worker", "index": 2}},
        {"cluster": CLUSTER, "task": {"type": "worker", "index": "1"}},
        {"cluster": CLUSTER, "task": {"type": "chief", "index": 0}},
    ],
)
def test_a_cluster_that_does_not_say_who_this_is(monkeypatch, name, config):
    text = config if isinstance(config, str) else json.dumps(config)
    monkeypatch.setenv("TF_CONFIG", text)
    with pytest.raises(UserError, match=r"TF_CONFIG does not say which .* Received: ") as error:
        strategy_from_name(name)
    assert str(error.value).endswith(text)


@pytest.mark.parametrize("name", ["auto", "one_device"])
def test_a_cluster_of_one_is_no_cluster(monkeypatch, name):
    config = {"cluster": {"worker": ["localhost:1"]}, "task": {"type": "worker", "index": 0}}
    monkeypatch.setenv("TF_CONFIG", json.dumps(config))
    assert strategy_from_name(name) is tf.distribute.get_strategy()


def test_unknown():
    with pytest.raises(UserError, match=r"Unknown strategy 'gpu'; choose one of auto, one_dev"):
        strategy_from_name("gpu")
