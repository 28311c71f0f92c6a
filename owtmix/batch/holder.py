"""Which process holds the lock on a file, without trying to lock it."""

from __future__ import annotations

import os
from contextlib import suppress
from pathlib import Path
from typing import Final

_LOCKS: Final = Path("/proc/locks")


def holder_of(found: os.stat_result) -> int | None:
    """The process that holds the lock on a file, where the system tells."""
    device = f"{os.major(found.st_dev):02x}:{os.minor(found.st_dev):02x}"
    holders: dict[str, int] = {}
    with suppress(OSError, ValueError, IndexError):
        for line in _LOCKS.read_text(encoding="ascii", errors="replace").splitlines():
            _, kind, _, _, process, file, *_ = line.split()
            at, _, inode = file.rpartition(":")
            if kind == "FLOCK" and int(inode) == found.st_ino and int(process) > 0:
                holders[at] = int(process)
    # Some file systems show another device there than the file's own.
    return holders.get(device) or next(iter(holders.values()), None)
