"""Streams that a scripted server of RTMP has are fetched by real readers, into a host that only notes."""

from __future__ import annotations

import asyncio
import json
import os
import signal
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager, suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest

from owtmix.base.ids import StreamId
from owtmix.recorder.control_server import RequestError
from owtmix.recorder.journal import Kind
from owtmix.recorder.rtp.reception import EncodedFrame
from owtmix.recorder.sources.base import Admission, Inlet
from owtmix.recorder.sources.rtmp import FETCHED_FILE, RtmpSource
from owtmix.rtmp import amf
from owtmix.rtmp.chunks import AUDIO, COMMAND, CONTROL, VIDEO, Message, to_chunks

READY = [
    Message(COMMAND, 0, 0, amf.write("_result", 1.0, None, None)),
    Message(COMMAND, 0, 0, amf.write("_result", 2.0, None, 1.0)),
    Message(AUDIO, 0, 1, b"\xaf\0\x11\x90"),
]
SOUND = to_chunks(Message(AUDIO, 0, 1, b"\xaf\x01sound"), 4)
END = to_chunks(Message(CONTROL, 0, 0, b"\0\1\0\0\0\1"), 2)
REQUEST = {"stream": "alice_1", "name": "0a1b"}
PATIENCE_S = 60


@dataclass
class Noted:
    """A session that notes."""

    name: str
    frames: list[tuple[Kind, EncodedFrame]] = field(default_factory=list)
    why: str = ""
    fell_silent: bool = False

    @property
    def is_ending(self) -> bool:
        return bool(self.why) or self.fell_silent

    def take(self, kind: Kind, frame: EncodedFrame) -> None:
        self.frames.append((kind, frame))

    async def end(self, why: str) -> None:
        self.why = self.why or why


@dataclass
class NotingHost:
    """A room that notes; it may be full."""

    sessions: list[Noted] = field(default_factory=list)
    is_full: bool = False

    async def open(self, _: StreamId) -> Inlet:
        if self.is_full:
            raise RequestError("the room is full", 503)
        self.sessions.append(Noted(f"s{len(self.sessions)}"))
        return self.sessions[-1]

    async def admit(self, stream: StreamId, sdp: str) -> Admission:
        raise NotImplementedError

    async def leave(self, session: str, why: str) -> None:
        raise NotImplementedError

    def has(self, session: str) -> bool:
        raise NotImplementedError

    def has_stream(self, stream: StreamId) -> bool:
        raise NotImplementedError


@dataclass
class Rig:
    """A source, its host, and the connections that readers made to the server."""

    source: RtmpSource
    host: NotingHost
    connections: list[asyncio.StreamWriter]

    async def send(self, data: bytes) -> None:
        self.connections[-1].write(data)
        await self.connections[-1].drain()

    def readers(self) -> list[int]:
        found = Path(f"/proc/self/task/{os.getpid()}/children").read_text().split()
        return [int(pid) for pid in found if "rtmp.reader" in Path(f"/proc/{pid}/cmdline").read_text()]


