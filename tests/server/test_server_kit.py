"""The files of export/server: what they give the program, and whether they agree."""

import configparser
import re
import shlex
from pathlib import Path

import pytest
import yaml
from absl import flags

from int4_conformer.cli import serve
from int4_conformer.server.limits import Limits
from int4_conformer.server.running_server import LAST_SECONDS

KIT = Path(__file__).parents[2] / "export" / "server"


def parsed(arguments):
    """The flags that a command line gives."""
    values = flags.FlagValues()
    serve.COMMAND.define_flags(values)
    rest = values(["serve", *arguments])[1:]
    assert len(rest) == 1, rest
    assert rest[0].endswith("model.tflite")
    return values


def manifest(name):
    return yaml.safe_load((KIT / "kubernetes" / f"{name}.yaml").read_text())


def test_the_unit_of_systemd():
    unit = configparser.ConfigParser(strict=False, interpolation=None)
    unit.optionxform = str
    unit.read_string((KIT / "int4-conformer.service").read_text().replace("\\\n", " "))
    program, command, *arguments = shlex.split(unit["Service"]["ExecStart"])
    assert program.endswith("/int4-conformer")
    assert command == "serve"
    values = parsed(arguments)
    assert values.token_file == "%d/token"
    assert unit["Service"]["LoadCredential"].startswith("token:")
    assert values.drain_seconds + LAST_SECONDS < int(unit["Service"]["TimeoutStopSec"])


def test_the_container():
    text = (KIT / "Containerfile").read_text()
    command = re.search(r"^CMD (\[.*\])$", text, re.MULTILINE)[1]
    values = parsed(yaml.safe_load(command))
    assert f"EXPOSE {values.port}" in text
    assert "[serve]" in text
    for source in re.search(r"^COPY (.*) /source/$", text, re.MULTILINE)[1].split():
        assert (KIT.parents[1] / source).exists(), source


def test_the_deployment():
    deployment = manifest("deployment")
    pod = deployment["spec"]["template"]["spec"]
    (container,) = pod["containers"]
    values = parsed(container["args"])
    (port,) = container["ports"]
    assert port == {"name": "http", "containerPort": values.port}
    wait = int(container["lifecycle"]["preStop"]["exec"]["command"][1])
    ending = wait + values.drain_seconds + LAST_SECONDS
    assert ending < pod["terminationGracePeriodSeconds"]
    for probe, path in (("startup", "/readyz"), ("readiness", "/readyz"), ("liveness", "/healthz")):
        assert container[f"{probe}Probe"]["httpGet"] == {"path": path, "port": "http"}
    mounts = {mount["name"]: mount["mountPath"] for mount in container["volumeMounts"]}
    assert set(mounts) == {volume["name"] for volume in pod["volumes"]}
    assert values.token_file == f"{mounts['token']}/token"


def test_the_manifests_agree():
    labels = manifest("deployment")["spec"]["template"]["metadata"]["labels"]
    assert manifest("service")["spec"]["selector"] == labels
    assert manifest("service")["spec"]["ports"][0]["targetPort"] == "http"
    assert manifest("monitor")["spec"]["selector"]["matchLabels"] == labels
    target = manifest("autoscaler")["spec"]["scaleTargetRef"]
    assert target["name"] == manifest("deployment")["metadata"]["name"]
    secrets = [
        volume["secret"]["secretName"]
        for volume in manifest("deployment")["spec"]["template"]["spec"]["volumes"]
        if "secret" in volume
    ]
    (endpoint,) = manifest("monitor")["spec"]["podMetricsEndpoints"]
    assert endpoint["authorization"]["credentials"] == {"name": secrets[0], "key": "token"}


@pytest.mark.parametrize("path", sorted(KIT.rglob("*")), ids=lambda path: path.name)
def test_the_readme_names_what_there_is(path):
    if path.is_file() and path.parent == KIT and path.name != "README.md":
        assert path.name in (KIT / "README.md").read_text()


def test_limits_are_flags():
    values = parsed(["model.tflite", "--queue=3", "--body_megabytes=1"])
    assert Limits(queue=values.queue, body_megabytes=values.body_megabytes).body_bytes == 1_000_000
