"""What happens to a corpus between reading and batching."""

import dataclasses

import numpy as np

from int4_conformer.data.corpus import Utterances
from int4_conformer.text.normalize import normalize


def normalized(utterances: Utterances) -> Utterances:
    """The utterances with normalised texts; those without a word are left out."""
    texts = [normalize(utterance.text) for utterance in utterances]
    return [
        utterance if text == utterance.text else dataclasses.replace(utterance, text=text)
        for utterance, text in zip(utterances, texts, strict=True)
        if text
    ]


def hold_out(
    utterances: Utterances, fraction: float, seed: int = 0
) -> tuple[Utterances, Utterances]:
    """Splits a corpus at random into what remains and the part held out, at least one each."""
    order = np.random.default_rng(seed).permutation(len(utterances))
    count = min(max(1, round(fraction * len(utterances))), len(utterances) - 1)
    return [utterances[i] for i in order[count:]], [utterances[i] for i in order[:count]]
