"""One run per job id and state folder."""

from __future__ import annotations

import fcntl
import json
import os
import time
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from owtmix.base.errors import BusyError, DestinationError
from owtmix.base.own_files import make_folder, own_file
from owtmix.base.strict_json import printable

MOST_BYTES: Final = 65_536
LONGEST_NAME: Final = 1000
"""In characters, of a job file in a message."""
MOST_WAITING_S: Final = 600.0
"""A run waits so long for who delivers callbacks of earlier ones, or removes what they left."""
_POLL_S: Final = 0.05
_WRITING_S: Final = 1.0
"""Until who holds a lock has written who it is."""


@contextmanager
def lock_job(state: Path, job_id: str, job_file: Path | None = None) -> Iterator[None]:
    """Hold the job id in the state folder while the block runs; the system releases it when the process ends.

    A run has a ``job_file``. Who has none holds the job for something short between runs, for which a run waits.

    Raises:
        BusyError: another process holds it; the message names that process and its job file.
        DestinationError: the state folder cannot be written.
    """
    folder = state / "locks"
    path = folder / f"{job_id}.lock"
    try:
        make_folder(folder)
        held = _opened(path, state, job_id, waits=job_file is not None)
    except OSError as error:
        raise DestinationError(f"{error.filename or path} cannot be locked: {error.strerror}") from None
    try:
        named = str(job_file.absolute()) if job_file else ""
        owner = json.dumps({"process": os.getpid(), "job_file": named})
        with suppress(OSError):  # a full disk: nobody can be told who it is
            os.ftruncate(held, 0)
            os.pwrite(held, owner.encode(errors="surrogateescape"), 0)
        yield
    finally:
        with suppress(OSError):
            path.unlink()
        os.close(held)


@contextmanager
def lock_folder(folder: Path, job_id: str) -> Iterator[None]:
    """Hold the work folder of a job while the block runs, against runs with another state folder.

    Raises:
        BusyError: another process holds it.
        OSError: it cannot be opened.
    """
    with ExitStack() as opened:
        descriptor = os.open(folder, os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW | os.O_CLOEXEC)
        opened.callback(os.close, descriptor)
        try:
            fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            raise BusyError(f"the job {job_id} is already running: its work folder {folder} is in use") from None
        except OSError:
            pass  # some network file systems cannot lock folders
        yield


def _opened(path: Path, state: Path, job_id: str, *, waits: bool) -> int:
    """The descriptor of the locked file. Who ``waits`` is not refused for what is no run."""
    start = time.monotonic()
    while True:
        descriptor = own_file(path, os.O_RDWR | os.O_CREAT)
        try:
            fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            owner = _owner(descriptor)
            os.close(descriptor)
            patience_s = _WRITING_S if owner is None else 0 if owner.job_file else MOST_WAITING_S
            if waits and time.monotonic() - start < patience_s:
                time.sleep(_POLL_S)
                continue
            raise BusyError(f"the job {job_id} is already running{owner or ''} (state folder {state})") from None
        except OSError:
            return descriptor  # some network file systems cannot lock; nothing protects the job there
        # The one who held it has removed the file, perhaps between the opening and the lock.
        with suppress(OSError):
            if os.path.samestat(os.fstat(descriptor), path.lstat()):
                return descriptor
        os.close(descriptor)


@dataclass(frozen=True, slots=True)
class _Owner:
    """Who holds a lock."""

    process: int
    job_file: str
    """Empty when it is no run."""

    def __str__(self) -> str:
        """As a part of a message."""
        file = f", job file {printable(self.job_file, LONGEST_NAME)}" * bool(self.job_file)
        return f": process {self.process}{file}"


def _owner(descriptor: int) -> _Owner | None:
    """Who holds the lock; None when that cannot be read."""
    try:
        owner = json.loads(os.pread(descriptor, MOST_BYTES, 0))
        found = _Owner(owner["process"], owner["job_file"])
    except (OSError, ValueError, KeyError, TypeError, RecursionError):
        return None
    return found if isinstance(found.process, int) and isinstance(found.job_file, str) else None
