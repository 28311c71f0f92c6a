"""Each process of a live room is killed: the job goes on, and at most a second of what came before is missing."""

from __future__ import annotations

import asyncio
import random
import time
from collections.abc import Awaitable, Callable
from dataclasses import dataclass, field
from itertools import pairwise
from pathlib import Path
from typing import Any, Final

import av
import pytest

from owtmix.demo.publisher import Clip
from tests.live.conftest import Tell
from tests.notify.receiver import Receiver, receiving
from tests.support.participant import Participant, make_clip, wait_for
from tests.support.server import LiveJob, LiveServer, kill, serving, wait_until

LOST_S: Final = 1.0
"""Of a stream, before the kill."""
GAP_S: Final = 0.5
"""Between pictures of one file. They come every 0.04 s; a busy machine may sleep over some."""
SENDING_S: Final = 1.5
STREAMS: Final = ("alice_1", "bob_1")
REPEATS: Final = 10
SEED: Final = 20261128

BEGUN: Final = ["ucloud_record_status_update"]
RESTARTED: Final = ["ucloud_record_warning", "ucloud_record_session_failover"]
ENDED: Final = ["ucloud_record_file_infos", "ucloud_upload_status", "ucloud_record_status_update"]


@dataclass
class LiveRoom:
    """A room with two senders; ``down_us`` is when its recorder was killed, if it was."""

    server: LiveServer
    job: LiveJob
    senders: list[Participant]
    chance: random.Random
    killed_s: list[float] = field(default_factory=list)

    async def is_received(self) -> None:
        """Wait until all senders are heard, and go on for some time."""

        def heard() -> bool:
            tracks = [track for stream in self.job.streams() for track in stream["tracks"]]
            return len(tracks) == 2 * len(self.senders) and all(track["written"] for track in tracks)

        await wait_for(heard, "all senders are heard")
        await asyncio.sleep(SENDING_S + self.chance.random())

    async def come_back(self) -> None:
        """What a sender does whose connection is lost."""
        await asyncio.gather(*(sender.vanish() for sender in self.senders))
        await asyncio.gather(*(sender.join() for sender in self.senders))

    def kill(self, module: str) -> None:
        for pid in self.server.processes(module):
            kill(pid)
        self.killed_s.append(time.time())

    async def stop(self) -> None:
        await asyncio.gather(*(sender.leave() for sender in self.senders))
        await asyncio.to_thread(self.job.stop)


async def kill_room(room: LiveRoom) -> None:
    room.kill("room")
    await room.come_back()
    await room.is_received()
    await room.stop()


async def kill_server(room: LiveRoom) -> None:
    room.server.kill()
    await asyncio.sleep(room.chance.random())
    await asyncio.to_thread(room.server.start)
    await room.is_received()
    await room.stop()


async def kill_server_and_room(room: LiveRoom) -> None:
    room.server.kill()
    room.kill("room")
    await asyncio.gather(room.come_back(), asyncio.to_thread(room.server.start))
    await room.is_received()
    await room.stop()


async def kill_finishing(room: LiveRoom) -> None:
    await until_finishing(room)
    room.kill("finish")


async def kill_server_and_finishing(room: LiveRoom) -> None:
    await until_finishing(room)
    room.server.kill()
    room.kill("finish")
    await asyncio.to_thread(room.server.start)


async def kill_server_while_finishing(room: LiveRoom) -> None:
    await until_finishing(room)
    room.server.kill()
    await asyncio.to_thread(room.server.start)


async def until_finishing(room: LiveRoom) -> None:
    """Stop the room, and wait for a moment at which its files are made."""
    await room.stop()
    await wait_for(lambda: room.server.processes("finish"), "the room is finished")
    await asyncio.sleep(room.chance.random() / 2)


@dataclass(frozen=True)
class Kill:
    """What is done to a room, and what follows: files of each stream, and whether a restart is told of."""

    do: Callable[[LiveRoom], Awaitable[None]]
    files: int
    is_told: bool


KILLS: Final = {
    "the room": Kill(kill_room, 2, is_told=True),
    "the server": Kill(kill_server, 1, is_told=False),
    "the server and the room": Kill(kill_server_and_room, 2, is_told=True),
    "finishing": Kill(kill_finishing, 1, is_told=True),
    "the server while finishing": Kill(kill_server_while_finishing, 1, is_told=False),
    "the server and finishing": Kill(kill_server_and_finishing, 1, is_told=False),
}


