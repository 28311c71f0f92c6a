"""What ran when a batch or its host went down is known to the next run."""

from __future__ import annotations

import errno
import os
from pathlib import Path

import pytest

from owtmix.batch.attempt import BatchJob
from owtmix.batch.begun import BegunFile, begun_path, mark_of, read_marks
from owtmix.batch.journal import Journal
from owtmix.batch.losses import note_losses, with_losses
from owtmix.batch.plan import plan_batch
from owtmix.batch.policy import MOST_LOSSES, History
from owtmix.batch.problems import QueueError
from owtmix.batch.results_reader import Past, read_journal
from tests.batch.made import job

AGAIN = Past("key of a", "again", History(1), 3)


@pytest.fixture
def results(tmp_path: Path) -> Path:
    (tmp_path / "results.logs").mkdir()
    return tmp_path / "results.jsonl"


def crash(results: Path, *jobs: BatchJob, **past: Past) -> None:
    """Begin jobs, and end none."""
    begun = BegunFile(begun_path(results))
    for one in jobs:
        begun.begin(one, past.get(one.id))
    begun.close()


def note(results: Path, *jobs: BatchJob) -> dict[str, Past]:
    journal = Journal(results)
    try:
        note_losses(journal, jobs, 3, "here")
    finally:
        journal.close()
    assert journal.jobs == read_journal(results).jobs
    return journal.jobs


def test_what_ends_leaves_no_mark(results: Path) -> None:
    path = begun_path(results)
    begun = BegunFile(path)
    jobs = [job(str(number)) for number in range(200)]
    for one in jobs:
        begun.begin(one, None)
    assert read_marks(path) == {mark_of(one, None) for one in jobs}
    for one in jobs[:-1]:
        begun.end(one)
    for one in jobs[:50]:
        begun.begin(one, AGAIN)
        begun.end(one)
    assert read_marks(path) == {mark_of(jobs[-1], None)}
    begun.end(jobs[-1])
    begun.close()
    assert not path.exists()


