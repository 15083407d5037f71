"""Corpora of the package tensorflow_datasets, `tfds:librispeech` for example."""

import dataclasses
import functools
from collections.abc import Iterator
from typing import TYPE_CHECKING

import numpy as np

from int4_conformer.data.corpus_report import CorpusReport
from int4_conformer.data.shards import tfrecord
from int4_conformer.data.sources.contents import Contents, wav_file
from int4_conformer.data.sources.entry import MISSING_TEXT, Entry, all_found, require_split
from int4_conformer.data.sources.table_columns import Columns
from int4_conformer.data.sources.utterance import Utterance
from int4_conformer.errors import UserError

if TYPE_CHECKING:
    import tensorflow_datasets

PREFIX = "tfds:"


@dataclasses.dataclass(frozen=True, kw_only=True)
class TfdsAudio(Contents):
    """The audio in an example of a data set, which is read where it lies."""

    # As tensorflow_datasets calls the data set.
    name: str
    feature: str
    # The file, and where in it the example begins and how many bytes it has.
    path: str
    start: int
    size: int

    def read(self) -> bytes:
        features = _builder(self.name).info.features
        value = _example(self.name, self.path, self.start, self.size)[self.feature]
        samples = np.asarray(value)
        rate = getattr(features[self.feature], "sample_rate", None)
        if rate is None or samples.ndim > 2 or not samples.size:
            raise UserError(
                f"The feature {self.feature!r} of {PREFIX}{self.name} holds no audio with a sample "
                "rate; take another version of it."
            )
        if samples.dtype.kind == "f":
            samples = np.round(samples * 32768)
        return wav_file(np.clip(samples, -32768, 32767).astype(np.int16), rate)


def read_tfds(
    name: str, split: str | None = None, report: CorpusReport | None = None
) -> list[Utterance]:
    """Reads a data set of tensorflow_datasets that is on this machine.

    Args:
      name: such as "tfds:librispeech" or "tfds:common_voice/en". Its folder is that of
        tensorflow_datasets, ~/tensorflow_datasets or $TFDS_DATA_DIR.
      split: keep one split; None keeps all.
      report: is told of examples without a text; one that stops at the first if not given.

    Raises:
      UserError: tensorflow_datasets is not installed, it has no such data set or has not prepared
        it, the data set has no audio or no texts, or no such split; or no example can be used.
    """
    report = report or CorpusReport()
    builder = _builder(name.removeprefix(PREFIX))
    splits = builder.info.splits
    if not splits:
        raise UserError(
            f"{name} is not on this machine, in {builder.data_dir}; download it with "
            f"`tfds build {builder.name}`, which may take long, or set TFDS_DATA_DIR."
        )
    if split is not None:
        require_split(split, splits, name)
    columns = _columns(builder, name)
    entries = (
        entry
        for present in splits
        if split in (None, present)
        for entry in _entries(builder, present, name, columns, report)
    )
    return all_found(entries, report, "the data set", f"example of {name}")


def _columns(builder: "tensorflow_datasets.core.DatasetBuilder", name: str) -> Columns:
    """Which feature is what; that of audio is known by its type, whatever its name."""
    import tensorflow_datasets as tfds

    features = builder.info.features
    audio = [key for key in features if isinstance(features[key], tfds.features.Audio)]
    if not audio:
        raise UserError(f"{name} has no audio, only {', '.join(features)}; name another data set.")
    others = [key for key in features if key not in audio]
    return dataclasses.replace(Columns.of(["audio", *others], name), audio=audio[0])


def _entries(
    builder: "tensorflow_datasets.core.DatasetBuilder",
    split: str,
    name: str,
    columns: Columns,
    report: CorpusReport,
) -> Iterator[Entry]:
    plain = name.removeprefix(PREFIX)
    number = 0
    for path in map(str, builder.info.splits[split].filepaths):
        with open(path, "rb") as file:
            places = list(tfrecord.places(file, path))
        for start, size in places:
            number += 1
            where = f"Example {number} of {name}, split {split}"
            example = _example(plain, path, start, size)
            text = _text(example[columns.text])
            if not text:
                report.fault(MISSING_TEXT, f"{where} has no text in {columns.text!r}.")
                continue
            yield Entry(
                where=where,
                audio=f"{name}/{split}/{number}",
                contents=TfdsAudio(
                    name=plain, feature=columns.audio, path=path, start=start, size=size
                ),
                text=text,
                speaker="" if columns.speaker is None else _text(example[columns.speaker]),
                split=split,
            )


def _text(value: object) -> str:
    if isinstance(value, np.ndarray):
        value = value.item()
    return value.decode("utf-8", "replace").strip() if isinstance(value, bytes) else str(value)


# The audio of an example is asked for soon after its text, where at all.
@functools.lru_cache(maxsize=4)
def _example(name: str, path: str, start: int, size: int) -> dict[str, object]:
    with open(path, "rb") as file:
        record = tfrecord.record_at(file, start, size, path)
    return _builder(name).info.features.deserialize_example_np(record)


@functools.cache
def _builder(name: str) -> "tensorflow_datasets.core.DatasetBuilder":
    try:
        import tensorflow_datasets as tfds
    except ModuleNotFoundError as error:
        raise UserError(
            f"{PREFIX}{name} needs the package tensorflow_datasets; "
            "pip install 'int4-conformer[tfds]' brings it."
        ) from error
    try:
        return tfds.builder(name)
    except (tfds.core.DatasetNotFoundError, ValueError) as error:
        reason = str(error).strip().splitlines()[0].rstrip(".:")
        raise UserError(
            f"tensorflow_datasets has no data set {name!r} ({reason}); check the name."
        ) from error
