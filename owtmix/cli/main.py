"""The entry point of ``owt-main``."""

from __future__ import annotations

import logging
import sys
from typing import NoReturn

from owtmix.base.cleanup import TemporaryPaths
from owtmix.base.errors import Interrupted
from owtmix.cli.arguments import read_arguments
from owtmix.cli.signals import watch_signals

_log = logging.getLogger(__name__)


def main() -> NoReturn:
    """Run the command line and exit with its status."""
    scratch = TemporaryPaths()
    watch_signals(scratch)
    try:
        arguments = read_arguments(sys.argv[1:])
        # Imported here: wrong arguments are reported without loading the media libraries.
        from owtmix.cli.commands import run_command  # noqa: PLC0415

        status = run_command(arguments, scratch)
    except Interrupted as error:
        _log.error("%s", error)
        status = error.exit_status
    finally:
        scratch.remove_all()
    sys.exit(status)
