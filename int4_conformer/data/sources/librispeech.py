"""LibriSpeech as its archives unpack: `SPLIT/SPEAKER/CHAPTER/SPEAKER-CHAPTER.trans.txt`."""

import os
from pathlib import Path

from int4_conformer.audio import audio_files
from int4_conformer.data.sources.manifest import Utterance, require_split
from int4_conformer.errors import UserError


def read_librispeech(root: str | os.PathLike, split: str | None = None) -> list[Utterance]:
    """Reads a LibriSpeech folder: the one that holds the splits, or one split.

    Args:
      root: `LibriSpeech/`, or for example `LibriSpeech/train-clean-100/`.
      split: keep one split, named as its folder ("dev-clean"); None keeps all.

    Returns:
      Utterances in the order of their ids, split by split.

    Raises:
      UserError: there is no transcript under `root`, a transcript's FLAC file is missing, a line
        of it has no text, or no utterance is of `split`.
    """
    # Resolved, so that the folder above a chapter has a name even where root is ".".
    transcripts = sorted(Path(root).resolve().rglob("*.trans.txt"))
    if not transcripts:
        raise UserError(
            f"{root} is no LibriSpeech folder: it holds no SPEAKER/CHAPTER/*.trans.txt file."
        )
    if split is not None:
        require_split(split, map(_split, transcripts), root)
        transcripts = [transcript for transcript in transcripts if _split(transcript) == split]
    return [utterance for transcript in transcripts for utterance in _chapter(transcript)]


def _split(transcript: Path) -> str:
    return transcript.parents[2].name


def _chapter(transcript: Path) -> list[Utterance]:
    utterances = []
    for number, line in enumerate(transcript.read_text(encoding="utf-8").splitlines(), start=1):
        name, _, text = line.partition(" ")
        audio = transcript.with_name(f"{name}.flac")
        if not text.strip():
            raise UserError(f"Line {number} of {transcript} has no text; write `ID TRANSCRIPT`.")
        if not audio.is_file():
            raise UserError(
                f"Line {number} of {transcript} names {audio.name}, which is not beside it; "
                "unpack the archive again."
            )
        utterances.append(
            Utterance(
                audio=str(audio),
                text=text.strip(),
                duration=audio_files.duration(audio),
                speaker=transcript.parents[1].name,
                split=_split(transcript),
            )
        )
    return utterances
