"""Checkpoints that are whole or are not there.

One is `step-N.index` and `step-N.data-*`, as TensorFlow writes it, and `step-N.json` with their
SHA-256 and what is no tensor. That file comes last: a checkpoint without it, or whose files are not
as it says, was never finished or is damaged, and the one before is taken. Folders of before there
were such files are taken as TensorFlow recorded them.
"""

import contextlib
import json
from collections.abc import Iterator, Mapping
from typing import Any

import tensorflow as tf

from int4_conformer.errors import UserError
from int4_conformer.files import sha256_of, write_beside
from int4_conformer.remote_path import AnyPath, remove_tree

# Where a checkpoint is written before it takes its place.
_PARTIAL = "partial"


class Checkpoints:
    """A folder of checkpoints, of which the newest few are kept.

    Args:
        folder: made if needed.
        keep: how many.
        writes: whether `save` does anything.
    """

    def __init__(self, folder: AnyPath, keep: int, writes: bool = True):
        self._folder = folder
        self._keep = keep
        self._writes = writes

    def save(self, checkpoint: tf.train.Checkpoint, step: int, facts: Mapping[str, Any]) -> None:
        """Writes a checkpoint whole or not at all, and forgets the oldest.

        Args:
            checkpoint: what to write.
            step: its number.
            facts: JSON values to keep with it.

        Raises:
            UserError: it cannot be written; those before are as they were.
        """
        if not self._writes:
            return
        name = f"step-{step}"
        partial = self._folder / _PARTIAL
        try:
            remove_tree(partial)
            partial.mkdir(parents=True)
            checkpoint.write(str(partial / name))
            files = sorted(file for file in partial.iterdir() if file.is_file())
            digests = {file.name: sha256_of(file) for file in files}
            for file in files:
                file.replace(self._folder / file.name)
            content = json.dumps({"sha256": digests, **facts})
            write_beside(self._folder / f"{name}.json", content.encode())
        except (OSError, tf.errors.OpError, UserError) as error:
            kept = self.latest()
            before = "there is none before" if kept is None else f"{kept.name} is kept"
            raise UserError(
                f"The checkpoint of step {step} cannot be written to {self._folder} "
                f"({_reason(error)}); {before}. Make room, and give the same command again."
            ) from error
        finally:
            remove_tree(partial)
        self._forget()

    def latest(self) -> AnyPath | None:
        """Path prefix of the newest checkpoint that is whole, or None."""
        whole = next(self.whole(), None)
        if whole is not None:
            return whole
        # What earlier versions wrote, by a manager of TensorFlow's.
        recorded = tf.train.latest_checkpoint(str(self._folder))
        return None if recorded is None else self._folder / recorded.rpartition("/")[2]

    def whole(self) -> Iterator[AnyPath]:
        """Path prefixes of the checkpoints that are whole, newest first."""
        prefixes = [file.with_suffix("") for file in self._folder.glob("step-*.index")]
        return filter(self._is_whole, sorted(prefixes, key=step_of, reverse=True))

    def facts(self, prefix: AnyPath) -> dict[str, Any]:
        """What was kept with a checkpoint; nothing with those of earlier versions."""
        file = prefix.with_suffix(".json")
        return json.loads(file.read_text()) if file.exists() else {}

    def _is_whole(self, prefix: AnyPath) -> bool:
        try:
            digests = json.loads(prefix.with_suffix(".json").read_text())["sha256"]
            return all(sha256_of(self._folder / name) == seal for name, seal in digests.items())
        except (OSError, ValueError, KeyError):
            return False

    def _forget(self) -> None:
        """Removes all but the newest, and what TensorFlow leaves of those it did not finish."""
        sealed = [file.with_suffix("") for file in self._folder.glob("step-*.json")]
        kept = {prefix.name for prefix in sorted(sealed, key=step_of)[-self._keep :]}
        for path in self._folder.glob("step-*"):
            if path.name.split(".")[0] not in kept:
                with contextlib.suppress(OSError):
                    remove_tree(path) if path.is_dir() else path.unlink()


def step_of(prefix: AnyPath) -> int:
    """The step of "step-12"."""
    return int(prefix.name.removeprefix("step-"))


def _reason(error: Exception) -> str:
    if isinstance(error, OSError) and error.strerror:
        return error.strerror
    return str(error).splitlines()[0]
