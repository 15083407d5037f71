"""What a recogniser asks of its file: whole utterances, the passes of a stream, networks."""

import numpy as np

from int4_conformer import interface
from int4_conformer.errors import UserError
from int4_conformer.lite.file_network import FileNetwork, Run
from int4_conformer.lite.long_audio import LONGEST_SECONDS
from int4_conformer.lite.recognizer_file import RecognizerFile
from int4_conformer.lite.stream_search import StreamSearch
from int4_conformer.lite.utterance_passes import Pass, UtterancePasses


class FileSignatures:
    """The signatures of a file, with the inputs that they take."""

    def __init__(self, file: RecognizerFile) -> None:
        self._file = file
        self.metadata = file.metadata
        self.names = file.signatures

    def run(self, name: str) -> Run:
        """A signature, which takes turns with the others."""
        return self._file.run(name)

    @property
    def longest(self) -> int:
        """Samples of the longest utterance that one call hears."""
        return self.metadata.fixed_samples or int(LONGEST_SECONDS * self.metadata.sample_rate)

    def whole(self, pcm: np.ndarray) -> dict[str, np.ndarray]:
        """The inputs of a signature that hears a whole utterance, padded with silence.

        Args:
            pcm: float32 [samples] at the model's rate.

        Raises:
            UserError: it is longer than one call hears.
        """
        if pcm.size > self.longest:
            rate = self.metadata.sample_rate
            raise UserError(
                f"One call of this file hears {self.longest / rate:g} s at most; `recognize` and "
                "`transcribe` hear recordings of any length. Received: "
                f"{pcm.size / rate:.2f} s"
            )
        fixed = self.metadata.fixed_samples
        if fixed is None:
            missing = -pcm.size % self.metadata.block_samples
            return {interface.PCM: np.pad(pcm, (0, missing))}
        return {
            interface.PCM: np.pad(pcm, (0, fixed - pcm.size)),
            interface.LENGTH: np.array([pcm.size], np.int32),
        }

    def network(self) -> FileNetwork:
        """The prediction and joint networks, which searches ask."""
        return FileNetwork(
            self.run(interface.PREDICT),
            self.run(interface.JOIN),
            self._file.inputs(interface.PREDICT),
        )

    def passes(self, search: StreamSearch | None, *, second_pass: bool = True) -> UtterancePasses:
        """The passes of a stream.

        Args:
            search: of the last pass; None for the greedy one.
            second_pass: whether the second of two runs, too.

        Raises:
            UserError: the file has none, or is of before tokens had frames.
        """
        frame_seconds = self.frame_seconds()
        if interface.FIRST_PASS not in self.names:
            raise UserError(
                "This model hears whole utterances only; train one whose encoder has a chunk and a "
                "left context, such as the preset streaming_s."
            )
        second = None
        if second_pass and interface.SECOND_PASS in self.names:
            second = self._pass(interface.SECOND_PASS, interface.ENCODED)
        return UtterancePasses(
            self._pass(interface.FIRST_PASS, interface.PCM),
            second,
            self.metadata.vocabulary,
            self.metadata.block_samples,
            frame_seconds,
            search,
        )

    def frame_seconds(self) -> float:
        """Seconds from one encoder frame to the next.

        Raises:
            UserError: the file is of before tokens had frames.
        """
        if self.metadata.frame_samples is None:
            raise UserError(
                "This file was exported before words had times; export the model again."
            )
        return self.metadata.frame_samples / self.metadata.sample_rate

    def _pass(self, name: str, given: str) -> Pass:
        return Pass(self.run(name), self._file.inputs(name), given)
