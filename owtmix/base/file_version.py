"""The version of a file: recordings may be changed, cut, replaced or removed while a job reads them."""

from __future__ import annotations

import errno
import os
import stat
from collections.abc import Callable, Iterator
from contextlib import closing, contextmanager
from pathlib import Path
from types import TracebackType
from typing import Final

from owtmix.base.asked_again import ABSENT, asked_again
from owtmix.base.errors import ChangedError, InputError, Interrupted, SetupError, ShortageError
from owtmix.base.shortage import raise_if_short

_CHANGED: Final = ABSENT | {errno.ESTALE}
CHANGED: Final = "it was changed, replaced or removed since the job found it: run the job when nothing writes to it"
MOST_OPENINGS: Final = 10
"""Tries to open a file that has its version before and after: its folder was another for a moment."""
OPEN_FILES: Final = Path("/proc/self/fd")
"""Leads to what a process holds open, whatever has its name meanwhile."""


def check_open_files() -> None:
    """Check that files that are held open can be read by a path.

    Raises:
        SetupError: the system does not offer it.
    """
    if not OPEN_FILES.is_dir():
        raise SetupError("/proc is not there, by which files are read: mount it (mount -t proc proc /proc)")


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
        InputError: the system cannot tell, however often it is asked.
        ShortageError: the machine is short of something.
    """
    return _has_version(lambda: os.stat(path), version)  # noqa: PTH116 - as in ``file_version``


def is_same_elsewhere(version: str, here: str) -> bool:
    """Whether two machines that share a folder see the same file: by size and time, since numbers may differ."""
    return version.split(" ")[1:3] == here.split(" ")[1:3]


class HeldFile:
    """A file that is held open in the ``version`` that was planned; None takes any.

    ``path`` leads to what is held, whatever stands at ``original`` meanwhile. As a block it reads from there: what the
    block read counts when it ends without an error, since the file had that version until then.

    Raises:
        InputError: there is nothing that can be read, and no version was planned; or the system fails to read it.
        ChangedError: the file has another version, or is gone; errors in the block are replaced by this one.
        ShortageError: the machine is short of something.
    """

    __slots__ = ("_descriptor", "_version", "path")

    def __init__(self, original: Path, version: str | None) -> None:
        self._version = version
        self._descriptor = _opened(original, version)
        self.path: Final = OPEN_FILES / str(self._descriptor)

    def __enter__(self) -> Path:
        return self.path

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, _: TracebackType | None) -> None:
        if kind is not None and (not issubclass(kind, Exception) or issubclass(kind, (ShortageError, Interrupted))):
            return
        if self._version is not None and not self._is_unchanged(self._version):
            raise ChangedError(CHANGED) from None

    def close(self) -> None:
        """Close it; ``path`` leads nowhere then."""
        os.close(self._descriptor)

    def _is_unchanged(self, version: str) -> bool:
        return _has_version(lambda: os.fstat(self._descriptor), version)


@contextmanager
def unchanged(path: Path, version: str | None) -> Iterator[Path]:
    """A block that reads a file by the name that it is given, see ``HeldFile``."""
    with closing(HeldFile(path, version)) as held, held as name:
        yield name


def _opened(path: Path, version: str | None) -> int:
    """The descriptor of a file in its version. Neither a pipe nor a device in its place is waited for."""
    for _ in range(MOST_OPENINGS):
        try:
            descriptor = asked_again(lambda: os.open(path, os.O_RDONLY | os.O_NONBLOCK | os.O_CLOEXEC))
        except (OSError, ValueError) as error:
            raise_if_short(error)
            if version is None or getattr(error, "errno", None) not in _CHANGED:
                raise InputError(f"cannot be read: {getattr(error, 'strerror', None) or error}") from None
        else:
            if _is_wanted(descriptor, version):
                return descriptor
            if version is None:
                raise InputError("cannot be read: it is no file")
        if not is_unchanged(path, version):
            break
    raise ChangedError(CHANGED)


def _is_wanted(descriptor: int, version: str | None) -> bool:
    """Whether a file has its version, or is one at all where it needs none; another one is closed."""
    is_wanted = False
    try:
        if version is None:
            is_wanted = stat.S_ISREG(os.fstat(descriptor).st_mode)
        else:
            is_wanted = _has_version(lambda: os.fstat(descriptor), version)
    finally:
        if not is_wanted:
            os.close(descriptor)
    return is_wanted


def _has_version(state: Callable[[], os.stat_result], version: str) -> bool:
    """As ``is_unchanged``, of the file with ``state``."""
    try:
        return version_of(asked_again(state)) == version
    except OSError as error:
        raise_if_short(error)
        if error.errno in _CHANGED:
            return False
        raise InputError(f"cannot be read: {error.strerror}") from None
