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
from fractions import Fraction
from functools import cache
from pathlib import Path
from typing import Any, Final

import av
import numpy as np
from aiortc import MediaStreamTrack

from owtmix.demo.publisher import SOUND_HZ, Clip, Publisher, Repeated, VideoCodec, read_clip
from owtmix.recorder.control import RoomControl
from owtmix.recorder.journal import Frame, JournalReader, Report
from owtmix.recorder.options import JOURNALS, OPTIONS_FILE, RoomOptions
from owtmix.recorder.rtp.ice import IceSettings
from owtmix.recorder.rtp.install import use_addresses

LOOPBACK: Final = ("127.0.0.1",)
BLOCK_PX: Final = 8
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
def small_clip(codec: VideoCodec, seconds: int = 2, size: tuple[int, int] = (320, 180), kbps: int = 300) -> Clip:
    """Noise that moves, and a tone; a key frame each second."""
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "clip.mkv"
        write_clip(path, codec, seconds, size, kbps)
        return read_clip(path)


def write_clip(path: Path, codec: VideoCodec, seconds: int, size: tuple[int, int], kbps: int) -> None:
    """As ``small_clip``, as a file."""
    fps, rng = 30, np.random.default_rng(7)
    with av.open(path, "w") as file:
        name = "libvpx" if codec == "VP8" else "libx264"
        speed = {"deadline": "realtime", "cpu-used": "5"} if codec == "VP8" else {"preset": "ultrafast", "bf": "0"}
        picture = file.add_stream(name, rate=fps, options={**speed, "g": str(fps)})
        assert isinstance(picture, av.VideoStream)
        picture.width, picture.height = size
        picture.pix_fmt, picture.bit_rate = "yuv420p", kbps * 1000
        sound = file.add_stream("libopus", rate=SOUND_HZ, layout="mono")
        assert isinstance(sound, av.AudioStream)
        coarse = rng.integers(60, 200, (-(-size[1] * 3 // 2 // BLOCK_PX), 2 * size[0] // BLOCK_PX), np.uint8)
        noise = coarse.repeat(BLOCK_PX, 0).repeat(BLOCK_PX, 1)[: size[1] * 3 // 2]
        for n in range(seconds * fps):
            frame = av.VideoFrame.from_ndarray(
                np.ascontiguousarray(noise[:, 4 * n % size[0] :][:, : size[0]]), format="yuv420p"
            )
            frame.pts, frame.time_base = n, Fraction(1, fps)
            file.mux(picture.encode(frame))
        file.mux(picture.encode(None))
        samples = SOUND_HZ // 50
        for n in range(seconds * 50):
            tone = np.sin(np.arange(n * samples, (n + 1) * samples) * 0.06) * 9000
            heard = av.AudioFrame.from_ndarray(tone.astype(np.int16)[np.newaxis], format="s16", layout="mono")
            heard.sample_rate, heard.pts = SOUND_HZ, n * samples
            file.mux(sound.encode(heard))
        file.mux(sound.encode(None))


def units(data: bytes) -> list[bytes]:
    """The NAL units of Annex B, whatever start codes they have."""
    return [unit.rstrip(b"\0") for unit in re.split(b"\0\0\1", data) if unit.strip(b"\0")]
