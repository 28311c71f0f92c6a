"""The version of a file: recordings may be changed, cut, replaced or removed while a job reads them."""

from __future__ import annotations

import os
from pathlib import Path
from types import TracebackType
from typing import Final

from owtmix.base.errors import ChangedError, Interrupted, ShortageError
from owtmix.base.shortage import raise_if_short

CHANGED: Final = "it was changed, replaced or removed since the job found it: run the job when nothing writes to it"


def version_of(state: os.stat_result) -> str:
    """The version of a file in this state.

    Nobody can set the last of its times, so it changes with every change; but for one through a mapping whose page was
    changed before and is not on the disk yet, of which the system tells no time.
    """
    return f"{state.st_ino} {state.st_size} {state.st_mtime_ns} {state.st_ctime_ns}"


def file_version(path: Path) -> str:
    """The version of a file as it is now.

    Raises:
        OSError: there is no such file.
    """
    return version_of(os.stat(path))  # noqa: PTH116 - twice as fast, once for each frame


def is_unchanged(path: Path, version: str) -> bool:
    """Whether a file has ``version``.

    Raises:
        ShortageError: that cannot be told, since the machine is short of something.
    """
    try:
        return file_version(path) == version
    except OSError as error:
        raise_if_short(error)
        return False


def is_same_elsewhere(version: str, here: str) -> bool:
    """Whether two machines that share a folder see the same file: by size and time, since numbers may differ."""
    return version.split(" ")[1:3] == here.split(" ")[1:3]


class unchanged:  # noqa: N801 - it reads like a word: ``with unchanged(path, version):``
    """A block that reads a file of which ``version`` is expected; None expects nothing.

    What the block read counts when it ends without an error: the file had that version until then.

    Raises:
        ChangedError: the file has another version, or is gone; errors in the block are replaced by this one.
        ShortageError: the machine is short of something.
    """

    __slots__ = ("_path", "_version")

    def __init__(self, path: Path, version: str | None) -> None:
        self._path = path
        self._version = version

    def __enter__(self) -> None:
        pass

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, _: TracebackType | None) -> None:
        if kind is not None and (not issubclass(kind, Exception) or issubclass(kind, (ShortageError, Interrupted))):
            return
        if self._version is not None and not is_unchanged(self._path, self._version):
            raise ChangedError(CHANGED) from None
