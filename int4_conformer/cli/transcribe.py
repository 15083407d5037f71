"""Recognises audio files with a .tflite file that `int4-conformer export` wrote.

Prints the text of one file, or a line "file<TAB>text" for each of several. WAV, FLAC, Ogg, Opus and
MP3 of any rate and channel count are read.
"""

from absl import flags

from int4_conformer.audio import files
from int4_conformer.cli import app
from int4_conformer.errors import UserError
from int4_conformer.lite.recognizer import Recognizer


def _define_flags(values: flags.FlagValues) -> None:
    flags.DEFINE_integer("num_threads", 1, "CPU threads to use.", lower_bound=1, flag_values=values)


def _transcribe(values: flags.FlagValues, arguments: list[str]) -> None:
    if len(arguments) < 2:
        raise UserError(
            f"transcribe takes a MODEL and audio FILEs. Received: {len(arguments)} arguments"
        )
    model, *paths = arguments
    recognizer = Recognizer(model, num_threads=values.num_threads)
    for path in paths:
        samples = files.read(path, recognizer.sample_rate)
        text = recognizer.transcribe(samples, recognizer.sample_rate)
        print(text if len(paths) == 1 else f"{path}\t{text}", flush=True)


COMMAND = app.Command(
    name="transcribe",
    usage="MODEL FILE... [flags]",
    description=__doc__,
    define_flags=_define_flags,
    main=_transcribe,
)

if __name__ == "__main__":
    app.run(COMMAND)
