"""The body of a request, which is refused before it is all read where it is too large."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from typing import Final

from starlette.requests import ClientDisconnect, Request

from owtmix.service.large_requests import LARGE_BYTES

BODY_S: Final = 30.0


class TooLargeError(Exception):
    """A body is larger than accepted."""


async def read_body(request: Request, most_bytes: int, on_large: Callable[[], None] | None = None) -> bytes:
    """The body of ``request``; ``on_large`` is called where it turns out to be large, and may raise.

    Raises:
        TooLargeError: it has more than ``most_bytes``, or says so.
        ClientDisconnect: it does not come to its end within ``BODY_S``.
    """
    length = request.headers.get("content-length", "")
    if length.isascii() and length.isdecimal() and int(length[:12]) > most_bytes:
        raise TooLargeError
    parts, size = [], 0
    try:
        async with asyncio.timeout(BODY_S):
            async for part in request.stream():
                size += len(part)
                if size > most_bytes:
                    raise TooLargeError
                if on_large and size >= LARGE_BYTES:
                    on_large()
                parts.append(part)
    except TimeoutError:
        raise ClientDisconnect from None
    return b"".join(parts)
