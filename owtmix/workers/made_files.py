"""The files that tasks make, looked at by the parent before anything is done with them."""

from __future__ import annotations

import stat
from pathlib import Path


def size_of_made(path: Path) -> int | None:
    """The size of a file that a task has made, in bytes; None when its whole folder is gone, which is no task's fault.

    Raises:
        ValueError: it is not there, or not a plain file with one name.
    """
    try:
        found = path.lstat()
    except OSError:
        if not path.parent.is_dir():
            return None
        raise ValueError("comes without its file") from None
    if not stat.S_ISREG(found.st_mode) or found.st_nlink != 1:
        raise ValueError("comes with something else than a file")
    return found.st_size


def check_made(path: Path, most_bytes: int) -> None:
    """Check that a task has made a file of at most ``most_bytes``.

    Raises:
        ValueError: it has not.
    """
    size_bytes = size_of_made(path)
    if size_bytes is not None and not 0 < size_bytes <= most_bytes:
        raise ValueError(f"comes with a file of {size_bytes:,} bytes")
