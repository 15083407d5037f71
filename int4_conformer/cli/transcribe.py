"""Recognises speech with a .tflite file that `int4-conformer export` wrote, or a model that comes
with the package; without a MODEL, with one of these.

For one audio file it prints the text, for several a line "file<TAB>text" each. WAV, FLAC, Ogg, Opus
and MP3 of any rate and channel count are read, to the end of the file, whatever its header says.
Several channels are averaged, or the loudest is taken where they cancel each other; --channel=left,
=right or a number takes one. If a file cannot be read, stderr says so, the others are recognised,
and the exit status is 2. What is odd about a file, such as that it ends early, is also on stderr.

A file may be of any length. A model that hears streams hears a long one as a stream. For a model
that hears whole utterances only, the file is cut, in pauses where there are any; stderr says so.

With --microphone it hears a microphone until Ctrl-C; with - in place of a file, the standard input,
WAV or raw PCM, as it comes. Silence ends an utterance, whose line is then printed. On a terminal
its words are shown while they come, dim as long as they may be corrected. --stream hears files in
the same way. Where there is no terminal, --stream prints a line "seconds<TAB>words" whenever the
words change. A model that hears whole utterances only hears each one when silence has ended it.

The output is one of: text; --words, a line "start<TAB>end<TAB>confidence<TAB>word" for each word,
times in seconds, with "file<TAB>" before it for several files; --json, an object for each file, or
with --stream, --microphone and -, an object whenever words change; --srt or --vtt, subtitles. The
confidence of a word, 0 to 1, is the geometric mean of its tokens' probabilities.

--phrases takes a file of phrases to prefer, one a line; with --only nothing else may be said, and
they may be small grammars, "turn (on | off) the [kitchen] light", "{minutes:1..60} minutes". --lm
takes an ARPA file of a language model over the model's tokens.
"""

import itertools
import os
import sys
from collections.abc import Iterable, Iterator
from pathlib import Path

import numpy as np
from absl import flags

from int4_conformer.audio import audio_files, microphone
from int4_conformer.audio.audio_files import AudioFile
from int4_conformer.audio.microphone import Device, Microphone
from int4_conformer.audio.piped_audio import PcmForm, PipedAudio
from int4_conformer.cli import app
from int4_conformer.cli.live_words import LiveWords
from int4_conformer.cli.long_recordings import recognize_long, steps, taken
from int4_conformer.cli.recognizers import Search, new_search, open_recognizer
from int4_conformer.cli.stopping import until_interrupted
from int4_conformer.cli.transcribe_flags import (
    BEAM_SETTINGS,
    FORMS,
    RAW,
    STDIN,
    SUBTITLES,
    check,
    define_flags,
)
from int4_conformer.cli.transcripts import (
    Form,
    JsonForm,
    JsonLinesForm,
    SubtitleForm,
    TextForm,
    WordsForm,
)
from int4_conformer.cli.usual_model import with_usual_model
from int4_conformer.errors import UserError
from int4_conformer.files import write_beside
from int4_conformer.lite.endpointing import EndpointConfig
from int4_conformer.lite.recognizer import Recognizer
from int4_conformer.lite.words import Recognition
from int4_conformer.pretrained.registry import model_file
from int4_conformer.progress import waiting
from int4_conformer.search.beam_config import BeamConfig
from int4_conformer.search.grammar import Grammar

# Audio of a file that a stream is fed at once.
_STEP_SECONDS = 0.1


def _transcribe(values: flags.FlagValues, arguments: list[str]) -> None:
    if values.list_devices:
        _list_devices()
        return
    given = with_usual_model(arguments, is_live=values.microphone)
    check(values, given)
    if given != arguments:
        app.tell(f"hearing with the model {given[0]!r}; `transcribe MODEL FILE` takes another.")
    model, *paths = given
    device = None
    if values.microphone:
        device = microphone.choose(microphone.devices(), values.device)
    elif paths == [STDIN]:
        _require_piped()
    recognizer = open_recognizer(
        model_file(model),
        live=values.stream or values.microphone or paths == [STDIN],
        num_threads=values.num_threads,
        gated=values.gate,
        part_seconds=values.part_seconds,
    )
    search = new_search(
        recognizer,
        phrases=values.phrases,
        only=values.only,
        bonus=values.bonus,
        lm=values.lm,
        beam_size=values.beam,
        settings=app.given_fields(BeamConfig, values, BEAM_SETTINGS),
    )
    if values.stream:
        # Refuses a model that hears whole utterances only.
        recognizer.stream()
    if device is not None:
        _hear_microphone(values, recognizer, search, device)
    elif paths == [STDIN]:
        _hear_stdin(values, recognizer, search)
    else:
        _hear_files(values, recognizer, search, paths)


def _list_devices() -> None:
    for device in microphone.devices():
        facts = [device.number, device.name, f"{device.channels} channels", f"{device.rate} Hz"]
        print(*facts, *(["default"] if device.is_default else []), sep="\t", flush=True)


def _hear_microphone(
    values: flags.FlagValues, recognizer: Recognizer, search: Search, device: Device
) -> None:
    live = LiveWords(_live_form(values, search), has_lines=values.stream, has_meter=True)
    heard = Microphone(device, live.tell)
    _tell_of_whole_utterances(values, recognizer)
    app.tell(f"hearing {device.name} at {heard.rate} Hz; Ctrl-C ends.")
    _hear(values, recognizer, search, live, until_interrupted(heard.audio()), heard.rate)
    if heard.overruns:
        app.tell(f"Audio was lost {heard.overruns} times; words may be missing.")


