"""The Python and shell blocks of a page, run in their order as a reader would.

The Python blocks of a page share their names; which blocks are not run, `page_blocks` says. Three
things differ from what a reader does: presets have the sizes of the tests' recognisers,
`int4-conformer train` takes two steps, of four phrases if it has those spoken, and a server listens
at a port that is free. XLA compiles nothing, which would take longer than all else.
"""

import contextlib
import dataclasses
import shlex
import subprocess
from pathlib import Path

import tensorflow as tf

from docs.page_blocks import blocks, lines
from int4_conformer import xla
from int4_conformer.models import presets
from tests.support import commands, pairs, running, servers, tiny

LANGUAGES = {"python", "sh"}
PRESETS = {
    "tiny": presets.Preset(encoder=tiny.ENCODER, joint_dim=tiny.JOINT_DIM),
    "cascaded_tiny": presets.Preset(joint_dim=tiny.JOINT_DIM, **pairs.ENCODERS["cascade"]),
}
SHORT = ("--steps=2", "--noxla", "--warmup=1", "--batch_seconds=1", "--buckets=1")

# Where a server of these pages listens.
_ADDRESS = "localhost:8000"
# What stands in for KenLM: a model that knows all tokens.
_ARPA = "\\data\\\nngram 1={count}\n\n\\1-grams:\n{lines}\n\n\\end\\\n"


def small(patch):
    """Has presets the sizes of the tests' recognisers, and XLA compile nothing; what is cached lies
    in the current folder. `patch` is pytest's."""
    patch.setenv("XDG_CACHE_HOME", str(Path.cwd()))
    for name, sizes in PRESETS.items():
        patch.setitem(presets.PRESETS, name, sizes)
    function = tf.function
    patch.setattr(tf, "function", lambda *args, jit_compile=None, **kw: function(*args, **kw))


def run(page: Path, patch):
    """Runs those in the current folder; `patch` is pytest's."""
    small(patch)
    names = {"__name__": "__main__"}
    with xla.without_pieces(), contextlib.ExitStack() as stack:
        address = _ADDRESS
        for block in blocks(page):
            content = block.code.replace(_ADDRESS, address)
            if block.file is not None:
                Path(block.file).write_text(block.code, "utf-8")
            elif block.is_run and block.language == "python":
                # Empty lines before it, so that a traceback has the page's line.
                code = "\n" * (block.line - 1) + content
                exec(compile(code, page, "exec"), names)
            elif block.is_run and block.language == "sh":
                for line in lines(dataclasses.replace(block, code=content)):
                    if line.endswith(" &"):
                        address = stack.enter_context(_serving(line))
                    else:
                        _run_line(line)


@contextlib.contextmanager
def _serving(line):
    """The address of a server, "int4-conformer serve MODEL &"."""
    program, command, model, *arguments, _ = shlex.split(line)
    assert (program, command) == ("int4-conformer", "serve"), line
    with servers.process(*arguments, model=Path(model).resolve()) as server:
        yield server.url.removeprefix("http://")
        assert server.end()[-1]["event"] == "ended"


def _run_line(line):
    """A command, perhaps with "< FILE" or "> FILE" behind it."""
    words, output, given = shlex.split(line, comments=True), None, None
    if words[-2:-1] == [">"]:
        *words, _, output = words
    if words[-2:-1] == ["<"]:
        *words, _, given = words
    program, *arguments = words
    if program == "curl":
        command = ["curl", "--fail-with-body", *arguments]
        subprocess.run(command, check=True, stdout=subprocess.DEVNULL)
        return
    if program == "lmplz":
        tokens = {"<s>", "</s>", *Path(given).read_text("utf-8").split()}
        lines = "\n".join(f"-1\t{token}" for token in sorted(tokens))
        printed = _ARPA.format(count=len(tokens), lines=lines)
    else:
        assert program == "int4-conformer", line
        context = contextlib.nullcontext()
        if arguments[0] == "train":
            arguments += SHORT
            if any(argument.startswith("--phrases=") for argument in arguments):
                arguments.append("--utterances=4")
            context = running.eagerly()
        with context:
            result = commands.run(*arguments, given=given)
        assert result.status == 0, f"{line}\n{result.err}"
        printed = result.out
    if output is not None:
        Path(output).write_text(printed, "utf-8")