@asynccontextmanager
async def rig(folder: Path) -> AsyncIterator[Rig]:
    connections: list[asyncio.StreamWriter] = []

    async def greet(_: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        writer.write(bytes([3]) + bytes(2 * 1536) + b"".join(to_chunks(one, 3) for one in READY))
        connections.append(writer)

    async with await asyncio.start_server(greet, "127.0.0.1", 0) as server:
        port = server.sockets[0].getsockname()[1]
        made = Rig(RtmpSource(f"rtmp://127.0.0.1:{port}/live", folder), NotingHost(), connections)
        running = asyncio.create_task(made.source.run(made.host))
        try:
            yield made
        finally:
            running.cancel()
            with suppress(asyncio.CancelledError):
                await running
            for writer in connections:
                writer.close()


async def until(holds: Callable[[], object]) -> None:
    async with asyncio.timeout(PATIENCE_S):
        while True:
            if holds():
                return
            await asyncio.sleep(0.02)


def run(folder: Path, work: Callable[[Rig], Awaitable[None]]) -> None:
    async def within() -> None:
        async with rig(folder) as made:
            await work(made)

    asyncio.run(within())


def test_a_stream_is_fetched_until_its_publisher_leaves(tmp_path: Path) -> None:
    async def work(made: Rig) -> None:
        await made.source.fetch(made.host, REQUEST)
        assert json.loads((tmp_path / FETCHED_FILE).read_bytes()) == {"alice_1": "0a1b"}
        await until(lambda: made.connections)
        await made.send(SOUND)
        (session,) = made.host.sessions
        await until(lambda: session.frames)
        ((kind, frame),) = session.frames
        assert (kind, frame.codec, frame.rtp, frame.is_key) == ("audio", "aac", 0, True)
        await made.send(END)
        await until(lambda: session.why)
        assert session.why == "the publisher left"
        assert json.loads((tmp_path / FETCHED_FILE).read_bytes()) == {}
        assert not made.readers()

    run(tmp_path, work)


@pytest.mark.parametrize("by", ["kill", "close"])
def test_a_reader_that_ends_is_started_again_in_the_same_session(tmp_path: Path, by: str) -> None:
    async def work(made: Rig) -> None:
        await made.source.fetch(made.host, REQUEST)
        for number in range(1, 4):
            await until(lambda number=number: len(made.connections) == number)  # type: ignore[misc]
            await made.send(SOUND)
            await until(lambda number=number: len(made.host.sessions[0].frames) == number)  # type: ignore[misc]
            if by == "kill":
                os.kill(made.readers()[0], signal.SIGKILL)
            else:
                made.connections[-1].close()
        await until(lambda: len(made.connections) == 4)
        assert len({frame.timeline for _, frame in made.host.sessions[0].frames}) == 1
        assert len(made.host.sessions) == 1

    run(tmp_path, work)


def test_what_comes_after_a_silence_is_another_session(tmp_path: Path) -> None:
    async def work(made: Rig) -> None:
        await made.source.fetch(made.host, REQUEST)
        await until(lambda: made.connections)
        made.host.sessions[0].fell_silent = True
        made.host.is_full = True
        await made.send(SOUND)
        await asyncio.sleep(0.3)
        made.host.is_full = False
        await made.send(SOUND)
        await until(lambda: len(made.host.sessions) == 2 and made.host.sessions[1].frames)
        assert not made.host.sessions[0].frames

    run(tmp_path, work)


def test_what_is_not_recorded_is_told_and_costs_nothing_else(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    async def work(made: Rig) -> None:
        await made.source.fetch(made.host, REQUEST)
        await until(lambda: made.connections)
        await made.send(to_chunks(Message(VIDEO, 0, 1, b"\x90hvc1 secret"), 5) + SOUND + END)
        await until(lambda: made.host.sessions[0].why)
        assert len(made.host.sessions[0].frames) == len(made.connections) == 1

    run(tmp_path, work)
    assert "alice_1: RTMP: its picture is not H.264, and not recorded" in caplog.text
    assert "secret" not in caplog.text


def test_a_session_that_somebody_ended_is_not_begun_again(tmp_path: Path) -> None:
    async def work(made: Rig) -> None:
        await made.source.fetch(made.host, REQUEST)
        await until(lambda: made.connections)
        await made.host.sessions[0].end("replaced")
        await made.send(SOUND)
        await until(lambda: not made.readers())
        await asyncio.sleep(0.3)
        assert len(made.host.sessions) == len(made.connections) == 1

    run(tmp_path, work)


def test_a_publisher_that_comes_again_replaces_the_first_one(tmp_path: Path) -> None:
    async def work(made: Rig) -> None:
        await made.source.fetch(made.host, REQUEST)
        await until(lambda: made.connections)
        await made.source.fetch(made.host, REQUEST | {"name": "ffff"})
        await until(lambda: len(made.connections) == 2 and len(made.readers()) == 1)
        assert json.loads((tmp_path / FETCHED_FILE).read_bytes()) == {"alice_1": "ffff"}

    run(tmp_path, work)


def test_another_process_goes_on(tmp_path: Path) -> None:
    (tmp_path / FETCHED_FILE).write_text('{"alice_1": "0a1b", "no stream": "00", "bob_1": "../x", "carl_1": 5}')

    async def work(made: Rig) -> None:
        await until(lambda: made.connections)
        assert len(made.host.sessions) == 2, "5 is hexadecimal, too"

    run(tmp_path, work)


@pytest.mark.parametrize("content", [b"", b"[]", b"\xff", b'{"alice_1"'])
def test_a_damaged_file_is_none(tmp_path: Path, content: bytes) -> None:
    (tmp_path / FETCHED_FILE).write_bytes(content)

    async def work(made: Rig) -> None:
        await asyncio.sleep(0.1)
        assert not made.host.sessions

    run(tmp_path, work)


@pytest.mark.parametrize(
    "change",
    [
        {"stream": "alice"},
        {"stream": "alice_3"},
        {"stream": None},
        {"stream": "a\n_1"},
        {"name": ""},
        {"name": "0a1b?x=y"},
        {"name": "../0a"},
        {"name": "a" * 65},
        {"name": None},
    ],
)
def test_hostile_names_are_refused(tmp_path: Path, change: dict[str, Any]) -> None:
    async def work(made: Rig) -> None:
        with pytest.raises(RequestError):
            await made.source.fetch(made.host, REQUEST | change)
        assert not made.host.sessions

    run(tmp_path, work)
