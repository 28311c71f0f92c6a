"""The recording of one job: its room is received until it ends, and then becomes files."""

from __future__ import annotations

import asyncio
import logging
import sqlite3
from collections.abc import Awaitable, Callable, Coroutine, Sequence
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

from owtmix.base.backoff import pause_s
from owtmix.base.errors import CODE_FAILED
from owtmix.base.ids import StreamId
from owtmix.jobfile.settings import ServiceSettings
from owtmix.notify.events import Event, ServiceStatus, WarnCode
from owtmix.recorder.control import RoomControl, RoomRefusedError
from owtmix.service import callbacks, jobs, record_events
from owtmix.service.actions import ACTIONS
from owtmix.service.changes import let_stop
from owtmix.service.database import Database
from owtmix.service.idle import IdleClock
from owtmix.service.jobs import Job
from owtmix.service.processes import Finished, finish, open_room
from owtmix.service.refusals import RefusedError
from owtmix.service.room_files import (
    recorded,
    remove_made,
    room_folder,
    store_keys,
    write_finish_options,
    write_room_options,
)

_log = logging.getLogger(__name__)

MOST_ATTEMPTS: Final = 8
"""At finishing a room, with pauses of up to a minute. It is tried again when the service starts."""
_LOOK_S: Final = 1.0
_STEADY_S: Final = 60.0
"""A process that ran so long had begun well: the pauses begin anew."""
_FIRST_PAUSE_S: Final = 0.5
_LONGEST_PAUSE_S: Final = 60.0
_NEEDS_STARTED: Final = frozenset(name for name, action in ACTIONS.items() if action.replayed) | {"job.start"}


@dataclass(frozen=True, slots=True)
class Site:
    """What all recordings have in common.

    Attributes:
        state: The folder with the rooms' folders.
        told: Called when callbacks were stored.
        restarted: Called when a process was started again.
        finishing: How many rooms are finished at a time.
    """

    database: Database
    state: Path
    settings: ServiceSettings
    told: Callable[[], None]
    restarted: Callable[[], None]
    now_us: Callable[[], int]
    finishing: asyncio.Semaphore


