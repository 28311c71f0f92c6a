"""The jobs of the service, as rows of its database. Every function is one piece of work for ``Database.run``."""

from __future__ import annotations

import json
import re
import sqlite3
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from decimal import Decimal
from functools import cached_property
from typing import Any, Final, Literal

from owtmix.service.envelope import as_json
from owtmix.service.masking import masked
from owtmix.service.refusals import RefusedError, RetCode
from owtmix.service.room_config import JobIds, RoomConfig

State = Literal["acquired", "running", "stopping", "ended", "interrupted"]

ACQUIRED_US: Final = 600_000_000
"""How long a job that was acquired and not started, and the memory of its RequestId, last."""

MOST_UNSTARTED: Final = 8
"""Jobs of a room at a time: whoever has a token of one room takes no place from all others."""

_DECODER: Final = json.JSONDecoder(parse_float=Decimal)
_UNFIT: Final = re.compile(r"[^A-Za-z0-9_-]")
_LONGEST_PART: Final = 48
_NO_REQUEST: Final = ("", "0")
"""Every sample of the document has the RequestId 0: it tells no request from another."""


@dataclass(frozen=True)
class Job:
    """A row of the table of jobs, its columns in their order; times in microseconds since 1970.

    What is JSON is parsed where it is asked for. ``updates`` are its changes since it began, ``update_bytes`` of JSON.
    """

    n: int
    id: str
    app: str
    room: str
    mode: int
    channel: int
    request: str
    state: State
    is_recording: bool
    created_us: int
    changed_us: int
    began_us: int | None
    restarts: int
    revision: int
    reason: str
    document_text: str = field(repr=False)
    in_force_text: str = field(repr=False)
    result_text: str = field(repr=False)
    updates: int
    update_bytes: int

    @cached_property
    def document(self) -> dict[str, Any]:
        """The sections of its configuration as they were written, secrets included."""
        return _object(self.document_text)

    @cached_property
    def in_force(self) -> dict[str, Any]:
        """The sections with what they do not say filled in, secrets masked."""
        return _object(self.in_force_text)

    @cached_property
    def result(self) -> dict[str, Any]:
        """What finishing it printed: the files, what was left out, and where they were uploaded to."""
        return _object(self.result_text)

    @property
    def ids(self) -> JobIds:
        return JobIds(self.id, self.app, self.room, self.mode)

    @property
    def is_live(self) -> bool:
        """Whether something is done for it."""
        return self.state in {"running", "stopping"}


@dataclass(frozen=True, slots=True)
class Place:
    """Where a job is wanted."""

    app: str
    room: str
    mode: int
    channel: int
    request: str


@dataclass(frozen=True, slots=True)
class Revision:
    """An accepted change of a job. ``user`` is empty where tokens are not checked."""

    number: int
    at_us: int
    user: str
    action: str
    data: dict[str, Any] = field(repr=False)


