"""Delivers the callbacks that jobs left: ``owt-main --resend --all``, at most once a minute, and once at the end."""

from __future__ import annotations

import logging
import select
import time
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Final

from owtmix.batch.attempt import Ended
from owtmix.batch.child_run import ChildRun
from owtmix.batch.command import Program
from owtmix.batch.night import Status
from owtmix.batch.policy import INTERRUPTED

_log = logging.getLogger(__name__)

EVERY_S: Final = 60.0
LAST_S: Final = 300.0
"""How long the last one may take."""
_LOOK_S: Final = 0.25


class Resending:
    """A watcher that runs one sender at a time."""

    def __init__(self, program: Program, log: Path, clock: Callable[[], float] = time.monotonic) -> None:
        self._program = program
        self._log = log
        self._clock = clock
        self._run: ChildRun | None = None
        self._next_s = float("-inf")
        self._are_left = False

    @property
    def is_sending(self) -> bool:
        """Whether one runs."""
        return self._run is not None

    def hear(self, ended: Ended) -> None:
        """A job has ended."""
        callbacks = ended.report.get("callbacks") if ended.report else None
        left = callbacks.get("left") if isinstance(callbacks, Mapping) else None
        self._are_left = self._are_left or (type(left) is int and left > 0)

    def look(self, status: Callable[[], Status]) -> None:  # noqa: ARG002 - a watcher
        """Begin one, if it is time to; take the end of the one that ran."""
        if self._run is None:
            if self._are_left and self._clock() >= self._next_s:
                self._begin()
        elif self._has_ended(0):
            self._take_end()

    def finish(self, is_stopped: Callable[[], bool]) -> None:
        """Send what is left at the end, unless ``is_stopped``."""
        until_s = time.monotonic() + LAST_S
        while (self._run or self._are_left) and not is_stopped() and time.monotonic() < until_s:
            if self._run is None:
                self._begin()
            elif self._has_ended(_LOOK_S):
                self._take_end()
        self.close()

    def close(self) -> None:
        """End the one that runs: what it did not send stays in the outboxes."""
        if self._run:
            self._run.stop()
            if not self._has_ended(1.0):
                self._run.kill()
            self._take_end()

    def _begin(self) -> None:
        self._are_left = False
        self._next_s = self._clock() + EVERY_S
        try:
            self._run = ChildRun(self._program.resending(), self._log, title="callbacks")
        except OSError as error:
            _log.warning("callbacks cannot be sent: %s", error.strerror)

    def _has_ended(self, timeout_s: float) -> bool:
        """Whether the sender has ended, after waiting for that; what it says is read meanwhile."""
        assert self._run
        waiting = select.poll()
        waiting.register(self._run.pidfd, select.POLLIN)
        has_ended = bool(waiting.poll(timeout_s * 1000))
        for pipe in self._run.pipes:
            self._run.read(pipe)
        return has_ended

    def _take_end(self) -> None:
        run, self._run = self._run, None
        if run and (end := run.finish()).exit_status not in {0, INTERRUPTED}:
            _log.warning("callbacks are left, owt-main --resend --all sends them later: %s", end.error)
