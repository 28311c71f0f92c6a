"""Hands items from the thread that makes them to one that takes them, so that both work at the same time."""

from __future__ import annotations

import queue
import threading
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from typing import Final, TypeVar

ItemT = TypeVar("ItemT")
WrappedItem = tuple[ItemT] | None
"""An item, or None after the last one."""

POLL_S: Final = 0.1
"""A waiting thread notices within this time that the other thread failed."""


class _MakerFailedError(Exception):
    """Ends the thread that takes items."""


def hand_over(items: Iterable[ItemT], take: Callable[[Iterator[ItemT]], None], *, most: int) -> None:
    """Make ``items`` in this thread while ``take`` gets them in a thread of its own, up to ``most`` behind.

    When making fails, what ``take`` iterates over raises an exception. When ``take`` fails, no more items are made.

    Raises:
        Exception: what making or taking an item raised.
    """
    waiting: queue.Queue[WrappedItem[ItemT]] = queue.Queue(most)
    has_failed = threading.Event()
    with ThreadPoolExecutor(1, "take") as pool:
        taking = pool.submit(take, _arriving(waiting, has_failed))
        try:
            for item in items:
                _put((item,), waiting, taking)
            _put(None, waiting, taking)
        except BaseException:
            has_failed.set()
            raise
    taking.result()


def _put(item: WrappedItem[ItemT], waiting: queue.Queue[WrappedItem[ItemT]], taking: Future[None]) -> None:
    """Put ``item`` into the queue when it has a free place; raises what taking raised."""
    while True:
        if taking.done():
            taking.result()
        try:
            waiting.put(item, timeout=POLL_S)
        except queue.Full:
            continue
        return


def _arriving(waiting: queue.Queue[WrappedItem[ItemT]], has_failed: threading.Event) -> Iterator[ItemT]:
    """The items that arrive in the queue, up to the last one."""
    while not has_failed.is_set():
        try:
            item = waiting.get(timeout=POLL_S)
        except queue.Empty:
            continue
        if item is None:
            return
        yield item[0]
    raise _MakerFailedError
