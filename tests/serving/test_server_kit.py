import pytest

from tests.serving import kit
from tests.serving.server_configs import read_batching, read_models, read_monitoring


def test_the_smoke_test_passes(served):
    for label in ("stable", "canary"):
        result = kit.run(
            *(kit.smoke_test, served.addresses.grpc, f"--label={label}"),
            f"--rest={served.addresses.rest}",
        )
        assert result.status == 0, result.out
        lines = result.out.splitlines()
        assert lines.pop() == "all checks passed"
        assert len(lines) == 13
        assert all(line.startswith("ok\t") for line in lines)


def test_the_smoke_test_finds_a_mistake(served):
    result = kit.run(kit.smoke_test, served.addresses.grpc, "--version=3")
    failed = [line for line in result.out.splitlines() if line.startswith("FAIL")]
    assert result.status == 1
    assert any("a batch of two says what each says alone" in line for line in failed), result.out
    assert any("a bad row has a sentence" in line for line in failed)


def test_models_config():
    (model,) = read_models(kit.FOLDER / "models.config").model_config_list.config
    assert (model.name, model.model_platform) == ("recognizer", "tensorflow")
    assert dict(model.version_labels) == {"stable": 1, "canary": 2}
    assert set(model.version_labels.values()) <= set(model.model_version_policy.specific.versions)


def test_batching_config():
    batching = read_batching(kit.FOLDER / "batching.config")
    assert batching.pads
    assert list(batching.allowed_sizes) == sorted(set(batching.allowed_sizes))
    # TF Serving refuses to start otherwise.
    assert batching.allowed_sizes[-1] == batching.max_batch_size
    assert batching.threads >= 1


def test_monitoring_config():
    config = read_monitoring(kit.FOLDER / "monitoring.config").prometheus_config
    assert config.enable
    assert config.path.startswith("/")


def test_manifests():
    yaml = pytest.importorskip("yaml")
    found = {path.name: yaml.safe_load(path.read_text()) for path in kit.FOLDER.rglob("*.yaml")}
    assert {"compose.yaml", "kserve.yaml", "deployment.yaml", "service.yaml"} <= found.keys()
    deployment = found["deployment.yaml"]["spec"]["template"]
    labels = deployment["metadata"]["labels"]
    assert found["deployment.yaml"]["spec"]["selector"]["matchLabels"] == labels
    assert found["service.yaml"]["spec"]["selector"] == labels
    target = found["autoscaler.yaml"]["spec"]["scaleTargetRef"]["name"]
    assert target == found["deployment.yaml"]["metadata"]["name"]
    (server,) = deployment["spec"]["containers"]
    ports = {port["name"] for port in server["ports"]}
    for probe in ("startupProbe", "readinessProbe", "livenessProbe"):
        (action,) = (
            server[probe].get(kind) for kind in ("httpGet", "tcpSocket") if kind in server[probe]
        )
        assert action["port"] in ports
    assert {port["targetPort"] for port in found["service.yaml"]["spec"]["ports"]} <= ports
    # Compose and Kubernetes start the same server.
    compose = found["compose.yaml"]["services"]["recognizer"]
    assert compose["image"] == server["image"]
    assert set(compose["command"]) < set(server["args"])
