"""What a recogniser's `.tflite` file says about itself, sealed with a checksum.

The file's metadata table has one entry "int4_conformer", a JSON object that ends with
`"sha256": "<64 hex digits>"}`: the SHA-256 of the whole file with those digits written as zeros.
The digest covers the final bytes, yet an entry cannot be added to them, as large files hold their
weights at absolute offsets. So an exporter works in three steps:

    model = flatbuffer.load(content)
    metadata.attach(model, Metadata(...))   # The entry, its digest zeros.
    content = metadata.seal(<model, serialized>)
"""

import dataclasses
import hashlib
import json
import operator
from collections.abc import Mapping
from typing import Any

import numpy as np
from ai_edge_litert import schema_py_generated as schema

from int4_conformer.errors import UserError, require_in, require_one_of, require_positive
from int4_conformer.quant.spec.recipe import renamed_recipe
from int4_conformer.text.spelling import Spelling
from int4_conformer.text.vocabulary import Vocabulary
from int4_conformer.tflite import flatbuffer

NAME = "int4_conformer"
FORMAT = 1  # Raised when older readers would misread the entry; the digest stays at its end.
DELEGATES = ("xnnpack", "none")

# Of a model's input, in Hz and in samples: minutes, at usual rates.
_MOST_RATE, _MOST_BLOCK = 1_000_000, 2**22
_ZEROS = b"0" * 64
_END = b'"}'


@dataclasses.dataclass(frozen=True, kw_only=True)
class Metadata:
    """What the runtime has to know of a model."""

    # Rate of the model's input in Hz.
    sample_rate: int
    # The input's length is a multiple of this many samples.
    block_samples: int
    # What the output ids mean.
    vocabulary: Vocabulary
    # Name of the quantization recipe the model was trained with.
    recipe: str
    # Whose kernels compute the integers of training: "xnnpack" or, for the built-in ones, "none".
    delegate: str
    # The model's configuration, which only people read.
    model: Mapping[str, Any]
    # Samples from one frame in which tokens are emitted to the next; None in files of before tokens
    # had frames.
    frame_samples: int | None = None
    # How texts are spelled in the vocabulary, and the most labels that a search emits in a frame;
    # None in files of before they had other searches than the greedy one.
    spelling: Spelling | None = None
    max_symbols_per_frame: int | None = None
    # Length of whole utterances in a file that does not take any length.
    fixed_samples: int | None = None
    # Where float weights are that no constant of their name holds as they are (`held_weights`);
    # None in files of before weights could be read back.
    weights: Mapping[str, Mapping[str, Any]] | None = None

    def __post_init__(self) -> None:
        require_positive(sample_rate=self.sample_rate, block_samples=self.block_samples)
        sizes = {
            "frame_samples": self.frame_samples,
            "max_symbols_per_frame": self.max_symbols_per_frame,
            "fixed_samples": self.fixed_samples,
        }
        require_positive(**{name: size for name, size in sizes.items() if size is not None})
        # A forged file would have audio padded to as much, or resampled to it.
        require_in(f"[1, {_MOST_RATE}]", sample_rate=self.sample_rate)
        require_in(f"[1, {_MOST_BLOCK}]", block_samples=self.block_samples)
        for size in (self.sample_rate, self.block_samples, *filter(None, sizes.values())):
            # What a file says may be of any type.
            operator.index(size)
        require_one_of(DELEGATES, delegate=self.delegate)
        if (self.spelling is None) != (self.max_symbols_per_frame is None):
            raise UserError("`spelling` and `max_symbols_per_frame` go with one another.")


