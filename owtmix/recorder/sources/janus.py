"""Janus VideoRoom: a room that lives in an SFU is joined as a silent participant, and its publishers are recorded.

A publisher's display name, or its id, is the stream's: ``alice_1``; without a type it is a camera. One whose name is
that of another sender has a name of its own. When Janus goes away, it is asked again after growing pauses.
"""

from __future__ import annotations

import asyncio
import itertools
import json
import logging
import re
from collections.abc import Iterator, Mapping
from contextlib import suppress
from typing import Any, Final

from websockets.asyncio.client import ClientConnection, connect
from websockets.exceptions import WebSocketException
from websockets.typing import Subprotocol

from owtmix.base.backoff import pause_s
from owtmix.base.ids import StreamId
from owtmix.base.strict_json import printable
from owtmix.recorder.control_server import RequestError
from owtmix.recorder.options import JanusRoom
from owtmix.recorder.sources.base import Host

DISPLAY: Final = "owtmix recorder"
"""Name of the silent participant."""
ANSWER_S: Final = 10.0
CHECK_S: Final = 5.0
"""How often sessions that ended while their publisher stayed are begun again, and Janus hears that we are there."""

_PAUSES_S: Final = 1.0, 30.0
_MAX_MESSAGE_BYTES: Final = 1 << 20
_MOST_EVENTS: Final = 10_000
_CODECS: Final = {"audio": {"opus"}, "video": {"h264", "vp8"}}
_PLUGIN: Final = "janus.plugin.videoroom"
_OTHER_FINGERPRINTS: Final = re.compile(r"a=fingerprint:sha-(?:384|512) [^\r\n]*\r\n")
"""Janus takes one fingerprint only."""
_LOGGER: Final = logging.getLogger(__name__)


class JanusError(Exception):
    """Janus refused something, or said something that cannot be understood."""


class JanusSource:
    """See the module."""

    def __init__(self, room: JanusRoom) -> None:
        self._room = room

    async def run(self, host: Host) -> None:
        """Record the room's publishers until cancelled."""
        for attempt in itertools.count(1):
            visit = None
            try:
                async with connect(
                    self._room.url,
                    subprotocols=[Subprotocol("janus-protocol")],
                    max_size=_MAX_MESSAGE_BYTES,
                    proxy=None,
                ) as socket:
                    visit = Visit(socket, self._room.room, host)
                    await visit.run()
            except (OSError, TimeoutError, WebSocketException, JanusError) as error:
                _LOGGER.warning("Janus cannot be used: %s", error or type(error).__name__)
            finally:
                if visit:
                    await visit.leave_all()
            await asyncio.sleep(pause_s(1 if visit and visit.has_joined else min(attempt, 10), *_PAUSES_S))


