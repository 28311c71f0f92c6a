"""Runs attempts on the nodes of a Ray cluster: one task is one ordinary ``owt-main`` on a node, done once."""

from __future__ import annotations

import json
import logging
import os
import pickle
import select
import time
from collections.abc import Collection, Mapping
from contextlib import suppress
from dataclasses import dataclass, field, replace
from typing import Any, Final

from owtmix.base.errors import ClusterError
from owtmix.base.own_files import own_file
from owtmix.base.plain_text import plain_line
from owtmix.base.strict_json import printable
from owtmix.batch.attempt import Attempt, Ended, JobProgress
from owtmix.batch.command import Program
from owtmix.batch.messages import LARGEST_LOG, LONGEST_ERROR
from owtmix.batch.node_run import STOP_S, Order
from owtmix.batch.outside import mib_of, number_of, status_of
from owtmix.batch.policy import INTERRUPTED, NOT_SET_UP
from owtmix.workers.cluster_link import ClusterLink, Event, Node

_log = logging.getLogger(__name__)

TARGET: Final = "owtmix.batch.node_run:run"
MOST_AHEAD: Final = 8
"""So many attempts, and at most one for each node, are queued beyond those that fit, so that no node has a pause."""
STOPPING_S: Final = STOP_S + 5.0
"""After so long a run that was to stop counts as stopped."""
_KILLED: Final = -9
_WAITING: Final = "waiting for a node"


@dataclass(slots=True, eq=False)
class _Running:
    """An attempt on the cluster; without ``node`` it waits for one."""

    attempt: Attempt
    takes: Mapping[str, Any]
    begun_s: float
    node: str = ""
    progress: JobProgress = field(default_factory=lambda: JobProgress(_WAITING))
    ended: Ended | None = None


