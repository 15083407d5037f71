"""The tutorial as a newcomer has it, who has nothing yet.

    make tutorial        # docs/tutorial_output.md

clones the repository into a folder of its own, without what is not committed, follows tutorial.md
there in one shell, block by block, and writes what each step printed and how long it took. The
environment, and all that is cached, are new. A block that fails ends it with status 1, after what
it printed was written; blocks that need a model which does not come with the package are left out.
"""

import dataclasses
import os
import platform
import re
import shlex
import signal
import subprocess
import sys
import tempfile
import textwrap
import time
from collections.abc import Callable, Iterator
from pathlib import Path

from docs.page_blocks import Block, blocks
from int4_conformer.cores import available_cores
from int4_conformer.progress import duration

ROOT = Path(__file__).parents[1]
PAGE, OUTPUT = ROOT / "docs" / "tutorial.md", ROOT / "docs" / "tutorial_output.md"
# Why the tests do not run what has to be run here.
_SET_UP = "it installs"
# Lines of what a block printed that are shown, at its beginning and at its end.
_SHOWN = 16
# Notes of progress, of which a terminal keeps the last one alone.
_PROGRESS = re.compile(r"( so far\)| left)$")
# Ends what a block prints.
_MARK = "=== the block has ended ==="


@dataclasses.dataclass(frozen=True, kw_only=True)
class Outcome:
    """What a block of a page did."""

    block: Block
    printed: str
    seconds: float
    # Of the processor, of programs that have ended.
    processor_seconds: float
    succeeded: bool


class Shell:
    """One bash, which keeps its folder, its variables and what runs in its background.

    Args:
        folder: where it begins.
    """

    def __init__(self, folder: Path) -> None:
        cache = folder / "cache"
        cache.mkdir()
        self._times = cache / "times"
        # What a newcomer has not set.
        unset = ("PYTHONPATH", "VIRTUAL_ENV", "TF_CPP_MIN_LOG_LEVEL", "MAKEFLAGS", "MAKELEVEL")
        variables = {name: value for name, value in os.environ.items() if name not in unset}
        # pip warns of this machine's package index.
        variables |= {"XDG_CACHE_HOME": str(cache), "PIP_QUIET": "1", "LC_ALL": "C.UTF-8"}
        self._process = subprocess.Popen(
            ["bash", "-e"],
            cwd=folder,
            env=variables,
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            start_new_session=True,
        )
        self._processor_seconds = 0.0

    def run(self, block: Block) -> Outcome:
        """Has it do what a block says."""
        began, processor_before = time.monotonic(), self._processor_seconds
        # Programs must not read the shell's own input, where the next block comes.
        self._process.stdin.write(
            f"{{\n{_command(block)}\n}} < /dev/null\n"
            f"times > {shlex.quote(str(self._times))}; echo '{_MARK}'\n"
        )
        self._process.stdin.flush()
        printed, succeeded = "", False
        for line in self._process.stdout:
            # What was printed last may have had no line end.
            before, mark, _ = line.partition(_MARK)
            printed += before
            if mark:
                # The shell's own times, and those of its programs.
                _, times = self._times.read_text().splitlines()
                self._processor_seconds = sum(map(_seconds, times.split()))
                succeeded = True
                break
        return Outcome(
            block=block,
            printed=printed,
            seconds=time.monotonic() - began,
            processor_seconds=self._processor_seconds - processor_before,
            succeeded=succeeded,
        )

    def end(self) -> None:
        """Ends it, and all that it has started."""
        os.killpg(self._process.pid, signal.SIGKILL)
        self._process.wait()
        self._process.stdin.close()
        self._process.stdout.close()


def follow(page: Path, folder: Path) -> Iterator[Outcome]:
    """Does what a page says, in a folder, until a block fails."""
    shell = Shell(folder)
    try:
        for block in blocks(page):
            is_shown = block.file is None and block.language not in ("python", "sh")
            if not is_shown and (block.is_run or block.reason == _SET_UP):
                outcome = shell.run(block)
                yield outcome
                if not outcome.succeeded:
                    return
    finally:
        shell.end()


