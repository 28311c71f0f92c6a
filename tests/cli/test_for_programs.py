"""``owt-main`` as a program runs it: a batch, a service."""

from __future__ import annotations

import json
import re
import signal
import subprocess
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from owtmix.jobs.lock import lock_job
from owtmix.jobs.state import STATE_FOLDERS
from tests.notify.receiver import SILENCE, TAKEN, Receiver, receiving
from tests.support.command import LONG, Command, change, record_once


def failed(done: subprocess.CompletedProcess[str]) -> dict[str, Any]:
    """The failure on standard output, whose status is that of the process."""
    error: dict[str, Any] = json.loads(done.stdout)["error"]
    assert error["exit_status"] == done.returncode
    assert set(error) == {"type", "message", "exit_status", "code", "job_id", "problems"}
    return error


def test_a_wrong_job_file_has_every_problem_with_its_place(command: Command, tiny: Path, job_id: str) -> None:
    change(tiny, "Data.MixerConfig.ResizeMode", 7)
    change(tiny, "Data.MixerConfig.KeyFrames", 7)
    error = failed(command.run("--json", "-q", tiny))
    assert (error["type"], error["exit_status"], error["job_id"]) == ("SpecError", 2, job_id)
    assert error["problems"][0]["path"] == "Data.MixerConfig.ResizeMode"
    assert error["message"].startswith("Data.MixerConfig.ResizeMode: ")


def test_a_missing_index(command: Command, tiny: Path, job_id: str) -> None:
    error = failed(command.run("--index", "missing.json", tiny))
    assert (error["type"], error["exit_status"], error["job_id"]) == ("InputError", 3, job_id)
    assert "missing.json" in error["message"]
    assert error["problems"] == []


def test_an_output_that_cannot_be_written(command: Command, tiny: Path) -> None:
    (tiny.parent / "out").write_text("a file in the place of the folder")
    assert failed(command.run(tiny))["type"] == "DestinationError"


def test_a_state_folder_that_is_a_file_or_nothing(command: Command, tiny: Path, tmp_path: Path) -> None:
    file = tmp_path / "file"
    file.touch()
    error = failed(command.run("--state", file, tiny))
    assert error["message"].startswith(f"{file} cannot be locked: a file, or a link to nothing, stands in the place")
    assert failed(command.run("--state", "", tiny))["message"] == "argument --state: a path is expected (RetCode 1)"


def test_a_job_that_runs_already_is_told_apart(command: Command, tiny: Path, job_id: str) -> None:
    with lock_job(command.root, job_id, tiny):
        error = failed(command.run(tiny))
    assert (error["type"], error["exit_status"], error["code"]) == ("BusyError", 6, 2)


def test_a_plan_as_text_has_no_failure_as_json(command: Command, tiny: Path) -> None:
    assert command.run("--plan", "--index", "missing.json", tiny).stdout == ""
    assert failed(command.run("--plan=json", "--index", "missing.json", tiny))["type"] == "InputError"


def test_a_quiet_run_prints_no_result_unless_it_is_asked_for(command: Command, tiny: Path, job_id: str) -> None:
    done = command.run("--quiet", tiny)
    assert (done.returncode, done.stdout, done.stderr) == (0, "", "")
    assert command.run("--quiet", "--index", "missing.json", tiny).stdout == ""
    assert json.loads(command.run("--quiet", "--json", tiny).stdout)["job_id"] == job_id


def test_every_line_has_the_job_once_it_is_known(command: Command, tiny: Path, job_id: str) -> None:
    lines = command.run("-v", tiny).stderr.splitlines()
    named = [bool(re.match(rf"\d{{4}}-\d\d-\d\d \d\d:\d\d:\d\d {job_id} ", line)) for line in lines]
    assert named.count(True) > 3
    assert named == sorted(named)


def test_progress_for_programs(command: Command, tiny: Path, job_id: str) -> None:
    done = command.run("--quiet", "--progress=json", tiny)
    told = [json.loads(line)["progress"] for line in done.stderr.splitlines()]
    assert {values["job_id"] for values in told} == {job_id}
    stages = [values["stage"] for values in told]
    assert list(dict.fromkeys(stages)) == ["reading", "composing", "finishing", "publishing"]
    composing = told[stages.index("composing")]
    assert composing == {
        "job_id": job_id,
        "stage": "composing",
        "done": 0.0,
        "total": 1.5,
        "unit": "s",
        "percent": 0.0,
        "left_s": None,
    }


def test_the_state_goes_where_it_is_asked_to_go(command: Command, tiny: Path, tmp_path: Path, job_id: str) -> None:
    state = tmp_path / "state"
    assert command.run("--state", state, tiny).returncode == 0
    assert (state / "logs" / f"{job_id}.log").is_file()
    assert {path.name for path in state.iterdir()} <= set(STATE_FOLDERS)
    assert not list(command.root.glob(f"*/{job_id}*"))
    with lock_job(state, job_id, tiny):
        assert failed(command.run("--state", state, tiny))["type"] == "BusyError"
        assert command.run(tiny).returncode == 0


def test_a_state_folder_that_cannot_be_made(command: Command, tiny: Path, tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    error = failed(command.run("--state", tmp_path / "file" / "state", tiny))
    assert (error["type"], error["exit_status"]) == ("DestinationError", 5)


@pytest.fixture
def silent() -> Iterator[Receiver]:
    with receiving(lambda _: SILENCE) as receiver:
        yield receiver


def test_no_wait_leaves_callbacks_to_resend(
    command: Command, tiny: Path, tmp_path: Path, silent: Receiver, job_id: str
) -> None:
    change(tiny, "Data.NotifyConfig", [{"Status": "open", "ServiceType": "job.mixer", "NotifyUrl": silent.url}])
    state = tmp_path / "state"
    done = command.run("--state", state, "--no-wait", tiny)
    result = json.loads(done.stdout)
    assert result["callbacks"]["left"] > 0
    assert result["warnings"] == []
    silent.answer = lambda _: TAKEN
    silent.closed.set()
    sent = json.loads(command.run("--state", state, "--resend", "--all").stdout)
    assert sent == {
        "jobs": [{"job_id": job_id, "sent": result["callbacks"]["left"], "left": 0}],
        "sent": result["callbacks"]["left"],
        "left": 0,
    }


def test_threads_and_places_change_no_byte(command: Command, tiny: Path, tmp_path: Path) -> None:
    made = []
    for options in ([], ["--workers", "1", "--decode-threads", "3", "--places", str(tmp_path / "places")]):
        result = json.loads(command.run("--fresh", *options, tiny).stdout)
        made.append(Path(result["output"]).read_bytes())
    assert made[0] == made[1]
    assert any((tmp_path / "places").glob("place-*"))


def test_a_job_ends_with_its_parent(command: Command, tmp_path: Path, job_id: str) -> None:
    """The parent is killed; nobody tells the job."""
    long_room = LONG.write(tmp_path / "room", job_id, record_once)
    with subprocess.Popen(["/bin/sleep", "60"]) as parent:
        job = command.start("--progress=json", "--parent", str(parent.pid), long_room)
        assert job.stderr
        while "composing" not in job.stderr.readline():
            assert job.poll() is None
        parent.send_signal(signal.SIGKILL)
        parent.wait()
        since_s = time.monotonic()
        said, _ = job.communicate(timeout=10)
        assert time.monotonic() - since_s < 3
    error = json.loads(said)["error"]
    assert (job.returncode, error["type"]) == (130, "Interrupted")
    assert error["message"] == "stopped: the process that --parent names has ended"
