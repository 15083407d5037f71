"""The blocks of a page; it needs no TensorFlow.

A block that cannot be run, only by tests of a package that may be absent, or only with a model that
comes with the package, has a comment before it; so has what a reader is to write into a file:

    <!-- not run by the tests: why -->
    <!-- run by the tests of apache_beam -->
    <!-- needs the model commands -->
    <!-- the file phrases.txt -->
"""

import dataclasses
import re
from pathlib import Path

from int4_conformer.pretrained.registry import pretrained_models

_BLOCK = re.compile(
    r"(<!-- not run by the tests: (?P<reason>[^>]+) -->\n"
    r"|<!-- run by the tests of (?P<package>\w+) -->\n"
    r"|<!-- needs the model (?P<model>\w+) -->\n"
    r"|<!-- the file (?P<file>[\w.]+) -->\n)?"
    r"```(?P<language>\w*)\n(?P<code>.*?)^```",
    re.DOTALL | re.MULTILINE,
)
_HEADING = re.compile("^## (.+)$", re.MULTILINE)


@dataclasses.dataclass(frozen=True, kw_only=True)
class Block:
    """What stands between two fences."""

    language: str
    code: str
    # Of its first line, from 1.
    line: int
    # The section that it is in; "" before the first.
    heading: str
    # Why it is not run, or None.
    reason: str | None
    # The package whose tests run it, or None.
    package: str | None
    # The model without which it is not run, or None.
    model: str | None
    # The file that it is, or None.
    file: str | None

    @property
    def is_run(self) -> bool:
        """Whether it is run, or written, with the others of its page."""
        if self.model is not None and self.model not in pretrained_models():
            return False
        return self.reason is None and self.package is None


def blocks(page: Path) -> list[Block]:
    """All of a page."""
    text = page.read_text()
    return [
        Block(
            language=found["language"],
            code=found["code"],
            line=text.count("\n", 0, found.start("code")) + 1,
            heading=(["", *_HEADING.findall(text, 0, found.start())])[-1],
            reason=found["reason"],
            package=found["package"],
            model=found["model"],
            file=found["file"],
        )
        for found in _BLOCK.finditer(text)
    ]


def lines(block: Block) -> list[str]:
    """The commands of a block of a shell."""
    return block.code.replace("\\\n", " ").splitlines()
