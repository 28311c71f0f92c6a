"""Which change of a job is accepted in which state, and how it is kept."""

from __future__ import annotations

import json
import sqlite3
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Final

from owtmix.base.wording import counted
from owtmix.jobfile.bounds import MAX_INDEX_BYTES, MAX_ROOM_IMAGES, MAX_ROOM_TEXTS, MAX_UPDATES
from owtmix.notify.events import ServiceStatus
from owtmix.service import callbacks, jobs
from owtmix.service.actions import Action
from owtmix.service.job_events import events_of
from owtmix.service.jobs import Job
from owtmix.service.refusals import RefusedError, RetCode
from owtmix.service.room_config import RoomConfig

_MOST_BYTES: Final = MAX_INDEX_BYTES // 2
"""Of all updates; in their file each has its time and action, too."""
_MOST_CHANGES: Final = 2 * MAX_UPDATES
"""Of a job, with those that composing does not replay; after them it can only be stopped."""
_MOST_CHANGE_BYTES: Final = 2 * _MOST_BYTES


@dataclass(frozen=True, slots=True)
class Change:
    """A change of ``job``, as it was found, by ``action``: it becomes ``config``.

    At most ``most_mixes`` jobs may mix at a time.
    """

    job: Job
    action: Action
    config: RoomConfig
    user: str
    at_us: int
    most_mixes: int

    @property
    def begins_recording(self) -> bool:
        starts = self.action.name == "job.start" and "RecordingConfig" in self.config.document
        return starts or self.action.name == "job.record.start"

    @property
    def begins_service(self) -> bool:
        """Whether receivers are told that it runs: a mix does from the start on, whatever is recorded."""
        return self.action.name == "job.start" if self.job.mode else self.begins_recording


def check_runs(job: Job) -> None:
    """Raises ``RefusedError`` where nothing is done for ``job``."""
    if not job.is_live:
        reason = "was not started" if job.state == "acquired" else f"has ended: {job.reason or 'it is done'}"
        raise RefusedError(RetCode.JOB_NON_EXISTENT, f"this job {reason}")


def check_may_change(job: Job, action: Action) -> None:
    """Raises ``RefusedError`` where ``action`` is not accepted in the state that ``job`` has."""
    if action.name == "job.start":
        if job.is_live:
            raise RefusedError(RetCode.JOB_EXISTS, "this job was started before")
        if job.state != "acquired":
            raise RefusedError(RetCode.JOB_NON_EXISTENT, f"this job has ended: {job.reason or 'it is done'}")
        return
    check_runs(job)
    if job.state == "stopping":
        raise RefusedError(RetCode.JOB_NON_EXISTENT, "this job is ending")
    if action.name == "job.record.start" and job.is_recording:
        raise RefusedError(RetCode.JOB_EXISTS, "this job records already")
    if action.name.startswith("job.live.") and job.mode != 1:
        raise RefusedError(RetCode.FAILED, "this job mixes nothing that could be pushed: that takes Mode 1")


def keep_change(connection: sqlite3.Connection, change: Change) -> tuple[Job, bool]:
    """Keep a change: a piece of work for ``Database.run``.

    Returns:
        The job, and whether the change is kept: not when the job was changed otherwise since it was found.

    Raises:
        RefusedError: it is not accepted any more, or another job records the room.
    """
    job = jobs.find(connection, change.job.id)
    check_may_change(job, change.action)
    if job.revision != change.job.revision:
        return job, False
    if change.action.name == "job.start" and (other := jobs.in_room(connection, job.app, job.room)):
        raise RefusedError(RetCode.JOB_EXISTS, f"this room has a job already, {other.id}")
    if change.action.name == "job.start" and job.mode == 1:
        _check_mixes(connection, change.most_mixes)
    _check_place(connection, job, change)
    jobs.revise(connection, job, change.config, change.at_us, change.user, change.action.name)
    if change.action.name == "job.start":
        jobs.set_state(connection, job, "running", change.at_us)
    if change.begins_recording:
        jobs.set_recording(connection, job, is_recording=True)
    if change.begins_service:
        began = events_of(job.mode).status(ServiceStatus.SERVICE_STATUS_RUNNING)
        callbacks.store(connection, jobs.find(connection, job.id), [began])
    return jobs.find(connection, job.id), True


