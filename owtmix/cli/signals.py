"""SIGINT, SIGTERM and SIGHUP stop the run within two seconds, even if the main thread is blocked in a library."""

from __future__ import annotations

import os
import signal
import threading
import time
from types import FrameType
from typing import Final

from owtmix.base.cleanup import TemporaryPaths
from owtmix.base.errors import Interrupted

DEADLINE_S: Final = 2.0
"""Longest time from the first signal to the end of the process, in seconds."""

_CLEANUP_S: Final = 0.3
"""Share of it that the watchdog reserves for removing files, and once more for the exit of the process."""


def watch_signals(scratch: TemporaryPaths) -> None:
    """Raise ``Interrupted`` in the main thread on the first SIGINT, SIGTERM or SIGHUP; ignore later ones.

    If the process has not ended shortly before ``DEADLINE_S``, a watchdog thread removes the files in ``scratch`` and
    ends it with status 130. Signals that were ignored when the process started (``nohup``, ``&`` in a script) stay
    ignored. Must be called once, from the main thread.
    """
    watched = {s for s in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP) if signal.getsignal(s) != signal.SIG_IGN}
    raised = False

    def interrupt(number: int, _frame: FrameType | None) -> None:
        nonlocal raised
        if not raised:
            raised = True
            raise Interrupted(f"stopped by {signal.Signals(number).name}")

    for number in watched:
        signal.signal(number, interrupt)
    # The C handler itself writes to this pipe, so the watchdog wakes even while the main thread is blocked in a
    # library, where no Python handler runs.
    reader, writer = os.pipe()
    os.set_blocking(writer, False)
    signal.set_wakeup_fd(writer, warn_on_full_buffer=False)
    threading.Thread(target=_watchdog, args=(reader, watched, scratch), name="watchdog", daemon=True).start()


def _watchdog(reader: int, watched: set[signal.Signals], scratch: TemporaryPaths) -> None:
    while os.read(reader, 1)[0] not in watched:
        pass
    time.sleep(DEADLINE_S - 2 * _CLEANUP_S)
    cleanup = threading.Thread(target=scratch.remove_all, name="cleanup", daemon=True)
    cleanup.start()
    cleanup.join(_CLEANUP_S)
    os._exit(Interrupted.exit_status)
