"""Which attempts run: a small file beside the logs, so that the next run knows what did not end when a host went down.

Each attempt that begins puts its mark into a slot, and takes it out when it has ended. Slots are overwritten in place,
so a disk that gets full takes none away. A mark fits to one state of a job in the results: after a line more it is
stale, wherever the batch was killed.
"""

from __future__ import annotations

import hashlib
import logging
import os
from contextlib import suppress
from pathlib import Path
from typing import Final

from owtmix.base.own_files import own_file, read_own
from owtmix.base.strict_json import printable
from owtmix.batch.attempt import BatchJob
from owtmix.batch.results_reader import LONGEST_NAME, Past, log_folder

_log = logging.getLogger(__name__)

_DIGITS: Final = 32
_EMPTY: Final = b" " * _DIGITS + b"\n"
_FIRST: Final = 64
"""Slots that a file has from the beginning."""
_MOST_BYTES: Final = 1 << 20


class BegunFile:
    """The marks of one batch, in a file that is removed when nothing runs at the end.

    A file that cannot be written is a warning: then a crash of this run is not known to the next one.
    """

    def __init__(self, path: Path) -> None:
        self._path = path
        self._file: int | None = None
        self._slots: dict[str, int] = {}
        self._free = [*range(_FIRST)]
        try:
            self._file = own_file(path, os.O_RDWR | os.O_CREAT)
            os.pwrite(self._file, _EMPTY * _FIRST, 0)
            os.fsync(self._file)  # with its name
        except OSError as error:
            self._give_up(error)

    def begin(self, job: BatchJob, past: Past | None) -> None:
        """An attempt at a job begins, of which the results say ``past``. It is on the disk afterwards."""
        slot = self._free.pop() if self._free else len(self._slots)
        self._slots[job.id] = slot
        self._write(slot, mark_of(job, past).encode() + b"\n")
        if self._file is not None:
            with suppress(OSError):
                os.fdatasync(self._file)

    def end(self, job: BatchJob) -> None:
        """It has ended, and the results say how."""
        slot = self._slots.pop(job.id)
        self._free.append(slot)
        self._write(slot, _EMPTY)

    def close(self) -> None:
        """Remove the file, unless something still runs."""
        if self._file is not None:
            os.close(self._file)
            if not self._slots:
                with suppress(OSError):
                    self._path.unlink()
        self._file = None

    def _write(self, slot: int, data: bytes) -> None:
        if self._file is None:
            return
        try:
            os.pwrite(self._file, data, slot * len(_EMPTY))
        except OSError as error:
            self._give_up(error)

    def _give_up(self, error: OSError) -> None:
        name = printable(str(self._path), LONGEST_NAME)
        _log.warning("the file %s cannot be written: %s; the next run will not know of a crash", name, error.strerror)
        if self._file is not None:
            os.close(self._file)
        self._file = None


def begun_path(results: Path) -> Path:
    """The file for the batch with these results."""
    return log_folder(results) / f".{results.name}.begun"


def read_marks(path: Path) -> frozenset[str]:
    """The marks of what ran when a batch went down; none where there is no such file."""
    try:
        return frozenset(read_own(path, _MOST_BYTES).decode("ascii", "replace").split())
    except OSError:
        return frozenset()


def mark_of(job: BatchJob, past: Past | None) -> str:
    """What stands for an attempt at a job that begins after ``past``."""
    known: list[object] = []
    if past and past.key == job.key:
        # Of the losses that a run counts, the results only tell those of hosts.
        losses = past.history.losses if past.exit_status is None else 0
        known = [past.state, past.exit_status, past.history.counted, losses]
    return hashlib.sha256(ascii([job.id, job.key, *known]).encode()).hexdigest()[:_DIGITS]
