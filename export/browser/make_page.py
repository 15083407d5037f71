"""Makes a page that recognises speech by itself: a folder of files for any web server.

    python export/browser/make_page.py MODEL.tflite --output=FOLDER

The model runs in the browser, by LiteRT.js, which this program fetches from npm and keeps in
--runtime. It has to be one that hears speech while it is spoken.
"""

import sys
from collections.abc import Iterator
from pathlib import Path

import numpy as np
from absl import flags

from int4_conformer import interface
from int4_conformer.cli import app
from int4_conformer.errors import UserError
from int4_conformer.files import require_folder_place, write_beside
from int4_conformer.lite.recognizer_file import RecognizerFile

# They find each other in the folder that they are started from.
sys.path.insert(0, str(Path(__file__).parent))
import runtime

_HERE = Path(__file__).resolve().parent
_ROOT = _HERE.parents[1]
_OWN = ("index.html", "model_file.js", "recognizer.js", "utterance_passes.js", "words.js")
# Those of the server's page that do not ask the server.
_SHARED = ("page.css", "page.js", "microphone.js")
_MODEL = "model.tflite"
_STATES = (np.float32, np.int32)


def page(model: Path, cache: Path = runtime.DEFAULT) -> Iterator[tuple[str, bytes]]:
    """The page's files: the path of each, and its content.

    Args:
        model: a recogniser that hears streams.
        cache: keeps the runtime.

    Raises:
        UserError: the model cannot be run by a browser, or the runtime cannot be had.
    """
    _require_runnable(model)
    yield _MODEL, model.read_bytes()
    for path, content in runtime.files(cache):
        yield f"litertjs/{path}", content
    # The packages name their licence, Apache 2.0, and do not hold it.
    yield "litertjs/LICENSE", (_ROOT / "LICENSE").read_bytes()
    shared = _ROOT / "int4_conformer" / "server" / "page"
    for name in _SHARED:
        yield name, (shared / name).read_bytes()
    for name in _OWN:
        yield name, (_HERE / name).read_bytes()


def _require_runnable(model: Path) -> None:
    file = RecognizerFile(model)
    if interface.FIRST_PASS not in file.signatures:
        raise UserError(
            f"{model} hears whole utterances only, and LiteRT.js sizes no inputs; export a model "
            "of a preset that streams, such as streaming_s or cascaded_tiny."
        )
    types = {
        np.dtype(details["dtype"])
        for name in file.signatures
        for details in file.inputs(name).values()
    }
    if not types <= set(map(np.dtype, _STATES)) or file.metadata.frame_samples is None:
        raise UserError(
            f"{model} is of an older version, whose states LiteRT.js does not take; export the "
            "model again."
        )
    if file.metadata.delegate != "xnnpack":
        raise UserError(
            f"{model} has the recipe {file.metadata.recipe}, whose integers are those of LiteRT's "
            "builtin kernels; LiteRT.js has XNNPACK's. Export it with another, such as w4a8."
        )


def _define_flags(values: flags.FlagValues) -> None:
    flags.DEFINE_string("output", None, "Folder to write the page to.", flag_values=values)
    flags.DEFINE_string(
        "runtime", str(runtime.DEFAULT), "Folder that keeps LiteRT.js.", flag_values=values
    )


def _make(values: flags.FlagValues, arguments: list[str]) -> None:
    if len(arguments) != 1:
        raise UserError(f"make_page.py takes one model. Received: {arguments or 'none'}")
    output = Path(values.output)
    require_folder_place(output)
    # All of it is there before any of it is written.
    files = dict(page(Path(arguments[0]), Path(values.runtime)))
    for path, content in files.items():
        write_beside(output / path, content)
    size = sum(map(len, files.values()))
    print(f"{output}: {len(files)} files, {size / 1e6:.1f} MB")
    print(f"try it: python -m http.server --bind localhost --directory {output} 8080")


COMMAND = app.Command(
    name="make_page.py",
    usage="MODEL --output=FOLDER [flags]",
    description=__doc__,
    define_flags=_define_flags,
    main=_make,
    required=("output",),
)

if __name__ == "__main__":
    app.run(COMMAND)
