"""All recordings of the service: begun, changed and ended as jobs are, and found again when the service starts."""

from __future__ import annotations

import asyncio
import logging
import shutil
import sqlite3
import time
from collections.abc import Awaitable, Callable
from contextlib import suppress
from functools import partial
from typing import Any, Final, TypeVar

from owtmix.base.ids import StreamId
from owtmix.recorder.control import RoomControl, RoomRefusedError
from owtmix.service import jobs
from owtmix.service.changes import let_stop
from owtmix.service.finishing import Site
from owtmix.service.jobs import Job
from owtmix.service.publishing import OfferRefusedError
from owtmix.service.recording import Recording
from owtmix.service.refusals import RefusedError

T = TypeVar("T")

_log = logging.getLogger(__name__)

_MIB: Final = 1 << 20
_DISK_LOOK_S: Final = 1.0
"""How long what is free of the disk is remembered."""
_LOOK_S: Final = 1.0
"""How often jobs are looked for that began while the service was about to end."""


class Recordings:
    """The recordings of all jobs; see ``control.Recorder`` and ``publishing.Publishing``."""

    def __init__(self, site: Site) -> None:
        self._site = site
        self._recordings: dict[str, Recording] = {}
        self._tasks: set[asyncio.Task[None]] = set()
        self._free = 0
        self._disk_again_s = 0.0

    async def resume(self) -> None:
        """Go on with the jobs that an earlier process of the service left."""
        for job in await self._site.database.run(partial(_unfinished, now_us=self._site.now_us())):
            _log.info("%s: goes on (%s)", job.id, job.state)
            self._run(Recording(job, self._site, is_resumed=True))

    def begin(self, job: Job) -> None:
        if recording := self._recordings.get(job.id):
            recording.change(job)
        else:
            self._run(Recording(job, self._site))

    def change(self, job: Job) -> None:
        if recording := self._recordings.get(job.id):
            recording.change(job)
            self._site.told()

    def end(self, job: Job) -> None:
        self.begin(job)

    def streams(self, job: Job) -> list[dict[str, Any]]:
        recording = self._recordings.get(job.id)
        return [dict(session) for session in recording.sessions] if recording else []

    def progress(self, job: Job) -> dict[str, Any]:
        recording = self._recordings.get(job.id)
        return recording.mixing.progress() if recording and recording.mixing else {}

    def why_full(self) -> str:
        settings = self._site.settings
        if self._streams() >= settings.max_streams:
            return f"all {settings.max_streams:,} streams of this service are taken: try again later"
        return self.why_disk_full()

    def why_disk_full(self) -> str:
        if (now_s := time.monotonic()) >= self._disk_again_s:
            self._disk_again_s = now_s + _DISK_LOOK_S
            self._free = shutil.disk_usage(self._site.state).free
        is_full = self._free < self._site.settings.min_free_mib * _MIB
        return "the disk of this service is nearly full: try again later" if is_full else ""

    async def offer(self, app: str, room: str, stream: StreamId, sdp: str) -> tuple[str, str]:
        self._check_place()
        return await self._asked(app, room, lambda control: control.offer(str(stream), sdp))

    async def fetch(self, app: str, room: str, stream: StreamId, name: str) -> None:
        self._check_place()
        await self._asked(app, room, lambda control: control.fetch(str(stream), name))

    async def leave(self, app: str, room: str, stream: StreamId, session: str) -> None:
        async def end(control: RoomControl) -> None:
            sessions = (await control.status())["sessions"]
            if not any((one["session"], one["stream"]) == (session, str(stream)) for one in sessions):
                raise RoomRefusedError("there is no such session of this stream", 404)
            await control.leave(session)

        await self._asked(app, room, end)

    async def drain(self) -> None:
        """End all jobs; returns when all are finished."""
        told = ""
        while self._tasks:
            try:
                await self._stop_all()
            except sqlite3.Error as error:  # the disk is full, perhaps: what was recorded is not given up
                if told != (told := str(error)):
                    _log.error("jobs cannot be stopped yet, it is tried again: %s", error)
            await asyncio.wait(self._tasks, timeout=_LOOK_S)

    async def _stop_all(self) -> None:
        for recording in [one for one in self._recordings.values() if one.job.state == "running"]:
            stop = partial(let_stop, job_id=recording.job.id, now_us=self._site.now_us(), user="")
            with suppress(RefusedError):  # it has ended meanwhile
                self.end(await self._site.database.run(stop))

    async def abandon(self) -> None:
        """Let go of all; the processes that receive rooms go on."""
        tasks = list(self._tasks)
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)

    def _run(self, recording: Recording) -> None:
        job_id = recording.job.id
        self._recordings[job_id] = recording
        task = asyncio.create_task(recording.run(), name=job_id)
        self._tasks.add(task)
        task.add_done_callback(lambda done: self._ended(job_id, done))
        self._site.told()

    def _check_place(self) -> None:
        """Raises ``OfferRefusedError`` where all streams are taken."""
        if self._streams() >= self._site.settings.max_streams:
            raise OfferRefusedError(503, "no more streams are taken now: try again later")

    def _streams(self) -> int:
        return sum(len(recording.sessions) for recording in self._recordings.values())

    async def _asked(self, app: str, room: str, ask: Callable[[RoomControl], Awaitable[T]]) -> T:
        """What the process that receives a room answers.

        Raises:
            OfferRefusedError: nobody receives it, or it refuses.
        """
        rooms = {(one.job.app, one.job.room): one for one in self._recordings.values() if one.job.state == "running"}
        if (recording := rooms.get((app, room))) is None:
            raise OfferRefusedError(404, "nobody records this room now")
        try:
            return await ask(await recording.control())
        except RoomRefusedError as error:
            raise OfferRefusedError(error.status, str(error)) from None
        except (OSError, TimeoutError):
            raise OfferRefusedError(503, "the recorder is being started: try again") from None

    def _ended(self, job_id: str, task: asyncio.Task[None]) -> None:
        self._tasks.discard(task)
        self._recordings.pop(job_id, None)
        if not task.cancelled() and (error := task.exception()):
            _log.error("%s: the recording failed", job_id, exc_info=error)


def _unfinished(connection: sqlite3.Connection, now_us: int) -> list[Job]:
    """The jobs that are not done: those that were interrupted are to be finished again."""
    for job in jobs.in_state(connection, "interrupted"):
        jobs.set_state(connection, job, "stopping", now_us)
    return jobs.in_state(connection, "running", "stopping")