class Recording:
    """The recording of ``job``.

    Attributes:
        sessions: The sessions that are received, as the process of the room tells of them.
    """

    def __init__(self, job: Job, site: Site) -> None:
        self.job = job
        self.sessions: Sequence[dict[str, Any]] = ()
        self._site = site
        self._folder = room_folder(site.state, job)
        self._control: RoomControl | None = None
        self._ending = asyncio.Event()
        self._finalised: set[str] = set()
        self._beside: set[asyncio.Task[None]] = set()

    @property
    def control(self) -> RoomControl | None:
        """The connection to the process that receives the room, while there is one."""
        return None if self._ending.is_set() else self._control

    def change(self, job: Job) -> None:
        """Take a changed configuration."""
        self.job = job
        if job.state == "stopping":
            self._ending.set()
        if self._control and not self._ending.is_set():
            self._do_beside(self._update(self._control))

    async def run(self) -> None:
        """Receive the room until the job stops, then finish it; returns when the job has ended."""
        if self.job.state == "stopping":
            self._ending.set()
        try:
            await self._receive()
            await self._finish()
        except (OSError, sqlite3.Error) as error:
            _log.error("%s: interrupted: %s", self.job.id, error)
            with suppress(sqlite3.Error):
                await self._end("interrupted", "the service could not go on", self._failed(CODE_FAILED))
        finally:
            await self._leave_beside()

    async def _receive(self) -> None:
        """Keep the process that receives the room running until the job stops; then stop it."""
        idle = IdleClock(self._idle_us(), self._key_stream(), self._site.now_us())
        failures, down_since_us = 0, 0
        is_over = False
        while not is_over:
            began_us = self._site.now_us()
            try:
                if control := await self._opened():
                    if down_since_us:
                        await self._recovered()
                        idle.skip(self._site.now_us() - down_since_us)
                        down_since_us = 0
                    await self._watch(control, idle)
                is_over = True
            except (OSError, TimeoutError, RoomRefusedError) as error:
                now_us = self._site.now_us()
                _log.warning("%s: the process that receives the room is gone: %s", self.job.id, error)
                down_since_us = down_since_us or now_us
                failures = 1 if now_us - began_us > _STEADY_S * 1e6 else failures + 1
                self._site.restarted()
                self.sessions = ()
            with suppress(TimeoutError):
                await asyncio.wait_for(self._ending.wait(), pause_s(failures, _FIRST_PAUSE_S, _LONGEST_PAUSE_S))

    async def _opened(self) -> RoomControl | None:
        """A connection to the process that receives the room; None when the job stops, and none runs still.

        Raises:
            OSError: the process could not be started.
        """
        if self._ending.is_set():
            with suppress(OSError):
                return await RoomControl.connect(self._folder)
            return None
        write_room_options(self._folder, self.job, self._site.settings)
        return await open_room(self._folder)

    async def _watch(self, control: RoomControl, idle: IdleClock) -> None:
        """Look after the room until the job stops, and stop its process.

        Raises:
            OSError, TimeoutError, RoomRefusedError: the process is gone, or does not answer.
        """
        self._control = control
        try:
            await self._update(control)
            while not self._ending.is_set():
                self._take(await control.status(), idle)
                if idle.has_ended(self._site.now_us()):
                    await self._end_by_itself()
                    break
                with suppress(TimeoutError):
                    await asyncio.wait_for(self._ending.wait(), _LOOK_S)
            await control.stop()
            self.sessions = ()
        finally:
            self._control = None
            await control.close()

    def _take(self, status: dict[str, Any], idle: IdleClock) -> None:
        """Take what the process tells of its sessions; those that have ended become files."""
        self.sessions = status["sessions"]
        frames: dict[StreamId, int] = {}
        for session in self.sessions:
            stream = StreamId.parse(session["stream"])
            frames[stream] = max(session["last_us"] or 0, frames.get(stream, 0))
        idle.limit_us, idle.key_stream = self._idle_us(), self._key_stream()
        idle.heard(frames)
        for session_id in status["ended"]:
            if session_id not in self._finalised:
                self._finalised.add(session_id)
                self._do_beside(self._finalise(session_id))

    async def _update(self, control: RoomControl) -> None:
        channel, subscribe = recorded(self.job)
        await control.update(media_channel=channel, subscribe=subscribe)

    async def _end_by_itself(self) -> None:
        _log.info("%s: nobody was there for %g s", self.job.id, self._idle_us() / 1e6)
        with suppress(RefusedError):  # it was stopped meanwhile
            now_us = self._site.now_us()
            self.job = await self._site.database.run(lambda connection: let_stop(connection, self.job.id, now_us))
        self._ending.set()

    async def _recovered(self) -> None:
        """Tell that a process was started again."""

        def work(connection: sqlite3.Connection) -> None:
            jobs.count_restart(connection, self.job)
            warning = record_events.warning(
                WarnCode.SERVICE_WARN_PROCESS_RESTART, "a process of the recording was started again"
            )
            callbacks.store(connection, self.job, [warning, record_events.failover(worked=True)])

        await self._site.database.run(work)
        self._site.told()

    async def _finalise(self, session: str) -> None:
        """Make a file of a session that has ended. Where that fails, it is done when the room is finished."""
        with suppress(OSError):
            await self._write_finish_options()
            async with self._site.finishing:
                done = await finish(self._folder, b"", session=session)
            if done.status:
                _log.warning("%s: session %s: %s", self.job.id, session, done.message)

    async def _finish(self) -> None:
        """Make files of all that was received, and upload them; the job ends by it."""
        await self._leave_beside()
        if self._folder.is_dir() and self.job.document.get("RecordingConfig"):
            await self._write_finish_options()
            done = await self._finish_patiently()
        else:
            done = Finished(0)
        addresses = [str(address) for address in done.result.get("uploaded", ())]
        if done.status == 0:
            files = [record_events.files(addresses), record_events.upload(0, addresses)] if addresses else []
            status = record_events.status(ServiceStatus.SERVICE_STATUS_EXITING)
            await self._end("ended", "" if addresses else "nothing was recorded", [*files, status])
            remove_made(self._folder)
        else:
            _log.error("%s: interrupted: %s", self.job.id, done.message)
            await self._end("interrupted", done.message, [record_events.upload(1, ()), *self._failed(CODE_FAILED)])

    async def _finish_patiently(self) -> Finished:
        """Try several times, with growing pauses: stores and disks are sometimes away."""
        for attempt in range(1, MOST_ATTEMPTS + 1):
            async with self._site.finishing:
                done = await finish(self._folder, store_keys(self.job), upload=True)
            if done.status == 0:
                break
            _log.warning("%s: attempt %d at finishing it failed: %s", self.job.id, attempt, done.message)
            if attempt < MOST_ATTEMPTS:
                await asyncio.sleep(pause_s(attempt, _FIRST_PAUSE_S, _LONGEST_PAUSE_S))
        return done

    async def _write_finish_options(self) -> None:
        revisions = await self._site.database.run(
            lambda connection: jobs.revisions(connection, self.job, sorted(_NEEDS_STARTED))
        )
        write_finish_options(self._folder, self.job, revisions, self._site.settings)

    async def _end(self, state: jobs.State, reason: str, events: Sequence[Event]) -> None:
        def work(connection: sqlite3.Connection) -> None:
            jobs.set_recording(connection, self.job, is_recording=False)
            jobs.set_state(connection, self.job, state, self._site.now_us(), reason)
            callbacks.store(connection, self.job, events)

        await self._site.database.run(work)
        self._site.told()

    def _failed(self, code: int) -> list[Event]:
        return [
            record_events.error(code, "the recording could not be finished: the log of the service says why"),
            record_events.status(ServiceStatus.SERVICE_STATUS_INTERRUPT),
        ]

    def _idle_us(self) -> int:
        return round(float(self.job.in_force["JobConfig"]["IdleTime"]) * 1e6)

    def _key_stream(self) -> StreamId | None:
        text = self.job.in_force["JobConfig"].get("KeyStream")
        return StreamId.parse(text) if text else None

    async def _leave_beside(self) -> None:
        tasks = list(self._beside)
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)

    def _do_beside(self, work: Coroutine[None, None, None]) -> None:
        task = asyncio.create_task(_without_failing(work))
        self._beside.add(task)
        task.add_done_callback(self._beside.discard)


async def _without_failing(work: Awaitable[None]) -> None:
    """Do ``work``, of which a failure is only told: who looks after the room learns of it, too."""
    try:
        await work
    except (OSError, TimeoutError, RoomRefusedError, sqlite3.Error) as error:
        _log.warning("%s", error)
