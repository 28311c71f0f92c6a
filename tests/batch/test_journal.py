"""The results file: what is read, written, repaired, locked and refused."""

from __future__ import annotations

import errno
import json
import os
from pathlib import Path
from typing import Any

import pytest

from owtmix.base.errors import SetupError
from owtmix.batch.journal import Journal
from owtmix.batch.policy import History
from owtmix.batch.problems import QueueError
from owtmix.batch.results_reader import MOST_JUNK, Past, Reading, check_room, describe_junk, read_journal


def entry(name: str = "a", state: str = "done", **more: Any) -> dict[str, Any]:
    fixed = {"time": "2026-11-27T03:04:05Z", "id": name, "key": "k", "cfg": "/a.json", "attempt": 1, "state": state}
    return fixed | {"exit": 0, "peak_mib": 100, "error": None} | more


def line(name: str = "a", state: str = "done", **more: Any) -> str:
    return json.dumps(entry(name, state, **more)) + "\n"


def past(path: Path) -> dict[str, Past]:
    journal = Journal(path)
    journal.close()
    return journal.jobs


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "results.jsonl"


def test_what_is_noted_is_read_again(path: Path) -> None:
    journal = Journal(path)
    journal.note(entry("a"), History(1))
    journal.note(entry("b\n\udcff", "again", exit=3, error="no index"), History(1))
    journal.close()
    assert past(path) == journal.jobs == read_journal(path).jobs
    assert journal.jobs["b\n\udcff"] == Past("k", "again", History(1), 3, "no index", 100)
    assert len(path.read_text(encoding="ascii").splitlines()) == 2
    assert path.stat().st_mode & 0o777 == 0o600


