"""One receiver: what waits for its URL is sent one by one, each until it was taken.

How an answer is understood:

- 2xx: delivered.
- 408, 429, 5xx, no connection, no answer within ``ATTEMPT_S``: tried again with growing pauses while there is time.
- Any other status, redirects among them: this message is not wanted. A droppable one is dropped; another is tried
  ``REFUSALS`` times, then it stays in the outbox, and the next one has its turn.
- 410, and an address that must not be connected to: nothing more is sent; what is not droppable stays in the outbox.
"""

from __future__ import annotations

import asyncio
import logging
import time
from collections import deque
from collections.abc import Callable, Sequence
from contextlib import suppress
from enum import Enum
from typing import Final

import httpx

from owtmix.base.backoff import pause_s
from owtmix.net.guard import ForbiddenAddressError, Network, checked_client
from owtmix.notify.outbox import Message
from owtmix.notify.signature import headers

_log = logging.getLogger(__name__)

ATTEMPT_S: Final = 10.0
"""How long one attempt may take, looking up the name included."""

REFUSALS: Final = 3

FIRST_PAUSE_S: Final = 0.5
LONGEST_PAUSE_S: Final = 30.0

_CONTENT: Final = {"Content-Type": "application/json", "User-Agent": "owtmix"}


class AttemptResult(Enum):
    """What an attempt came to."""

    DELIVERED = "delivered"
    FAILED = "failed"
    REFUSED = "refused"
    GONE = "gone"


def classify_status(status: int) -> AttemptResult:
    """What the status of an answer means."""
    if httpx.codes.is_success(status):
        return AttemptResult.DELIVERED
    if status == httpx.codes.GONE:
        return AttemptResult.GONE
    busy = status in {httpx.codes.REQUEST_TIMEOUT, httpx.codes.TOO_MANY_REQUESTS} or httpx.codes.is_server_error(status)
    return AttemptResult.FAILED if busy else AttemptResult.REFUSED


class Receiver:
    """The way to one URL. Everything happens in the loop in which ``serve`` runs.

    ``idle`` is set while nothing waits; while ``drops`` is true, droppable messages are dropped instead of sent.
    """

    def __init__(
        self, url: str, settle: Callable[[Message], None], allowed: Sequence[Network], key: bytes | None
    ) -> None:
        self.idle = asyncio.Event()
        self.drops = False
        self._url = url
        self._settle = settle
        self._allowed = allowed
        self._key = key
        self._waiting: deque[Message] = deque()
        self._arrived = asyncio.Event()
        self._hurried = asyncio.Event()
        self._failures = 0
        self._refusals = 0
        self._gone = False

    def __str__(self) -> str:
        """Scheme, host and port; all else may be secret."""
        with suppress(httpx.InvalidURL, UnicodeError):
            url = httpx.URL(self._url)
            return f"{url.scheme}://{url.netloc.decode()}"
        return "a receiver whose address is not a valid URL"

    def put(self, message: Message) -> None:
        self._waiting.append(message)
        self.idle.clear()
        self._arrived.set()

    def hurry(self) -> None:
        """End the pause between two attempts, if there is one; the next ones are short again."""
        self._failures = 0
        self._hurried.set()

    async def serve(self) -> None:
        """Send what is put, for ever."""
        async with checked_client(self._allowed) as client:
            while True:
                while not self._waiting:
                    self.idle.set()
                    self._arrived.clear()
                    await self._arrived.wait()
                message = self._waiting[0]
                if self._gone or (self.drops and message.droppable):
                    self._pass_over(message)
                else:
                    await self._try(client, message)

    def _pass_over(self, message: Message) -> None:
        """Send ``message`` no more in this run."""
        self._waiting.popleft()
        self._refusals = 0
        if message.droppable:
            self._settle(message)

    async def _try(self, client: httpx.AsyncClient, message: Message) -> None:
        """Send ``message`` once, and decide what becomes of it."""
        result, reason = await self._send(client, message)
        if result is AttemptResult.DELIVERED:
            self._waiting.popleft()
            self._failures = self._refusals = 0
            self._settle(message)
            return
        self._failures += 1
        if result is AttemptResult.GONE:
            self._gone = True
            _log.warning("%s gets no more callbacks: %s", self, reason)
            return
        _log.log(logging.WARNING if self._failures == 1 else logging.DEBUG, "a callback to %s failed: %s", self, reason)
        self._refusals += result is AttemptResult.REFUSED
        if result is AttemptResult.REFUSED and (message.droppable or self._refusals == REFUSALS):
            self._pass_over(message)
            return
        with suppress(TimeoutError):
            async with asyncio.timeout(pause_s(self._failures, FIRST_PAUSE_S, LONGEST_PAUSE_S)):
                await self._hurried.wait()
        self._hurried.clear()

    async def _send(self, client: httpx.AsyncClient, message: Message) -> tuple[AttemptResult, str]:
        body = message.body.encode()
        identity = headers(self._key, message.id, int(time.time()), body)
        try:
            # The body of the answer is nobody's business, and may never end.
            async with (
                asyncio.timeout(ATTEMPT_S),
                client.stream("POST", self._url, content=body, headers=_CONTENT | identity) as response,
            ):
                status = response.status_code
        except TimeoutError:
            return AttemptResult.FAILED, f"no answer within {ATTEMPT_S:g} s"
        except ForbiddenAddressError as error:
            return AttemptResult.GONE, str(error)
        except httpx.ConnectError as error:
            return AttemptResult.FAILED, f"it cannot be reached: {error}"
        except httpx.HTTPError:
            return AttemptResult.FAILED, "it broke off or does not speak HTTP"
        except (httpx.InvalidURL, UnicodeError):
            return AttemptResult.GONE, "its address is not a valid URL"
        return classify_status(status), f"it answers with status {status}"
