import json

import pytest

from int4_conformer.cli import doctor, extras
from int4_conformer.cli.cpu import this_cpu
from tests.support import commands

_X86 = """\
processor\t: 0
model name\t: Some CPU @ 3 GHz
flags\t\t: fpu sse avx2 {more}
"""


@pytest.fixture
def machine(monkeypatch, tmp_path):
    """A machine with a cache of two files."""
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
    folder = tmp_path / "int4_conformer" / "speech" / "ab"
    folder.mkdir(parents=True)
    for name in ("a.flac", "b.flac"):
        (folder / name).write_bytes(bytes(1_500_000))
    return tmp_path


def test_what_a_machine_has(machine, monkeypatch):
    result = commands.run("doctor")
    assert result.status == 0, result
    lines = dict(line.split(maxsplit=1) for line in result.out.splitlines() if "  " in line)
    assert lines["int4"].startswith("Fully Connected (NC, Q")
    assert "speech 3.0 MB" in lines["cache"]
    assert lines["needed"] == "installed"
    assert result.out.endswith("\nWords can be recognised here.\n")


def test_the_same_for_programs(machine):
    result = commands.run("doctor", "--json")
    facts = json.loads(result.out)
    assert facts["int4"]["milliseconds"] > 0
    assert facts["cache"]["bytes"] == {"speech": 3_000_000}
    assert facts["parts"]["train"] == {
        "missing": [],
        "command": "pip install 'int4-conformer[train]'",
    }
    assert facts["problems"] == []


def test_what_is_missing(machine, monkeypatch):
    version_of = extras.version_of
    absent = {"sounddevice", "soxr"}
    monkeypatch.setattr(extras, "version_of", lambda n: None if n in absent else version_of(n))
    monkeypatch.setattr(
        "int4_conformer.tflite.kernel_profile._library",
        lambda: (_ for _ in ()).throw(doctor.UserError("The installed LiteRT does not tell.")),
    )
    result = commands.run("doctor")
    assert result.status == 1
    assert "without sounddevice: pip install 'int4-conformer[mic]'\n" in result.out
    assert result.out.endswith(
        "\n\nThe installed LiteRT does not tell.\nThere is no soxr; pip install int4-conformer\n"
    )


def test_products_are_timed(machine, monkeypatch):
    monkeypatch.setattr(doctor, "_PRODUCT", (4, 16, 8))
    result = commands.run("doctor", "--measure", "--json")
    facts = json.loads(result.out)["training"]
    assert {"native", "xla", "exact_float"} <= facts["milliseconds"].keys()
    assert facts["with_xla"] in facts["milliseconds"]
    assert facts["product"] == [4, 16, 8]


def test_nothing_else_is_taken():
    assert "doctor takes flags only. Received: 'me'" in commands.refusal("doctor", "me")


@pytest.mark.parametrize(
    ("content", "name", "features", "multiplies"),
    [
        (_X86.format(more="avx512_vnni amx_int8"), "Some CPU @ 3 GHz", 3, True),
        (_X86.format(more="avx"), "Some CPU @ 3 GHz", 1, False),
        ("processor : 0\nFeatures : fp asimd asimddp i8mm\n", None, 2, True),
        ("nothing\n", None, None, None),
        (None, None, None, None),
    ],
)
def test_a_cpu(tmp_path, content, name, features, multiplies):
    info = tmp_path / "cpuinfo"
    if content is not None:
        info.write_text(content)
    cpu = this_cpu(info)
    assert cpu.name == name or (name is None and cpu.name)
    assert (cpu.features and len(cpu.features)) == features
    assert cpu.multiplies_integers == multiplies
    assert 1 <= cpu.cores <= cpu.all_cores
