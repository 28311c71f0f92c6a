"""The executor of this machine: child processes, supervised by the caller's thread.

A child that dies, hangs or takes too much memory ends its task, not the job. The parent never blocks on a child.
"""

from __future__ import annotations

import errno
import json
import logging
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
from typing import Any, ClassVar, Final, Self

from owtmix.base.errors import ConfinementError, RenderError, ShortageError
from owtmix.base.shortage import machine_error, no_process
from owtmix.workers.alone import do_alone
from owtmix.workers.base import (
    Death,
    DeathKind,
    Limits,
    Outcome,
    Task,
    TaskQueue,
    TaskReporter,
    TaskT,
    ignore_progress,
    watch_nothing,
)
from owtmix.workers.child_environment import child_environment
from owtmix.workers.file_access import FileAccess
from owtmix.workers.process_state import count_oom_kills, resident_bytes, waits_for_disk
from owtmix.workers.protocol import ProtocolError, ReplyParser, parse_greeting
from owtmix.workers.queues import FifoQueue
from owtmix.workers.sandbox import protect_memory

WATCH_EVERY_S: Final = 0.25
READ_BYTES: Final = 1 << 16
STARTING_S: Final = 60.0
"""Time for a new child to start, on a slow machine."""
EXIT_S: Final = 1.0
"""Time for a child that has closed its pipe to exit."""

_log = logging.getLogger(__name__)


@dataclass(slots=True, eq=False)
class _Child:
    """A child process. ``unsent`` is what its pipe has not taken yet of what was sent to it.

    Until it has said how it is ``confined``, what it sends is its ``greeting``. ``silent_s`` counts the seconds without
    a report, from below 0, so that a new child has time to start. ``warnings`` and ``started_s`` belong to the current
    task.
    """

    process: subprocess.Popen[bytes]
    number: int
    access: FileAccess
    confined: bool = False
    greeting: bytes = b""
    task: Task | None = None
    warnings: list[str] = field(default_factory=list)
    started_s: float = 0.0
    unsent: memoryview = field(default_factory=lambda: memoryview(b""))
    silent_s: float = field(default_factory=lambda: -STARTING_S)
    parser: ReplyParser = field(default_factory=ReplyParser)


class _Greeting:
    """A task for a child that is only to say how it is confined."""

    result: ClassVar[Any] = type(None)
    name = "starting a worker"

    def run(self, reporter: TaskReporter) -> None:
        pass


