"""Callbacks of the service: stored with the change that they tell of, and sent in order for each URL.

They are rows of the database, so that a crash leaves either both, the change and its callbacks, or none.
"""

from __future__ import annotations

import secrets
import sqlite3
from collections.abc import Callable, Iterable, Mapping
from contextlib import suppress
from pathlib import Path
from typing import Any, Final

from owtmix.notify.events import Event
from owtmix.notify.message import Message, Place
from owtmix.service.database import connect
from owtmix.service.jobs import Job

MOST_OF_A_JOB: Final = 1024
"""Callbacks that wait, or were given up: each has up to 8 KiB."""


def store(connection: sqlite3.Connection, job: Job, events: Iterable[Event]) -> None:
    """Store ``events`` for the receivers that a job has now: a piece of work for ``Database.run``.

    Where very many wait already, those are left out that may be dropped.
    """
    receivers = list(_open_receivers(job.document))
    if receivers and count_of(connection, job) >= MOST_OF_A_JOB:
        events = [event for event in events if not event.droppable]
    connection.executemany(
        "INSERT INTO callback(job, url, id, event, is_droppable, body) VALUES (?, ?, ?, ?, ?, ?)",
        (
            (
                job.n,
                receiver["NotifyUrl"],
                f"msg_{secrets.token_hex(16)}",
                event.type,
                event.droppable,
                event.body(job.id, job.request, receiver.get("Token") or None),
            )
            for event in events
            for receiver in receivers
            if receiver["ServiceType"] == event.service
        ),
    )


def count_of(connection: sqlite3.Connection, job: Job) -> int:
    """The number of stored callbacks of a job."""
    (found,) = connection.execute("SELECT count(*) FROM callback WHERE job = ?", (job.n,)).fetchone()
    return int(found)


def waiting_urls(connection: sqlite3.Connection) -> list[str]:
    """The URLs for which callbacks wait."""
    rows = connection.execute("SELECT url FROM callback WHERE NOT is_left GROUP BY url ORDER BY min(n)")
    return [row["url"] for row in rows]


def count(connection: sqlite3.Connection) -> dict[str, int]:
    """The number of callbacks that wait, and of those that were given up."""
    row = connection.execute("SELECT sum(NOT is_left) AS waiting, sum(is_left) AS given_up FROM callback").fetchone()
    return {"waiting": row["waiting"] or 0, "given up": row["given_up"] or 0}


def retry_left(connection: sqlite3.Connection) -> None:
    """Send those again that receivers refused before."""
    connection.execute("UPDATE callback SET is_left = 0")


def _open_receivers(document: Mapping[str, Any]) -> Iterable[Mapping[str, Any]]:
    return (receiver for receiver in document.get("NotifyConfig") or () if receiver.get("Status") == "open")


class Callbacks:
    """The stored callbacks, as ``owtmix.notify.sender`` takes them; used by its thread alone."""

    def __init__(self, path: Path) -> None:
        self._path = path
        self._connection: sqlite3.Connection | None = None

    def stream(self, url: str) -> CallbackStream:
        """The undelivered callbacks for ``url``."""
        return CallbackStream(self._connect, url)

    def _connect(self) -> sqlite3.Connection:
        if self._connection is None:
            self._connection = connect(self._path)
        return self._connection


class CallbackStream:
    """The undelivered callbacks for one URL, in order. A disk that is full delays, and loses nothing."""

    def __init__(self, connect: Callable[[], sqlite3.Connection], url: str) -> None:
        self._connect = connect
        self._url = url
        self._first: Message | None = None
        self._n = 0

    def first(self) -> Message | None:
        """The callback to be sent next; None when there is none."""
        if self._first is None:
            row = None
            with suppress(sqlite3.OperationalError):  # the disk is full, or another process holds the database
                row = (
                    self._connect()
                    .execute("SELECT * FROM callback WHERE url = ? AND NOT is_left ORDER BY n LIMIT 1", (self._url,))
                    .fetchone()
                )
            if row is not None:
                self._n = row["n"]
                place = Place(self._n, 0, 0)
                droppable = bool(row["is_droppable"])
                self._first = Message(row["id"], row["event"], droppable, self._url, row["body"], place)
        return self._first

    def done(self) -> None:
        """The first callback was delivered."""
        self._settle("DELETE FROM callback WHERE n = ?")

    def leave(self) -> None:
        """The first callback is kept until the service starts again, and the next one is sent."""
        self._settle("UPDATE callback SET is_left = 1 WHERE n = ?")

    def drop(self) -> None:
        """The first callback is never sent."""
        self.done()

    def flush(self) -> None:
        """Nothing is left unwritten."""

    def _settle(self, statement: str) -> None:
        with suppress(sqlite3.OperationalError):  # it is sent again: delivery is at least once
            self._connect().execute(statement, (self._n,))
        self._first = None
