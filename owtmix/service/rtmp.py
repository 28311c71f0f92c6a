"""What nginx-rtmp asks before it takes a publisher (``on_publish``): may it, and what is its stream called there."""

from __future__ import annotations

import logging
import secrets
from typing import Final
from urllib.parse import unquote

from starlette.requests import ClientDisconnect, Request
from starlette.responses import Response

from owtmix.service.body import TooLargeError, read_body
from owtmix.service.publishing import OfferRefusedError, Publishing, allowed_stream
from owtmix.service.tokens import TokenCheck

PLACE: Final = "/rtmp"
MAX_FORM_BYTES: Final = 32 << 10

_CALL, _STREAM, _APP, _ROOM, _TOKEN = "call", "name", "AppId", "RoomId", "Token"
_NEEDED: Final = (_CALL, _STREAM, _APP, _ROOM)
_PUBLISH: Final = "publish"
_NAME_BYTES: Final = 16
_STATUS: Final = {401: 403}
"""A publisher is asked for no credentials."""
_log = logging.getLogger(__name__)


class Rtmp:
    """The end point for nginx-rtmp."""

    def __init__(self, publishing: Publishing, tokens: TokenCheck) -> None:
        self._publishing = publishing
        self._tokens = tokens

    async def publish(self, request: Request) -> Response:
        """Take a publisher. A redirect tells nginx-rtmp another name of its stream, which nobody else has or knows."""
        try:
            form = read_form(await read_body(request, MAX_FORM_BYTES))
            stream = allowed_stream(
                self._tokens, form.get(_TOKEN, ""), app=form[_APP], room=form[_ROOM], stream=form[_STREAM]
            )
            name = secrets.token_hex(_NAME_BYTES)
            await self._publishing.fetch(form[_APP], form[_ROOM], stream, name)
        except TooLargeError:
            return _refused(OfferRefusedError(413, f"a form has at most {MAX_FORM_BYTES:,} bytes"))
        except ClientDisconnect:
            return Response(status_code=400)
        except OfferRefusedError as refused:
            return _refused(refused)
        return Response(status_code=302, headers={"Location": name})


def read_form(body: bytes) -> dict[str, str]:
    """The fields of the form of an ``on_publish``. ``+`` stays what it is: nginx-rtmp passes arguments as they came.

    Raises:
        OfferRefusedError: a field is missing, is there twice, or is no text; or it is another call.
    """
    form: dict[str, str] = {}
    for part in body.split(b"&"):
        name, _, value = part.partition(b"=")
        if (field := name.decode("latin-1")) not in {*_NEEDED, _TOKEN}:
            continue
        if field in form:
            raise OfferRefusedError(400, f"{field} is there twice")
        try:
            form[field] = unquote(value.decode("ascii"), errors="strict")
        except UnicodeDecodeError:
            raise OfferRefusedError(400, f"{field} is not UTF-8 with percent signs") from None
    if missing := [field for field in _NEEDED if not form.get(field)]:
        raise OfferRefusedError(400, f"{', '.join(missing)}: missing in the address that is published to")
    if form[_CALL] != _PUBLISH:
        raise OfferRefusedError(400, "accepted is on_publish only")
    return form


def _refused(refused: OfferRefusedError) -> Response:
    _log.warning("a publisher by RTMP is refused: %s", refused.message)
    return Response(f"{refused.message}\n", _STATUS.get(refused.status, refused.status), media_type="text/plain")
