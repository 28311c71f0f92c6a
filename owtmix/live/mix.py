"""Mixes a room while it is recorded: ``python -m owtmix.live.mix FOLDER``.

The folder of the room has all state, so this may be killed at any moment and run again: it goes on after the last
finished chunk. It ends when the file ``live/stop`` says that nothing more is recorded, and all that was is composed:
``live/result.json`` says what became of it.
"""

from __future__ import annotations

import argparse
import logging
import os
import sys
import time
from pathlib import Path

from owtmix.base.errors import MixError, RenderError
from owtmix.jobfile.settings import Settings
from owtmix.jobfile.settings_file import read_settings, settings_file
from owtmix.live.live_mix import LiveMix
from owtmix.live.mix_folder import MixFolder
from owtmix.live.tasks import IMPORTS
from owtmix.recorder.room_folder import RoomFolder
from owtmix.storage import disk_error
from owtmix.workers.file_access import FileAccess
from owtmix.workers.limits import worker_limits
from owtmix.workers.local import WorkerPool
from owtmix.workers.process_flags import protect_memory
from owtmix.workers.worker_process import ForkServer

_log = logging.getLogger(__name__)


def mix(root: Path, settings: Settings) -> None:
    """Mix the room in the folder ``root``, unless that is done.

    Raises:
        MixError: the mix cannot go on.
    """
    room = RoomFolder(root)
    try:
        live = MixFolder(room.root)
        with live.locked():
            if live.is_finished:
                return
            access = FileAccess().adding(read=[room.journals, live.images], write=[live.bench])
            limits = worker_limits(settings)
            with WorkerPool(1, limits, _log.warning, access, ForkServer(IMPORTS)) as pool:
                result = LiveMix(room, live, settings, pool, lambda: time.time_ns() // 1000).run()
            live.finish(result)
    except OSError as error:
        raise disk_error(room.root, error) from error


def main() -> None:
    """Run the command line and exit with its status."""
    protect_memory()
    os.umask(0o077)
    logging.basicConfig(level=logging.INFO, format="%(asctime)s %(levelname)s: %(message)s", stream=sys.stderr)
    parser = argparse.ArgumentParser("python -m owtmix.live.mix", description="Mix a room while it is recorded.")
    parser.add_argument("folder", type=Path, metavar="FOLDER", help="the folder of the room")
    arguments = parser.parse_args()
    try:
        mix(arguments.folder, read_settings(settings_file()))
    except MixError as error:
        _log.error("%s", error)
        sys.exit(error.exit_status)
    except Exception:  # noqa: BLE001 - whoever started it reads the log
        _log.exception("mixing failed")
        sys.exit(RenderError.exit_status)


if __name__ == "__main__":
    main()
