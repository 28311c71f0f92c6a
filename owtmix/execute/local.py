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
from types import TracebackType
from typing import Any, Final, Generic, Self, TypeVar

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


@dataclass(slots=True, eq=False)
class _Child:
    process: subprocess.Popen[bytes]
    task: Task | None = None
    heard: float = 0.0
    done_s: float = 0.0
    partial: bytearray = field(default_factory=bytearray)


class Crew:
    """Up to ``size`` children, started when there is work for them and kept for more. Leaving the context kills them.

    ``on_warning`` is told what tasks find worth knowing.
    """

    def __init__(self, size: int, limits: Limits, on_warning: Callable[[str], None]) -> None:
        self._size = size
        self._limits = limits
        self._on_warning = on_warning
        self._children: list[_Child] = []
        self._selector = selectors.DefaultSelector()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        for child in self._children:
            child.process.kill()
        for child in self._children:
            _end(child.process)
        self._selector.close()

    def run(
        self, tasks: Iterable[TaskT], on_progress: Callable[[TaskT, float], None] = lambda _task, _done_s: None
    ) -> Generator[Outcome[TaskT], None, None]:
        """Do ``tasks``, begun in order, and yield their outcomes as they come. Run the generator to its end."""
        waiting = deque(tasks)
        while True:
            for child in self._free(len(waiting)):
                self._give(child, waiting.popleft())
            if not any(child.task for child in self._children):
                return
            for key, _ in self._selector.select(WATCH_EVERY_S):
                yield from self._hear(key.data, on_progress)
            for child in list(self._children):
                cause = self._verdict(child)
                if cause:
                    yield from self._bury(child, cause)

    def _free(self, wanted: int) -> list[_Child]:
        """Up to ``wanted`` children without a task; new ones while there are fewer than may be."""
        free = [child for child in self._children if child.task is None][:wanted]
        while len(free) < wanted and len(self._children) < self._size:
            free.append(self._start())
        return free

    def _start(self) -> _Child:
        # -P keeps the working directory off the module path: a folder of recordings is no place for code.
        process = subprocess.Popen(  # noqa: S603 - the arguments are ours
            [sys.executable, "-P", "-m", "owtmix.execute.child", str(os.getpid())],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.DEVNULL,
            env=environment(),
        )
        assert process.stdout
        child = _Child(process)
        self._children.append(child)
        self._selector.register(process.stdout, selectors.EVENT_READ, child)
        return child

    def _give(self, child: _Child, task: Task) -> None:
        assert child.process.stdin
        child.task, child.heard, child.done_s = task, time.monotonic(), 0.0
        with suppress(BrokenPipeError):  # it died; its end of the other pipe will say so
            child.process.stdin.write(pickle.dumps(task))
            child.process.stdin.flush()

    def _hear(self, child: _Child, on_progress: Callable[[Any, float], None]) -> Generator[Outcome[Any], None, None]:
        assert child.process.stdout
        data = os.read(child.process.stdout.fileno(), READ_BYTES)
        if not data:
            yield from self._bury(child, _cause(child.process))
            return
        child.heard = time.monotonic()
        child.partial += data
        *lines, child.partial = child.partial.split(b"\n")
        if len(child.partial) > LONGEST_LINE:
            yield from self._bury(child, "does not stop talking")
            return
        try:
            outcomes = [outcome for line in lines if (outcome := self._understand(child, bytes(line), on_progress))]
        except (ValueError, KeyError, TypeError, IndexError, ValidationError):
            yield from self._bury(child, "said what cannot be understood")
            return
        yield from outcomes

    def _understand(self, child: _Child, line: bytes, on_progress: Callable[[Any, float], None]) -> Outcome[Any] | None:
        task = child.task
        if task is None:
            raise ValueError("news without a task")
        kind, value = json.loads(line)
        match kind:
            case "progress":
                child.done_s = float(value)
                on_progress(task, child.done_s)
                return None
            case "warning":
                self._on_warning(str(value))
                return None
            case "result":
                outcome = Outcome(task, TypeAdapter(task.result).validate_python(value), done_s=child.done_s)
            case "error":
                outcome = Outcome(task, error=ERRORS[value[0]](str(value[1])), done_s=child.done_s)
            case "failure":
                _log.debug("%s failed:\n%s", task.name, value)
                last = str(value).strip().rpartition("\n")[2]
                outcome = Outcome(task, error=RenderError(f"{task.name} failed: {last}"), done_s=child.done_s)
            case _:
                raise ValueError(kind)
        child.task = None
        return outcome

    def _verdict(self, child: _Child) -> str | None:
        """Why the child must end; None while all is well."""
        if child.task and time.monotonic() - child.heard > self._limits.silence_s:
            return f"hangs: no progress for {self._limits.silence_s:.0f} s"
        if _resident_bytes(child.process.pid) > self._limits.memory_bytes:
            return f"takes more than {self._limits.memory_bytes >> 20} MiB of memory"
        return None

    def _bury(self, child: _Child, cause: str) -> Generator[Outcome[Any], None, None]:
        self._children.remove(child)
        assert child.process.stdout
        self._selector.unregister(child.process.stdout)
        child.process.kill()
        _end(child.process)
        if child.task:
            yield Outcome(child.task, death=cause, done_s=child.done_s)


def _end(process: subprocess.Popen[bytes]) -> None:
    for pipe in (process.stdin, process.stdout):
        assert pipe
        with suppress(BrokenPipeError):
            pipe.close()
    process.wait()


def _cause(process: subprocess.Popen[bytes]) -> str:
    code = process.wait()
    return f"crashes ({signal.Signals(-code).name})" if code < 0 else f"ends with status {code}"


def _resident_bytes(pid: int) -> int:
    """Resident memory of a process; 0 where the system does not say."""
    try:
        return int(Path(f"/proc/{pid}/statm").read_text(encoding="ascii").split()[1]) * os.sysconf("SC_PAGE_SIZE")
    except (OSError, IndexError, ValueError):
        return 0