def test_it_is_on_the_disk_before_the_attempt_begins(results: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    synced: list[frozenset[str]] = []
    monkeypatch.setattr("os.fdatasync", lambda _: synced.append(read_marks(begun_path(results))))
    BegunFile(begun_path(results)).begin(job("a"), AGAIN)
    assert synced == [{mark_of(job("a"), AGAIN)}]


def test_a_mark_is_that_of_a_job_and_its_state() -> None:
    other = BatchJob("a", Path("/jobs/a/cfg.json"), "other key")
    pasts = (None, AGAIN, Past("key of a", "done", History(1), 0), Past("key of a", "again", History(2), 3))
    marks = {mark_of(job("a"), past) for past in pasts} | {mark_of(job("b"), None), mark_of(other, None)}
    assert len(marks) == 6
    assert mark_of(job("a"), Past("older key", "done", History(1), 0)) == mark_of(job("a"), None)
    assert len(mark_of(job("\udcff\n"), None)) == 32


def test_what_ran_is_lost_once(results: Path) -> None:
    crash(results, job("a"), job("b"))
    for _ in range(2):
        jobs = note(results, job("a"), job("b"), job("c"))
        assert {name: (past.state, past.exit_status, past.history) for name, past in jobs.items()} == {
            "a": ("lost", None, History(losses=1)),
            "b": ("lost", None, History(losses=1)),
        }
    assert not begun_path(results).exists()


def test_the_plan_knows_what_the_run_will_record(results: Path) -> None:
    known = Past("key of a", "again", History(1), 3, "", 500)
    results.write_text(
        '{"time": "", "id": "a", "key": "key of a", "attempt": 1, "state": "again", "exit": 3, "peak_mib": 500}\n'
    )
    crash(results, job("a"), job("b"), a=known)
    jobs = (job("c"), job("a"), job("b"))
    planned = with_losses(results, jobs, read_journal(results).jobs, 3)
    assert planned["a"] == Past("key of a", "lost", History(1, 1), None, planned["a"].error, 500)
    plan = plan_batch(jobs, planned, Path("/logs"), ())
    assert [one.job.id for one in plan.planned] == ["c", "a", "b"]
    assert note(results, *jobs) == planned


def test_of_jobs_that_found_no_host_those_tried_longest_ago_begin_first(results: Path) -> None:
    """What always says it keeps nobody else from being tried in every run."""
    line = '{{"time": "", "id": "{0}", "key": "key of {0}", "attempt": 1, "state": "again", "exit": 1}}\n'
    results.write_text("".join(map(line.format, "abcab")))
    plan = plan_batch([*map(job, "abcd")], read_journal(results).jobs, Path("/logs"), ())
    assert [one.job.id for one in plan.planned] == ["d", "c", "a", "b"]


def test_what_was_recorded_just_before_the_crash_is_not_lost(results: Path) -> None:
    """The batch was killed between the line of the results and the end of the mark."""
    crash(results, job("a"))
    results.write_text('{"time": "", "id": "a", "key": "key of a", "attempt": 1, "state": "done", "exit": 0}\n')
    assert note(results, job("a"))["a"].state == "done"


def test_a_job_that_was_changed_is_another_one(results: Path) -> None:
    crash(results, BatchJob("a", Path("/jobs/a/cfg.json"), "older key"))
    assert note(results, job("a")) == {}


def test_after_too_many_losses_in_a_row_a_job_is_poisoned(results: Path) -> None:
    states = []
    for _ in range(MOST_LOSSES + 1):
        crash(results, job("a"), **read_journal(results).jobs)
        states.append(note(results, job("a"))["a"].state)
    assert states == ["lost"] * MOST_LOSSES + ["poisoned"]


def test_an_end_in_between_forgives_all_losses(results: Path) -> None:
    for _ in range(MOST_LOSSES):
        crash(results, job("a"), **read_journal(results).jobs)
        note(results, job("a"))
    with results.open("a") as file:
        file.write('{"time": "", "id": "a", "key": "key of a", "attempt": 1, "state": "again", "exit": 3}\n')
    crash(results, job("a"), **read_journal(results).jobs)
    assert note(results, job("a"))["a"].history == History(1, losses=1)


def test_losses_that_cannot_be_recorded_begin_nothing(results: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    crash(results, job("a"))
    journal = Journal(results)
    monkeypatch.setattr("os.fdatasync", full)
    with pytest.raises(QueueError, match="No space left"):
        note_losses(journal, [job("a")], 3, "here")
    journal.close()
    assert read_marks(begun_path(results))


def full(*_: object) -> int:
    raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))


def test_a_full_disk_takes_no_mark_and_ends_nothing(
    results: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    begun = BegunFile(begun_path(results))
    size = begun_path(results).stat().st_size
    for number in range(64):
        begun.begin(job(str(number)), None)
    assert begun_path(results).stat().st_size == size
    monkeypatch.setattr("os.pwrite", full)
    for number in range(64, 70):
        begun.begin(job(str(number)), None)
    for number in range(70):
        begun.end(job(str(number)))
    begun.close()
    assert [record.levelname for record in caplog.records] == ["WARNING"]


@pytest.mark.parametrize("junk", [b"\xff\xfe" * 100, b"x" * (2 << 20), b"\n\n   \n"])
def test_junk_is_no_mark(results: Path, junk: bytes) -> None:
    begun_path(results).write_bytes(junk)
    assert note(results, job("a")) == {}


def test_a_link_in_its_place_is_not_followed(results: Path, caplog: pytest.LogCaptureFixture) -> None:
    letter = results.with_name("letter")
    letter.write_text(mark_of(job("a"), None))
    begun_path(results).symlink_to(letter)
    crash(results, job("a"))
    assert note(results, job("a")) == {}
    assert letter.read_text() == mark_of(job("a"), None)
    assert "a link stands in the place" in caplog.text


def test_a_job_that_somebody_stopped_before_it_took_its_host_down_has_lost_it(results: Path) -> None:
    """The run that counts the first as a loss of the job is not the one that reads the results."""
    line = (
        '{"time": "2026-11-27T03:04:05Z", "id": "a", "key": "key of a", "attempt": 1, "state": "drained", "exit": 130}'
    )
    results.write_text(line + "\n")
    crash(results, job("a"), a=Past("key of a", "drained", History(losses=1), 130))
    assert note(results, job("a"))["a"].state == "lost"
