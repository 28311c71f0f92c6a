"""Hidden files beside the output, in which runs write it before it gets its name.

Each run has one of its own, also of the same job: installations do not know of each other. Who writes it has it locked,
so what a killed run left can be told from what a living one writes.
"""

from __future__ import annotations

import errno
import fcntl
import os
import re
import secrets
import stat
from contextlib import suppress
from dataclasses import dataclass
from typing import Final

_OPEN: Final = os.O_RDWR | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC
_RANDOM_BYTES: Final = 8
_MODE: Final = 0o666
"""Of the output, reduced by the process's umask."""


@dataclass(frozen=True, slots=True)
class StagedFile:
    """The file ``name`` in a folder: ``folder`` is a descriptor of that, and ``file`` the one that keeps it locked."""

    folder: int
    name: str
    file: int

    def publish(self, name: str) -> None:
        """Put the file in the place of ``name`` in its folder; when this returns, it is on the disk.

        Raises:
            OSError: it cannot be done, or the file is another one; ``strerror`` is a phrase.
        """
        state = os.stat(self.name, dir_fd=self.folder, follow_symlinks=False)
        if not os.path.samestat(state, os.fstat(self.file)):
            raise OSError(errno.ESTALE, "its unfinished file was replaced meanwhile")
        os.fsync(self.file)
        os.replace(self.name, name, src_dir_fd=self.folder, dst_dir_fd=self.folder)
        try:
            os.fsync(self.folder)
        except OSError as error:
            if error.errno != errno.EBADF:  # it may be entered, and not be read
                raise

    def close(self) -> None:
        """End the lock."""
        os.close(self.file)
        os.close(self.folder)


def make_staged(folder: int, job_id: str, suffix: str) -> StagedFile:
    """Make an empty file that no other run has; ``folder`` is a descriptor, which the result keeps.

    Raises:
        OSError: it cannot be made.
    """
    while True:
        name = f".{job_id}.{secrets.token_hex(_RANDOM_BYTES)}.part{suffix}"
        held = os.open(name, _OPEN | os.O_CREAT | os.O_EXCL, _MODE, dir_fd=folder)
        if _is_locked(held, folder, name):
            return StagedFile(folder, name, held)
        os.close(held)  # another run took it for one that was left before it was locked


def remove_left(folder: int, job_id: str) -> None:
    """Remove what runs of a job that were killed left; ``folder`` is a descriptor."""
    for name in staged_files(folder, job_id):
        with suppress(OSError):
            held = os.open(name, _OPEN, dir_fd=folder)
            try:
                if stat.S_ISREG(os.fstat(held).st_mode) and _is_locked(held, folder, name, in_doubt=False):
                    os.unlink(name, dir_fd=folder)
            finally:
                os.close(held)


def staged_files(folder: int, job_id: str) -> list[str]:
    """The names of the files of all runs of a job, living or not; ``folder`` is a descriptor."""
    own = _names(re.escape(job_id))
    with suppress(OSError):
        return sorted(name for name in os.listdir(folder) if own.fullmatch(name))
    return []


def is_staged_name(name: str) -> bool:
    """Whether a run of some job takes a file with this name for what another one left, and removes it."""
    return _names(".+").fullmatch(name) is not None


def _names(job_id: str) -> re.Pattern[str]:
    return re.compile(rf"\.{job_id}\.[0-9a-f]{{{2 * _RANDOM_BYTES}}}\.part\.[a-z0-9]+")


def _is_locked(descriptor: int, folder: int, name: str, *, in_doubt: bool = True) -> bool:
    """Lock an open file; whether that is done, and it is still the one that has its name.

    ``in_doubt`` is the answer where a file system cannot lock.
    """
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        return False
    except OSError:
        return in_doubt
    try:
        return os.path.samestat(os.fstat(descriptor), os.stat(name, dir_fd=folder, follow_symlinks=False))
    except FileNotFoundError:
        return False
