"""Benches: workers on the nodes of a cluster, which take tasks beside the children of this machine's pool.

A bench is lost with its node, and its task goes back to the queue for whoever is free. What a bench cannot make, or
finds something wrong with, is made again here: only what happens on this machine decides about recordings.
"""

from __future__ import annotations

import json
import logging
import pickle
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from typing import Any, Final, Protocol

from owtmix.workers.base import Outcome, Task, TaskT
from owtmix.workers.cluster_link import ClusterLink, Event
from owtmix.workers.protocol import ProtocolError, ReplyParser, TaskReply

_log = logging.getLogger(__name__)

MOST_FAILURES: Final = 2
"""A bench that failed so often in a row is given up."""
MOST_HIRES: Final = 4
"""So many benches, for each one wanted, are hired in all."""
FIRST_NUMBER: Final = 1_000_000
"""The number of the first bench, for queues; the children of a pool have lower ones."""
_LONGEST_STEP_S: Final = 0.5
"""Time that passes between two turns; while this process is stopped, more does."""


class SharedQueue(Protocol):
    """Tasks that benches may take, too, of some kind."""

    def take_away(self, worker: int) -> Any | None:
        """A task for the bench with this number; None when it has to wait."""

    def put_back(self, task: Any, *, at_home: bool) -> None:
        """A task was not done; ``at_home`` keeps it from benches."""


@dataclass(slots=True, eq=False)
class _Bench:
    """A bench; without ``node`` until there is one.

    It is ``free`` again when the call for its ``task`` has ended, after the task itself; ``silent_s`` counts till then.
    """

    number: int
    node: str = ""
    free: bool = True
    task: Task | None = None
    parser: ReplyParser = field(default_factory=ReplyParser)
    warnings: list[str] = field(default_factory=list)
    silent_s: float = 0.0
    started_s: float = 0.0
    failures: int = 0

    @property
    def id(self) -> str:
        return f"bench-{self.number - FIRST_NUMBER}"


