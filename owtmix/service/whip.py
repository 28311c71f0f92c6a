"""WHIP (RFC 9725): a sender's offer becomes a session of the room's recorder."""

from __future__ import annotations

import time
import unicodedata
from typing import Final, Protocol
from urllib.parse import quote

from starlette.requests import ClientDisconnect, Request
from starlette.responses import Response
from starlette.routing import Route

from owtmix.base.ids import StreamId
from owtmix.service.body import TooLargeError, read_body
from owtmix.service.tokens import TokenCheck, TokenError

MAX_OFFER_BYTES: Final = 64 << 10
_RETRY_S: Final = 5
_ANY_ORIGIN: Final = {
    "Access-Control-Allow-Origin": "*",
    "Access-Control-Allow-Methods": "POST, DELETE, OPTIONS",
    "Access-Control-Allow-Headers": "Authorization, Content-Type",
    "Access-Control-Expose-Headers": "Location",
    "Access-Control-Max-Age": "86400",
}
"""Pages from anywhere may send: the token decides, and no cookie is used."""


class OfferRefusedError(Exception):
    """An offer is refused with an HTTP status; the message is for the sender."""

    def __init__(self, status: int, message: str) -> None:
        super().__init__(message)
        self.status = status
        self.message = message


class Publishing(Protocol):
    """What WHIP asks of who records rooms."""

    async def offer(self, app: str, room: str, stream: StreamId, sdp: str) -> tuple[str, str]:
        """The session's id and the answer to an offer.

        Raises:
            OfferRefusedError: it is refused.
        """

    async def leave(self, app: str, room: str, stream: StreamId, session: str) -> None:
        """End a session of a stream.

        Raises:
            OfferRefusedError: there is none.
        """


class Whip:
    """The end points for senders."""

    def __init__(self, publishing: Publishing, tokens: TokenCheck) -> None:
        self._publishing = publishing
        self._tokens = tokens

    def routes(self) -> list[Route]:
        """Their places."""
        place = "/whip/{app}/{room}/{stream}"
        return [
            Route(place, self._publish, methods=["POST"]),
            Route(f"{place}/{{session}}", self._leave, methods=["DELETE"]),
            Route(place, self._allow, methods=["OPTIONS"]),
            Route(f"{place}/{{session}}", self._allow, methods=["OPTIONS"]),
        ]

    async def _publish(self, request: Request) -> Response:
        app, room = request.path_params["app"], request.path_params["room"]
        try:
            stream = self._allowed_stream(request)
            _check_type(request)
            sdp = (await read_body(request, MAX_OFFER_BYTES)).decode()
            session, answer = await self._publishing.offer(app, room, stream, sdp)
        except TooLargeError:
            return _refused(OfferRefusedError(413, f"an offer has at most {MAX_OFFER_BYTES:,} bytes"))
        except ClientDisconnect:
            return Response(status_code=400)
        except UnicodeDecodeError:
            return _refused(OfferRefusedError(400, "the offer is not UTF-8"))
        except OfferRefusedError as refused:
            return _refused(refused)
        location = "/".join(quote(part, safe="") for part in (app, room, str(stream), session))
        headers = _ANY_ORIGIN | {"Location": f"/whip/{location}", "ETag": f'"{session}"'}
        return Response(answer, 201, headers, "application/sdp")

    async def _leave(self, request: Request) -> Response:
        values = request.path_params
        try:
            stream = self._allowed_stream(request)
            await self._publishing.leave(values["app"], values["room"], stream, values["session"])
        except OfferRefusedError as refused:
            return _refused(refused)
        return Response(status_code=200, headers=_ANY_ORIGIN)

    async def _allow(self, _: Request) -> Response:
        return Response(status_code=204, headers=_ANY_ORIGIN | {"Accept-Post": "application/sdp"})

    def _allowed_stream(self, request: Request) -> StreamId:
        """The stream of the request, which is its user's.

        Raises:
            OfferRefusedError: it is none, or another user's.
        """
        values = request.path_params
        try:
            stream = StreamId.parse(values["stream"])
        except ValueError as error:
            raise OfferRefusedError(400, f"the last part of the path: accepted is {error}") from None
        scheme, _, token = request.headers.get("authorization", "").partition(" ")
        token = token.strip() if scheme.lower() == "bearer" else ""
        try:
            user = self._tokens.check(token, app=values["app"], room=values["room"], now_s=time.time())
        except TokenError as error:
            raise OfferRefusedError(401, str(error)) from None
        if user is not None and unicodedata.normalize("NFC", user) != stream.user:
            raise OfferRefusedError(403, "the token is another user's")
        return stream


def _check_type(request: Request) -> None:
    """Raises ``OfferRefusedError`` where the content is no SDP."""
    if request.headers.get("content-type", "").partition(";")[0].strip().lower() != "application/sdp":
        raise OfferRefusedError(415, "accepted is application/sdp")


def _refused(refused: OfferRefusedError) -> Response:
    more = {401: {"WWW-Authenticate": "Bearer"}, 503: {"Retry-After": str(_RETRY_S)}}.get(refused.status, {})
    return Response(f"{refused.message}\n", refused.status, _ANY_ORIGIN | more, "text/plain")
