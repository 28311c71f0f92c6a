"""HTTP of uvicorn, with an end to its patience: what comes slowly, or comes to no end, is closed."""

from __future__ import annotations

import asyncio
from typing import Any, Final

from uvicorn.protocols.http.httptools_impl import HttpToolsProtocol

REQUEST_S: Final = 20.0
"""For the head of the first request. Its body has a time of its own (``body.BODY_S``), and so have pauses after it."""
MAX_HEAD_BYTES: Final = 64 << 10
"""Of a head, of what stands before a part of a body, and of what follows it: the parser has no bounds of its own."""
MOST_WAITING: Final = 16
"""Requests of one connection that wait for the answers to earlier ones."""


class PatientProtocol(HttpToolsProtocol):
    """See the module."""

    _waiting: asyncio.TimerHandle | None = None
    _since_part: int = 0
    """Bytes that came since the parser last found the end of something."""

    def connection_made(self, transport: Any) -> None:
        super().connection_made(transport)
        self._waiting = self.loop.call_later(REQUEST_S, self._give_up)

    def connection_lost(self, exc: Exception | None) -> None:
        if self._waiting:
            self._waiting.cancel()
        super().connection_lost(exc)

    def data_received(self, data: bytes) -> None:
        self._since_part += len(data)
        super().data_received(data)
        if self._since_part > MAX_HEAD_BYTES and not self.transport.is_closing():
            self.send_400_response("The head of the request is too long.")

    def on_headers_complete(self) -> None:
        self._since_part = 0
        super().on_headers_complete()
        if len(self.pipeline) > MOST_WAITING:
            raise ValueError("too many requests wait")  # the parser ends by it, and the connection

    def on_body(self, body: bytes) -> None:
        self._since_part = 0
        super().on_body(body)

    def on_message_complete(self) -> None:
        self._since_part = 0
        super().on_message_complete()

    def _give_up(self) -> None:
        if self.cycle is None and not self.transport.is_closing():
            self.transport.close()
