"""The executor of this machine: child processes, supervised by the caller's thread.

A child that dies, hangs or takes too much memory ends its task, not the job. The parent never blocks on a child.
"""

from __future__ import annotations

import os
import pickle
import selectors
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Generator, Iterable
from dataclasses import dataclass, field
from pathlib import Path
from types import TracebackType
from typing import Any, Final, Self

from owtmix.base.errors import RenderError
from owtmix.workers.base import (
    Death,
    DeathKind,
    Limits,
    Outcome,
    Task,
    TaskQueue,
    TaskT,
    ignore_progress,
    watch_nothing,
)
from owtmix.workers.protocol import ProtocolError, ReplyParser
from owtmix.workers.queues import FifoQueue
from owtmix.workers.sandbox import child_environment

WATCH_EVERY_S: Final = 0.25
READ_BYTES: Final = 1 << 16
STARTING_S: Final = 60.0
"""Time for a new child to start, on a slow machine."""
EXIT_S: Final = 1.0
"""Time for a child that has closed its pipe to exit."""


@dataclass(slots=True, eq=False)
class _Child:
    """A child process. ``unsent`` is the part of its task that its pipe has not taken yet.

    ``silent_s`` counts the seconds without a report, from below 0, so that a new child has time to start. ``warnings``
    and ``started_s`` belong to the current task.
    """

    process: subprocess.Popen[bytes]
    number: int
    task: Task | None = None
    warnings: list[str] = field(default_factory=list)
    started_s: float = 0.0
    unsent: memoryview = field(default_factory=lambda: memoryview(b""))
    silent_s: float = field(default_factory=lambda: -STARTING_S)
    parser: ReplyParser = field(default_factory=ReplyParser)


