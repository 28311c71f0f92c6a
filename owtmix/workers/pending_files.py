"""Files that are still being fetched: the parent marks them, workers wait for them.

A mark is an empty file in the same folder: ``.NAME.coming`` while the file is pending, ``.NAME.gone`` when it will
never appear.
"""

from __future__ import annotations

import time
from collections.abc import Callable
from pathlib import Path
from typing import Final

from owtmix.base.own_files import make_own

_POLL_S: Final = 0.1


def mark_pending(path: Path) -> None:
    """Mark that ``path`` will appear."""
    _mark(path, "gone").unlink(missing_ok=True)
    make_own(_mark(path, "coming"))


def mark_ready(path: Path) -> None:
    """Remove the marks of ``path``: the file exists, or no worker has to wait for it."""
    for what in ("gone", "coming"):
        _mark(path, what).unlink(missing_ok=True)


def mark_missing(path: Path) -> None:
    """Mark that ``path`` will never appear."""
    make_own(_mark(path, "gone"))
    _mark(path, "coming").unlink(missing_ok=True)


def wait_for_file(path: Path, heartbeat: Callable[[], None]) -> bool:
    """Wait while ``path`` is pending; returns False when it will never appear. Calls ``heartbeat`` while it waits."""
    coming = _mark(path, "coming")
    while coming.exists() and not path.exists():
        heartbeat()
        time.sleep(_POLL_S)
    return not _mark(path, "gone").exists()


def _mark(path: Path, what: str) -> Path:
    return path.with_name(f".{path.name}.{what}")
