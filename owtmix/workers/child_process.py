"""A child process of the pool: how it is started, what was sent to it, and why it ended."""

from __future__ import annotations

import json
import math
import resource
import signal
from dataclasses import dataclass, field
from typing import Any, ClassVar, Final

from owtmix.workers.base import Death, DeathKind, Limits, Long, Task, TaskReporter
from owtmix.workers.file_access import FileAccess
from owtmix.workers.process_state import count_oom_kills, held_bytes, is_held_up
from owtmix.workers.protocol import ReplyParser, parse_greeting
from owtmix.workers.standstill import TIMES_SILENCE
from owtmix.workers.worker_process import STARTING_S, ForkServer, WorkerProcess

EXIT_S: Final = 1.0
"""Time for a child that has closed its pipe to exit."""
_CPU_TOLERANCE_S: Final = 0.5
"""The system counts a process's time in two ways, which differ a little."""
_CRASHES: Final = frozenset(
    {
        *(signal.SIGSEGV, signal.SIGBUS, signal.SIGABRT, signal.SIGFPE, signal.SIGILL),
        *(signal.SIGTRAP, getattr(signal, "SIGSYS", signal.SIGTRAP)),
    }
)
"""What code gets for its own mistakes. All other signals are sent by people, programs and limits of the machine."""


class Greeting:
    """A task for a child that is only to say how it is confined."""

    result: ClassVar[Any] = type(None)
    name = "starting a worker"

    def run(self, reporter: TaskReporter) -> None:
        pass


@dataclass(slots=True, eq=False)
class Child:
    """A child process. ``unsent`` is what its pipe has not taken yet of what was sent to it.

    Until it has said how it is ``confined``, what it sends is its ``greeting``. ``silent_s`` counts the seconds without
    a report, from below 0, so that a new child has time to start. ``warnings`` and ``started_s`` belong to the current
    task. It ``is_used`` once it had a task that may have read something.
    """

    process: WorkerProcess
    number: int
    access: FileAccess
    unsent: memoryview
    confined: bool = False
    greeting: bytes = b""
    task: Task | None = None
    is_used: bool = False
    warnings: list[str] = field(default_factory=list)
    started_s: float = 0.0
    silent_s: float = -STARTING_S
    parser: ReplyParser = field(default_factory=ReplyParser)

    def greet(self, data: bytes) -> tuple[tuple[str, ...] | None, bytes]:
        """Take in what it says at first: the layers that confine it once it has named them, and what it said then.

        Raises:
            ProtocolError: it says something else.
        """
        line, end, rest = (self.greeting + data).partition(b"\n")
        if not end:
            self.greeting = line
            return None, b""
        self.confined, self.greeting = True, b""
        return parse_greeting(line), rest

    def exceeded(self, limits: Limits, grace_s: float, standstill_s: float = 0.0) -> Death | None:
        """The death that it deserves for exceeding ``limits``; it may be silent for ``grace_s`` longer.

        ``standstill_s`` is how long it and all others have got nowhere.
        """
        if self.task and self.silent_s > limits.silence_s + grace_s:
            words = f"no progress for {limits.silence_s + grace_s:.0f} s"
            if is_held_up(self.process.pid):
                return Death(DeathKind.STALLED, f"waits for a disk, or was stopped: {words}")
            return Death(DeathKind.HUNG, f"hangs: {words}")
        over_s = standstill_s - TIMES_SILENCE * max(1.0, limits.silence_s) - grace_s
        if self.task and over_s > 0 and not (isinstance(self.task, Long) and over_s <= self.task.longest_s):
            return Death(DeathKind.HUNG, f"hangs: it reports, but is not done after {standstill_s:.0f} s")
        if held_bytes(self.process.pid) > limits.memory_bytes:
            return Death(DeathKind.MEMORY, f"takes more than {limits.memory_bytes >> 20} MiB of memory")
        return None


def start_child(number: int, server: ForkServer, access: FileAccess, limits: Limits) -> Child:
    """Start a child. It confines itself to ``access`` and ``limits``, which are the first that is sent to it.

    Raises:
        ShortageError: the machine is short of processes, memory or open files.
        RenderError: it cannot be started for another reason.
    """
    terms = {"access": access.to_json(), "file_bytes": limits.file_bytes, "required": sorted(limits.required)}
    return Child(server.make_worker(), number, access, memoryview(json.dumps(terms).encode() + b"\n"))


def cause_of_exit(process: WorkerProcess, oom_kills: int) -> Death:
    """Why a child ended; ``oom_kills`` were counted when the pool was made."""
    try:
        found = process.wait(EXIT_S)
    except TimeoutError:
        return Death(DeathKind.PROTOCOL, "closes its pipe and does not exit")
    if found is None and count_oom_kills() > oom_kills:
        return Death(DeathKind.KILLED, "is killed by the system, since memory is short")
    if found is None:
        return Death(DeathKind.KILLED, "is ended from outside, with the process that starts workers")
    if found.status >= 0:
        return Death(DeathKind.EXITED, f"ends with status {found.status}")
    return death_by(-found.status, found.cpu_s, oom_killed=count_oom_kills() > oom_kills)


def death_by(number: int, cpu_s: float, *, oom_killed: bool) -> Death:
    """The death of a child that signal ``number`` ended, after ``cpu_s`` seconds of CPU time."""
    if number == signal.SIGXCPU or (number == signal.SIGKILL and cpu_s > _most_cpu_s() - _CPU_TOLERANCE_S):
        return Death(DeathKind.KILLED, "has used up its CPU time, which is limited (ulimit -t)")
    if number == signal.SIGXFSZ:
        return Death(DeathKind.KILLED, "writes a longer file than the limit allows (ulimit -f)")
    if number == signal.SIGKILL:
        by = "by the system, since memory is short" if oom_killed else "from outside (SIGKILL)"
        return Death(DeathKind.KILLED, f"is killed {by}")
    name = signal.Signals(number).name if number in set(signal.Signals) else f"signal {number}"
    if number in _CRASHES:
        return Death(DeathKind.CRASHED, f"crashes ({name})")
    return Death(DeathKind.KILLED, f"is ended from outside ({name})")


def _most_cpu_s() -> float:
    """The CPU time after which the system kills a process."""
    most = resource.getrlimit(resource.RLIMIT_CPU)[1]
    return math.inf if most == resource.RLIM_INFINITY else most
