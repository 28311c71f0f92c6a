"""The results file: one JSON line for each ended attempt, on the disk before the next attempt begins.

The last line of an id is the state of that job, so that the same command after anything goes on where it was.
"""

from __future__ import annotations

import errno
import fcntl
import json
import os
import tempfile
from collections.abc import Iterator, Mapping
from contextlib import suppress
from dataclasses import dataclass, field, replace
from io import BufferedReader
from pathlib import Path
from typing import IO, Any, Final

from owtmix.base.own_files import own_file
from owtmix.base.strict_json import printable
from owtmix.base.wording import some
from owtmix.batch.holder import holder_of
from owtmix.batch.outside import number_of
from owtmix.batch.policy import FINAL, STATES, History, is_counted
from owtmix.batch.problems import QueueError

LONGEST_LINE: Final = 2**17
"""In bytes. What the batch writes is shorter."""
LONGEST_NAME: Final = 1000
"""In characters, of a path in a message."""
_RESERVE_BYTES: Final = 2**20
"""Kept free for lines about the jobs that run when the disk gets full."""
_BEGINNING: Final = b'{"time": '
_MOST: Final = 10_000_000
"""Of any number in a line: attempts, MiB."""
_NEW: Final = History()


@dataclass(frozen=True, slots=True)
class Past:
    """What the journal says of a job."""

    key: str
    state: str
    history: History
    exit_status: int | None
    error: str = ""
    peak_mib: int = 0

    @property
    def is_final(self) -> bool:
        return self.state in FINAL


class Journal:
    """The results file at ``path``, which this process holds until ``close``.

    Raises:
        QueueError: another batch holds it, it is no results file, or it cannot be opened.
    """

    def __init__(self, path: Path) -> None:
        self.path = path
        self.jobs: dict[str, Past] = {}
        self.junk: list[int] = []
        """Numbers of lines that are none of a journal's."""
        self._unwritten: list[bytes] = []
        self.failure = ""
        """Why nothing can be recorded any more; empty while all is well."""
        try:
            self._file = os.fdopen(_opened(path), "rb+", buffering=0)
        except OSError as error:
            raise QueueError(_problem(f"cannot be used: {error.strerror}", path)) from None
        try:
            self._lock()
            self._read()
            self._reserve: IO[bytes] | None = _reserve(path.parent)
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
        if not self._unwritten:
            return
        if not self._is_there():
            raise OSError(errno.ESTALE, "it was removed or replaced while the batch ran")
        end = os.lseek(self._file.fileno(), 0, os.SEEK_END)
        data = memoryview(b"".join(self._unwritten))
        try:
            while data:
                data = data[self._file.write(data) :]
            os.fdatasync(self._file.fileno())
        except OSError:
            with suppress(OSError):
                os.ftruncate(self._file.fileno(), end)
            raise
        self._unwritten.clear()

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
            raise QueueError(_problem(f"is in use: {by} writes its results there", self.path)) from None
        except OSError:
            pass  # some network file systems cannot lock; nothing protects the file there

    def _read(self) -> None:
        """Read all lines, and repair the last one."""
        with os.fdopen(os.dup(self._file.fileno()), "rb") as file:
            found = _Reader(file)
        _check(found, self.path)
        self.jobs, self.junk = found.jobs, found.junk
        if found.is_cut:
            os.ftruncate(self._file.fileno(), found.size)
        elif found.lacks_end:
            os.lseek(self._file.fileno(), 0, os.SEEK_END)
            self._file.write(b"\n")


