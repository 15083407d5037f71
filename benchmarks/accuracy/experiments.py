"""What is trained and measured: corpora, and what is made of each."""

import dataclasses
import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import soundfile

from int4_conformer.audio.audio_files import SAMPLE_RATE
from int4_conformer.data.sources.synthetic import synthetic_corpus
from int4_conformer.errors import UserError

# The split of all that is trained on; other splits of our manifests are sets to measure on.
TRAIN = "train"
# Two of the six speakers of fsdd: the last in the alphabet, named before anything was measured.
UNSEEN = ("theo", "yweweler")


@dataclasses.dataclass(frozen=True, kw_only=True)
class Part:
    """A split of a folder, or some of its speakers, and what it is used for."""

    folder: str
    split: str
    # `TRAIN`, or the name of a set to measure on.
    use: str
    # The speakers that are taken, all if none is named; and those that are not.
    speakers: tuple[str, ...] = ()
    left_out: tuple[str, ...] = ()

    def lines(self, data: Path, _: Path) -> Iterator[dict[str, Any]]:
        """Lines of a manifest that may lie anywhere.

        Args:
            data: folder of the corpora.

        Raises:
            UserError: there is no such folder.
        """
        folder = (data / self.folder).resolve()
        manifest = folder / "manifest.jsonl"
        if not manifest.exists():
            raise UserError(f"There is no {manifest}; give the folder of the corpora with --data.")
        for text in manifest.read_text().splitlines():
            line = json.loads(text)
            speaker = line["speaker"]
            if line["split"] != self.split or speaker in self.left_out:
                continue
            if self.speakers and speaker not in self.speakers:
                continue
            yield {
                "audio": str(folder / line["audio"]),
                "text": line["text"],
                "duration": line["duration"],
                "speaker": f"{self.folder}/{speaker}",
                "split": self.use,
            }


@dataclasses.dataclass(frozen=True, kw_only=True)
class SpokenPart:
    """What the synthetic corpus says of a split, and what it is used for."""

    split: str
    count: int
    use: str

    def lines(self, _: Path, output: Path) -> Iterator[dict[str, Any]]:
        """Lines of a manifest; what is spoken is written.

        Args:
            output: folder for recordings.
        """
        folder = (output / self.split).resolve()
        folder.mkdir(parents=True, exist_ok=True)
        for number, utterance in enumerate(synthetic_corpus(self.split, self.count)):
            path = folder / f"{number:04}.flac"
            soundfile.write(path, utterance.samples(), SAMPLE_RATE)
            yield {
                "audio": str(path),
                "text": utterance.text,
                "duration": utterance.duration,
                "speaker": utterance.speaker,
                "split": self.use,
            }


@dataclasses.dataclass(frozen=True, kw_only=True)
class Corpus:
    """What is trained on and measured on, and how long."""

    title: str
    parts: tuple[Part | SpokenPart, ...]
    # Optimizer steps, and those of a training that starts from float weights.
    steps: int
    steps_from_float: int
    batch_seconds: int
    buckets: int = 2
    # As `int4-conformer train` has it, if not given.
    learning_rate: float | None = None
    average: int = 100
    # Flags of `int4-conformer train` for what is heard beside the recordings as they are.
    augmentation: tuple[str, ...] = ()
    seeds: tuple[int, ...] = (0, 1, 2)
    # Sets that are measured once, when all choices are made.
    held_back: tuple[str, ...] = ()

    @property
    def sets(self) -> tuple[str, ...]:
        """Names of the sets to measure on, in order."""
        return tuple(dict.fromkeys(part.use for part in self.parts if part.use != TRAIN))

    def manifest(self, data: Path, output: Path) -> str:
        """A manifest whose splits are `TRAIN` and the sets.

        Args:
            data: folder of the corpora.
            output: folder for recordings that have to be made.
        """
        lines = [line for part in self.parts for line in part.lines(data, output)]
        return "".join(json.dumps(line) + "\n" for line in lines)


# Folders of read English with a training split.
_ENGLISH = (
    "librispeech_train_clean_5",
    "librispeech_train_clean_100_part",
    "librispeech_pseudo",
    "ljspeech_part",
    "kathleen",
    "speechocean762",
    "an4",
    "fsdd",
    "wakewords",
    "custom_commands",
    "coffee_commands",
)
# People speak at other rates and as loud as they like.
_AUGMENTATION = ("--speed_perturbation=0.85..1.2", "--volume_db=20")
CORPORA = {
    "fsdd": Corpus(
        title="FSDD, spoken digits, the speakers of training",
        parts=(
            Part(folder="fsdd", split="train", use=TRAIN),
            Part(folder="fsdd", split="test", use="test"),
        ),
        steps=1500,
        steps_from_float=450,
        batch_seconds=48,
        augmentation=_AUGMENTATION,
    ),
    "fsdd_unseen": Corpus(
        title="FSDD, spoken digits, two speakers left out of training",
        parts=(
            Part(folder="fsdd", split="train", use=TRAIN, left_out=UNSEEN),
            Part(folder="fsdd", split="train", use="unseen", speakers=UNSEEN),
            Part(folder="fsdd", split="test", use="unseen", speakers=UNSEEN),
        ),
        steps=1500,
        steps_from_float=450,
        batch_seconds=48,
        augmentation=_AUGMENTATION,
    ),
    "an4": Corpus(
        title="AN4, spelled names, numbers and dates, other speakers",
        parts=(
            Part(folder="an4", split="train", use=TRAIN),
            Part(folder="an4", split="dev", use="dev"),
        ),
        # After 1000, the loss still falls fast.
        steps=2500,
        steps_from_float=750,
        batch_seconds=96,
        augmentation=_AUGMENTATION,
    ),
    # As `int4-conformer demo` has it.
    "synthetic": Corpus(
        title="The demo: digits and commands of one synthesiser, unseen voices",
        parts=(
            SpokenPart(split="train", count=5000, use=TRAIN),
            SpokenPart(split="test", count=300, use="test"),
        ),
        steps=1500,
        steps_from_float=450,
        batch_seconds=48,
        learning_rate=3e-3,
        average=50,
    ),
    "english": Corpus(
        title="Read English",
        parts=(
            *(Part(folder=folder, split="train", use=TRAIN) for folder in _ENGLISH),
            Part(folder="librispeech_dev_clean_part", split="dev", use="dev_clean_part"),
            Part(folder="librispeech_train_clean_5", split="dev", use="train_clean_5_dev"),
            Part(folder="speechocean762", split="dev", use="speechocean762_dev"),
            Part(folder="librispeech_train_clean_5", split="test", use="train_clean_5_test"),
        ),
        steps=9000,
        steps_from_float=2000,
        batch_seconds=240,
        buckets=4,
        augmentation=_AUGMENTATION,
        seeds=(0,),
        held_back=("train_clean_5_test",),
    ),
}


