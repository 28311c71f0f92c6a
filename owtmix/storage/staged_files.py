"""Hidden files beside the output, in which runs write it before it gets its name.

Each run has one of its own, also of the same job: installations do not know of each other. Who writes it has it locked,
so what a killed run left can be told from what a living one writes.
"""

from __future__ import annotations

import fcntl
import os
import re
import secrets
import stat
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path
from typing import Final

_OPEN: Final = os.O_RDWR | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC
_RANDOM_BYTES: Final = 8
_MODE: Final = 0o666
"""Of the output, reduced by the process's umask."""


def make_staged(folder: Path, job_id: str, suffix: str) -> tuple[Path, int]:
    """Make an empty file that no other run has; returns it and the descriptor that keeps it locked.

    Raises:
        OSError: it cannot be made.
    """
    while True:
        path = folder / f".{job_id}.{secrets.token_hex(_RANDOM_BYTES)}.part{suffix}"
        held = os.open(path, _OPEN | os.O_CREAT | os.O_EXCL, _MODE)
        if _is_locked(held, path):
            return path, held
        os.close(held)  # another run took it for one that was left before it was locked


def remove_left(folder: Path, job_id: str) -> None:
    """Remove what runs of a job that were killed left."""
    for path in staged_files(folder, job_id):
        with suppress(OSError):
            held = os.open(path, _OPEN)
            try:
                if stat.S_ISREG(os.fstat(held).st_mode) and _is_locked(held, path, in_doubt=False):
                    path.unlink()
            finally:
                os.close(held)


def staged_files(folder: Path, job_id: str) -> Iterator[Path]:
    """The files of all runs of a job, living or not."""
    own = re.compile(rf"\.{re.escape(job_id)}\.[0-9a-f]{{{2 * _RANDOM_BYTES}}}\.part\.[a-z0-9]+")
    with suppress(OSError):
        yield from sorted(path for path in folder.iterdir() if own.fullmatch(path.name))


def _is_locked(descriptor: int, path: Path, *, in_doubt: bool = True) -> bool:
    """Lock an open file; whether that is done, and it is still the one at ``path``.

    ``in_doubt`` is the answer where a file system cannot lock.
    """
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        return False
    except OSError:
        return in_doubt
    try:
        return os.path.samestat(os.fstat(descriptor), path.lstat())
    except FileNotFoundError:
        return False
