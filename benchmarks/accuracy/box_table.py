"""Tables of what benchmarks/accuracy/compare_box.py heard.

    python benchmarks/accuracy/box_table.py

writes benchmarks/accuracy/BOX.md, and the table between `<!-- words -->` and `<!-- end -->` of the
cards of the package's models. Words are compared as `evaluate --reference_normalizer=numbers` does.
"""

import dataclasses
import json
from pathlib import Path

import numpy as np
from compare_box import RESULTS, SETS
from spelled import spelled
from table import filled

from int4_conformer.evaluation.significance import Interval, wer_interval
from int4_conformer.pretrained.registry import FOLDER, pretrained_models
from int4_conformer.text.metrics import word_errors
from int4_conformer.text.reference_normalizer import compared
from int4_conformer.text.writing import WORDS

PAGE = RESULTS.parents[1] / "BOX.md"
_OTHERS = {"whisper_tiny": "Whisper tiny.en (75 MB)", "pocketsphinx": "pocketsphinx (38 MB)"}
_CLOSED = "-closed"
# Of these sets a model is to hear nothing.
_OTHER_SPEECH = {"commands": ("kathleen", "speechocean762", "dev_clean_part")}
_HEAD = """\
# The models of the package beside others

`python benchmarks/accuracy/compare_box.py --data=PATH --system=NAME` had each system hear the same
recordings of people, and [results/box](results/box) has what was heard. Word errors with 95%
intervals from 10,000 draws of utterances. Numbers count as they are spoken, so that "25" is "twenty
five"; case and punctuation do not count. `make results` makes this page.

`an4` is its development split (speakers kept elsewhere), `fsdd_unseen` all digits of two speakers
that no training heard, `wakewords` its development split (speakers may be those of training),
`custom_commands` and `coffee_commands` tenths that were held back. Errors on `an4` and a fifth of
`wakewords` were watched while a model was trained. Texts of `coffee_commands` are derived, not
transcribed, and were chosen by Whisper's agreement with them, which flatters it.

In "spelled", letters and digits count one by one, so that "VADR 3107" is "v a d r 3 1 0 7". With
"closed list" a system is given all texts of the set, and says one of them. "Other speech" is
sentences of other words, of which a model should hear nothing.
"""


@dataclasses.dataclass(frozen=True, kw_only=True)
class Heard:
    """What a system heard of a set."""

    references: list[str]
    hypotheses: list[str]
    rtf: float

    def words(self, *, is_spelled: bool = False) -> int:
        """How many were said."""
        counted = (self._pair(text, "", is_spelled)[0] for text in self.references)
        return sum(len(text.split()) for text in counted)

    def _pair(self, reference: str, hypothesis: str, is_spelled: bool) -> list[str]:
        if is_spelled:
            return [spelled(reference.lower()), spelled(hypothesis)]
        return [_counted(reference), _counted(hypothesis)]

    def wer(self, *, is_spelled: bool = False) -> Interval:
        errors, words = [], []
        for reference, hypothesis in zip(self.references, self.hypotheses, strict=True):
            pair = self._pair(reference, hypothesis, is_spelled)
            found = word_errors(pair[:1], pair[1:])
            errors.append(found.errors)
            words.append(found.words)
        return wer_interval(np.array(errors), np.array(words))


def _counted(text: str) -> str:
    return compared(text, "numbers", WORDS)


def read(results: Path = RESULTS) -> dict[str, dict[str, Heard]]:
    """Set -> system -> what was heard, in the order of compare_box.py."""
    found: dict[str, dict[str, Heard]] = {}
    for name in SETS:
        for path in sorted(results.glob(f"{name}-*.json")):
            facts = json.loads(path.read_text())
            _, references, hypotheses = zip(*facts["utterances"], strict=True)
            system = path.stem.removeprefix(f"{name}-")
            found.setdefault(name, {})[system] = Heard(
                references=list(references), hypotheses=list(hypotheses), rtf=facts["rtf"]
            )
    return found


def table(sets: dict[str, dict[str, Heard]], models: list[str], *, is_spelled: bool = False) -> str:
    """Rows of sets that one of the models has heard, columns of systems."""
    systems = [name for model in models for name in (model, model + _CLOSED)]
    systems = [name for name in systems if any(name in heard for heard in sets.values())]
    titles = [_title(name) for name in systems] + list(_OTHERS.values())
    rows = [
        f"| recordings | words | {' | '.join(titles)} |",
        "|---" * (len(titles) + 2) + "|",
    ]
    for name, heard in sets.items():
        if not any(model in heard and not _is_other(model, name) for model in models):
            continue
        cells = [
            _percent(heard[system].wer(is_spelled=is_spelled))
            if system in heard and not _is_other(system.removesuffix(_CLOSED), name)
            else ""
            for system in (*systems, *_OTHERS)
        ]
        words = next(iter(heard.values())).words(is_spelled=is_spelled)
        rows.append(f"| {name} | {words:,} | {' | '.join(cells)} |")
    return "\n".join(rows)


def _is_other(model: str, name: str) -> bool:
    return name in _OTHER_SPEECH.get(model, ())


def other_speech(sets: dict[str, dict[str, Heard]], models: list[str]) -> str:
    """Rows of models and sets of which they should hear nothing."""
    rows = ["| model | recordings | utterances | with words | words |", "|---|---|---|---|---|"]
    for model in models:
        for name in _OTHER_SPEECH.get(model, ()):
            if model in sets.get(name, {}):
                hypotheses = sets[name][model].hypotheses
                words = sum(len(text.split()) for text in hypotheses)
                rows.append(
                    f"| `{model}` | {name} | {len(hypotheses)} | {sum(map(bool, hypotheses))} "
                    f"| {words} |"
                )
    return "\n".join(rows)


def _title(system: str) -> str:
    name = system.removesuffix(_CLOSED)
    return f"`{name}`" + (", closed list" if system.endswith(_CLOSED) else "")


def _percent(rate: Interval) -> str:
    return f"{100 * rate.value:.1f}% ({100 * rate.low:.1f} .. {100 * rate.high:.1f})"


def page(sets: dict[str, dict[str, Heard]]) -> str:
    """benchmarks/accuracy/BOX.md."""
    models = list(pretrained_models())
    return "\n".join(
        [
            _HEAD,
            *("## Words\n", table(sets, models), ""),
            *("## Words, spelled\n", table(sets, models, is_spelled=True), ""),
            *("## Other speech\n", other_speech(sets, models), ""),
        ]
    )


def _of(sets: dict[str, dict[str, Heard]], model: str) -> str:
    parts = [table(sets, [model])]
    if any(model in sets.get(name, {}) for name in _OTHER_SPEECH.get(model, ())):
        parts.append(other_speech(sets, [model]))
    return "\n\n".join(parts)


def updated(card: str, sets: dict[str, dict[str, Heard]], model: str) -> str:
    """A card with its table written anew."""
    return filled(card, "words", _of(sets, model))


if __name__ == "__main__":
    SETS_HEARD = read()
    PAGE.write_text(page(SETS_HEARD))
    for MODEL in pretrained_models():
        CARD = FOLDER / f"{MODEL}.md"
        CARD.write_text(updated(CARD.read_text(), SETS_HEARD, MODEL))
    print(PAGE.read_text())
