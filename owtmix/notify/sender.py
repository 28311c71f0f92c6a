"""Sends messages from a background thread, with a task for each URL."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Callable, Iterable
from contextlib import suppress
from typing import Final

from owtmix.notify.options import SenderOptions
from owtmix.notify.outbox import Message
from owtmix.notify.receiver import Receiver

_CLOSING_S: Final = 1.0
"""Timeout for the end of the thread. Only a hanging disk takes longer."""


class Sender:
    """Sends messages in the background, in order for each URL."""

    def __init__(self, on_done: Callable[[Message], None], options: SenderOptions) -> None:
        """Start the thread.

        Args:
            on_done: Called in the thread for each message that was delivered or dropped.
            options: Of all receivers.
        """
        self._on_done = on_done
        self._options = options
        self._receivers: dict[str, tuple[Receiver, asyncio.Task[None]]] = {}
        self._loop = asyncio.new_event_loop()
        self._stop = asyncio.Event()
        self._thread = threading.Thread(target=self._run, name="callbacks", daemon=True)
        self._thread.start()

    def put(self, messages: Iterable[Message]) -> None:
        """Queue ``messages``. Does not block."""
        self._loop.call_soon_threadsafe(self._enqueue, tuple(messages))

    def finish(self, timeout_s: float) -> None:
        """Wait until all queues are empty, for at most ``timeout_s`` seconds, then stop the thread.

        In the second half of that time droppable messages are dropped, so that a slow receiver gets the others.
        """
        drained = asyncio.run_coroutine_threadsafe(self._drain(timeout_s), self._loop)
        try:
            with suppress(TimeoutError):
                drained.result(timeout_s + _CLOSING_S)
        finally:
            self._loop.call_soon_threadsafe(self._stop.set)
            self._thread.join(_CLOSING_S)

    def _run(self) -> None:
        with asyncio.Runner(loop_factory=lambda: self._loop) as runner:  # cancels the receivers' tasks when it ends
            runner.run(self._until_stopped())

    async def _until_stopped(self) -> None:
        await self._stop.wait()

    def _enqueue(self, messages: Iterable[Message]) -> None:
        for message in messages:
            if message.url not in self._receivers:
                receiver = Receiver(message.url, self._on_done, self._options)
                self._receivers[message.url] = receiver, self._loop.create_task(receiver.serve())
            self._receivers[message.url][0].put(message)

    async def _drain(self, timeout_s: float) -> None:
        receivers = [receiver for receiver, _ in self._receivers.values()]
        for drops in (False, True):
            for receiver in receivers:
                receiver.drops = drops
                receiver.end_pause()
            with suppress(TimeoutError):
                async with asyncio.timeout(timeout_s / 2):
                    for receiver in receivers:
                        await receiver.idle.wait()
                return
