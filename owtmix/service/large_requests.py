"""Large requests are taken, read and checked beside the others, a few of each address at a time."""

from __future__ import annotations

import asyncio
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Final, NamedTuple, TypeVar
from weakref import WeakValueDictionary

T = TypeVar("T")

LARGE_BYTES: Final = 16 << 10
"""A request of so many bytes may take long."""
MOST_OF_ADDRESS: Final = 32
"""That come, wait or are read, whoever still waits for their answers; each holds up to 1 MiB."""
MOST: Final = 256
_AT_A_TIME: Final = 2
"""Of an address: who sends many waits for them, and not everybody."""


class TooManyError(Exception):
    """A request is large, and there are too many of them."""


class Origin(NamedTuple):
    """Where a request came from, and how many bytes it has."""

    address: str
    size: int


class LargePlaces:
    """Counts large requests from when they turn out to be large until they are answered."""

    def __init__(self) -> None:
        self._counts: Counter[str] = Counter()

    @contextmanager
    def request(self, address: str) -> Iterator[Callable[[], None]]:
        """What takes a place for a request of ``address``, which is given back with the end of the block.

        It raises ``TooManyError`` where there is none.
        """
        is_taken = False

        def take() -> None:
            nonlocal is_taken
            if is_taken:
                return
            if self._counts[address] >= MOST_OF_ADDRESS or self._counts.total() >= MOST:
                raise TooManyError
            self._counts[address] += 1
            is_taken = True

        try:
            yield take
        finally:
            self._counts[address] -= is_taken
            if not self._counts[address]:
                del self._counts[address]


class LargeRequests:
    """Does the work on large requests in threads."""

    def __init__(self) -> None:
        self._turns: WeakValueDictionary[str, asyncio.Semaphore] = WeakValueDictionary()

    async def do(self, origin: Origin, work: Callable[[], T]) -> T:
        """Do ``work`` on a request; at once when it is small."""
        if origin.size < LARGE_BYTES:
            return work()
        turns = self._turns.get(origin.address)
        if turns is None:
            turns = self._turns[origin.address] = asyncio.Semaphore(_AT_A_TIME)
        async with turns:
            return await asyncio.to_thread(work)
