"""What a verification found, for people and for programs."""

import dataclasses
from collections.abc import Sequence
from typing import Any

from int4_conformer.export.forward_comparison import BOUND, LOOP_BOUND, SignatureComparison
from int4_conformer.export.recognizer_verification import RecognizerVerification
from int4_conformer.export.transcript_comparison import OtherTokens
from int4_conformer.tables import columns

# Differences that are shown one by one.
_SHOWN = 20


@dataclasses.dataclass(frozen=True, kw_only=True)
class VerificationReport:
    """A file against a training folder."""

    file: str
    folder: str
    # "best" or "last", and its step.
    checkpoint: str
    step: int
    recipe: str
    found: RecognizerVerification
    # Utterances whose tokens were compared, and those in which they are not the same.
    utterances: int = 0
    others: tuple[OtherTokens, ...] = ()

    @property
    def differences(self) -> tuple[str, ...]:
        """Sentences on what is not as it should be; none if the file is the model."""
        tokens = [
            f"in {other.utterance} the file has {other.file!r} and the model {other.model!r}"
            for other in self.others
            if not other.is_tie
        ]
        return (*self.found.differences, *tokens)

    def to_json(self) -> dict[str, Any]:
        """A dict that JSON can hold."""
        found = self.found
        return {
            "file": self.file,
            "folder": self.folder,
            "checkpoint": {"kind": self.checkpoint, "step": self.step},
            "recipe": self.recipe,
            "verified": not self.differences,
            "differences": list(self.differences),
            "weights": {
                "by_bits": {str(bits): len(names) for bits, names in found.weights.items()},
                "float_matrices": len(found.matrices),
                "unequal": sorted(found.unequal),
            },
            "kernels": dict(found.kernels),
            "bounds": {"outputs": BOUND, "behind_loops": LOOP_BOUND},
            "signatures": [dataclasses.asdict(x) for x in found.signatures],
            "transcripts": {
                "utterances": self.utterances,
                "equal": self.utterances - len(self.others),
                "ties": sum(other.is_tie for other in self.others),
                "others": [dataclasses.asdict(other) for other in self.others],
            },
        }

    def text(self) -> str:
        """For people."""
        parts = [
            f"{self.file} against {self.folder}, checkpoint {self.checkpoint} of step "
            f"{self.step:,}, recipe {self.recipe}",
            "\n".join([self._weights(), self._kernels(), *self._transcripts()]),
            self._outputs(),
        ]
        shown = [f"different: {line}" for line in self.differences[:_SHOWN]]
        if more := len(self.differences) - _SHOWN:
            shown += [f"and {more:,} more"] if more > 0 else []
        parts.append("\n".join(shown) if shown else "No difference.")
        return "\n\n".join(parts)

    def _weights(self) -> str:
        counts = [f"{len(names):,} of {bits} bits" for bits, names in self.found.weights.items()]
        if self.found.matrices:
            counts.append(f"{len(self.found.matrices):,} in float32")
        unequal = len(self.found.unequal)
        verdict = f"{unequal:,} differ" if unequal else "equal to the bit"
        return f"weights: {', '.join(counts) or 'none that have names'}: {verdict}"

    def _kernels(self) -> str:
        counts = [f"{count:,} on {name}" for name, count in sorted(self.found.kernels.items())]
        return f"matmuls with integer weights: {', '.join(counts) or 'none'}"

    def _transcripts(self) -> list[str]:
        if not self.utterances:
            return []
        ties = sum(other.is_tie for other in self.others)
        line = (
            f"transcripts: {self.utterances:,} utterances, "
            f"{self.utterances - len(self.others):,} of the same tokens"
        )
        if ties:
            margin = max(other.margin for other in self.others if other.is_tie)
            line += (
                f", {ties:,} where the model finds the file's as good as its own (within "
                f"{margin:.2g} nats)"
            )
        return [line]

    def _outputs(self) -> str:
        return columns(
            ("signature", "calls", "off by", "codes", "at a border", "behind loops", "calls off"),
            [_row(found) for found in self.found.signatures],
            "<>>>>>>",
        )


def _row(found: SignatureComparison) -> Sequence[str]:
    return (
        found.signature,
        f"{found.calls:,}",
        f"{found.distance:.1e}",
        f"{found.agreement.codes:,}",
        f"{found.agreement.flipped:,}",
        f"{found.loop_distance:.1e}",
        f"{found.loop_calls:,}",
    )
