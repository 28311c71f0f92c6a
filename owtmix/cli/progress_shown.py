"""Progress of a job: a bar on a terminal, otherwise a log line every few seconds."""

from __future__ import annotations

import logging
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from fractions import Fraction
from typing import Final

from owtmix.base.progress import ZERO, NoProgress, Progress, Unit
from owtmix.base.terminal import owns_terminal

_log = logging.getLogger(__name__)

_LINE_S: Final = 5.0


@contextmanager
def show_progress(*, quiet: bool) -> Iterator[Progress]:
    """Show a bar if this process is in the foreground of a terminal, else log lines; nothing if ``quiet``."""
    if quiet:
        yield NoProgress()
    elif owns_terminal():
        from owtmix.cli.progress_bar import ProgressBar  # noqa: PLC0415 - it takes long to load

        with ProgressBar() as bar:
            yield bar
    else:
        yield _Lines()


@dataclass(slots=True)
class Speed:
    """Speed of a stage that began at ``since_s`` of the monotonic clock, with ``before`` done already."""

    total: Fraction
    since_s: float
    unit: Unit = "s"
    before: Fraction = ZERO

    def describe(self, done: Fraction, now_s: float) -> str:
        """Percent, speed as a multiple of real time or in MB/s, and time left: ``42 %  3.1x  0:12 left``."""
        percent = f"{int(100 * done / self.total):3d} %"
        elapsed_s = now_s - self.since_s
        rate = float(done - self.before) / elapsed_s if elapsed_s > 0 else 0.0
        if rate <= 0:
            return percent
        shown = {"s": f"{rate:.1f}x", "bytes": f"{rate / 1e6:.1f} MB/s", "files": f"{rate:.1f}/s"}[self.unit]
        return f"{percent}  {shown}  {_clock(float(self.total - done) / rate)} left"


def _clock(seconds: float) -> str:
    minutes, second = divmod(round(seconds), 60)
    hours, minute = divmod(minutes, 60)
    return f"{hours}:{minute:02}:{second:02}" if hours else f"{minute}:{second:02}"


class _Lines:
    """Logs a line every ``_LINE_S`` seconds."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._name = ""
        self._speed: Speed | None = None
        self._next_s = 0.0

    def stage(self, name: str, total: Fraction | None, unit: Unit = "s", done: Fraction = ZERO) -> None:
        now_s = time.monotonic()
        with self._lock:
            self._name = name
            self._speed = Speed(total, now_s, unit, done) if total else None
            self._next_s = now_s + _LINE_S

    def advance(self, done: Fraction) -> None:
        now_s = time.monotonic()
        with self._lock:
            if self._speed is None or now_s < self._next_s:
                return
            self._next_s = now_s + _LINE_S
            line = f"{self._name}: {self._speed.describe(done, now_s).strip()}"
        _log.info(line)
