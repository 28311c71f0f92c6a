"""Why a child ended: what a recording can cause counts against it, what the machine or a person does never."""

from __future__ import annotations

import resource
import signal

import pytest

from owtmix.workers.alone import shortage_of
from owtmix.workers.base import Death, DeathKind, Outcome
from owtmix.workers.child_process import death_by
from tests.workers.tasks import Echo

CAUSED = {
    *(signal.SIGSEGV, signal.SIGBUS, signal.SIGABRT, signal.SIGFPE),
    *(signal.SIGILL, signal.SIGTRAP, signal.SIGSYS),
}
"""What code gets for its own mistakes."""


@pytest.mark.parametrize("number", range(1, signal.NSIG))
def test_only_signals_for_mistakes_of_code_count_against_a_recording(number: int) -> None:
    death = death_by(number, 0.0, oom_killed=False)
    assert death.is_shortage == (number not in CAUSED)
    assert bool(shortage_of(Outcome(Echo(), death=death))) == (number not in CAUSED)


@pytest.mark.parametrize(
    ("number", "cpu_s", "oom_killed", "words"),
    [
        (signal.SIGKILL, 1, False, "is killed from outside (SIGKILL)"),
        (signal.SIGKILL, 1, True, "is killed by the system, since memory is short"),
        (signal.SIGKILL, 2.9, False, "has used up its CPU time, which is limited (ulimit -t)"),
        (signal.SIGXCPU, 1, False, "has used up its CPU time, which is limited (ulimit -t)"),
        (signal.SIGXFSZ, 1, False, "writes a longer file than the limit allows (ulimit -f)"),
        (signal.SIGTERM, 1, False, "is ended from outside (SIGTERM)"),
        (signal.SIGRTMIN + 3, 1, False, f"is ended from outside (signal {signal.SIGRTMIN + 3})"),
    ],
)
def test_the_reason_is_told(
    monkeypatch: pytest.MonkeyPatch, number: int, cpu_s: float, *, oom_killed: bool, words: str
) -> None:
    limits = {resource.RLIMIT_CPU: (3, 3)}
    monkeypatch.setattr(resource, "getrlimit", limits.__getitem__)
    assert death_by(number, cpu_s, oom_killed=oom_killed) == Death(DeathKind.KILLED, words)


def test_a_crash_is_named() -> None:
    assert death_by(signal.SIGSEGV, 0.0, oom_killed=False) == Death(DeathKind.CRASHED, "crashes (SIGSEGV)")
