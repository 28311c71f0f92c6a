"""One run per job id and state folder at a time."""

from __future__ import annotations

import os
import subprocess
import sys
import threading
from contextlib import ExitStack
from pathlib import Path

import pytest

from owtmix.base.errors import CODE_JOB_EXISTS, BusyError, DestinationError
from owtmix.jobs.lock import lock_job

HOLDER = """
import sys
from pathlib import Path
from owtmix.jobs.lock import lock_job
with lock_job(Path(sys.argv[1]), "busy-room", Path("/rooms/cfg.json")):
    print("held", flush=True)
    sys.stdin.read()
"""


def test_a_second_run_of_a_job_is_refused(tmp_path: Path) -> None:
    refused = pytest.raises(BusyError, match="the job room is already running")
    with lock_job(tmp_path, "room"), refused as caught, lock_job(tmp_path, "room"):
        pass
    assert caught.value.code == CODE_JOB_EXISTS
    assert caught.value.exit_status == 6


def test_other_jobs_and_other_state_folders_are_free_and_a_finished_job_runs_again(tmp_path: Path) -> None:
    with lock_job(tmp_path, "room"), lock_job(tmp_path, "room-2"), lock_job(tmp_path / "other", "room"):
        pass
    with lock_job(tmp_path, "room"):
        pass
    assert not list((tmp_path / "locks").iterdir())


def test_a_killed_run_leaves_no_lock_and_a_living_one_is_named_with_its_job_file(tmp_path: Path) -> None:
    with subprocess.Popen(
        [sys.executable, "-c", HOLDER, str(tmp_path)], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    ) as holder:
        assert holder.stdout
        assert holder.stdout.readline() == "held\n"
        named = rf"process {holder.pid}, job file /rooms/cfg.json \(state folder {tmp_path}\)"
        with pytest.raises(BusyError, match=named), lock_job(tmp_path, "busy-room"):
            pass
        holder.kill()
        holder.wait()
        with lock_job(tmp_path, "busy-room"):
            pass


def test_a_run_waits_for_what_is_no_run_and_nothing_else_waits(tmp_path: Path) -> None:
    """Callbacks that were delivered again for a minute made the next run of the job fail."""
    with ExitStack() as delivering:
        delivering.enter_context(lock_job(tmp_path, "room"))
        with pytest.raises(BusyError), lock_job(tmp_path, "room"):
            pass
        end = threading.Timer(0.5, delivering.close)
        end.start()
        again = pytest.raises(BusyError)
        with lock_job(tmp_path, "room", Path("cfg.json")), again, lock_job(tmp_path, "room", Path("cfg.json")):
            pass
        end.join()


def test_a_link_in_place_of_a_lock_is_not_followed(tmp_path: Path) -> None:
    target = tmp_path / "target"
    target.write_text("precious")
    (tmp_path / "locks").mkdir()
    (tmp_path / "locks" / "room.lock").symlink_to(target)
    with pytest.raises(DestinationError, match="cannot be locked"), lock_job(tmp_path, "room"):
        pass
    assert target.read_text() == "precious"


@pytest.mark.parametrize("kind", ["link", "pipe", "second name"])
def test_what_lies_in_place_of_a_lock_or_of_its_folder_is_not_written(tmp_path: Path, kind: str) -> None:
    target = tmp_path / "target"
    target.write_text("precious")
    locks = tmp_path / "locks"
    locks.mkdir()
    match kind:
        case "link":
            locks.rmdir()
            locks.symlink_to(tmp_path)
        case "pipe":
            os.mkfifo(locks / "room.lock")
        case _:
            (locks / "room.lock").hardlink_to(target)
    with pytest.raises(DestinationError, match=r"cannot be locked: .* stands in"), lock_job(tmp_path, "room"):
        pass
    assert target.read_text() == "precious"


JUNK = {
    "deep": b"[" * 65_536,
    "no number": b'{"process": Infinity, "job_file": ""}',
    "digits": b'{"process": ' + b"9" * 60_000 + b', "job_file": ""}',
    "no text": b'{"process": 1, "job_file": [{}]}',
    "binary": b"\xff\0",
}


@pytest.mark.parametrize("junk", JUNK.values(), ids=JUNK)
def test_junk_in_a_lock_is_not_shown(tmp_path: Path, junk: bytes) -> None:
    with lock_job(tmp_path, "room"):
        (tmp_path / "locks" / "room.lock").write_bytes(junk)
        with pytest.raises(BusyError) as caught, lock_job(tmp_path, "room"):
            pass
    assert str(caught.value) == f"the job room is already running (state folder {tmp_path})"
