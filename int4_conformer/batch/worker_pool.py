"""Processes that recognise, each with a recogniser of its own."""

import contextlib
import dataclasses
import multiprocessing
import os
import signal
from collections import deque
from collections.abc import Iterable, Iterator
from multiprocessing import connection

from int4_conformer.batch.audio_inputs import Recording
from int4_conformer.batch.shard_formats import Row
from int4_conformer.batch.transcriber import Transcriber, TranscriberConfig, failed
from int4_conformer.errors import UserError

# Recordings of one file, that one worker hears.
Task = tuple[Recording, ...]

# Tasks that a worker has: what it is at, and what follows without waiting for the parent.
_AHEAD = 2


class WorkerPool:
    """Workers that take tasks as they become free.

    A worker that dies, of a file that makes a library crash or of a lack of memory, costs the
    recordings that it was at; another one takes its place. Workers end with the process that has
    started them, also if that is killed.

    Use as a context manager.

    Args:
        count: of workers.
        model: the `.tflite` file.
        config: how recordings are heard.
    """

    def __init__(self, count: int, model: str, config: TranscriberConfig) -> None:
        self._arguments = (os.fspath(model), config)
        self._count = count
        self._workers: list[_Worker] = []

    def __enter__(self) -> "WorkerPool":
        return self

    def __exit__(self, *_: object) -> None:
        for worker in self._workers:
            worker.stop()
        self._workers.clear()

    def start(self) -> None:
        """Starts the workers, if they are not, and waits for one.

        Raises:
            UserError: the model or a setting is no good, or memory is short.
        """
        if not self._workers:
            self._workers = [_Worker(*self._arguments) for _ in range(self._count)]
            self._workers[0].get_ready()

    def results(self, tasks: Iterable[Task]) -> Iterator[tuple[Task, list[Row]]]:
        """What becomes of tasks, as they are done, in any order.

        Raises:
            UserError: as `start`.
        """
        waiting = iter(tasks)
        again: deque[Task] = deque()

        def give(worker: _Worker) -> None:
            while len(worker.tasks) < _AHEAD:
                task = again.popleft() if again else next(waiting, None)
                if task is None:
                    return
                worker.give(task)

        self.start()
        for worker in self._workers:
            give(worker)
        while busy := {worker.connection: worker for worker in self._workers if worker.tasks}:
            for ready in connection.wait(list(busy)):
                worker = busy[ready]
                if not worker.is_ready:
                    worker.get_ready()
                    continue
                try:
                    rows = worker.rows()
                except _WorkerDiedError as death:
                    lost, *rest = worker.tasks
                    again.extend(rest)
                    self._workers.remove(worker)
                    worker = _Worker(*self._arguments)
                    self._workers.append(worker)
                    yield lost, [failed(recording, death.of(recording)) for recording in lost]
                else:
                    yield worker.tasks.popleft(), rows
                give(worker)


class _WorkerDiedError(Exception):
    """A worker has ended by itself."""

    def __init__(self, exit_code: int | None) -> None:
        super().__init__(exit_code)
        self.how = f"exit status {exit_code}"
        if exit_code is not None and exit_code < 0:
            with contextlib.suppress(ValueError):
                self.how = signal.Signals(-exit_code).name

    def of(self, recording: Recording) -> str:
        """The sentence about what it was at."""
        return (
            f"{recording.audio} could not be recognised: the process that heard it ended "
            f"({self.how}), perhaps for lack of memory; try it alone, or leave it out."
        )


@dataclasses.dataclass(eq=False)
class _Worker:
    """A process, and what it has been given."""

    model: str
    config: TranscriberConfig
    tasks: deque[Task] = dataclasses.field(default_factory=deque)

    def __post_init__(self) -> None:
        # What a fork would bring along, threads of libraries among it, does not go on in the child.
        context = multiprocessing.get_context("spawn")
        self.connection, theirs = context.Pipe()
        self._process = context.Process(
            target=_work, args=(theirs, self.model, self.config), daemon=True
        )
        self._process.start()
        theirs.close()
        self.is_ready = False

    def give(self, task: Task) -> None:
        """Gives it one more task."""
        self.tasks.append(task)
        # If it has died, that is found where its rows are asked for.
        with contextlib.suppress(BrokenPipeError, ConnectionResetError):
            self.connection.send(task)

    def get_ready(self) -> None:
        """Waits until it can take tasks.

        Raises:
            UserError: it cannot.
        """
        try:
            received = self._received()
        except _WorkerDiedError as death:
            raise UserError(
                f"A worker ended as it started ({death.how}); take fewer workers if memory is "
                'short, and in a program call this below `if __name__ == "__main__":`.'
            ) from None
        if isinstance(received, UserError):
            raise received
        self.is_ready = True

    def rows(self) -> list[Row]:
        """Those of its first task; waits for them.

        Raises:
            _WorkerDiedError: it has ended.
        """
        return self._received()

    def _received(self) -> list[Row] | UserError | None:
        try:
            return self.connection.recv()
        except (EOFError, ConnectionResetError):
            self._process.join()
            raise _WorkerDiedError(self._process.exitcode) from None

    def stop(self) -> None:
        """Ends it."""
        self.connection.close()
        self._process.terminate()
        self._process.join()


def _work(parent: connection.Connection, model: str, config: TranscriberConfig) -> None:
    """What a worker does, until its parent ends."""
    # Ctrl-C goes to all processes of a terminal; the parent ends the others.
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    if os.environ.get("TF_CPP_MIN_LOG_LEVEL") != "0":
        # What libraries in C++ write is not for the user.
        os.dup2(os.open(os.devnull, os.O_WRONLY), 2)
    with contextlib.suppress(EOFError, BrokenPipeError, ConnectionResetError):
        try:
            transcriber = Transcriber(model, config)
        except UserError as error:
            parent.send(error)
            return
        parent.send(None)
        while True:
            parent.send(list(transcriber.rows(parent.recv())))
