"""The version of a file: recordings may be changed, cut, replaced or removed while a job reads them."""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Final

from owtmix.base.errors import ChangedError

CHANGED: Final = "it was changed, replaced or removed since the job found it: run the job when nothing writes to it"


def version_of(state: os.stat_result) -> str:
    """The version of a file in this state. Nobody can set the last of its times, so it changes with every change."""
    return f"{state.st_ino} {state.st_size} {state.st_mtime_ns} {state.st_ctime_ns}"


def file_version(path: Path) -> str:
    """The version of a file as it is now.

    Raises:
        OSError: there is no such file.
    """
    return version_of(path.stat())


def is_unchanged(path: Path, version: str) -> bool:
    """Whether a file has ``version``."""
    try:
        return file_version(path) == version
    except OSError:
        return False


@contextmanager
def unchanged(path: Path, version: str | None) -> Iterator[None]:
    """A block that reads a file of which ``version`` is expected; None expects nothing.

    What the block read counts when it ends without an error: the file had that version until then.

    Raises:
        ChangedError: the file has another version, or is gone; errors in the block are replaced by this one.
    """
    try:
        yield
    except Exception:
        if version is not None and not is_unchanged(path, version):
            raise ChangedError(CHANGED) from None
        raise
    if version is not None and not is_unchanged(path, version):
        raise ChangedError(CHANGED)