def report(outcomes: list[Outcome], circumstances: str, shortened: Callable[[str], str]) -> str:
    """The page of what was printed."""
    steps = list(dict.fromkeys(outcome.block.heading for outcome in outcomes))
    table, parts = [], []
    for step in steps:
        here = [outcome for outcome in outcomes if outcome.block.heading == step]
        seconds = duration(sum(outcome.seconds for outcome in here))
        processor = duration(sum(outcome.processor_seconds for outcome in here))
        table.append(f"| {step} | {seconds} | {processor} |")
        parts += ["", f"## {step}", *(_told(outcome, shortened) for outcome in here)]
    introduction = (
        f"`make tutorial` wrote this page. It followed [the tutorial](tutorial.md) {circumstances}"
    )
    lines = [
        "# What the tutorial printed",
        "",
        textwrap.fill(introduction, width=120),
        "",
        "| step | time | of the processor |",
        "|---|---|---|",
        *table,
        *parts,
    ]
    return "\n".join(lines) + "\n"


def main() -> int:
    commit, date = _git("log", "-1", "--format=%h %cs").split()
    cores, load = available_cores(), os.getloadavg()[0]
    with tempfile.TemporaryDirectory(prefix="tutorial_") as folder:
        clone = Path(folder).resolve() / "int4_conformer"
        _git("clone", "--quiet", str(ROOT), str(clone))
        outcomes = []
        for outcome in follow(clone / "docs" / PAGE.name, clone):
            outcomes.append(outcome)
            print(f"{outcome.block.heading}: {duration(outcome.seconds)}", flush=True)
        circumstances = (
            f"in a fresh clone of commit {commit} of {date}, on {cores} "
            f"{'core' if cores == 1 else 'cores'} of {platform.machine()}. When it began, "
            f"{load:.1f} programs wanted the processor; what it took of it is what it takes when "
            "no others do."
        )
        OUTPUT.write_text(report(outcomes, circumstances, _without(clone)))
    print(OUTPUT)
    return 0 if outcomes[-1].succeeded else 1


def _command(block: Block) -> str:
    """A block as bash has it."""
    if block.file is not None:
        return f"cat > {shlex.quote(block.file)} << 'END_OF_FILE'\n{block.code}END_OF_FILE"
    if block.language == "python":
        return f"python - << 'END_OF_PROGRAM'\n{block.code}END_OF_PROGRAM"
    return block.code


def _told(outcome: Outcome, shortened: Callable[[str], str]) -> str:
    """What a block did, as a part of the page."""
    if outcome.block.file is not None:
        given = f"(writes {outcome.block.file})\n"
    elif outcome.block.language == "python":
        given = "$ python    # the lines of the tutorial\n"
    else:
        given = f"$ {outcome.block.code}".replace("\n", "\n$ ").removesuffix("$ ")
        given = given.replace("\\\n$ ", "\\\n> ")
    lines = [line for line in shortened(outcome.printed).splitlines() if not _PROGRESS.search(line)]
    left_out = len(lines) - 2 * _SHOWN
    if left_out > 1:
        lines[_SHOWN:-_SHOWN] = [f"... {left_out} lines ..."]
    if not outcome.succeeded:
        lines.append("(it failed, and the journey ends here)")
    printed = "".join(f"{line.rstrip()}\n" for line in lines)
    return f"\n{duration(outcome.seconds)}:\n\n```text\n{given}{printed}```"


def _without(clone: Path) -> Callable[[str], str]:
    """What takes the paths of this machine out of a text."""

    def shortened(text: str) -> str:
        for path, name in ((clone, "int4_conformer"), (clone.parent, "..."), (Path.home(), "~")):
            text = text.replace(str(path), name)
        return text

    return shortened


def _seconds(time: str) -> float:
    """Of "1m2.345s"."""
    minutes, seconds = time.rstrip("s").split("m")
    return 60 * int(minutes) + float(seconds)


def _git(*arguments: str) -> str:
    return subprocess.run(
        ["git", *arguments], cwd=ROOT, check=True, stdout=subprocess.PIPE, text=True
    ).stdout


if __name__ == "__main__":
    sys.exit(main())
