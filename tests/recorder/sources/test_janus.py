"""Janus's VideoRoom, played by a server that offers what aiortc publishes: who comes, goes, and comes back."""

from __future__ import annotations

import asyncio
import json
from contextlib import suppress
from pathlib import Path
from typing import Any, cast

import pytest
from aiortc import RTCSessionDescription
from websockets.asyncio.server import Server, ServerConnection, serve
from websockets.exceptions import ConnectionClosed
from websockets.typing import Subprotocol

from owtmix.base.ids import StreamId
from owtmix.demo.publisher import Publisher, Repeated
from owtmix.recorder.options import JanusRoom
from owtmix.recorder.sources.janus import Visit, stream_name, wanted_mids
from tests.support.live import RunningRoom, running_room, small_clip, until

ROOM = 1234


class PlayedJanus:
    """A Janus with one room. ``publishers`` are those that are there: their id and display name."""

    def __init__(self) -> None:
        self.publishers: dict[int, str] = {}
        self.seen: list[str] = []
        self._ids = iter(range(1000, 9000))
        self._sockets: dict[ServerConnection, int] = {}
        self._sending: dict[int, Publisher] = {}
        self._server: Server | None = None
        self.port = 0

    async def start(self) -> None:
        janus = Subprotocol("janus-protocol")
        self._server = await serve(self._serve, "127.0.0.1", self.port, subprotocols=[janus])
        self.port = next(iter(self._server.sockets)).getsockname()[1]

    async def stop(self) -> None:
        assert self._server
        self._server.close()
        await self._server.wait_closed()
        for publisher in self._sending.values():
            await publisher.close()
        self._sending.clear()

    async def come(self, feed: int, display: str) -> None:
        self.publishers[feed] = display
        await self._tell({"publishers": [self._described(feed)]})

    async def go(self, feed: int) -> None:
        del self.publishers[feed]
        await self._tell({"leaving": feed})

    def _described(self, feed: int) -> dict[str, Any]:
        streams = [
            {"type": "audio", "mid": "0", "codec": "opus"},
            {"type": "video", "mid": "1", "codec": "vp8"},
            {"type": "data", "mid": "2"},
        ]
        return {"id": feed, "display": self.publishers[feed], "streams": streams}

    async def _tell(self, data: dict[str, Any]) -> None:
        for socket, handle in self._sockets.items():
            event = {"janus": "event", "sender": handle, "plugindata": {"data": {"videoroom": "event", **data}}}
            await socket.send(json.dumps(event))

    async def _serve(self, socket: ServerConnection) -> None:
        with suppress(ConnectionClosed):
            async for text in socket:
                message = json.loads(text)
                for answer in await self._answer(socket, message):
                    await socket.send(json.dumps({**answer, "transaction": message["transaction"]}))
        self._sockets.pop(socket, None)

    async def _answer(self, socket: ServerConnection, message: dict[str, Any]) -> list[dict[str, Any]]:
        body = message.get("body", {})
        self.seen.append(body.get("request", message["janus"]))
        if message["janus"] in {"create", "attach"}:
            return [{"janus": "success", "data": {"id": next(self._ids)}}]
        if message["janus"] != "message":
            return [{"janus": "ack" if message["janus"] == "keepalive" else "success"}]
        handle, data, jsep = message["handle_id"], {}, {}
        if body.get("room", ROOM) != ROOM:
            data = {"error_code": 426, "error": "No such room"}
        elif body.get("ptype") == "publisher":
            self._sockets[socket] = handle
            data = {"videoroom": "joined", "publishers": [self._described(feed) for feed in self.publishers]}
        elif body["request"] == "join":
            assert [stream["mid"] for stream in body["streams"]] == ["0", "1"]
            jsep = {"jsep": {"type": "offer", "sdp": await self._offer(handle)}}
        else:
            assert "sha-512" not in message["jsep"]["sdp"]
            answer = RTCSessionDescription(message["jsep"]["sdp"], "answer")
            await self._sending[handle].connection.setRemoteDescription(answer)
        return [{"janus": "ack"}, {"janus": "event", "sender": handle, "plugindata": {"data": data}, **jsep}]

    async def _offer(self, handle: int) -> str:
        clip, begin_s = small_clip("VP8"), asyncio.get_running_loop().time() + 0.5
        tracks = [Repeated("audio", clip.audio, begin_s), Repeated("video", clip.video, begin_s)]
        publisher = self._sending[handle] = Publisher(tracks, "VP8")
        await publisher.connection.setLocalDescription(await publisher.connection.createOffer())
        return publisher.connection.localDescription.sdp


