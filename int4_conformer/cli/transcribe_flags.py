"""The flags of `transcribe`, and which of them go together."""

from pathlib import Path

from absl import flags

from int4_conformer.audio import piped_audio
from int4_conformer.audio.piped_audio import PcmForm
from int4_conformer.audio.samples import MAX_CHANNELS, MIX, require_channel
from int4_conformer.cli import app
from int4_conformer.cli.flag_groups import GIVEN, MACHINE, PRINTED, SEARCHED, group
from int4_conformer.cli.recognizers import define_beam, define_part_seconds
from int4_conformer.errors import UserError
from int4_conformer.files import require_folder_place
from int4_conformer.lite.endpointing import EndpointConfig
from int4_conformer.search.beam_config import BIAS_SCORE, BeamConfig

STDIN = "-"
FORMS = ("words", "json", "srt", "vtt")
SUBTITLES = ("srt", "vtt")
RAW = ("raw_rate", "raw_format", "raw_channels")
# Fields of `BeamConfig` that are flags of the same name.
BEAM_SETTINGS = ("n_best", "lm_weight", "insertion_bonus")
# Flags that say something only beside one of others.
_NEEDED = {
    "only": ("phrases",),
    "bonus": ("phrases",),
    "lm_weight": ("lm",),
    "insertion_bonus": ("lm",),
    "n_best": ("json",),
    "device": ("microphone",),
    "output_dir": SUBTITLES,
}


def define_flags(values: flags.FlagValues) -> None:
    """Defines them."""

    def boolean(name: str, help_text: str, default: bool = False) -> None:
        flags.DEFINE_boolean(name, default, help_text, flag_values=values)

    def text(name: str, help_text: str) -> None:
        flags.DEFINE_string(name, None, help_text, flag_values=values)

    with group(values, GIVEN):
        boolean("microphone", "Hear a microphone.")
        text("device", "Number of the microphone, its name or a part of that.")
        boolean("list_devices", "List the microphones, and do nothing else.")
        flags.DEFINE_string(
            "channel", MIX, "mix, left, right or a number from 1 on.", flag_values=values
        )
    with group(values, SEARCHED):
        text("phrases", "File of phrases to prefer, one a line.")
        boolean("only", "Nothing but the phrases may be said; they may be small grammars.")
        flags.DEFINE_float(
            "bonus",
            BIAS_SCORE,
            "Added to the score for each token of a preferred phrase, in nats.",
            flag_values=values,
        )
        define_beam(values)
        app.define_fields(BeamConfig, values, BEAM_SETTINGS)
    with group(values, PRINTED):
        boolean("stream", "Hear files as from a microphone, and show words while they come.")
        boolean("words", "Print each word with its times and confidence.")
        boolean("json", "Print JSON objects, one a line.")
        boolean("srt", "Print subtitles for SubRip files.")
        boolean("vtt", "Print subtitles for WebVTT files.")
        text("output_dir", "Folder for subtitles, a file NAME.srt or NAME.vtt for each audio file.")
    with group(values, MACHINE):
        flags.DEFINE_integer(
            "num_threads", 1, "CPU threads to use.", lower_bound=1, flag_values=values
        )
    flags.DEFINE_float(
        "endpoint_after",
        EndpointConfig.after_words,
        "Seconds of silence that end an utterance of live speech.",
        lower_bound=0.1,
        flag_values=values,
    )
    boolean("gate", "Whether silence and steady noise are kept from the model.", default=True)
    define_part_seconds(values)
    flags.DEFINE_integer(
        "raw_rate",
        PcmForm.rate,
        "Rate in Hz of raw PCM.",
        lower_bound=piped_audio.LEAST_RATE,
        upper_bound=piped_audio.MOST_RATE,
        flag_values=values,
    )
    flags.DEFINE_enum(
        "raw_format",
        PcmForm.format,
        piped_audio.RAW_FORMATS,
        "Form of raw PCM: signed 16-bit or 32-bit float, little-endian.",
        flag_values=values,
    )
    flags.DEFINE_integer(
        "raw_channels",
        PcmForm.channels,
        "Channels of raw PCM.",
        lower_bound=1,
        upper_bound=MAX_CHANNELS,
        flag_values=values,
    )


def check(values: flags.FlagValues, arguments: list[str]) -> None:
    """Refuses flags and arguments that do not go together."""
    paths, is_live = arguments[1:], values.microphone or STDIN in arguments[1:]
    if values.microphone and len(arguments) != 1:
        raise UserError(
            "transcribe --microphone takes a MODEL and no files. "
            f"Received: {len(arguments)} arguments"
        )
    if not values.microphone and not paths:
        raise UserError(
            f"transcribe takes a MODEL and audio FILEs. Received: {len(arguments)} arguments"
        )
    if STDIN in paths and len(paths) > 1:
        raise UserError("- is the standard input and stands alone; a file of that name is ./-.")
    if sum(values[form].value for form in FORMS) > 1:
        *forms, last = (f"--{form}" for form in FORMS)
        raise UserError(f"{', '.join(forms)} and {last} exclude each other; give one of them.")
    for flag, needed in _NEEDED.items():
        if values[flag].present and not any(values[other].value for other in needed):
            raise UserError(f"--{flag} needs --{' or --'.join(needed)}; give that, too.")
    for flag in RAW:
        if values[flag].present and STDIN not in paths:
            raise UserError(f"--{flag} is of the standard input; give - in place of a file.")
    for flag in ("n_best", "output_dir", "part_seconds"):
        if values[flag].present and (is_live or values.stream):
            raise UserError(f"--{flag} is for whole files; leave it out, or what hears live.")
    if values.endpoint_after != EndpointConfig.after_words and not (is_live or values.stream):
        raise UserError("--endpoint_after is for --stream, --microphone and -; give one of them.")
    if values.microphone and values.channel != MIX:
        raise UserError("--channel is for files and the standard input; leave it out.")
    require_channel(values.channel)
    _check_subtitles(values, paths)


def _check_subtitles(values: flags.FlagValues, paths: list[str]) -> None:
    if not (values.srt or values.vtt):
        return
    if values.output_dir is None:
        if len(paths) > 1:
            raise UserError(
                "Subtitles of several files are several files; name a folder for them with "
                "--output_dir=FOLDER."
            )
        return
    require_folder_place(values.output_dir)
    stems = [Path(path).stem for path in paths]
    if twice := sorted({stem for stem in stems if stems.count(stem) > 1}):
        raise UserError(
            f"Several files would have their subtitles in {twice[0]}.*; give other names, or one "
            "after the other."
        )