class WorkerPool:
    """Up to ``size`` child processes, started when there are tasks for them and kept. Leaving the context kills them.

    Args:
        size: the most children at a time.
        limits: of each child.
        on_warning: receives the warnings of tasks.
        access: the files that children may use; ``allow`` adds to them.
        python: runs the children.
        clock: gives the time in seconds.
    """

    def __init__(
        self,
        size: int,
        limits: Limits,
        on_warning: Callable[[str], None],
        access: FileAccess = FileAccess(),  # noqa: B008 - it is frozen
        python: str = sys.executable,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._size = size
        self._limits = limits
        self._on_warning = on_warning
        self._access = access
        self._confinement: tuple[str, ...] | None = None
        self._python = python
        self._clock = clock
        self._children: list[_Child] = []
        self._started = 0
        self._oom_kills = count_oom_kills()
        self._selector = selectors.DefaultSelector()

    def __enter__(self) -> Self:
        protect_memory()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        for child in self._children:
            child.process.kill()
        for child in list(self._children):
            self._remove(child)
        self._selector.close()

    @property
    def confinement(self) -> tuple[str, ...]:
        """As ``Executor.confinement``: what the first child said. It is started if there was none."""
        if self._confinement is None:
            do_alone(self, _Greeting())
            assert self._confinement is not None
        return self._confinement

    def allow(self, *, read: Iterable[Path] = (), write: Iterable[Path] = (), gpu: bool | None = None) -> None:
        """As ``Executor.allow``. Children that lack a file are replaced before their next task."""
        self._access = self._access.adding(read, write, gpu)

    def run(
        self,
        tasks: Iterable[TaskT] | TaskQueue[TaskT],
        on_progress: Callable[[TaskT, float], None] = ignore_progress,
        *,
        alone: bool = False,
        most: int | None = None,
        grace_s: float = 0.0,
        watch: Callable[[], None] = watch_nothing,
    ) -> Generator[Outcome[TaskT], None, None]:
        """As ``Executor.run``; ``watch`` is called at least every ``WATCH_EVERY_S``."""
        queue = FifoQueue(tasks) if isinstance(tasks, Iterable) else tasks
        watched = self._clock()
        while True:
            for child in self._idle_children(len(queue), most or self._size, alone=alone):
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

    def _idle_children(self, wanted: int, most: int, *, alone: bool) -> list[_Child]:
        """Up to ``wanted`` children without a task; starts new ones while there are not ``most``.

        Raises:
            ShortageError: there is none, and none can be started.
        """
        idle = [child for child in self._children if child.task is None]
        if wanted:
            for child in idle:
                if alone or not child.access.suffices(self._access) or len(self._children) > most:
                    self._remove(child)
            idle = [child for child in idle if child in self._children]
        while len(idle) < wanted and len(self._children) < min(most, self._size):
            try:
                idle.append(self._start())
            except ShortageError as error:
                self._size = len(self._children)
                if not self._children:
                    raise
                _log.warning("%s; %d workers go on", error, self._size)
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
            if error.errno == errno.EAGAIN:
                raise no_process() from error
            raise machine_error(error) or RenderError(f"no process can be started: {error.strerror}") from error
        assert process.stdin
        assert process.stdout
        os.set_blocking(process.stdin.fileno(), False)
        self._started += 1
        child = _Child(process, self._started, self._access)
        self._children.append(child)
        self._selector.register(process.stdout, selectors.EVENT_READ, child)
        terms = {
            "access": self._access.to_json(),
            "file_bytes": self._limits.file_bytes,
            "required": sorted(self._limits.required),
        }
        self._queue(child, json.dumps(terms).encode() + b"\n")
        return child

    def _assign(self, child: _Child, task: Task) -> None:
        child.task, child.parser = task, ReplyParser()
        child.warnings, child.started_s = [], self._clock()
        self._queue(child, pickle.dumps(task))

    def _queue(self, child: _Child, data: bytes) -> None:
        """Send ``data`` after what is unsent, as the pipe takes it."""
        assert child.process.stdin
        if not child.unsent:
            self._selector.register(child.process.stdin, selectors.EVENT_WRITE, child)
        child.unsent = memoryview(bytes(child.unsent) + data)

    def _send(self, child: _Child) -> None:
        """Write as much as the pipe takes."""
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
            yield from self._end(child, _cause_of_exit(child.process, self._oom_kills))
            return
        child.silent_s = 0.0
        try:
            if not child.confined:
                data = self._greet(child, data)
                if not data:
                    return
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

    def _greet(self, child: _Child, data: bytes) -> bytes:
        """Take in what a new child says of its confinement; returns what it said after that.

        Raises:
            ConfinementError: required layers are missing.
            ProtocolError: it says something else.
        """
        line, end, rest = (child.greeting + data).partition(b"\n")
        if not end:
            child.greeting = line
            return b""
        held = parse_greeting(line)
        child.confined, child.greeting = True, b""
        if missing := self._limits.required.difference(held):
            raise ConfinementError(
                f"this machine does not confine workers by {', '.join(sorted(missing))}, as limits.require_confinement "
                f"in conf/owt.toml demands; it does by {', '.join(held) or 'nothing'}"
            )
        if self._confinement is None:
            self._confinement = held
            _log.info("workers are confined by %s", ", ".join(held) or "nothing: this kernel offers no layer")
        return rest

    def _exceeded_limit(self, child: _Child, grace_s: float) -> Death | None:
        if child.task and child.silent_s > self._limits.silence_s + grace_s:
            words = f"no progress for {self._limits.silence_s + grace_s:.0f} s"
            if waits_for_disk(child.process.pid):
                return Death(DeathKind.STALLED, f"waits for a disk: {words}")
            return Death(DeathKind.HUNG, f"hangs: {words}")
        if resident_bytes(child.process.pid) > self._limits.memory_bytes:
            return Death(DeathKind.MEMORY, f"takes more than {self._limits.memory_bytes >> 20} MiB of memory")
        return None

    def _end(self, child: _Child, death: Death) -> Generator[Outcome[Any], None, None]:
        self._remove(child)
        if not child.parser.begun and death.kind is not DeathKind.KILLED:
            death = Death(DeathKind.UNSTARTED, f"{death} before it begins")
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


def _cause_of_exit(process: subprocess.Popen[bytes], oom_kills: int) -> Death:
    """Why a child ended; ``oom_kills`` were counted when the pool was made."""
    try:
        code = process.wait(EXIT_S)
    except subprocess.TimeoutExpired:
        return Death(DeathKind.PROTOCOL, "closes its pipe and does not exit")
    if code >= 0:
        return Death(DeathKind.EXITED, f"ends with status {code}")
    if -code == signal.SIGKILL:
        by = "by the system, since memory is short" if count_oom_kills() > oom_kills else "from outside (SIGKILL)"
        return Death(DeathKind.KILLED, f"is killed {by}")
    try:
        return Death(DeathKind.CRASHED, f"crashes ({signal.Signals(-code).name})")
    except ValueError:  # most real-time signals have no name
        return Death(DeathKind.CRASHED, f"crashes (signal {-code})")