@pytest.fixture(scope="module")
def clips(tmp_path_factory: pytest.TempPathFactory) -> list[Clip]:
    folder = tmp_path_factory.mktemp("clips")
    return [make_clip(folder / "h264.mkv", "H264"), make_clip(folder / "vp8.mkv", "VP8")]


@pytest.mark.parametrize("which", KILLS)
def test_a_job_goes_on_when_a_process_is_killed(tmp_path: Path, clips: list[Clip], tell: Tell, which: str) -> None:
    survive(tmp_path, clips, tell, KILLS[which], 0)


@pytest.mark.attack
@pytest.mark.parametrize("which", KILLS)
@pytest.mark.parametrize("attempt", range(REPEATS))
def test_a_job_goes_on_whenever_a_process_is_killed(
    tmp_path: Path, clips: list[Clip], tell: Tell, attempt: int, which: str
) -> None:
    survive(tmp_path, clips, tell, KILLS[which], 1 + attempt)


def survive(root: Path, clips: list[Clip], tell: Tell, kill_of: Kill, attempt: int) -> None:
    """Have a room with a kill, and check what is left of it."""
    with receiving() as receiver, serving(root) as server:
        job = server.record("meeting", notify=receiver.url)
        senders = [Participant(job.whip(stream), clip) for stream, clip in zip(STREAMS, clips, strict=True)]
        room = LiveRoom(server, job, senders, random.Random(SEED + attempt))
        asyncio.run(_held(room, kill_of))
        job.wait_for_end()
        check_files(tell, room, kill_of)
        check_callbacks(receiver, kill_of)
        assert not server.processes("room"), job.logs()


async def _held(room: LiveRoom, kill_of: Kill) -> None:
    try:
        await asyncio.gather(*(sender.join() for sender in room.senders))
        await room.is_received()
        await kill_of.do(room)
    finally:
        await asyncio.gather(*(sender.vanish() for sender in room.senders))


def check_files(tell: Tell, room: LiveRoom, kill_of: Kill) -> None:
    """One set of files, which end at most a second before the kill and have no holes."""
    entries = room.job.index()["Files"]
    folder = room.server.store / room.job.room
    made = {path.name for path in folder.iterdir() if path.suffix in {".mp4", ".webm"}}
    assert made == {Path(entry["Name"]).name for entry in entries}, room.job.logs()
    for stream in STREAMS:
        own = [entry for entry in entries if entry["StreamId"] == stream]
        assert len(own) == kill_of.files, room.job.logs()
        gaps_s = [longest_gap_s(folder / Path(entry["Name"]).name) for entry in own]
        line = f"{stream}: longest gap in files {max(gaps_s):.2f} s"
        assert max(gaps_s) <= GAP_S
        if kill_of.files > 1:
            lost_s = room.killed_s[0] - own[0]["EndTime"] / 1000
            line += f", {lost_s:.2f} s lost before the kill, {own[1]['StartTime'] / 1000 - room.killed_s[0]:.2f} s down"
            assert lost_s <= LOST_S
        tell(line)


def check_callbacks(receiver: Receiver, kill_of: Kill) -> None:
    """Each event once and in order; a server that was killed may have delivered one that it could not note."""
    expected = [*BEGUN, *(RESTARTED if kill_of.is_told else []), *ENDED]
    wait_until(lambda: receiver.events[-1:] == ENDED[-1:] and len(receiver.events) >= len(expected), "the last event")
    seen = {request.id: request for request in receiver.requests}
    assert [request.event for request in seen.values()] == expected
    data = [request.json["Data"] for request in seen.values()]
    if kill_of.is_told:
        assert data[1]["WarnCode"] == 1
        assert data[2]["Status"] == 0
    names: list[Any] = data[-3]["FileList"]
    assert names == data[-2]["FileList"]
    assert data[-2]["Status"] == 0


def longest_gap_s(path: Path) -> float:
    with av.open(str(path)) as file:
        stream = file.streams.video[0]
        assert stream.time_base
        times = sorted(packet.pts * stream.time_base for packet in file.demux(stream) if packet.pts is not None)
    return float(max(b - a for a, b in pairwise(times)))
