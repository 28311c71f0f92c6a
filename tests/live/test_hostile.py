"""Attacks on a running service that take minutes: ten thousand sessions, and a minute of garbage."""

from __future__ import annotations

import asyncio
import os
import time
from collections import Counter
from pathlib import Path
from typing import Final

import httpx
import pytest

from tests.live.conftest import Tell
from tests.recorder.test_hostile_senders import SEED, attacked
from tests.support.participant import Participant, make_clip
from tests.support.server import LiveJob, serving, wait_until

pytestmark = pytest.mark.attack

OFFERS: Final = 10_000
AT_ONCE: Final = 8
MOST_STREAMS: Final = 2
MOST_GROWTH_MIB: Final = 30.0
GARBAGE_S: Final = 60.0


@pytest.mark.timeout(900)
def test_ten_thousand_sessions_are_refused_while_others_are_received(tmp_path: Path, tell: Tell) -> None:
    clip = make_clip(tmp_path / "clip.mkv", "H264")
    with serving(tmp_path, f"min_free_mib = 64\nmax_streams = {MOST_STREAMS}") as server:
        job = server.record("hall")
        pids = {"server": server.pid, "room": server.processes("room")[0]}

        async def scene() -> None:
            there = [Participant(job.whip(f"user{n}_1"), clip) for n in range(MOST_STREAMS)]
            for sender in there:
                await sender.join()
            await asyncio.to_thread(wait_until, lambda: len(job.streams()) == MOST_STREAMS, "both are there")
            await asyncio.sleep(2)
            before = {name: memory_mib(pid) for name, pid in pids.items()}
            begun_s = time.monotonic()
            answers = await offers(job, there[0].offer)
            took_s = time.monotonic() - begun_s
            growth = {name: memory_mib(pid) - before[name] for name, pid in pids.items()}
            tell(f"{OFFERS:,} offers in {took_s:.0f} s: {dict(answers)}; MiB more: {growth}")
            assert answers == {httpx.codes.SERVICE_UNAVAILABLE: OFFERS}
            assert max(growth.values()) < MOST_GROWTH_MIB
            assert [stream["stream"] for stream in job.streams()] == [sender.stream for sender in there]
            for sender in there:
                await sender.leave()

        asyncio.run(scene())
        job.stop()
        job.wait_for_end()
        assert len(job.index()["Files"]) == MOST_STREAMS


async def offers(job: LiveJob, sdp: str) -> Counter[int]:
    """The statuses of so many offers of other people, several at once."""
    found: Counter[int] = Counter()
    numbers = iter(range(OFFERS))

    async def offer_more() -> None:
        async with httpx.AsyncClient(trust_env=False, timeout=60) as http:
            for n in numbers:
                headers = {"content-type": "application/sdp"}
                answer = await http.post(job.whip(f"more{n}_1"), content=sdp, headers=headers)
                found[answer.status_code] += 1

    await asyncio.gather(*(offer_more() for _ in range(AT_ONCE)))
    return found


def memory_mib(pid: int) -> float:
    pages = int(Path(f"/proc/{pid}/statm").read_text().split()[1])
    return pages * os.sysconf("SC_PAGESIZE") / (1 << 20)


@pytest.mark.timeout(GARBAGE_S + 240)
def test_a_minute_of_garbage_is_nobody_elses(tmp_path: Path) -> None:
    attacked(tmp_path / "room", GARBAGE_S, SEED + 2)
