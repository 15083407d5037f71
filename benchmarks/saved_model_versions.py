"""Whether a SavedModel runs on other versions of TensorFlow, as servers have them.

    python benchmarks/saved_model_versions.py FOLDER --versions=2.19.1,2.20.0

makes an environment for each version in --environments, with TensorFlow alone, loads the SavedModel
there, answers its own warm-up requests, and compares the answers with those of the TensorFlow that
this program runs on: integers, texts and errors must be the same, floats within 1e-4.
"""

import subprocess
import sys
import tempfile
from pathlib import Path

import numpy as np
from absl import app, flags

FLAGS = flags.FLAGS
flags.DEFINE_list("versions", ["2.19.1", "2.20.0"], "Versions of TensorFlow.")
flags.DEFINE_string("environments", None, "Folder for the environments.", required=True)

# Needs no package but TensorFlow: requests are read as protos that have no types of their own.
_ANSWER = """
import sys

import numpy as np
import tensorflow as tf

folder, requests, answers = sys.argv[1:]
model = tf.saved_model.load(folder)
found = []
for name, inputs in np.load(requests, allow_pickle=True):
    outputs = model.signatures[name](**{key: tf.constant(x) for key, x in inputs.items()})
    found.append((name, {key: x.numpy() for key, x in outputs.items()}))
np.save(answers, np.array(found, dtype=object), allow_pickle=True)
print(tf.__version__)
"""


def main(argv: list[str]) -> None:
    folder = Path(argv[1]).resolve()
    with tempfile.TemporaryDirectory() as temporary:
        requests = Path(temporary) / "requests.npy"
        np.save(requests, _requests(folder), allow_pickle=True)
        here, expected = _answers(Path(sys.executable), folder, requests)
        print(f"| TensorFlow | answers as {here} does |\n|---|---|")
        for version in FLAGS.versions:
            name, found = _answers(_python(version), folder, requests)
            differ = [a[0] for a, b in zip(found, expected, strict=True) if not _same(a, b)]
            print(f"| {name} | {'all' if not differ else f'not {differ}'} |", flush=True)


def _requests(folder: Path) -> np.ndarray:
    import tensorflow as tf
    from tensorflow_serving.apis import prediction_log_pb2

    from int4_conformer.export.served.warmup import WARMUP_FILE

    found = []
    for record in tf.data.TFRecordDataset(str(folder / WARMUP_FILE)).as_numpy_iterator():
        request = prediction_log_pb2.PredictionLog.FromString(record).predict_log.request
        inputs = {name: tf.make_ndarray(x) for name, x in request.inputs.items()}
        found.append((request.model_spec.signature_name, inputs))
    return np.array(found, dtype=object)


def _python(version: str) -> Path:
    """The interpreter of an environment with a version, made if there is none."""
    folder = Path(FLAGS.environments).resolve() / version
    python = folder / "bin" / "python"
    if not (folder / "complete").exists():
        subprocess.run([sys.executable, "-m", "venv", folder], check=True)
        install = [python, "-m", "pip", "install", "--quiet", f"tensorflow=={version}"]
        subprocess.run(install, check=True)
        (folder / "complete").touch()
    return python


def _answers(python: Path, folder: Path, requests: Path) -> tuple[str, np.ndarray]:
    answers = requests.with_name("answers.npy")
    output = subprocess.run(
        [python, "-c", _ANSWER, folder, requests, answers],
        capture_output=True,
        text=True,
        check=True,
    )
    return output.stdout.split()[-1], np.load(answers, allow_pickle=True)


def _same(found: np.ndarray, expected: np.ndarray) -> bool:
    outputs = found[1].keys() == expected[1].keys() and [
        np.allclose(value, expected[1][name], rtol=1e-4, atol=1e-5)
        if value.dtype == np.float32
        else np.array_equal(value, expected[1][name])
        for name, value in found[1].items()
    ]
    return bool(outputs) and all(outputs)


if __name__ == "__main__":
    app.run(main)
