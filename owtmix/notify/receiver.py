"""One receiver: the messages for one URL, sent one at a time and in order.

Responses:

- 2xx acknowledges the message.
- 408, 429, 5xx, no connection, no response within ``attempt_s``: the message is retried with exponential backoff.
- Any other status, including redirects, refuses the message. A droppable message is dropped. Another one is tried
  ``MAX_REFUSALS`` times and then stays in the outbox; the next message is sent.
- 410, or an address that is not allowed: nothing more is sent. Messages that are not droppable stay in the outbox.
"""

from __future__ import annotations

import asyncio
import logging
import time
from contextlib import suppress
from enum import Enum
from typing import Final

import httpx

from owtmix.base.backoff import pause_s
from owtmix.net.guard import ForbiddenAddressError
from owtmix.notify.message import Message, Messages
from owtmix.notify.options import SenderOptions
from owtmix.notify.signature import headers

_log = logging.getLogger(__name__)

MAX_REFUSALS: Final = 3

_CONTENT: Final = {"Content-Type": "application/json", "User-Agent": "owtmix"}


class AttemptResult(Enum):
    """Result of an attempt to deliver a message."""

    DELIVERED = "delivered"
    FAILED = "failed"
    REFUSED = "refused"
    GONE = "gone"


def classify_status(status: int) -> AttemptResult:
    """Result of an attempt that was answered with an HTTP status."""
    if httpx.codes.is_success(status):
        return AttemptResult.DELIVERED
    if status == httpx.codes.GONE:
        return AttemptResult.GONE
    busy = status in {httpx.codes.REQUEST_TIMEOUT, httpx.codes.TOO_MANY_REQUESTS} or httpx.codes.is_server_error(status)
    return AttemptResult.FAILED if busy else AttemptResult.REFUSED


class Receiver:
    """Sends messages to one URL. All methods must be called in the event loop that runs ``serve``.

    ``idle`` is set while there are none. While ``drops`` is true, droppable messages are dropped instead of sent.
    """

    def __init__(
        self,
        url: str,
        messages: Messages,
        client: httpx.AsyncClient,
        attempts: asyncio.Semaphore,
        options: SenderOptions,
    ) -> None:
        self.idle = asyncio.Event()
        self.drops = False
        self._url = url
        self._messages = messages
        self._client = client
        self._attempts = attempts
        self._options = options
        self._arrived = asyncio.Event()
        self._pause_ended = asyncio.Event()
        self._failures = 0
        self._refusals = 0
        self._gone = False

    def __str__(self) -> str:
        """Scheme, host and port; the rest of the URL may be secret."""
        with suppress(httpx.InvalidURL, UnicodeError):
            url = httpx.URL(self._url)
            return f"{url.scheme}://{url.netloc.decode()}"
        return "a receiver whose address is not a valid URL"

    def wake(self) -> None:
        """Look for new messages."""
        self.idle.clear()
        self._arrived.set()

    def end_pause(self) -> None:
        """End the current pause between attempts and reset the backoff."""
        self._failures = 0
        self._pause_ended.set()

    async def serve(self) -> None:
        """Send messages until the task is cancelled."""
        try:
            while True:
                while (message := self._messages.first()) is None:
                    self.idle.set()
                    self._arrived.clear()
                    await self._arrived.wait()
                if self._gone or (self.drops and message.droppable):
                    self._skip(message)
                    await asyncio.sleep(0)  # others have their turn, however many are skipped
                else:
                    await self._try(message)
        finally:
            self._messages.flush()

    def _skip(self, message: Message) -> None:
        """Do not send ``message`` in this run. A droppable one is done; another stays in the outbox."""
        if message.droppable:
            self._messages.drop()
        else:
            self._messages.leave()
        self._refusals = 0

    async def _try(self, message: Message) -> None:
        """Make one attempt to send ``message`` and act on the result."""
        async with self._attempts:
            result, reason = await self._send(message)
        if result is AttemptResult.DELIVERED:
            self._messages.done()
            self._failures = self._refusals = 0
            return
        self._failures += 1
        if result is AttemptResult.GONE:
            self._gone = True
            _log.warning("%s gets no more callbacks: %s", self, reason)
            return
        _log.log(logging.WARNING if self._failures == 1 else logging.DEBUG, "a callback to %s failed: %s", self, reason)
        self._refusals += result is AttemptResult.REFUSED
        if result is AttemptResult.REFUSED and (message.droppable or self._refusals == MAX_REFUSALS):
            self._skip(message)
            return
        with suppress(TimeoutError):
            async with asyncio.timeout(self._pause_s()):
                await self._pause_ended.wait()
        self._pause_ended.clear()

    def _pause_s(self) -> float:
        return pause_s(self._failures, self._options.first_pause_s, self._options.longest_pause_s)

    async def _send(self, message: Message) -> tuple[AttemptResult, str]:
        body = message.body.encode()
        identity = headers(self._options.key, message.id, int(time.time()), body)
        try:
            # The body of the response is not read: it has no meaning and may be endless.
            async with (
                asyncio.timeout(self._options.attempt_s),
                self._client.stream("POST", self._url, content=body, headers=_CONTENT | identity) as response,
            ):
                status = response.status_code
        except TimeoutError:
            return AttemptResult.FAILED, f"no answer within {self._options.attempt_s:g} s"
        except ForbiddenAddressError as error:
            return AttemptResult.GONE, str(error)
        except httpx.ConnectError as error:
            return AttemptResult.FAILED, f"it cannot be reached: {error}"
        except httpx.HTTPError:
            return AttemptResult.FAILED, "it closed the connection or does not speak HTTP"
        except (httpx.InvalidURL, UnicodeError):
            return AttemptResult.GONE, "its address is not a valid URL"
        return classify_status(status), f"it answers with status {status}"
