"""Senders and servers that send garbage: refused in words, bounded, and nobody else notices."""

from __future__ import annotations

import asyncio
import json
import os
import random
import re
from contextlib import suppress
from pathlib import Path
from typing import Final

import pytest

from owtmix.recorder.control import RoomRefusedError
from owtmix.recorder.control_socket import MAX_LINE_BYTES, connected_socket
from tests.recorder.test_room import check_sent, play
from tests.support.hostile_sender import HostileSender, memory
from tests.support.live import RunningRoom, publish, until

SEED: Final = 20261128
MAX_GROWTH_BYTES: Final = 100 << 20


def attacked(folder: Path, seconds: float, seed: int) -> None:
    """A sender that sends garbage, beside one that does not."""

    async def scene(room: RunningRoom) -> None:
        good, bad = await publish(room, "alice_1", "VP8"), await publish(room, "mallory_1", "H264")
        for stream in ("alice_1", "mallory_1"):
            await until(room, "joined", stream)
        before = await memory(room)
        sender = HostileSender(bad, random.Random(seed))
        await sender.send_for(seconds)
        assert sender.sent > 200 * seconds
        status = await room.control.status()
        assert {session["stream"] for session in status["sessions"]} >= {"alice_1"}
        assert status["memory_bytes"] < before + MAX_GROWTH_BYTES
        await good.close()
        await bad.close()
        await room.control.stop()
        assert await asyncio.to_thread(room.process.wait, 30) == 0
        journals = room.journals()
        for journal in journals:
            if journal.stream == "alice_1":
                check_sent(journal, good)
        assert sum(journal.stream == "alice_1" for journal in journals) == 2
        log = (room.folder / "log").read_text(encoding="utf-8")
        assert "Traceback" not in log

    play(folder, scene)


@pytest.mark.parametrize("seed", [SEED, SEED + 1])
def test_garbage_of_one_sender_is_nobody_elses(tmp_path: Path, seed: int) -> None:
    attacked(tmp_path / "room", 4, seed)


@pytest.mark.parametrize(
    "sdp", ["", "hello", "x" * 900_000, "v=0\r\n" * 100_000, "m=audio 9 UDP/TLS/RTP/SAVPF 0\r\n", "\ud800", "v=0\0"]
)
def test_what_is_no_offer_is_refused(tmp_path: Path, sdp: str) -> None:
    async def scene(room: RunningRoom) -> None:
        with pytest.raises(RoomRefusedError) as caught:
            await room.control.offer("alice_1", sdp)
        assert caught.value.status == 400
        assert (await room.control.status())["sessions"] == []

    play(tmp_path / "room", scene)


def test_streams_have_names_that_the_document_knows(tmp_path: Path) -> None:
    async def scene(room: RunningRoom) -> None:
        for stream in ("alice", "_1", "a" * 300 + "_1", "alice_3", "a\n_1"):
            with pytest.raises(RoomRefusedError, match="user_type"):
                await room.control.offer(stream, "v=0")

    play(tmp_path / "room", scene)


def test_sessions_beyond_the_most_are_refused_at_once(tmp_path: Path) -> None:
    async def scene(room: RunningRoom) -> None:
        there = [await publish(room, f"user{n}_1", "VP8", "audio") for n in range(3)]
        offer = there[0].publisher.connection.localDescription.sdp
        before = await memory(room)
        refused = []
        for n in range(1000):
            with pytest.raises(RoomRefusedError, match="full") as caught:
                await room.control.offer(f"more{n}_1", offer)
            refused.append(caught.value.status)
        assert refused == [503] * 1000
        assert await memory(room) < before + (20 << 20)
        again = await publish(room, "user1_1", "VP8", "audio")
        assert (await until(room, "left", "user1_1"))["why"] == "replaced"
        assert len((await room.control.status())["sessions"]) == 3
        for sending in (*there, again):
            await sending.close()

    play(tmp_path / "room", scene, max_sessions=3)


def test_sessions_that_come_and_go_leave_nothing_behind(tmp_path: Path) -> None:
    async def scene(room: RunningRoom) -> None:
        sending = await publish(room, "alice_1", "VP8", "audio")
        offer = sending.publisher.connection.localDescription.sdp
        for n in range(120):
            session, _ = await room.control.offer(f"user{n}_1", offer)
            await room.control.leave(session)
            if n == 20:
                before = await memory(room)
        assert await memory(room) < before + (20 << 20)
        assert len(os.listdir(f"/proc/{room.process.pid}/fd")) < 40  # noqa: PTH208 - of the kernel, at once
        await sending.close()

    play(tmp_path / "room", scene)


def test_requests_that_are_none_are_answered(tmp_path: Path) -> None:
    """A line that is too long ends the connection; whatever else comes is refused in words."""

    async def scene(room: RunningRoom) -> None:
        reader, writer = await asyncio.open_unix_connection(
            sock=await connected_socket(room.folder), limit=MAX_LINE_BYTES
        )
        lines = [b"hello", b"[1]", b"{}", b'{"id": 7, "do": "dance"}', b'{"id": 8, "do": "leave"}', b"[" * 100_000]
        lines += [b'{"id": 9, "do": "offer", "stream": 1}', b'{"id": 10, "do": "update", "subscribe": 3}', b"\xff"]
        lines += [b'{"id": 11, "do": "update", "media_channel": "x"}']
        writer.write(b"\n".join(lines) + b"\n")
        answers = [json.loads(await reader.readline()) for _ in lines]
        assert all(re.search(r"\w", answer["error"]) and answer["status"] in {400, 404} for answer in answers)
        assert {answer["id"] for answer in answers} >= {7, 8, 9, 10, 11}
        writer.write(b"x" * (2 * MAX_LINE_BYTES))
        assert json.loads(await reader.readline())["status"] == 400
        with suppress(ConnectionError):  # what was not read of the line resets it
            assert await reader.read() == b""
        writer.close()
        assert (await room.control.status())["sessions"] == []

    play(tmp_path / "room", scene)


def test_a_server_that_does_not_read_is_disconnected(tmp_path: Path) -> None:
    async def scene(room: RunningRoom) -> None:
        deaf = await connected_socket(room.folder)

        async def ask_for_ever() -> None:
            line = json.dumps({"id": "x" * 60_000, "do": "status"}).encode() + b"\n"
            while True:
                await asyncio.get_running_loop().sock_sendall(deaf, line)

        with pytest.raises(ConnectionError):
            await asyncio.wait_for(ask_for_ever(), 60)
        deaf.close()
        assert await memory(room) < 300 << 20

    play(tmp_path / "room", scene)
