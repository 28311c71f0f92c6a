"""The live view of a terminal: a row for each running job, and one for the whole. Elsewhere lines."""

from __future__ import annotations

import logging
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from itertools import islice
from typing import Final

from rich.console import Console, Group
from rich.live import Live
from rich.progress_bar import ProgressBar
from rich.table import Table
from rich.text import Text

from owtmix.base.plain_text import plain_line
from owtmix.base.terminal import owns_terminal
from owtmix.batch.attempt import JobProgress
from owtmix.batch.lines import EVERY_S, clock, describe
from owtmix.batch.night import Status, Watcher
from owtmix.batch.outlet import is_held_up
from owtmix.batch.silence import SHOWN_S

_log = logging.getLogger(__name__)

_REDRAW_S: Final = 0.25
_WIDE: Final = 60
"""Columns from which there is room for bars."""
_VERY_WIDE: Final = 90
"""Columns from which there is room for stages."""
_OTHER_ROWS: Final = 4


@contextmanager
def show_progress(*, quiet: bool) -> Iterator[Watcher]:
    """Show the live view if this process is in the foreground of a terminal, else lines; nothing if ``quiet``."""
    if quiet:
        yield _Nothing()
    elif owns_terminal():
        view = LiveView()
        view.live.start()
        try:
            yield view
        finally:
            with suppress(OSError):  # the terminal is gone
                view.live.stop()
    else:
        yield _Lines()


class _Nothing:
    def look(self, status: Callable[[], Status]) -> None:
        pass


class _Lines:
    """Logs a line every ``EVERY_S`` seconds."""

    def __init__(self) -> None:
        self._next_s = time.monotonic() + EVERY_S

    def look(self, status: Callable[[], Status]) -> None:
        now_s = time.monotonic()
        if now_s >= self._next_s:
            self._next_s = now_s + EVERY_S
            _log.info("%s", describe(status()))


class _Terminal(Console):
    def show_cursor(self, show: bool = True) -> bool:  # noqa: ARG002
        """Never hide the cursor: a killed batch could not show it again."""
        return False


class LiveView:
    """Redraws at most every ``_REDRAW_S`` seconds. Text written to ``sys.stderr`` appears above it."""

    def __init__(self) -> None:
        self._console = _Terminal(stderr=True)
        self.live = Live(
            console=self._console, auto_refresh=False, transient=True, redirect_stdout=False, vertical_overflow="crop"
        )
        self._next_s = 0.0

    def look(self, status: Callable[[], Status]) -> None:
        """Draw, if it is time to."""
        now_s = time.monotonic()
        if now_s < self._next_s:
            return
        self._next_s = now_s + _REDRAW_S
        if owns_terminal() and not is_held_up():
            width, height = self._console.size
            with suppress(OSError):  # the terminal has just gone
                self.live.update(draw(status(), width, height), refresh=True)


def draw(status: Status, width: int, height: int) -> Group:
    """The view in ``width`` columns and at most ``height`` rows."""
    rows = max(1, height - _OTHER_ROWS)
    grid = Table.grid(padding=(0, 1), expand=True)
    grid.add_column(no_wrap=True, overflow="ellipsis", ratio=1)
    if width >= _VERY_WIDE:
        grid.add_column(no_wrap=True, overflow="ellipsis", width=16)
    if width >= _WIDE:
        grid.add_column(width=max(10, width // 4))
    grid.add_column(justify="right", no_wrap=True, width=5)
    grid.add_column(justify="right", no_wrap=True, width=9)
    for name, progress in islice(status.running.items(), rows):
        _add(grid, width, plain_line(name), progress)
    hidden = len(status.running) - rows
    if hidden > 0:
        _add(grid, width, f"and {hidden:,} more", JobProgress())
    words = f"{status.done:,} done, {status.failed:,} failed, {status.waiting:,} waiting"
    _add(grid, width, "draining" if status.is_draining else "all", JobProgress("", status.part * 100, status.left_s))
    return Group(Text(words, no_wrap=True, overflow="ellipsis"), grid)


def _add(grid: Table, width: int, name: str, progress: JobProgress) -> None:
    percent = progress.percent
    silent = f"silent for {progress.silent_s:.0f} s" if progress.silent_s > SHOWN_S else ""
    if silent and width < _VERY_WIDE:
        name = f"{silent}: {name}"
    cells: list[Text | ProgressBar] = [Text(name)]
    if width >= _VERY_WIDE:
        cells.append(Text(silent or progress.stage))
    if width >= _WIDE:
        cells.append(ProgressBar(total=100, completed=percent) if percent is not None else Text())
    cells += [
        Text(f"{int(percent)} %" if percent is not None else ""),
        Text(clock(progress.left_s) if progress.left_s is not None else ""),
    ]
    grid.add_row(*cells)