class RayRunner:
    """A ``Runner`` on a cluster. Ray places attempts by processors, cards and memory.

    Args:
        link: to the cluster; closed with the runner.
        program: what is run; with an empty command that of each node's own installation.
        gpus: the share of a card that each attempt gets, or the number of cards; 0 for none.
        jobs: so many attempts at a time; None for as many as fit.
    """

    def __init__(self, link: ClusterLink, program: Program, gpus: float = 0.0, jobs: int | None = None) -> None:
        self._link = link
        self._program = program
        self._gpus = gpus
        self._jobs = jobs
        self._cpus = float(program.workers)
        self._running: dict[str, _Running] = {}
        self._numbers = 0
        self._lacking = ""
        self._stop_until_s: float | None = None

    @property
    def hosts(self) -> Collection[str]:
        return [name for name, node in self._link.nodes.items() if self._fitting(node)]

    @property
    def busy_places(self) -> int:
        return sum(bool(running.node) for running in self._running.values())

    def can_begin(self, attempt: Attempt) -> bool:
        """As ``Runner.can_begin``: a few more than fit are taken, and wait in the cluster."""
        if self._link.is_gone or (self._jobs is not None and len(self._running) >= self._jobs):
            return False
        fitting = [
            fits
            for name, node in self._link.nodes.items()
            if name not in attempt.avoid and (fits := self._fitting(node))
        ]
        return bool(fitting) and len(self._running) < sum(fitting) + min(MOST_AHEAD, len(fitting))

    def begin(self, attempt: Attempt) -> None:
        self._numbers += 1
        number = str(self._numbers)
        if not self._gpus and not (attempt.device or attempt.job.device):
            attempt = replace(attempt, device="cpu")  # on every node, whatever cards it has
        nodes = [node for name, node in self._link.nodes.items() if name not in attempt.avoid]
        takes: dict[str, Any] = {"num_cpus": self._cpus}
        if attempt.exclusive:  # all of a node's processors: nothing fits beside it
            takes = {"num_cpus": max((node.cpus for node in nodes), default=self._cpus)}
        elif 0 < attempt.memory_bytes <= max((node.memory_bytes for node in nodes), default=0.0):
            takes["memory"] = attempt.memory_bytes
        if self._gpus and attempt.device != "cpu":
            takes["num_gpus"] = self._gpus
        self._running[number] = _Running(attempt, takes, time.monotonic())
        data = pickle.dumps(Order(self._program, attempt))
        self._link.run(number, attempt.job.id, TARGET, data, avoid=sorted(attempt.avoid), **takes)

    def wait(self, timeout_s: float) -> list[Ended]:
        """As ``Runner.wait``.

        Raises:
            ClusterError: the cluster is gone, and all that ran there was told as lost.
        """
        if self._link.is_gone and not self._running:
            raise ClusterError("the cluster is gone: start it, and run the same command again")
        select.select([self._link], (), (), timeout_s)
        ended = [found for event in self._link.events() for found in self._take(event)]
        self._mind_hosts()
        if self._stop_until_s is not None and time.monotonic() >= self._stop_until_s:
            ended += [self._lose(number, "cancelled", "it did not end") for number in [*self._running]]
        return ended

    def progress(self) -> Mapping[str, JobProgress]:
        return {running.attempt.job.id: running.progress for running in self._running.values()}

    def stop(self) -> None:
        if self._stop_until_s is None:
            self._stop_until_s = time.monotonic() + STOPPING_S
        for number in self._running:
            self._link.drop(number)

    def close(self) -> None:
        self._link.close()

    def _mind_hosts(self) -> None:
        """Warn once when no node is left."""
        lacking = ""
        if not self.hosts:
            has_room = any(node.cpus >= self._cpus for node in self._link.nodes.values())
            can = f"has the cards for --gpus {self._gpus:g}" if has_room and self._gpus else "can run jobs"
            lacking = f"no node of the cluster {can}: waiting for one"
        if lacking and lacking != self._lacking:
            _log.warning("%s", lacking)
        self._lacking = lacking

    def _can_run(self, running: _Running) -> bool:
        """Whether it runs, or a node may take it; without any node it waits for new ones."""
        takes, avoid = running.takes, running.attempt.avoid
        fits = (
            takes["num_cpus"] <= node.cpus
            and takes.get("num_gpus", 0) <= node.gpus
            and takes.get("memory", 0) <= node.memory_bytes
            for name, node in self._link.nodes.items()
            if name not in avoid
        )
        return bool(running.node) or not self.hosts or any(fits)

    def _fitting(self, node: Node) -> int:
        """How many attempts a node takes at a time."""
        fits = node.cpus / self._cpus
        if self._gpus:
            # Ray does not spread the share of one attempt over several cards.
            fits = min(fits, node.gpus * (1 // self._gpus) if self._gpus <= 1 else node.gpus // self._gpus)
        return int(fits)

    def _take(self, event: Event) -> list[Ended]:
        """The attempts that end with an event."""
        number = str(event.get("id", ""))
        match event["event"]:
            case "nodes":
                unfit = [number for number, running in self._running.items() if not self._can_run(running)]
                for number in unfit:
                    self._link.drop(number)
                return [self._lose(number, "node", "no node is left that it fits on") for number in unfit]
            case "gone":
                return [self._lose(number, "node", "the cluster is gone") for number in [*self._running]]
            case "frame" if number in self._running:
                self._read(self._running[number], str(event["text"]))
            case "ended" if number in self._running:
                return [self._end(number)]
            case "lost" if number in self._running:
                return [self._lose(number, str(event["kind"]), str(event["why"]))]
        return []

    def _read(self, running: _Running, text: str) -> None:
        """Take in a frame of ``node_run``; one that makes no sense is left out."""
        with suppress(ValueError, KeyError, TypeError, AttributeError, RecursionError):
            kind, value = json.loads(text)
            match kind:
                case "node":
                    running.node = self._link.node_name(str(value))
                    running.begun_s, running.progress = time.monotonic(), JobProgress()
                case "progress":
                    stage = printable(str(value["stage"]), 40)
                    running.progress = JobProgress(
                        stage, number_of(value["percent"], 100.0), number_of(value["left_s"])
                    )
                case "end":
                    report = value["report"]
                    running.ended = Ended(
                        running.attempt,
                        status_of(value["exit_status"]),
                        report if isinstance(report, dict) else None,
                        printable(str(value["error"]), LONGEST_ERROR),
                        running.node,
                        number_of(value["wall_s"]) or 0.0,
                        number_of(value["cpu_s"]) or 0.0,
                        mib_of(value["peak_mib"]),
                    )
                    _keep_log(running.attempt, str(value["log"]))

    def _end(self, number: str) -> Ended:
        running = self._running[number]
        if running.ended is None:
            return self._lose(number, "failed", "its end was not understood")
        del self._running[number]
        return running.ended

    def _lose(self, number: str, kind: str, why: str) -> Ended:
        """The end of an attempt of which only the cluster tells."""
        running = self._running.pop(number)
        status = {"cancelled": INTERRUPTED, "memory": _KILLED, "failed": NOT_SET_UP}.get(kind)
        wall_s = time.monotonic() - running.begun_s if running.node else 0.0
        return Ended(running.attempt, status, None, printable(why, LONGEST_ERROR), running.node, wall_s)


def _keep_log(attempt: Attempt, text: str) -> None:
    """Append what the run said to the log of the attempt; a full disk is told by the results file."""
    if not text:
        return
    with suppress(OSError):
        descriptor = own_file(attempt.log, os.O_WRONLY | os.O_CREAT | os.O_APPEND)
        with os.fdopen(descriptor, "ab") as file:
            lines = "".join(f"{plain_line(line)}\n" for line in text.splitlines())
            file.write(lines.encode(errors="backslashreplace")[:LARGEST_LOG])