class Benches:
    """``count`` benches of a cluster, hired at once. Nodes give them room when they have it; nobody waits for that.

    Args:
        link: to the cluster.
        count: how many are wanted.
        target: what they are, ``module:class``, for the agent.
        kit: what each of them is made from.
        silence_s: a bench that has a task and is silent for longer is given up.
        is_good: whether the value of a task is to be used; otherwise it is done again here.
        warn: takes warnings for the user.
        on_warning: takes those of tasks.
        clock: gives the time in seconds.
    """

    def __init__(
        self,
        link: ClusterLink,
        count: int,
        target: str,
        kit: bytes,
        silence_s: float,
        is_good: Callable[[Any], bool],
        warn: Callable[[str], None],
        on_warning: Callable[[str], None],
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self.count = count
        self.made = 0
        """How many tasks benches have done."""
        self._link = link
        self._target = target
        self._kit = kit
        self._silence_s = silence_s
        self._is_good = is_good
        self._warn = warn
        self._on_warning = on_warning
        self._clock = clock
        self._hired = 0
        self._avoided: set[str] = set()
        self._benches: dict[str, _Bench] = {}
        for _ in range(count):
            self._hire()

    def serve(self, queue: SharedQueue, on_progress: Callable[[Any, float], None]) -> Shift:
        """Take tasks from ``queue`` from now on."""
        return Shift(self, queue, on_progress)

    def fileno(self) -> int:
        """A descriptor that can be read when there is news."""
        return self._link.fileno()

    @property
    def is_busy(self) -> bool:
        return any(bench.task for bench in self._benches.values())

    def turn(
        self, queue: SharedQueue, on_progress: Callable[[Any, float], None], passed_s: float
    ) -> Iterator[Outcome[Any]]:
        """Hear what benches say, give up those that are silent, and hand out tasks; yields what was done."""
        for event in self._link.events():
            if event["event"] == "gone":
                self._close_down(queue)
            elif bench := self._benches.get(str(event.get("id"))):
                yield from self._hear(bench, event, queue, on_progress)
        for bench in list(self._benches.values()):
            bench.silent_s += 0.0 if bench.free else passed_s
            if bench.silent_s > self._silence_s:
                self._lose(bench, f"said nothing for {self._silence_s:.0f} s", queue)
        for bench in self._benches.values():
            if bench.node and bench.free and (task := queue.take_away(bench.number)):
                self._give(bench, task)

    def _hire(self) -> None:
        if self._link.is_gone or self._hired == MOST_HIRES * self.count:
            return
        bench = _Bench(FIRST_NUMBER + self._hired)
        self._hired += 1
        self._benches[bench.id] = bench
        self._link.hire(bench.id, self._target, self._kit, self._avoided, num_cpus=1)

    def _give(self, bench: _Bench, task: Any) -> None:
        bench.task, bench.free, bench.parser = task, False, ReplyParser()
        bench.warnings, bench.silent_s, bench.started_s = [], 0.0, self._clock()
        self._link.ask(bench.id, pickle.dumps(task), str(task.track))

    def _hear(
        self, bench: _Bench, event: Event, queue: SharedQueue, on_progress: Callable[[Any, float], None]
    ) -> Iterator[Outcome[Any]]:
        bench.silent_s = 0.0
        match event["event"]:
            case "ready":
                self._greet(bench, str(event["text"]), queue)
            case "frame" if bench.task:
                try:
                    reply = self._parse(bench, str(event["text"]), on_progress)
                except ProtocolError as violation:
                    self._lose(bench, str(violation), queue, at_home=True)
                    return
                if reply and self._settle(bench, reply, queue):
                    yield Outcome(
                        bench.task,
                        reply.value,
                        done_s=bench.parser.done_s,
                        warnings=tuple(bench.warnings),
                        took_s=self._clock() - bench.started_s,
                    )
                    bench.task = None
            case "ended" if bench.task:
                self._lose(bench, "ended without a result", queue, at_home=True)
            case "ended":
                bench.free = True
            case "lost":
                self._lose(bench, f"ended, {event['why']}", queue)

    def _greet(self, bench: _Bench, text: str, queue: SharedQueue) -> None:
        """Take note of a new bench; one that refuses says why, and its node is avoided."""
        try:
            said = json.loads(text)
            node, refused = self._link.node_name(str(said["node"])), said["refused"]
        except (ValueError, KeyError, TypeError):
            self._lose(bench, "does not say where it is", queue)
            return
        if not refused:
            bench.node = node
            _log.info("a bench on %s takes chunks", node)
            return
        if node not in self._avoided:
            self._avoided.add(node)
            self._warn(f"the node {node} does not help: {str(refused)[:500]}")
        self._drop(bench)
        self._hire()

    def _parse(self, bench: _Bench, text: str, on_progress: Callable[[Any, float], None]) -> TaskReply | None:
        assert bench.task
        before_s = bench.parser.done_s
        warnings, reply = bench.parser.feed(text.encode() + b"\n", bench.task)
        bench.warnings += warnings
        if bench.parser.done_s != before_s:
            on_progress(bench.task, bench.parser.done_s)
        return reply

    def _settle(self, bench: _Bench, reply: TaskReply, queue: SharedQueue) -> bool:
        """Whether a reply is to be used; otherwise its task is done again here."""
        if reply.error is None and self._is_good(reply.value):
            bench.failures = 0
            self.made += 1
            for warning in bench.warnings:
                self._on_warning(warning)
            return True
        assert bench.task
        task, bench.task = bench.task, None
        queue.put_back(task, at_home=True)
        if reply.error is not None:
            bench.failures += 1
            _log.info("%s is made here: a bench on %s says: %s", task.name, bench.node, reply.error)
            if bench.failures == MOST_FAILURES:
                self._warn(f"a bench on the node {bench.node} is given up: {reply.error}")
                self._avoided.add(bench.node)
                self._drop(bench)
                self._hire()
        return False

    def _lose(self, bench: _Bench, why: str, queue: SharedQueue, *, at_home: bool = False) -> None:
        """Give up a bench; its task goes back. A new one is hired, which nobody waits for."""
        where = f"a bench on {bench.node}" if bench.node else "a bench"
        what = f": {bench.task.name} goes to another worker" if bench.task else ""
        _log.warning("%s %s%s", where, why, what)
        if bench.task:
            queue.put_back(bench.task, at_home=at_home)
        self._drop(bench)
        self._hire()

    def _drop(self, bench: _Bench) -> None:
        del self._benches[bench.id]
        self._link.drop(bench.id)

    def _close_down(self, queue: SharedQueue) -> None:
        """The cluster is gone: its tasks are done here."""
        if self._benches:
            self._warn("the cluster is gone: the rest is composed on this machine")
        for bench in self._benches.values():
            if bench.task:
                queue.put_back(bench.task, at_home=True)
        self._benches.clear()


class Shift:
    """Benches at work on one queue: ``Away`` of a pool."""

    def __init__(self, benches: Benches, queue: SharedQueue, on_progress: Callable[[TaskT, float], None]) -> None:
        self._benches = benches
        self._queue = queue
        self._on_progress = on_progress
        self._turned_s: float | None = None

    def fileno(self) -> int:
        return self._benches.fileno()

    @property
    def is_busy(self) -> bool:
        return self._benches.is_busy

    def turn(self) -> Iterator[Outcome[Any]]:
        now_s = time.monotonic()
        # While this process is stopped (Ctrl-Z) no news arrives; that time must not count as silence.
        passed_s = min(now_s - (self._turned_s or now_s), _LONGEST_STEP_S)
        self._turned_s = now_s
        return self._benches.turn(self._queue, self._on_progress, passed_s)
