"""Log lines of the batch on standard error, and the live view or a line every few seconds."""

from __future__ import annotations

import logging
import sys
import time
from typing import Final

from owtmix.base.plain_text import plain_message
from owtmix.base.strict_json import printable
from owtmix.base.wording import some
from owtmix.batch.night import LONGEST_ID, Status
from owtmix.batch.silence import SHOWN_S

_log = logging.getLogger(__name__)
EVERY_S: Final = 5.0
_MOST_SILENT: Final = 3


def show_lines(threshold: int) -> None:
    """Show log records of at least level ``threshold`` as lines on standard error."""
    handler = _Lines(threshold)
    root = logging.getLogger()
    root.handlers[:] = [handler]
    root.setLevel(logging.WARNING)
    logging.getLogger("owtmix").setLevel(logging.DEBUG)


class _Lines(logging.Handler):
    """Writes to the current ``sys.stderr``, which a live view replaces while it is shown."""

    def emit(self, record: logging.LogRecord) -> None:
        try:
            text = plain_message(record.getMessage())
            if record.levelno != logging.INFO:
                text = f"{record.levelname.lower()}: {text}"
            if not sys.stderr.isatty():
                text = f"{time.strftime('%Y-%m-%d %H:%M:%S')} {text}"
            sys.stderr.write(f"{text}\n")
            sys.stderr.flush()
        except (OSError, ValueError, AttributeError):  # a closed standard error does not stop the batch
            pass


def describe(status: Status) -> str:
    """``12 done, 1 failed, 2 running, 85 waiting, 23 %, 0:04:10 left``."""
    words = (
        f"{status.done:,} done, {status.failed:,} failed, {len(status.running):,} running, {status.waiting:,} waiting"
    )
    left = f", {clock(status.left_s)} left" if status.left_s is not None else ""
    part = f"{status.part:.0%}".replace("%", " %")
    silent = [
        f"{printable(name, LONGEST_ID)} silent for {progress.silent_s:.0f} s"
        for name, progress in status.running.items()
        if progress.silent_s > SHOWN_S
    ]
    more = f", {some(silent, _MOST_SILENT)}" if silent else ""
    return f"{words}, {part}{left}{', draining' if status.is_draining else ''}{more}"


def clock(seconds: float) -> str:
    """Hours, minutes and seconds."""
    minutes, second = divmod(round(min(seconds, 10**7)), 60)
    hours, minute = divmod(minutes, 60)
    return f"{hours}:{minute:02}:{second:02}"
