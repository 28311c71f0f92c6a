"""One run per job id at a time."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

from owtmix.base.errors import CODE_JOB_EXISTS, SpecError
from owtmix.jobs.lock import lock_job

HOLDER = """
import sys
from owtmix.jobs.lock import lock_job
with lock_job("busy-room"):
    print("held", flush=True)
    sys.stdin.read()
"""


@pytest.fixture
def _temporary(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """Lock files go into a folder of the test."""
    monkeypatch.setattr("tempfile.tempdir", str(tmp_path))


on_both_systems = pytest.mark.parametrize("platform", ["linux", "other"])
"""Both ways of holding a job id, whatever system this is."""


@on_both_systems
@pytest.mark.usefixtures("_temporary")
def test_a_second_run_of_a_job_is_refused(platform: str) -> None:
    refused = pytest.raises(SpecError, match="the job room is already running")
    with lock_job("room", platform), refused as caught, lock_job("room", platform):
        pass
    assert caught.value.code == CODE_JOB_EXISTS
    assert caught.value.exit_status == 2


@on_both_systems
@pytest.mark.usefixtures("_temporary")
def test_other_jobs_run_beside_it_and_a_finished_one_runs_again(platform: str) -> None:
    with lock_job("room", platform), lock_job("room-2", platform):
        pass
    with lock_job("room", platform):
        pass


def test_a_killed_run_leaves_nothing_behind_and_a_living_one_is_named() -> None:
    with subprocess.Popen(
        [sys.executable, "-c", HOLDER], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    ) as holder:
        assert holder.stdout
        assert holder.stdout.readline() == "held\n"
        with pytest.raises(SpecError, match=rf"process {holder.pid}"), lock_job("busy-room"):
            pass
        holder.kill()
        holder.wait()
        with lock_job("busy-room"):
            pass