def test_a_line_is_on_the_disk_before_the_next_attempt_begins(path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    synced: list[int] = []

    def sync(file: int) -> None:
        if os.path.samestat(os.fstat(file), path.stat()):
            synced.append(len(path.read_text().splitlines()))

    monkeypatch.setattr("os.fdatasync", sync)
    monkeypatch.setattr("os.fsync", sync)
    journal = Journal(path)
    synced.clear()
    for number in (1, 2, 3):
        journal.note(entry(str(number)), History(1))
        assert synced == [*range(1, number + 1)]
    journal.close()


@pytest.mark.parametrize(
    ("lines", "history", "state"),
    [
        ([line(state="again", exit=3)], History(1), "again"),
        ([line(state="again", exit=-9)], History(1, killed=True), "again"),
        ([line(state="lost", exit=None)] * 3, History(losses=3), "lost"),
        # It was begun anew after its end: what it lost before counts no more.
        ([*[line(state="lost", exit=None)] * 3, line(), line(state="lost", exit=None)], History(losses=1), "lost"),
        (
            [line(state="again", exit=4), line(state="again", exit=4, attempt=2)],
            History(2, composing_failed=True),
            "again",
        ),
        ([line(state="again", exit=6)] * 3, History(), "again"),
        ([line(state="lost", exit=None)] * 3, History(0, 3), "lost"),
        ([line(state="lost", exit=1)] * 3, History(), "lost"),
        ([line(state="again", exit=-9), line(state="lost", exit=None, attempt=2)], History(1, 1, killed=True), "lost"),
        ([line(state="again", exit=3), line(state="drained", exit=130, attempt=2)], History(1), "drained"),
        ([line(state="poisoned", exit=3, attempt=3), line(state="again", exit=3)], History(1), "again"),
        ([line(state="again", exit=3, attempt=2), line(state="lost", exit=None, key="other")], History(0, 1), "lost"),
    ],
)
def test_the_history_of_a_job_is_that_of_its_lines(path: Path, lines: list[str], history: History, state: str) -> None:
    """Since it ended, or since it was another job."""
    path.write_text("".join(lines))
    found = past(path)["a"]
    assert (found.history, found.state) == (history, state)


@pytest.mark.parametrize(
    ("text", "ids", "after"),
    [
        ("", [], ""),
        (line() + line("b"), ["a", "b"], line() + line("b")),
        (line() + line("b")[:40], ["a"], line()),
        (line() + line("b")[:1], ["a"], line()),
        (line() + line("b")[:-1], ["a", "b"], line() + line("b")),
        (line()[:-2], [], ""),
        (line() + "junk", ["a"], line() + "junk\n"),
    ],
)
def test_the_last_line_is_repaired(path: Path, text: str, ids: list[str], after: str) -> None:
    path.write_text(text)
    assert [*past(path)] == ids
    assert path.read_text() == after


JUNK = [
    "junk",
    "[]",
    "{}",
    "null",
    '{"id": 1}',
    line(state="finished").strip(),
    line(attempt=0).strip(),
    line(attempt="1").strip(),
    line(exit="0").strip(),
    line(key=None).strip(),
    json.dumps(entry() | {"state": ["done"]}),
    "[" * 100_000,
    "\udcff\udcfe",
    "x" * 300_000,
]


def test_junk_is_skipped_and_named(path: Path) -> None:
    path.write_bytes(("\n".join([*JUNK, line("b")])).encode(errors="surrogateescape"))
    journal = Journal(path)
    journal.close()
    assert [*journal.jobs] == ["b"]
    assert journal.junk == [*range(1, len(JUNK) + 1)]
    assert describe_junk(journal.junk).startswith("lines 1, 2, 3")
    assert describe_junk([7]) == "line 7 of the results file cannot be read and is ignored"


@pytest.mark.parametrize("text", ["a letter\nto somebody", '{"Action": "job.start"}', "x\n"])
def test_another_file_is_refused_and_left_alone(path: Path, text: str) -> None:
    path.write_text(text)
    with pytest.raises(QueueError, match="is no results file"):
        Journal(path)
    with pytest.raises(QueueError, match="is no results file"):
        read_journal(path)
    assert path.read_text() == text


def test_what_a_run_could_not_make_is_known_before(path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    deep = path.parent / "a" / "b" / "results.jsonl"
    check_room(deep)
    monkeypatch.setattr("os.access", lambda *_: False)
    for results in (path, deep):
        with pytest.raises(QueueError, match=f"cannot be used: nothing can be made in {path.parent}$"):
            check_room(results)
    path.write_text("")
    with pytest.raises(QueueError):  # the folder of the logs
        check_room(path)
    path.with_name("results.logs").mkdir()
    check_room(path)
    assert not deep.parent.exists()


def test_a_second_batch_is_told_who_has_the_file(path: Path) -> None:
    first = Journal(path)
    with pytest.raises(QueueError, match=rf"is in use: process {os.getpid()}, another batch, writes"):
        Journal(path)
    assert read_journal(path) == Reading(holder=os.getpid())
    first.close()
    past(path)


@pytest.mark.parametrize("kind", ["link", "folder", "pipe"])
def test_what_is_no_file_is_refused(path: Path, kind: str) -> None:
    match kind:
        case "link":
            path.symlink_to("elsewhere")
        case "folder":
            path.mkdir()
        case "pipe":
            os.mkfifo(path)
    with pytest.raises(QueueError, match="cannot be used"):
        Journal(path)


class FullDisk:
    """A file on a disk that has room for ``room`` bytes."""

    def __init__(self, path: Path, room: int) -> None:
        self._file = path.open("rb+", buffering=0)
        self.room = room

    def fileno(self) -> int:
        return self._file.fileno()

    def write(self, data: memoryview) -> int:
        taken = min(len(data), self.room)
        if not taken:
            raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))
        self.room -= taken
        return self._file.write(data[:taken])

    def close(self) -> None:
        self._file.close()


def full(path: Path, room: int) -> tuple[Journal, FullDisk]:
    """A journal whose disk is full after some bytes."""
    journal = Journal(path)
    journal._file.close()
    disk = FullDisk(path, room)
    journal._file = disk  # type: ignore[assignment]
    return journal, disk


