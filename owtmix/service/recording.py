"""The recording of one job: its room is received until it ends, and then becomes files."""

from __future__ import annotations

import asyncio
import itertools
import logging
import sqlite3
from collections.abc import Awaitable, Coroutine, Mapping, Sequence
from contextlib import suppress
from functools import partial
from typing import Any, Final

from owtmix.base.backoff import pause_s
from owtmix.base.ids import StreamId
from owtmix.recorder.control import RoomControl, RoomRefusedError
from owtmix.service.changes import let_stop
from owtmix.service.finishing import (
    Site,
    finish_room,
    finish_session,
    interrupt,
    tell_disk_full,
    tell_failure,
    tell_restart,
)
from owtmix.service.idle import IdleClock
from owtmix.service.jobs import Job
from owtmix.service.mixing import Mixing, NotUploadedError
from owtmix.service.processes import end_room, is_received, open_room
from owtmix.service.refusals import RefusedError
from owtmix.service.room_files import has_journals, recorded, room_folder, write_room_options

_log = logging.getLogger(__name__)

_LOOK_S: Final = 1.0
_READY_S: Final = 10.0
"""How long a sender waits for a process that is being started."""
_TOLD_FROM: Final = 3
"""Failures in a row, after which the receivers and the page are told."""
_STEADY_US: Final = 60_000_000
"""A process that ran so long had begun well: the pauses begin anew."""
_FIRST_PAUSE_S: Final = 0.5
_LONGEST_PAUSE_S: Final = 60.0
_UNRECEIVED: Final = (
    "the process that receives the room cannot be started: room.log in its folder says why",
    "the room cannot be received: the log of the service says why",
)

MOST_UNANSWERED: Final = 4
"""Requests in a row, each waited for as long as a busy machine takes. A process that answers none is ended."""

_Lost = (OSError, TimeoutError, RoomRefusedError)
"""The process that receives a room is gone, or does not answer."""


