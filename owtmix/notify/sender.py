"""Sending in the background: one thread, and in it a lane for each URL."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Callable, Iterable, Sequence
from contextlib import suppress
from typing import Final

from owtmix.net.guard import Network
from owtmix.notify.outbox import Message
from owtmix.notify.receiver import Receiver

_CLOSING_S: Final = 1.0
"""How long the thread's end is waited for; only a disk that hangs takes longer."""


class Sender:
    """Sends messages in the background, in order for each URL."""

    def __init__(self, settle: Callable[[Message], None], allowed: Sequence[Network], key: bytes | None) -> None:
        """Start without work.

        Args:
            settle: Told, in the background, of each message that need not be sent any more.
            allowed: Networks that receivers may be in, besides the public ones.
            key: Signs each request; None leaves them unsigned.
        """
        self._settle = settle
        self._allowed = allowed
        self._key = key
        self._lanes: dict[str, tuple[Receiver, asyncio.Task[None]]] = {}
        self._loop = asyncio.new_event_loop()
        self._stop = asyncio.Event()
        self._thread = threading.Thread(target=self._run, name="callbacks", daemon=True)
        self._thread.start()

    def put(self, messages: Iterable[Message]) -> None:
        """Send these after what was put before. Takes no time."""
        self._loop.call_soon_threadsafe(self._distribute, tuple(messages))

    def finish(self, timeout_s: float) -> None:
        """Wait until nothing more can be done or the time is over, then stop.

        From half of the time on, droppable messages are dropped, so that a slow receiver gets the others.
        """
        drained = asyncio.run_coroutine_threadsafe(self._drain(timeout_s), self._loop)
        try:
            with suppress(TimeoutError):
                drained.result(timeout_s + _CLOSING_S)
        finally:
            self._loop.call_soon_threadsafe(self._stop.set)
            self._thread.join(_CLOSING_S)

    def _run(self) -> None:
        with asyncio.Runner(loop_factory=lambda: self._loop) as runner:  # cancels the lanes when it ends
            runner.run(self._until_stopped())

    async def _until_stopped(self) -> None:
        await self._stop.wait()

    def _distribute(self, messages: Iterable[Message]) -> None:
        for message in messages:
            if message.url not in self._lanes:
                lane = Receiver(message.url, self._settle, self._allowed, self._key)
                self._lanes[message.url] = lane, self._loop.create_task(lane.serve())
            self._lanes[message.url][0].put(message)

    async def _drain(self, timeout_s: float) -> None:
        lanes = [lane for lane, _ in self._lanes.values()]
        for drops in (False, True):
            for lane in lanes:
                lane.drops = drops
                lane.hurry()
            with suppress(TimeoutError):
                async with asyncio.timeout(timeout_s / 2):
                    for lane in lanes:
                        await lane.idle.wait()
                return
