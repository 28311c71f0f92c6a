"""Sends messages from a background thread, with a task for each URL."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Iterable
from contextlib import suppress
from typing import Final, Protocol

from owtmix.net.guard import checked_client
from owtmix.notify.message import Messages
from owtmix.notify.options import SenderOptions
from owtmix.notify.receiver import Receiver

_CLOSING_S: Final = 1.0
"""Timeout for the end of the thread. Only a hanging disk takes longer."""


class Streams(Protocol):
    """The part of an outbox that sending uses."""

    def stream(self, url: str) -> Messages:
        """The undelivered messages for ``url``."""


class Sender:
    """Sends the messages of ``outbox`` in the background, in order for each URL."""

    def __init__(self, outbox: Streams, options: SenderOptions) -> None:
        """Start the thread; ``options`` are those of all receivers."""
        self._outbox = outbox
        self._options = options
        self._receivers: dict[str, tuple[Receiver, asyncio.Task[None]]] = {}
        self._attempts = asyncio.Semaphore(options.most_attempts)
        self._loop = asyncio.new_event_loop()
        self._stop = asyncio.Event()
        self._thread = threading.Thread(target=self._run, name="callbacks", daemon=True)
        self._thread.start()

    def send(self, urls: Iterable[str]) -> None:
        """Send what the outbox has for ``urls``. Does not block."""
        self._loop.call_soon_threadsafe(self._wake, tuple(urls))

    def finish(self, timeout_s: float) -> None:
        """Wait until all queues are empty, for at most ``timeout_s`` seconds, then stop the thread.

        In the second half of that time droppable messages are dropped, so that a slow receiver gets the others.
        Without any time nothing is dropped.
        """
        try:
            if timeout_s:
                drained = asyncio.run_coroutine_threadsafe(self._drain(timeout_s), self._loop)
                with suppress(TimeoutError):
                    drained.result(timeout_s + _CLOSING_S)
        finally:
            self._loop.call_soon_threadsafe(self._stop.set)
            self._thread.join(_CLOSING_S)

    def _run(self) -> None:
        # One client, and with it one set of certificates, for all receivers.
        self._client = checked_client(self._options.allowed)
        with asyncio.Runner(loop_factory=lambda: self._loop) as runner:
            runner.run(self._until_stopped())

    async def _until_stopped(self) -> None:
        async with self._client:
            await self._stop.wait()
            tasks = [task for _, task in self._receivers.values()]
            for task in tasks:
                task.cancel()
            await asyncio.gather(*tasks, return_exceptions=True)

    def _wake(self, urls: Iterable[str]) -> None:
        if self._options.forgets:
            for url in [url for url, (receiver, _) in self._receivers.items() if receiver.idle.is_set()]:
                self._receivers.pop(url)[1].cancel()
        for url in urls:
            if url not in self._receivers:
                receiver = Receiver(url, self._outbox.stream(url), self._client, self._attempts, self._options)
                self._receivers[url] = receiver, self._loop.create_task(receiver.serve())
            self._receivers[url][0].wake()

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