class Recording:
    """The recording of ``job``, which ``is_resumed`` when an earlier process of the service had begun it.

    Attributes:
        sessions: The sessions that are received, as the process of the room tells of them.
        mixing: The mix that is made of them meanwhile; None where none is.
    """

    def __init__(self, job: Job, site: Site, *, is_resumed: bool = False) -> None:
        self.job = job
        self.sessions: Sequence[dict[str, Any]] = ()
        self.mixing = Mixing(job, site, is_resumed=is_resumed) if job.mode == 1 else None
        self._site = site
        self._is_resumed = is_resumed
        self._folder = room_folder(site.state, job)
        self._idle = IdleClock(0, None, site.now_us())
        self._control: RoomControl | None = None
        self._told: tuple[int, Mapping[str, Any]] | None = None
        """What the process was told last that is recorded."""
        self._ready = asyncio.Event()
        """Set while there is a connection to the process that receives the room."""
        self._ending = asyncio.Event()
        self._finished: set[str] = set()
        self._beside: set[asyncio.Task[None]] = set()
        self._finishing = asyncio.Lock()
        self._unanswered = 0

    async def control(self) -> RoomControl:
        """The connection to the process that receives the room.

        Raises:
            TimeoutError: it is not there within some seconds.
        """
        async with asyncio.timeout(_READY_S):
            await self._ready.wait()
        assert self._control
        return self._control

    def change(self, job: Job) -> None:
        """Take a changed configuration."""
        self.job = job
        if self.mixing:
            self.mixing.change(job)
        if job.state == "stopping":
            self._ending.set()
        elif self._control:
            self._do_beside(self._update(self._control))

    async def run(self) -> None:
        """Receive the room until the job stops, then finish it; returns when the job has ended."""
        self.change(self.job)
        try:
            await self._run()
        finally:
            if self.mixing:
                await self.mixing.leave()

    async def _run(self) -> None:
        for attempt in itertools.count(1):
            try:
                if self.mixing:
                    await self.mixing.begin()
                await self._receive()
                await self._leave_beside()
                mix = await self.mixing.end() if self.mixing else None
                await finish_room(self.job, self._site, mix)
                break
            except NotUploadedError as error:
                await interrupt(self.job, self._site, f"the mix cannot be uploaded: {error}")
                break
            except (OSError, sqlite3.Error) as error:  # the disk is full, perhaps: what was recorded is not given up
                _log.error("%s: it is tried again: %s", self.job.id, error)
                await asyncio.sleep(pause_s(attempt, _FIRST_PAUSE_S, _LONGEST_PAUSE_S))
            except Exception:  # noqa: BLE001 - no job vanishes
                _log.exception("%s: the recording failed", self.job.id)
                with suppress(*_Lost):
                    await end_room(self._folder)
                if self.mixing:
                    self.mixing.let_end()
                await interrupt(self.job, self._site, "an unexpected error: the log of the service says more")
                break
            finally:
                await self._leave_beside()

    async def _receive(self) -> None:
        """Keep the process that receives the room running until the job stops; then stop it."""
        failures, down_since_us = 0, 0
        if self._is_resumed and not self._ending.is_set() and not await is_received(self._folder):
            down_since_us = self._site.now_us()
            self._site.restarted()
        while True:
            began_us = self._site.now_us()
            try:
                control = await self._opened()
                if control and down_since_us:
                    await self._recovered(began_us - down_since_us)
                    down_since_us = 0
                if control:
                    await self._watch(control)
                break
            except _Lost as error:
                _log.warning("%s: the process that receives the room is gone: %s", self.job.id, error)
            now_us = self._site.now_us()
            down_since_us = down_since_us or now_us
            failures = 1 if now_us - began_us > _STEADY_US else failures + 1
            self.sessions = ()
            self._site.restarted()
            if failures == _TOLD_FROM:
                await tell_failure(self.job, self._site, *_UNRECEIVED)
            seconds = pause_s(failures, _FIRST_PAUSE_S, _LONGEST_PAUSE_S)
            await (asyncio.sleep(seconds) if self._ending.is_set() else self._pause(seconds))

    async def _opened(self) -> RoomControl | None:
        """A connection to the process that receives the room; None when the job stops, and none runs still.

        Raises:
            OSError: the process could not be started.
        """
        if not self._ending.is_set():
            write_room_options(self._folder, self.job, self._site.settings, self._site.require_confinement)
            return await open_room(self._folder)
        try:
            return await RoomControl.connect(self._folder)
        except OSError:
            return None

    async def _watch(self, control: RoomControl) -> None:
        """Look after the room until the job stops, and stop its process; raises one of ``_Lost``."""
        self._control = control
        self._told = None
        self._ready.set()
        self._do_beside(self._hear(control))
        try:
            if not self._ending.is_set():
                await self._update(control)
            while not self._ending.is_set():
                self._take(await control.status())
                self._unanswered = 0
                if self.mixing:
                    await self.mixing.heard(self.sessions)
                if self._idle.has_ended(self._site.now_us()):
                    await self._end_by_itself()
                await self._pause(_LOOK_S)
            await control.stop()
            self.sessions = ()
        except TimeoutError:
            self._unanswered += 1
            if self._unanswered >= MOST_UNANSWERED:
                control.kill()
            raise
        finally:
            self._ready.clear()
            self._control = None
            await control.close()

    def _take(self, status: dict[str, Any]) -> None:
        """Take what the process tells of its sessions; those that have ended become files."""
        self.sessions = status["sessions"]
        frames: dict[StreamId, int] = {}
        # What nobody wants recorded keeps no room open, unless nothing is recorded now.
        counting = [one for one in self.sessions if any(track["recorded"] for track in one["tracks"])]
        for session in counting if self.job.is_recording else self.sessions:
            stream = StreamId.parse(session["stream"])
            frames[stream] = max(session["last_us"] or 0, frames.get(stream, 0))
        config = self.job.in_force["JobConfig"]
        idle_s = max(float(config["IdleTime"]), self._site.settings.gone_s)
        self._idle.limit_us = round(idle_s * 1e6)
        self._idle.key_stream = StreamId.parse(config["KeyStream"]) if config["KeyStream"] else None
        self._idle.heard(frames)
        ended = {*status["ended"]}
        for session_id in ended - self._finished:
            self._do_beside(self._finish_session(session_id))
        self._finished = ended

    async def _update(self, control: RoomControl) -> None:
        """Tell the process of the room what is recorded, unless it was told so last; raises one of ``_Lost``."""
        wanted = recorded(self.job)
        if wanted == self._told:
            return
        self._told = wanted
        channel, subscribe = wanted
        try:
            await control.update(media_channel=channel, subscribe=subscribe)
        except _Lost as error:
            self._told = None
            if not isinstance(error, RoomRefusedError):
                raise
            _log.error("%s: what is recorded cannot be changed: %s", self.job.id, error)

    async def _hear(self, control: RoomControl) -> None:
        """Tell receivers that the disk is full, once while it is."""
        full: set[str] = set()
        async for event in control.events():
            if event["event"] == "disk_full" and not full:
                await tell_disk_full(self.job, self._site)
            full = full | {event["session"]} if event["event"] == "disk_full" else full - {event["session"]}

    async def _end_by_itself(self) -> None:
        _log.info("%s: nobody was there for %g s", self.job.id, self._idle.limit_us / 1e6)
        stop = partial(let_stop, job_id=self.job.id, now_us=self._site.now_us(), user="")
        try:
            self.change(await self._site.database.run(stop))
        except RefusedError:  # it was stopped meanwhile
            pass
        except sqlite3.Error as error:
            _log.warning("%s: it cannot be ended yet: %s", self.job.id, error)

    async def _recovered(self, down_us: int) -> None:
        """Tell that a process was started again, after ``down_us`` in which nobody could be heard."""
        self._idle.skip(down_us)
        await tell_restart(self.job, self._site)

    async def _pause(self, seconds: float) -> None:
        """Wait, until the job stops at most."""
        with suppress(TimeoutError):
            async with asyncio.timeout(seconds):  # wait_for of Python 3.11 may lose that it is cancelled
                await self._ending.wait()

    async def _finish_session(self, session: str) -> None:
        """One after the other: only one process at a time may finish a room. Many a session has sent nothing."""
        if not await asyncio.to_thread(has_journals, self._folder, session):
            return
        async with self._finishing:
            await finish_session(self.job, session, self._site)

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
    except (*_Lost, sqlite3.Error) as error:
        _log.warning("%s", error)
