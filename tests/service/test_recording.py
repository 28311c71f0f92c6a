"""A recording tells the process of its room what is recorded, and only that."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any, Final, cast

import pytest

from owtmix.jobfile.settings import ServiceSettings
from owtmix.recorder.control import RoomControl, RoomRefusedError
from owtmix.service import jobs
from owtmix.service.envelope import as_json
from owtmix.service.finishing import Site
from owtmix.service.jobs import Job
from owtmix.service.recording import MOST_UNANSWERED, Recording
from tests.service.conftest import NOW_US, Rig

RECORDED: Final = {"RecordingConfig": {"MediaChannel": 3}}


class NotedRoom:
    """Notes what it is told; ``refused`` are channels that it does not take."""

    def __init__(self) -> None:
        self.told: list[tuple[int, Mapping[str, Any]]] = []
        self.refused: set[int] = set()

    async def update(self, *, media_channel: int, subscribe: Mapping[str, Any]) -> None:
        self.told.append((media_channel, subscribe))
        await asyncio.sleep(0)
        if media_channel in self.refused:
            raise RoomRefusedError("not this one", 400)


def changed(rig: Rig, folder: Path, room: NotedRoom, documents: list[dict[str, Any]]) -> None:
    """Change the configuration of a job that records ``room``, as the service does, to each of ``documents``."""
    job_id = rig.started()
    job: Job = rig.run(lambda connection: jobs.find(connection, job_id))

    async def change() -> None:
        one = asyncio.Semaphore(1)
        site = Site(rig.database, folder, ServiceSettings(), lambda: None, lambda: None, lambda: NOW_US, one)
        recording = Recording(job, site)
        recording._control = cast("RoomControl", room)
        for document in documents:
            recording.change(replace(job, is_recording=True, document_text=as_json(document)))
            await asyncio.gather(*recording._beside)

    asyncio.run(change())


def test_a_room_is_told_of_what_is_recorded_and_not_of_looks(rig: Rig, tmp_path: Path) -> None:
    room = NotedRoom()
    looks = [RECORDED | {"MixerConfig": {"Gap": gap}} for gap in range(5)]
    heard = RECORDED | {"SubscribeConfig": {"AudioSubscribe": ["a_1"]}}
    changed(rig, tmp_path, room, [*looks, heard, *looks])
    assert room.told == [(3, {}), (3, heard["SubscribeConfig"]), (3, {})]


def test_what_a_room_refused_is_told_again(rig: Rig, tmp_path: Path) -> None:
    room = NotedRoom()
    room.refused = {3}
    changed(rig, tmp_path, room, [RECORDED, RECORDED])
    assert len(room.told) == 2


def test_an_unexpected_error_leaves_no_process(rig: Rig, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    job_id = rig.started()
    done: list[str] = []

    class Room:
        async def stop(self) -> None:
            done.append("stopped")

        async def close(self) -> None:
            done.append("closed")

    async def connect(folder: Path) -> Room:
        done.append(folder.name)
        return Room()

    async def fail(_: Recording) -> None:
        raise ValueError("unexpected")

    async def run() -> None:
        one = asyncio.Semaphore(1)
        site = Site(rig.database, tmp_path, ServiceSettings(), lambda: None, lambda: None, lambda: NOW_US, one)
        await Recording(await rig.database.run(lambda c: jobs.find(c, job_id)), site).run()

    monkeypatch.setattr(RoomControl, "connect", connect)
    monkeypatch.setattr(Recording, "_receive", fail)
    asyncio.run(run())
    assert done == [job_id, "stopped", "closed"]
    assert rig.run(lambda connection: jobs.find(connection, job_id)).state == "interrupted"


def test_a_room_that_answers_nothing_is_ended(rig: Rig, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Not one that answers between: a busy machine may be slow."""
    job_id = rig.started()
    asked: list[bool] = []
    killed: list[int] = []
    answers = iter([False] * (MOST_UNANSWERED - 1) + [True] + [False] * MOST_UNANSWERED)

    class Room:
        async def update(self, **_: Any) -> None:
            pass

        async def events(self) -> AsyncIterator[dict[str, Any]]:
            return
            yield {}

        async def status(self) -> dict[str, Any]:
            await asyncio.sleep(0)
            asked.append(next(answers))
            if not asked[-1]:
                raise TimeoutError
            return {"sessions": [], "ended": []}

        def kill(self) -> None:
            killed.append(len(asked))

        async def close(self) -> None:
            pass

    async def take() -> None:
        one = asyncio.Semaphore(1)
        site = Site(rig.database, tmp_path, ServiceSettings(), lambda: None, lambda: None, lambda: NOW_US, one)
        recording = Recording(await rig.database.run(lambda c: jobs.find(c, job_id)), site)
        while not killed:
            with pytest.raises(TimeoutError):
                await recording._watch(cast("RoomControl", Room()))
        await recording._leave_beside()

    monkeypatch.setattr("owtmix.service.recording._LOOK_S", 0.01)
    asyncio.run(take())
    assert killed == [2 * MOST_UNANSWERED]


def test_sessions_that_sent_nothing_are_not_finished(rig: Rig, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Nor is any finished twice, while the room tells of it."""
    job_id = rig.started()
    finished: list[str] = []

    async def noted(_: Job, session: str, __: Site) -> None:
        finished.append(session)

    async def take() -> None:
        one = asyncio.Semaphore(1)
        site = Site(rig.database, tmp_path, ServiceSettings(), lambda: None, lambda: None, lambda: NOW_US, one)
        recording = Recording(await rig.database.run(lambda c: jobs.find(c, job_id)), site)
        for ended in (["e1", "a1"], ["e1", "a1", "b1", "e2"], ["b1", "e2"]):
            recording._take({"sessions": [], "ended": ended})
            await asyncio.gather(*recording._beside)
        assert recording._finished == {"b1", "e2"}

    journals = tmp_path / "rooms" / job_id / "journals"
    journals.mkdir(parents=True)
    for name in ("a1.audio.1.journal", "b1.video.1.journal", "e11.audio.1.journal"):
        (journals / name).touch()
    monkeypatch.setattr("owtmix.service.recording.finish_session", noted)
    asyncio.run(take())
    assert finished == ["a1", "b1"]
