"""The database: what fails undoes itself alone, what is promised is on the disk, many wait for one write."""

from __future__ import annotations

import asyncio
import sqlite3
import threading
from functools import partial
from pathlib import Path
from typing import Any

import pytest

from owtmix.base.errors import SetupError
from owtmix.service import database as module
from owtmix.service import jobs
from owtmix.service.database import Database, connect

PATIENCE_S = 30.0
INSERT = (
    "INSERT INTO job(id, app, room, mode, channel, request, state, created_us, changed_us)"
    " VALUES (?, 'a', 'r', 0, 0, '', 'acquired', 0, 0)"
)


def add(connection: sqlite3.Connection, name: str) -> str:
    connection.execute(INSERT, (name,))
    if name == "fails":
        raise ValueError(name)
    return name


def names(connection: sqlite3.Connection) -> list[str]:
    return [row["id"] for row in connection.execute("SELECT id FROM job ORDER BY n")]


def test_work_that_fails_undoes_only_itself(tmp_path: Path) -> None:
    database = Database(tmp_path / "db")

    async def together() -> list[object]:
        works = (database.run(partial(add, name=name)) for name in ("a", "fails", "b", "a", "c"))
        return await asyncio.gather(*works, return_exceptions=True)

    found = asyncio.run(together())
    assert [one if isinstance(one, str) else type(one) for one in found] == [
        "a",
        ValueError,
        "b",
        sqlite3.IntegrityError,
        "c",
    ]
    assert names(connect(tmp_path / "db")) == ["a", "b", "c"]
    database.close()


def test_a_full_disk_is_said_to_all_who_wait_and_forgotten(tmp_path: Path) -> None:
    database = Database(tmp_path / "db")

    def fill(connection: sqlite3.Connection) -> None:
        connection.execute("PRAGMA max_page_count = 1")
        for number in range(100):
            add(connection, f"{number:01000}")

    begun, may_end = threading.Event(), threading.Event()

    def wait(_: sqlite3.Connection) -> None:
        begun.set()
        may_end.wait(PATIENCE_S)

    async def together() -> list[str | BaseException | None]:
        first = asyncio.create_task(database.run(wait))
        await asyncio.to_thread(begun.wait, PATIENCE_S)
        asyncio.get_running_loop().call_later(0.1, may_end.set)
        works = database.run(partial(add, name="a")), database.run(fill)
        found = await asyncio.gather(*works, return_exceptions=True)
        await first
        return [*found]

    assert [str(one) for one in asyncio.run(together())] == ["database or disk is full"] * 2
    asyncio.run(database.run(lambda connection: connection.execute("PRAGMA max_page_count = 1000000").fetchone()))
    asyncio.run(database.run(partial(add, name="b")))
    assert names(connect(tmp_path / "db")) == ["b"]
    database.close()


def test_many_changes_at_a_time_are_few_commits(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    commits: list[int] = []
    commit = Database._commit

    def counted(self: Database, tasks: list[Any]) -> None:
        commits.append(len(tasks))
        commit(self, tasks)

    monkeypatch.setattr(Database, "_commit", counted)
    database = Database(tmp_path / "db")

    async def many() -> None:
        await asyncio.gather(*(database.run(partial(add, name=f"j{n}")) for n in range(400)))

    asyncio.run(many())
    database.close()
    assert sum(commits) == 400
    assert len(commits) < 200


def test_what_only_reads_waits_for_no_change_and_makes_none(tmp_path: Path) -> None:
    database = Database(tmp_path / "db")
    begun, may_end = threading.Event(), threading.Event()

    def slow(connection: sqlite3.Connection) -> None:
        add(connection, "later")
        begun.set()
        may_end.wait(PATIENCE_S)

    async def beside() -> None:
        await database.run(partial(add, name="kept"))
        changing = asyncio.create_task(database.run(slow))
        await asyncio.to_thread(begun.wait, PATIENCE_S)
        assert database.read(names) == ["kept"]
        with pytest.raises(sqlite3.OperationalError, match="readonly"):
            database.read(partial(add, name="not kept"))
        may_end.set()
        await changing
        assert database.read(names) == ["kept", "later"]

    asyncio.run(beside())
    database.close()


def test_it_is_the_owners_alone_and_found_again(tmp_path: Path) -> None:
    first = Database(tmp_path / "db")
    asyncio.run(first.run(lambda c: add(c, "kept")))
    first.close()
    assert (tmp_path / "db").stat().st_mode & 0o077 == 0
    again = Database(tmp_path / "db")
    assert asyncio.run(again.run(names)) == ["kept"]
    again.close()


def test_what_waits_is_done_before_it_ends(tmp_path: Path) -> None:
    database = Database(tmp_path / "db")

    async def begun() -> None:
        for number in range(20):
            database._tasks.put(module._Task(partial(add, name=f"j{number}"), lambda *_: None))

    asyncio.run(begun())
    database.close()
    assert len(names(connect(tmp_path / "db"))) == 20


@pytest.mark.parametrize("content", [b"not a database " * 100, b""])
def test_what_is_no_database_is_said(tmp_path: Path, content: bytes) -> None:
    (tmp_path / "db").write_bytes(content)
    if content:
        with pytest.raises(SetupError, match="db"):
            Database(tmp_path / "db")
    else:
        Database(tmp_path / "db").close()


def test_that_of_a_later_version_is_left_alone(tmp_path: Path) -> None:
    connection = connect(tmp_path / "db")
    connection.execute(f"PRAGMA user_version = {module.VERSION + 1}")
    connection.close()
    with pytest.raises(SetupError, match="later version"):
        Database(tmp_path / "db")


def test_one_of_an_earlier_version_is_brought_up_to_date(tmp_path: Path) -> None:
    old = connect(tmp_path / "db")
    old.executescript(f"{module._STEPS[0]} PRAGMA user_version = 1;")
    for name in ("a", "b"):
        old.execute(INSERT, (name,))
    for number, action in enumerate(("job.start", "job.mixer.update", "job.update")):
        old.execute("INSERT INTO revision VALUES (1, ?, 0, '', ?, ?)", (number, action, '{"é": 1}'))
    old.close()
    Database(tmp_path / "db").close()
    again = Database(tmp_path / "db")
    found = [again.read(partial(jobs.find, job_id=name)) for name in ("a", "b")]
    assert [(job.updates, job.update_bytes) for job in found] == [(2, 2 * len('{"é": 1}'.encode())), (0, 0)]
    again.close()
