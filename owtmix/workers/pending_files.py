"""Files that are still being fetched: the parent marks them, workers wait for them.

A mark is a file in the same folder: ``.NAME.coming`` while the file is pending, ``.NAME.gone`` when it will never
appear, ``.NAME.version`` with the version of one that was fetched.
"""

from __future__ import annotations

import time
from collections.abc import Callable
from pathlib import Path
from typing import Final

from owtmix.base.file_version import file_version, is_unchanged
from owtmix.base.own_files import make_own, read_own, write_whole

MOST_VERSION_BYTES: Final = 200
_POLL_S: Final = 0.1


def mark_pending(path: Path) -> None:
    """Mark that ``path`` will appear."""
    _mark(path, "gone").unlink(missing_ok=True)
    make_own(_mark(path, "coming"))


def mark_fetched(path: Path) -> None:
    """Mark that ``path`` has been fetched, and with which version.

    Raises:
        OSError: it is not there, or the disk takes no more.
    """
    write_whole(_mark(path, "version"), file_version(path).encode())
    unmark(path)


def unmark(path: Path) -> None:
    """Mark that no worker has to wait for ``path``."""
    for what in ("gone", "coming"):
        _mark(path, what).unlink(missing_ok=True)


def fetched_version(path: Path) -> str | None:
    """The version that ``path`` had when it was fetched; None when it was not."""
    try:
        return read_own(_mark(path, "version"), MOST_VERSION_BYTES).decode()
    except (OSError, UnicodeDecodeError):
        return None


def is_as_fetched(path: Path) -> bool:
    """Whether ``path`` is there as it was fetched; one without a version, of a run that was killed, gets it now.

    Raises:
        OSError: the disk takes no more.
    """
    version = fetched_version(path)
    if version is None and path.is_file():
        mark_fetched(path)
        return True
    return version is not None and is_unchanged(path, version)


def remove_fetched(path: Path) -> None:
    """Remove a file that was fetched."""
    _mark(path, "version").unlink(missing_ok=True)
    path.unlink(missing_ok=True)


def mark_missing(path: Path) -> None:
    """Mark that ``path`` will never appear."""
    make_own(_mark(path, "gone"))
    _mark(path, "coming").unlink(missing_ok=True)


def wait_for_file(path: Path, heartbeat: Callable[[], None]) -> bool:
    """Wait while ``path`` is pending; returns False when it will never appear. Calls ``heartbeat`` while it waits."""
    coming = _mark(path, "coming")
    while coming.exists():
        heartbeat()
        time.sleep(_POLL_S)
    return not _mark(path, "gone").exists()


def _mark(path: Path, what: str) -> Path:
    return path.with_name(f".{path.name}.{what}")
