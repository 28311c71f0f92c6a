"""The results file: one JSON line for each ended attempt, on the disk before the next attempt begins.

The last line of an id is the state of that job, so that the same command after anything goes on where it was.
"""

from __future__ import annotations

import errno
import fcntl
import json
import os
import tempfile
from collections.abc import Mapping
from contextlib import suppress
from pathlib import Path
from typing import IO, Any, Final

from owtmix.base.own_files import own_file
from owtmix.base.strict_json import printable
from owtmix.base.wording import counted
from owtmix.batch.holder import holder_of
from owtmix.batch.policy import History
from owtmix.batch.problems import QueueError
from owtmix.batch.results_reader import LONGEST_NAME, RESERVE_BYTES, Past, ResultsReader, full_disk, problem_of

"""Kept free for lines about the jobs that run when the disk gets full."""
_FULL: Final = frozenset({errno.ENOSPC, errno.EDQUOT})


class Journal:
    """The results file at ``path``, which this process holds until ``close``.

    Raises:
        QueueError: another batch holds it, it is no results file, or it cannot be opened.
        SetupError: its disk is full.
    """

    def __init__(self, path: Path) -> None:
        self.path = path
        self.jobs: dict[str, Past] = {}
        self.junk: list[int] = []
        """Numbers of lines that are none of a journal's."""
        self._unwritten: list[bytes] = []
        self.failure = ""
        """Why nothing can be recorded any more, or what was recorded is lost; empty while all is well."""
        try:
            self._file = os.fdopen(_opened(path), "rb+", buffering=0)
        except OSError as error:
            raise QueueError(problem_of(f"cannot be used: {error.strerror}", path)) from None
        try:
            self._lock()
            self._read()
            self._size = os.fstat(self._file.fileno()).st_size
            self._reserve: IO[bytes] | None = _reserve(path.parent)
        except OSError as error:
            self._file.close()
            raise QueueError(problem_of(f"cannot be used: {error.strerror}", path)) from None
        except BaseException:
            self._file.close()
            raise

    def note(self, entry: Mapping[str, Any], history: History) -> None:
        """Add a line and wait until it is on the disk. After a failure, ``failure`` says what is wrong.

        Lines that could not be written are kept, and tried again with the next one.
        """
        error = str(entry.get("error") or "")
        peak_mib = int(entry.get("peak_mib") or 0)
        self.jobs[entry["id"]] = Past(entry["key"], entry["state"], history, entry["exit"], error, peak_mib)
        self._unwritten.append(json.dumps(entry).encode("ascii") + b"\n")
        self.write()

    def write(self) -> bool:
        """Write the lines that are not on the disk yet; whether none is left."""
        try:
            self._append()
        except OSError as error:
            self.failure = self.failure or f"the results file {self._name} cannot be written: {error.strerror}"
            if not self._give_reserve():
                return False
            with suppress(OSError):
                self._append()
        return not self._unwritten

    @property
    def unwritten(self) -> int:
        """How many lines are not on the disk."""
        return len(self._unwritten)

    def close(self) -> None:
        """Let another batch have the file."""
        self._give_reserve()
        self._file.close()

    @property
    def _name(self) -> str:
        return printable(str(self.path), LONGEST_NAME)

    def _append(self) -> None:
        """Raises OSError: not all lines are on the disk; no part of a line is in the file."""
        if not self._is_there():
            raise OSError(errno.ESTALE, "it was removed or replaced while the batch ran")
        end = os.lseek(self._file.fileno(), 0, os.SEEK_END)
        self._notice_loss(end)
        if not self._unwritten:
            return
        # Whoever wrote half a line there meanwhile must not spoil the next one.
        is_open = end > 0 and os.pread(self._file.fileno(), 1, end - 1) != b"\n"
        data = memoryview(b"".join([b"\n" * is_open, *self._unwritten]))
        written = len(data)
        try:
            while data:
                data = data[self._file.write(data) :]
            os.fdatasync(self._file.fileno())
        except OSError:
            with suppress(OSError):
                os.ftruncate(self._file.fileno(), end)
            raise
        self._unwritten.clear()
        self._size = end + written  # not what it has now: it may have been made shorter since

    def _notice_loss(self, size: int) -> None:
        """The file may only grow: say so when it has not."""
        if size < self._size:
            lost = self._size - size
            self.failure = self.failure or (
                f"the results file {self._name} was made shorter by {counted(lost, 'byte')} while the batch ran: "
                "jobs whose results were there are run again next time"
            )
        self._size = size

    def _is_there(self) -> bool:
        try:
            return os.path.samestat(self.path.stat(), os.fstat(self._file.fileno()))
        except OSError:
            return False

    def _give_reserve(self) -> bool:
        """Free the space that was kept; whether there was any."""
        reserve, self._reserve = self._reserve, None
        if reserve:
            reserve.close()
        return reserve is not None

    def _lock(self) -> None:
        try:
            fcntl.flock(self._file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            holder = holder_of(os.fstat(self._file.fileno()))
            by = f"process {holder}, another batch," if holder else "another batch"
            raise QueueError(problem_of(f"is in use: {by} writes its results there", self.path)) from None
        except OSError:
            pass  # some network file systems cannot lock; nothing protects the file there

    def _read(self) -> None:
        """Read all lines, and repair the last one."""
        with os.fdopen(os.dup(self._file.fileno()), "rb") as file:
            found = ResultsReader(file)
        found.check(self.path)
        self.jobs, self.junk = found.jobs, found.junk
        if found.is_cut:
            os.ftruncate(self._file.fileno(), found.size)
        elif found.lacks_end:
            os.lseek(self._file.fileno(), 0, os.SEEK_END)
            self._file.write(b"\n")


def _opened(path: Path) -> int:
    """A descriptor of the file; a new one is on the disk with its name."""
    path.parent.mkdir(parents=True, exist_ok=True)
    descriptor = own_file(path, os.O_RDWR | os.O_CREAT)
    with suppress(OSError):
        folder = os.open(path.parent, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
        try:
            os.fsync(folder)
        finally:
            os.close(folder)
    return descriptor


def _reserve(folder: Path) -> IO[bytes] | None:
    """A file without a name that takes space; None where the system cannot keep any.

    Raises:
        SetupError: the disk has no such space: what jobs become could not be recorded.
    """
    try:
        file = tempfile.TemporaryFile(dir=folder)  # noqa: SIM115 - it is kept
    except OSError as error:
        _check_space(error, folder)
        return None
    try:
        os.posix_fallocate(file.fileno(), 0, RESERVE_BYTES)
    except OSError as error:
        file.close()
        _check_space(error, folder)
        return None
    return file


def _check_space(error: OSError, folder: Path) -> None:
    if error.errno in _FULL:
        raise full_disk(folder) from None
