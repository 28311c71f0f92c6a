"""Child processes of this machine, supervised by one thread: the caller's.

A child that dies, hangs or takes too much memory ends its task, not the job.
"""

from __future__ import annotations

import json
import logging
import os
import pickle
import selectors
import signal
import subprocess
import sys
import time
from collections import deque
from collections.abc import Callable, Generator, Iterable
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Final, Generic, TypeVar

from pydantic import TypeAdapter, ValidationError

from owtmix.errors import MixError, RenderError
from owtmix.execute.confine import environment
from owtmix.execute.task import ERRORS, Limits, Task

_log = logging.getLogger(__name__)

WATCH_EVERY_S: Final = 0.25
READ_BYTES: Final = 1 << 16
LONGEST_LINE: Final = 64 << 20
"""News beyond this are no news."""

TaskT = TypeVar("TaskT", bound=Task)


@dataclass(frozen=True, slots=True)
class Outcome(Generic[TaskT]):
    """How a task ended: with a value, with an error it raised, or with the death of its child (``death`` says how).

    ``done_s`` is the last progress that was heard of.
    """

    task: TaskT
    value: Any = None
    error: MixError | None = None
    death: str | None = None
    done_s: float = 0.0


@dataclass(slots=True)
class _Child(Generic[TaskT]):
    process: subprocess.Popen[bytes]
    task: TaskT | None = None
    heard: float = 0.0
    done_s: float = 0.0
    partial: bytearray = field(default_factory=bytearray)


def run_tasks(
    tasks: Iterable[TaskT],
    workers: int,
    limits: Limits,
    *,
    on_progress: Callable[[TaskT, float], None],
    on_warning: Callable[[TaskT, str], None],
) -> Generator[Outcome[TaskT], None, None]:
    """Run ``tasks`` in up to ``workers`` children, begun in order; yields outcomes as they come.

    Closing the generator, or an exception in the caller, kills the children.
    """
    supervisor = _Supervisor(deque(tasks), limits, on_progress, on_warning)
    try:
        yield from supervisor.run(workers)
    finally:
        supervisor.kill()


class _Supervisor(Generic[TaskT]):
    def __init__(
        self,
        tasks: deque[TaskT],
        limits: Limits,
        on_progress: Callable[[TaskT, float], None],
        on_warning: Callable[[TaskT, str], None],
    ) -> None:
        self._tasks = tasks
        self._limits = limits
        self._on_progress = on_progress
        self._on_warning = on_warning
        self._children: list[_Child[TaskT]] = []
        self._selector = selectors.DefaultSelector()

    def run(self, workers: int) -> Generator[Outcome[TaskT], None, None]:
        while self._tasks or self._children:
            while self._tasks and len(self._children) < workers:
                self._start()
            for key, _ in self._selector.select(WATCH_EVERY_S):
                yield from self._hear(key.data)
            for child in list(self._children):
                verdict = self._verdict(child)
                if verdict:
                    yield from self._bury(child, verdict)

    def kill(self) -> None:
        """End all children at once."""
        for child in self._children:
            child.process.kill()
        for child in self._children:
            _end(child.process)
        self._children.clear()
        self._selector.close()

    def _start(self) -> None:
        # The interpreter's -P keeps the working directory off the path: a recording's folder is no place for modules.
        process = subprocess.Popen(  # noqa: S603 - the arguments are ours
            [sys.executable, "-P", "-m", "owtmix.execute.child", str(os.getpid())],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.DEVNULL,
            env=environment(),
        )
        assert process.stdout
        os.set_blocking(process.stdout.fileno(), False)
        child = _Child[TaskT](process)
        self._children.append(child)
        self._selector.register(process.stdout, selectors.EVENT_READ, child)
        self._give(child)

    def _give(self, child: _Child[TaskT]) -> None:
        """Hand the child the next task, or end it when there is none."""
        assert child.process.stdin
        if not self._tasks:
            self._forget(child)
            _end(child.process)
            return
        child.task, child.heard, child.done_s = self._tasks.popleft(), time.monotonic(), 0.0
        with suppress(BrokenPipeError):  # it died; the verdict will say so
            child.process.stdin.write(pickle.dumps(child.task))
            child.process.stdin.flush()

    def _hear(self, child: _Child[TaskT]) -> Generator[Outcome[TaskT], None, None]:
        assert child.process.stdout
        data = os.read(child.process.stdout.fileno(), READ_BYTES)
        if not data:
            yield from self._bury(child, _cause(child.process))
            return
        child.heard = time.monotonic()
        child.partial += data
        if len(child.partial) > LONGEST_LINE:
            yield from self._bury(child, "said what cannot be understood")
            return
        *lines, rest = child.partial.split(b"\n")
        child.partial = bytearray(rest)
        for line in lines:
            try:
                outcome = self._understand(child, bytes(line))
            except (ValueError, KeyError, TypeError, ValidationError):
                yield from self._bury(child, "said what cannot be understood")
                return
            if outcome:
                child.task = None
                yield outcome
                self._give(child)

    def _understand(self, child: _Child[TaskT], line: bytes) -> Outcome[TaskT] | None:
        task = child.task
        if task is None:
            raise ValueError("news without a task")
        kind, value = json.loads(line)
        match kind:
            case "progress":
                child.done_s = float(value)
                self._on_progress(task, child.done_s)
            case "warning":
                self._on_warning(task, str(value))
            case "result":
                return Outcome(task, TypeAdapter(task.result).validate_python(value), done_s=child.done_s)
            case "error":
                return Outcome(task, error=ERRORS[value[0]](str(value[1])), done_s=child.done_s)
            case "failure":
                _log.debug("%s failed:\n%s", task.name, value)
                last = str(value).strip().rpartition("\n")[2]
                return Outcome(task, error=RenderError(f"{task.name} failed: {last}"), done_s=child.done_s)
            case _:
                raise ValueError(kind)
        return None

    def _verdict(self, child: _Child[TaskT]) -> str | None:
        """Why the child must end, or has ended; None while all is well."""
        if time.monotonic() - child.heard > self._limits.silence_s:
            return f"hung: no progress for {self._limits.silence_s:.0f} s"
        if _resident_bytes(child.process.pid) > self._limits.memory_bytes:
            return f"took more than {self._limits.memory_bytes >> 20} MiB of memory"
        return None

    def _bury(self, child: _Child[TaskT], cause: str) -> Generator[Outcome[TaskT], None, None]:
        self._forget(child)
        child.process.kill()
        _end(child.process)
        if child.task is not None:
            yield Outcome(child.task, death=cause, done_s=child.done_s)

    def _forget(self, child: _Child[TaskT]) -> None:
        self._children.remove(child)
        assert child.process.stdout
        self._selector.unregister(child.process.stdout)


def _end(process: subprocess.Popen[bytes]) -> None:
    for pipe in (process.stdin, process.stdout):
        assert pipe
        with suppress(BrokenPipeError):
            pipe.close()
    process.wait()


def _cause(process: subprocess.Popen[bytes]) -> str:
    code = process.wait()
    return f"was killed by {signal.Signals(-code).name}" if code < 0 else f"ended with status {code}"


def _resident_bytes(pid: int) -> int:
    """Resident memory of a process; 0 where the system does not say."""
    try:
        return int(Path(f"/proc/{pid}/statm").read_text().split()[1]) * os.sysconf("SC_PAGE_SIZE")
    except (OSError, IndexError, ValueError):
        return 0
