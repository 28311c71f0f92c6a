"""Child processes of this machine, supervised by one thread: the caller's.

A child that dies, hangs or takes too much memory ends its task, not the job. Nothing that a child does, or does not do,
makes the parent wait.
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
from typing import Any, Final, Self, TypeVar

from owtmix.base.errors import RenderError
from owtmix.workers.base import Limits, Outcome, Task
from owtmix.workers.protocol import ProtocolError, ReplyParser
from owtmix.workers.queues import FifoQueue, TaskQueue
from owtmix.workers.sandbox import child_environment

WATCH_EVERY_S: Final = 0.25
READ_BYTES: Final = 1 << 16
STARTING_S: Final = 60.0
"""How long a new child may take to begin, on whatever machine."""
LAST_WORDS_S: Final = 1.0
"""How long a child that has closed its pipe may take to end."""


TaskT = TypeVar("TaskT", bound=Task)


@dataclass(slots=True, eq=False)
class _Child:
    """``orders`` is what it has not yet read of its task, ``silent_s`` how long nothing was heard of it.

    That begins below 0, so that a new child has time to start. ``warnings`` and ``since_s`` are of its task.
    """

    process: subprocess.Popen[bytes]
    number: int
    task: Task | None = None
    warnings: list[str] = field(default_factory=list)
    since_s: float = 0.0
    orders: memoryview = field(default_factory=lambda: memoryview(b""))
    silent_s: float = field(default_factory=lambda: -STARTING_S)
    hearing: ReplyParser = field(default_factory=ReplyParser)


class WorkerPool:
    """Up to ``size`` children, started when there is work for them and kept for more. Leaving the context kills them.

    ``on_warning`` is told what tasks find worth knowing.
    """

    def __init__(self, size: int, limits: Limits, on_warning: Callable[[str], None]) -> None:
        self._size = size
        self._limits = limits
        self._on_warning = on_warning
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
            self._dismiss(child)
        self._selector.close()

    def run(
        self,
        tasks: Iterable[TaskT] | TaskQueue[TaskT],
        on_progress: Callable[[TaskT, float], None] = lambda _task, _done_s: None,
        *,
        alone: bool = False,
        grace_s: float = 0.0,
        watch: Callable[[], None] = lambda: None,
    ) -> Generator[Outcome[TaskT], None, None]:
        """Do ``tasks``, begun in order or as the agenda says, and yield their outcomes as they come.

        Run the generator to its end. With ``alone`` each gets a new child, so that none suffers from what another did.
        ``grace_s`` is by how much longer than usual they may be silent. ``watch`` is called every ``WATCH_EVERY_S`` or
        sooner; what it raises ends it all.

        Raises:
            RenderError: no process can be started.
        """
        queue = FifoQueue(tasks) if isinstance(tasks, Iterable) else tasks
        watched = time.monotonic()
        while True:
            for child in self._free(len(queue), alone=alone):
                if task := queue.take(child.number):
                    self._give(child, task)
            if not (len(queue) or any(child.task for child in self._children)):
                return
            for key, _ in self._selector.select(WATCH_EVERY_S):
                child = key.data
                if key.fileobj is child.process.stdin:
                    self._feed(child)
                elif child in self._children:
                    yield from self._hear(child, on_progress)
            watch()
            # While this process is stopped (Ctrl-Z) nothing can be heard, and nobody is to blame.
            watched, passed_s = (now := time.monotonic()), min(now - watched, 2 * WATCH_EVERY_S)
            for child in list(self._children):
                child.silent_s += passed_s if child.task else 0
                cause = self._verdict(child, grace_s)
                if cause:
                    yield from self._bury(child, cause)

    def _free(self, wanted: int, *, alone: bool) -> list[_Child]:
        """Up to ``wanted`` children without a task; new ones while there are fewer than may be."""
        free = [child for child in self._children if child.task is None]
        if alone and wanted:
            for child in free:
                self._dismiss(child)
            free = []
        while len(free) < wanted and len(self._children) < self._size:
            free.append(self._start())
        return free[:wanted]

    def _start(self) -> _Child:
        try:
            # -P keeps the working directory off the module path: a folder of recordings is no place for code.
            process = subprocess.Popen(  # noqa: S603 - the arguments are ours
                [sys.executable, "-P", "-m", "owtmix.workers.child", str(os.getpid())],
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

    def _give(self, child: _Child, task: Task) -> None:
        assert child.process.stdin
        child.task, child.hearing = task, ReplyParser()
        child.warnings, child.since_s = [], time.monotonic()
        child.orders = memoryview(pickle.dumps(task))
        self._selector.register(child.process.stdin, selectors.EVENT_WRITE, child)

    def _feed(self, child: _Child) -> None:
        """Write as much of the task as the pipe takes."""
        if not child.orders:  # it was buried a moment ago
            return
        assert child.process.stdin
        try:
            written = os.write(child.process.stdin.fileno(), child.orders)
        except BlockingIOError:
            return
        except BrokenPipeError:  # it died; the end of its other pipe will say so
            written = len(child.orders)
        child.orders = child.orders[written:]
        if not child.orders:
            self._selector.unregister(child.process.stdin)

    def _hear(self, child: _Child, on_progress: Callable[[Any, float], None]) -> Generator[Outcome[Any], None, None]:
        assert child.process.stdout
        data = os.read(child.process.stdout.fileno(), READ_BYTES)
        if not data:
            yield from self._bury(child, _cause(child.process))
            return
        child.silent_s = 0.0
        try:
            if child.task is None:
                raise ProtocolError("talks without a task")  # noqa: TRY301 - it ends as other nonsense does
            hearing = child.hearing
            before_s = hearing.done_s
            warnings, verdict = hearing.listen(data, child.task)
        except ProtocolError as nonsense:
            yield from self._bury(child, str(nonsense))
            return
        child.warnings += warnings
        for warning in warnings:
            self._on_warning(warning)
        if hearing.done_s != before_s:
            on_progress(child.task, hearing.done_s)
        if verdict:
            outcome = Outcome(
                child.task,
                verdict.value,
                verdict.error,
                done_s=hearing.done_s,
                warnings=tuple(child.warnings),
                took_s=time.monotonic() - child.since_s,
            )
            child.task = None
            # Asked first for the next: it has open what its last task left.
            self._children.remove(child)
            self._children.insert(0, child)
            yield outcome

    def _verdict(self, child: _Child, grace_s: float) -> str | None:
        """Why the child must end; None while all is well."""
        if child.task and child.silent_s > self._limits.silence_s + grace_s:
            return f"hangs: no progress for {self._limits.silence_s + grace_s:.0f} s"
        if _resident_bytes(child.process.pid) > self._limits.memory_bytes:
            return f"takes more than {self._limits.memory_bytes >> 20} MiB of memory"
        return None

    def _bury(self, child: _Child, cause: str) -> Generator[Outcome[Any], None, None]:
        self._dismiss(child)
        if child.task:
            yield Outcome(child.task, death=cause, done_s=child.hearing.done_s)

    def _dismiss(self, child: _Child) -> None:
        """End the child, whatever it is doing."""
        process = child.process
        assert process.stdin
        assert process.stdout
        self._children.remove(child)
        self._selector.unregister(process.stdout)
        if child.orders:
            self._selector.unregister(process.stdin)
            child.orders = memoryview(b"")
        process.kill()
        process.stdin.close()
        process.stdout.close()
        process.wait()


def _cause(process: subprocess.Popen[bytes]) -> str:
    try:
        code = process.wait(LAST_WORDS_S)
    except subprocess.TimeoutExpired:
        return "hangs up"
    if code >= 0:
        return f"ends with status {code}"
    try:
        return f"crashes ({signal.Signals(-code).name})"
    except ValueError:  # most real-time signals have no name
        return f"crashes (signal {-code})"


def _resident_bytes(pid: int) -> int:
    """Resident memory of a process; 0 where the system does not say."""
    try:
        return int(Path(f"/proc/{pid}/statm").read_text(encoding="ascii").split()[1]) * os.sysconf("SC_PAGE_SIZE")
    except (OSError, IndexError, ValueError):
        return 0
