"""Sends segments over one connection, from the newest on, as they come."""

from __future__ import annotations

import asyncio
import logging
import time
from collections.abc import Callable
from typing import Final, Protocol

from owtmix.live.flv_tags import SegmentError, Tag, read_tags
from owtmix.live.pace import LONGEST_STEP_S, Pace
from owtmix.live.segments import Segments
from owtmix.live.timeline import Timeline

MOST_WAITING: Final = 4
"""Segments that may wait while one is sent; with more, all but the newest are dropped."""

_SPEED: Final = 1.0
_BEHIND_SPEED: Final = 1.25
"""While segments wait."""
_LAST_SPEED: Final = 2.0
"""When no more come."""
_LOOK_S: Final = 0.1
_MOST_TOLD: Final = 20
_LOGGER: Final = logging.getLogger(__name__)


class Outlet(Protocol):
    """What takes pictures and sound."""

    async def send(self, kind: int, time_ms: int, data: bytes) -> None:
        """Take one, and come back when there is room for another one."""


class Sender:
    """See the module.

    Args:
        segments: The mix.
        outlet: The connection.
        first: The segment to begin with.
        dropped: Is told how many seconds were dropped, each time.
    """

    def __init__(self, segments: Segments, outlet: Outlet, first: int, dropped: Callable[[float], None]) -> None:
        self.next = first
        """The segment that is sent, or the next one."""
        self.has_sent = asyncio.Event()
        """Whether pictures or sound were sent."""
        self._segments = segments
        self._outlet = outlet
        self._dropped = dropped
        self._timeline = Timeline()
        self._pace = Pace()
        self._configurations: dict[int, bytes] = {}
        self._is_dropping = False
        self._told = 0
        self._looked_s = 0.0
        self._speed = _SPEED

    async def run(self) -> None:
        """Send until the mix is over. Damaged segments are left out, from where the damage is.

        Raises:
            PushError: as the outlet.
        """
        while True:
            is_over = self._segments.is_over  # asked first: what comes before it is seen below
            coming = [number for number in self._segments.numbers() if number >= self.next]
            if not coming:
                if is_over:
                    return
                await asyncio.sleep(_LOOK_S)
                continue
            self.next = coming[0]
            newest = await self._send_segment(self.next)
            self._is_dropping |= newest is not None
            self.next = self.next + 1 if newest is None else newest

    async def _send_segment(self, number: int) -> int | None:
        """Send a segment. The one to go on with instead when the server is too slow."""
        try:
            with self._segments.open(number) as file:
                for tag in read_tags(file):
                    if newest := await self._send_tag(tag):
                        return newest
        except SegmentError as error:
            self._tell(number, str(error))
        except FileNotFoundError:
            pass  # it was removed: the server is slow, and others wait
        except (OSError, MemoryError) as error:
            self._tell(number, getattr(error, "strerror", None) or type(error).__name__)
        return None

    async def _send_tag(self, tag: Tag) -> int | None:
        """As ``_send_segment``."""
        if tag.is_configuration:
            if self._configurations.get(tag.kind) != tag.data:
                self._configurations[tag.kind] = tag.data
                await self._outlet.send(tag.kind, self._timeline.now_ms, tag.data)
            return None
        step_s = self._timeline.step_ms(tag.time_ms) / 1000
        while True:
            if newest := self._look():
                return newest
            wait_s = self._pace.wait_s(step_s, self._speed)
            if not wait_s:
                break
            await asyncio.sleep(min(wait_s, LONGEST_STEP_S))
        if self._is_dropping:
            self._is_dropping = False
            self._dropped(max(0.0, step_s))
        await self._outlet.send(tag.kind, self._timeline.place(tag.kind, tag.time_ms), tag.data)
        self.has_sent.set()
        return None

    def _look(self) -> int | None:
        """See how far behind this is, now and then; the segment to go on with when it is too far."""
        now_s = time.monotonic()
        if now_s - self._looked_s < _LOOK_S:
            return None
        self._looked_s = now_s
        if self._segments.is_over:
            self._speed = _LAST_SPEED
            return None
        waiting = [number for number in self._segments.numbers() if number > self.next]
        self._speed = _BEHIND_SPEED if len(waiting) > 1 else _SPEED
        return waiting[-1] if len(waiting) > MOST_WAITING else None

    def _tell(self, number: int, words: str) -> None:
        self._told += 1
        if self._told <= _MOST_TOLD:
            _LOGGER.warning("segment %06d is left out, or its rest: %s", number, words)