@pytest.mark.parametrize("number", [errno.ENOSPC, errno.EDQUOT])
def test_nothing_begins_on_a_disk_that_is_full(path: Path, number: int, monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(*_: object) -> None:
        raise OSError(number, os.strerror(number))

    monkeypatch.setattr(os, "posix_fallocate", refuse)
    with pytest.raises(SetupError, match=r"the disk of .* is full, and results are kept there: free a megabyte"):
        Journal(path)


def test_a_disk_that_can_keep_no_space_may_have_results(path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(*_: object) -> None:
        raise OSError(errno.EOPNOTSUPP, os.strerror(errno.EOPNOTSUPP))

    monkeypatch.setattr(os, "posix_fallocate", refuse)
    journal = Journal(path)
    journal.note(entry("a"), History())
    assert (journal.failure, path.read_text()) == ("", line("a"))


def test_a_full_disk_takes_no_part_of_a_line_and_gets_it_later(path: Path) -> None:
    journal, disk = full(path, len(line()) + 10)
    journal._give_reserve()
    journal.note(entry("a"), History())
    assert not journal.failure
    journal.note(entry("b"), History())
    assert "cannot be written: No space left on device" in journal.failure
    assert (path.read_text(), journal.unwritten) == (line("a"), 1)
    disk.room = 10_000
    journal.note(entry("c"), History())
    assert (path.read_text(), journal.unwritten) == (line("a") + line("b") + line("c"), 0)
    assert journal.failure
    journal.close()


def test_space_is_kept_for_the_jobs_that_run_when_the_disk_gets_full(
    path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    journal, disk = full(path, 10)
    reserve = journal._reserve
    assert reserve
    assert os.fstat(reserve.fileno()).st_blocks * 512 >= 2**20
    close = reserve.close

    def freed() -> None:
        disk.room = 2**20
        close()

    monkeypatch.setattr(reserve, "close", freed, raising=False)
    journal.note(entry("a"), History())
    assert journal.failure
    assert (path.read_text(), journal.unwritten) == (line("a"), 0)
    journal.close()


def test_a_file_that_is_removed_meanwhile_is_noticed(path: Path) -> None:
    journal = Journal(path)
    journal.note(entry("a"), History())
    path.unlink()
    journal.note(entry("b"), History())
    assert "removed or replaced" in journal.failure
    assert journal.unwritten == 1
    journal.close()


def test_half_a_line_of_somebody_else_spoils_no_result(path: Path) -> None:
    journal = Journal(path)
    journal.note(entry("a"), History())
    with path.open("a") as file:
        file.write("half a line")
    journal.note(entry("b"), History())
    journal.note(entry("c"), History())
    journal.close()
    assert not journal.failure
    assert path.read_text() == line("a") + "half a line\n" + line("b") + line("c")
    assert [*past(path)] == ["a", "b", "c"]


@pytest.mark.parametrize("rest", [0, 40])
def test_a_file_that_is_made_shorter_meanwhile_is_noticed(path: Path, rest: int) -> None:
    """What ends after that is recorded all the same."""
    journal = Journal(path)
    journal.note(entry("a"), History())
    journal.note(entry("b"), History())
    lost = path.stat().st_size - rest
    os.truncate(path, rest)
    journal.note(entry("c"), History())
    journal.note(entry("d"), History())
    journal.close()
    assert f"was made shorter by {lost:,} bytes while the batch ran" in journal.failure
    assert ([*past(path)], journal.unwritten) == (["c", "d"], 0)


@pytest.mark.parametrize("how", ["removed", "shorter"])
def test_what_is_lost_after_the_last_line_is_noticed_at_the_end(path: Path, how: str) -> None:
    journal = Journal(path)
    journal.note(entry("a"), History())
    if how == "removed":
        path.unlink()
    else:
        os.truncate(path, 0)
    assert journal.write()
    assert how in journal.failure
    journal.close()


def test_empty_lines_are_nothing_and_too_many_others_are_refused(path: Path) -> None:
    path.write_text(line() + "\n" * 1000 + line("b"))
    assert (set(past(path)), read_journal(path).junk) == ({"a", "b"}, [])
    path.write_text(line() + "x\n" * (MOST_JUNK + 1))
    with pytest.raises(QueueError, match="has more than 100,000 lines that are none of a batch"):
        past(path)


def test_a_disk_that_fails_while_the_file_is_read_is_said(path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def fail(*_: object) -> None:
        raise OSError(errno.EIO, os.strerror(errno.EIO))

    path.write_text(line())
    monkeypatch.setattr("owtmix.batch.journal.ResultsReader", fail)
    with pytest.raises(QueueError, match="cannot be used: Input/output error"):
        Journal(path)


@pytest.mark.parametrize("text", ['{"time": "2026-01-01", "level": "info"}', '\n\n{"time": [1, 2, 3]}'])
def test_a_file_of_others_whose_last_line_has_no_end_is_not_emptied(path: Path, text: str) -> None:
    path.write_text(text)
    with pytest.raises(QueueError, match="is no results file"):
        past(path)
    assert path.read_text() == text
