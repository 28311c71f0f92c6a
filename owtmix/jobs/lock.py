"""One run per job id and state folder."""

from __future__ import annotations

import fcntl
import json
import os
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager, suppress
from pathlib import Path
from typing import Final

from owtmix.base.errors import BusyError, DestinationError
from owtmix.base.own_files import make_folder, own_file
from owtmix.base.strict_json import printable

MOST_BYTES: Final = 65_536
LONGEST_NAME: Final = 1000
"""In characters, of a job file in a message."""


@contextmanager
def lock_job(state: Path, job_id: str, job_file: Path | None = None) -> Iterator[None]:
    """Hold the job id in the state folder while the block runs; the system releases it when the process ends.

    Raises:
        BusyError: another process holds it; the message names that process and its job file.
        DestinationError: the state folder cannot be written.
    """
    folder = state / "locks"
    path = folder / f"{job_id}.lock"
    try:
        make_folder(folder)
        held = _opened(path, state, job_id)
    except OSError as error:
        raise DestinationError(f"{error.filename or path} cannot be locked: {error.strerror}") from None
    try:
        owner = json.dumps({"process": os.getpid(), "job_file": str(job_file.absolute()) if job_file else ""})
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


def _opened(path: Path, state: Path, job_id: str) -> int:
    """The descriptor of the locked file."""
    while True:
        descriptor = own_file(path, os.O_RDWR | os.O_CREAT)
        try:
            fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            owner = _owner(descriptor)
            os.close(descriptor)
            raise BusyError(f"the job {job_id} is already running{owner} (state folder {state})") from None
        except OSError:
            return descriptor  # some network file systems cannot lock; nothing protects the job there
        # The one who held it has removed the file, perhaps between the opening and the lock.
        with suppress(OSError):
            if os.path.samestat(os.fstat(descriptor), path.lstat()):
                return descriptor
        os.close(descriptor)


def _owner(descriptor: int) -> str:
    """Who holds the lock, for a message; empty when that cannot be read."""
    try:
        owner = json.loads(os.pread(descriptor, MOST_BYTES, 0))
        process, job_file = owner["process"], owner["job_file"]
        if not isinstance(process, int) or not isinstance(job_file, str):
            return ""
    except (OSError, ValueError, KeyError, TypeError, RecursionError):
        return ""
    return f": process {process}" + f", job file {printable(job_file, LONGEST_NAME)}" * bool(job_file)
