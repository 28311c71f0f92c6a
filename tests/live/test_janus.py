"""A room that lives in Debian's Janus: its publishers are recorded, and stay together."""

from __future__ import annotations

import asyncio
import os
from pathlib import Path
from typing import Any, Final

import pytest

from owtmix.demo.publisher import Beep, Flash, Publisher
from owtmix.recorder.options import JanusRoom
from owtmix.recorder.rtp.ice import IceSettings
from owtmix.recorder.rtp.install import use_addresses
from tests.conftest import kernel_isolates
from tests.live.conftest import Tell
from tests.recorder.finishing import configure, run_finish
from tests.support.isolated_network import ADDRESS, HAS_NFT, NO_NFT, own_network
from tests.support.janus import JANUS, NO_JANUS, ROOM, URL, publishing, running_janus, until_running
from tests.support.live import RunningRoom, running_room
from tests.support.marks import Marks, marks, read_track

pytestmark = [
    pytest.mark.serial,
    pytest.mark.skipif(not JANUS, reason=NO_JANUS),
    pytest.mark.skipif(not HAS_NFT, reason=NO_NFT),
    pytest.mark.skipif(not kernel_isolates(), reason="the kernel refuses a network of its own"),
    pytest.mark.skipif(os.geteuid() != 0, reason="only root can give a network rules"),
]

APART_MS: Final = 200.0
"""Between participants, and from picture to sound, where machines are shared."""
SECONDS: Final = 8.0
WITHIN_S: Final = 40.0
SIZE: Final = (160, 96)
"""What is sent is small: a sender that lags says wrong times."""
TONES: Final = {"alice_1": 1000, "bob_1": 700}


def test_publishers_of_janus_are_recorded_together(tmp_path: Path, tell: Tell) -> None:
    with own_network(), running_janus(tmp_path / "janus"):
        asyncio.run(_hold(tmp_path / "room"))
        configure(tmp_path / "room")
        status, report, log = run_finish(tmp_path / "room")
    assert status == 0, log
    assert {entry["stream"] for entry in report["files"]} == set(TONES)
    seen = {entry["stream"]: _seen(tmp_path / "room" / "recordings", entry) for entry in report["files"]}
    for stream, found in seen.items():
        tell(f"{stream}: {found}")
    together = [ms for found in seen.values() for ms in (found.flash_ms, found.beep_ms)]
    tell(f"participants, sound and picture are {max(together) - min(together):.1f} ms apart")
    assert max(together) - min(together) <= APART_MS


async def _hold(folder: Path) -> None:
    """Two publishers in Janus, and the recorder as a third participant."""
    await until_running()
    async with running_room(folder, ice_addresses=(ADDRESS,), janus=JanusRoom(URL, ROOM)) as room:
        use_addresses(IceSettings((ADDRESS,)))
        alice, bob = (
            Publisher([Flash(SIZE), Beep(TONES["alice_1"])], "VP8"),
            Publisher([Flash(SIZE), Beep(TONES["bob_1"])], "H264"),
        )
        async with publishing("alice_1", alice), publishing("bob_1", bob):
            await _until_heard(room, 2)
            await asyncio.sleep(SECONDS)
            tracks = [track for session in (await room.control.status())["sessions"] for track in session["tracks"]]
            assert not any(track["lost"] for track in tracks), tracks
        await _until_heard(room, 0)
        await room.control.stop()


async def _until_heard(room: RunningRoom, count: int) -> None:
    async with asyncio.timeout(WITHIN_S):
        while True:
            sessions = (await room.control.status())["sessions"]
            if len(sessions) == count and all(track["written"] for one in sessions for track in one["tracks"]):
                return
            await asyncio.sleep(0.2)


def _seen(folder: Path, entry: dict[str, Any]) -> Marks:
    return marks(read_track(folder / entry["name"]), entry["start_ms"] / 1000, TONES[entry["stream"]])