class Visit:
    """One connection to Janus: the room, and a session for each of its publishers."""

    def __init__(self, socket: ClientConnection, room: int, host: Host) -> None:
        self.has_joined = False
        self._socket = socket
        self._room = room
        self._host = host
        self._transactions = itertools.count(1)
        self._waiting: dict[str, tuple[asyncio.Future[dict[str, Any]], bool]] = {}
        """Answers that are waited for, and whether an acknowledgement is one."""
        self._events: asyncio.Queue[dict[str, Any]] = asyncio.Queue(_MOST_EVENTS)
        self._session = 0
        self._publishers: dict[object, dict[str, Any]] = {}
        self._taken: dict[object, tuple[str, int]] = {}
        """Session and handle of each publisher."""
        self._names: dict[object, StreamId | None] = {}

    async def run(self) -> None:
        """Record until the connection ends, which raises.

        Raises:
            JanusError: Janus refuses something, or the connection ended.
            TimeoutError: Janus does not answer.
            WebSocketException: The connection is lost.
        """
        tasks = {asyncio.create_task(self._read()), asyncio.create_task(self._follow())}
        try:
            done, _ = await asyncio.wait(tasks, return_when=asyncio.FIRST_COMPLETED)
            for task in done:
                task.result()
        finally:
            for task in tasks:
                task.cancel()
            await asyncio.gather(*tasks, return_exceptions=True)

    async def leave_all(self) -> None:
        """End all sessions."""
        for session, _ in self._taken.values():
            await self._host.leave(session, "Janus is gone")
        self._taken.clear()

    async def _follow(self) -> None:
        """Join, and take the publishers that are there and those that come."""
        self._session = _number(await self._ask(janus="create"))
        handle = await self._attach()
        body = {"request": "join", "ptype": "publisher", "room": self._room, "display": DISPLAY}
        self._note(await self._ask(janus="message", handle_id=handle, body=body))
        self.has_joined = True
        while True:
            await self._take_all()
            try:
                event = await asyncio.wait_for(self._events.get(), CHECK_S)
            except TimeoutError:
                await self._ask(janus="keepalive")
                continue
            self._note(event)
            for key in ("unpublished", "leaving"):
                gone = _room_data(event).get(key)
                if gone in self._publishers:
                    await self._drop(gone)

    def _note(self, message: Mapping[str, Any]) -> None:
        for publisher in _room_data(message).get("publishers", []):
            if isinstance(publisher, dict) and isinstance(publisher.get("id"), (int, str)):
                self._publishers[publisher["id"]] = publisher

    async def _take_all(self) -> None:
        """Begin a session for each publisher that has none."""
        for feed in list(self._publishers):
            session, _ = self._taken.get(feed, ("", 0))
            if self._host.has(session):
                continue
            await self._drop_handle(feed)
            name = self._names[feed] = self._free_name(feed)
            if name is None:
                continue
            try:
                await self._take(feed, name)
            except (JanusError, RequestError, TimeoutError) as error:
                _LOGGER.warning("%s cannot be recorded: %s", name, error or type(error).__name__)

    def _free_name(self, feed: object) -> StreamId | None:
        """The stream of a publisher, or one of its own where somebody else is that: displays are chosen freely."""
        wanted = stream_name(self._publishers[feed])
        if wanted is None:
            return None
        before = self._names.pop(feed, wanted)
        found = next((name for name in (wanted, *_other_names(wanted, feed)) if self._is_free(name)), None)
        if found not in {wanted, before}:
            as_what = f"is recorded as {found}" if found else "is not recorded"
            _LOGGER.warning("a publisher is called as another sender is, %s: it %s", wanted, as_what)
        return found

    def _is_free(self, name: StreamId) -> bool:
        return name not in self._names.values() and not self._host.has_stream(name)

    async def _take(self, feed: object, name: StreamId) -> None:
        mids = wanted_mids(self._publishers[feed])
        if not mids:
            return
        handle = await self._attach()
        streams = [{"feed": feed, "mid": mid} for mid in mids]
        body = {"request": "join", "ptype": "subscriber", "room": self._room, "streams": streams}
        offered = await self._ask(janus="message", handle_id=handle, body=body)
        offer = offered.get("jsep")
        if not isinstance(offer, dict) or not isinstance(offer.get("sdp"), str):
            raise JanusError("Janus sent no offer")
        admission = await self._host.admit(name, offer["sdp"])
        self._taken[feed] = admission.session, handle
        answer = {"type": "answer", "sdp": _OTHER_FINGERPRINTS.sub("", admission.sdp)}
        await self._ask(janus="message", handle_id=handle, body={"request": "start"}, jsep=answer)

    async def _drop(self, feed: object) -> None:
        """End the session of a publisher that left."""
        self._publishers.pop(feed, None)
        self._names.pop(feed, None)
        session, _ = self._taken.get(feed, ("", 0))
        await self._host.leave(session, "left")
        await self._drop_handle(feed)

    async def _drop_handle(self, feed: object) -> None:
        _, handle = self._taken.pop(feed, ("", 0))
        if handle:
            await self._ask(janus="detach", handle_id=handle)

    async def _attach(self) -> int:
        return _number(await self._ask(janus="attach", plugin=_PLUGIN))

    async def _ask(self, **message: Any) -> dict[str, Any]:
        """Send a request and wait for what it leads to.

        Raises:
            JanusError: It is refused.
            TimeoutError: Nothing came back.
        """
        transaction = str(next(self._transactions))
        if self._session:
            message["session_id"] = self._session
        answer: asyncio.Future[dict[str, Any]] = asyncio.get_running_loop().create_future()
        self._waiting[transaction] = answer, message["janus"] == "keepalive"
        try:
            await self._socket.send(json.dumps({**message, "transaction": transaction}))
            found = await asyncio.wait_for(answer, ANSWER_S)
        finally:
            del self._waiting[transaction]
        error = found.get("error") if found.get("janus") == "error" else _room_data(found).get("error")
        if error and message["janus"] != "detach":  # a handle may be gone with its publisher
            raise JanusError(f"Janus refused {message['janus']}: {printable(json.dumps(error), 200)}")
        return found

    async def _read(self) -> None:
        """Hand answers to who asked, and put aside the rest."""
        async for data in self._socket:
            try:
                message = json.loads(data)
            except (ValueError, RecursionError):
                raise JanusError("Janus sent something that is no JSON") from None
            if not isinstance(message, dict):
                raise JanusError("Janus sent something that is no object")
            answer, takes_ack = self._waiting.get(str(message.get("transaction")), (None, False))
            if answer and not answer.done():
                if message.get("janus") != "ack" or takes_ack:
                    answer.set_result(message)
            elif self._events.full():
                raise JanusError("Janus sends more than can be done")
            else:
                self._events.put_nowait(message)
        raise JanusError("Janus ended the connection")


def stream_name(publisher: Mapping[str, Any]) -> StreamId | None:
    """The stream of a publisher; None where neither its display name nor its id can be one."""
    name = str(publisher.get("display") or publisher["id"])
    for text in (name, f"{name}_1"):
        try:
            return StreamId.parse(text)
        except ValueError:
            continue
    return None


def _other_names(name: StreamId, feed: object) -> Iterator[StreamId]:
    """What a publisher is called whose name is another's."""
    for user in (f"{name.user}-{feed}", str(feed)):
        with suppress(ValueError):
            yield StreamId.parse(f"{user}_{name.type}")


def wanted_mids(publisher: Mapping[str, Any]) -> list[str]:
    """The sections of a publisher to subscribe to: its first sound and its first picture that can be recorded."""
    mids: dict[str, str] = {}
    for stream in publisher.get("streams", []):
        kind = stream.get("type") if isinstance(stream, dict) else None
        if kind in _CODECS and not stream.get("disabled") and stream.get("codec") in _CODECS[kind]:
            mids.setdefault(kind, str(stream.get("mid")))
    return list(mids.values())


def _room_data(message: Mapping[str, Any]) -> dict[str, Any]:
    """What the room says in a message."""
    plugin = message.get("plugindata")
    data = plugin.get("data") if isinstance(plugin, dict) else None
    return data if isinstance(data, dict) else {}


def _number(answer: Mapping[str, Any]) -> int:
    """The id of a session or a handle that Janus made."""
    data = answer.get("data")
    number = data.get("id") if isinstance(data, dict) else None
    if not isinstance(number, int):
        raise JanusError("Janus gave no id")
    return number
