"""Daemon threads for requests to a store. A store that does not answer does not delay the end of the process."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import Future
from contextlib import contextmanager
from queue import SimpleQueue
from typing import Final, ParamSpec, TypeVar

P = ParamSpec("P")
R = TypeVar("R")
T = TypeVar("T")

IO_THREADS: Final = 4
"""Number of concurrent requests to a store."""


class IoThreads:
    """A pool of ``count`` daemon threads, which start tasks in order of submission."""

    def __init__(self, name: str, count: int) -> None:
        self._tasks: SimpleQueue[Callable[[], None] | None] = SimpleQueue()
        self._cancelled = threading.Event()
        for number in range(count):
            threading.Thread(target=self._work, name=f"{name} {number}", daemon=True).start()
        self._count = count

    def submit(self, work: Callable[P, R], *args: P.args, **kwargs: P.kwargs) -> Future[R]:
        """Queue a call of ``work``; the future gets its result or exception."""
        future: Future[R] = Future()

        def task() -> None:
            if not future.set_running_or_notify_cancel():
                return
            try:
                future.set_result(work(*args, **kwargs))
            except BaseException as error:  # noqa: BLE001 - raised by future.result()
                future.set_exception(error)

        self._tasks.put(task)
        return future

    def map(self, work: Callable[[T], R], items: Iterable[T]) -> list[R]:
        """Call ``work`` for each item concurrently and return the results in order."""
        return [future.result() for future in [self.submit(work, item) for item in items]]

    def cancel(self) -> None:
        """Cancel queued tasks; abandon running ones."""
        self._cancelled.set()
        for _ in range(self._count):
            self._tasks.put(None)

    def _work(self) -> None:
        while (task := self._tasks.get()) and not self._cancelled.is_set():
            task()


@contextmanager
def io_threads(name: str) -> Iterator[IoThreads]:
    """A pool of ``IO_THREADS`` threads, cancelled when the block ends."""
    threads = IoThreads(name, IO_THREADS)
    try:
        yield threads
    finally:
        threads.cancel()