def test_publishers_are_recorded_as_they_come_and_go_and_janus_may_go_too(tmp_path: Path) -> None:
    async def run() -> None:
        janus = PlayedJanus()
        janus.publishers[1] = "alice_1"
        await janus.start()
        options = {"janus": JanusRoom(f"ws://127.0.0.1:{janus.port}", ROOM)}
        async with running_room(tmp_path / "room", **options) as room:
            await until(room, "joined", "alice_1")
            await janus.come(2, "bob")
            await until(room, "joined", "bob_1")
            await janus.come(3, "bob_1")  # somebody else has this name
            await until(room, "joined", "bob-3_1")
            await asyncio.sleep(2)  # for a key frame
            await janus.go(3)
            await until(room, "left", "bob-3_1")
            await janus.go(1)
            assert (await until(room, "left", "alice_1"))["why"] == "left"
            await janus.stop()
            assert (await until(room, "left", "bob_1"))["why"] in {"Janus is gone", "the sender said goodbye"}
            await janus.start()
            await until(room, "joined", "bob_1")
            await _ended_again(room)
            await room.control.stop()
            assert await asyncio.to_thread(room.process.wait, 30) == 0
            journals = room.journals()
            assert {(journal.stream, journal.kind) for journal in journals} == {
                (stream, kind) for stream in ("alice_1", "bob_1", "bob-3_1") for kind in ("audio", "video")
            }
            assert all(journal.ended and journal.frames for journal in journals)
        await janus.stop()

    asyncio.run(run())


async def _ended_again(room: RunningRoom) -> None:
    """A session that ends while its publisher stays is begun again."""
    (session,) = (await room.control.status())["sessions"]
    await room.control.leave(session["session"])
    await until(room, "left", "bob_1")
    await until(room, "joined", "bob_1")


def test_a_room_that_is_not_there_is_told_in_the_log_and_asked_for_again(tmp_path: Path) -> None:
    async def run() -> None:
        janus = PlayedJanus()
        await janus.start()
        options = {"janus": JanusRoom(f"ws://127.0.0.1:{janus.port}", 1)}
        async with running_room(tmp_path / "room", **options) as room:
            async with asyncio.timeout(60):
                while janus.seen.count("join") < 2:  # noqa: ASYNC110 - the room is another process
                    await asyncio.sleep(0.1)
            assert (await room.control.status())["sessions"] == []
            assert "No such room" in (room.folder / "log").read_text(encoding="utf-8")
        await janus.stop()

    asyncio.run(run())


@pytest.mark.parametrize(
    ("publisher", "expected"),
    [
        ({"id": 5, "display": "alice_1"}, StreamId("alice", 1)),
        ({"id": 5, "display": "alice_2"}, StreamId("alice", 2)),
        ({"id": 5, "display": "alice"}, StreamId("alice", 1)),
        ({"id": 5, "display": "alice_3"}, StreamId("alice_3", 1)),
        ({"id": 5}, StreamId("5", 1)),
        ({"id": "x_2", "display": ""}, StreamId("x", 2)),
        ({"id": 5, "display": "a\nb"}, None),
        ({"id": 5, "display": "x" * 300}, None),
        ({"id": 5, "display": "\ufb2c" * 120}, None),
    ],
)
def test_names_of_publishers(publisher: dict[str, Any], expected: StreamId | None) -> None:
    assert stream_name(publisher) == expected


class NotedHost:
    """A room whose streams are in ``streams``."""

    def __init__(self, *streams: str) -> None:
        self.streams = {*streams}

    def has(self, session: str) -> bool:
        return session in self.streams

    def has_stream(self, stream: StreamId) -> bool:
        return str(stream) in self.streams

    async def leave(self, session: str, _: str) -> None:
        self.streams.remove(session)


class NotedVisit(Visit):
    """Begins sessions without Janus, each called as its stream."""

    async def _take(self, feed: object, name: StreamId) -> None:
        self._taken[feed] = str(name), 0
        cast("NotedHost", self._host).streams.add(str(name))


def test_nobody_takes_the_name_of_another_sender(caplog: pytest.LogCaptureFixture) -> None:
    async def run() -> None:
        host = NotedHost("whip_1")
        visit = NotedVisit(cast("Any", None), ROOM, cast("Any", host))

        async def taken(**displays: str) -> dict[object, str]:
            visit._note(
                {"plugindata": {"data": {"publishers": [{"id": i, "display": n} for i, n in displays.items()]}}}
            )
            await visit._take_all()
            return {feed: session for feed, (session, _) in visit._taken.items()}

        expected = {"11": "Guest_1", "12": "Guest-12_1", "13": "Guest_2", "14": "whip-14_1"}
        assert await taken(**{"11": "Guest", "12": "Guest", "13": "Guest_2", "14": "whip"}) == expected
        host.streams.remove("Guest-12_1")
        assert await taken() == expected
        assert caplog.text.count("is recorded as") == 2
        visit._taken["11"] = "replaced by a session of WHIP", 0
        assert (await taken())["11"] == "Guest-11_1"
        await visit._drop("12")
        assert (await taken(**{"15": "Guest-12"}))["15"] == "Guest-12_1"

    asyncio.run(run())


def test_only_what_can_be_recorded_is_subscribed() -> None:
    streams = [
        {"type": "video", "mid": "0", "codec": "vp9"},
        {"type": "video", "mid": "1", "codec": "h264", "disabled": True},
        {"type": "video", "mid": "2", "codec": "h264"},
        {"type": "video", "mid": "3", "codec": "vp8"},
        {"type": "audio", "mid": "4", "codec": "opus"},
        {"type": "data", "mid": "5"},
        "nonsense",
    ]
    assert wanted_mids({"streams": streams}) == ["2", "4"]
    assert wanted_mids({}) == []
