"""Trains a vocabulary of word pieces on the transcripts of a corpus.

`int4-conformer train --tokenizer=FILE` then uses it in place of single characters. Give both
commands the same --text, --markers and --locale.
"""

import shlex

from absl import flags

from int4_conformer.cli import app, corpora
from int4_conformer.cli.flag_groups import GIVEN, LEARNED, PRINTED, group
from int4_conformer.cli.results import Result
from int4_conformer.data.corpus import normalized, read_corpus
from int4_conformer.errors import UserError
from int4_conformer.files import require_place
from int4_conformer.progress import waiting
from int4_conformer.text.normalize import markers
from int4_conformer.text.wordpieces import Wordpieces
from int4_conformer.text.writing import Writing


def _define_flags(values: flags.FlagValues) -> None:
    with group(values, GIVEN):
        flags.DEFINE_string("manifest", None, "The corpus, as for train.", flag_values=values)
        flags.DEFINE_string("split", "train", "Split to learn from.", flag_values=values)
    corpora.define_reading(values, "skip")
    with group(values, LEARNED):
        flags.DEFINE_integer(
            "vocab_size", None, "Number of pieces, the blank included.", flag_values=values
        )
        app.define_fields(Writing, values)
    with group(values, PRINTED):
        flags.DEFINE_string("output", None, "File to write.", flag_values=values)


def _wordpieces(values: flags.FlagValues, arguments: list[str]) -> Result:
    if arguments:
        raise UserError(f"wordpieces takes flags only. Received: {arguments[0]!r}")
    require_place(values.output)
    writing = Writing(**app.given_fields(Writing, values))
    report = corpora.new_report(values)
    with waiting("reading the corpus", at_once=False):
        read = read_corpus(
            values.manifest, values.split, report, allow_commands=values.allow_commands
        )
        texts = [utterance.text for utterance in normalized(read, report, writing)]
    corpora.show(report)
    with waiting("choosing pieces", at_once=False):
        symbols = sorted({marker for text in texts for marker in markers(text)})
        pieces = Wordpieces.train(texts, values.vocab_size, symbols)
    pieces.save(values.output)
    size = pieces.vocabulary.size
    output = shlex.quote(values.output)
    return Result(
        text=f"{values.output}: {size:,} pieces from {len(texts):,} texts",
        facts={"output": values.output, "pieces": size, "texts": len(texts)},
        next=(
            f"{app.PROGRAM} train --manifest={shlex.quote(values.manifest)} --workdir=run "
            f"--tokenizer={output}",
        ),
    )


COMMAND = app.Command(
    name="wordpieces",
    usage="--manifest=FILE --vocab_size=N --output=FILE [flags]",
    description=__doc__,
    examples=(
        "--manifest=corpus --vocab_size=1024 --output=pieces.model",
        "--manifest=corpus --split=train,dev --vocab_size=256 --output=p.model",
    ),
    define_flags=_define_flags,
    main=_wordpieces,
    has_result=True,
    required=("manifest", "vocab_size", "output"),
)

if __name__ == "__main__":
    app.run(COMMAND)