def attach(model: schema.ModelT, metadata: Metadata) -> None:
    """Adds the entry, yet unsealed, to a parsed model in place.

    Raises:
      UserError: the model has such an entry already.
    """
    model.metadata = list(model.metadata or ())
    if any(entry.name == NAME.encode() for entry in model.metadata):
        raise UserError(f"The model has {NAME} metadata already; attach it to a fresh model.")
    entry = {
        "format": FORMAT,
        "sample_rate": metadata.sample_rate,
        "block_samples": metadata.block_samples,
        "vocabulary": metadata.vocabulary.to_config(),
        "recipe": metadata.recipe,
        "delegate": metadata.delegate,
        "model": dict(metadata.model),
        "frame_samples": metadata.frame_samples,
        "spelling": None if metadata.spelling is None else metadata.spelling.to_config(),
        "max_symbols_per_frame": metadata.max_symbols_per_frame,
        "fixed_samples": metadata.fixed_samples,
        "weights": metadata.weights,
        "sha256": _ZEROS.decode(),
    }
    data = np.frombuffer(json.dumps(entry).encode(), np.uint8)
    model.metadata.append(schema.MetadataT(name=NAME.encode(), buffer=len(model.buffers)))
    model.buffers.append(schema.BufferT(data=data))


def seal(content: bytes) -> bytes:
    """Writes the checksum into a serialized model to which metadata was attached.

    Raises:
      UserError: the content is no TFLite model, or no metadata was attached to it.
    """
    start = _digest_start(content, _entry(content, "the model"))
    return b"".join([content[:start], _digest(content, start), content[start + len(_ZEROS) :]])


def find(content: bytes, source: str = "the model") -> Metadata | None:
    """The metadata of a TFLite file, or None if it is not a recogniser of this package.

    Args:
      content: the whole file.
      source: what errors call it, such as its path.

    Raises:
      UserError: the file is no TFLite model, is damaged, or is of a newer format.
    """
    entry = flatbuffer.metadata(content, NAME, source)
    if entry is None:
        return None
    if entry[-len(_END + _ZEROS) : -len(_END)] != _digest(content, _digest_start(content, entry)):
        raise UserError(
            f"{source} is damaged: its SHA-256 is not the one sealed into it; copy or export the "
            "file again."
        )
    # The checksum may have been made right for an entry that was damaged.
    try:
        fields = json.loads(entry)
        newer = fields["format"] > FORMAT
        metadata = None if newer else _parsed(fields)
    except Exception as error:
        raise flatbuffer.damaged(source, "its metadata cannot be read") from error
    if newer:
        raise UserError(
            f"{source} has metadata of format {fields['format']} and this version reads up to "
            f"{FORMAT}; upgrade int4-conformer."
        )
    return metadata


def _parsed(fields: dict[str, Any]) -> Metadata:
    vocabulary = Vocabulary.from_config(fields["vocabulary"])
    spelling = fields.get("spelling")
    return Metadata(
        sample_rate=fields["sample_rate"],
        block_samples=fields["block_samples"],
        vocabulary=vocabulary,
        recipe=renamed_recipe(fields["recipe"]),
        delegate=fields["delegate"],
        model=fields["model"],
        frame_samples=fields.get("frame_samples"),
        spelling=None if spelling is None else Spelling.from_config(spelling, vocabulary),
        max_symbols_per_frame=fields.get("max_symbols_per_frame"),
        fixed_samples=fields.get("fixed_samples"),
        weights=fields.get("weights"),
    )


def read(content: bytes, source: str = "the model") -> Metadata:
    """The metadata of a recogniser's file.

    Raises:
      UserError: as `find`, or the TFLite model is not a recogniser of this package.
    """
    metadata = find(content, source)
    if metadata is None:
        raise _foreign(source)
    return metadata


def _entry(content: bytes, source: str) -> bytes:
    entry = flatbuffer.metadata(content, NAME, source)
    if entry is None:
        raise _foreign(source)
    return entry


def _digest_start(content: bytes, entry: bytes) -> int:
    return content.index(entry) + len(entry) - len(_END + _ZEROS)


def _digest(content: bytes, start: int) -> bytes:
    view = memoryview(content)
    checksum = hashlib.sha256(view[:start])
    checksum.update(_ZEROS)
    checksum.update(view[start + len(_ZEROS) :])
    return checksum.hexdigest().encode()


def _foreign(source: str) -> UserError:
    return UserError(
        f"{source} is a TFLite model but not a recogniser of int4-conformer; give a file that "
        "`int4-conformer export` wrote."
    )
