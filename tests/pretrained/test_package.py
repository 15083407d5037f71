"""What is built of the package holds the models and recordings that lie in it."""

import shutil
import subprocess
import sys
import tarfile
import zipfile
from pathlib import Path

ROOT = Path(__file__).parents[2]
FOLDER = "int4_conformer/pretrained"
CLI = "int4_conformer/cli"
SOURCES = "int4_conformer/data/sources"
PEOPLE = f"{SOURCES}/recordings_of_people"


def test_wheels_and_source_archives_hold_the_models(tmp_path):
    rooms = (FOLDER, SOURCES, CLI)
    for room in rooms:
        (tmp_path / room).mkdir(parents=True)
    (tmp_path / PEOPLE).mkdir()
    for name in ("setup.py", "setup.cfg", "README.md", "LICENSE", "int4_conformer/__init__.py"):
        shutil.copy(ROOT / name, tmp_path / name)
    files = {f"{FOLDER}/commands{ending}" for ending in (".tflite", ".json", ".md")}
    files |= {f"{PEOPLE}/NOTICE.md", f"{PEOPLE}/a.opus", f"{CLI}/demo_trainings.json"}
    packages = (f"{room}/__init__.py" for room in (*rooms, str(Path(SOURCES).parent)))
    for name in (*files, *packages):
        (tmp_path / name).touch()
    command = [sys.executable, "setup.py", "-q", "sdist", "bdist_wheel"]
    subprocess.run(command, cwd=tmp_path, check=True, capture_output=True)
    (wheel,) = (tmp_path / "dist").glob("*.whl")
    assert files <= set(zipfile.ZipFile(wheel).namelist())
    (archive,) = (tmp_path / "dist").glob("*.tar.gz")
    with tarfile.open(archive) as content:
        assert files <= {name.partition("/")[2] for name in content.getnames()}
