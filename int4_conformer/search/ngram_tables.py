r"""An n-gram language model over a recogniser's own tokens, read from a file.

It comes from an ARPA file, as KenLM's `lmplz` and SRILM write them, whose words are the tokens of
the model's vocabulary, "▁" for a space: `int4-conformer tokens` writes texts so. kaldilm makes an
automaton of the file, with a state for each history and an arc for each n-gram; a history that has
no arc for a token backs off to a shorter one.

    log p(token | history) = log_prob(history, token)             where there is such an n-gram,
                             backoff(history) + log p(token | history without its first token)
"""

import dataclasses
import importlib.util
import os
import re
import subprocess
import sys
import tempfile
from pathlib import Path
from typing import Any, TypeVar

import numpy as np

from int4_conformer.errors import UserError
from int4_conformer.text.vocabulary import Vocabulary

_Tables = TypeVar("_Tables", bound="NGramTables")

_EPSILON = "<eps>"
# What else than tokens the words of an ARPA file are, and how kaldilm is to name backing off.
_BACKOFF, _BEGIN, _END, _UNKNOWN = "#0", "<s>", "</s>", "<unk>"


@dataclasses.dataclass(frozen=True, kw_only=True, eq=False)
class NGramTables:
    """Arcs and histories of a model; log-probabilities are natural."""

    # int64 [arcs], state * vocab + token, ascending; and of each the state that follows, int32, and
    # the log-probability, float32.
    arcs: np.ndarray
    following: np.ndarray
    log_probs: np.ndarray
    # Of each state the one with a shorter history, int32 [states], and what going there costs,
    # float32 [states].
    shorter: np.ndarray
    backoff: np.ndarray
    # float32 [states], log-probability of the text's end.
    ended: np.ndarray
    # Log-probability of a token that the file does not know, where all histories fail.
    unknown: float
    # Symbols of the recogniser, the blank included.
    vocab: int
    # Before the first token.
    start: int
    # Histories that a token may have to try.
    order: int

    @classmethod
    def read(cls: type[_Tables], path: str | os.PathLike, vocabulary: Vocabulary) -> _Tables:
        """The model of an ARPA file.

        A token that the file does not have is as probable as its "<unk>" or, if there is none, as
        its least probable token.

        Args:
            path: the file.
            vocabulary: of the recogniser.

        Raises:
            UserError: kaldilm is not installed, there is no such file, it is no ARPA file, or most
                of its words are no tokens of the vocabulary.
        """
        if not Path(path).is_file():
            raise UserError(f"There is no language model {path}; give an ARPA file.")
        automaton = _automaton(path, vocabulary)
        return cls(**_parsed(automaton, path, vocabulary.size))


def _automaton(path: str | os.PathLike, vocabulary: Vocabulary) -> str:
    """What kaldilm makes of the file: lines "from to token token cost" and "state cost"."""
    if importlib.util.find_spec("kaldilm") is None:
        raise UserError(
            "Language models need kaldilm; install it with pip install 'int4-conformer[lm]'."
        )
    names = [_EPSILON, *vocabulary.pieces[1:], _BACKOFF, _BEGIN, _END, _UNKNOWN]
    with tempfile.TemporaryDirectory() as folder:
        table = Path(folder) / "tokens"
        table.write_text("".join(f"{name} {index}\n" for index, name in enumerate(names)), "utf-8")
        # In a process of its own: it aborts where it does not understand a file.
        result = subprocess.run(
            [
                *(sys.executable, "-m", "kaldilm", f"--disambig-symbol={_BACKOFF}"),
                *(
                    f"--read-symbol-table={table}",
                    "--max-arpa-warnings=0",
                    str(Path(path).resolve()),
                ),
            ],
            capture_output=True,
            encoding="utf-8",
            errors="replace",
            check=False,
        )
    if result.returncode:
        reasons = re.findall(r"^\[E\] (.*?)\.?$", result.stderr, re.MULTILINE)
        reason = f" ({reasons[-1]})" if reasons else ""
        raise UserError(f"{path} is no ARPA file{reason}; write one with lmplz, for example.")
    return result.stdout


def _parsed(automaton: str, path: str | os.PathLike, vocab: int) -> dict[str, Any]:
    """The tables of kaldilm's automaton."""
    unknown_token = vocab + 3
    arcs: dict[tuple[int, int], tuple[int, float]] = {}
    shorter: dict[int, int] = {}
    backoff: dict[int, float] = {}
    ended: dict[int, float] = {}
    start = None
    for line in automaton.splitlines():
        fields = line.split()
        if not fields:
            continue
        state = int(fields[0])
        start = state if start is None else start
        if len(fields) < 4:
            ended[state] = -float(fields[1]) if len(fields) == 2 else 0.0
            continue
        target, token = int(fields[1]), int(fields[2])
        log_prob = -float(fields[4]) if len(fields) == 5 else 0.0
        if token == vocab:
            shorter[state], backoff[state] = target, log_prob
        else:
            arcs[state, token] = target, log_prob
    empty = start
    while empty in shorter:
        empty = shorter[empty]
    known = {token: arcs[state, token][1] for state, token in arcs if state == empty}
    unknown = known.pop(unknown_token, None)
    _require_tokens(path, len(known))
    arcs = {place: arc for place, arc in sorted(arcs.items()) if place[1] < vocab}

    states = 1 + max(max(state for state, _ in arcs), max(to for to, _ in arcs.values()))
    places = np.array(list(arcs), np.int64)
    order, ends = _histories(states, shorter, backoff, ended)
    return {
        "arcs": places[:, 0] * vocab + places[:, 1],
        "following": np.array([target for target, _ in arcs.values()], np.int32),
        "log_probs": np.array([log_prob for _, log_prob in arcs.values()], np.float32),
        "shorter": np.array([shorter.get(state, empty) for state in range(states)], np.int32),
        "backoff": np.array([backoff.get(state, 0.0) for state in range(states)], np.float32),
        "ended": np.array(ends, np.float32),
        "unknown": float(min(known.values()) if unknown is None else unknown),
        "vocab": vocab,
        "start": start,
        "order": order,
    }


def _histories(
    states: int, shorter: dict[int, int], backoff: dict[int, float], ended: dict[int, float]
) -> tuple[int, list[float]]:
    """The most histories that a state may try, and of each state the cost of the text's end."""
    depths, ends = [], []
    for state in range(states):
        depth, total, tried = 1, 0.0, state
        while tried not in ended and tried in shorter:
            total += backoff[tried]
            tried = shorter[tried]
        ends.append(total + ended[tried] if tried in ended else 0.0)
        while state in shorter:
            depth, state = depth + 1, shorter[state]
        depths.append(depth)
    return max(depths), ends


def _require_tokens(path: str | os.PathLike, known: int) -> None:
    """Refuses a file most of whose words are no tokens."""
    with Path(path).open(encoding="utf-8", errors="replace") as file:
        counts = (re.fullmatch(r"ngram\s+1\s*=\s*(\d{1,18})\s*", line) for line in file)
        count = next(filter(None, counts), None)
    if count is None:
        raise UserError(
            f'{path} does not say how many words it has; it needs a line "ngram 1=COUNT".'
        )
    words = int(count[1])
    # The marks of a text's begin and end and of unknown words are no tokens.
    if known == 0 or known < (words - 3) / 2:
        raise UserError(
            f"{path} knows {known} of the model's tokens among {words} words; make it "
            "of texts that `int4-conformer tokens` has parted into tokens."
        )
