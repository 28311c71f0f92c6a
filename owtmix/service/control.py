"""What the service does with a request: checks it, keeps what it changes, tells the recorder, and answers."""

from __future__ import annotations

import logging
import sqlite3
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from functools import partial
from typing import Any, Final, Protocol

from owtmix.base.strict_json import shown
from owtmix.jobfile.bounds import MAX_NAME
from owtmix.jobfile.spec import StorageSpec
from owtmix.service import jobs
from owtmix.service.actions import Action
from owtmix.service.changes import Change, check_may_change, check_runs, keep_change, let_stop, let_stop_recording
from owtmix.service.database import Database
from owtmix.service.envelope import Request, answer, checked_request, named_ids, read_request
from owtmix.service.jobs import Job, Place
from owtmix.service.large_requests import LargeRequests, Origin
from owtmix.service.refusals import RefusedError, RetCode
from owtmix.service.room_config import RoomConfig, change_config
from owtmix.service.tokens import TokenCheck, TokenError

_log = logging.getLogger(__name__)

MOST_RACES: Final = 3
"""So often a change is made beside others, which may come first."""


class Recorder(Protocol):
    """What the service asks of who records rooms. Nothing of it waits."""

    def begin(self, job: Job) -> None:
        """Receive the room of a job, and record it as the job says."""

    def change(self, job: Job) -> None:
        """The configuration of a job has changed."""

    def end(self, job: Job) -> None:
        """Finish and upload what was recorded; the job ends by it."""

    def streams(self, job: Job) -> list[dict[str, Any]]:
        """The streams of a job's room, as JSON."""

    def progress(self, job: Job) -> dict[str, Any]:
        """How far the mix of a job is, and where it is pushed to, as JSON; empty where its room is not mixed."""

    def why_full(self) -> str:
        """Why no other job can be taken now; empty when one can."""

    def why_disk_full(self) -> str:
        """Why nothing can be kept now, but what ends jobs; empty when it can."""


@dataclass(frozen=True, slots=True)
class Answered:
    """The answer to a request; ``action`` is empty when it named none."""

    action: str
    code: int
    body: bytes


