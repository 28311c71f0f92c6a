"""Each process of a room that is mixed live is killed: the file is what composing the recordings gives."""

from __future__ import annotations

import asyncio
import random
from collections.abc import Sequence
from pathlib import Path
from typing import Any, Final

import pytest

from owtmix.demo.publisher import Clip
from tests.live.conftest import Tell
from tests.live.test_kills import SEED, STREAMS, LiveRoom, clips
from tests.live.test_mixed_room import PICTURE, chunks, events
from tests.notify.receiver import receiving
from tests.support.participant import Participant
from tests.support.server import serving, wait_until

__all__ = ["clips"]

REPEATS: Final = 4
KILLS: Final = {
    "the mixer": ("live.mix",),
    "the mixer and the room": ("live.mix", "room"),
    "the mixer and the server": ("live.mix", "server"),
    "the server": ("server",),
    "all": ("live.mix", "room", "server"),
}
FEWEST_CHUNKS: Final = 2
MIXED_S: Final = 3.0


def test_a_mix_goes_on_when_all_is_killed(tmp_path: Path, clips: list[Clip], tell: Tell) -> None:
    survive(tmp_path, clips, tell, KILLS["all"], 0)


@pytest.mark.attack
@pytest.mark.parametrize("which", KILLS)
@pytest.mark.parametrize("attempt", range(REPEATS))
def test_a_mix_goes_on_whatever_is_killed(
    tmp_path: Path,
    clips: list[Clip],
    tell: Tell,
    attempt: int,
    which: str,
) -> None:
    survive(tmp_path, clips, tell, KILLS[which], 1 + attempt)


def survive(root: Path, of: list[Clip], tell: Tell, victims: Sequence[str], attempt: int) -> None:
    """Have a room in which ``victims`` are killed, and compose what was recorded of it."""
    with receiving() as receiver, serving(root) as server:
        job = server.record(
            "meeting",
            mode=1,
            notify=receiver.url,
            TranscodingConfig={"Video": PICTURE},
            MixerConfig={"MixedVideoLayout": 1},
        )
        senders = [Participant(job.whip(stream), clip) for stream, clip in zip(STREAMS, of, strict=True)]
        room = LiveRoom(server, job, senders, random.Random(SEED + attempt))
        asyncio.run(_held(room, victims))
        job.wait_for_end()
        mix = server.store / "meeting.mp4"
        assert mix.is_file(), job.logs()
        wait_until(lambda: events(receiver)[-1:] == [("ucloud_mixer_status_update", 2)], "all callbacks")
        told = [name for name, _ in events(receiver)]
        made, again = chunks(mix), chunks(job.compose("--chunk", "2"))
        same = [one == other for one, other in zip(made, again, strict=False)]
        tell(f"{len(made)} chunks; composing gives {len(again)}, the same {same}; told {told}")
        assert told.count("ucloud_mixer_file_infos") == told.count("ucloud_upload_status") == 1
        assert abs(len(made) - len(again)) <= 1
        assert "room" in victims or all(same[1:-1]), "in the first and last one somebody comes or vanishes"
        assert sum(map(len, made)) >= FEWEST_CHUNKS * 60


async def _held(room: LiveRoom, victims: Sequence[str]) -> None:
    try:
        await asyncio.gather(*(sender.join() for sender in room.senders))
        await room.is_received()
        await asyncio.sleep(MIXED_S + room.chance.random() * 2)
        for victim in victims:
            if victim == "server":
                room.server.kill()
            else:
                room.kill(victim)
        back: list[Any] = [room.come_back()] if "room" in victims else []
        if "server" in victims:
            back.append(asyncio.to_thread(room.server.start))
        await asyncio.gather(*back)
        await room.is_received()
        await room.stop()
    finally:
        await asyncio.gather(*(sender.vanish() for sender in room.senders))
