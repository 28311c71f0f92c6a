"""A running job and signals, terminals and the background of a shell."""

from __future__ import annotations

import fcntl
import json
import os
import re
import signal
import socket
import struct
import subprocess
import termios
import time
from pathlib import Path
from typing import IO, Any, Final

import pytest

from owtmix.cli.signals import DEADLINE_S
from owtmix.jobfile.bounds import MAX_INDEX_BYTES
from tests.cli.silent import SilentStore
from tests.cli.terminal import run_in_terminal
from tests.support.command import CLEAN_ENVIRONMENT, LONG, Command, change, record_once
from tests.support.processes import descendants

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
    assert json.loads(out)["error"]["message"] == f"stopped by {number.name}"
    assert f"stopped by {number.name}" in err
    assert {path for path in long.parent.rglob("*") if path.is_file()} == before
    assert not (work / "tracks").exists(), "only finished chunks may be kept for the next run"


PIPE_BYTES: Final = 1 << 16
SECRETS: Final = {"PublicKey": "key", "SecretKey": "secret-of-the-test"}


def _stop(process: subprocess.Popen[str], number: signal.Signals = signal.SIGTERM) -> None:
    """Send the signal; the process and its children end in time."""
    children = set(descendants(process.pid))
    since_s = time.monotonic()
    process.send_signal(number)
    process.wait(10)
    assert time.monotonic() - since_s < DEADLINE_S
    assert process.returncode == 130
    assert children
    assert not [pid for pid in children if Path(f"/proc/{pid}").exists()]


def _index_of(job_file: Path) -> Path:
    return next(path for path in job_file.parent.glob("*.json") if path != job_file)


def _store(address: str) -> dict[str, Any]:
    return {"Vendor": "s3", "Bucket": "room", "Endpoint": address} | SECRETS


@pytest.mark.slow
def test_a_document_as_large_as_is_accepted_does_not_hold_up_a_signal(command: Command, tiny: Path) -> None:
    escaped = rb'"\n"'  # texts without escapes are passed over in one go
    _index_of(tiny).write_bytes(escaped * (MAX_INDEX_BYTES // len(escaped)))
    with command.start("--plan", tiny) as process:
        while _cpu_s(process) < 3:
            assert process.poll() is None, process.communicate()
            time.sleep(0.05)
        _stop(process)


@pytest.mark.slow
@pytest.mark.parametrize("sends", [False, True], ids=["the index", "recordings"])
def test_a_store_that_does_not_answer_does_not_hold_up_a_signal(command: Command, tiny: Path, *, sends: bool) -> None:
    index = _index_of(tiny)
    objects = {index.name: index.read_bytes()}
    objects |= {str(path.relative_to(tiny.parent)): path.read_bytes() for path in tiny.parent.rglob("*_1.*")}
    store = SilentStore(objects, frozenset({index.name} if sends else ()))
    change(tiny, "Data.InputConfig", {"Index": index.name, "StorageConfig": _store(store.address)})
    with store.serving(), command.start(tiny) as process:
        assert store.asked.wait(30), process.communicate()
        _stop(process)


@pytest.mark.slow
def test_a_store_that_takes_no_output_does_not_hold_up_a_signal(command: Command, tiny: Path) -> None:
    store = SilentStore({}, frozenset())
    change(tiny, "Data.InputConfig", {"StorageConfig": {"Vendor": "local", "Bucket": "."}})
    change(tiny, "Data.RecordingConfig.StorageConfig", _store(store.address))
    with store.serving(), command.start(tiny) as process:
        assert store.asked.wait(60), process.communicate()
        _stop(process)
    assert command.run("--set=Data.RecordingConfig.StorageConfig.Vendor=local", tiny).returncode == 0


@pytest.mark.slow
def test_a_receiver_that_does_not_answer_does_not_hold_up_a_signal(command: Command, tiny: Path) -> None:
    with socket.create_server(("127.0.0.1", 0)) as receiver:
        url = f"http://127.0.0.1:{receiver.getsockname()[1]}/"
        change(tiny, "Data.NotifyConfig", [{"Status": "open", "ServiceType": "job.mixer", "NotifyUrl": url}])
        with command.start(tiny) as process:
            assert process.stderr
            assert any("waiting up to" in line for line in process.stderr)
            _stop(process)


@pytest.mark.slow
@pytest.mark.parametrize("stream", ["stdout", "stderr"])
def test_output_that_nobody_reads_does_not_hold_up_a_signal(command: Command, tiny: Path, stream: str) -> None:
    """The warnings about so many entries are in the plan and in the log; a pipe takes 64 KiB."""
    index = json.loads(_index_of(tiny).read_text())
    index["Files"] += [{"StreamId": "", "Name": f"{number}.mp4", "StartTime": 0} for number in range(2000)]
    _index_of(tiny).write_text(json.dumps(index))
    other = "stderr" if stream == "stdout" else "stdout"
    with command.start("--plan=json", tiny, **{other: subprocess.DEVNULL}) as process:
        pipe = getattr(process, stream)
        while _waiting_bytes(pipe) < PIPE_BYTES - 4096:
            assert process.poll() is None
            time.sleep(0.05)
        _stop(process)


def _waiting_bytes(pipe: IO[str]) -> int:
    count: int = struct.unpack("i", fcntl.ioctl(pipe, termios.FIONREAD, b"\0" * 4))[0]
    return count


def _cpu_s(process: subprocess.Popen[str]) -> float:
    """The CPU time that a process has taken, in seconds."""
    fields = Path(f"/proc/{process.pid}/stat").read_text().rpartition(")")[2].split()
    return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")


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


def test_who_starts_it_may_ignore_the_ends_of_children(command: Command, tiny: Path) -> None:
    def ignore() -> None:
        signal.signal(signal.SIGCHLD, signal.SIG_IGN)

    with command.start("--quiet", tiny, preexec_fn=ignore) as process:
        _, said = process.communicate()
    assert (process.returncode, said) == (0, "")
