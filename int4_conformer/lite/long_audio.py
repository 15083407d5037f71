"""Audio that is longer than one call of a signature may hear.

The attention of a whole utterance takes memory with the square of its length. A model that hears
streams hears long audio as one, segment by segment, with the words that a single call would give.
For one that hears whole utterances only, the audio is cut into parts: in pauses, or, where nobody
pauses for so long, with an overlap whose words tell where the parts fit together.
"""

import dataclasses
from collections.abc import Callable, Iterable, Iterator

import numpy as np

from int4_conformer.errors import UserError
from int4_conformer.lite.joined_words import JoinedWords
from int4_conformer.lite.speech_activity import SpeechActivity, pauses
from int4_conformer.lite.utterance_passes import UtterancePasses
from int4_conformer.lite.words import Cut, Recognition, Word
from int4_conformer.search.closed_list import ClosedList
from int4_conformer.search.time_synchronous import TimeSynchronousSearch, Token
from int4_conformer.text.vocabulary import Vocabulary

# Seconds that one call hears at most; longer than any utterance of LibriSpeech, for one. The
# largest preset, conformer_l with w4a8, takes 0.40 GB for a call of that length, all of the process
# included, 0.54 GB for one of a minute and 1.2 GB for one of two (`benchmarks/long_audio.py
# --calls`).
LONGEST_SECONDS = 40.0
# Seconds of a part of longer audio at most: training leaves out what is longer (`max_seconds`), so
# that models know no more; and a second of audio costs the less, the shorter the part is.
PART_SECONDS = 20.0
PART_RANGE = (2.0, LONGEST_SECONDS)
# Of a part, behind which the audio may be cut: the longer parts are, the more they tell the model,
# and the more pauses there are to choose from, the longer is the longest of them.
_EARLIEST = 0.3
# Seconds of a pause that is worth a cut; within words the voice stops for less.
_LEAST_PAUSE = 0.2
# Seconds that two parts have in common where there is no pause.
_OVERLAP = 4.0
# Seconds behind a cut at least, where an end that is no more than noise would be taken for a word.
_LEAST_REST = 1.0


@dataclasses.dataclass(frozen=True, kw_only=True)
class Part:
    """A part of long audio."""

    # float32 [samples].
    pcm: np.ndarray
    # Its first sample, from the start of the audio.
    start: int
    # Samples at its start that the part before it has, too; 0 behind a pause.
    overlap: int


def parts(
    audio: Iterable[np.ndarray], sample_rate: int, longest: int, block: int
) -> Iterator[Part]:
    """Cuts audio that comes bit by bit; no more than two parts are held.

    Args:
        audio: float32 [samples] at a time.
        sample_rate: in Hz.
        longest: most samples of a part.
        block: parts begin at multiples of so many samples.
    """
    waiting, start, overlap = np.zeros([0], np.float32), 0, 0
    for pcm in audio:
        waiting = np.append(waiting, pcm)
        while len(waiting) > longest:
            cut = _pause(waiting[:longest], sample_rate, block)
            follows = cut
            if cut is None:
                cut = longest // block * block
                follows = cut - min(int(_OVERLAP * sample_rate), cut // 4) // block * block
            yield Part(pcm=waiting[:cut], start=start, overlap=overlap)
            waiting = waiting[follows:]
            start, overlap = start + follows, cut - follows
    if len(waiting):
        yield Part(pcm=waiting, start=start, overlap=overlap)


def _pause(pcm: np.ndarray, sample_rate: int, block: int) -> int | None:
    """The middle of the longest pause in which the audio may be cut; None if there is none."""
    length = len(pcm) / sample_rate
    earliest, latest = _EARLIEST * length, length - min(_LEAST_REST, length / 4)
    found = (
        (max(begin, earliest), min(end, latest))
        for begin, end in pauses(pcm, sample_rate)
        if begin < latest and end > earliest
    )
    # Of equals the last: there are fewer parts then.
    begin, end = max(found, key=lambda pause: (pause[1] - pause[0], pause[1]), default=(0.0, 0.0))
    if end - begin < _LEAST_PAUSE:
        return None
    return round((begin + end) / 2 * sample_rate / block) * block


def require_one_utterance(search: TimeSynchronousSearch, longest_seconds: float) -> None:
    """Refuses what makes no sense but for one utterance.

    Raises:
        UserError: the search has a closed list, or is asked for alternatives.
    """
    most = f"this is longer than the {longest_seconds:g} s of one utterance"
    if isinstance(search.bias, ClosedList):
        raise UserError(
            f"A closed list holds what one utterance may be, and {most}; hear it utterance by "
            "utterance, with `transcribe --stream` or `Recognizer.listen`."
        )
    if search.config.n_best > 1:
        raise UserError(
            f"Alternatives (n_best) are of one utterance, and {most}; leave n_best out."
        )


def hear_segments(
    audio: Iterable[np.ndarray],
    passes: UtterancePasses,
    sample_rate: int,
    *,
    gated: bool,
    on_heard: Callable[[float], None],
) -> Recognition:
    """Hears audio as one utterance of a stream.

    Args:
        audio: float32 [samples] at a time.
        passes: hear it.
        sample_rate: in Hz.
        gated: whether what is silence or steady noise from the start to the end has no words.
        on_heard: is told how many seconds have been heard.
    """
    activity = SpeechActivity(sample_rate)
    for pcm in audio:
        activity.hear(pcm)
        passes.hear(pcm)
        on_heard(passes.heard / sample_rate)
    seconds = passes.heard / sample_rate
    passes.finish()
    is_silence = gated and activity.last_active is None
    return _recognition(() if is_silence else passes.words(), seconds)


def hear_parts(
    audio: Iterable[np.ndarray],
    hear: Callable[[np.ndarray], list[Token]],
    vocabulary: Vocabulary,
    *,
    sample_rate: int,
    frame_samples: int,
    longest: int,
    on_heard: Callable[[float], None],
) -> Recognition:
    """Hears audio in parts.

    Args:
        audio: float32 [samples] at a time.
        hear: the tokens of a part, with frames from its start on.
        vocabulary: what they mean.
        sample_rate: in Hz.
        frame_samples: from one encoder frame to the next.
        longest: most samples of a part.
        on_heard: is told how many seconds have been heard.
    """
    words, cuts, seconds = JoinedWords(vocabulary, frame_samples / sample_rate), [], 0.0
    for part in parts(audio, sample_rate, longest, frame_samples):
        if part.start:
            middle = (part.start + part.overlap / 2) / sample_rate
            cuts.append(Cut(seconds=middle, is_pause=not part.overlap))
        words.add(hear(part.pcm), part.start // frame_samples, part.overlap // frame_samples)
        seconds = (part.start + len(part.pcm)) / sample_rate
        on_heard(seconds)
    return _recognition(words.words(), seconds, tuple(cuts))


def _recognition(
    words: tuple[Word, ...], seconds: float, cuts: tuple[Cut, ...] = ()
) -> Recognition:
    """What was said in so many seconds, which no word outlasts; frames may."""
    words = tuple(
        dataclasses.replace(word, start=min(word.start, seconds), end=min(word.end, seconds))
        if word.end > seconds
        else word
        for word in words
    )
    return Recognition(text=" ".join(word.text for word in words), words=words, cuts=cuts)
