"""The entry point of ``owt-main``."""

from __future__ import annotations

import logging
import os
import sys
from typing import NoReturn

from owtmix.base.cleanup import TemporaryPaths
from owtmix.base.errors import Interrupted
from owtmix.cli.arguments import read_arguments
from owtmix.cli.signals import watch_signals
from owtmix.workers.sandbox import protect_memory

_log = logging.getLogger(__name__)


def _use_utf8() -> None:
    """Start again in UTF-8 mode where the locale cannot express all names of files."""
    if sys.getfilesystemencoding() != "utf-8" and os.environ.get("PYTHONUTF8") != "1":
        os.environ["PYTHONUTF8"] = "1"
        os.execv(sys.executable, sys.orig_argv)  # noqa: S606 - the same command again


def main() -> NoReturn:
    """Run the command line and exit with its status."""
    _use_utf8()
    protect_memory()  # before the guard, which is a copy of this process
    scratch = TemporaryPaths()
    guard = watch_signals(scratch)
    try:
        try:
            arguments = read_arguments(sys.argv[1:])
            if arguments.parent:
                guard.follow(arguments.parent)
            # Imported here: wrong arguments are reported without loading the media libraries.
            from owtmix.cli.commands import run_command  # noqa: PLC0415

            status = run_command(arguments, scratch)
        finally:
            scratch.remove_all()
    except Interrupted as error:  # before the command has begun, and while files are removed
        _log.error("%s", error)
        status = error.exit_status
    sys.exit(status)
