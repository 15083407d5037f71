"""A corpus made of texts: phrases and small grammars, drawn and spoken by synthesisers.

A file has a phrase a line, in the notation of `search.grammar`; `commands` and `everyday` are lists
that come with the package. What was spoken is kept, so that it is made once.
"""

import dataclasses
import functools
import hashlib
import io
import json
import os
from collections.abc import Callable, Sequence
from pathlib import Path

import numpy as np
import soundfile

from int4_conformer.audio.audio_files import SAMPLE_RATE
from int4_conformer.audio.synthesis.speakers import (
    SPLITS,
    SYNTHESIZERS,
    VERSION,
    Speaker,
    require_installed,
    speak,
    speakers,
)
from int4_conformer.data.corpus_report import CorpusReport
from int4_conformer.data.sources.entry import require_split
from int4_conformer.data.sources.utterance import Utterance
from int4_conformer.errors import UserError, did_you_mean, require_positive
from int4_conformer.fields import setting
from int4_conformer.files import require_folder_place, write_beside
from int4_conformer.processes import side_by_side
from int4_conformer.search.grammar import Grammar
from int4_conformer.search.phrase_automaton import read_phrases

PREFIX = "phrases:"
_LISTS = Path(__file__).parent / "phrase_lists"
LISTS = ("commands", "everyday")

# What a text ends with, which decides about its melody.
_ENDINGS = (".", ".", "?", "!")
_RATES = (0.85, 1.25)
# Seconds of silence, before the speech and after it.
_SILENCE = (0.05, 0.35)
# A recorder's own noise, in dB below full scale.
_FLOOR_DB = (-72.0, -50.0)
# Utterances that a process makes before it tells.
_AT_ONCE = 8