class Control:
    """Answers the requests of the API document, section 2.1.

    Attributes:
        draining: Whether the service is about to end: no job is begun.
    """

    def __init__(
        self,
        database: Database,
        tokens: TokenCheck,
        recorder: Recorder,
        most_jobs: int,
        check_store: Callable[[StorageSpec], object],
        now_us: Callable[[], int],
        most_mixes: int = 1,
    ) -> None:
        self.draining = False
        self._database = database
        self._tokens = tokens
        self._recorder = recorder
        self._most_jobs = most_jobs
        self._most_mixes = most_mixes
        self._check_store = check_store
        self._now_us = now_us
        self._large = LargeRequests()

    async def answer(self, body: bytes, address: str = "") -> Answered:
        """Do what the request ``body``, which came from ``address``, asks for; no request raises."""
        document: Mapping[str, Any] = {}
        action: Action | None = None
        try:
            origin = Origin(address, len(body))
            document, action = await self._large.do(origin, lambda: read_request(body))
            request = checked_request(document, action)
            message, internal, data = await self._do(request, origin)
            code = int(RetCode.OK)
        except RefusedError as refused:
            code, message, internal, data = refused.code, refused.message, named_ids(document), {}
        except sqlite3.Error as error:
            _log.error("the database cannot be used: %s", error)
            internal, data = named_ids(document), {}
            code, message = int(RetCode.FAILED), "the service cannot keep this now: try again later"
        except Exception:  # noqa: BLE001 - no request ends the service
            _log.exception("a request failed")
            internal, data = named_ids(document), {}
            code, message = int(RetCode.FAILED), "an unexpected error: the log of the service says more"
        return Answered(action.name if action else "", code, answer(action, code, message, internal, data))

    async def _do(self, request: Request, origin: Origin) -> tuple[str, dict[str, Any], dict[str, Any]]:
        """Message, ``Internal`` and ``Data`` of the answer.

        Raises:
            RefusedError: the request is refused.
        """
        name = request.action.name
        if name == "job.acquire":
            return await self._acquire(request)
        job_id = request.text("JobId")
        if not job_id:
            raise RefusedError(RetCode.FAILED, "Internal.JobId: missing; accepted: the one that job.acquire gave")
        job = self._database.read(lambda connection: jobs.find(connection, job_id))
        user = self._user(request, job.app, job.room)
        internal = _internal(job, request.text("RequestId") or job.request)
        if name == "job.query":
            check_runs(job)
            state = {"State": job.state, "Streams": self._recorder.streams(job)} | self._recorder.progress(job)
            return "OK", internal, _answered(request.action, job.in_force) | state
        if name == "job.stop":
            self._recorder.end(await self._database.run(lambda c: let_stop(c, job_id, self._now_us(), user)))
            return "OK", internal, {}
        if name == "job.record.stop":
            self._recorder.change(
                await self._database.run(lambda c: let_stop_recording(c, job_id, self._now_us(), user))
            )
            return "OK", internal, _answered(request.action, job.in_force)
        config = await self._change(job, request, user, origin)
        return config.message, internal, _answered(request.action, config.in_force)

    async def _acquire(self, request: Request) -> tuple[str, dict[str, Any], dict[str, Any]]:
        place = Place(
            _name(request, "AppId"),
            _name(request, "RoomId"),
            _choice(request, "Mode"),
            _choice(request, "ChannelType"),
            request.text("RequestId"),
        )
        self._user(request, place.app, place.room)
        if self.draining:
            raise RefusedError(RetCode.FAILED, "the service is shutting down")
        if full := self._recorder.why_full():
            raise RefusedError(RetCode.FAILED, full)
        now_us = self._now_us()
        job = await self._database.run(lambda c: jobs.acquire(c, place, now_us, self._most_jobs))
        return "OK", _internal(job, place.request), {"JobId": job.id}

    async def _change(self, job: Job, request: Request, user: str, origin: Origin) -> RoomConfig:
        """Change the configuration of a job as ``request`` says; the recorder is told when it is kept.

        Raises:
            RefusedError: the job does not run, has begun already, or would be wrong.
        """
        make = partial(_changed, request=request, user=user, check_store=self._check_store, most_mixes=self._most_mixes)
        for attempt in range(MOST_RACES + 1):
            check_may_change(job, request.action)
            if full := self._recorder.why_disk_full():
                raise RefusedError(RetCode.FAILED, full)
            if self.draining and request.action.name == "job.start":
                raise RefusedError(RetCode.FAILED, "the service is shutting down")
            at_us = self._now_us()
            if attempt < MOST_RACES:
                change = await self._large.do(origin, partial(make, job, at_us=at_us))
                job, is_kept = await self._database.run(partial(keep_change, change=change))
            else:  # others change the job all the time, and wait for this one now
                change, job = await self._database.run(
                    partial(_change_now, job_id=job.id, make=partial(make, at_us=at_us))
                )
                is_kept = True
            if is_kept:
                break
        if request.action.name == "job.start":
            self._recorder.begin(job)
        else:
            self._recorder.change(job)
        if self.draining and job.state == "running":
            self._recorder.end(await self._database.run(lambda c: let_stop(c, job.id, self._now_us(), "")))
        return change.config

    def _user(self, request: Request, app: str, room: str) -> str:
        """Who asks; empty where tokens are not checked.

        Raises:
            RefusedError: the token does not allow it.
        """
        try:
            return self._tokens.check(request.token, app=app, room=room, now_s=self._now_us() / 1e6) or ""
        except TokenError as error:
            raise RefusedError(RetCode.FAILED, f"Token: {error}") from None


def _changed(
    job: Job,
    *,
    request: Request,
    user: str,
    check_store: Callable[[StorageSpec], object],
    most_mixes: int,
    at_us: int,
) -> Change:
    """The change of ``job`` that ``request`` makes.

    Raises:
        RefusedError: it would be wrong.
    """
    config = change_config(job.document, request.action, request.data, job.ids, check_store)
    if request.action.name == "job.record.start" and "RecordingConfig" not in config.document:
        raise RefusedError(RetCode.FAILED, "Data.RecordingConfig: missing; job.start had none either")
    return Change(job, request.action, config, user, at_us, most_mixes)


def _change_now(connection: sqlite3.Connection, job_id: str, make: Callable[[Job], Change]) -> tuple[Change, Job]:
    """Change a job, and let nobody else change it meanwhile: a piece of work for ``Database.run``.

    Raises:
        RefusedError: as ``make``, and as ``keep_change``.
    """
    job = jobs.find(connection, job_id)
    check_may_change(job, (change := make(job)).action)
    return change, keep_change(connection, change)[0]


def _internal(job: Job, request_id: str) -> dict[str, Any]:
    return {
        "RequestId": request_id,
        "JobId": job.id,
        "AppId": job.app,
        "RoomId": job.room,
        "Mode": job.mode,
        "ChannelType": job.channel,
    }


def _answered(action: Action, in_force: Mapping[str, Any]) -> dict[str, Any]:
    return {name: in_force[name] for name in action.answers if name in in_force}


def _name(request: Request, key: str) -> str:
    text = request.text(key)
    if not text or not text.isprintable():
        raise RefusedError(RetCode.FAILED, f"Internal.{key}: accepted is text of 1 to {MAX_NAME} characters")
    return text


def _choice(request: Request, key: str) -> int:
    value = request.internal.get(key)
    if isinstance(value, bool) or value not in (0, 1):
        raise RefusedError(RetCode.FAILED, f"Internal.{key}: found {shown(value)}; accepted: 0 or 1")
    return int(value)
