"""Work that several processes share."""

import concurrent.futures
import itertools
import multiprocessing
import os
import signal
import threading
from collections.abc import Callable, Iterable, Iterator
from typing import Any, TypeVar

from int4_conformer.errors import UserError

_Task = TypeVar("_Task")
_Result = TypeVar("_Result")

# Seconds between looks at how far the workers are.
_LOOK_SECONDS = 0.5
# Of all workers together: what they have counted. Each process has its own name for it.
_counter: Any = None


def side_by_side(
    work: Callable[[_Task, Callable[[], None]], _Result],
    tasks: Iterable[_Task],
    processes: int,
    on_counted: Callable[[int], None] = lambda count: None,
) -> Iterator[tuple[_Task, _Result]]:
    """What comes of each task, in any order; in this process if there is but one to work.

    Args:
        work: a function of a module, which other processes can import; it is given a task, and
            what to call for each part of it that is to be counted.
        tasks: what it is given.
        processes: that work at a time.
        on_counted: is told now and then how many parts were counted.

    Raises:
        UserError: a process was ended from without.
    """
    tasks = list(tasks)
    if processes == 1 or len(tasks) < 2:
        numbers = itertools.count(1)
        for task in tasks:
            yield task, work(task, lambda: on_counted(next(numbers)))
        return
    # Forks of a process with threads, which libraries start, may hang.
    context = multiprocessing.get_context("spawn")
    counter = context.Value("q", 0)
    pool = concurrent.futures.ProcessPoolExecutor(
        processes, context, initializer=_start_worker, initargs=(counter,)
    )
    try:
        waiting = {pool.submit(_counted, work, task): task for task in tasks}
        while waiting:
            done, _ = concurrent.futures.wait(
                waiting, _LOOK_SECONDS, concurrent.futures.FIRST_COMPLETED
            )
            on_counted(counter.value)
            for future in done:
                yield waiting.pop(future), future.result()
    except concurrent.futures.process.BrokenProcessPool as error:
        raise UserError(
            "A process was ended, perhaps for want of memory; give the command again to go on, "
            "with fewer --processes."
        ) from error
    finally:
        pool.shutdown(cancel_futures=True)


def _start_worker(counter: Any) -> None:
    """Has a worker count with the others, end with the program, and at Ctrl-C without a word."""
    global _counter
    _counter = counter
    signal.signal(signal.SIGINT, signal.SIG_DFL)

    def end_with_parent() -> None:
        multiprocessing.parent_process().join()
        os._exit(1)

    threading.Thread(target=end_with_parent, daemon=True).start()


def _counted(work: Callable[[_Task, Callable[[], None]], _Result], task: _Task) -> _Result:
    return work(task, _count)


def _count() -> None:
    with _counter.get_lock():
        _counter.value += 1