@dataclasses.dataclass(frozen=True, kw_only=True)
class PhrasesConfig:
    """Who speaks phrases, and how often."""

    voices: str = setting(
        "espeak",
        "Synthesisers, with commas between them: espeak, hibari, kokoro, piper; each speaks an "
        "equal share.",
    )
    utterances: int = setting(
        2000,
        "Utterances to train on. A twentieth as many, at least 20 and at most 400, are for "
        "development, and as many again for testing, by other speakers.",
    )
    speech_seed: int = setting(0, "Seed; another one draws other texts and speakers.")

    def __post_init__(self) -> None:
        require_positive(utterances=self.utterances)
        for name in self.synthesizers:
            if name not in SYNTHESIZERS:
                raise UserError(
                    f"There are no voices {name!r}{did_you_mean(name, SYNTHESIZERS)}; `voices` "
                    f"takes {', '.join(SYNTHESIZERS)}, with commas between them."
                )

    @property
    def synthesizers(self) -> tuple[str, ...]:
        return tuple(name.strip() for name in self.voices.split(","))

    def count(self, split: str) -> int:
        """How many utterances a split has."""
        held_out = min(max(self.utterances // 20, 20), 400)
        return self.utterances if split == "train" else held_out


@dataclasses.dataclass(frozen=True, kw_only=True)
class SpokenPhrase:
    """A text and everything that decides how it sounds."""

    text: str
    speaker: Speaker
    # Factor of the usual pace.
    rate: float
    # What the text ends with, for the synthesiser.
    ending: str
    # Seeds the silence around the speech and the noise under it.
    seed: int

    @property
    def key(self) -> str:
        """What tells it from all other speech."""
        facts = json.dumps([VERSION, dataclasses.asdict(self)], sort_keys=True)
        return hashlib.sha256(facts.encode()).hexdigest()[:32]

    def samples(self) -> np.ndarray:
        """float32 `[samples]` at 16 kHz in [-1, 1].

        Raises:
            UserError: as `speakers.speak`.
        """
        rng = np.random.default_rng(self.seed)
        speech = speak(self.text + self.ending, self.speaker, self.rate)
        before, after = (rng.uniform(*_SILENCE, 2) * SAMPLE_RATE).astype(int)
        floor = 10 ** (rng.uniform(*_FLOOR_DB) / 20)
        noise = floor * rng.standard_normal(before + speech.size + after)
        return np.clip(np.pad(speech, (before, after)) + noise, -1, 1).astype(np.float32)


def draw_phrases(grammar: Grammar, config: PhrasesConfig, split: str) -> list[SpokenPhrase]:
    """Draws who says what; fewer utterances are the beginning of more.

    Raises:
        UserError: there is no such split.
    """
    require_split(split, SPLITS, "What is made of phrases")
    cast = [speakers(name, split) for name in config.synthesizers]
    drawn = []
    for number in range(config.count(split)):
        rng = np.random.default_rng([config.speech_seed, SPLITS.index(split), number])
        members = cast[number % len(cast)]
        drawn.append(
            SpokenPhrase(
                text=grammar.draw(rng),
                speaker=members[rng.integers(len(members))],
                rate=round(rng.uniform(*_RATES), 3),
                ending=_ENDINGS[rng.integers(len(_ENDINGS))],
                seed=int(rng.integers(2**63)),
            )
        )
    return drawn


def speak_phrases(
    phrases: Sequence[SpokenPhrase],
    folder: str | os.PathLike,
    *,
    processes: int = 1,
    on_done: Callable[[int], None] = lambda done: None,
) -> list[Utterance]:
    """Has phrases spoken, but for those that a folder holds already.

    Args:
        phrases: what to speak.
        folder: holds a FLAC file for each; is made if there is none.
        processes: that speak at a time.
        on_done: is told how many are there.

    Raises:
        UserError: a synthesiser is not installed, or the folder cannot be written to. What was
            written stays.
    """
    require_folder_place(folder)
    folder = Path(folder).absolute()
    missing = [phrase for phrase in phrases if not _file(folder, phrase).exists()]
    for name in sorted({phrase.speaker.synthesizer for phrase in missing}):
        require_installed(name)
    done = len(phrases) - len(missing)
    parts = [tuple(missing[i : i + _AT_ONCE]) for i in range(0, len(missing), _AT_ONCE)]
    for part, _ in side_by_side(functools.partial(_write, folder), parts, processes):
        done += len(part)
        on_done(done)
    return [_utterance(folder, phrase) for phrase in phrases]


def count_spoken(phrases: Sequence[SpokenPhrase], folder: str | os.PathLike) -> int:
    """How many phrases a folder holds already."""
    return sum(_file(Path(folder), phrase).exists() for phrase in phrases)


def read_grammar(path: str | os.PathLike) -> Grammar:
    """The grammar of a file, or of a list that comes with the package.

    Raises:
        UserError: there is no such file or list, or it cannot be read.
    """
    is_list = str(path) in LISTS and not os.path.exists(path)
    return Grammar.of(read_phrases(_LISTS / f"{path}.txt" if is_list else path))


def read_spoken_phrases(name: str, split: str | None, report: CorpusReport) -> list[Utterance]:
    """The corpus of a file with the settings of `PhrasesConfig`, spoken into the user's cache.

    Args:
        name: `phrases:FILE`.
        split: keep one split; None keeps all.
        report: nothing is left out.
    """
    grammar = read_grammar(name.removeprefix(PREFIX))
    config = PhrasesConfig()
    if split is not None:
        require_split(split, SPLITS, name)
    phrases = [p for s in SPLITS if split in (None, s) for p in draw_phrases(grammar, config, s)]
    # In this process: programs that read a corpus do not expect others to start.
    return speak_phrases(phrases, speech_cache())


def speech_cache() -> Path:
    """Where speech is kept for all runs of this user: below XDG_CACHE_HOME, or ~/.cache."""
    base = os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache"
    return Path(base) / "int4_conformer" / "speech"


def _file(folder: Path, phrase: SpokenPhrase) -> Path:
    return folder / phrase.key[:2] / f"{phrase.key}.flac"


def _write(folder: Path, phrases: Sequence[SpokenPhrase], _count: Callable[[], None]) -> None:
    # What is told of is parts.
    for phrase in phrases:
        content = io.BytesIO()
        soundfile.write(content, phrase.samples(), SAMPLE_RATE, "PCM_16", format="FLAC")
        write_beside(_file(folder, phrase), content.getvalue())


def _utterance(folder: Path, phrase: SpokenPhrase) -> Utterance:
    path = _file(folder, phrase)
    return Utterance(
        audio=str(path),
        text=phrase.text,
        duration=soundfile.info(path).duration,
        speaker=phrase.speaker.name,
        split=phrase.speaker.split,
        origin=f"{phrase.text!r} by {phrase.speaker.name}",
    )
