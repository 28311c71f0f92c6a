"""WHIP (RFC 9725): a sender's offer becomes a session of the room's recorder."""

from __future__ import annotations

from typing import Final
from urllib.parse import quote, unquote

from starlette.requests import ClientDisconnect, Request
from starlette.responses import Response
from starlette.routing import Route

from owtmix.service.body import TooLargeError, read_body
from owtmix.service.publishing import OfferRefusedError, Publishing, allowed_stream
from owtmix.service.tokens import TokenCheck

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


class Whip:
    """The end points for senders."""

    def __init__(self, publishing: Publishing, tokens: TokenCheck) -> None:
        self._publishing = publishing
        self._tokens = tokens

    def routes(self) -> list[Route]:
        """Their places. Nothing below ``/whip/`` is anything else."""
        return [Route("/whip/{place:path}", self._answer, methods=["POST", "DELETE", "OPTIONS"])]

    async def _answer(self, request: Request) -> Response:
        match request.method, _place_of(request):
            case "POST", [app, room, stream]:
                return await self._publish(request, app, room, stream)
            case "DELETE", [app, room, stream, session]:
                return await self._leave(request, app, room, stream, session)
            case "OPTIONS", [_, _, _, *_]:
                return Response(status_code=204, headers=_ANY_ORIGIN | {"Accept-Post": "application/sdp"})
        return _refused(
            OfferRefusedError(404, "accepted are POST to /whip/AppId/RoomId/StreamId and DELETE of its session")
        )

    async def _publish(self, request: Request, app: str, room: str, name: str) -> Response:
        try:
            stream = allowed_stream(self._tokens, _token(request), app=app, room=room, stream=name)
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

    async def _leave(self, request: Request, app: str, room: str, name: str, session: str) -> Response:
        try:
            stream = allowed_stream(self._tokens, _token(request), app=app, room=room, stream=name)
            await self._publishing.leave(app, room, stream, session)
        except OfferRefusedError as refused:
            return _refused(refused)
        return Response(status_code=200, headers=_ANY_ORIGIN)


def _place_of(request: Request) -> list[str]:
    """The parts of its address after the first one, of which each may have slashes; empty where one is missing."""
    parts = [unquote(part) for part in request.scope["raw_path"].decode("ascii").split("/")[2:]]
    return parts if all(parts) else []


def _token(request: Request) -> str:
    scheme, _, token = request.headers.get("authorization", "").partition(" ")
    return token.strip() if scheme.lower() == "bearer" else ""


def _check_type(request: Request) -> None:
    """Raises ``OfferRefusedError`` where the content is no SDP."""
    if request.headers.get("content-type", "").partition(";")[0].strip().lower() != "application/sdp":
        raise OfferRefusedError(415, "accepted is application/sdp")


def _refused(refused: OfferRefusedError) -> Response:
    more = {401: {"WWW-Authenticate": "Bearer"}, 503: {"Retry-After": str(_RETRY_S)}}.get(refused.status, {})
    return Response(f"{refused.message}\n", refused.status, _ANY_ORIGIN | more, "text/plain")
