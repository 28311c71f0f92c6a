"""Ctrl-C, SIGTERM and SIGHUP: the run stops within two seconds, whatever it is doing."""

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
"""From the first signal to the end of the process, at the latest."""

_SWEEP_S: Final = 0.3
"""What the watchdog keeps of that for removing files, and for the process to end."""


def watch_signals(scratch: TemporaryPaths) -> None:
    """From now on, the first SIGINT, SIGTERM or SIGHUP raises ``Interrupted`` in the main thread.

    Later ones change nothing. A process that has not ended shortly before ``DEADLINE_S`` is ended with status 130,
    after ``scratch`` was swept. Signals that were ignored when the process started (``nohup``, ``&`` in a script)
    stay ignored. To be called once, from the main thread.
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
    # Python writes here in the C handler itself, so the watchdog wakes even while the main thread is held up in a
    # library, where no Python handler runs.
    reader, writer = os.pipe()
    os.set_blocking(writer, False)
    signal.set_wakeup_fd(writer, warn_on_full_buffer=False)
    threading.Thread(target=_end_in_time, args=(reader, watched, scratch), name="watchdog", daemon=True).start()


def _end_in_time(reader: int, watched: set[signal.Signals], scratch: TemporaryPaths) -> None:
    while os.read(reader, 1)[0] not in watched:
        pass
    time.sleep(DEADLINE_S - 2 * _SWEEP_S)
    sweeper = threading.Thread(target=scratch.remove_all, name="sweeper", daemon=True)
    sweeper.start()
    sweeper.join(_SWEEP_S)
    os._exit(Interrupted.exit_status)
