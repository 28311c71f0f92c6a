"""The progress of a job as a bar on a terminal."""

from __future__ import annotations

import threading
import time
from contextlib import suppress
from fractions import Fraction
from typing import Final, Self

from rich.console import Console
from rich.progress import BarColumn, TaskID, TextColumn
from rich.progress import Progress as Bars

from owtmix.base.progress import ZERO, Unit
from owtmix.base.terminal import owns_terminal
from owtmix.cli.progress_shown import Speed

_REDRAW_S: Final = 0.1


class _Terminal(Console):
    def show_cursor(self, show: bool = True) -> bool:  # noqa: ARG002
        """Never hide the cursor: a killed run could not show it again."""
        return False


class ProgressBar:
    """A bar for the current stage, redrawn at most every ``_REDRAW_S`` seconds and only in the foreground.

    While it is shown, text written to ``sys.stderr`` appears above it.
    """

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._bars = Bars(
            TextColumn("{task.description}", markup=False),
            BarColumn(bar_width=None),
            TextColumn("{task.fields[speed]}", markup=False),
            console=_Terminal(stderr=True),
            auto_refresh=False,
            transient=True,
            redirect_stdout=False,
            expand=True,
        )
        self._task: TaskID | None = None
        self._speed: Speed | None = None
        self._next_s = 0.0

    def __enter__(self) -> Self:
        self._bars.start()
        return self

    def __exit__(self, *_: object) -> None:
        with suppress(OSError):  # the terminal is gone
            self._bars.stop()

    def stage(self, name: str, total: Fraction | None, unit: Unit = "s", done: Fraction = ZERO) -> None:
        now_s = time.monotonic()
        with self._lock:
            if self._task is not None:
                self._bars.remove_task(self._task)
            self._task = self._bars.add_task(name, total=float(total) if total else None, speed="")
            self._speed = Speed(total, now_s, unit, done) if total else None
            self._draw(now_s)

    def advance(self, done: Fraction) -> None:
        now_s = time.monotonic()
        with self._lock:
            if self._task is None or self._speed is None or now_s < self._next_s:
                return
            self._bars.update(self._task, completed=float(done), speed=self._speed.describe(done, now_s))
            self._draw(now_s)

    def _draw(self, now_s: float) -> None:
        self._next_s = now_s + _REDRAW_S
        if owns_terminal():
            with suppress(OSError):
                self._bars.refresh()
