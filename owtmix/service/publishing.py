"""Who may send which stream, and why a sender is refused, whatever it speaks."""

from __future__ import annotations

import time
import unicodedata
from typing import Protocol

from owtmix.base.ids import StreamId
from owtmix.service.tokens import TokenCheck, TokenError


class OfferRefusedError(Exception):
    """An offer is refused with an HTTP status; the message is for the sender."""

    def __init__(self, status: int, message: str) -> None:
        super().__init__(message)
        self.status = status
        self.message = message


class Publishing(Protocol):
    """What those who take senders ask of who records rooms."""

    async def offer(self, app: str, room: str, stream: StreamId, sdp: str) -> tuple[str, str]:
        """The session's id and the answer to an offer.

        Raises:
            OfferRefusedError: it is refused.
        """

    async def fetch(self, app: str, room: str, stream: StreamId, name: str) -> None:
        """Begin a session of a stream, which the server of RTMP calls ``name``.

        Raises:
            OfferRefusedError: it is refused.
        """

    async def leave(self, app: str, room: str, stream: StreamId, session: str) -> None:
        """End a session of a stream.

        Raises:
            OfferRefusedError: there is none.
        """


def allowed_stream(tokens: TokenCheck, token: str, *, app: str, room: str, stream: str) -> StreamId:
    """The stream that a sender names, which is its user's.

    Raises:
        OfferRefusedError: it is none, or another user's, or the token does not hold.
    """
    try:
        found = StreamId.parse(stream)
    except ValueError as error:
        raise OfferRefusedError(400, f"the stream: accepted is {error}") from None
    try:
        user = tokens.check(token, app=app, room=room, now_s=time.time())
    except TokenError as error:
        raise OfferRefusedError(401, str(error)) from None
    if user is not None and unicodedata.normalize("NFC", user) != found.user:
        raise OfferRefusedError(403, "the token is another user's")
    return found
