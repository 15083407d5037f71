"""Opens .tflite files, and has their words searched for as flags say."""

import os
import sys
from typing import Any, TypedDict

import numpy as np
from absl import flags

from int4_conformer.cli.library_noise import held_back
from int4_conformer.fields import help_of
from int4_conformer.lite.long_audio import PART_RANGE, PART_SECONDS
from int4_conformer.lite.recognizer import Recognizer
from int4_conformer.progress import waiting
from int4_conformer.search.beam_config import BeamConfig
from int4_conformer.search.phrase_automaton import read_phrases
from int4_conformer.search.table_scorers import NGramScorer


class Search(TypedDict, total=False):
    """Arguments of `Recognizer.transcribe`; none for the greedy search."""

    phrases: list[str]
    only: bool
    bonus: float
    beam: BeamConfig
    lm: NGramScorer


def open_recognizer(path: str | os.PathLike, *, live: bool = False, **settings: Any) -> Recognizer:
    """The recogniser of a file, ready to hear.

    The first run makes kernels, which libraries tell of on stderr; it is made here, where that is
    held back, and not in the middle of what is heard.

    Args:
        path: the file.
        live: whether it will hear streams, if it can.
        settings: of `Recognizer`.
    """
    with held_back() as stderr, waiting(f"reading {path}", file=stderr, at_once=False):
        recognizer = Recognizer(path, **settings)
        # It swells, or else the gate would take it for steady noise, and nothing would run.
        times = np.arange(recognizer.sample_rate // 10) / recognizer.sample_rate
        swelling = np.geomspace(1e-3, 0.1, times.size)
        click = np.float32(swelling * np.sin(2 * np.pi * 500 * times))
        if live and recognizer.hears_streams:
            stream = recognizer.stream(recognizer.sample_rate)
            stream.feed(click)
            stream.finish()
        else:
            recognizer.transcribe(click, recognizer.sample_rate)
    return recognizer


def define_beam(values: flags.FlagValues) -> None:
    """Defines --beam and --lm."""
    flags.DEFINE_integer(
        "beam",
        None,
        f"Searches with a beam of this size. {help_of(BeamConfig, 'beam_size')}",
        lower_bound=1,
        flag_values=values,
    )
    flags.DEFINE_string("lm", None, "ARPA file of a language model.", flag_values=values)


def define_part_seconds(values: flags.FlagValues) -> None:
    """Defines --part_seconds."""
    least, most = PART_RANGE
    flags.DEFINE_float(
        "part_seconds",
        None,
        "Longest part, in seconds, when a recording of over 40 s is cut into parts; if not given, "
        f"{PART_SECONDS:g} for a model that hears whole utterances only, and no parts for others.",
        lower_bound=least,
        upper_bound=most,
        flag_values=values,
    )


def new_search(
    recognizer: Recognizer,
    *,
    phrases: str | None,
    only: bool,
    bonus: float,
    lm: str | None,
    beam_size: int | None,
    settings: dict[str, Any],
) -> Search:
    """What flags ask for.

    Args:
        recognizer: of the file.
        phrases: file of phrases to prefer.
        only: whether nothing else may be said.
        bonus: for each token of a preferred phrase.
        lm: ARPA file.
        beam_size: of the beam; its default if something else than the beam is asked for.
        settings: more fields of `BeamConfig`.

    Raises:
        UserError: a file cannot be read, a number is out of its range, a phrase cannot be spelled,
            or the recogniser's file has no such search.
    """
    search = Search()
    if phrases is not None:
        search |= Search(phrases=read_phrases(phrases), only=only, bonus=bonus)
    if lm is not None:
        with waiting(f"reading {lm}", file=sys.stderr, at_once=False):
            search["lm"] = NGramScorer.read(lm, recognizer.vocabulary)
    if search or beam_size is not None:
        size = {} if beam_size is None else {"beam_size": beam_size}
        search["beam"] = BeamConfig(**size, **settings)
        # What the file cannot search is refused before long work.
        recognizer.listen((), **search)
    return search