def acquire(connection: sqlite3.Connection, place: Place, now_us: int, most: int) -> Job:
    """A new job at ``place``, or the one that the same request was given less than 10 minutes ago.

    Raises:
        RefusedError: there are ``most`` jobs, or too many of the room were not started.
    """
    if place.request not in _NO_REQUEST:
        row = connection.execute(
            "SELECT * FROM job WHERE app = ? AND room = ? AND mode = ? AND request = ? AND created_us > ?"
            " ORDER BY n DESC LIMIT 1",
            (place.app, place.room, place.mode, place.request, now_us - ACQUIRED_US),
        ).fetchone()
        if row:
            return _job(row)
    (taken,) = connection.execute(
        "SELECT (SELECT count(*) FROM job WHERE state IN ('running', 'stopping'))"
        " + (SELECT count(*) FROM job WHERE state = 'acquired' AND changed_us > ?)",
        (now_us - ACQUIRED_US,),
    ).fetchone()
    if taken >= most:
        raise RefusedError(RetCode.FAILED, f"all {most:,} jobs of this service are taken: try again later")
    (unstarted,) = connection.execute(
        "SELECT count(*) FROM job WHERE app = ? AND room = ? AND state = 'acquired' AND changed_us > ?",
        (place.app, place.room, now_us - ACQUIRED_US),
    ).fetchone()
    if unstarted >= MOST_UNSTARTED:
        raise RefusedError(
            RetCode.FAILED,
            f"{unstarted} jobs of this room were acquired and not started: start one, or try again in 10 minutes",
        )
    cursor = connection.execute(
        "INSERT INTO job(id, app, room, mode, channel, request, state, created_us, changed_us)"
        " VALUES ('', ?, ?, ?, ?, ?, 'acquired', ?, ?)",
        (place.app, place.room, place.mode, place.channel, place.request, now_us, now_us),
    )
    app, room = (_UNFIT.sub("_", part)[:_LONGEST_PART] for part in (place.app, place.room))
    job_id = f"{app}-{room}-{place.mode}-{now_us // 1_000_000}-{cursor.lastrowid}"
    connection.execute("UPDATE job SET id = ? WHERE n = ?", (job_id, cursor.lastrowid))
    return find(connection, job_id)


def find(connection: sqlite3.Connection, job_id: str) -> Job:
    """The job with an id.

    Raises:
        RefusedError: there is none.
    """
    row = connection.execute("SELECT * FROM job WHERE id = ?", (job_id,)).fetchone()
    if row is None:
        raise RefusedError(RetCode.JOB_NON_EXISTENT, "there is no job with this JobId")
    return _job(row)


def in_state(connection: sqlite3.Connection, *states: State) -> list[Job]:
    """All jobs in one of ``states``, the oldest first."""
    marks = ", ".join("?" * len(states))
    rows = connection.execute(f"SELECT * FROM job WHERE state IN ({marks}) ORDER BY n", states)  # noqa: S608 - marks
    return [_job(row) for row in rows]


def newest(connection: sqlite3.Connection, most: int) -> list[Job]:
    """The jobs that changed last, those that run first."""
    rows = connection.execute(
        "SELECT * FROM job ORDER BY state IN ('running', 'stopping') DESC, changed_us DESC, n DESC LIMIT ?", (most,)
    )
    return [_job(row) for row in rows]


def in_room(connection: sqlite3.Connection, app: str, room: str) -> Job | None:
    """The job that a room has now."""
    row = connection.execute(
        "SELECT * FROM job WHERE app = ? AND room = ? AND state IN ('running', 'stopping') ORDER BY n LIMIT 1",
        (app, room),
    ).fetchone()
    return _job(row) if row else None


def counts(connection: sqlite3.Connection) -> dict[str, int]:
    """The number of jobs in each state that has any."""
    return {row["state"]: row["n"] for row in connection.execute("SELECT state, count(*) AS n FROM job GROUP BY state")}


def revise(connection: sqlite3.Connection, job: Job, config: RoomConfig, at_us: int, user: str, action: str) -> None:
    """Keep an accepted change, and what the configuration became by it."""
    note(connection, job, at_us, user, action, config.given)
    connection.execute(
        "UPDATE job SET document = ?, in_force = ? WHERE n = ?",
        (as_json(config.document), as_json(config.in_force), job.n),
    )


def note(connection: sqlite3.Connection, job: Job, at_us: int, user: str, action: str, data: Any) -> None:
    """Note an accepted request: who, when, what."""
    text = as_json(data)
    connection.execute(
        "INSERT INTO revision VALUES (?, ?, ?, ?, ?, ?)", (job.n, job.revision + 1, at_us, user, action, text)
    )
    updates, size = (0, 0) if action == "job.start" else (1, _size(text))
    connection.execute(
        "UPDATE job SET changed_us = ?, revision = revision + 1, updates = updates + ?,"
        " update_bytes = update_bytes + ? WHERE n = ?",
        (at_us, updates, size, job.n),
    )


