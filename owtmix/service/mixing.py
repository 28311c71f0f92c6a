"""The live mix of one job: made by the mixer, pushed to its targets, uploaded when the room has ended, and told."""

from __future__ import annotations

import asyncio
import logging
import sqlite3
from collections.abc import Mapping, Sequence
from contextlib import suppress
from dataclasses import replace
from functools import partial
from typing import Any, Final

from owtmix.base.backoff import pause_s
from owtmix.base.errors import CODE_FAILED
from owtmix.base.plain_text import plain_line
from owtmix.notify.events import Event, WarnCode, kind_of
from owtmix.recorder.live_folder import MixResult, MixState
from owtmix.service import jobs, told
from owtmix.service.finishing import MOST_ATTEMPTS, Site, tell_failure, tell_restart, write_options
from owtmix.service.job_events import MIXER, upload
from owtmix.service.jobs import Job
from owtmix.service.live_config import targets
from owtmix.service.live_processes import MIX_LOG
from owtmix.service.mixer import Mixer
from owtmix.service.processes import finish
from owtmix.service.push import ended
from owtmix.service.pushing import Pushing
from owtmix.service.room_files import room_folder, store_keys
from owtmix.service.told import Mix, Told

_log = logging.getLogger(__name__)

BEHIND_S: Final = 10.0
"""So far behind live, receivers are told."""
CAUGHT_UP_S: Final = 5.0
FILING_US: Final = 5_000_000
"""Between attempts at uploading what is finished while the room goes on."""
_FIRST_PAUSE_S: Final = 0.5
_LONGEST_PAUSE_S: Final = 60.0
_MOST_WARNINGS: Final = 100
_CAUGHT_UP: Final = "the mix has caught up with live"
_GIVEN_UP: Final = "the mix could not be made, and the recordings are there to be composed"


class NotUploadedError(Exception):
    """A mix could not be uploaded; the message says why. It is kept."""


