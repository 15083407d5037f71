import json
import re
import shlex
import shutil
import subprocess

import pytest
import soundfile

from tests.serving import kit
from tests.serving.server_configs import read_batching, read_models, read_monitoring
from tests.support import tiny


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
    result = kit.run(kit.smoke_test, served.addresses.grpc, "--version=0")
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


@pytest.fixture
def page(served, tmp_path, monkeypatch):
    """The blocks of the kit's page that ask a server, which is that of the tests."""
    monkeypatch.chdir(tmp_path)
    soundfile.write(tmp_path / "speech.wav", tiny.speech(20), 16000)
    text = (kit.FOLDER / "README.md").read_text()
    text = text.replace("http://localhost:8501", served.addresses.rest)
    text = text.replace("localhost:8500", served.addresses.grpc)
    return re.findall(r"^```(\w+)\n(.*?)^```", text, re.DOTALL | re.MULTILINE)


def test_the_python_of_the_page(page, capsys):
    names = {}
    blocks = [code for language, code in page if language == "python"]
    for code in blocks:
        exec(code, names)
    assert len(blocks) == 2
    assert "divide 16-bit samples by 32768" in capsys.readouterr().out


@pytest.mark.skipif(shutil.which("curl") is None, reason="curl is absent")
def test_the_requests_of_the_page(page):
    blocks = [code for _, code in page if code.startswith(("curl", "printf"))]
    answers = [
        json.loads(subprocess.run(["bash", "-ec", code], capture_output=True, check=True).stdout)
        for code in blocks
    ]
    (rows, columns) = answers
    assert (rows["predictions"][0]["error"], columns["outputs"]["error"]) == ("", [""])


def test_the_programs_of_the_page(page):
    """Their arguments, against a server; what they print has tests of its own."""
    checked = set()
    for _, code in page:
        for line in code.splitlines():
            found = re.match(r"python export/tf_serving/(\w+)\.py (.*)", line)
            if found is None or "microphone" in line:
                continue
            arguments = shlex.split(found[2].replace("*.wav", "speech.wav"))
            arguments = [re.sub(r"^\w+\.wav$", "speech.wav", x) for x in arguments]
            arguments = [re.sub("^--phrase=.*", "--phrase=a b", x) for x in arguments]
            arguments = [re.sub("^--seconds=.*", "--seconds=0.2", x) for x in arguments]
            result = kit.run(getattr(kit, found[1]), *arguments)
            assert result.status == 0, (line, result)
            checked.add(found[1])
    assert checked == {"transcribe", "stream_client", "load_client", "smoke_test"}
