"""The folder of one plan or preview: it is gone when the process ends, however that ends."""

from __future__ import annotations

import fcntl
import os
import subprocess
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager, suppress
from pathlib import Path
from secrets import token_hex
from typing import Final

from owtmix.base.errors import DestinationError
from owtmix.base.own_files import make_folder, remove
from owtmix.jobs.state import WORK

_FOLDERS: Final = ".scratch"
"""In ``work``; no job id begins with a dot."""

_REMOVE_AT_END: Final = 'read -r _; rm -rf -- "$1" || { sleep 1; rm -rf -- "$1"; }; rmdir -- "$2"'
"""Waits until its standard input ends, as it does when the process at the other end dies."""


@contextmanager
def scratch_folder(state: Path) -> Iterator[Path]:
    """Make a folder that is removed at the end of the block.

    When this process is killed, a shell that waits for that removes it. Should that be killed, too, then the next start
    of any job, plan or preview does: the folder is locked as long as its process lives.

    Raises:
        DestinationError: it cannot be made.
    """
    folder = state / WORK / _FOLDERS / token_hex(8)
    remove_abandoned_scratch(state)
    with ExitStack() as hold:
        hold.enter_context(_removed_at_end(folder))
        try:
            hold.callback(os.close, _made_and_locked(folder))
        except OSError as error:
            raise DestinationError(f"{error.filename or folder} cannot be made: {error.strerror}") from None
        yield folder


def remove_abandoned_scratch(state: Path) -> None:
    """Remove the folders of processes that were killed."""
    folders = state / WORK / _FOLDERS
    with suppress(OSError):
        for folder in () if folders.is_symlink() else folders.iterdir():
            with suppress(OSError):
                lock = _lock(folder)
                try:
                    remove(folder)
                finally:
                    os.close(lock)


def _made_and_locked(folder: Path) -> int:
    """The descriptor of a new folder."""
    while True:
        make_folder(folder.parent)
        with suppress(FileNotFoundError, BlockingIOError):  # another start removes empty and unlocked folders
            make_folder(folder)
            descriptor = _lock(folder)
            if folder.exists():
                return descriptor
            os.close(descriptor)


def _lock(folder: Path) -> int:
    """The descriptor of the locked folder.

    Raises:
        OSError: it cannot be locked, or its process lives.
    """
    descriptor = os.open(folder, os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW | os.O_CLOEXEC)
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BaseException:
        os.close(descriptor)
        raise
    return descriptor


@contextmanager
def _removed_at_end(folder: Path) -> Iterator[None]:
    """Remove the folder at the end; a shell does so when this process dies. Without a shell, the next start does."""
    with ExitStack() as hold:
        hold.callback(_remove, folder)
        with suppress(OSError):
            shell = subprocess.Popen(  # noqa: S603 - the arguments are ours
                ["/bin/sh", "-c", _REMOVE_AT_END, "sh", str(folder), str(folder.parent)],
                stdin=subprocess.PIPE,
                stdout=subprocess.DEVNULL,
                stderr=subprocess.DEVNULL,
                cwd="/",
                env={"PATH": os.defpath},
                start_new_session=True,
            )
            hold.enter_context(shell)  # closes its standard input, and waits for it
        yield


def _remove(folder: Path) -> None:
    with suppress(OSError):
        remove(folder)
    with suppress(OSError):
        folder.parent.rmdir()  # fails as long as another process has a folder in it
