"""Parts texts into a recogniser's tokens, to make a language model of.

WORKDIR is a folder that `int4-conformer train` wrote. Each line of the FILEs, or of the standard
input, is normalised as transcripts are and printed as its tokens between spaces, "▁" for a space:

    int4-conformer tokens run corpus.txt | lmplz -o 5 --discount_fallback > lm.arpa
    int4-conformer evaluate run --manifest=corpus --beam=8 --lm=lm.arpa

lmplz is of KenLM; any program that writes ARPA files will do. Lines with symbols that the
recogniser does not know are left out.
"""

import fileinput
import sys

from absl import flags

from int4_conformer.cli import app
from int4_conformer.errors import UserError
from int4_conformer.text.normalize import normalize


def _define_flags(values: flags.FlagValues) -> None:
    """There are none."""


def _tokens(values: flags.FlagValues, arguments: list[str]) -> None:
    if not arguments:
        raise UserError("tokens takes a WORKDIR and text FILEs. Received: 0 arguments")
    folder, *paths = arguments

    from int4_conformer.training.workdir import Workdir

    tokenizer = Workdir(folder).tokenizer()
    pieces, left_out = tokenizer.vocabulary.pieces, 0
    try:
        with fileinput.input(paths or ("-",), encoding="utf-8") as lines:
            for line in lines:
                text = normalize(line)
                try:
                    tokens = tokenizer.encode(text)
                except UserError:
                    left_out += 1
                    continue
                if tokens:
                    print(" ".join(pieces[token] for token in tokens))
    except (OSError, UnicodeDecodeError) as error:
        raise UserError(f"The texts cannot be read ({error}); give UTF-8 files.") from error
    if left_out:
        print(f"left out {left_out:,} lines with symbols outside the vocabulary", file=sys.stderr)


COMMAND = app.Command(
    name="tokens",
    usage="WORKDIR [FILE...]",
    description=__doc__,
    define_flags=_define_flags,
    main=_tokens,
)

if __name__ == "__main__":
    app.run(COMMAND)
