"""Files that are still on their way: the parent promises them beside their places, and children wait for them."""

from __future__ import annotations

import time
from collections.abc import Callable
from pathlib import Path
from typing import Final

_LOOK_EVERY_S: Final = 0.1


def mark_pending(path: Path) -> None:
    """Say that ``path`` will be there."""
    _mark(path, "gone").unlink(missing_ok=True)
    _mark(path, "coming").touch()


def mark_ready(path: Path) -> None:
    """Say that ``path`` is there, or that nobody need wait for it any more."""
    for what in ("gone", "coming"):
        _mark(path, what).unlink(missing_ok=True)


def mark_missing(path: Path) -> None:
    """Say that ``path`` will never be there; why, the user is told."""
    _mark(path, "gone").touch()
    _mark(path, "coming").unlink(missing_ok=True)


def wait_for_file(path: Path, alive: Callable[[], None]) -> bool:
    """Wait for ``path`` while it is promised; whether it is to be had.

    ``alive`` is called again and again, so that a wait is no silence.
    """
    coming = _mark(path, "coming")
    while coming.exists() and not path.exists():
        alive()
        time.sleep(_LOOK_EVERY_S)
    return not _mark(path, "gone").exists()


def _mark(path: Path, what: str) -> Path:
    return path.with_name(f".{path.name}.{what}")