class _Reader:
    """Reads all lines: the last one of each job, the numbers of those that are junk, and how the file ends."""

    def __init__(self, file: BufferedReader) -> None:
        self.jobs: dict[str, Past] = {}
        self.junk: list[int] = []
        self.size = 0
        """Of all lines that end, in bytes."""
        self.is_cut = self.lacks_end = False
        for number, (line, size) in enumerate(_lines(file), 1):
            is_taken = self._take(line)
            self.lacks_end = not line.endswith(b"\n")
            # Of the last line a run that was killed had written only a part.
            self.is_cut = self.lacks_end and not is_taken and line.startswith(_BEGINNING[: len(line)])
            self.size += 0 if self.lacks_end else size
            if not is_taken and not self.is_cut:
                self.junk.append(number)

    def _take(self, line: bytes) -> bool:
        """Take a line into ``jobs``; whether it is one of a journal's."""
        try:
            entry = json.loads(line)
            name, key, state, attempt = entry["id"], entry["key"], entry["state"], entry["attempt"]
            exit_status, error, peak_mib = entry["exit"], entry.get("error"), entry.get("peak_mib")
        except (ValueError, KeyError, TypeError, AttributeError, RecursionError):
            return False
        texts = isinstance(name, str) and isinstance(key, str) and isinstance(state, str) and state in STATES
        numbers = type(attempt) is int and (exit_status is None or type(exit_status) is int)
        if not texts or not numbers or not 1 <= attempt <= _MOST or abs(exit_status or 0) > _MOST:
            return False
        before = self.jobs.get(name)
        history = before.history if before and before.key == key and not before.is_final else _NEW
        counts = is_counted(exit_status)
        if counts:
            history = replace(history, counted=attempt - 1)
        self.jobs[name] = Past(
            key,
            state,
            history.after(exit_status, counts=counts, loss=exit_status is None),
            exit_status,
            error if isinstance(error, str) else "",
            int(number_of(peak_mib, _MOST) or 0),
        )
        return True


@dataclass(frozen=True, slots=True)
class Reading:
    """What a results file says, read without holding it.

    Attributes:
        jobs: by their ids.
        junk: numbers of lines that are none of a journal's.
        holder: the process that holds the file, where the system tells; None for none.
    """

    jobs: dict[str, Past] = field(default_factory=dict)
    junk: list[int] = field(default_factory=list)
    holder: int | None = None


def read_journal(path: Path) -> Reading:
    """Read a results file that another batch may hold; nothing when there is none.

    Raises:
        QueueError: a batch cannot use it, whoever holds it.
    """
    try:
        with os.fdopen(own_file(path, os.O_RDWR), "rb") as file:
            holder = holder_of(os.fstat(file.fileno()))
            found = _Reader(file)
    except FileNotFoundError:
        return Reading()
    except OSError as error:
        raise QueueError(_problem(f"cannot be used: {error.strerror}", path)) from None
    _check(found, path)
    return Reading(found.jobs, found.junk, holder)


def _check(found: _Reader, path: Path) -> None:
    if found.junk and not found.jobs:
        raise QueueError(_problem("is no results file: none of its lines is one of a batch", path))


def describe_junk(junk: list[int]) -> str:
    """A sentence about lines that are none of a journal's."""
    lines = f"line {junk[0]}" if len(junk) == 1 else f"lines {some(junk)}"
    return f"{lines} of the results file cannot be read and {'is' if len(junk) == 1 else 'are'} ignored"


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


def _lines(file: BufferedReader) -> Iterator[tuple[bytes, int]]:
    """The lines of a file with their sizes; of a line that is too long the beginning and the end."""
    while line := file.readline(LONGEST_LINE):
        size = len(line)
        while not line.endswith(b"\n") and (more := file.readline(LONGEST_LINE)):
            size += len(more)
            line = line[:100] + more[-1:]
        yield line, size


def _reserve(folder: Path) -> IO[bytes] | None:
    """A file without a name that takes space; None where there is none."""
    try:
        file = tempfile.TemporaryFile(dir=folder)  # noqa: SIM115 - it is kept
    except OSError:
        return None
    try:
        os.posix_fallocate(file.fileno(), 0, _RESERVE_BYTES)
    except OSError:
        file.close()
        return None
    return file


def _problem(what: str, path: Path) -> str:
    return f"the results file {printable(str(path), LONGEST_NAME)} {what}"
