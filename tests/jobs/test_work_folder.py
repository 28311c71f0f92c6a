"""What runs leave in work/: kept for the next run of the same job, removed after days."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from owtmix.base.errors import BusyError, DestinationError
from owtmix.jobs.lock import lock_job
from owtmix.jobs.work_folder import open_work_folder

LONG_AGO = 1_000_000_000


def abandon(work: Path, *, touched: float) -> Path:
    recording = work / "inputs" / "recording"
    recording.parent.mkdir(parents=True)
    recording.write_bytes(b"fetched")
    for path in (recording, recording.parent, work):
        os.utime(path, (touched, touched))
    return recording


def test_what_a_killed_run_fetched_stays_for_the_next(tmp_path: Path) -> None:
    recording = abandon(tmp_path / "work" / "job", touched=LONG_AGO)
    with open_work_folder(tmp_path, "job", 1) as work:
        assert work == tmp_path / "work" / "job"
        assert (work / "tracks").is_dir()
    assert recording.read_bytes() == b"fetched"
    assert not (work / "tracks").exists()


def test_what_a_killed_run_had_half_made_takes_no_room(tmp_path: Path) -> None:
    half = tmp_path / "work" / "job" / "tracks" / "picture.mp4"
    half.parent.mkdir(parents=True)
    half.write_bytes(b"half")
    with open_work_folder(tmp_path, "job", 1):
        assert not half.exists()


def test_a_run_of_another_container_is_kept_out(tmp_path: Path) -> None:
    """It has names of its own for sockets, but the same folder."""
    with open_work_folder(tmp_path, "job", 1) as work:
        (work / "tracks" / "picture.mp4").write_bytes(b"half")
        with pytest.raises(BusyError, match="already running"), open_work_folder(tmp_path, "job", 1):
            pass
        assert (work / "tracks" / "picture.mp4").exists()
    with open_work_folder(tmp_path, "job", 1):
        pass


def test_a_run_that_fetched_nothing_leaves_nothing(tmp_path: Path) -> None:
    with open_work_folder(tmp_path, "job", 1) as work:
        (work / "tracks" / "picture.mp4").write_bytes(b"half")
    assert not list((tmp_path / "work").iterdir())


def test_jobs_that_nobody_touched_for_days_are_removed(tmp_path: Path, job_id: str) -> None:
    old = abandon(tmp_path / "work" / f"{job_id}-old", touched=LONG_AGO)
    running = abandon(tmp_path / "work" / f"{job_id}-running", touched=LONG_AGO)
    recent = abandon(tmp_path / "work" / f"{job_id}-recent", touched=LONG_AGO)
    os.utime(recent)
    with lock_job(tmp_path, f"{job_id}-running"), open_work_folder(tmp_path, "job", 1):
        pass
    assert [path.exists() for path in (old, running, recent)] == [False, True, True]


def test_a_place_that_takes_no_folder_is_told(tmp_path: Path) -> None:
    (tmp_path / "work").mkdir()
    (tmp_path / "work" / "job").write_bytes(b"")
    with pytest.raises(DestinationError, match="cannot be made"), open_work_folder(tmp_path, "job", 1):
        pass
