"""Work that several processes share."""

import concurrent.futures
import multiprocessing
import os
import signal
import threading
from collections.abc import Callable, Iterable, Iterator
from typing import TypeVar

from int4_conformer.errors import UserError

_Task = TypeVar("_Task")
_Result = TypeVar("_Result")


def side_by_side(
    work: Callable[[_Task], _Result], tasks: Iterable[_Task], processes: int
) -> Iterator[tuple[_Task, _Result]]:
    """What comes of each task, in any order; in this process if there is but one to work.

    Args:
        work: a function of a module, which other processes can import.
        tasks: what it is given.
        processes: that work at a time.

    Raises:
        UserError: a process was ended from without.
    """
    tasks = list(tasks)
    if processes == 1 or len(tasks) < 2:
        for task in tasks:
            yield task, work(task)
        return
    # Forks of a process with threads, which libraries start, may hang.
    context = multiprocessing.get_context("spawn")
    pool = concurrent.futures.ProcessPoolExecutor(processes, context, initializer=_start_worker)
    try:
        waiting = {pool.submit(work, task): task for task in tasks}
        for future in concurrent.futures.as_completed(waiting):
            yield waiting[future], future.result()
    except concurrent.futures.process.BrokenProcessPool as error:
        raise UserError(
            "A process was ended, perhaps for want of memory; give the command again to go on, "
            "with fewer --processes."
        ) from error
    finally:
        pool.shutdown(cancel_futures=True)


def _start_worker() -> None:
    """Has a worker end with the program, and at Ctrl-C without a word."""
    signal.signal(signal.SIGINT, signal.SIG_DFL)

    def end_with_parent() -> None:
        multiprocessing.parent_process().join()
        os._exit(1)

    threading.Thread(target=end_with_parent, daemon=True).start()
