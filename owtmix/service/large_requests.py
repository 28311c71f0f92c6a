"""Large requests are read and checked beside the others, a few of each address at a time."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from typing import Final, NamedTuple, TypeVar
from weakref import WeakValueDictionary

T = TypeVar("T")

_LARGE_BYTES: Final = 16 << 10
"""A request of so many bytes may take long."""
_AT_A_TIME: Final = 2
"""Of an address: who sends many waits for them, and not everybody."""


class Origin(NamedTuple):
    """Where a request came from, and how many bytes it has."""

    address: str
    size: int


class LargeRequests:
    """Does the work on large requests in threads."""

    def __init__(self) -> None:
        self._turns: WeakValueDictionary[str, asyncio.Semaphore] = WeakValueDictionary()

    async def do(self, origin: Origin, work: Callable[[], T]) -> T:
        """Do ``work`` on a request; at once when it is small."""
        if origin.size < _LARGE_BYTES:
            return work()
        turns = self._turns.get(origin.address)
        if turns is None:
            turns = self._turns[origin.address] = asyncio.Semaphore(_AT_A_TIME)
        async with turns:
            return await asyncio.to_thread(work)
