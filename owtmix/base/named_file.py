"""Files that people name: what is behind the name may be anything."""

from __future__ import annotations

import errno
import os
import stat
from collections.abc import Callable
from pathlib import Path
from typing import Final

LONGEST_NAME: Final = 255
LONGEST_PATH: Final = 4_000
"""In bytes; systems take 4,095, and some names are made longer."""


def read_named_file(path: Path, max_bytes: int) -> bytes:
    """The content of a plain file, and of a longer one the first ``max_bytes + 1`` bytes.

    Raises:
        OSError: it cannot be read, or is no plain file; ``strerror`` is a phrase. Nobody waits for a pipe.
    """
    if problem := unfit_path(str(path)):
        raise OSError(errno.EINVAL, problem)
    return read_opened(os.open(path, os.O_RDONLY | os.O_NONBLOCK | os.O_CLOEXEC), max_bytes)


def read_opened(descriptor: int, max_bytes: int) -> bytes:
    """The same of a file that is open, which is closed.

    Raises:
        OSError: as ``read_named_file``.
    """
    with os.fdopen(descriptor, "rb") as file:
        if not stat.S_ISREG(os.fstat(descriptor).st_mode):
            raise OSError(errno.EINVAL, "it is not a file")
        return file.read(max_bytes + 1)


def is_folder(path: Path) -> bool:
    """Whether a folder is there and can be seen; no path is an error."""
    return not unfit_path(str(path)) and _is(path, stat.S_ISDIR)


def is_file(path: Path) -> bool:
    """Whether a plain file is there and can be seen; no path is an error."""
    return not unfit_path(str(path)) and _is(path, stat.S_ISREG)


def why_no_file(path: Path) -> str:
    """Why no plain file can be read there; empty when there is one."""
    if problem := unfit_path(str(path)):
        return f"cannot be read: {problem}"
    try:
        return "" if stat.S_ISREG(path.stat().st_mode) else "is not a file"
    except (FileNotFoundError, NotADirectoryError):
        return "does not exist"
    except OSError as error:
        return f"cannot be read: {error.strerror}"


def _is(path: Path, kind: Callable[[int], bool]) -> bool:
    try:
        return kind(path.stat().st_mode)
    except OSError:
        return False


def unfit_path(path: str) -> str:
    """Why no file can have this path; empty when one can."""
    if len(path) <= LONGEST_NAME and path.isascii() and "\0" not in path:
        return ""  # as nearly all
    try:
        names = [os.fsencode(name) for name in path.split("/")]
    except UnicodeEncodeError:
        return "it has characters that no name of a file can have"
    if any(b"\0" in name for name in names):
        return "it has a NUL, which no name of a file can have"
    if any(len(name) > LONGEST_NAME for name in names):
        return f"a name in it has more than {LONGEST_NAME} bytes, which no file can have"
    if sum(len(name) + 1 for name in names) > LONGEST_PATH:
        return f"with its folder it has more than {LONGEST_PATH:,} bytes, which no file can have"
    return ""