def size_of(data: Any) -> int:
    """The bytes of ``data`` as a change of a job, and as a line of its file of updates has them."""
    return _size(as_json(data))


def _size(text: str) -> int:
    return len(text.encode(errors="backslashreplace"))


def revisions(connection: sqlite3.Connection, job: Job, actions: Sequence[str]) -> list[Revision]:
    """The accepted changes of a job by one of ``actions``, in order."""
    marks = ", ".join("?" * len(actions))
    rows = connection.execute(
        f"SELECT * FROM revision WHERE job = ? AND action IN ({marks}) ORDER BY number",  # noqa: S608 - marks
        (job.n, *actions),
    )
    return [Revision(row["number"], row["at_us"], row["user"], row["action"], _object(row["data"])) for row in rows]


def set_state(connection: sqlite3.Connection, job: Job, state: State, now_us: int, reason: str = "") -> None:
    """Change the state of a job."""
    began_us = now_us if state == "running" and job.began_us is None else job.began_us
    connection.execute(
        "UPDATE job SET state = ?, changed_us = ?, began_us = ?, reason = ? WHERE n = ?",
        (state, now_us, began_us, reason, job.n),
    )


def set_recording(connection: sqlite3.Connection, job: Job, *, is_recording: bool) -> None:
    """Note whether the room of a job is recorded."""
    connection.execute("UPDATE job SET is_recording = ? WHERE n = ?", (is_recording, job.n))


def set_result(connection: sqlite3.Connection, job: Job, result: Mapping[str, Any]) -> None:
    """Keep what finishing a job printed."""
    connection.execute("UPDATE job SET result = ? WHERE n = ?", (as_json(result), job.n))


def set_reason(connection: sqlite3.Connection, job: Job, reason: str) -> None:
    """Note what keeps a job from going on."""
    connection.execute("UPDATE job SET reason = ? WHERE n = ?", (reason, job.n))


def count_restart(connection: sqlite3.Connection, job: Job) -> None:
    """Note that a process of the job had to be started again."""
    connection.execute("UPDATE job SET restarts = restarts + 1 WHERE n = ?", (job.n,))


def end_unstarted(connection: sqlite3.Connection, now_us: int) -> int:
    """End jobs that were acquired long ago and not started; returns how many."""
    cursor = connection.execute(
        "UPDATE job SET state = 'ended', reason = 'it was not started', changed_us = ?"
        " WHERE state = 'acquired' AND changed_us <= ?",
        (now_us, now_us - ACQUIRED_US),
    )
    return cursor.rowcount


def forget(connection: sqlite3.Connection, before_us: int) -> list[str]:
    """Remove ended jobs that last changed before a time and have no callbacks left; returns their ids."""
    rows = connection.execute(
        "DELETE FROM job WHERE n IN (SELECT n FROM job WHERE state = 'ended' AND changed_us < ?"
        " AND n NOT IN (SELECT job FROM callback) LIMIT 1000) RETURNING id",
        (before_us,),
    )
    return [row["id"] for row in rows]


def mask_secrets(connection: sqlite3.Connection, job: Job) -> None:
    """Remove keys and tokens of a job, which nothing needs any more."""
    connection.execute("UPDATE job SET document = ? WHERE n = ?", (as_json(masked(job.document)), job.n))
    for row in connection.execute("SELECT number, data FROM revision WHERE job = ?", (job.n,)).fetchall():
        connection.execute(
            "UPDATE revision SET data = ? WHERE job = ? AND number = ?",
            (as_json(masked(_object(row["data"]))), job.n, row["number"]),
        )


def _job(row: sqlite3.Row) -> Job:
    return Job(*row)


def _object(text: str) -> dict[str, Any]:
    found: dict[str, Any] = _DECODER.decode(text)
    return found
