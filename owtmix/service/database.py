"""The database of the service: SQLite, of which what an answer promises is on the disk before it is sent.

All changes are made by one thread. Those that wait together are committed together, so that requests that come at the
same time wait for one disk write, and not for one each. What only reads a little waits for none of them.
"""

from __future__ import annotations

import asyncio
import queue
import sqlite3
import threading
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final, Generic, TypeVar

from owtmix.base.errors import SetupError
from owtmix.base.own_files import make_own

T = TypeVar("T")
Work = Callable[[sqlite3.Connection], T]

DATABASE: Final = "service.db"
"""Its file in the folder of the service."""
_MOST_TOGETHER: Final = 200
_SCHEMA: Final = """
CREATE TABLE job(
  n INTEGER PRIMARY KEY AUTOINCREMENT,
  id TEXT NOT NULL UNIQUE,
  app TEXT NOT NULL,
  room TEXT NOT NULL,
  mode INTEGER NOT NULL,
  channel INTEGER NOT NULL,
  request TEXT NOT NULL,
  state TEXT NOT NULL CHECK(state IN ('acquired', 'running', 'stopping', 'ended', 'interrupted')),
  is_recording INTEGER NOT NULL DEFAULT 0,
  created_us INTEGER NOT NULL,
  changed_us INTEGER NOT NULL,
  began_us INTEGER,
  restarts INTEGER NOT NULL DEFAULT 0,
  revision INTEGER NOT NULL DEFAULT 0,
  reason TEXT NOT NULL DEFAULT '',
  document TEXT NOT NULL DEFAULT '{}',
  in_force TEXT NOT NULL DEFAULT '{}',
  result TEXT NOT NULL DEFAULT '{}'
) STRICT;
CREATE INDEX job_by_state ON job(state, changed_us);
CREATE INDEX job_by_room ON job(app, room, mode, request, created_us);
CREATE TABLE revision(
  job INTEGER NOT NULL REFERENCES job(n) ON DELETE CASCADE,
  number INTEGER NOT NULL,
  at_us INTEGER NOT NULL,
  user TEXT NOT NULL,
  action TEXT NOT NULL,
  data TEXT NOT NULL,
  PRIMARY KEY(job, number)
) STRICT;
CREATE TABLE callback(
  n INTEGER PRIMARY KEY AUTOINCREMENT,
  job INTEGER NOT NULL REFERENCES job(n) ON DELETE CASCADE,
  url TEXT NOT NULL,
  id TEXT NOT NULL,
  event TEXT NOT NULL,
  is_droppable INTEGER NOT NULL,
  body TEXT NOT NULL,
  is_left INTEGER NOT NULL DEFAULT 0
) STRICT;
CREATE INDEX callback_by_url ON callback(url, is_left, n);
"""
_COUNTED_UPDATES: Final = """
ALTER TABLE job ADD COLUMN updates INTEGER NOT NULL DEFAULT 0;
ALTER TABLE job ADD COLUMN update_bytes INTEGER NOT NULL DEFAULT 0;
UPDATE job SET (updates, update_bytes) = (
  SELECT count(*), coalesce(sum(length(CAST(data AS BLOB))), 0)
  FROM revision WHERE job = n AND action != 'job.start'
);
"""
_CALLBACKS_BY_JOB: Final = "CREATE INDEX callback_by_job ON callback(job);"
_TOLD: Final = """
CREATE TABLE told(
  job INTEGER PRIMARY KEY REFERENCES job(n) ON DELETE CASCADE,
  what TEXT NOT NULL
) STRICT;
"""
_STEPS: Final = (_SCHEMA, _COUNTED_UPDATES, _CALLBACKS_BY_JOB, _TOLD)
VERSION: Final = len(_STEPS)
"""Of the tables; each step makes the next one."""


@dataclass(frozen=True, slots=True)
class _Task(Generic[T]):
    work: Work[T]
    done: Callable[[T | None, BaseException | None], None]


