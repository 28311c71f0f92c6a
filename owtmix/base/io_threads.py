"""Threads that talk to a store, which may be silent for long: nobody waits for them, not even the process's end."""

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
"""What a store is asked for at the same time."""


class IoThreads:
    """``count`` threads, which begin what is submitted in order."""

    def __init__(self, name: str, count: int) -> None:
        self._tasks: SimpleQueue[Callable[[], None] | None] = SimpleQueue()
        self._dropped = threading.Event()
        for number in range(count):
            threading.Thread(target=self._work, name=f"{name} {number}", daemon=True).start()
        self._count = count

    def submit(self, work: Callable[P, R], *args: P.args, **kwargs: P.kwargs) -> Future[R]:
        """Have ``work`` done; what comes of it is in the future."""
        future: Future[R] = Future()

        def task() -> None:
            if not future.set_running_or_notify_cancel():
                return
            try:
                future.set_result(work(*args, **kwargs))
            except BaseException as error:  # noqa: BLE001 - raised where the result is asked for
                future.set_exception(error)

        self._tasks.put(task)
        return future

    def map(self, work: Callable[[T], R], items: Iterable[T]) -> list[R]:
        """What ``work`` makes of each item, in order."""
        return [future.result() for future in [self.submit(work, item) for item in items]]

    def cancel(self) -> None:
        """What has not begun never will; what has goes on, and nobody cares."""
        self._dropped.set()
        for _ in range(self._count):
            self._tasks.put(None)

    def _work(self) -> None:
        while (task := self._tasks.get()) and not self._dropped.is_set():
            task()


@contextmanager
def io_threads(name: str) -> Iterator[IoThreads]:
    """Threads for the block."""
    some = IoThreads(name, IO_THREADS)
    try:
        yield some
    finally:
        some.cancel()
