"""Who may begin a session now: one of a stream at a time, and not one after the other without end."""

from __future__ import annotations

import asyncio
from collections import Counter
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Final
from weakref import WeakValueDictionary

from owtmix.base.ids import StreamId
from owtmix.recorder.control_server import RequestError
from owtmix.recorder.pace import Pace
from owtmix.recorder.rtp.transport import now_us

MOST_WAITING: Final = 4
"""Of a stream: a page that is loaded again offers while its first offer is still being answered."""
MOST_IN_A_ROW: Final = 32
AGAIN_EVERY_US: Final = 5_000_000
"""So many sessions of a stream begin in a row, and then so seldom: each may become a file."""
MOST_REMEMBERED: Final = 1000


class Turns:
    """See the module."""

    def __init__(self) -> None:
        self._locks: WeakValueDictionary[StreamId, asyncio.Lock] = WeakValueDictionary()
        self._waiting: Counter[StreamId] = Counter()
        self._paces: dict[StreamId, Pace] = {}

    @asynccontextmanager
    async def turn(self, stream: StreamId) -> AsyncIterator[None]:
        """Begin a session of ``stream`` in the block, and end those that it replaces.

        Raises:
            RequestError: there are too many of it.
        """
        if self._waiting[stream] > MOST_WAITING:
            raise RequestError("this stream is being begun, more than once", 503)
        lock = self._locks.get(stream)
        if lock is None:
            lock = self._locks[stream] = asyncio.Lock()
        self._waiting[stream] += 1
        try:
            async with lock:
                self._check_pace(stream)
                yield
        finally:
            self._waiting[stream] -= 1
            if not self._waiting[stream]:
                del self._waiting[stream]

    def _check_pace(self, stream: StreamId) -> None:
        at_us = now_us()
        if stream not in self._paces and len(self._paces) >= MOST_REMEMBERED:
            rested = [other for other, pace in self._paces.items() if pace.is_rested(at_us)]
            for other in rested or [*self._paces][:1]:
                del self._paces[other]
        if not self._paces.setdefault(stream, Pace(MOST_IN_A_ROW, AGAIN_EVERY_US)).allows(at_us):
            raise RequestError("this stream comes and goes all the time: try again later", 503)