class Database:
    """The database in the file ``path``, which is made when it is missing; only its owner can read it.

    Raises:
        SetupError: it cannot be used.
    """

    def __init__(self, path: Path) -> None:
        self._tasks: queue.SimpleQueue[_Task[Any] | None] = queue.SimpleQueue()
        try:
            make_own_if_missing(path)
            self._connection = connect(path)
            prepare(self._connection, path)
            self._reading = connect(path)
            self._reading.execute("PRAGMA query_only = ON")
        except (sqlite3.Error, OSError) as error:
            raise SetupError(f"the database {path} cannot be used: {error}") from None
        self._thread = threading.Thread(target=self._serve, name="database")
        self._thread.start()

    async def run(self, work: Work[T]) -> T:
        """Do ``work`` in a transaction of its own; when this returns, what it changed is on the disk.

        Raises:
            RefusedError and others: as ``work`` raises them; nothing of it was done.
            sqlite3.Error: the database could not be written.
        """
        loop = asyncio.get_running_loop()
        future: asyncio.Future[T] = loop.create_future()

        def settle(result: T | None, error: BaseException | None) -> None:
            if future.done():
                return
            if error is None:
                future.set_result(result)  # type: ignore[arg-type]
            else:
                future.set_exception(error)

        def done(result: T | None, error: BaseException | None) -> None:
            with suppress(RuntimeError):  # the loop was closed meanwhile
                loop.call_soon_threadsafe(settle, result, error)

        self._tasks.put(_Task(work, done))
        return await future

    def read(self, work: Work[T]) -> T:
        """Do ``work``, which finds a few rows and changes nothing, at once: it sees all that is on the disk.

        Raises:
            RefusedError and others: as ``work`` raises them.
            sqlite3.Error: the database could not be read.
        """
        return work(self._reading)

    def close(self) -> None:
        """Do what waits, and end."""
        self._tasks.put(None)
        self._thread.join()
        self._reading.close()

    def _serve(self) -> None:
        while (first := self._tasks.get()) is not None:
            tasks = [first]
            is_last = False
            with suppress(queue.Empty):
                while len(tasks) < _MOST_TOGETHER:
                    following = self._tasks.get_nowait()
                    if following is None:
                        is_last = True
                        break
                    tasks.append(following)
            self._commit(tasks)
            if is_last:
                break
        self._connection.close()

    def _commit(self, tasks: list[_Task[Any]]) -> None:
        """Do all ``tasks`` in one transaction, each of which may fail by itself."""
        results: list[tuple[Any, BaseException | None]] = []
        try:
            self._connection.execute("BEGIN IMMEDIATE")
            results += (self._attempt(task) for task in tasks)
            self._connection.execute("COMMIT")
        except sqlite3.Error as error:
            with suppress(sqlite3.Error):
                self._connection.execute("ROLLBACK")
            results = [(None, error)] * len(tasks)
        for task, (result, failure) in zip(tasks, results, strict=True):
            task.done(result, failure)

    def _attempt(self, task: _Task[Any]) -> tuple[Any, BaseException | None]:
        """What a task gives, or raises. Raises ``sqlite3.Error`` where the tasks before it are undone by it."""
        self._connection.execute("SAVEPOINT task")
        try:
            result, failure = task.work(self._connection), None
        except Exception as error:
            if not self._connection.in_transaction:  # the disk is full: SQLite has undone all of it
                raise sqlite3.OperationalError(str(error)) from error
            result, failure = None, error
            self._connection.execute("ROLLBACK TO task")
        self._connection.execute("RELEASE task")
        return result, failure


def connect(path: Path) -> sqlite3.Connection:
    """A connection whose transactions are begun and ended by who uses it."""
    connection = sqlite3.connect(path, isolation_level=None, check_same_thread=False, timeout=30)
    connection.row_factory = sqlite3.Row
    connection.execute("PRAGMA journal_mode = WAL")
    connection.execute("PRAGMA synchronous = FULL")
    connection.execute("PRAGMA foreign_keys = ON")
    connection.execute("PRAGMA secure_delete = ON")
    return connection


def make_own_if_missing(path: Path) -> None:
    """Make an empty file that only its owner can read, unless there is one."""
    if not path.exists():
        make_own(path)


def prepare(connection: sqlite3.Connection, path: Path) -> None:
    """Make the tables in a new database, and what they lack in one of an earlier version.

    Raises:
        SetupError: a later version of the program made it.
    """
    (version,) = connection.execute("PRAGMA user_version").fetchone()
    if version > VERSION:
        raise SetupError(f"the database {path} was made by a later version of owtmix")
    if version < VERSION:
        connection.executescript(f"BEGIN; {''.join(_STEPS[version:])} PRAGMA user_version = {VERSION}; COMMIT;")
