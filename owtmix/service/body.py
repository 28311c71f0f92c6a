"""The body of a request, which is refused before it is all read where it is too large."""

from __future__ import annotations

from starlette.requests import Request


class TooLargeError(Exception):
    """A body is larger than accepted."""


async def read_body(request: Request, most_bytes: int) -> bytes:
    """The body of ``request``.

    Raises:
        TooLargeError: it has more than ``most_bytes``, or says so.
    """
    length = request.headers.get("content-length", "")
    if length.isascii() and length.isdecimal() and int(length[:12]) > most_bytes:
        raise TooLargeError
    parts, size = [], 0
    async for part in request.stream():
        size += len(part)
        if size > most_bytes:
            raise TooLargeError
        parts.append(part)
    return b"".join(parts)