class Mixing:
    """The live mix of ``job``, which ``is_resumed`` when an earlier process of the service had begun it."""

    def __init__(self, job: Job, site: Site, *, is_resumed: bool) -> None:
        self._job = job
        self._site = site
        self._folder = room_folder(site.state, job)
        self._is_resumed = is_resumed
        self._mixer = Mixer(site.live, self._folder, self, self._write, site.restarted)
        self._pushing = Pushing(site.live, self._folder, self._tell_others, site.restarted)
        self._told = Told()
        self._telling = asyncio.Lock()
        self._changed = asyncio.Event()
        self._begun = False
        self._last_us: dict[str, int] = {}
        """When each session was heard last."""
        self._result: asyncio.Task[MixResult | None] | None = None
        self._writing: asyncio.Task[None] | None = None
        self._filing: asyncio.Task[None] | None = None
        self._filed_us = 0

    @property
    def behind_s(self) -> float:
        """By how much the mix is behind live."""
        return self._mixer.behind_s if self._result and not self._result.done() else 0.0

    def progress(self) -> dict[str, Any]:
        """How far it is, and where it is pushed to, as JSON."""
        state = self._mixer.state
        mix = {
            "chunks": state.chunks,
            "done_s": round(state.done_s, 3),
            "behind_s": round(self.behind_s, 3),
            "begun_us": state.begun_us,
        }
        return {"Mix": mix, "Pushes": self._pushing.status()}

    async def begin(self) -> None:
        """Mix, and push, unless that is done already. Raises ``sqlite3.Error``."""
        if self._begun:
            return
        self._told = await self._site.database.run(partial(told.recall, job=self._job))
        self._begun = True
        if self._told.mix:
            return
        if self._is_resumed:
            self._pushing.end_strays()
        self._writing = asyncio.create_task(self._write_changes())
        self._result = asyncio.create_task(self._mix())
        self._pushing.change(self._job)

    def change(self, job: Job) -> None:
        """Take a changed configuration: the mixer reads it before the next chunk."""
        self._job = job
        self._changed.set()
        if self._begun and not self._told.mix and job.state == "running":
            self._pushing.change(job)

    async def heard(self, sessions: Sequence[Mapping[str, Any]]) -> None:
        """Tell which streams have come and left. ``sessions`` are those that are received."""
        there = {one["session"]: one for one in sessions if one["last_us"] is not None}
        self._last_us |= {session: one["last_us"] for session, one in there.items()}
        if not self._begun or there.keys() == self._told.streams.keys():
            return
        async with self._telling:
            known = self._told.streams
            now_us = self._site.now_us()
            events = [
                MIXER.stream(stream, opens=False, at_us=self._last_us.pop(session, now_us))
                for session, stream in known.items()
                if session not in there
            ]
            new = sorted((one["began_us"], session) for session, one in there.items() if session not in known)
            events += [MIXER.stream(there[session]["stream"], opens=True, at_us=began) for began, session in new]
            streams = {session: one["stream"] for session, one in there.items()}
            await self._tell(replace(self._told, streams=streams), events)

    async def end(self) -> Mix:
        """The room has ended, and nothing more is received: compose the rest, and upload the mix.

        Raises:
            NotUploadedError: the store does not take it.
            OSError, sqlite3.Error: it could not be begun, or what became of it not be kept.
        """
        await self.begin()
        mix = self._told.mix or await self._finish()
        if not self._told.is_pushed:
            over = [ended(url) for url in targets(self._job.document)]
            await self._tell(replace(self._told, is_pushed=True), over)
        return mix

    async def _finish(self) -> Mix:
        await self.heard([])
        await self._write()
        self._mixer.stop()
        assert self._result
        result = await asyncio.shield(self._result)
        pushing = asyncio.create_task(self._pushing.end())
        try:
            mix, events = await self._publish(result)
            async with self._telling:
                done = replace(self._told, mix=mix)
                await self._site.database.run(partial(told.tell, job=self._job, told=done, events=events))
                self._told = done
            self._site.told()
        finally:
            await pushing
        await self._mixer.wait_for_end()
        return mix

    def let_end(self) -> None:
        """Have the mixer end, which nobody looks after any more."""
        with suppress(OSError):
            self._mixer.stop()

    async def leave(self) -> None:
        """The service ends: the mixer goes on, pushes end."""
        tasks = [task for task in (self._result, self._writing, self._filing) if task]
        for task in tasks:
            task.cancel()
        await self._pushing.leave()
        await asyncio.gather(*tasks, return_exceptions=True)

    async def looked(self, state: MixState, behind_s: float) -> None:
        """Tell the warnings of the mixer, each once, and when the mix falls behind or has caught up."""
        self._look_at_files(state)
        new = [text for text in dict.fromkeys(map(self._public, state.warnings)) if text not in self._told.warnings]
        new = new[: max(0, _MOST_WARNINGS - len(self._told.warnings))]
        is_behind = behind_s > (CAUGHT_UP_S if self._told.is_behind else BEHIND_S)
        if not new and is_behind == self._told.is_behind:
            return
        async with self._telling:
            events = [MIXER.warning(WarnCode.MIX_FLAWED, text) for text in new]
            if is_behind != self._told.is_behind:
                behind = WarnCode.MIX_BEHIND
                events.append(MIXER.warning(behind, kind_of(behind) if is_behind else _CAUGHT_UP))
                _log.warning("%s: %s (%.1f s)", self._job.id, kind_of(behind) if is_behind else _CAUGHT_UP, behind_s)
            for text in new:
                _log.warning("%s: %s", self._job.id, text)
            await self._tell(replace(self._told, warnings=[*self._told.warnings, *new], is_behind=is_behind), events)

    async def recovered(self) -> None:
        with suppress(sqlite3.Error):
            await tell_restart(self._job, self._site)

    async def failing(self) -> None:
        reason = f"the process that mixes the room ends again and again: {MIX_LOG} in its folder says why"
        message = "the room cannot be mixed now, and is recorded: the log of the service says why"
        await tell_failure(self._job, self._site, reason, message)

    async def _mix(self) -> MixResult | None:
        """Keep the mixer running, whatever happens; returns as ``Mixer.run``."""
        attempt = 0
        while True:
            try:
                return await self._mixer.run()
            except (OSError, sqlite3.Error) as error:
                _log.warning("%s: the room is not mixed now: %s", self._job.id, error)
            except Exception:  # noqa: BLE001 - no mix vanishes
                _log.exception("%s: the room is not mixed now", self._job.id)
            attempt += 1
            await asyncio.sleep(pause_s(attempt, _FIRST_PAUSE_S, _LONGEST_PAUSE_S))

    def _look_at_files(self, state: MixState) -> None:
        """Upload files that were finished while the room goes on: recording was stopped, or its shape was changed."""
        is_due = self._site.now_us() - self._filed_us > FILING_US and (not self._filing or self._filing.done())
        if len(state.files) > self._told.files and is_due and self._job.state == "running":
            self._filed_us = self._site.now_us()
            self._filing = asyncio.create_task(self._file())

    async def _file(self) -> None:
        """Upload what is finished by now, and tell it. Where that fails it is tried again."""
        try:
            done = await finish(self._folder, store_keys(self._job), mix=True)
            if done.status == 0:
                addresses = [str(address) for address in done.result.get("uploaded", ())]
                async with self._telling:
                    await self._tell(replace(self._told, files=len(addresses)), self._filed(addresses))
                return
            reason = done.message
        except (OSError, sqlite3.Error) as error:
            reason = str(error)
        _log.warning("%s: a file of the mix is not uploaded now: %s", self._job.id, reason)

    def _filed(self, addresses: Sequence[str]) -> list[Event]:
        """What is told of files, of which some may have been told."""
        new = addresses[self._told.files :]
        return [MIXER.files(new), upload(0, new)] if new else []

    async def _publish(self, result: MixResult | None) -> tuple[Mix, list[Event]]:
        """Upload the mix, several times if need be, and what is told of it; raises ``NotUploadedError``."""
        if result is None:
            return Mix(failure=f"{_GIVEN_UP}: {MIX_LOG} says why"), [MIXER.error(CODE_FAILED, _GIVEN_UP)]
        if self._filing:
            await asyncio.gather(self._filing, return_exceptions=True)
        await self.looked(replace(self._mixer.state, warnings=result.warnings), 0.0)
        if not result.files or not self._job.document.get("RecordingConfig"):
            return Mix(), []
        for attempt in range(1, MOST_ATTEMPTS + 1):
            done = await finish(self._folder, store_keys(self._job), mix=True)
            if done.status == 0:
                break
            reason = f"attempt {attempt} of {MOST_ATTEMPTS} at uploading the mix failed: {done.message}"
            _log.warning("%s: %s", self._job.id, reason)
            await self._site.database.run(partial(jobs.set_reason, job=self._job, reason=reason))
            if attempt == MOST_ATTEMPTS:
                raise NotUploadedError(done.message)
            await asyncio.sleep(pause_s(attempt, _FIRST_PAUSE_S, _LONGEST_PAUSE_S))
            if done.status < 0:  # it did not fail, it was killed
                self._site.restarted()
                await tell_restart(self._job, self._site)
        addresses = [str(address) for address in done.result.get("uploaded", ())]
        return Mix(tuple(addresses)), self._filed(addresses)

    async def _write(self) -> None:
        await write_options(self._job, self._site)

    async def _write_changes(self) -> None:
        """Write the options and updates of the room whenever they have changed."""
        while True:
            await self._changed.wait()
            self._changed.clear()
            try:
                await self._write()
            except (OSError, sqlite3.Error) as error:  # the disk is full, perhaps
                _log.warning("%s: its updates cannot be written yet: %s", self._job.id, error)
                self._changed.set()
                await asyncio.sleep(1)

    async def _tell(self, what: Told, events: Sequence[Event]) -> None:
        """Keep what is told, with its events; where that fails, it is told later."""
        try:
            await self._site.database.run(partial(told.tell, job=self._job, told=what, events=events))
        except sqlite3.Error as error:
            _log.warning("%s: it cannot be told yet: %s", self._job.id, error)
            return
        self._told = what
        self._site.told()

    async def _tell_others(self, events: Sequence[Event]) -> None:
        async with self._telling:
            await self._site.database.run(partial(told.tell, job=self._job, told=self._told, events=events))
        self._site.told()

    def _public(self, text: str) -> str:
        """A warning of the mixer without the paths of this machine."""
        return plain_line(text.replace(f"{self._folder}/", ""))
