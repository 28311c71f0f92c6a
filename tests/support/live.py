"""Rooms that are received: the process, and publishers on loopback."""

from __future__ import annotations

import asyncio
import re
import subprocess
import sys
import tempfile
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager, contextmanager
from dataclasses import dataclass, field
from functools import cache
from pathlib import Path
from typing import Any, Final

from aiortc import MediaStreamTrack

from owtmix.demo.publisher import Clip, Publisher, Repeated, VideoCodec, read_clip
from owtmix.recorder.control import RoomControl
from owtmix.recorder.journal import Frame, JournalReader, Report
from owtmix.recorder.options import JOURNALS, OPTIONS_FILE, RoomOptions
from owtmix.recorder.rtp.ice import IceSettings
from owtmix.recorder.rtp.install import use_addresses
from tests.support.participant import make_clip

LOOPBACK: Final = ("127.0.0.1",)
START_S: Final = 60.0
"""A loaded machine starts processes slowly."""


@dataclass
class RunningRoom:
    """A room's process, and the connection to it."""

    folder: Path
    process: subprocess.Popen[bytes]
    control: RoomControl
    passed: list[dict[str, Any]] = field(default_factory=list)
    """Events that nobody waited for yet."""

    def journals(self) -> list[JournalContent]:
        return [read_journal(path) for path in sorted((self.folder / JOURNALS).iterdir())]


@dataclass(frozen=True)
class JournalContent:
    """All that a journal has."""

    path: Path
    stream: str
    kind: str
    codec: str
    frames: list[Frame]
    reports: list[Report]
    ended: bool


def read_journal(path: Path) -> JournalContent:
    with JournalReader(path) as reader:
        records = list(reader.records())
        return JournalContent(
            path,
            str(reader.head.stream),
            reader.head.kind,
            reader.head.codec,
            [record for record in records if isinstance(record, Frame)],
            [record for record in records if isinstance(record, Report)],
            reader.ended,
        )


def write_options(folder: Path, **options: Any) -> None:
    folder.mkdir(parents=True, exist_ok=True)
    (folder / OPTIONS_FILE).write_bytes(
        RoomOptions("job-1", "app-1", "room-1", **{"ice_addresses": LOOPBACK, **options}).to_json()
    )


@contextmanager
def room_process(folder: Path) -> Iterator[subprocess.Popen[bytes]]:
    command = [sys.executable, "-m", "owtmix.recorder.room", str(folder)]
    with (folder / "log").open("ab") as log, subprocess.Popen(command, stderr=log) as process:
        try:
            yield process
        finally:
            process.kill()


@asynccontextmanager
async def running_room(folder: Path, **options: Any) -> AsyncIterator[RunningRoom]:
    """A room in ``folder``; it is killed at the end, if it still runs."""
    write_options(folder, **options)
    use_addresses(IceSettings(LOOPBACK))
    with room_process(folder) as process:
        control = await RoomControl.connect(folder, within_s=START_S)
        try:
            yield RunningRoom(folder, process, control)
        finally:
            await control.close()


@dataclass
class Sending:
    """A publisher that sends, and its session in the room."""

    publisher: Publisher
    session: str
    tracks: dict[str, Repeated]

    async def close(self) -> None:
        """Say goodbye, and leave."""
        await self.publisher.close()


async def publish(room: RunningRoom, stream: str, codec: VideoCodec, kinds: str = "audio video") -> Sending:
    """Send the small clip to the room, over and over."""
    return await _send(room.control, stream, small_clip(codec), kinds)


async def publish_clip(control: RoomControl, stream: str, path: Path) -> Sending:
    """Send the clip of a file to the room, over and over."""
    return await _send(control, stream, read_clip(path), "audio video")


async def _send(control: RoomControl, stream: str, clip: Clip, kinds: str) -> Sending:
    begin_s = asyncio.get_running_loop().time() + 0.5
    tracks: dict[str, Repeated] = {}
    if "audio" in kinds:
        tracks["audio"] = Repeated("audio", clip.audio, begin_s)
    if "video" in kinds:
        tracks["video"] = Repeated("video", clip.video, begin_s)
    sent: list[MediaStreamTrack] = [*tracks.values()]
    publisher = Publisher(sent, clip.codec)
    sessions = []

    async def exchange(offer: str) -> str:
        session, answer = await control.offer(stream, offer)
        sessions.append(session)
        return answer

    await publisher.connect(exchange)
    return Sending(publisher, sessions[0], tracks)


async def until(room: RunningRoom, event: str, stream: str, within_s: float = 30.0) -> dict[str, Any]:
    """The next event of this kind that was not waited for."""
    for n, found in enumerate(room.passed):
        if (found["event"], found["stream"]) == (event, stream):
            return room.passed.pop(n)
    async with asyncio.timeout(within_s):
        async for found in room.control.events():
            if (found["event"], found["stream"]) == (event, stream):
                return found
            room.passed.append(found)
    raise AssertionError("the room is gone")


@cache
def small_clip(codec: VideoCodec) -> Clip:
    """Two seconds to repeat."""
    with tempfile.TemporaryDirectory() as folder:
        return make_clip(Path(folder) / "clip.mkv", codec, seconds=2)


def units(data: bytes) -> list[bytes]:
    """The NAL units of Annex B, whatever start codes they have."""
    return [unit.rstrip(b"\0") for unit in re.split(b"\0\0\1", data) if unit.strip(b"\0")]
