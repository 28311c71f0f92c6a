"""What a results file says of jobs: the last line of an id is its state, and lines that cannot be read are named."""

from __future__ import annotations

import json
import os
from collections.abc import Iterator
from contextlib import suppress
from dataclasses import dataclass, field, replace
from io import BufferedReader
from pathlib import Path
from typing import Final

from owtmix.base.errors import SetupError
from owtmix.base.own_files import own_file
from owtmix.base.strict_json import printable
from owtmix.base.wording import some
from owtmix.batch.holder import holder_of
from owtmix.batch.outside import MOST, mib_of
from owtmix.batch.policy import FINAL, STATES, History, is_counted
from owtmix.batch.problems import QueueError

MOST_JUNK: Final = 100_000
"""Lines that are none of a batch."""
LONGEST_LINE: Final = 2**17
"""In bytes. What the batch writes is shorter."""
LONGEST_NAME: Final = 1000
"""In characters, of a path in a message."""
RESERVE_BYTES: Final = 1 << 20
"""What is kept free for the last results on a full disk."""
_BEGINNING: Final = b'{"time": '
_NEW: Final = History()


@dataclass(frozen=True, slots=True)
class Past:
    """What the journal says of a job; ``output`` is what it made, empty where it is not done."""

    key: str
    state: str
    history: History
    exit_status: int | None
    error: str = ""
    peak_mib: int = 0
    output: str = ""

    @property
    def is_final(self) -> bool:
        return self.state in FINAL


class ResultsReader:
    """Reads all lines: the last one of each job, the numbers of those that are junk, and how the file ends."""

    def __init__(self, file: BufferedReader) -> None:
        self.jobs: dict[str, Past] = {}
        self.junk: list[int] = []
        self.size = 0
        """Of all lines that end, in bytes."""
        self._makers: dict[str, str] = {}
        self.is_cut = self.lacks_end = False
        for number, (line, size) in enumerate(_lines(file), 1):
            is_taken = line == b"\n" or self._take(line)
            self.lacks_end = not line.endswith(b"\n")
            # Of the last line a run that was killed had written only a part.
            is_ours = line.startswith(_BEGINNING[: len(line)])
            self.is_cut = self.lacks_end and not is_taken and is_ours and _is_part(line)
            self.size += 0 if self.lacks_end else size
            if not is_taken and not self.is_cut:
                self.junk.append(number)
                if len(self.junk) > MOST_JUNK:
                    return

    def check(self, path: Path) -> None:
        """Check that the file at ``path`` is one of a batch.

        Raises:
            QueueError: it has lines, and none of a journal's.
        """
        if len(self.junk) > MOST_JUNK:
            raise QueueError(problem_of(f"has more than {MOST_JUNK:,} lines that are none of a batch", path))
        if self.junk and not self.jobs:
            raise QueueError(problem_of("is no results file: none of its lines is one of a batch", path))

    def _take(self, line: bytes) -> bool:
        """Take a line into ``jobs``; whether it is one of a journal's."""
        try:
            entry = json.loads(line)
            name, key, state, attempt = entry["id"], entry["key"], entry["state"], entry["attempt"]
            exit_status, error, peak_mib = entry["exit"], entry.get("error"), entry.get("peak_mib")
            output = entry.get("output")
        except (ValueError, KeyError, TypeError, AttributeError, RecursionError):
            return False
        texts = isinstance(name, str) and isinstance(key, str) and isinstance(state, str) and state in STATES
        numbers = type(attempt) is int and (exit_status is None or type(exit_status) is int)
        if not texts or not numbers or not 1 <= attempt <= MOST or abs(exit_status or 0) > MOST:
            return False
        before = self.jobs.get(name)
        history = before.history if before and before.key == key and not before.is_final else _NEW
        counts = is_counted(exit_status)
        if counts:
            history = replace(history, counted=attempt - 1)
        self.jobs.pop(name, None)  # they stand in order of their last lines
        self.jobs[name] = Past(
            key,
            state,
            history.after(exit_status, counts=counts, loss=exit_status is None),
            exit_status,
            error if isinstance(error, str) else "",
            mib_of(peak_mib),
            output if isinstance(output, str) and state == "done" else "",
        )
        if isinstance(output, str):
            self._make(name, output)
        return True

    def _make(self, name: str, output: str) -> None:
        """A job has made an output; another one that had made it before is not done any more."""
        before = self._makers.get(output, name)
        self._makers[output] = name
        if before != name and (past := self.jobs[before]).output == output:
            self.jobs[before] = replace(past, state="again", history=_NEW, output="")


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
            found = ResultsReader(file)
    except FileNotFoundError:
        return Reading()
    except OSError as error:
        raise QueueError(problem_of(f"cannot be used: {error.strerror}", path)) from None
    found.check(path)
    return Reading(found.jobs, found.junk, holder)


def check_room(path: Path) -> None:
    """Check that a batch could make what it lacks of a results file and the folder of its logs; makes nothing.

    Raises:
        QueueError: it could not.
    """
    folder = log_folder(path)
    if os.path.lexists(folder) and (folder.is_symlink() or not folder.is_dir()):
        raise QueueError(f"the folder {folder} cannot be used: it is no folder")
    above = next(found for found in path.absolute().parents if found.exists())
    check_space(above)
    if path.exists() and folder.exists():
        return
    if not os.access(above, os.W_OK | os.X_OK):
        raise QueueError(problem_of(f"cannot be used: nothing can be made in {above}", path))


def check_space(folder: Path) -> None:
    """Check that the disk of a folder has space for what jobs become.

    Raises:
        SetupError: it has none.
    """
    with suppress(OSError):
        found = os.statvfs(folder)
        if found.f_bavail * found.f_frsize < RESERVE_BYTES:
            raise full_disk(folder)


def full_disk(folder: Path) -> SetupError:
    """The error of a folder for results on a disk that is full."""
    place = printable(str(folder), LONGEST_NAME)
    return SetupError(f"the disk of {place} is full, and results are kept there: free a megabyte")


def describe_junk(junk: list[int]) -> str:
    """A sentence about lines that are none of a journal's."""
    lines = f"line {junk[0]}" if len(junk) == 1 else f"lines {some(junk)}"
    return f"{lines} of the results file cannot be read and {'is' if len(junk) == 1 else 'are'} ignored"


def _is_part(line: bytes) -> bool:
    """Whether a line is no JSON, as one is of which only the beginning was written."""
    try:
        json.loads(line)
    except (ValueError, RecursionError):
        return True
    return False


def _lines(file: BufferedReader) -> Iterator[tuple[bytes, int]]:
    """The lines of a file with their sizes; of a line that is too long the beginning and the end."""
    while line := file.readline(LONGEST_LINE):
        size = len(line)
        while not line.endswith(b"\n") and (more := file.readline(LONGEST_LINE)):
            size += len(more)
            line = line[:100] + more[-1:]
        yield line, size


def log_folder(results: Path) -> Path:
    """The folder with the logs of jobs, beside their results."""
    return results.with_name(f"{results.stem}.logs")


def problem_of(what: str, path: Path) -> str:
    """A sentence about the results file at ``path``."""
    return f"the results file {printable(str(path), LONGEST_NAME)} {what}"
