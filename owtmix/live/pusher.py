"""Keeps a mix pushed to one server: connects, sends, and connects again with growing pauses."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Coroutine, Sequence
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final, TypeVar

from owtmix.base.backoff import pause_s
from owtmix.live.publisher import Description, Publisher
from owtmix.live.segments import Segments
from owtmix.live.sender import Sender
from owtmix.live.target import PushError, Target, connect
from owtmix.live.teller import Teller
from owtmix.net.addresses import Network

T = TypeVar("T")

_LOOK_S: Final = 0.1


@dataclass(frozen=True)
class Patience:
    """How long a pusher waits for what, in seconds."""

    connect_s: float = 10.0
    silence_s: float = 10.0
    """Of a server that answers nothing, or takes nothing."""
    first_pause_s: float = 1.0
    longest_pause_s: float = 30.0
    steady_s: float = 10.0
    """A connection that lived so long makes pauses short again."""
    slow_s: float = 30.0
    """Without dropping, until a server counts as fast enough again."""
    last_s: float = 4.0
    """For what is left when the mix is over."""
    close_s: float = 1.0
    """For the server to read the end, and to close."""


class Pusher:
    """Pushes the mix in ``folder`` to ``target`` until it is over, or ``stop``."""

    def __init__(
        self,
        target: Target,
        description: Description,
        folder: Path,
        allowed: Sequence[Network],
        teller: Teller,
        patience: Patience | None = None,
    ) -> None:
        self._target = target
        self._description = description
        self._segments = Segments(folder)
        self._allowed = allowed
        self._teller = teller
        self._patience = patience or Patience()
        self._is_stopped = asyncio.Event()
        self._unsent = 0
        self._dropped_s = 0.0
        self._dropped_at_s = float("-inf")
        self._lives_since_s = float("inf")

    def stop(self) -> None:
        """Say that the stream is over and end, whatever is left."""
        self._is_stopped.set()

    async def run(self) -> None:
        """Push."""
        failures = 0
        while (first := await self._newest()) is not None:
            self._lives_since_s = float("inf")
            try:
                await self._connect_and_send(first)
                break
            except PushError as error:
                if self._is_ending:
                    break
                is_steady = time.monotonic() - self._lives_since_s > self._patience.steady_s
                failures = 1 if is_steady else failures + 1
                wait_s = pause_s(failures, self._patience.first_pause_s, self._patience.longest_pause_s)
                self._teller.tell(error.state, reason=str(error), pause_s=round(wait_s, 1))
            await self._unless_ended(asyncio.sleep(wait_s))
        self._teller.tell("ended")

    @property
    def _is_ending(self) -> bool:
        """Whether it has to end. What waits to be told is told meanwhile."""
        self._teller.flush()
        return self._is_stopped.is_set() or self._segments.is_over or self._teller.is_alone

    async def _newest(self) -> int | None:
        """The newest segment of which not all was sent; waits for it, None when it is time to end."""
        while not self._is_ending:
            if (numbers := self._segments.numbers()) and numbers[-1] >= self._unsent:
                return numbers[-1]
            await asyncio.sleep(_LOOK_S)
        return None

    async def _connect_and_send(self, first: int) -> None:
        """Send until it is time to end.

        Raises:
            PushError: the connection failed.
        """
        patience = self._patience
        connection = await self._unless_ended(connect(self._target, self._allowed, patience.connect_s))
        if connection is None:
            return
        publisher = Publisher(connection, self._target, patience.silence_s)
        try:
            await self._unless_ended(publisher.begin(self._description))
            if not self._is_ending:
                await self._send(publisher, first)
        finally:
            await publisher.close()

    async def _send(self, publisher: Publisher, first: int) -> None:
        """As ``_connect_and_send``, over a connection that takes the stream."""
        sender = Sender(self._segments, publisher, await self._newest() or first, self._drop)
        sending = asyncio.create_task(sender.run())
        watching = asyncio.create_task(publisher.watch())
        ending = asyncio.create_task(self._wait_for_end())
        telling = asyncio.create_task(self._tell_living(sender))
        try:
            await asyncio.wait({sending, watching, ending}, return_when=asyncio.FIRST_COMPLETED)
            for task in (sending, watching):
                if task.done():
                    task.result()
            sending.cancel()  # a picture that was begun is with the connection as a whole
            await publisher.end()
            await asyncio.wait({watching}, timeout=self._patience.close_s)
        finally:
            self._unsent = sender.next
            for task in (sending, watching, ending, telling):
                task.cancel()
            await asyncio.gather(sending, watching, ending, telling, return_exceptions=True)

    async def _wait_for_end(self) -> None:
        """Return when it has to end, whatever is left; when the mix is over, after a while."""
        await self._unless_ended(asyncio.Event().wait())
        if not self._is_stopped.is_set():
            with suppress(TimeoutError):
                await asyncio.wait_for(self._is_stopped.wait(), self._patience.last_s)

    async def _tell_living(self, sender: Sender) -> None:
        """Tell that a connection lives, and that a slow one has become fast enough."""
        await sender.has_sent.wait()
        self._lives_since_s = time.monotonic()
        while True:
            if time.monotonic() - self._dropped_at_s > self._patience.slow_s or self._teller.state != "slow":
                self._teller.tell("living")
            await asyncio.sleep(_LOOK_S)

    def _drop(self, seconds: float) -> None:
        self._dropped_s += seconds
        self._dropped_at_s = time.monotonic()
        self._teller.tell("slow", dropped_s=round(self._dropped_s, 1))

    async def _unless_ended(self, doing: Coroutine[Any, Any, T]) -> T | None:
        """What is done; None when it has to end first."""
        task = asyncio.ensure_future(doing)
        try:
            while not task.done() and not self._is_ending:
                await asyncio.wait({task}, timeout=_LOOK_S)
            return task.result() if task.done() else None
        finally:
            task.cancel()
            await asyncio.gather(task, return_exceptions=True)
