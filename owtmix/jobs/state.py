"""Where the state of all jobs is kept: logs, work folders, outboxes, measurements, kernels, locks."""

from __future__ import annotations

import os
import tempfile
from collections.abc import Mapping
from contextlib import suppress
from functools import cache
from pathlib import Path
from typing import Final

from owtmix.base.own_files import FOLDER_MODE
from owtmix.jobfile.settings_file import INSTALLATION, is_checkout

LOGS: Final = "logs"
WORK: Final = "work"
PROBES: Final = "probes"
"""The folder of measurements."""
KERNELS: Final = "kernels"
"""The folder of compiled kernels."""
UPLOADS: Final = "uploads"
"""The folder of the ids of unfinished uploads."""
STATE_FOLDERS: Final = (LOGS, WORK, PROBES, KERNELS, UPLOADS, "outbox", "locks")
"""What runs keep there, and remove."""


def state_folder(installation: Path = INSTALLATION, environment: Mapping[str, str] = os.environ) -> Path:
    """Where ``logs/`` and ``work/`` go: a checkout that can be written, else the user's state folder.

    A folder of the user's own in the temporary folder is the last resort; one that somebody else made there first
    is not trusted.
    """
    if is_checkout(installation) and _takes_folders(installation):
        return installation
    home = environment.get("XDG_STATE_HOME") or Path(environment.get("HOME", "/nonexistent")) / ".local" / "state"
    for folder in (Path(home) / "owtmix", Path(tempfile.gettempdir()) / f"owtmix-{os.getuid()}"):
        if _is_own(folder) and _takes_folders(folder):
            return folder
    return _last_resort()


@cache
def _last_resort() -> Path:
    return Path(tempfile.mkdtemp(prefix="owtmix-"))


def _is_own(folder: Path) -> bool:
    """Whether ``folder`` is, or can be made, this user's; so is a link that this user made."""
    try:
        with suppress(FileExistsError):
            folder.mkdir(mode=FOLDER_MODE, parents=True)
        return folder.lstat().st_uid == os.getuid()
    except OSError:
        return False


def _takes_folders(folder: Path) -> bool:
    """Whether ``logs`` and ``work`` are, or can be made, in ``folder`` and can be written.

    These two may be links to another disk, and open to a group: whoever installed the tool decides that.
    """
    try:
        for name in (LOGS, WORK):
            (folder / name).mkdir(mode=FOLDER_MODE, parents=True, exist_ok=True)
    except OSError:
        return False
    return all(os.access(folder / name, os.W_OK | os.X_OK) for name in (LOGS, WORK))
