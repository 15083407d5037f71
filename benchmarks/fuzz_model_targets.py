"""Readers of model files as targets of `fuzz.py`: forged ones, mostly with the right checksum."""

import dataclasses
import json
import struct
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import numpy as np
from fuzz_inputs import MODEL, Inputs, Mutator


def metadata(folder: Path) -> tuple[Inputs, Callable[[bytes], Any]]:
    """What a model's file says of itself, with the right checksum; the file is then opened."""
    from int4_conformer.lite.recognizer import Recognizer
    from int4_conformer.tflite import flat_tables, flatbuffer
    from int4_conformer.tflite import metadata as metadata_lib

    model = MODEL.read_bytes()
    entry = flatbuffer.metadata(model, metadata_lib.NAME)
    root = flat_tables.root(model)
    names = list(root.vectors(6, 4).tables().vectors(0, 1).texts())
    held = root.vectors(6, 4).tables().numbers(1, "<u4")[names.index(metadata_lib.NAME.encode())]
    place = int(root.vectors(4, 4).tables().places(0)[held])
    pcm = np.random.default_rng(0).uniform(-0.3, 0.3, 3200).astype(np.float32)
    path = folder / "a.tflite"

    def act(content: bytes) -> None:
        # The entry has to end with its checksum; it goes to the end of the file.
        said = content.rstrip().removesuffix(b"}") + b', "sha256": "' + b"0" * 64 + b'"}'
        start = len(model) + -len(model) % 4
        forged = bytearray(model.ljust(start, b"\0"))
        forged[place : place + 4] = struct.pack("<I", start - place)
        forged += struct.pack("<I", len(said)) + said
        sealed = metadata_lib.seal(bytes(forged))
        metadata_lib.read(sealed)
        path.write_bytes(sealed)
        recognizer = Recognizer(path, gated=False)
        recognizer.transcribe(pcm)
        if recognizer.metadata.spelling is not None:
            recognizer.transcribe(pcm, phrases=["go"])

    fields = {key: value for key, value in json.loads(entry).items() if key != "sha256"}
    return Mutator(seeds=[json.dumps(fields).encode()], is_json=True), act


@dataclasses.dataclass(frozen=True, kw_only=True)
class _Forged:
    """Damaged model files of `damaged_files.py`, with the right checksum or the wrong one."""

    seeds: Sequence[bytes]
    sealed: bool
    finished: Callable[[bytes], bytes] = lambda content: content

    def __post_init__(self) -> None:
        import damaged_files

        self.__dict__["original"] = damaged_files.Original(self.seeds[0])

    def input(self, seed: int, index: int) -> bytes:
        import damaged_files

        kinds = list(damaged_files.KINDS)
        kind = kinds[index % len(kinds)]
        return damaged_files.damaged(self.original, kind, (seed, index), self.sealed)


def flatbuffer(folder: Path) -> tuple[Inputs, Callable[[bytes], Any]]:
    """Both readers of model files, without LiteRT."""
    from int4_conformer.tflite import flatbuffer as reader
    from int4_conformer.tflite import validation

    def act(content: bytes) -> None:
        validation.require_valid(content)
        model = reader.load(content)
        for constant in reader.constants(model):
            constant.values()
        list(reader.operators(model))

    return _Forged(seeds=[MODEL.read_bytes()], sealed=False), act


def recognizer(folder: Path) -> tuple[Inputs, Callable[[bytes], Any]]:
    """Model files with the right checksum, opened and run by LiteRT."""
    from int4_conformer.lite.recognizer import Recognizer
    from int4_conformer.tflite.inspection import inspect_tflite

    pcm = np.random.default_rng(0).uniform(-0.3, 0.3, 3200).astype(np.float32)
    path = folder / "a.tflite"

    def act(content: bytes) -> None:
        path.write_bytes(content)
        inspect_tflite(path).table()
        Recognizer(path, gated=False).transcribe(pcm)

    return _Forged(seeds=[MODEL.read_bytes()], sealed=True), act
