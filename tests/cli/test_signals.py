"""SIGINT, SIGTERM and SIGHUP stop a process in time, even if the main thread is blocked."""

from __future__ import annotations

import errno
import os
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

import pytest

from owtmix.base.errors import Interrupted
from owtmix.cli import guard
from owtmix.cli.signals import DEADLINE_S

pytestmark = pytest.mark.serial

PROGRAM = """
import ctypes, sys, threading, time
from pathlib import Path
from owtmix.base.errors import Interrupted
from owtmix.base.cleanup import TemporaryPaths
from owtmix.cli.signals import watch_signals

scratch = TemporaryPaths()
guard = watch_signals(scratch)
half = scratch.add(Path(sys.argv[1]))
half.write_text("half")
threading.Timer(0.2, print, ["ready"], {{"flush": True}}).start()  # when the main thread is waiting
try:
    if len(sys.argv) > 2:
        guard.follow(int(sys.argv[2]))
    {waits}
except Interrupted as error:
    print(error, flush=True)
    {then}
    scratch.remove_all()
    sys.exit(error.exit_status)
"""
FAILS = """
import os
def fail(pid):
    raise OSError({number}, "no descriptor")
os.pidfd_open = fail
"""
WAIT = "time.sleep(20)"
HELD = "print('ready', flush=True); sum(range(10**12))"
"""Simulates a long call that holds the interpreter: no thread runs, and no Python signal handler."""
DEADLOCK = (
    "lock = ctypes.create_string_buffer(64); libc = ctypes.CDLL(None);[libc.pthread_mutex_lock(lock) for _ in range(2)]"
)
"""Simulates a library call that blocks the main thread: no Python signal handler runs."""

SIGNALS = [signal.SIGINT, signal.SIGTERM, signal.SIGHUP]


@contextmanager
def _program(half: Path, waits: str = WAIT, then: str = "pass", *more: str) -> Iterator[subprocess.Popen[str]]:
    command = [sys.executable, "-c", PROGRAM.format(waits=waits, then=then), str(half), *more]
    with subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True) as process:
        assert process.stdout
        assert process.stdout.readline() == "ready\n"
        assert half.exists()
        try:
            yield process
        finally:
            process.kill()


def _stop(process: subprocess.Popen[str], number: signal.Signals) -> float:
    """Send the signal and wait for the end of the process; returns the seconds that took."""
    since_s = time.monotonic()
    process.send_signal(number)
    process.wait(10)
    return time.monotonic() - since_s


def _guard_of(process: subprocess.Popen[str]) -> int:
    (guard,) = Path(f"/proc/{process.pid}/task/{process.pid}/children").read_text().split()
    return int(guard)


def _is_gone(pid: int) -> bool:
    """Whether a process ends within a second."""
    until_s = time.monotonic() + 1
    while time.monotonic() < until_s:
        with suppress(OSError):
            if Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] != "Z":
                time.sleep(0.01)
                continue
        return True
    return False


@pytest.mark.parametrize("number", SIGNALS, ids=lambda number: number.name)
def test_the_first_signal_interrupts_the_run(tmp_path: Path, number: signal.Signals) -> None:
    with _program(tmp_path / "half.mp4") as process:
        assert _stop(process, number) < DEADLINE_S
        assert process.returncode == 130
        assert process.stdout
        assert process.stdout.read() == f"stopped by {number.name}\n"
    assert not (tmp_path / "half.mp4").exists()


@pytest.mark.parametrize(("waits", "then"), [(DEADLOCK, "pass"), (WAIT, WAIT)], ids=["in a library", "cleaning up"])
def test_a_process_that_hangs_ends_in_time_without_half_outputs(tmp_path: Path, waits: str, then: str) -> None:
    with _program(tmp_path / "half.mp4", waits, then) as process:
        assert _stop(process, signal.SIGTERM) < DEADLINE_S
        assert process.returncode == 130
    assert not (tmp_path / "half.mp4").exists()


def test_a_process_in_which_no_thread_runs_is_killed_in_time(tmp_path: Path) -> None:
    with _program(tmp_path / "half.mp4", HELD) as process:
        guard = _guard_of(process)
        time.sleep(0.3)  # the call has begun
        assert _stop(process, signal.SIGTERM) < DEADLINE_S
        assert process.returncode == -signal.SIGKILL
    assert _is_gone(guard)


def test_without_its_guard_a_process_ends_in_time_too(tmp_path: Path) -> None:
    with _program(tmp_path / "half.mp4", DEADLOCK) as process:
        os.kill(_guard_of(process), signal.SIGKILL)
        assert _stop(process, signal.SIGTERM) < DEADLINE_S
        assert process.returncode == 130
    assert not (tmp_path / "half.mp4").exists()


def test_the_guard_ends_with_a_process_that_is_killed_and_holds_no_output_open(tmp_path: Path) -> None:
    with _program(tmp_path / "half.mp4") as process:
        guard = _guard_of(process)
        assert Path(f"/proc/{guard}/environ").stat().st_uid == 0, "nobody else may read what it copied"
        os.kill(guard, signal.SIGSTOP)
        process.kill()
        assert process.communicate(timeout=10) == ("", "")
    assert _is_gone(guard)


