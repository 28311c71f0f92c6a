"""All recordings: how they end with the service."""

from __future__ import annotations

import asyncio
import sqlite3
from pathlib import Path
from typing import Any, cast

import pytest

from owtmix.jobfile.settings import ServiceSettings
from owtmix.service import jobs
from owtmix.service.finishing import Site
from owtmix.service.jobs import Job
from owtmix.service.recording import Recording
from owtmix.service.recordings import Recordings
from tests.service.conftest import NOW_US, Rig


class NotedRecording:
    """A recording that ends as soon as its job stops."""

    def __init__(self, job: Job) -> None:
        self.job = job
        self.has_ended = asyncio.Event()

    def change(self, job: Job) -> None:
        self.job = job
        if job.state == "stopping":
            self.has_ended.set()

    async def run(self) -> None:
        await self.has_ended.wait()


def site(rig: Rig, folder: Path) -> Site:
    one = asyncio.Semaphore(1)
    return Site(rig.database, folder, ServiceSettings(), lambda: None, lambda: None, lambda: NOW_US, one)


def test_jobs_are_stopped_when_a_full_disk_has_room_again(
    rig: Rig, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    job_id = rig.started()
    job: Job = rig.run(lambda connection: jobs.find(connection, job_id))
    run, failures = rig.database.run, 2

    async def full_at_first(work: Any) -> Any:
        nonlocal failures
        if failures:
            failures -= 1
            raise sqlite3.OperationalError("database or disk is full")
        return await run(work)

    async def drain() -> None:
        recordings = Recordings(site(rig, tmp_path))
        recordings._run(cast("Recording", NotedRecording(job)))
        await recordings.drain()

    monkeypatch.setattr(rig.database, "run", full_at_first)
    monkeypatch.setattr("owtmix.service.recordings._LOOK_S", 0.05)
    asyncio.run(asyncio.wait_for(drain(), 30))
    assert rig.act("job.query", job_id)["Data"]["State"] == "stopping"
    assert caplog.text.count("database or disk is full") == 1