def _require_piped() -> None:
    if sys.stdin is None or sys.stdin.closed:
        raise UserError("There is no standard input; pipe audio into it, or name files.")
    if sys.stdin.isatty():
        raise UserError(
            "The standard input is a terminal; pipe audio into it, such as "
            "arecord -f S16_LE -r 16000 | int4-conformer transcribe MODEL -"
        )


def _hear_stdin(values: flags.FlagValues, recognizer: Recognizer, search: Search) -> None:
    live = LiveWords(_live_form(values, search), has_lines=values.stream)
    descriptor = sys.stdin.fileno()
    piped = PipedAudio(
        # What there is, without waiting for more.
        lambda most: os.read(descriptor, most),
        PcmForm(rate=values.raw_rate, channels=values.raw_channels, format=values.raw_format),
        is_raw=any(values[flag].present for flag in RAW),
        channel=values.channel,
        on_note=live.tell,
    )
    _tell_of_whole_utterances(values, recognizer)
    _hear(values, recognizer, search, live, until_interrupted(piped.audio()), piped.rate)


def _hear_files(
    values: flags.FlagValues, recognizer: Recognizer, search: Search, paths: list[str]
) -> None:
    failed = 0
    for path in paths:
        name = "" if len(paths) == 1 else f"{path}\t"
        try:
            with audio_files.opened(path) as file:
                if values.stream:
                    _hear_in_steps(values, recognizer, search, path, name, file)
                else:
                    found = _recognized(values, recognizer, search, path, file)
                    form = JsonForm(path) if values.json else _form(values, name)
                    _write(values, path, form, found)
        except UserError as error:
            app.complain(str(error))
            failed += 1
    if failed and len(paths) > 1:
        app.complain(f"{failed} of {len(paths)} files could not be recognised.")
    if failed:
        sys.exit(2)


def _recognized(
    values: flags.FlagValues, recognizer: Recognizer, search: Search, path: str, file: AudioFile
) -> Recognition:
    rate = recognizer.sample_rate
    blocks = file.blocks(rate, values.channel, app.tell)
    samples, is_long = taken(blocks, recognizer.longest_seconds * rate)
    if is_long:
        return recognize_long(recognizer, search, path, file, itertools.chain([samples], blocks))
    with waiting(f"recognising {path}", file=sys.stderr, at_once=False):
        if any(values[form].value for form in FORMS):
            return recognizer.recognize(samples, rate, **search)
        # Files of before words had times have texts.
        return Recognition(text=recognizer.transcribe(samples, rate, **search), words=())


def _write(values: flags.FlagValues, path: str, form: Form, found: Recognition) -> None:
    """Prints what was said in a file, or writes it beside the others."""
    content = form.head() + form.utterance(found)
    if values.output_dir is None:
        print(content, end="", flush=True)
        return
    ending = ".srt" if values.srt else ".vtt"
    output = Path(values.output_dir) / f"{Path(path).stem}{ending}"
    write_beside(output, content.encode())
    print(output, flush=True)


def _hear_in_steps(
    values: flags.FlagValues,
    recognizer: Recognizer,
    search: Search,
    path: str,
    name: str,
    file: AudioFile,
) -> None:
    """Hears a file as from a microphone."""
    rate, form = recognizer.sample_rate, _form(values, name)
    if values.json:
        form = JsonLinesForm(path, _grammar(search))
    live = LiveWords(form, has_lines=True)
    blocks = file.blocks(rate, values.channel, live.tell)
    _hear(values, recognizer, search, live, steps(blocks, max(1, int(_STEP_SECONDS * rate))), rate)
    if not live.utterances and isinstance(form, TextForm):
        # A file has its line, if an empty one.
        print(form.utterance(Recognition(text="", words=())), end="", flush=True)


def _hear(
    values: flags.FlagValues,
    recognizer: Recognizer,
    search: Search,
    live: LiveWords,
    audio: Iterator[np.ndarray],
    rate: int,
) -> None:
    """Shows the words of audio that comes bit by bit."""
    heard: Iterable[np.ndarray] = live.hearing(audio, rate)
    live.show(recognizer.listen(heard, rate, endpointing=_endpointing(values), **search))


def _endpointing(values: flags.FlagValues) -> EndpointConfig:
    """The flag's silence behind words; where none came or noise hides it, as much longer."""
    usual = EndpointConfig()
    factor = values.endpoint_after / usual.after_words
    return EndpointConfig(
        after_words=values.endpoint_after,
        in_noise=usual.in_noise * factor,
        without_words=usual.without_words * factor,
    )


def _tell_of_whole_utterances(values: flags.FlagValues, recognizer: Recognizer) -> None:
    if not recognizer.hears_streams:
        app.tell(
            "This model hears whole utterances only: words come after "
            f"{values.endpoint_after:g} s of silence."
        )


def _live_form(values: flags.FlagValues, search: Search) -> Form:
    return JsonLinesForm(None, _grammar(search)) if values.json else _form(values, "")


def _form(values: flags.FlagValues, name: str) -> Form:
    """The form that the flags ask for, but for JSON, which differs."""
    for subtitles in SUBTITLES:
        if values[subtitles].value:
            return SubtitleForm(subtitles)
    return WordsForm(name) if values.words else TextForm(name)


def _grammar(search: Search) -> Grammar | None:
    return Grammar.of(search["phrases"]) if search.get("only") else None


COMMAND = app.Command(
    name="transcribe",
    usage="[MODEL] (FILE... | - | --microphone) [flags]",
    description=__doc__,
    examples=(
        "model.tflite speech.wav --words",
        "model.tflite --microphone  # Ctrl-C ends",
        "model.tflite interview.mp3 --srt > interview.srt",
    ),
    define_flags=define_flags,
    main=_transcribe,
)

if __name__ == "__main__":
    app.run(COMMAND)
