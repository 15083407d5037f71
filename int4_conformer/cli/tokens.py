"""Splits texts into a recogniser's tokens, to make a language model from.

WORKDIR is a folder that `int4-conformer train` wrote. Each line of the FILEs, or of the standard
input, is normalised as transcripts are and printed as its tokens between spaces, "▁" for a space.
From these, lmplz (of KenLM) or any other program that writes ARPA files makes a language model, for
--lm of `int4-conformer evaluate` and `transcribe`. Lines with symbols that the recogniser does not
know are left out.
"""

import fileinput
from collections.abc import Iterator
from pathlib import Path

from absl import flags

from int4_conformer.cli import app
from int4_conformer.errors import UserError
from int4_conformer.text.tokenizer import tokenizer_from_config
from int4_conformer.training.run_folder import read_run_config


def _define_flags(values: flags.FlagValues) -> None:
    """There are none."""


def _tokens(values: flags.FlagValues, arguments: list[str]) -> None:
    if not arguments:
        raise UserError("tokens takes a WORKDIR and text FILEs. Received: 0 arguments")
    folder, *paths = arguments
    tokenizer = tokenizer_from_config(read_run_config(Path(folder))["tokenizer"])
    pieces, left_out = tokenizer.vocabulary.pieces, 0
    for line in _lines(paths):
        try:
            tokens = tokenizer.encode(tokenizer.writing.of(line))
        except UserError:
            left_out += 1
            continue
        if tokens:
            print(" ".join(pieces[token] for token in tokens))
    if left_out:
        app.tell(f"{left_out:,} lines with symbols outside the vocabulary were left out.")


def _lines(paths: list[str]) -> Iterator[str]:
    """The lines of all files, or of the standard input."""
    with fileinput.input(paths or ("-",), encoding="utf-8") as lines:
        try:
            yield from lines
        except OSError as error:
            raise UserError(
                f"The text {error.filename} cannot be read ({error.strerror}); check the path."
            ) from error
        except UnicodeDecodeError as error:
            raise UserError(
                f"The text {lines.filename()} is not UTF-8 ({error.reason}); save it as UTF-8."
            ) from error


COMMAND = app.Command(
    name="tokens",
    usage="WORKDIR [FILE...]",
    description=__doc__,
    examples=(
        "run corpus.txt | lmplz -o 5 --discount_fallback > lm.arpa",
        "run < corpus.txt > tokens.txt",
    ),
    define_flags=_define_flags,
    main=_tokens,
)

if __name__ == "__main__":
    app.run(COMMAND)
