"""Files and folders at paths whose links are resolved: a link that stands there by now is refused, and not followed.

Who may write into a folder may put a link in the place of a part of a path after it was resolved. So a path is walked
part by part here, each from a descriptor of the one before. All functions raise ``OSError``, whose ``strerror`` is a
phrase for a message.
"""

from __future__ import annotations

import errno
import os
import stat
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Final

_FOLDER: Final = os.O_DIRECTORY | os.O_NOFOLLOW | os.O_CLOEXEC
_ENTERED: Final = _FOLDER | getattr(os, "O_PATH", 0)
"""For a folder that may be entered, and not listed."""
_FILE: Final = os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC
_IS_LINK: Final = frozenset({errno.ELOOP, errno.ENOTDIR, errno.EMLINK})
"""What systems answer to a link that is not to be followed, and not to it alone."""


def open_folder(path: Path, *, make: bool = False) -> int:
    """A descriptor of a folder; with ``make``, folders that are missing are made."""
    folder = _enter(path.anchor, None, make=False)
    try:
        for name in path.parts[1:]:
            below = _enter(name, folder, make=make)
            os.close(folder)
            folder = below
    except BaseException:
        os.close(folder)
        raise
    return folder


@contextmanager
def opened_folder(path: Path) -> Iterator[int]:
    """A descriptor of a folder, for a block."""
    folder = open_folder(path)
    try:
        yield folder
    finally:
        os.close(folder)


def state_of(path: Path) -> os.stat_result:
    """The state of what stands there, which need not be readable."""
    with opened_folder(path.parent) as folder:
        state = os.stat(path.name, dir_fd=folder, follow_symlinks=False)
    if stat.S_ISLNK(state.st_mode):
        raise _became_link(path.name)
    return state


def open_file(path: Path, flags: int) -> int:
    """A descriptor of a file; neither a pipe nor a device in its place is waited for."""
    with opened_folder(path.parent) as folder:
        try:
            return os.open(path.name, _FILE | flags, dir_fd=folder)
        except OSError as error:
            _raise_if_link(path.name, folder, error)
            raise


def _enter(name: str, folder: int | None, *, make: bool) -> int:
    if make:
        try:
            return _enter(name, folder, make=False)
        except FileNotFoundError:
            with suppress(FileExistsError):
                os.mkdir(name, dir_fd=folder)
    try:
        return os.open(name, _FOLDER, dir_fd=folder)
    except PermissionError:
        return os.open(name, _ENTERED, dir_fd=folder)
    except OSError as error:
        _raise_if_link(name, folder, error)
        raise


def _raise_if_link(name: str, folder: int | None, error: OSError) -> None:
    if error.errno in _IS_LINK:
        with suppress(FileNotFoundError):
            if stat.S_ISLNK(os.stat(name, dir_fd=folder, follow_symlinks=False).st_mode):
                raise _became_link(name) from None


def _became_link(name: str) -> OSError:
    return OSError(errno.ELOOP, f"{name} was replaced by a link meanwhile, which is not followed")