def test_signals_at_once_are_one_request(tmp_path: Path) -> None:
    """``timeout`` sends one to the process and one to its group."""
    with _program(tmp_path / "half.mp4", then="time.sleep(0.5); print('clean', flush=True)") as process:
        for number in (signal.SIGTERM, signal.SIGTERM, signal.SIGINT):
            process.send_signal(number)
        assert process.stdout
        assert process.wait(10) == 130
        assert process.stdout.read().endswith("clean\n")


def test_another_signal_ends_a_slow_cleanup_at_once(tmp_path: Path) -> None:
    with _program(tmp_path / "half.mp4", then=WAIT) as process:
        process.send_signal(signal.SIGINT)
        time.sleep(0.6)
        assert _stop(process, signal.SIGINT) < 0.6, "without it, the watchdog ends it 1.1 s later"
        assert process.returncode == 130
    assert not (tmp_path / "half.mp4").exists()


def test_signals_that_were_ignored_stay_ignored(tmp_path: Path) -> None:
    """As under ``nohup``, and with ``&`` in a script."""
    before = {number: signal.signal(number, signal.SIG_IGN) for number in (signal.SIGHUP, signal.SIGINT)}
    try:
        with _program(tmp_path / "half.mp4") as process:
            process.send_signal(signal.SIGHUP)
            process.send_signal(signal.SIGINT)
            with pytest.raises(subprocess.TimeoutExpired):
                process.wait(0.3)
            assert _stop(process, signal.SIGTERM) < DEADLINE_S
            assert process.returncode == 130
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)


def test_signals_that_were_blocked_are_not(tmp_path: Path) -> None:
    """A program may start this one with them blocked."""
    before = signal.pthread_sigmask(signal.SIG_BLOCK, SIGNALS)
    try:
        started = _program(tmp_path / "half")
        with started as process:
            signal.pthread_sigmask(signal.SIG_SETMASK, before)
            assert _stop(process, signal.SIGTERM) < DEADLINE_S
    finally:
        signal.pthread_sigmask(signal.SIG_SETMASK, before)


@pytest.mark.parametrize("waits", [WAIT, DEADLOCK, HELD], ids=["waiting", "blocked", "held"])
def test_a_process_ends_with_the_one_that_it_follows(tmp_path: Path, waits: str) -> None:
    with (
        subprocess.Popen(["/bin/sleep", "60"]) as followed,
        _program(tmp_path / "half", waits, "pass", str(followed.pid)) as process,
    ):
        time.sleep(0.5)
        assert process.poll() is None
        since_s = time.monotonic()
        followed.kill()
        followed.wait()
        process.wait(10)
        assert time.monotonic() - since_s < DEADLINE_S + 0.5
        assert process.returncode == (-signal.SIGKILL if waits == HELD else Interrupted.exit_status)


def test_a_process_ends_at_once_when_the_one_that_it_follows_has_ended(tmp_path: Path) -> None:
    gone = subprocess.Popen(["/bin/true"])
    gone.wait()
    command = [sys.executable, "-c", PROGRAM.format(waits=WAIT, then="pass"), str(tmp_path / "half"), str(gone.pid)]
    done = subprocess.run(command, capture_output=True, text=True, timeout=10, check=False)
    assert done.returncode == Interrupted.exit_status
    assert "stopped: the process that --parent names has ended" in done.stdout


def test_a_thread_is_no_process_to_follow() -> None:
    over = threading.Event()
    thread = threading.Thread(target=over.wait)
    thread.start()
    try:
        assert thread.native_id
        assert guard.has_ended(thread.native_id)
        assert not guard.has_ended(os.getpid())
    finally:
        over.set()
        thread.join()


@pytest.mark.parametrize("number", [errno.EMFILE, errno.ENOMEM, errno.ENOSYS, errno.EPERM])
def test_a_process_without_a_descriptor_is_looked_for(tmp_path: Path, number: int) -> None:
    program = FAILS.format(number=number) + PROGRAM.format(waits=WAIT, then="pass")
    with subprocess.Popen(["/bin/sleep", "60"]) as followed:
        command = [sys.executable, "-c", program, str(tmp_path / "half"), str(followed.pid)]
        with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as process:
            assert process.stdout
            assert process.stdout.readline() == "ready\n"
            time.sleep(1)
            assert process.poll() is None
            followed.kill()
            followed.wait()
            assert process.wait(10) == Interrupted.exit_status


@pytest.mark.parametrize("number", SIGNALS)
def test_a_signal_after_the_outcome_is_certain_changes_nothing(tmp_path: Path, number: signal.Signals) -> None:
    waits = "guard.settle(); time.sleep(1); print('done', flush=True)"
    with _program(tmp_path / "half", waits) as process:
        process.send_signal(number)
        out, err = process.communicate(timeout=10)
    assert (process.returncode, out, err) == (0, "done\n", "")


def test_a_process_that_is_stuck_after_its_outcome_ends_in_time(tmp_path: Path) -> None:
    with _program(tmp_path / "half", f"guard.settle(); {WAIT}") as process:
        assert _stop(process, signal.SIGTERM) < DEADLINE_S + 1
        assert process.returncode == Interrupted.exit_status
