"""HTTP of uvicorn, with an end to its patience: what comes slowly, or comes to no end, is closed."""

from __future__ import annotations

import asyncio
from collections import Counter
from collections.abc import Sequence
from typing import Any, Final

from uvicorn.protocols.http.httptools_impl import HttpToolsProtocol

from owtmix.net.addresses import LOOPBACK, Network, neighbourhood, own_address

REQUEST_S: Final = 20.0
"""For the head of a request, and for what still comes of one that was answered. A body that is waited for has a time of
its own (``body.BODY_S``), and so have pauses between requests."""
UNREAD_S: Final = 60.0
"""For reading an answer: what is more than the buffers of this machine, and what is left when the connection closes."""
MAX_HEAD_BYTES: Final = 64 << 10
"""Of a head, of what stands before a part of a body, and of what follows it: the parser has no bounds of its own."""
MOST_WAITING: Final = 16
"""Requests of one connection that wait for the answers to earlier ones; more are not read, and the connection ends."""
MOST_PER_ADDRESS: Final = 1000
"""Connections of one address, or of one network of IPv6: many people may share it, and nobody takes all there are."""


class Guests:
    """Counts the connections of each address; those of ``spared`` networks, and of this machine, are not counted."""

    def __init__(self, spared: Sequence[Network] = ()) -> None:
        self._spared = (*LOOPBACK, *spared)
        self._counts: Counter[str] = Counter()

    def come(self, host: str) -> str | None:
        """Count one of ``host``. What it is counted under, for ``go``; None where it is not counted."""
        address = own_address(host)
        if any(address in network for network in self._spared):
            return None
        place = neighbourhood(host)
        self._counts[place] += 1
        return place

    def are_many(self, place: str | None) -> bool:
        """Whether there are more at a place than may be."""
        return place is not None and self._counts[place] > MOST_PER_ADDRESS

    def go(self, place: str | None) -> None:
        """One of a place has gone."""
        if place is not None:
            self._counts[place] -= 1
            if not self._counts[place]:
                del self._counts[place]


class PatientProtocol(HttpToolsProtocol):
    """See the module."""

    guests = Guests()
    _place: str | None = None
    _waiting: asyncio.TimerHandle | None = None
    """Runs while a request is unfinished and no answer is made."""
    _unread: asyncio.TimerHandle | None = None
    """Runs while an answer is to be read; then the connection ends with what is left of it."""
    _is_amid = False
    """Whether a request has begun to come, and has not come to its end."""
    _is_deaf = False
    """Whether what comes is not looked at any more: the connection ends with the answers that are made."""
    _since_part: int = 0
    """Bytes that came since the parser last found the end of something."""

    def connection_made(self, transport: Any) -> None:
        super().connection_made(transport)
        self._wait()
        if self.client:
            self._place = self.guests.come(self.client[0])
        if self.guests.are_many(self._place):
            transport.close()

    def connection_lost(self, exc: Exception | None) -> None:
        self._wait_no_more()
        self._expect_no_reading()
        self.guests.go(self._place)
        super().connection_lost(exc)

    def data_received(self, data: bytes) -> None:
        if self._is_deaf:
            return
        self._since_part += len(data)
        super().data_received(data)
        if self.transport.is_closing() or self._is_deaf:
            return
        if self._since_part > MAX_HEAD_BYTES:
            self.send_400_response("The head of the request is too long.")
        elif not self._is_answering:
            self._look()

    def on_message_begin(self) -> None:
        self._is_amid = True
        super().on_message_begin()

    def on_headers_complete(self) -> None:
        # What is raised here ends the parser.
        if len(self.pipeline) >= MOST_WAITING:
            raise ValueError("too many requests wait")
        self._since_part = 0
        self._wait_no_more()
        if not self.parser.should_upgrade():
            super().on_headers_complete()
            return
        # The parser takes no body of a request that asks for another protocol: it would be the next request.
        if self.parser.get_method() == b"CONNECT" or any(_is_of_body(*header) for header in self.headers):
            raise ValueError("no other protocol is spoken here")
        super().on_headers_complete()
        self.cycle.keep_alive = False

    def on_body(self, body: bytes) -> None:
        self._since_part = 0
        super().on_body(body)

    def on_message_complete(self) -> None:
        self._since_part = 0
        self._is_amid = False
        super().on_message_complete()

    def send_400_response(self, msg: str) -> None:
        """Refuse what came; requests before it are answered first, the last one with an end of the connection."""
        if not self._is_answering or self.cycle.more_body:
            super().send_400_response(msg)
            self._expect_reading()
            return
        self._is_deaf = True
        self.cycle.keep_alive = False

    def on_response_complete(self) -> None:
        super().on_response_complete()
        if self.transport.is_closing():
            self._expect_reading()
        elif not self._is_answering:
            self._look()

    def timeout_keep_alive_handler(self) -> None:
        super().timeout_keep_alive_handler()
        self._expect_reading()

    def pause_writing(self) -> None:
        super().pause_writing()
        self._expect_reading()

    def resume_writing(self) -> None:
        super().resume_writing()
        if not self.transport.is_closing():
            self._expect_no_reading()

    @property
    def _is_answering(self) -> bool:
        return self.cycle is not None and not self.cycle.response_complete

    def _look(self) -> None:
        """Wait for the rest of a request, or for the next one."""
        if self._is_amid or self._since_part:
            if self._waiting is None:
                self._wait()
            return
        self._wait_no_more()
        if self.timeout_keep_alive_task is None:  # what was left of a request that was answered came to its end
            self.timeout_keep_alive_task = self.loop.call_later(
                self.timeout_keep_alive, self.timeout_keep_alive_handler
            )

    def _wait(self) -> None:
        self._waiting = self.loop.call_later(REQUEST_S, self.timeout_keep_alive_handler)

    def _expect_reading(self) -> None:
        """Closing alone waits until all is read, which may be never."""
        if self._unread is None:
            self._unread = self.loop.call_later(UNREAD_S, self.transport.abort)

    def _expect_no_reading(self) -> None:
        if self._unread:
            self._unread.cancel()
            self._unread = None

    def _wait_no_more(self) -> None:
        if self._waiting:
            self._waiting.cancel()
            self._waiting = None


def _is_of_body(name: bytes, value: bytes) -> bool:
    return name == b"transfer-encoding" or (name == b"content-length" and value.strip(b" 0") != b"")


def protocol_for(spared: Sequence[Network]) -> type[PatientProtocol]:
    """The protocol of a server, which takes any number of connections from ``spared`` networks."""

    class Guarded(PatientProtocol):
        guests = Guests(spared)

    return Guarded
