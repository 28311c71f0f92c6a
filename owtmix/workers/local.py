"""The executor of this machine: child processes, supervised by the caller's thread.

A child that dies, hangs or takes too much memory ends its task, not the job. The parent never blocks on a child.
"""

from __future__ import annotations

import logging
import pickle
import time
from collections.abc import Callable, Generator, Iterable, Sequence
from functools import partial
from pathlib import Path
from types import TracebackType
from typing import Any, Final, Self

from owtmix.base.errors import ConfinementError, ShortageError
from owtmix.workers.alone import do_alone, patiently
from owtmix.workers.base import (
    Away,
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
from owtmix.workers.child_pipes import ChildPipes
from owtmix.workers.child_process import Child, Greeting, cause_of_exit, start_child
from owtmix.workers.file_access import FileAccess
from owtmix.workers.process_flags import protect_memory
from owtmix.workers.process_state import count_oom_kills, peak_bytes
from owtmix.workers.protocol import ProtocolError, ReplyParser
from owtmix.workers.queues import FifoQueue
from owtmix.workers.standstill import Standstill, WarningBound
from owtmix.workers.worker_process import ForkServer

WATCH_EVERY_S: Final = 0.25

_log = logging.getLogger(__name__)


def _is_spent(queue: TaskQueue[Any], last: int, child: Child, *, alone: bool) -> bool:
    """Whether an idle child must get no task of ``queue``; up to number ``last`` only unused ones may."""
    return (child.is_used and (alone or child.number <= last)) or queue.is_spent(child.number)


class WorkerPool:
    """Up to ``size`` child processes, started when there are tasks for them and kept. Leaving the context kills them.

    Args:
        size: the most children at a time.
        limits: of each child.
        on_warning: receives the warnings of tasks.
        access: the files that children may use; ``allow`` adds to them.
        server: starts the children, and ends with the pool; by default one that knows none of their modules.
        clock: gives the time in seconds.
    """

    def __init__(
        self,
        size: int,
        limits: Limits,
        on_warning: Callable[[str], None],
        access: FileAccess = FileAccess(),  # noqa: B008 - it is frozen
        server: ForkServer | None = None,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._size = size
        self._limits = limits
        self._on_warning = WarningBound(on_warning)
        self._access = access
        self._confinement: tuple[str, ...] | None = None
        self._server = server or ForkServer()
        self._clock = clock
        self._startable = size
        self._children: list[Child] = []
        self._started = 0
        self._oom_kills = count_oom_kills()
        self._standstill = Standstill()
        self._pipes = ChildPipes()

    def __enter__(self) -> Self:
        protect_memory()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._server.close()  # and all children with it
        for child in list(self._children):
            self._remove(child)
        self._pipes.close()

    @property
    def confinement(self) -> tuple[str, ...]:
        """As ``Executor.confinement``: what all children said. One is started if there was none."""
        if self._confinement is None:
            do_alone(self, Greeting())
            assert self._confinement is not None
        return self._confinement

    def allow(
        self,
        *,
        read: Iterable[Path] = (),
        write: Iterable[Path] = (),
        recordings: Iterable[Path] = (),
        gpu: bool | None = None,
    ) -> None:
        """As ``Executor.allow``. Children that lack a file are replaced before their next task."""
        self._access = self._access.adding(read, write, recordings, gpu)

    def run(
        self,
        tasks: Iterable[TaskT] | TaskQueue[TaskT],
        on_progress: Callable[[TaskT, float], None] = ignore_progress,
        *,
        alone: bool = False,
        renewed: bool = False,
        most: int | None = None,
        grace_s: float = 0.0,
        watch: Callable[[], object] = watch_nothing,
        away: Away | None = None,
    ) -> Generator[Outcome[TaskT], None, None]:
        """As ``Executor.run``; ``watch`` is called at least every ``WATCH_EVERY_S``."""
        queue = FifoQueue(tasks) if isinstance(tasks, Iterable) else tasks
        self._startable = self._size
        last = self._started if renewed else 0
        is_spent = partial(_is_spent, queue, last, alone=alone)
        self._standstill = Standstill()
        watched = self._clock()
        with self._pipes.listening(away):
            while True:
                most_now = min(filter(None, (most, queue.useful)), default=self._size)
                for child in self._idle_children(len(queue), most_now, is_spent):
                    if task := queue.take(child.number):
                        self._assign(child, task)
                yield from away.turn() if away else ()
                if not (len(queue) or any(child.task for child in self._children) or (away and away.is_busy)):
                    return
                for child in self._pipes.heard(WATCH_EVERY_S):
                    if child in self._children:  # it was not removed in this turn
                        yield from self._receive(child, on_progress)
                begun = [(child.number, child.started_s, bool(child.task)) for child in self._children]
                self._standstill.note(watch(), len(queue), begun)
                # While this process is stopped (Ctrl-Z) no report arrives; that time must not count as silence.
                watched, passed_s = (now := self._clock()), min(now - watched, 2 * WATCH_EVERY_S)
                self._standstill.lasted_s += passed_s
                for child in list(self._children):
                    child.silent_s += passed_s if child.task else 0
                    if death := child.exceeded(self._limits, grace_s, self._standstill.lasted_s):
                        yield from self._end(child, death)

    def _idle_children(self, wanted: int, most: int, is_spent: Callable[[Child], bool]) -> list[Child]:
        """Up to ``wanted`` children without a task; starts new ones while there are not ``most``, for spent ones, too.

        Raises:
            ShortageError: there is none, and none can be started.
        """
        idle = [child for child in self._children if child.task is None]
        if wanted:
            for child in idle:
                if is_spent(child) or not child.access.suffices(self._access) or len(self._children) > most:
                    self._remove(child)
            idle = [child for child in idle if child in self._children]
        while len(idle) < wanted and len(self._children) < min(most, self._startable):
            try:
                # Without any, nothing else goes on meanwhile.
                idle.append(self._start() if self._children else patiently("starting a worker", self._start))
            except ShortageError as error:
                if not self._children:
                    raise
                self._startable = len(self._children)  # in this run
                _log.warning("%s; %d workers go on", error, self._startable)
        return idle[:wanted]

    def _start(self) -> Child:
        child = start_child(self._started + 1, self._server, self._access, self._limits)
        self._started += 1
        self._children.append(child)
        self._pipes.add(child)
        return child

    def _assign(self, child: Child, task: Task) -> None:
        child.task, child.parser = task, ReplyParser()
        child.is_used = child.is_used or not isinstance(task, Greeting)
        child.warnings, child.started_s = [], self._clock()
        self._pipes.send(child, pickle.dumps(task))

    def _receive(self, child: Child, on_progress: Callable[[Any, float], None]) -> Generator[Outcome[Any], None, None]:
        data = self._pipes.read(child)
        if not data:
            yield from self._end(child, cause_of_exit(child.process, self._oom_kills))
            return
        child.silent_s = 0.0
        try:
            if not child.confined:
                held, data = child.greet(data)
                if held is not None:
                    self._learn(held)
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
                peak_bytes=peak_bytes(child.process.pid),
            )
            child.task = None
            # First in the list, it is asked first for the next task: its recordings are still open.
            self._children.remove(child)
            self._children.insert(0, child)
            yield outcome

    def _learn(self, held: Sequence[str]) -> None:
        """Take note of the layers that confine a child.

        Raises:
            ConfinementError: required ones are missing.
        """
        if missing := self._limits.required.difference(held):
            raise ConfinementError(
                f"this machine does not confine workers by {', '.join(sorted(missing))}, as limits.require_confinement "
                f"in conf/owt.toml demands; it does by {', '.join(held) or 'nothing'}"
            )
        if self._confinement is None:
            self._confinement = tuple(held)
            _log.info("workers are confined by %s", ", ".join(held) or "nothing: this kernel offers no layer")
        elif lost := [layer for layer in self._confinement if layer not in held]:
            self._confinement = tuple(layer for layer in self._confinement if layer in held)
            self._on_warning(f"a worker is not confined by {', '.join(lost)}, which this machine refused it")

    def _end(self, child: Child, death: Death) -> Generator[Outcome[Any], None, None]:
        self._remove(child)
        if not child.parser.begun and death.kind is not DeathKind.KILLED:
            death = Death(DeathKind.UNSTARTED, f"{death} before it begins")
        if child.task:
            yield Outcome(child.task, death=death, done_s=child.parser.done_s)

    def _remove(self, child: Child) -> None:
        """Kill the child and forget it."""
        self._children.remove(child)
        self._pipes.remove(child)
        child.process.remove()
