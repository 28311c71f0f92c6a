"""Where the state of all jobs is kept: logs, work folders, outboxes."""

from __future__ import annotations

import os
import tempfile
from collections.abc import Mapping
from pathlib import Path

from owtmix.jobfile.settings import INSTALLATION, is_checkout


def state_folder(installation: Path = INSTALLATION, environment: Mapping[str, str] = os.environ) -> Path:
    """Where ``logs/`` and ``work/`` go: a checkout that can be written, else the user's state folder.

    A folder of the user's own in the temporary folder is the last resort; one that somebody else made there first
    is not trusted.
    """
    if is_checkout(installation) and _takes_folders(installation):
        return installation
    home = environment.get("XDG_STATE_HOME") or Path(environment.get("HOME", "/nonexistent")) / ".local" / "state"
    for folder in (Path(home) / "owtmix", Path(tempfile.gettempdir()) / f"owtmix-{os.getuid()}"):
        if _takes_folders(folder) and folder.lstat().st_uid == os.getuid():
            return folder
    return Path(tempfile.mkdtemp(prefix="owtmix-"))


def _takes_folders(folder: Path) -> bool:
    """Whether ``logs`` and ``work`` are, or can be made, in ``folder`` and can be written."""
    try:
        folder.mkdir(mode=0o700, parents=True, exist_ok=True)
        for name in ("logs", "work"):
            (folder / name).mkdir(exist_ok=True)
    except OSError:
        return False
    return all(os.access(folder / name, os.W_OK | os.X_OK) for name in ("logs", "work"))
