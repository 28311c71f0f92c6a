"""SIGINT, SIGTERM and SIGHUP stop the run within two seconds, whatever the process does.

The first of them raises ``Interrupted`` in the main thread. If that does not end the process, because the main thread
is blocked in a library or in a full pipe, the watchdog, a thread, ends it. If a call of C code holds the interpreter,
so that no thread runs, the guard, a process, kills it.
"""

from __future__ import annotations

import atexit
import os
import select
import signal
import threading
import time
from contextlib import suppress
from types import FrameType
from typing import Final

from owtmix.base.cleanup import TemporaryPaths
from owtmix.base.errors import Interrupted
from owtmix.cli.guard import Guard

DEADLINE_S: Final = 2.0
"""Longest time from the first signal to the end of the process, in seconds."""

_REQUESTS: Final = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)
_CLEANUP_S: Final = 0.3
"""Share of it that the watchdog reserves for removing files, and once more for the exit of the process."""
_KILL_S: Final = DEADLINE_S - 0.2
"""When the guard kills the process: after the watchdog, with time to free the memory."""
_NOTICED_S: Final = 0.05
"""Until then the main thread has noticed the first signal, unless it is blocked or sleeping."""
_ONE_REQUEST_S: Final = 0.5
"""Signals within this time are one request: ``timeout`` and shells send one to the process and one to its group."""


def watch_signals(scratch: TemporaryPaths) -> Guard:
    """Raise ``Interrupted`` in the main thread on the first SIGINT, SIGTERM or SIGHUP, until the guard is settled.

    If the process has not ended shortly before ``DEADLINE_S``, or at once when another of these signals arrives, a
    watchdog thread removes the files in ``scratch`` and ends it with status 130. If no thread can run, the guard, which
    is returned, kills the process. Signals that were ignored when the process started (``nohup``, ``&`` in a script)
    stay ignored. Must be called once, from the main thread, before other threads start.
    """
    signal.pthread_sigmask(signal.SIG_UNBLOCK, _REQUESTS)  # a program may have started this one with them blocked
    watched = {s for s in _REQUESTS if signal.getsignal(s) != signal.SIG_IGN}
    raised = threading.Event()

    def interrupt(number: int, _frame: FrameType | None) -> None:
        if not (raised.is_set() or guard.is_settled):
            raised.set()
            if number == signal.SIGTERM and guard.has_lost():
                raise Interrupted("stopped: the process that --parent names has ended")
            raise Interrupted(f"stopped by {signal.Signals(number).name}")

    # The C handler itself writes to this pipe, so the others wake even while no Python handler runs.
    guard = Guard(watched, _KILL_S)
    atexit.register(guard.end)
    signal.set_wakeup_fd(guard.writer, warn_on_full_buffer=False)
    for number in watched:
        signal.signal(number, interrupt)
    watchdog = threading.Thread(target=_watchdog, args=(guard, watched, raised, scratch), name="watchdog", daemon=True)
    with suppress(RuntimeError):  # there are too many threads, which is said when a worker is needed
        watchdog.start()
    return guard


def _watchdog(guard: Guard, watched: set[signal.Signals], raised: threading.Event, scratch: TemporaryPaths) -> None:
    number = _wait(guard.readers, watched, None)
    first_s = time.monotonic()
    if not raised.wait(_NOTICED_S):
        # Of several signals at once another thread may take all, while the main thread goes on sleeping.
        signal.pthread_kill(threading.main_thread().ident or 0, number)
    while (left_s := first_s + DEADLINE_S - 2 * _CLEANUP_S - time.monotonic()) > 0:
        if _wait(guard.readers, watched, left_s) and time.monotonic() > first_s + _ONE_REQUEST_S:
            break
    cleanup = threading.Thread(target=scratch.remove_all, name="cleanup", daemon=True)
    cleanup.start()
    cleanup.join(_CLEANUP_S)
    guard.end()
    os._exit(Interrupted.exit_status)


def _wait(readers: list[int], watched: set[signal.Signals], timeout_s: float | None) -> int:
    """Wait for one of ``watched`` in the first of the pipes ``readers``, or in the next one when it ends; 0 if none."""
    ready, _, _ = select.select(readers[:1], (), (), timeout_s)
    if not ready:
        return 0
    data = os.read(readers[0], 1)
    if not data:
        readers.pop(0)
        return _wait(readers, watched, timeout_s)
    return data[0] if data[0] in watched else _wait(readers, watched, timeout_s)
