"""A running job and signals, terminals and the background of a shell."""

from __future__ import annotations

import re
import signal
import subprocess
import time
from pathlib import Path

import pytest

from owtmix.cli.signals import DEADLINE_S
from tests.cli.terminal import run_in_terminal
from tests.support.command import CLEAN_ENVIRONMENT, LONG, Command, record_once

pytestmark = pytest.mark.serial


@pytest.fixture
def long(tmp_path: Path, job_id: str) -> Path:
    """The job file of a room that takes long enough to be interrupted."""
    return LONG.write(tmp_path / "room", job_id, record_once)


@pytest.fixture
def work(command: Command, job_id: str) -> Path:
    """The work folder of the job."""
    return command.root / "work" / job_id


def _wait_until_composing(work: Path, process: subprocess.Popen[str]) -> None:
    while not any((work / "tracks").glob("*")):
        assert process.poll() is None, process.communicate()
        time.sleep(0.02)


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM, signal.SIGHUP], ids=lambda number: number.name)
def test_a_signal_stops_the_run_in_time_and_leaves_nothing(
    command: Command, long: Path, work: Path, number: signal.Signals
) -> None:
    before = {path for path in long.parent.rglob("*") if path.is_file()}
    with command.start(long) as process:
        _wait_until_composing(work, process)
        since_s = time.monotonic()
        process.send_signal(number)
        out, err = process.communicate(timeout=10)
        assert time.monotonic() - since_s < DEADLINE_S
    assert process.returncode == 130
    assert out == ""
    assert f"stopped by {number.name}" in err
    assert {path for path in long.parent.rglob("*") if path.is_file()} == before
    assert not (work / "tracks").exists(), "only finished chunks may be kept for the next run"


def test_a_killed_job_can_be_run_again_at_once(command: Command, long: Path, work: Path, job_id: str) -> None:
    with command.start(long) as process:
        _wait_until_composing(work, process)
        process.kill()
        process.wait()
    result = command.run("--set=Data.RecordingConfig.MediaChannel=1", long)
    assert result.returncode == 0, result.stderr
    assert [path.name for path in (long.parent / "out").iterdir()] == [f"{job_id}.mp4"]


def test_under_nohup_a_hangup_changes_nothing(command: Command, long: Path, work: Path) -> None:
    with subprocess.Popen(
        ["nohup", command.path, long], env=CLEAN_ENVIRONMENT, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
    ) as process:
        _wait_until_composing(work, process)
        process.send_signal(signal.SIGHUP)
        with pytest.raises(subprocess.TimeoutExpired):
            process.wait(0.5)
        process.terminate()
        process.communicate(timeout=10)
    assert process.returncode == 130


def test_a_terminal_shows_a_bar(command: Command, long: Path) -> None:
    status, drawn = run_in_terminal([command.path, "--workers", "1", str(long)])
    assert status == 0
    assert re.search(r"━.* \d+ %  \d+\.\dx  \d+:\d\d left", drawn)


def test_in_the_background_of_a_terminal_there_is_no_bar(command: Command, tiny: Path, job_id: str) -> None:
    status, drawn = run_in_terminal([command.path, str(tiny)], background=True)
    assert status == 0
    assert "━" not in drawn
    assert (tiny.parent / "out" / f"{job_id}.mp4").exists()
