"""The first message of a WebSocket: what will be heard, and how."""

import dataclasses
from collections.abc import Mapping
from typing import Any

import numpy as np

from int4_conformer.audio.piped_audio import LEAST_RATE, MOST_RATE, RAW_FORMATS
from int4_conformer.errors import UserError, require_in, require_one_of
from int4_conformer.lite.endpointing import EndpointConfig
from int4_conformer.search.beam_config import BIAS_SCORE, BeamConfig
from int4_conformer.server import request_fields

_DTYPES = {"s16le": np.dtype("<i2"), "f32le": np.dtype("<f4")}
_KNOWN = (
    "model",
    "sample_rate",
    "format",
    "second_pass",
    "phrases",
    "only",
    "bonus",
    "beam",
    "endpointing",
)
_MOST_BEAM = 32


@dataclasses.dataclass(frozen=True, kw_only=True)
class StreamRequest:
    """Its fields, checked."""

    # Name of the model; None: the one that there is.
    model: str | None
    # Of the audio, in Hz.
    sample_rate: int
    # How its samples lie in messages; one channel.
    dtype: np.dtype
    second_pass: bool
    endpointing: EndpointConfig
    # Arguments of `Recognizer.listener`.
    search: dict[str, Any]

    @classmethod
    def of(cls, given: Mapping[str, Any]) -> "StreamRequest":
        """Of an object of JSON; all fields have defaults.

        Raises:
            UserError: a field is unknown, or not what it has to be.
        """
        request_fields.require_known(given, _KNOWN)
        rate = request_fields.whole_number(given, "sample_rate", 16000)
        require_in(f"[{LEAST_RATE}, {MOST_RATE}]", sample_rate=rate)
        form = request_fields.field(given, "format", str, RAW_FORMATS[0])
        require_one_of(RAW_FORMATS, format=form)
        phrases = request_fields.phrases(request_fields.field(given, "phrases", list, []))
        only = request_fields.field(given, "only", bool, False)
        if only and not phrases:
            raise UserError("`only` needs `phrases`, all that may be said.")
        search: dict[str, Any] = {}
        if phrases:
            bonus = request_fields.number(given, "bonus", BIAS_SCORE)
            search = {"phrases": phrases, "only": only, "bonus": bonus}
        if given.get("beam") is not None:
            beam = request_fields.whole_number(given, "beam", 1)
            require_in(f"[1, {_MOST_BEAM}]", beam=beam)
            search["beam"] = BeamConfig(beam_size=beam)
        return cls(
            model=request_fields.field(given, "model", str, None),
            sample_rate=rate,
            dtype=_DTYPES[form],
            second_pass=request_fields.field(given, "second_pass", bool, True),
            endpointing=_endpointing(request_fields.field(given, "endpointing", dict, {})),
            search=search,
        )

    @property
    def is_closed(self) -> bool:
        """Whether nothing but the phrases may be said."""
        return self.search.get("only", False)


def _endpointing(given: Mapping[str, Any]) -> EndpointConfig:
    usual = dataclasses.asdict(EndpointConfig())
    request_fields.require_known(given, tuple(usual))
    return EndpointConfig(
        **{name: request_fields.number(given, name, seconds) for name, seconds in usual.items()}
    )
