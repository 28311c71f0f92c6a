"""A room that lives in Debian's Janus: its publishers are recorded, and stay together."""

from __future__ import annotations

import asyncio
import os
from pathlib import Path
from typing import Any, Final

import pytest

from owtmix.demo.publisher import Beep, Flash, Publisher
from owtmix.recorder.rtp.ice import IceSettings
from owtmix.recorder.rtp.install import use_addresses
from tests.conftest import kernel_isolates
from tests.live.conftest import Tell
from tests.support.isolated_network import ADDRESS, HAS_NFT, NO_NFT, own_network
from tests.support.janus import JANUS, NO_JANUS, ROOM, URL, publishing, running_janus, until_running
from tests.support.marks import Marks, marks, read_track, start_s
from tests.support.participant import wait_for
from tests.support.server import LiveJob, serving

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
SIZE: Final = (160, 96)
"""What is sent is small: a sender that lags says wrong times."""
TONES: Final = {"alice_1": 1000, "bob_1": 700}


def test_publishers_of_janus_are_recorded_together(tmp_path: Path, tell: Tell) -> None:
    settings = f'min_free_mib = 64\njanus = "{URL}"'
    with own_network(), running_janus(tmp_path / "janus"), serving(tmp_path, settings, ADDRESS) as server:
        job = server.record(str(ROOM))
        asyncio.run(_hold(job))
        job.stop()
        job.wait_for_end()
        files = {entry["StreamId"]: entry for entry in job.index()["Files"]}
        assert set(files) == set(TONES), job.logs()
        seen = {stream: _seen(job, entry) for stream, entry in files.items()}
    for stream, found in seen.items():
        tell(f"{stream}: {found}")
    together = [ms for found in seen.values() for ms in (found.flash_ms, found.beep_ms)]
    tell(f"participants, sound and picture are {max(together) - min(together):.1f} ms apart")
    assert max(together) - min(together) <= APART_MS


async def _hold(job: LiveJob) -> None:
    """Two publishers in Janus, and the recorder as a third participant."""
    await until_running()
    use_addresses(IceSettings((ADDRESS,)))
    alice = Publisher([Flash(SIZE), Beep(TONES["alice_1"])], "VP8")
    bob = Publisher([Flash(SIZE), Beep(TONES["bob_1"])], "H264")
    async with publishing("alice_1", alice), publishing("bob_1", bob):
        await wait_for(lambda: _heard(job) == set(TONES), "both publishers are heard")
        await asyncio.sleep(SECONDS)
        tracks = [track for stream in await asyncio.to_thread(job.streams) for track in stream["tracks"]]
        assert not any(track["lost"] for track in tracks), tracks
    await wait_for(lambda: not job.streams(), "nobody is heard any more")


def _heard(job: LiveJob) -> set[str]:
    return {one["stream"] for one in job.streams() if all(track["written"] for track in one["tracks"])}


def _seen(job: LiveJob, entry: dict[str, Any]) -> Marks:
    path = job.server.store / job.room / Path(entry["Name"]).name
    return marks(read_track(path), start_s(entry), TONES[entry["StreamId"]])
