"""The work folder of a job: fetched recordings and finished chunks. The run after a killed one continues with it."""

from __future__ import annotations

import shutil
import time
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager, suppress
from pathlib import Path

from owtmix.base.errors import BusyError, DestinationError
from owtmix.jobs.lock import lock_folder, lock_job


@contextmanager
def open_work_folder(state: Path, job_id: str, days: int) -> Iterator[Path]:
    """Make ``work/<job id>`` in the state folder, and remove old work folders of other jobs.

    It has ``inputs`` and ``chunks``, which the next run may use, and ``tracks`` for unfinished tracks, which is empty
    at first. At the end ``tracks`` is removed, and so is each of the others that is empty.

    Args:
        state: The state of all jobs.
        job_id: The job, which the caller has locked.
        days: The age at which the folder of a stopped job is removed.

    Raises:
        DestinationError: The folder cannot be made.
        BusyError: Another process uses the folder.
    """
    folder = state / "work"
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
        _remove_abandoned(state, work, days)
        try:
            yield work
        finally:
            shutil.rmtree(work / "tracks", ignore_errors=True)
            for empty in (work / "inputs", work / "chunks", work):
                with suppress(OSError):
                    empty.rmdir()


def _remove_abandoned(state: Path, work: Path, days: int) -> None:
    """Remove the folders of other jobs than that of ``work`` which have not changed for ``days``."""
    oldest = time.time() - days * 86_400
    for other in work.parent.iterdir():
        # The job may be running; or its folder disappears meanwhile.
        with suppress(BusyError, DestinationError, OSError):
            if other != work and _touched(other) < oldest:
                with lock_job(state, other.name), lock_folder(other, other.name):
                    shutil.rmtree(other, ignore_errors=True)


def _touched(folder: Path) -> float:
    """When the newest entry in ``folder`` changed."""
    return max(entry.lstat().st_mtime for entry in (folder, *folder.rglob("*")))
