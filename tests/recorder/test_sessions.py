"""The sessions of a room: one user who begins its stream again and again keeps nobody else out."""

from __future__ import annotations

import asyncio
from pathlib import Path
from typing import Any, Final

import pytest

from owtmix.base.ids import StreamId
from owtmix.recorder.control_server import RequestError
from owtmix.recorder.rtp.ice import IceSettings
from owtmix.recorder.session import Session, SessionSettings
from owtmix.recorder.sessions import Sessions
from owtmix.recorder.subscription import Subscription
from owtmix.recorder.turns import AGAIN_EVERY_US, MOST_IN_A_ROW, MOST_REMEMBERED, MOST_WAITING, Turns

ALICE, BOB, MALLORY = (StreamId(user, 1) for user in ("alice", "bob", "mallory"))
OFFERS: Final = 40


def sessions_in(folder: Path, most: int) -> Sessions:
    settings = SessionSettings(folder, IceSettings(), key_every_s=5, silence_s=60, connect_s=60)
    return Sessions(settings, Subscription.from_json(3, {}), most, lambda _: None)


async def statuses(opening: list[Any]) -> list[int]:
    """200 for each session that begins, or the status of what refuses it."""
    results = await asyncio.gather(*opening, return_exceptions=True)
    assert all(isinstance(result, (Session, RequestError)) for result in results), results
    return [result.status if isinstance(result, RequestError) else 200 for result in results]


def test_a_stream_that_is_begun_many_times_at_once_takes_one_place(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Closing takes its time, and what is being closed is no other stream."""
    most_at_once = 0
    close = Session._on_disk

    def slow(session: Session, *arguments: Any) -> None:
        asyncio.run(asyncio.sleep(0.05))
        close(session, *arguments)

    monkeypatch.setattr(Session, "_on_disk", slow)

    async def scene() -> None:
        nonlocal most_at_once
        sessions = sessions_in(tmp_path, most=3)
        for stream in (ALICE, MALLORY):
            await sessions.open(stream)
        flood = asyncio.gather(statuses([sessions.open(MALLORY) for _ in range(OFFERS)]))
        await asyncio.sleep(0.01)
        assert await statuses([sessions.open(BOB)]) == [200]
        while not flood.done():
            most_at_once = max(most_at_once, sum(one["stream"] == str(MALLORY) for one in sessions.status()))
            await asyncio.sleep(0.01)
        begun = 1 + MOST_WAITING
        assert sorted(flood.result()[0]) == [200] * begun + [503] * (OFFERS - begun)
        assert {one["stream"] for one in sessions.status()} == {str(ALICE), str(BOB), str(MALLORY)}
        with pytest.raises(RequestError, match="full"):
            await sessions.open(StreamId("carol", 1))
        await sessions.close()

    asyncio.run(scene())
    assert 1 <= most_at_once <= 2


def test_who_waits_for_a_place_has_not_come_and_gone(tmp_path: Path) -> None:
    async def scene() -> None:
        sessions = sessions_in(tmp_path, most=1)
        there = await sessions.open(ALICE)
        assert await statuses([sessions.open(BOB) for _ in range(2 * MOST_IN_A_ROW)]) == [503] * 2 * MOST_IN_A_ROW
        await sessions.leave(there.name, "left")
        assert await statuses([sessions.open(BOB)]) == [200]
        await sessions.close()

    asyncio.run(scene())


def test_a_stream_that_comes_and_goes_is_begun_seldom(monkeypatch: pytest.MonkeyPatch) -> None:
    now_us = 5_000_000
    monkeypatch.setattr("owtmix.recorder.turns.now_us", lambda: now_us)
    turns = Turns()

    async def begin(stream: StreamId = MALLORY) -> bool:
        try:
            async with turns.turn(stream):
                return True
        except RequestError as error:
            return "comes and goes" not in str(error)

    async def scene() -> None:
        nonlocal now_us
        assert [await begin() for _ in range(MOST_IN_A_ROW + 2)] == [True] * MOST_IN_A_ROW + [False] * 2
        assert await begin(ALICE)
        now_us += AGAIN_EVERY_US
        assert [await begin() for _ in range(2)] == [True, False]
        assert all([await begin(StreamId(f"user{n}", 1)) for n in range(2 * MOST_REMEMBERED)])
        assert len(turns._paces) == MOST_REMEMBERED

    asyncio.run(scene())
