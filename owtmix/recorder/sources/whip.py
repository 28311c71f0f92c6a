"""WHIP (RFC 9725): senders come to the server with an offer, and the server asks for it on the room's socket."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from owtmix.base.ids import StreamId
from owtmix.recorder.control_server import RequestError
from owtmix.recorder.sources.base import Host


async def offer(host: Host, request: Mapping[str, Any]) -> dict[str, str]:
    """Answer the request ``{"stream": "alice_1", "sdp": "..."}``.

    Raises:
        RequestError: As ``Host.admit``, or the request is malformed.
    """
    stream, sdp = request.get("stream"), request.get("sdp")
    if not isinstance(stream, str) or not isinstance(sdp, str):
        raise RequestError('an offer has "stream" and "sdp"')
    try:
        parsed = StreamId.parse(stream)
    except ValueError as error:
        raise RequestError(f"stream: accepted is {error}") from None
    admission = await host.admit(parsed, sdp)
    return {"session": admission.session, "sdp": admission.sdp}
