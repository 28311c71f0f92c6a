"""The entry point of ``owt-server``."""

from __future__ import annotations

import asyncio
import logging
import os
import socket
import sys
from pathlib import Path
from typing import Final, NoReturn

from owtmix.base.errors import MixError, SetupError
from owtmix.base.standard_output import print_text
from owtmix.base.utf8_mode import use_utf8
from owtmix.jobfile.settings import Settings
from owtmix.jobfile.settings_file import read_settings, settings_file
from owtmix.jobs.state import state_folder
from owtmix.service.arguments import Arguments, Listener, read_arguments
from owtmix.service.check import missing_packages, notes, problems, with_media_addresses

_log = logging.getLogger(__name__)

STATE: Final = "service"
"""The folder of the service in the tool's state folder."""


def main() -> NoReturn:
    """Run the command line and exit with its status."""
    use_utf8()
    arguments = read_arguments(sys.argv[1:])
    logging.basicConfig(stream=sys.stderr, level=logging.INFO, format="%(asctime)s %(levelname)s %(message)s")
    try:
        sys.exit(_execute(arguments))
    except MixError as error:
        for line in str(error).splitlines():
            _log.error("%s", line)
        sys.exit(error.exit_status)


def _execute(arguments: Arguments) -> int:
    settings = read_settings(arguments.conf or settings_file())
    listener = arguments.listen or Listener.parse(settings.service.listen)
    if not settings.service.apps and not listener.is_loopback:
        raise SetupError(
            f"without apps every token is taken, so the service listens on loopback only, not at {listener}: "
            "name apps in [service] of the settings, or in OWT_APPS"
        )
    state = arguments.state or state_folder() / STATE
    if arguments.check:
        found = [*problems(settings.service, listener, state)]
        fine = f"nothing is wrong: the service can run at {listener} with its state in {state}"
        print_text("\n".join([*(found or [fine]), *notes(settings.service, listener, state)]))
        return SetupError.exit_status if found else 0
    if missing := missing_packages():
        raise SetupError(f"{missing}: not installed; install owtmix[service]")
    if not settings.service.apps:
        _log.warning("no apps are named: every token is taken")
    try:
        listening = listener.open()
    except OSError as error:
        raise SetupError(f"the service cannot listen at {listener}: {error.strerror}") from None
    with listening:
        _log.info("listening at http://%s:%d, state in %s", *listening.getsockname()[:2], state)
        for note in notes(settings.service, listener, state):
            _log.warning("%s", note)
        if arguments.conf:
            os.environ["OWT_CONF"] = str(arguments.conf.absolute())  # for the processes that it starts
        asyncio.run(_serve(with_media_addresses(settings, listener), state, listening))
    return 0


async def _serve(settings: Settings, state: Path, listening: socket.socket) -> None:
    from owtmix.service.server import Server  # noqa: PLC0415 - only the extra has what it needs

    await Server(settings, state).run(listening)