class WorkerPool:
    """Up to ``size`` child processes, started when there are tasks for them and kept. Leaving the context kills them.

    ``on_warning`` receives the warnings of tasks. ``python`` runs the children. ``clock`` gives the time in seconds.
    """

    def __init__(
        self,
        size: int,
        limits: Limits,
        on_warning: Callable[[str], None],
        python: str = sys.executable,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._size = size
        self._limits = limits
        self._on_warning = on_warning
        self._python = python
        self._clock = clock
        self._children: list[_Child] = []
        self._started = 0
        self._selector = selectors.DefaultSelector()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        for child in self._children:
            child.process.kill()
        for child in list(self._children):
            self._remove(child)
        self._selector.close()

    def run(
        self,
        tasks: Iterable[TaskT] | TaskQueue[TaskT],
        on_progress: Callable[[TaskT, float], None] = ignore_progress,
        *,
        alone: bool = False,
        grace_s: float = 0.0,
        watch: Callable[[], None] = watch_nothing,
    ) -> Generator[Outcome[TaskT], None, None]:
        """As ``Executor.run``; ``watch`` is called at least every ``WATCH_EVERY_S``."""
        queue = FifoQueue(tasks) if isinstance(tasks, Iterable) else tasks
        watched = self._clock()
        while True:
            for child in self._idle_children(len(queue), alone=alone):
                if task := queue.take(child.number):
                    self._assign(child, task)
            if not (len(queue) or any(child.task for child in self._children)):
                return
            for key, _ in self._selector.select(WATCH_EVERY_S):
                child = key.data
                if key.fileobj is child.process.stdin:
                    self._send(child)
                elif child in self._children:
                    yield from self._receive(child, on_progress)
            watch()
            # While this process is stopped (Ctrl-Z) no report arrives; that time must not count as silence.
            watched, passed_s = (now := self._clock()), min(now - watched, 2 * WATCH_EVERY_S)
            for child in list(self._children):
                child.silent_s += passed_s if child.task else 0
                if death := self._exceeded_limit(child, grace_s):
                    yield from self._end(child, death)

    def _idle_children(self, wanted: int, *, alone: bool) -> list[_Child]:
        """Up to ``wanted`` children without a task; starts new ones while the pool may grow."""
        idle = [child for child in self._children if child.task is None]
        if alone and wanted:
            for child in idle:
                self._remove(child)
            idle = []
        while len(idle) < wanted and len(self._children) < self._size:
            idle.append(self._start())
        return idle[:wanted]

    def _start(self) -> _Child:
        try:
            # -P keeps the working directory off the module path: a folder of recordings is no place for code.
            process = subprocess.Popen(  # noqa: S603 - the arguments are ours
                [self._python, "-P", "-m", "owtmix.workers.child", str(os.getpid())],
                bufsize=0,
                stdin=subprocess.PIPE,
                stdout=subprocess.PIPE,
                stderr=subprocess.DEVNULL,
                env=child_environment(),
            )
        except OSError as error:
            raise RenderError(f"no process can be started: {error.strerror}") from error
        assert process.stdin
        assert process.stdout
        os.set_blocking(process.stdin.fileno(), False)
        self._started += 1
        child = _Child(process, self._started)
        self._children.append(child)
        self._selector.register(process.stdout, selectors.EVENT_READ, child)
        return child

    def _assign(self, child: _Child, task: Task) -> None:
        assert child.process.stdin
        child.task, child.parser = task, ReplyParser()
        child.warnings, child.started_s = [], self._clock()
        child.unsent = memoryview(pickle.dumps(task))
        self._selector.register(child.process.stdin, selectors.EVENT_WRITE, child)

    def _send(self, child: _Child) -> None:
        """Write as much of the task as the pipe takes."""
        if not child.unsent:  # the child was removed in this turn
            return
        assert child.process.stdin
        try:
            written = os.write(child.process.stdin.fileno(), child.unsent)
        except BlockingIOError:
            return
        except BrokenPipeError:  # it died; the end of its other pipe reports that
            written = len(child.unsent)
        child.unsent = child.unsent[written:]
        if not child.unsent:
            self._selector.unregister(child.process.stdin)

    def _receive(self, child: _Child, on_progress: Callable[[Any, float], None]) -> Generator[Outcome[Any], None, None]:
        assert child.process.stdout
        data = os.read(child.process.stdout.fileno(), READ_BYTES)
        if not data:
            yield from self._end(child, _cause_of_exit(child.process))
            return
        child.silent_s = 0.0
        try:
            if child.task is None:
                raise ProtocolError("sends lines without a task")  # noqa: TRY301 - handled as any other violation
            parser = child.parser
            before_s = parser.done_s
            warnings, reply = parser.feed(data, child.task)
        except ProtocolError as violation:
            yield from self._end(child, Death(DeathKind.PROTOCOL, str(violation)))
            return
        child.warnings += warnings
        for warning in warnings:
            self._on_warning(warning)
        if parser.done_s != before_s:
            on_progress(child.task, parser.done_s)
        if reply:
            outcome = Outcome(
                child.task,
                reply.value,
                reply.error,
                done_s=parser.done_s,
                warnings=tuple(child.warnings),
                took_s=self._clock() - child.started_s,
            )
            child.task = None
            # First in the list, it is asked first for the next task: its recordings are still open.
            self._children.remove(child)
            self._children.insert(0, child)
            yield outcome

    def _exceeded_limit(self, child: _Child, grace_s: float) -> Death | None:
        if child.task and child.silent_s > self._limits.silence_s + grace_s:
            words = f"hangs: no progress for {self._limits.silence_s + grace_s:.0f} s"
            return Death(DeathKind.HUNG, words)
        if _resident_bytes(child.process.pid) > self._limits.memory_bytes:
            return Death(DeathKind.MEMORY, f"takes more than {self._limits.memory_bytes >> 20} MiB of memory")
        return None

    def _end(self, child: _Child, death: Death) -> Generator[Outcome[Any], None, None]:
        self._remove(child)
        if child.task:
            yield Outcome(child.task, death=death, done_s=child.parser.done_s)

    def _remove(self, child: _Child) -> None:
        """Kill the child and forget it."""
        process = child.process
        assert process.stdin
        assert process.stdout
        self._children.remove(child)
        self._selector.unregister(process.stdout)
        if child.unsent:
            self._selector.unregister(process.stdin)
            child.unsent = memoryview(b"")
        process.kill()
        process.stdin.close()
        process.stdout.close()
        process.wait()


def _cause_of_exit(process: subprocess.Popen[bytes]) -> Death:
    try:
        code = process.wait(EXIT_S)
    except subprocess.TimeoutExpired:
        return Death(DeathKind.PROTOCOL, "closes its pipe and does not exit")
    if code >= 0:
        return Death(DeathKind.EXITED, f"ends with status {code}")
    kind = DeathKind.KILLED if -code == signal.SIGKILL else DeathKind.CRASHED
    try:
        return Death(kind, f"crashes ({signal.Signals(-code).name})")
    except ValueError:  # most real-time signals have no name
        return Death(kind, f"crashes (signal {-code})")


def _resident_bytes(pid: int) -> int:
    """Resident memory of a process in bytes; 0 where the system does not tell."""
    try:
        return int(Path(f"/proc/{pid}/statm").read_text(encoding="ascii").split()[1]) * os.sysconf("SC_PAGE_SIZE")
    except (OSError, IndexError, ValueError):
        return 0
