"""The work folder of a job: fetched recordings and finished chunks. The run after a killed one continues with it."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import ExitStack, contextmanager, suppress
from pathlib import Path
from typing import Final

from owtmix.base.errors import DestinationError
from owtmix.base.own_files import make_emptied, make_folder, make_tidy, remove
from owtmix.jobs.lock import lock_folder
from owtmix.jobs.state import WORK

PARTS: Final = ("inputs", "chunks", "tracks")


@contextmanager
def open_work_folder(state: Path, job_id: str) -> Iterator[Path]:
    """Make ``work/<job id>`` in the state folder. Only its owner can read it, and no link in it is followed.

    It has ``inputs`` and ``chunks``, which the next run may use, and ``tracks`` for unfinished tracks, which is empty
    at first. At the end ``tracks`` is removed, and so is each of the others that is empty.

    Args:
        state: The state of all jobs.
        job_id: The job, which the caller has locked.

    Raises:
        DestinationError: The folder cannot be made.
        BusyError: Another process uses the folder.
    """
    work = state / WORK / job_id
    inputs, chunks, tracks = (work / name for name in PARTS)
    with ExitStack() as hold:
        try:
            make_folder(work)
            hold.enter_context(lock_folder(work, job_id))
            make_tidy(inputs)
            make_tidy(chunks)
            make_emptied(tracks)
        except OSError as error:
            raise DestinationError(f"{error.filename or work} cannot be made: {error.strerror}") from None
        try:
            yield work
        finally:
            with suppress(OSError):
                remove(tracks)
            for empty in (inputs, chunks, work):
                with suppress(OSError):
                    empty.rmdir()
