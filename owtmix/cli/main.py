"""The entry point of ``owt-main``."""

from __future__ import annotations

import gc
import logging
import os
import sys
from contextlib import suppress
from typing import NoReturn

from owtmix.base.cleanup import TemporaryPaths
from owtmix.base.errors import Interrupted, MixError
from owtmix.base.utf8_mode import use_utf8
from owtmix.cli.arguments import read_arguments
from owtmix.cli.guard import Guard
from owtmix.cli.signals import watch_signals
from owtmix.jobs.worker_server import worker_server
from owtmix.workers.process_flags import protect_memory

_log = logging.getLogger(__name__)


def main() -> NoReturn:
    """Run the command line and exit with its status."""
    use_utf8()
    protect_memory()  # before the guard, which is a copy of this process
    scratch = TemporaryPaths()
    guard = watch_signals(scratch)
    try:
        try:
            arguments = read_arguments(sys.argv[1:])
            if arguments.parent:
                guard.follow(arguments.parent)
            # It imports while this process does, and before the job's secrets are read.
            with worker_server() as server:
                if arguments.uses_workers:
                    with suppress(MixError):  # what is short is said when a worker is needed
                        server.start()
                gc.disable()  # importing makes hardly any garbage
                # Imported here: wrong arguments are reported at once.
                from owtmix.cli.commands import run_command  # noqa: PLC0415

                gc.enable()
                status = run_command(arguments, scratch, server, guard.settle)
        finally:
            scratch.remove_all()
    except Interrupted as error:  # before the command has begun, and while files are removed
        _log.error("%s", error)
        status = error.exit_status
    guard.settle()
    _leave(status, guard)


def _leave(status: int, guard: Guard) -> NoReturn:
    """End the process, all of whose work is done: while an interpreter ends, a signal would change its status."""
    for stream in (sys.stdout, sys.stderr):
        with suppress(OSError, ValueError, AttributeError):  # what matters was written and flushed before
            stream.flush()
    guard.end()
    os._exit(status)