def _check_place(connection: sqlite3.Connection, job: Job, change: Change) -> None:
    """Check that the job keeps within its bounds, and that composing the recordings will take all updates.

    Raises:
        RefusedError: its changes, or the callbacks that wait, would be too many.
    """
    if change.action.name == "job.start":
        return
    replayed = change.action.replayed
    most, most_bytes = (MAX_UPDATES, _MOST_BYTES) if replayed else (_MOST_CHANGES, _MOST_CHANGE_BYTES)
    count, size = job.updates, job.update_bytes
    if count >= most or size + jobs.size_of(change.config.given) > most_bytes:
        raise RefusedError(
            RetCode.FAILED, f"this room has {count:,} updates of {size:,} bytes: it takes no more (docs/rooms.md)"
        )
    if change.begins_recording and callbacks.count_of(connection, job) >= callbacks.MOST_OF_A_JOB:
        raise RefusedError(
            RetCode.FAILED,
            f"{callbacks.MOST_OF_A_JOB:,} callbacks of this job wait for their receivers: try again later",
        )
    if not replayed:
        return
    images, texts = _watermarks(connection, job, change.config.given)
    if images > MAX_ROOM_IMAGES or texts > MAX_ROOM_TEXTS:
        raise RefusedError(
            RetCode.FAILED,
            f"the watermarks of a room have at most {MAX_ROOM_IMAGES} different images and {MAX_ROOM_TEXTS} texts",
        )


def _check_mixes(connection: sqlite3.Connection, most: int) -> None:
    """Raises ``RefusedError`` where ``most`` rooms are mixed already."""
    mixed = sum(job.mode == 1 for job in jobs.in_state(connection, "running", "stopping"))
    if mixed >= most:
        raise RefusedError(
            RetCode.FAILED,
            f"{counted(mixed, 'room is', 'rooms are')} mixed live, which is all that this service does at a time "
            "(max_mixes): try again later, or record with Mode 0 and compose the recordings",
        )


def _watermarks(connection: sqlite3.Connection, job: Job, more: Mapping[str, Any]) -> tuple[int, int]:
    """The number of different images and texts in all updates of a job, and in ``more``; 0 where that has none."""
    if not _marks(more):
        return 0, 0
    rows = connection.execute(
        "SELECT data FROM revision WHERE job = ? AND data LIKE '%WaterMark%'", (job.n,)
    ).fetchall()
    marks = [mark for data in [more, *(json.loads(row["data"]) for row in rows)] for mark in _marks(data)]
    images, texts = ({mark.get(key) for mark in marks if mark.get(key)} for key in ("Image", "Text"))
    return len(images), len(texts)


def _marks(data: Mapping[str, Any]) -> list[dict[str, Any]]:
    marks = (data.get("MixerConfig") or {}).get("WaterMark") or []
    return marks if isinstance(marks, list) else [marks]


def let_stop(connection: sqlite3.Connection, job_id: str, now_us: int, user: str) -> Job:
    """Note that a job is to end: a piece of work for ``Database.run``. Raises as ``check_runs``."""
    job = jobs.find(connection, job_id)
    check_runs(job)
    if job.state == "running":
        jobs.note(connection, job, now_us, user, "job.stop", {})
        jobs.set_state(connection, job, "stopping", now_us)
    return jobs.find(connection, job_id)


def let_stop_recording(connection: sqlite3.Connection, job_id: str, now_us: int, user: str) -> Job:
    """Note that a job is to record no more: a piece of work for ``Database.run``.

    Raises:
        RefusedError: it does not record.
    """
    job = jobs.find(connection, job_id)
    check_runs(job)
    if not job.is_recording:
        raise RefusedError(RetCode.JOB_NON_EXISTENT, "this job does not record")
    jobs.note(connection, job, now_us, user, "job.record.stop", {})
    jobs.set_recording(connection, job, is_recording=False)
    return jobs.find(connection, job_id)
