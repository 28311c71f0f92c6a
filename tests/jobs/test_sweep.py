"""What nobody used for days is removed; no jump of the clock removes anything."""

from __future__ import annotations

import os
from collections.abc import Iterable
from datetime import date, timedelta
from pathlib import Path

import pytest

from owtmix.jobfile.settings import LogSettings, Settings, WorkSettings
from owtmix.jobs.lock import lock_job
from owtmix.jobs.sweep import Now, sweep
from owtmix.jobs.work_folder import open_work_folder

DAY_S = 86_400
FIRST = date(2026, 7, 1)
SETTINGS = Settings(work=WorkSettings(days=7), logs=LogSettings(days=30))


def now(days: float, *, clock_off_days: int = 0) -> Now:
    """So many days after the first; the clock may be wrong."""
    return Now((FIRST + timedelta(days=int(days) + clock_off_days)).isoformat(), 1000 + days * DAY_S)


def sweep_on(state: Path, days: Iterable[float]) -> None:
    for day in days:
        sweep(state, SETTINGS, now(day))


def leave(state: Path, job_id: str = "left") -> Path:
    recording = state / "work" / job_id / "inputs" / "recording"
    recording.parent.mkdir(parents=True)
    recording.write_bytes(b"fetched")
    return recording


def test_work_is_removed_when_it_was_found_unchanged_on_so_many_further_days(tmp_path: Path) -> None:
    recording = leave(tmp_path)
    sweep_on(tmp_path, range(7))
    assert recording.exists()
    sweep_on(tmp_path, [7])
    assert not recording.parents[1].exists()


def test_work_that_is_used_begins_anew(tmp_path: Path) -> None:
    recording = leave(tmp_path)
    sweep_on(tmp_path, range(6))
    with open_work_folder(tmp_path, "left"):
        pass
    sweep_on(tmp_path, range(6, 13))
    assert recording.exists()
    sweep_on(tmp_path, [13])
    assert not recording.exists()


@pytest.mark.parametrize("holds", ["the job", "the folder"])
def test_work_that_is_in_use_stays_and_begins_anew(tmp_path: Path, holds: str) -> None:
    recording = leave(tmp_path)
    with lock_job(tmp_path, "left") if holds == "the job" else open_work_folder(tmp_path, "left"):
        sweep_on(tmp_path, range(20))
        assert recording.exists()


def test_measurements_and_logs_are_removed_too(tmp_path: Path) -> None:
    for name in ("probes/old.json", "probes/used.json", "logs/old.log", "logs/used.log", "logs/notes.txt"):
        (tmp_path / name).parent.mkdir(exist_ok=True)
        (tmp_path / name).write_text("")
    (tmp_path / "work").mkdir()
    for day in range(40):
        sweep(tmp_path, SETTINGS, now(day))
        for used in ("probes/used.json", "logs/used.log"):
            os.utime(tmp_path / used, (day, day))
        assert (tmp_path / "probes" / "old.json").exists() == (day < 7)
        assert (tmp_path / "logs" / "old.log").exists() == (day < 30)
    assert {path.name for path in tmp_path.glob("*/*.*")} == {"used.json", "used.log", "notes.txt", ".sweep"}


@pytest.mark.parametrize("off_days", [40, -40, 4000])
@pytest.mark.parametrize("comes_back", [True, False])
def test_a_clock_that_jumps_is_one_day_more_at_most(tmp_path: Path, off_days: int, *, comes_back: bool) -> None:
    old = leave(tmp_path, "old")
    sweep_on(tmp_path, range(2))
    new = leave(tmp_path, "new")
    for day in range(2, 7):
        off = off_days if day == 2 or not comes_back else 0
        sweep(tmp_path, SETTINGS, now(day, clock_off_days=off))
        sweep(tmp_path, SETTINGS, now(day + 0.1, clock_off_days=off))
    assert old.exists()
    assert new.exists()


def test_a_clock_that_never_stops_jumping_is_no_day_more(tmp_path: Path) -> None:
    recording = leave(tmp_path)
    for jump in range(100):
        sweep(tmp_path, SETTINGS, Now((FIRST + timedelta(days=40 * jump)).isoformat(), 1000 + jump))
    assert recording.exists()


def test_work_of_a_clock_that_was_wrong_is_as_new_as_any(tmp_path: Path) -> None:
    """It went wrong by 40 days, work was made, and it was corrected."""
    sweep_on(tmp_path, [0])
    recording = leave(tmp_path)
    for path in (recording, recording.parent, recording.parents[1]):
        os.utime(path, (0, 0))
    sweep_on(tmp_path, range(1, 8))
    assert recording.exists()


def test_a_day_begins_with_another_start_of_the_machine(tmp_path: Path) -> None:
    recording = leave(tmp_path)
    for day in range(8):
        sweep(tmp_path, SETTINGS, Now((FIRST + timedelta(days=day)).isoformat(), 600 - day))
    assert not recording.exists()


def test_what_is_not_the_tools_own_stays(tmp_path: Path) -> None:
    target = leave(tmp_path / "elsewhere")
    leave(tmp_path, "notes").parents[1].joinpath("report.txt").write_text("")
    leave(tmp_path, "really old")
    (tmp_path / "work" / "link").symlink_to(target.parents[1])
    (tmp_path / "work" / "file").write_text("")
    sweep_on(tmp_path, range(40))
    assert {path.name for path in (tmp_path / "work").iterdir()} == {".sweep", "notes", "really old", "link", "file"}
    assert target.exists()


@pytest.mark.parametrize("junk", [b"", b"{}", b"[" * 100_000, b"\xff", b'{"day": "x"}', b'{"seen": []}'])
def test_a_record_that_makes_no_sense_begins_anew(tmp_path: Path, junk: bytes) -> None:
    recording = leave(tmp_path)
    sweep_on(tmp_path, range(7))
    (tmp_path / "work" / ".sweep").write_bytes(junk)
    sweep_on(tmp_path, range(7, 14))
    assert recording.exists()
    sweep_on(tmp_path, [14])
    assert not recording.exists()


def test_a_link_in_place_of_the_record_is_not_followed(tmp_path: Path) -> None:
    leave(tmp_path)
    target = tmp_path / "target"
    target.write_text("precious")
    (tmp_path / "work" / ".sweep").symlink_to(target)
    sweep_on(tmp_path, range(2))
    assert target.read_text() == "precious"
    assert not (tmp_path / "work" / ".sweep").is_symlink()
