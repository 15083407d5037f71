"""Batches of requests, put together and taken apart as TF Serving's `batching_session.cc` does."""

import concurrent.futures
import queue
import threading
import time
from collections.abc import Callable, Mapping

import numpy as np

from tests.serving.server_configs import Batching

Arrays = dict[str, np.ndarray]


class InvalidBatchError(ValueError):
    """A request that cannot be put into a batch."""


class Batcher:
    """Batches requests of one kind: those that have and want tensors of the same names.

    Args:
        run: answers a batch.
        batching: how.
    """

    def __init__(self, run: Callable[[Arrays], Arrays], batching: Batching):
        self._run = run
        self._batching = batching
        self._waiting: queue.Queue = queue.Queue()
        # Rows of each batch that was run.
        self.sizes: list[int] = []
        # What was taken from the queue and did not fit into the batch before.
        self._left = None
        self._lock = threading.Lock()
        for _ in range(batching.threads):
            threading.Thread(target=self._work, daemon=True).start()

    def __call__(self, inputs: Arrays) -> Arrays:
        """Answers a request, when a batch that it is part of was run."""
        sizes = {value.shape[0] if value.ndim else None for value in inputs.values()}
        if len(sizes) != 1 or None in sizes:
            raise InvalidBatchError(
                "Batching Run() input tensors must have equal 0th-dimension size"
            )
        (size,) = sizes
        if size > self._batching.max_batch_size:
            raise InvalidBatchError(
                f"Task size {size} is larger than maximum input batch size "
                f"{self._batching.max_batch_size}"
            )
        answer: concurrent.futures.Future = concurrent.futures.Future()
        self._waiting.put((inputs, size, answer))
        return answer.result()

    def _work(self) -> None:
        while True:
            tasks = self._next_batch()
            try:
                answers = self._answers([(inputs, size) for inputs, size, _ in tasks])
            except Exception as error:
                for _, _, answer in tasks:
                    answer.set_exception(error)
            else:
                for (_, _, answer), outputs in zip(tasks, answers, strict=True):
                    answer.set_result(outputs)

    def _next_batch(self) -> list[tuple]:
        # One thread at a time gathers a batch; others run those before.
        with self._lock:
            first = self._left or self._waiting.get()
            self._left = None
            tasks, rows = [first], first[1]
            end = time.monotonic() + self._batching.timeout_seconds
            while rows < self._batching.max_batch_size:
                try:
                    task = self._waiting.get(timeout=max(0.0, end - time.monotonic()))
                except queue.Empty:
                    break
                if rows + task[1] > self._batching.max_batch_size:
                    self._left = task
                    break
                tasks.append(task)
                rows += task[1]
            return tasks

    def _answers(self, tasks: list[tuple[Arrays, int]]) -> list[Arrays]:
        sizes = [size for _, size in tasks]
        rows = sum(sizes)
        self.sizes.append(rows)
        allowed = [size for size in self._batching.allowed_sizes if size >= rows]
        missing = min(allowed, default=rows) - rows
        merged = {
            name: _merged([inputs[name] for inputs, _ in tasks], missing, self._batching.pads)
            for name in tasks[0][0]
        }
        outputs = self._run(merged)
        for name, value in outputs.items():
            if not value.ndim or value.shape[0] != rows + missing:
                raise InvalidBatchError(
                    f"Batched output tensor's 0th dimension does not equal the sum: {name}"
                )
        ends = np.cumsum(sizes)
        parts = {name: np.split(value, ends)[: len(sizes)] for name, value in outputs.items()}
        return [
            {name: values[place] for name, values in parts.items()} for place in range(len(tasks))
        ]


def _merged(values: list[np.ndarray], missing: int, pads: bool) -> np.ndarray:
    if pads:
        largest = np.max([value.shape[1:] for value in values], axis=0, initial=0)
        values = [_padded(value, largest) for value in values]
    elif len({value.shape[1:] for value in values}) > 1:
        raise InvalidBatchError(
            "Tensors from different tasks have different shapes and padding is turned off."
        )
    # The first row of the last request makes up the size.
    return np.concatenate([*values, *[values[-1][:1]] * missing])


def _padded(value: np.ndarray, largest: np.ndarray) -> np.ndarray:
    """A request's tensor in the largest shape, padded with its own first value."""
    widths = [
        (0, 0),
        *((0, int(most) - size) for most, size in zip(largest, value.shape[1:], strict=True)),
    ]
    if not any(after for _, after in widths):
        return value
    padded = np.full(
        [size + after for size, (_, after) in zip(value.shape, widths, strict=True)],
        value.flat[0],
        value.dtype,
    )
    padded[tuple(slice(size) for size in value.shape)] = value
    return padded


def batchers(
    run: Callable[[str, Arrays], Mapping[str, np.ndarray]], names: list[str], batching: Batching
) -> dict[str, Batcher]:
    """One for each signature."""
    return {name: Batcher(lambda x, name=name: run(name, x), batching) for name in names}
