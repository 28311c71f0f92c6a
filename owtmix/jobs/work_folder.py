"""Where a job keeps what it has fetched and made so far; a run that was killed leaves it to the next."""

from __future__ import annotations

import shutil
import time
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager, suppress
from pathlib import Path

from owtmix.base.errors import DestinationError, SpecError
from owtmix.jobs.lock import lock_folder, lock_job


@contextmanager
def open_work_folder(folder: Path, job_id: str, days: int) -> Iterator[Path]:
    """Make ``folder/<job id>`` and remove what other jobs left long ago.

    In it are ``inputs`` and ``chunks`` for what the next run may use, and ``tracks`` for what is not finished, which is
    empty at first. At the end ``tracks`` goes, and what is empty of the rest.

    Args:
        folder: Of all jobs.
        job_id: The job, which runs here and nowhere else.
        days: For how long an abandoned job is kept.

    Raises:
        DestinationError: The disk takes no folder.
        SpecError: Another process uses it: one of another container, say, which ``lock_job`` cannot know of (error 2).
    """
    work = folder / job_id
    with ExitStack() as hold:
        try:
            work.mkdir(parents=True, exist_ok=True)
            hold.enter_context(lock_folder(work, job_id))
            shutil.rmtree(work / "tracks", ignore_errors=True)
            for name in ("inputs", "chunks", "tracks"):
                (work / name).mkdir(exist_ok=True)
        except OSError as error:
            raise DestinationError(f"{work} cannot be made: {error.strerror}") from None
        _remove_abandoned(folder, work, days)
        try:
            yield work
        finally:
            shutil.rmtree(work / "tracks", ignore_errors=True)
            for empty in (work / "inputs", work / "chunks", work):
                with suppress(OSError):
                    empty.rmdir()


def _remove_abandoned(folder: Path, work: Path, days: int) -> None:
    """Remove what other jobs than that of ``work`` left long ago."""
    oldest = time.time() - days * 86_400
    for other in folder.iterdir():
        # A job may run and take long over one file; or its folder goes away while it is looked at.
        with suppress(SpecError, OSError):
            if other != work and _touched(other) < oldest:
                with lock_job(other.name), lock_folder(other, other.name):
                    shutil.rmtree(other, ignore_errors=True)


def _touched(folder: Path) -> float:
    """When the newest entry in ``folder`` changed."""
    return max(entry.lstat().st_mtime for entry in (folder, *folder.rglob("*")))