@dataclasses.dataclass(frozen=True, kw_only=True)
class Variant:
    """A recogniser to make: trained by a recipe, or quantized after training in float32."""

    name: str
    title: str
    # What is done first: 0 before 1 before 2.
    turn: int
    # A recipe of `int4-conformer train`, or one of ai-edge-quantizer for the float32 file.
    recipe: str
    after_training: bool = False
    # Whether training starts from the float32 weights of the same seed.
    from_float: bool = False
    # Bits of the weights, and whether it is a point of the curve of word errors against bytes.
    bits: int
    on_curve: bool = False

    @property
    def needs_float(self) -> bool:
        return self.after_training or self.from_float


ANCHOR = "float"
_MIXED = "benchmarks/accuracy/mixed_4_8.json"


def _trained(name: str, title: str, turn: int, bits: int, **others: Any) -> Variant:
    return Variant(name=name, title=title, turn=turn, bits=bits, **({"recipe": name} | others))


def _quantized(name: str, title: str, bits: int, recipe: str) -> Variant:
    return Variant(name=name, title=title, turn=0, bits=bits, recipe=recipe, after_training=True)


# float32 comes before what is made of it.
VARIANTS = {
    variant.name: variant
    for variant in (
        _trained(ANCHOR, "float32", 0, 32, on_curve=True),
        _quantized("ptq_int8", "int8, after training", 8, "dynamic_wi8_afp32"),
        _quantized("ptq_int4", "int4, after training", 4, "dynamic_wi4_afp32"),
        _trained("w4a8", "4 bits, int8 asymmetric", 0, 4, on_curve=True),
        _trained("w4a8_from_float", "the same, from float32", 1, 4, recipe="w4a8", from_float=True),
        _trained("w8a8", "8 bits, int8 asymmetric", 1, 8, on_curve=True),
        _trained("w2a8", "2 bits, int8 asymmetric", 1, 2, on_curve=True),
        _trained("w4", "4 bits, float", 2, 4),
        _trained("w4a8sym", "4 bits, int8 symmetric", 2, 4),
        _trained("w4a4sym", "4 bits, int4 symmetric", 2, 4),
        _trained("mixed_4_8", "4 and 8 bits, int8 asymmetric", 2, 4, recipe=_MIXED),
        _trained("w4b32_a8d", "4 bits in blocks of 32, int8 asymmetric", 2, 4),
        _trained("w3a8", "3 bits, int8 asymmetric", 2, 3, recipe="w3c_a8d", on_curve=True),
        _trained("w5a8", "5 bits, int8 asymmetric", 3, 5, recipe="w5c_a8d", on_curve=True),
        _trained("w6a8", "6 bits, int8 asymmetric", 3, 6, on_curve=True),
        _trained("w7a8", "7 bits, int8 asymmetric", 3, 7, recipe="w7c_a8d", on_curve=True),
    )
}


@dataclasses.dataclass(frozen=True, kw_only=True)
class Run:
    """A variant on a corpus with a seed."""

    corpus: str
    variant: str
    seed: int

    @property
    def name(self) -> str:
        return f"{self.variant}_{self.seed}"

    @property
    def float_run(self) -> "Run":
        """The run in float32 that it starts from or quantizes."""
        return dataclasses.replace(self, variant=ANCHOR)


def queue(corpora: list[str], variants: list[str], seeds: list[int]) -> list[Run]:
    """All runs in the order in which they are made: what matters most first, and of that each seed
    in turn, so that what there is at any time is balanced.

    Args:
        corpora: names in `CORPORA`, first things first.
        variants: names in `VARIANTS`.
        seeds: those to make, of those that a corpus has.
    """
    order = list(VARIANTS)
    runs = [
        Run(corpus=corpus, variant=variant, seed=seed)
        for corpus in corpora
        for variant in variants
        for seed in seeds
        if seed in CORPORA[corpus].seeds
    ]
    return sorted(
        runs,
        key=lambda run: (
            VARIANTS[run.variant].turn,
            run.seed,
            corpora.index(run.corpus),
            order.index(run.variant),
        ),
    )
